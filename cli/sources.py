"""`banyan source`: what a legacy system is, holds and allows; reads only, and never a value of a row."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import Closure, SourceRef
from banyan.errors import ConfigurationError, SourceUnreadable, UsageError
from cli.drifts import show_drift
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table, thousands

if TYPE_CHECKING:
    from banyan.ports import LegacyPort
    from cli.grants import Rung, RungPlan
    from connectors.database import DatabasePort
    from mappings.model import RuleBook, Ruleset
    from sync.workspace import Workspace

source_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PlaceArgument = Annotated[str, typer.Argument(metavar="DEPT[.SYSTEM[.TABLE]]", help="Such as 38 or 38.ORION.t_proc.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@source_app.callback()
def source() -> None:
    """Look at a legacy system as the reading account sees it."""


@source_app.command("list", epilog="Example: banyan source list")
def list_sources(as_json: AsJson = False) -> None:
    """List the legacy systems of the project, as banyan.yaml says; nothing is opened."""
    project = current_project()
    rows = [
        (code, department.name, system, config.medium, config.schema_name or None, config.rules)
        for code, department in sorted(project.departments.items())
        for system, config in sorted(department.sources.items())
    ]
    columns = ("dept", "name", "system", "medium", "schema", "rules")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table("", columns, rows)
    print_next(f"banyan source scan {rows[0][0]}" if rows else "write a department in banyan.yaml")


@source_app.command("scan", epilog="Example: banyan source scan 38.ORION")
def scan_sources(
    place: PlaceArgument,
    to: Annotated[Path | None, typer.Option("--to", help="Assess in full: page and document into this folder.")] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Another document: of last month, or of a sibling.")
    ] = None,
    most: Annotated[int, typer.Option("--rows", help="Rows read of each table at most; all without it.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Count the rows of each table and tell which have a rule; exit 3 when a rule describes other columns.

    With --to every row is read, in short ranges: keys, orphans, encodings, codes, outliers, personal columns, hidden
    changes since the scan before, who connects, triggers, jobs, growth, effort, load window. No value is written.
    """
    if to is not None:
        from cli.scans import assess_sources

        assess_sources(place, to, against=against, rows=most, as_json=as_json)
        return
    if against is not None or most:
        raise UsageError("--against and --rows speak of a full scan; nothing was read", hint=f"--to FOLDER for {place}")
    found = []
    for reference, port, rulesets in _each_to_look(place):
        wanted = split_place(place)[2]
        names = port.tables() if wanted is None else [wanted]
        found += [_scan(reference, port, rulesets, name) for name in names]
        found += [_absent(reference, name) for name in sorted(set(rulesets) - set(port.tables())) if not wanted]
    drifted = [one for one in found if one["missing"] or one["unknown"]]
    if as_json:
        print_json(found)
    else:
        _print_scan(found, drifted, is_one=split_place(place)[2] is not None)
    if drifted:
        raise typer.Exit(3)


@source_app.command("capabilities", epilog="Example: banyan source capabilities 38")
def show_capabilities(place: PlaceArgument, as_json: AsJson = False) -> None:
    """Tell what each table with a rule can do today: changes, write-back, deletes, fence; as found, not as hoped."""
    rows = []
    for reference, port, book in _each(place):
        wanted = split_place(place)[2]
        for name in sorted(book.rulesets) if wanted is None else [wanted]:
            can = port.capabilities(name)
            rows.append(
                (str(reference), name, can.incremental.value, can.write_back.value, can.deletes_visible,
                 can.fence.kind.value, can.note or None)
            )  # fmt: skip
    columns = ("source", "table", "changes by", "write-back", "deletes seen", "fence", "note")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    print_table("", columns, rows)


@source_app.command("grants", epilog="Example: banyan source grants 38.ORION --level R3 > r3.sql")
def show_grants(
    place: PlaceArgument,
    level: Annotated[
        str, typer.Option("--level", help="R0 files, R1 SELECT, R2 log, R3 triggers, R4 fence; all without it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print the exact SQL that grants a rung of rights, and the SQL that undoes it; nothing is run."""
    from cli.grants import Rung, plan_rung
    from cli.printed_grants import print_plans
    from connectors.database import DatabasePort
    from connectors.postgresql import PostgreSQLPort

    if level and level.upper() not in list(Rung):
        known = ", ".join(Rung)
        raise UsageError(f"there is no rung {level}; there are {known}; nothing was read", hint="--level R1")
    rungs = [Rung(level.upper())] if level else list(Rung)
    plans = []
    for reference, port, book in _each(place):
        if isinstance(port, DatabasePort) and not isinstance(port, PostgreSQLPort):
            plans += [(reference, _plan_other(rung, port, book, reference)) for rung in rungs]
            continue
        if not isinstance(port, PostgreSQLPort):
            raise UsageError(
                f"{reference} is only read, from files or through a driver: there is no account to grant anything to; "
                "nothing was read",
                hint=f"banyan source capabilities {reference}",
            )
        plans += [(reference, plan_rung(rung, port, book, reference.department_code)) for rung in rungs]
    if as_json:
        print_json([{"source": str(reference), **asdict(plan)} for reference, plan in plans])
        return
    print_plans(plans)


def _plan_other(rung: "Rung", port: "DatabasePort", book: "RuleBook", reference: SourceRef) -> "RungPlan":
    from cli.grants_sqlite import plan_files_rung, plan_sqlite_rung
    from connectors.sqlite_database import SqliteDatabase
    from connectors.sqlite_files import SqliteFiles

    if isinstance(port, SqliteDatabase):
        return plan_sqlite_rung(rung, port, book, _closures(reference, book))
    if isinstance(port, SqliteFiles):
        return plan_files_rung(rung, port, book, _closures(reference, book))
    from cli.grants_mariadb import plan_mariadb_rung
    from connectors.mariadb import MariaDBPort

    assert isinstance(port, MariaDBPort)
    return plan_mariadb_rung(rung, port, book, reference.department_code)


def _closures(reference: SourceRef, book: "RuleBook") -> "tuple[Closure, ...]":
    from sync.assembly import closures_of
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        return closures_of(workspace, reference, book)


def split_place(place: str) -> tuple[str, str | None, str | None]:
    """Read DEPT[.SYSTEM[.TABLE]]."""
    parts = place.split(".")
    if len(parts) > 3 or not all(parts):
        raise UsageError(f"{place!r} is not DEPT[.SYSTEM[.TABLE]]; nothing was read", hint="banyan source list")
    return parts[0], parts[1] if len(parts) > 1 else None, parts[2] if len(parts) > 2 else None


def _each(place: str) -> "Iterator[tuple[SourceRef, LegacyPort, RuleBook]]":
    """Open each legacy system meant, as the reading account."""
    from sync.movement import sources_of
    from sync.workspace import opened

    code, system, _ = split_place(place)
    project = current_project()
    with opened(project) as workspace:
        wanted = sources_of(workspace, code) if system is None else [SourceRef(code, system)]
        for reference in wanted:
            with _port(workspace, reference) as port:
                yield reference, port, workspace.book(reference)


def _each_to_look(place: str) -> "Iterator[tuple[SourceRef, LegacyPort, Mapping[str, Ruleset]]]":
    """Open each legacy system meant, with nothing installed there and, if need be, before any rule is written."""
    from cli.scans import find_rulesets
    from sync.assembly import open_to_look
    from sync.movement import sources_of
    from sync.workspace import opened

    code, system, _ = split_place(place)
    with opened(current_project()) as workspace:
        wanted = sources_of(workspace, code) if system is None else [SourceRef(code, system)]
        for reference in wanted:
            with _closed(open_to_look(workspace, reference)) as port:
                yield reference, port, find_rulesets(workspace, reference)


@contextmanager
def _port(workspace: "Workspace", reference: SourceRef) -> "Iterator[LegacyPort]":
    from sync.assembly import open_port

    with _closed(open_port(workspace, reference)) as port:
        yield port


@contextmanager
def _closed(port: "LegacyPort") -> "Iterator[LegacyPort]":
    from connectors.database import DatabasePort
    from connectors.one_way import OneWayPort

    try:
        yield port
    finally:
        if isinstance(port, DatabasePort | OneWayPort):
            port.close()


def _scan(reference: SourceRef, port: "LegacyPort", rulesets: "Mapping[str, Ruleset]", name: str) -> dict[str, object]:
    ruleset = rulesets.get(name)
    try:
        columns = port.columns(name)
    except SourceUnreadable as error:
        if ruleset is not None:
            raise
        return _untold(reference, name, rows=None, unread=error.message)
    here = [column.name for column in columns]
    rows, unread = _count(port, name)
    return {
        "source": str(reference),
        "table": name,
        "columns": len(columns),
        "rows": rows,
        "unread": unread,
        "key": list(port.key_columns(name)),
        "rule": ruleset.rule_id if ruleset else None,
        "missing": [column for column in ruleset.columns if column not in here] if ruleset else [],
        "unknown": [column for column in here if column not in ruleset.columns] if ruleset else [],
        "details": [asdict(column) for column in columns],
    }


def _absent(reference: SourceRef, name: str) -> dict[str, object]:
    absent = {"rule": "there is no such table", "missing": ["every column"]}
    return _untold(reference, name, rows=0, unread="") | absent


def _untold(reference: SourceRef, name: str, *, rows: int | None, unread: str) -> dict[str, object]:
    return {
        "source": str(reference), "table": name, "columns": 0, "rows": rows, "key": [], "rule": None,
        "missing": [], "unknown": [], "details": [], "unread": unread,
    }  # fmt: skip


def _count(port: "LegacyPort", name: str) -> tuple[int | None, str]:
    """Count the rows of a table; without the right to, say so."""
    try:
        return port.count(name), ""
    except ConfigurationError as error:
        return None, error.message


def _print_scan(found: list[dict[str, object]], drifted: list[dict[str, object]], *, is_one: bool) -> None:
    columns = ("source", "table", "columns", "rows", "rule")
    print_table("", columns, [[one[name] for name in columns] for one in found])
    if is_one:
        for one in found:
            details = one["details"]
            assert isinstance(details, list)
            print_facts({d["name"]: f"{d['type_name']}{'' if d['is_nullable'] else ' not null'}" for d in details})
    ruled = sum(one["rule"] is not None for one in found)
    rows = sum(one["rows"] for one in found if isinstance(one["rows"], int))
    print_line(f"{len(found)} tables, {ruled} with a rule, {thousands(rows)} rows")
    for one in found:
        if one["unread"]:
            print_line(f"not seen: rows of {one['table']}: {one['unread']}")
    for one in drifted:
        print_line(f"NO   {one['table']}: the rule names {one['missing'] or 'no'} missing columns, and "
                   f"{one['unknown'] or 'no'} columns have no fate")  # fmt: skip
    print_next("banyan map lint" if drifted else "banyan map coverage")


source_app.command("drift", epilog="Example: banyan source drift 38")(show_drift)
