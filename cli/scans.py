"""`banyan source scan --to`: what a legacy system is before anything is decided, as a page and a document."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from banyan.errors import ConfigurationError, UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table, thousands

if TYPE_CHECKING:
    from banyan.departments import SourceRef
    from mappings.model import Ruleset
    from sync.workspace import Workspace


def assess_sources(place: str, to: Path, *, against: Path | None, rows: int, as_json: bool) -> None:
    """Assess the legacy systems of a place, write a page and a document of each, and tell the main figures."""
    from cli.scan_differences import compare_scans
    from sync.workspace import opened

    before = _read_scan(against) if against is not None else None
    told = []
    with opened(current_project()) as workspace:
        for reference in _wanted(workspace, place):
            scan = _assess(workspace, reference, rows, is_quiet=as_json)
            scan["differences"] = compare_scans(before, scan) if before is not None else []
            compared = {"source": before["source"], "made_at": before["made_at"]} if before is not None else None
            scan["compared_with"] = compared
            told.append({**scan, "files": [str(file) for file in _write(scan, to)]})
    if as_json:
        print_json(told)
        return
    for scan in told:
        _print(scan)
    print_next(f"banyan source scan {place} --to {to} --against {told[-1]['files'][0]}   (in a month)")


def find_rulesets(workspace: "Workspace", reference: "SourceRef") -> "dict[str, Ruleset]":
    """Give the rules by table; none where nobody has written any yet: a scan comes before the rules."""
    try:
        folder = workspace.rules_folder(reference)
    except ConfigurationError:
        return {}
    if all(path.stem == "code_maps" for path in folder.glob("*.yaml")):
        return {}
    return dict(workspace.book(reference).rulesets)


def _wanted(workspace: "Workspace", place: str) -> "list[SourceRef]":
    from banyan.departments import SourceRef
    from cli.sources import split_place
    from sync.movement import sources_of

    code, system, table = split_place(place)
    if table is not None:
        raise UsageError(
            f"{place!r} names a table; a system is assessed as a whole", hint=f"banyan source scan {place}"
        )
    return sources_of(workspace, code) if system is None else [SourceRef(code, system)]


def _assess(workspace: "Workspace", reference: "SourceRef", rows: int, *, is_quiet: bool) -> dict[str, Any]:
    from cli.assessment import Assessment
    from connectors.database import DatabasePort
    from connectors.one_way import OneWayPort
    from sync.assembly import open_to_look

    def watch(table: str) -> None:
        if not is_quiet:
            typer.echo(f"{reference}  {table}", err=True)

    port = open_to_look(workspace, reference)
    try:
        rulesets = find_rulesets(workspace, reference)
        return Assessment(workspace, reference, port, rulesets, rows).run(port.tables(), watch)
    finally:
        if isinstance(port, DatabasePort | OneWayPort):
            port.close()


def _read_scan(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        if not {"source", "made_at", "tables", "callers", "jobs", "encoding"} <= set(read):
            raise ValueError("keys are missing")
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{file} is no scan that can be read; nothing was assessed",
            hint="the JSON that banyan source scan --to wrote",
        ) from error
    return dict(read)


def _write(scan: dict[str, Any], folder: Path) -> list[Path]:
    from cli.scan_page import render_scan

    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{scan['source']}-{scan['made_at'][:10]}"
    document, page = folder / f"{stem}.json", folder / f"{stem}.html"
    document.write_text(json.dumps(scan, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    page.write_text(render_scan(scan), encoding="utf-8")
    return [document, page]


def _print(scan: dict[str, Any]) -> None:
    from cli.scan_page import say_duration

    rows = []
    for table in scan["tables"]:
        since = table["since_last_scan"] or {}
        orphans = [one["rows"] for one in table["orphans"]]
        personal = sum(column["protection"] in ("personal", "special") for column in table["columns"])
        doubtful = sum(bool(column["encoding"]) for column in table["columns"])
        rows.append(
            (table["table"], table["rows"], table["rule"], ", ".join(table["key"]) or "none",
             sum(filter(None, orphans)), doubtful, personal, since.get("changed_without_stamp"),
             since.get("keys_used_again"))
        )  # fmt: skip
    columns = (
        "table",
        "rows",
        "rule",
        "key",
        "orphans",
        "doubtful encodings",
        "personal",
        "hidden changes",
        "keys reused",
    )
    print_table(f"{scan['source']}  {scan['medium']} {scan['encoding']}", columns, rows)
    callers = ", ".join(f"{c['account']} x{c['sessions']}" for c in scan["callers"]) or "nobody at this moment"
    print_line(f"connected: {callers}")
    for line in scan["unseen"]:
        print_line(f"not seen: {line}")
    window, effort = scan["window"], scan["effort"]
    if window["reading_hours"] is not None:
        fits = "fits a night" if window["fits_a_night"] else "does not fit a night of 8 hours"
        pace = f"{thousands(window['rows'])} rows at {thousands(window['rows_per_second'])} rows/s measured here"
        print_line(f"reading   {pace}: {say_duration(window['reading_hours'])}, {fits}")
    print_line(f"effort    {effort['days']} days of one person, a first figure: its parts are on the page")
    for one in scan["differences"]:
        print_line(f"differs   {one['table'] or scan['source']}: {one['difference']}")
    for file in scan["files"]:
        print_line(f"written   {file}")
