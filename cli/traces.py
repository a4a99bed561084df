"""`banyan trace`: one row from the legacy system through the rules to its records and back; every look is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from banyan.undecoded import show_key
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cli.lineage import Trace
    from mappings.explain import CellTrial, RowTrial

ReasonOption = Annotated[str, typer.Option("--reason", help="Why these records are looked at; it is kept in the log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


def trace(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="A legacy table, `case`, or a canonical table.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="38:10233, 38:00123/2019 for a case, or 38:ID.")],
    reason: ReasonOption = "",
    as_json: AsJson = False,
) -> None:
    """Follow one row: legacy text, rules, records, residue, runs, parcel, lists, journal. Logged as a consultation."""
    from cli.lineage import find_row, log_consultation, trace_row
    from sync.assembly import open_rig
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    demand_reason(reason)
    code, wanted = split_key(key)
    with opened(current_project()) as workspace:
        rigs = [open_rig(workspace, source) for source in sources_of(workspace, code)]
        rig = next((one for one in rigs if kind in one.book.rulesets), rigs[0])
        log_consultation(rig, actor_of(workspace), reason, (f"{rig.source}/{kind}/{wanted}",))
        found = trace_row(rig, find_row(rig, kind, wanted))
    if as_json:
        print_json(plain({**asdict(found), "logged": "consultation"}))
        return
    print_trace(found)


def demand_reason(reason: str) -> None:
    """Refuse to show a record to somebody who does not say why."""
    if not reason.strip():
        raise UsageError(
            "records are shown only with a reason, which the processing log keeps (LED art. 25); nothing was read",
            hint='add --reason "TEXT"',
        )


def split_key(key: str) -> tuple[str, str]:
    """Read DEPARTMENT:KEY."""
    code, separator, rest = key.partition(":")
    if not separator or not code or not rest:
        raise UsageError(
            "a key is written DEPARTMENT:KEY, such as 38:10233; nothing was read", hint="banyan trace --help"
        )
    return code, rest


def print_trial(trial: "RowTrial | None") -> None:
    """Write what the rules make of one legacy row, and what would be written back, differences marked."""
    if trial is None:
        print_line("  the old system has no row of this key now")
        return
    print_line(f"  {trial.rule_id}: {trial.fate.value}{f' ({trial.reason})' if trial.reason else ''}")
    if not trial.cells:
        return
    rows = [
        (cell.column, plain(cell.raw), cell.written if cell.is_written else None, _note(cell))
        for cell in trial.cells
        if cell.raw is not None or cell.is_written
    ]
    print_table("LEGACY ROW, as it is now", ("column", "raw", "written back", ""), rows)
    differing = ", ".join(cell.column for cell in trial.differences) or "none"
    print_line(f"differences after write-back: {differing}")
    for part, record in trial.records.items():
        print_line(f"RECORD  {part}, as the rules make it")
        print_facts({name: plain(value) for name, value in record.items() if value is not None})


def _note(cell: "CellTrial") -> str:
    notes = [
        "DIFFERS" if cell.differs else "",
        "lives as residue" if cell.lives_as_residue else "",
        cell.cause or "",
    ]
    return " · ".join(note for note in notes if note)


def plain(value: object) -> object:
    """Give a value as JSON and terminals show it: bytes as hexadecimal, and so what is no text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return show_key(value)
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def print_trace(found: "Trace") -> None:
    """Write a trace for people: legacy row, stored records, crosswalk, runs, lists, journal."""
    print_line(f"TRACE  {found.place}        logged as a consultation")
    print_trial(found.trial)
    for record in found.records:
        print_line(f"STORED  {record.part}: {record.table} {record.record_id}")
        odd = [(name, mapped, here) for name, (mapped, here) in record.columns.items() if mapped != here]
        if odd:
            print_table("", ("column", "from the legacy row now", "in the new system"), odd)
        else:
            print_line("  equal to what the rules make of the legacy row now")
    if found.crosswalk is None:
        print_line("CROSSWALK  none: this row is not loaded")
    else:
        print_line("CROSSWALK")
        print_facts({**found.crosswalk, "residue in": ", ".join(found.residue_columns) or "no column"})
    _print_rows("RUNS that read it", found.runs)
    for name, rows in found.lists.items():
        _print_rows(name.upper(), rows)
    _print_rows("JOURNAL of its closure", found.journal)
    print_next(f"banyan sync run {found.place.source.department_code}")


def _print_rows(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        print_table(title, list(rows[0]), [list(row.values()) for row in rows])
    else:
        print_line(f"{title}  none")
