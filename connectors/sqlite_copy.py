"""A copy of SQLite files, each as it stands at one moment: what a rehearsal works on."""

from collections.abc import Sequence
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


def copy_files(folder: Path, names: Sequence[str], target: Path) -> None:
    """Copy the files of one legacy system into a folder made for them, under their own names: tables bear these.

    Each is as it stands at a moment of its own. No key of one means anything in another, so nothing is torn apart.
    """
    target.mkdir()
    for name in names:
        copy_file(folder / name, target / name)
