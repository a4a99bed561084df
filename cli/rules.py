"""`banyan map`: what a legacy row means. Reads rule files only; `try` alone looks at one row, and is logged."""

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from banyan.config import PROJECT_FILE
from banyan.errors import UsageError
from cli.places import current_project, project_folder
from cli.tables import print_json, print_line, print_next, print_table

map_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

RulesDir = Annotated[
    Path | None,
    typer.Argument(help="Folder of rule files; without it those of the project, or else the shipped ORION rules."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
Code = Annotated[str, typer.Option("--department", "-d", help="Department whose closures are named, such as 38.")]


def find_rules(given: Path | None) -> Path:
    """Give the folder of rules meant: the one given, the project's only one, or the shipped ones."""
    if given is not None:
        return given
    if not (project_folder() / PROJECT_FILE).exists():
        return Path(str(files("mappings"))) / "rules" / "orion"
    project = current_project()
    folders = {
        project.folder / source.rules
        for department in project.departments.values()
        for source in department.sources.values()
    }
    if len(folders) != 1:
        known = ", ".join(sorted(str(folder) for folder in folders)) or "none"
        raise UsageError(f"the project has {len(folders)} folders of rules: {known}", hint="banyan map lint RULES_DIR")
    return folders.pop()


@map_app.command("lint", epilog="Example: banyan map lint rules/orion")
def lint_rules(rules_dir: RulesDir = None, as_json: AsJson = False) -> None:
    """Check rule files; every remark has its file:line:column. Exit 2 when the rules are refused."""
    from mappings.lint import lint
    from mappings.ruleset import read_rulebook

    folder = find_rules(rules_dir)
    read = read_rulebook(folder)
    remarks = [*read.diagnostics, *([] if read.book is None else lint(read.book))]
    if as_json:
        digest = None if read.book is None else read.book.digest
        print_json({"digest": digest, "diagnostics": [asdict(remark) for remark in remarks]})
    else:
        for remark in remarks:
            print_line(f"{remark.place}: {remark.severity}: {remark.message}")
            print_line(f"    {remark.suggestion}")
        if read.book is None:
            print_line(f"REFUSED  {len(remarks)} remarks; no rule can be used")
        else:
            tables = len(read.book.rulesets)
            print_line(f"OK  {tables} tables, {len(remarks)} warnings, digest {read.book.digest[:12]}")
            print_next(f"banyan map coverage {folder}")
    if read.book is None:
        raise typer.Exit(2)


@map_app.command("coverage", epilog="Example: banyan map coverage rules/orion --json")
def show_coverage(rules_dir: RulesDir = None, as_json: AsJson = False) -> None:
    """Show the fate of each source column: key, mapped, residue_only or dropped, with its reason."""
    from mappings.coverage import coverage
    from mappings.ruleset import load_rulebook

    fates = coverage(load_rulebook(find_rules(rules_dir)))
    if as_json:
        print_json([asdict(fate) for fate in fates])
        return
    rows = [(fate.table, fate.column, fate.fate.value, fate.rule, fate.reason) for fate in fates]
    print_table("", ("table", "column", "fate", "rule", "goes to / reason"), rows)
    tables = len({fate.table for fate in fates})
    print_line(f"{len(fates)} of {len(fates)} columns of {tables} tables have a fate")


@map_app.command("closure", epilog="Example: banyan map closure -d 38")
def show_closures(department: Code, rules_dir: RulesDir = None, as_json: AsJson = False) -> None:
    """Show which domains are cut over together because their rules share a legacy table."""
    from mappings.closure import closure
    from mappings.ruleset import load_rulebook

    closures = closure(load_rulebook(find_rules(rules_dir)), department)
    if as_json:
        print_json([{"name": one.name, **asdict(one)} for one in closures])
        return
    rows = [(one.name, ", ".join(one.shared_tables) or "-", len(one.tables), ", ".join(one.tables)) for one in closures]
    print_table("", ("closure", "shared tables", "tables", "legacy tables"), rows)


@map_app.command("schema", epilog="Example: banyan map schema > ruleset.schema.json")
def show_schema(
    code_maps: Annotated[bool, typer.Option("--code-maps", help="The schema of code_maps.yaml instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Accepted; a schema is JSON already.")] = True,
) -> None:
    """Print the JSON Schema of a rule file, so that editors complete and check it."""
    from mappings.schema import code_maps_schema, ruleset_schema

    print_json(code_maps_schema() if code_maps else ruleset_schema())


@map_app.command("try", epilog='Example: banyan map try 38 t_personne:10233 --reason "rule of 12 November"')
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
