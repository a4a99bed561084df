"""A copy of a SQLite file as it stands at one moment: what a rehearsal works on."""

from pathlib import Path

from connectors.dialects_sqlite import named
from connectors.sqlite_connection import copy_whole, writing
from connectors.sqlite_journal import is_there


def copy_file(path: Path, target: Path) -> None:
    """Copy a file whole; in the copy the way back begins anew."""
    copy_whole(path, target)
    with writing(target, "making the copy of a rehearsal") as connection:
        if is_there(connection, "banyan_position"):
            connection.execute(named("forget_positions"))
