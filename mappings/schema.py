"""The JSON Schemas of rule files, so that editors complete and check while a rule is written."""

from collections.abc import Callable, Mapping
from typing import Any

from mappings.documents import CodeMapsDocument, RulesetDocument
from mappings.golden_documents import GoldenFileDocument
from mappings.overlay_documents import OverlayDocument


def ruleset_schema() -> dict[str, Any]:
    """Give the JSON Schema of a rule file."""
    return _published(RulesetDocument.model_json_schema(), "banyan ruleset")


def code_maps_schema() -> dict[str, Any]:
    """Give the JSON Schema of a file of code maps."""
    return _published(CodeMapsDocument.model_json_schema(), "banyan code maps")


def overlay_schema() -> dict[str, Any]:
    """Give the JSON Schema of the deviations of a department."""
    return _published(OverlayDocument.model_json_schema(), "banyan overlay")


def golden_schema() -> dict[str, Any]:
    """Give the JSON Schema of a file of golden records."""
    return _published(GoldenFileDocument.model_json_schema(), "banyan golden records")


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "ruleset": ruleset_schema,
    "code-maps": code_maps_schema,
    "overlay": overlay_schema,
    "golden": golden_schema,
}


def _published(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
