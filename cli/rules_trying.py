"""`banyan map draft | try | test`: rules meet rows; real ones are shown for a reason, golden ones are invented."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.rules_places import AsJson, OfDepartment, RulesDir, find_rules
from cli.tables import print_json, print_line, print_next, thousands

if TYPE_CHECKING:
    from banyan.departments import SourceRef
    from banyan.ports import LegacyPort
    from mappings.golden import GoldenRun
    from sync.workspace import Workspace


def draft_rules(
    place: Annotated[str, typer.Argument(metavar="DEPT.SYSTEM.TABLE", help="Such as 38.ORION.t_proc.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; without it the screen.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="How many rows are looked at, at most.")] = 50_000,
    as_json: AsJson = False,
) -> None:
    """Draft a first ruleset from names, types and counts of patterns; no value is shown, no guess is applied."""
    from mappings.draft import draft_ruleset
    from mappings.profile import profile
    from sync.workspace import opened

    source, table = _split(place)
    with opened(current_project()) as workspace:
        port = _open(workspace, source, table)
        if table not in port.tables():
            known = ", ".join(sorted(port.tables()))
            raise UsageError(f"{source} has no table {table}; it has {known}; nothing was drafted")
        types = {column.name: column.type_name for column in port.columns(table)}
        key = port.key_columns(table)
        ranges = port.plan_ranges(table, rows)
        batch = port.read_range(table, ranges[0]).rows.head(rows) if ranges else None
    seen = () if batch is None else profile(batch, types)
    text = draft_ruleset(source.system_code, table, key=tuple(key), profiles=seen)
    if as_json:
        print_json({"draft": text, "columns": [asdict(one) for one in seen]})
        return
    if output is None:
        print_line(text.rstrip("\n"))
        return
    if output.exists():
        raise UsageError(f"{output} exists; it was left as it is", hint="name another file, or remove it first")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    looked = 0 if batch is None else batch.height
    print_line(f"DRAFT  {output}: {len(seen)} columns, {thousands(looked)} rows looked at; every guess is marked")
    print_next(f"banyan map lint {output.parent}")


def _split(place: str) -> "tuple[SourceRef, str]":
    from banyan.departments import SourceRef
    from cli.sources import split_place

    code, system, table = split_place(place)
    if system is None or table is None:
        raise UsageError(f"{place!r} is not DEPT.SYSTEM.TABLE; nothing was read", hint="banyan source scan DEPT")
    return SourceRef(code, system), table


def _open(workspace: "Workspace", source: "SourceRef", table: str) -> "LegacyPort":
    from banyan.config import FILE_MEDIA
    from sync.assembly import open_to_look
    from sync.real_files import open_files

    if workspace.source_config(source).medium in FILE_MEDIA:
        return open_files(workspace.project, source, (table,))
    return open_to_look(workspace, source)


def try_rule(
    department: Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")],
    row: Annotated[str, typer.Argument(metavar="TABLE:KEY", help="A legacy row, such as t_personne:10233.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is looked at; it is kept in the log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show one legacy row, its records and the row written back, differences marked. Logged as a consultation."""
    from cli.lineage import RowPlace, log_consultation, try_place
    from cli.traces import demand_reason, plain, print_trial
    from sync.assembly import open_rig
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    demand_reason(reason)
    table, separator, key = row.partition(":")
    if not (separator and table and key):
        raise UsageError("a row is written TABLE:KEY; nothing was read", hint="banyan map try 38 t_personne:10233")
    with opened(current_project()) as workspace:
        rigs = [open_rig(workspace, source) for source in sources_of(workspace, department)]
        rig = next((one for one in rigs if table in one.book.rulesets), rigs[0])
        place = RowPlace(rig.source, table, key)
        log_consultation(rig, actor_of(workspace), reason, (str(place),))
        trial = try_place(rig, place)
    if as_json:
        print_json({"place": str(place), "trial": None if trial is None else plain(asdict(trial))})
        return
    print_line(f"TRY  {place}        logged as a consultation; nothing is stored")
    print_trial(trial)


def run_golden_records(
    rules_dir: RulesDir = None,
    department: OfDepartment = "",
    table: Annotated[str, typer.Option("--table", "-t", help="Only the records of this legacy table.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run the golden records that stand beside the rules, there and back; exit 3 when one does not hold."""
    from mappings.golden import run_golden
    from mappings.ruleset import load_rulebook

    folder = find_rules(rules_dir, department)
    run = run_golden(load_rulebook(folder, department=department), folder, tables=(table,) if table else ())
    if as_json:
        print_json({"holds": run.holds, **asdict(run)})
    else:
        _print_run(run)
    if run.diagnostics:
        raise typer.Exit(2)
    if not run.holds:
        raise typer.Exit(3)
    if not run.results:
        raise UsageError(f"there is no golden record in {folder / 'golden'}; nothing was tested",
                         hint="banyan map schema golden")  # fmt: skip


def _print_run(run: "GoldenRun") -> None:
    for remark in run.diagnostics:
        print_line(f"{remark.place}: {remark.severity}: {remark.message}")
        print_line(f"    {remark.suggestion}")
    for one in run.results:
        print_line(f"{'ok' if one.holds else 'NO'}  {one.table}: {one.name}")
        for difference in one.differences:
            print_line(f"      {difference.place}: expected {difference.expected}, found {difference.found}")
            print_line(f"      {one.mark}")
    held = sum(one.holds for one in run.results)
    print_line(f"{held} of {len(run.results)} golden records hold")
    if run.without:
        print_line(f"without golden records: {', '.join(run.without)}")
