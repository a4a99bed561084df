"""`banyan map contract | explain | diff | docs`: rules told in words, compared, put on one page; reads rules only."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.rules_places import AsJson, OfDepartment, RulesDir, find_rules, read_rules
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from mappings.contract import Term
    from mappings.model import RuleBook

LANGUAGES = ("fr", "en")
FORMATS = ("html", "md")


def show_contract(
    rules_dir: RulesDir = None,
    department: OfDepartment = "",
    lang: Annotated[str, typer.Option("--lang", help="fr or en; French comes first.")] = "fr",
    encoding: Annotated[
        str, typer.Option("--encoding", help="What the old system can write, such as cp850; UTF8 asks nothing.")
    ] = "UTF8",
    as_json: AsJson = False,
) -> None:
    """Say what the new system must not do while the way back is promised; --json gives checks it can enforce."""
    from mappings.contract import contract

    if lang not in LANGUAGES:
        raise UsageError(f"there is no language {lang}; there are fr and en; nothing was written", hint="--lang en")
    book = read_rules(rules_dir, department)
    terms = contract(book, encoding=encoding)
    if as_json:
        print_json({"system": book.system, "department": book.department, "digest": book.digest,
                    "terms": [_plain_term(term) for term in terms]})  # fmt: skip
        return
    is_french = lang == "fr"
    title = "CONTRAT DE COEXISTENCE" if is_french else "COEXISTENCE CONTRACT"
    print_line(f"{title}  {book.system}  {book.digest[:12]}")
    print_line(
        "Tant que le retour est promis, le nouveau système s'en tient à ce qui suit ; le reste est compté et listé."
        if is_french
        else "While the way back is promised the new system keeps to what follows; what does not is counted and listed."
    )
    previous = ""
    for term in terms:
        heading = f"{term.domain} · {term.canonical_table} · {term.table}"
        if heading != previous:
            print_line()
            print_line(heading)
            previous = heading
        told = term.sentence.french if is_french else term.sentence.english
        only = " ".join(f"[{column} = {value}]" for column, value in term.only)
        print_line(f"  - {told}{f' {only}' if only else ''}")
    print_line()
    print_line(f"{len(terms)} clauses" if is_french else f"{len(terms)} terms")


def _plain_term(term: "Term") -> dict[str, object]:
    plain = asdict(term)
    plain["sentence"] = {"fr": term.sentence.french, "en": term.sentence.english}
    plain["only"] = dict(term.only)
    return plain


def explain_rules(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A legacy table with a rule, such as t_personne.")],
    rules_dir: RulesDir = None,
    department: OfDepartment = "",
    as_json: AsJson = False,
) -> None:
    """Say in words, rule by rule, what becomes of a row of a table and of each of its columns, there and back."""
    from mappings.wording import explain_ruleset

    book = read_rules(rules_dir, department)
    if table not in book.rulesets:
        known = ", ".join(sorted(book.rulesets))
        raise UsageError(f"no rule is about {table}; there are rules for {known}", hint="banyan map coverage")
    sayings = explain_ruleset(book.rulesets[table], book)
    if as_json:
        print_json([asdict(one) for one in sayings])
        return
    print_line(f"{table}  {book.rulesets[table].rule_id}")
    previous = ""
    for one in sayings:
        if one.about != previous:
            print_line(f"  {one.about}")
            previous = one.about
        print_line(f"      {one.sentence}")


def show_difference(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A rule file or a folder of rules.")],
    after: Annotated[
        Path | None, typer.Argument(metavar="AFTER", help="The other one; without it the same rules.")
    ] = None,
    departments: Annotated[
        list[str] | None,
        typer.Option("--department", "-d", help="Once: both as it reads them. Twice: one department, then the other."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what two versions of the rules, or two departments, mean differently; layout and comments do not count."""
    from mappings.difference import difference

    codes = departments or [""]
    if len(codes) > 2 or (after is None and len(codes) < 2):
        raise UsageError(
            "two readings are compared: two files, two folders, or one with two departments; nothing was compared",
            hint="banyan map diff rules/orion -d 38 -d 31",
        )
    first = _read(before, codes[0])
    second = _read(before if after is None else after, codes[-1])
    changes = difference(first, second)
    if as_json:
        print_json([asdict(one) for one in changes])
        return
    previous = ""
    for one in changes:
        if one.subject != previous:
            print_line(one.subject)
            previous = one.subject
        print_line(f"  {one.kind.value.ljust(7)}  {one.place}")
        for sign, text in (("-", one.before), ("+", one.after)):
            if text:
                print_line(f"      {sign} {text}")
    print_line(f"{len(changes)} differences" if changes else "no difference in what the rules mean")


def _read(path: Path, department: str) -> "RuleBook":
    from mappings.ruleset import load_rulebook, load_ruleset_file

    return (
        load_rulebook(path, department=department) if path.is_dir() else load_ruleset_file(path, department=department)
    )


def show_pages(
    rules_dir: RulesDir = None,
    department: OfDepartment = "",
    form: Annotated[str, typer.Option("--format", help="html or md.")] = "html",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; without it the screen.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The lineage of each column as data.")] = False,
) -> None:
    """Put all rules, the fate and the lineage of each column on one page that needs no network."""
    from mappings.lineage import column_lineage
    from mappings.rule_pages import render_html, render_markdown

    book = read_rules(rules_dir, department)
    if as_json:
        steps = [asdict(step) for step in column_lineage(book)]
        print_json({"system": book.system, "department": book.department, "digest": book.digest, "lineage": steps})
        return
    if form not in FORMATS:
        raise UsageError(f"there is no format {form}; there are html and md; nothing was written", hint="--format md")
    page = render_html(book) if form == "html" else render_markdown(book)
    if output is None:
        print_line(page.rstrip("\n"))
        return
    output.write_text(page, encoding="utf-8")
    print_line(f"OK  {output}: {len(book.rulesets)} tables, {len(page)} characters")
    print_next(f"banyan map diff {find_rules(rules_dir, department)} AFTER")


def print_deviations(rows: Sequence[tuple[str, str, int, str, str]]) -> None:
    """Write the deviations of departments: which, of what, how many things, until when, who answers."""
    if rows:
        print_table("DEVIATIONS", ("dept", "of", "things", "until", "owner"), rows)
