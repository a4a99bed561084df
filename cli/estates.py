"""`banyan estate`: the synthetic legacy estate, its running users, and the truth about its defects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from estate.orion import Estate

estate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SizeOption = Annotated[str, typer.Option("--size", help="XS (1/2000), S (1/200), M (1/20) or L of the real volume.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same rows.")]
DepartmentOption = Annotated[
    str,
    typer.Option("--department", "-d", help="38, 31 or 67 (ORION), 974, 49 or 35 (MAREL), 48 (BUREAU)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@estate_app.command(
    "generate", epilog="Example: banyan estate generate postgresql+psycopg://postgres@127.0.0.1/orion --size S"
)
def generate_command(
    url: Annotated[
        str | None,
        typer.Argument(help="An empty PostgreSQL (ORION) or MariaDB (MAREL) database, as its administrator."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder: one CSV a table, or the files of brigades; the ledger.")
    ] = None,
    department: DepartmentOption = "38",
    size: SizeOption = "XS",
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Generate the legacy system of a department into a database or a folder, with the ledger of its defects."""
    from banyan.errors import UsageError
    from cli.tables import print_facts, print_json, print_table
    from estate.flavours import generate_estate, install_estate
    from estate.places import find_place

    if (url is None) == (out is None):
        raise UsageError("name either a database or --out; nothing was generated", hint="banyan estate generate --help")
    if out is not None and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; nothing was generated", hint="name a new folder")
    made = generate_estate(size, seed, department)
    if url is not None:
        install_estate(made, url)
    if out is not None:
        _write_folder(made, out)
    rows = {name: frame.height for name, frame in made.tables.items()}
    facts = {
        "department": made.department_code, "size": size.upper(), "seed": seed, "rows": made.row_count,
        "defects": made.defects.height, "digest": made.digest(),
    }  # fmt: skip
    if as_json:
        print_json({**facts, "tables": rows})
        return
    title = f"{find_place(department).flavour} {department} · synthetic data"
    print_table(title, ["table", "rows"], [(name, count) for name, count in rows.items()])
    print_facts(facts)


@estate_app.command("live", epilog="Example: banyan estate live $ORION_APP_URL --rate 20 --seconds 30")
def live_command(
    url: Annotated[
        str, typer.Argument(help="The database, as the officers' account (orion_app, marel_app); of BUREAU its folder.")
    ],
    rate: Annotated[float, typer.Option("--rate", help="Deeds a second.")] = 20,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after this time.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this number of deeds.")] = None,
    department: DepartmentOption = "38",
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Play officers who open cases, change, strike out and remove; refusals by a fence are counted. Ctrl-C stops."""
    from cli.tables import print_facts, print_json
    from estate.flavours import play
    from estate.live import Deed, LiveCounts, Pace

    counts = LiveCounts()
    pace = Pace(
        rate_per_second=rate, seconds=30 if seconds is None and count is None else seconds, count=count, seed=seed
    )
    typer.echo("at work in the old system; Ctrl-C sends them home", err=True)
    try:
        play(url, pace, department, on_event=counts.add)
    except KeyboardInterrupt:
        typer.echo("stopped by Ctrl-C; what was committed stays", err=True)
    facts = {deed.value: counts.committed[deed] for deed in Deed} | {
        "committed": counts.operations, "refused": counts.refused, "aborted": counts.aborted, "unknown": counts.unknown,
    }  # fmt: skip
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


@estate_app.command("defects", epilog="Example: banyan estate defects --size XS --seed 1")
def defects_command(
    department: DepartmentOption = "38", size: SizeOption = "XS", seed: SeedOption = 1, as_json: JsonOption = False
) -> None:
    """Count what is wrong in an estate, by kind: the ground truth a detector is measured against."""
    from cli.tables import print_json, print_next, print_table
    from estate.flavours import defects_of, generate_estate
    from estate.places import find_place

    counted = dict(generate_estate(size, seed, department).defects["kind"].value_counts().iter_rows())
    rows = [
        (one.specification.number, one.kind, one.specification.table, one.specification.column,
         counted.get(one.kind, 0), one.specification.meaning)
        for one in defects_of(department)
    ]  # fmt: skip
    names = ["number", "kind", "table", "column", "rows", "meaning"]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    flavour = find_place(department).flavour
    print_table(
        f"DEFECTS  {flavour} {department} · size {size.upper()} · seed {seed}", names[:-1], [row[:-1] for row in rows]
    )
    told = f"banyan estate generate -d {department} --out DIR --size {size.upper()} --seed {seed}"
    print_next(f"{told}   (ledger: DIR/defects.csv)")


def _write_folder(made: "Estate", out: Path) -> None:
    """Write the tables as they are kept in that flavour, and the ledger."""
    from estate.flavours import write_estate

    write_estate(made, out)
    made.defects.write_csv(out / "defects.csv")
