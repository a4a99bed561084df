"""`banyan map`: what a legacy row means. Reads rule files; `draft` and `try` alone look at rows."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.rules_places import AsJson, OfDepartment, RulesDir, find_rules, read_closures, read_rules
from cli.rules_telling import explain_rules, print_deviations, show_contract, show_difference, show_pages
from cli.rules_trying import draft_rules, run_golden_records, try_rule
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from mappings.diagnostics import Diagnostic
    from mappings.model import RuleBook

map_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

map_app.command("draft", epilog="Example: banyan map draft 38.ORION.t_proc -o rules/orion/t_proc.yaml")(draft_rules)


@map_app.command("lint", epilog="Example: banyan map lint rules/orion")
def lint_rules(rules_dir: RulesDir = None, department: OfDepartment = "", as_json: AsJson = False) -> None:
    """Check rule files, and the deviations of each department laid over them; exit 2 when anything is refused."""
    from mappings.overlays import find_overlays

    folder = find_rules(rules_dir, department)
    codes = (department,) if department else ("", *find_overlays(folder))
    read = {code: _lint(folder, code) for code in codes}
    remarks = list(dict.fromkeys(remark for _, found in read.values() for remark in found))
    books = [book for book, _ in read.values() if book is not None]
    is_refused = len(books) < len(read) or any(remark.severity == "error" for remark in remarks)
    deviations = _deviations(books)
    if as_json:
        digest = books[0].digest if books and not is_refused else None
        names = ("department", "of", "things", "until", "owner")
        print_json(
            {
                "digest": digest,
                "diagnostics": [asdict(remark) for remark in remarks],
                "deviations": [dict(zip(names, row, strict=True)) for row in deviations],
            }
        )
    else:
        for remark in remarks:
            print_line(f"{remark.place}: {remark.severity}: {remark.message}")
            print_line(f"    {remark.suggestion}")
        print_deviations(deviations)
        if is_refused:
            print_line(f"REFUSED  {len(remarks)} remarks; no rule can be used")
        else:
            tables = len(books[0].rulesets)
            print_line(f"OK  {tables} tables, {len(remarks)} warnings, digest {books[0].digest[:12]}")
            print_next(f"banyan map coverage {folder}")
    if is_refused:
        raise typer.Exit(2)


def _lint(folder: Path, department: str) -> "tuple[RuleBook | None, list[Diagnostic]]":
    from banyan.clock import today
    from mappings.lint import lint
    from mappings.ruleset import read_rulebook

    read = read_rulebook(folder, department=department)
    return read.book, [*read.diagnostics, *([] if read.book is None else lint(read.book, as_of=today()))]


def _deviations(books: "list[RuleBook]") -> list[tuple[str, str, int, str, str]]:
    return [
        (book.department, one.subject, len(one.changes), one.until.isoformat(), one.owner)
        for book in books
        for one in book.deviations
    ]


@map_app.command("coverage", epilog="Example: banyan map coverage rules/orion --json")
def show_coverage(rules_dir: RulesDir = None, department: OfDepartment = "", as_json: AsJson = False) -> None:
    """Show the fate of each source column: key, mapped, residue_only or dropped, with its reason."""
    from mappings.coverage import coverage

    book = read_rules(rules_dir, department)
    fates = coverage(book)
    if as_json:
        print_json([asdict(fate) for fate in fates])
        return
    rows = [(fate.table, fate.column, fate.fate.value, fate.rule, fate.reason) for fate in fates]
    print_table("", ("table", "column", "fate", "rule", "goes to / reason"), rows)
    print_deviations(_deviations([book]))
    tables = len({fate.table for fate in fates})
    print_line(f"{len(fates)} of {len(fates)} columns of {tables} tables have a fate")
    if department:
        things = sum(len(one.changes) for one in book.deviations)
        print_line(f"{things} things are said otherwise in {department}, in {len(book.deviations)} deviations")


@map_app.command("closure", epilog="Example: banyan map closure 38")
def show_closures(
    department: Annotated[str, typer.Argument(metavar="DEPT", help="Department whose closures are named, such as 38.")],
    rules_dir: RulesDir = None,
    as_json: AsJson = False,
) -> None:
    """Show which domains are cut over together because their rules share a legacy table, and what they fill.

    In a project, what the sources of the department add counts too: a closed window moves all that a file holds.
    """
    from mappings.closure import canonical_slices

    found = read_closures(rules_dir, department)
    closures = [one for _, together in found for one in together]
    filled = {one.name: canonical_slices(book, one) for book, together in found for one in together}
    if as_json:
        print_json([{"name": one.name, **asdict(one), "canonical_tables": filled[one.name]} for one in closures])
        return
    rows = [
        (
            one.name,
            ", ".join(one.shared_tables) or "-",
            len(one.tables),
            ", ".join(one.tables),
            ", ".join(filled[one.name]),
        )
        for one in closures
    ]
    print_table("", ("closure", "shared tables", "tables", "legacy tables", "canonical tables"), rows)
    everywhere = [table for tables in filled.values() for table in tables]
    common = sorted({table for table in everywhere if everywhere.count(table) > 1})
    if common:
        print_line(f"filled by several closures, each row with its domain: {', '.join(common)}")


map_app.command("contract", epilog="Example: banyan map contract --lang en")(show_contract)
map_app.command("try", epilog='Example: banyan map try 38 t_personne:10233 --reason "rule of 12 November"')(try_rule)
map_app.command("test", epilog="Example: banyan map test rules/orion")(run_golden_records)
map_app.command("explain", epilog="Example: banyan map explain t_personne")(explain_rules)
map_app.command("diff", epilog="Example: banyan map diff rules/orion -d 38 -d 31")(show_difference)
map_app.command("docs", epilog="Example: banyan map docs --output rules.html")(show_pages)


@map_app.command("schema", epilog="Example: banyan map schema > ruleset.schema.json")
def show_schema(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="ruleset, code-maps, overlay or golden; ruleset without it.")
    ] = "ruleset",
    as_json: Annotated[bool, typer.Option("--json", help="Accepted; a schema is JSON already.")] = True,
) -> None:
    """Print the JSON Schema of a kind of rule file, so that editors complete and check it."""
    from mappings.schema import SCHEMAS

    if kind not in SCHEMAS:
        raise UsageError(f"there is no schema {kind}; there are {', '.join(SCHEMAS)}", hint="banyan map schema overlay")
    print_json(SCHEMAS[kind]())
