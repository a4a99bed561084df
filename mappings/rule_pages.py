"""All rules of a system on one page: HTML that asks nothing of any network, or Markdown; and their lineage."""

from collections.abc import Sequence
from html import escape

from mappings.catalogue import LENSES
from mappings.coverage import coverage
from mappings.lineage import ColumnLineage, column_lineage
from mappings.model import RuleBook
from mappings.wording import explain_ruleset

_STYLE = """
:root{--ink:#161616;--paper:#fff;--line:#ddd;--soft:#f6f6f6;--link:#000091}
@media (prefers-color-scheme:dark){:root{--ink:#eee;--paper:#161616;--line:#444;--soft:#222;--link:#8585f6}}
body{font:16px/1.5 Marianne,system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;
max-width:72rem;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.25rem;border-top:1px solid var(--line);padding-top:1rem;margin-top:2rem}
h3{font-size:1rem}table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid var(--line)}
th{background:var(--soft)}code{font-family:ui-monospace,monospace;font-size:.9em}a{color:var(--link)}
.scroll{overflow-x:auto}@media print{body{max-width:none;margin:0}h2{break-before:page}}
"""
_LINEAGE = ("source column", "way", "canonical column", "part", "lens", "code map", "written back")


def lineage_rows(steps: Sequence[ColumnLineage]) -> list[tuple[str, ...]]:
    """Give lineage as rows of texts, in the order of the page."""
    return [
        (
            step.column or "-",
            step.way.value,
            f"{step.canonical_table}.{step.canonical_column}" if step.canonical_column else step.canonical_table,
            step.part,
            step.lens or "-",
            step.code_map or "-",
            "yes" if step.is_written_back else "no",
        )
        for step in steps
    ]


def render_markdown(book: RuleBook) -> str:
    """Write all rules as one Markdown page."""
    lines = [f"# {_title(book)}", "", _summary(book), ""]
    for table, sections in _sections(book):
        lines += [f"## {_md(table)}", ""]
        for heading, columns, rows in sections:
            lines += [f"### {heading}", "", _md_row(columns), _md_row(["---"] * len(columns))]
            lines += [*(_md_row([_md(cell) for cell in row]) for row in rows), ""]
    return "\n".join(lines).rstrip() + "\n"


def render_html(book: RuleBook) -> str:
    """Write all rules as one HTML page: one style, no script, no image, no address of another host."""
    pieces = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(_title(book))}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(_title(book))}</h1><p>{escape(_summary(book))}</p>",
        '<nav aria-label="Tables"><ul>',
        *(f'<li><a href="#{_anchor(table)}">{escape(table)}</a></li>' for table, _ in _sections(book)),
        "</ul></nav>",
    ]
    for table, sections in _sections(book):
        pieces.append(f'<section id="{_anchor(table)}"><h2>{escape(table)}</h2>')
        for heading, columns, rows in sections:
            head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
            body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
            pieces.append(
                f'<h3>{escape(heading)}</h3><div class="scroll"><table><thead><tr>{head}</tr></thead>'
                f"<tbody>{body}</tbody></table></div>"
            )
        pieces.append("</section>")
    return "\n".join([*pieces, "</main></body></html>"]) + "\n"


_Section = tuple[str, Sequence[str], Sequence[Sequence[str]]]


def _sections(book: RuleBook) -> list[tuple[str, list[_Section]]]:
    fates, steps = coverage(book), column_lineage(book)
    pages: list[tuple[str, list[_Section]]] = []
    for table in sorted(book.rulesets):
        ruleset = book.rulesets[table]
        told = [(one.about, one.sentence) for one in explain_ruleset(ruleset, book)]
        fate_rows = [(one.column, one.fate.value, one.reason) for one in fates if one.table == table]
        mine = [step for step in steps if step.table == table]
        sections: list[_Section] = [
            (f"What {ruleset.rule_id} says", ("about", "sentence"), told),
            ("Fate of each column", ("column", "fate", "goes to / reason"), fate_rows),
            ("Column lineage", _LINEAGE, lineage_rows(mine)),
        ]
        pages.append((table, sections))
    codes = [
        (name, code, canonical, "yes" if code_map.backward()[canonical] == code else "no")
        for name, code_map in sorted(book.code_maps.items())
        for code, canonical in code_map.entries.items()
    ]
    columns = ("code map", "source code", "canonical code", "written back")
    pages.append(("code maps", [("What each code means", columns, codes)]))
    used = {step.lens.split("(")[0] for step in steps}
    lenses = [(spec.name, spec.law.value, spec.domain) for spec in LENSES.values() if spec.name in used]
    pages.append(("lenses", [("What each lens promises, and where", ("lens", "law", "domain"), lenses)]))
    return pages


def _title(book: RuleBook) -> str:
    return f"Rules of {book.system}{f' in {book.department}' if book.department else ''}"


def _summary(book: RuleBook) -> str:
    tables, codes = len(book.rulesets), len(book.code_maps)
    deviations = f"{len(book.deviations)} deviations" if book.department else "no department"
    return f"{tables} tables, {codes} code maps, {deviations}; digest {book.digest}"


def _anchor(table: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in table)


def _md_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
    """Let a text stand in a Markdown cell as it is."""
    flat = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>#|" else character for character in flat)
