"""`banyan estate`: the synthetic legacy estate, its running users, and the truth about its defects."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from estate.orion import Estate

estate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

SizeOption = Annotated[str, typer.Option("--size", help="XS (1/2000), S (1/200), M (1/20) or L of the real volume.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same rows.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@estate_app.command(
    "generate", epilog="Example: banyan estate generate postgresql+psycopg://postgres@127.0.0.1/orion --size S"
)
def generate_command(
    url: Annotated[str | None, typer.Argument(help="An empty PostgreSQL database, as a superuser.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A new folder for one CSV a table and the ledger.")] = None,
    size: SizeOption = "XS",
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Generate the ORION of Isère (38) into a database or a folder, with the ledger of its defects."""
    from banyan.errors import UsageError
    from cli.tables import print_facts, print_json, print_table
    from estate.load import load
    from estate.orion import generate

    if (url is None) == (out is None):
        raise UsageError("name either a database or --out; nothing was generated", hint="banyan estate generate --help")
    if out is not None and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; nothing was generated", hint="name a new folder")
    made = generate(size, seed)
    if url is not None:
        load(made, url)
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
    print_table("ORION 38 · synthetic data", ["table", "rows"], [(name, count) for name, count in rows.items()])
    print_facts(facts)


@estate_app.command("live", epilog="Example: banyan estate live $ORION_APP_URL --rate 20 --seconds 30")
def live_command(
    url: Annotated[str, typer.Argument(help="The database, as the account of the officers (orion_app).")],
    rate: Annotated[float, typer.Option("--rate", help="Deeds a second.")] = 20,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after this time.")] = None,
    count: Annotated[int | None, typer.Option("--count", help="Stop after this number of deeds.")] = None,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Play officers who open cases, change, strike out and remove; refusals by a fence are counted. Ctrl-C stops."""
    from cli.tables import print_facts, print_json
    from estate.live import Deed, LiveCounts, Pace, live

    counts = LiveCounts()
    pace = Pace(
        rate_per_second=rate, seconds=30 if seconds is None and count is None else seconds, count=count, seed=seed
    )
    try:
        live(url, pace, on_event=counts.add)
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
def defects_command(size: SizeOption = "XS", seed: SeedOption = 1, as_json: JsonOption = False) -> None:
    """Count what is wrong in an estate, by kind: the ground truth a detector is measured against."""
    from cli.tables import print_json, print_next, print_table
    from estate.catalogue import Defect
    from estate.orion import generate

    counted = dict(generate(size, seed).defects["kind"].value_counts().iter_rows())
    rows = [
        (defect.value.number, defect.kind, defect.value.table, defect.value.column, counted.get(defect.kind, 0),
         defect.value.meaning)
        for defect in sorted(Defect, key=lambda defect: defect.value.number)
    ]  # fmt: skip
    names = ["number", "kind", "table", "column", "rows", "meaning"]
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    print_table(f"DEFECTS  ORION 38 · size {size.upper()} · seed {seed}", names[:-1], [row[:-1] for row in rows])
    print_next(f"banyan estate generate --out DIR --size {size.upper()} --seed {seed}   (ledger: DIR/defects.csv)")


def _write_folder(made: "Estate", out: Path) -> None:
    """Write one CSV a table (an empty cell is null) and the ledger."""
    out.mkdir(parents=True, exist_ok=True)
    for name, frame in made.tables.items():
        frame.write_csv(out / f"{name}.csv")
    made.defects.write_csv(out / "defects.csv")
