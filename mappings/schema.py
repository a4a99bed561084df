"""The JSON Schema of rule files, so that editors complete and check while a rule is written."""

from typing import Any

from mappings.documents import CodeMapsDocument, RulesetDocument


def ruleset_schema() -> dict[str, Any]:
    """Give the JSON Schema of a rule file."""
    return _published(RulesetDocument.model_json_schema(), "banyan ruleset")


def code_maps_schema() -> dict[str, Any]:
    """Give the JSON Schema of a file of code maps."""
    return _published(CodeMapsDocument.model_json_schema(), "banyan code maps")


def _published(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
