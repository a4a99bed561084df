"""`banyan file`: one legacy file, no project needed. Nothing is guessed: what a file does not say is declared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cli.media import Declared

file_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PathArgument = Annotated[Path, typer.Argument(metavar="PATH", help="A .dbf, .csv, .txt, .xlsx, .xls, .ods or .sqlite.")]
Encoding = Annotated[str, typer.Option("--encoding", help="Of DBF, CSV and SQLite, such as cp850; never guessed.")]
Separator = Annotated[str, typer.Option("--separator", help="Of a CSV file.")]
Sheet = Annotated[str, typer.Option("--sheet", help="Of a workbook.")]
TableName = Annotated[str, typer.Option("--table", help="Of a SQLite file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@file_app.callback()
def file() -> None:
    """Look at one legacy file; it is opened read-only and never changed."""


@file_app.command("info", epilog="Example: banyan file info AFFAIRES.DBF --encoding cp850")
def show_info(
    path: PathArgument,
    encoding: Encoding = "",
    separator: Separator = ";",
    sheet: Sheet = "",
    table: TableName = "",
    as_json: AsJson = False,
) -> None:
    """Tell what a file is: medium, columns, rows counted by its header, warnings; no row is read."""
    from cli.media import Declared, open_medium

    declared = Declared(path, encoding, separator, sheet, table)
    opened = open_medium(declared)
    facts = {
        "file": path.name, "medium": opened.medium, "columns": len(opened.columns),
        "rows declared": opened.count_declared, **opened.facts,
    }  # fmt: skip
    if as_json:
        print_json({**facts, "column_names": opened.columns, "warnings": opened.warnings})
        return
    print_facts(facts)
    print_line(f"  columns: {', '.join(opened.columns)}")
    for warning in opened.warnings:
        print_line(f"WAIT  {warning}")
    print_next(f"banyan file check {_again(declared)}")


@file_app.command("show", epilog='Example: banyan file show AFFAIRES.DBF --encoding cp850 --reason "column order"')
def show_rows(
    path: PathArgument,
    encoding: Encoding = "",
    separator: Separator = ";",
    sheet: Sheet = "",
    table: TableName = "",
    rows: Annotated[int, typer.Option("--rows", min=1, max=100, help="Rows to show, the first ones.")] = 5,
    reason: Annotated[str, typer.Option("--reason", help="Why rows are looked at.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the first rows of a file as raw text, only with --reason: no project keeps a log of this look."""
    from cli.media import Declared, open_medium

    if not reason.strip():
        raise UsageError(
            "rows of a police file are shown only with a reason. There is no project here and so no processing log: "
            "the reason stands at the head of what is shown, for the file you keep; nothing was read",
            hint=f'banyan file show {path} --reason "TEXT"',
        )
    opened = open_medium(Declared(path, encoding, separator, sheet, table))
    first = next(iter(opened.read(rows)), None)
    shown = [] if first is None else first.rows(named=True)
    if as_json:
        print_json({"file": path.name, "reason": reason, "logged": False, "rows": shown})
        return
    print_line(f"FILE  {path.name}   reason: {reason}   (not logged: no project)")
    print_table("", list(opened.columns), [[row[name] for name in opened.columns] for row in shown])


@file_app.command("check", epilog="Example: banyan file check personnes.csv --encoding cp1252 --key ID_PERS")
def check_file(
    path: PathArgument,
    encoding: Encoding = "",
    separator: Separator = ";",
    sheet: Sheet = "",
    table: TableName = "",
    key: Annotated[str, typer.Option("--key", help="Columns of the key, joined by commas: found twice is told.")] = "",
    as_json: AsJson = False,
) -> None:
    """Read a file to its end: rows counted, lines that cannot be read, keys found twice; exit 3 when anything is."""
    from cli.media import Declared, check_medium

    declared = Declared(path, encoding, separator, sheet, table)
    found = check_medium(declared, tuple(filter(None, key.split(","))))
    problems = found.problems
    if as_json:
        print_json(found.document())
    else:
        print_line(f"{'NO' if problems else 'ok':<4} {path.name}: {found.rows} rows read, {len(problems)} problems")
        for problem in problems[:20]:
            print_line(f"     {problem}")
        if len(problems) > 20:
            print_line(f"     ... {len(problems) - 20} more; --json lists all")
        if problems:
            print_line("     the file was not changed and nothing of it was loaded")
    if problems:
        raise typer.Exit(3)


def _again(declared: "Declared") -> str:
    options = {
        "--encoding": declared.encoding, "--sheet": declared.sheet, "--table": declared.table,
    }  # fmt: skip
    return " ".join([str(declared.path), *(f"{name} {value}" for name, value in options.items() if value)])
