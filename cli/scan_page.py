"""The page of a scan: one self-contained HTML file, rendered from the document beside it."""

from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from typing import Any, Final

from cli.tables import thousands
from mappings.survey import LEAST_ROWS_OF_A_CODE
from validation.rendering import content_hash, page_style, render_page, trusted

_FOLDER: Final = Path(__file__).with_name("pages")


def say_duration(hours: float) -> str:
    """Say how long something takes, as people do."""
    minutes = ceil(hours * 60)
    if minutes <= 1:
        return "less than a minute"
    return f"{minutes} minutes" if minutes < 90 else f"{hours:.1f} hours"


def find_first(scan: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """List what a project lead looks at first, each with its tables; what was not found is left out."""
    tables = scan["tables"]

    def named(sentence: str, is_so: Callable[[Mapping[str, Any]], object]) -> tuple[str, list[str]]:
        return sentence, [str(one["table"]) for one in tables if is_so(one)]

    def since(one: Mapping[str, Any], name: str) -> object:
        return (one["since_last_scan"] or {}).get(name)

    found = [
        named("without a key: they cannot be followed", lambda one: not one["key"]),
        named("without a rule", lambda one: one["rows"] and one["rule"] is None),
        named("changed without a new stamp", lambda one: since(one, "changed_without_stamp")),
        named("with keys that were used again", lambda one: since(one, "keys_used_again")),
        named("with rows without a parent", lambda one: any(orphan["rows"] for orphan in one["orphans"])),
        named("with doubtful encodings", lambda one: any(column["encoding"] for column in one["columns"])),
        named("with special data (LED art. 10)", lambda one: _is_protected(one, "special")),
        named("with personal data", lambda one: _is_protected(one, "personal")),
    ]
    return [(sentence, names) for sentence, names in found if names]


def _is_protected(table: Mapping[str, Any], protection: str) -> bool:
    return any(column["protection"] == protection for column in table["columns"])


def render_scan(scan: Mapping[str, Any]) -> str:
    """Render a scan as one HTML page; the same scan gives the same bytes."""
    style = page_style(_FOLDER / "scan.css")
    hours = scan["window"]["reading_hours"]
    shown = {
        "scan": scan, "style": trusted(style), "style_hash": content_hash(style), "least": LEAST_ROWS_OF_A_CODE,
        "first": find_first(scan), "numbers": {one["table"]: at for at, one in enumerate(scan["tables"], 1)},
        "takes": "" if hours is None else say_duration(hours),
        "thousands": thousands, "all_hidden": {"triggers", "routines", "views"} <= set(scan["hidden"]),
    }  # fmt: skip
    return render_page(_FOLDER, "scan.html.j2", shown)
