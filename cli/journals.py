"""`banyan log`: the journal of the switch and the processing log of LED art. 25; shown, verified, exported."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from sync.workspace import Workspace

log_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

JOURNAL = "journal"
ChainArgument = Annotated[
    str, typer.Argument(metavar="CHAIN", help="`journal`, or a department for its processing log, such as 38.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
_SHOWN = {
    JOURNAL: ("sequence", "at", "actor", "role", "kind", "closure", "from_phase", "to_phase", "epoch"),
    "processing": ("sequence", "at", "actor", "role", "operation", "reason", "run_no", "record_refs"),
}


@log_app.callback()
def log() -> None:
    """Read the two logs: append only, hash chained; they hold references, never a value of a record."""


@log_app.command("show", epilog="Example: banyan log show 38 --last 20")
def show_log(
    chain: ChainArgument = JOURNAL,
    last: Annotated[int, typer.Option("--last", min=1, help="Entries to show, the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest entries of the journal or of a department's processing log."""
    entries = _read(chain)[-last:]
    columns = _SHOWN[JOURNAL if chain == JOURNAL else "processing"]
    if as_json:
        print_json([{name: entry[name] for name in columns} for entry in entries])
        return
    rows = [[_text(entry[name]) for name in columns] for entry in entries]
    print_table(f"LOG  {chain}", columns, rows)
    print_next("banyan log verify")


@log_app.command("verify", epilog="Example: banyan log verify")
def verify_logs(as_json: AsJson = False) -> None:
    """Compute every chain again; exit 3 when an entry does not follow from the one before it."""
    from store.journal import ChainState, verify_journal, verify_processing
    from store.postgres import transaction
    from sync.workspace import opened

    project = current_project()
    states: dict[str, ChainState] = {}
    with opened(project) as workspace, transaction(workspace.engine("banyan_auditor")) as connection:
        states[JOURNAL] = verify_journal(connection)
        for code in sorted(project.departments):
            states[code] = verify_processing(connection, code)
    if as_json:
        print_json(
            {
                name: {"length": one.length, "head": one.head_hash.hex(), "broken_at": one.broken_at}
                for name, one in states.items()
            }
        )
    else:
        for name, one in states.items():
            if one.is_whole:
                print_line(f"ok   {name}: {one.length} entries, head {one.head_hash.hex()[:16]}")
            else:
                print_line(f"NO   {name}: entry {one.broken_at} does not follow from the one before it")
    if not all(one.is_whole for one in states.values()):
        raise typer.Exit(3)


@log_app.command("export", epilog="Example: banyan log export 38 processing-38.jsonl")
def export_log(
    chain: ChainArgument,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="A new file: one JSON entry a line, with its hashes.")],
    as_json: AsJson = False,
) -> None:
    """Write a whole chain with its hashes into a new file that only its owner can read."""
    entries = _read(chain)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be made: {error.strerror}; nothing was written", hint="name a new file"
        ) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        for entry in entries:
            file.write(json.dumps({name: _text(value) for name, value in entry.items()}, ensure_ascii=False) + "\n")
    if as_json:
        print_json({"chain": chain, "entries": len(entries), "file": str(out)})
        return
    print_line(f"EXPORTED  {len(entries)} entries of {chain} into {out}")


def _read(chain: str) -> list[dict[str, object]]:
    from sync.workspace import opened

    project = current_project()
    if chain != JOURNAL:
        project.department(chain)
    with opened(project) as workspace:
        return _entries(workspace, chain)


def _entries(workspace: "Workspace", chain: str) -> list[dict[str, object]]:
    import sqlalchemy as sa

    from store.journal import read_journal
    from store.postgres import transaction
    from store.tables import PROCESSING_LOG

    with transaction(workspace.engine("banyan_auditor")) as connection:
        if chain == JOURNAL:
            return read_journal(connection)
        columns = PROCESSING_LOG.c
        query = sa.select(PROCESSING_LOG).where(columns.department_code == chain).order_by(columns.sequence)
        return [dict(row) for row in connection.execute(query).mappings()]


def _text(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, int | dict | None) else str(value)
