"""What stands around the tables of a SQLite file: its triggers, its views by the tables they read, its references.

A file knows no accounts, no sessions and no jobs: who opens it is asked of the machine that holds it, and said here.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from connectors.dialects_sqlite import explain_view, named
from connectors.sqlite_connection import Connection, ask_watched, reading
from connectors.surroundings import Reference, Surroundings

_UNSEEN: Final = (
    "accounts and jobs: a SQLite file knows none; ask who may open it, and what the task schedulers there start",
    "who connects: ask the machines that open the file; doctor tells of this one",
    "rows written: SQLite does not count them",
)


def look_around_sqlite(files: Mapping[str, Path]) -> Surroundings:
    """Look at the schema of one file, named by an empty text, or of several by the names their tables bear."""
    triggers: dict[str, tuple[str, ...]] = {}
    views: dict[str, tuple[str, ...]] = {}
    references: list[Reference] = []
    encoding, unseen = "", list(_UNSEEN)
    for file, path in files.items():
        before = f"{file}/" if file else ""
        around = _look_at(path)
        encoding = encoding or around.encoding
        triggers |= {before + table: names for table, names in around.triggers.items()}
        views |= {before + table: names for table, names in around.views.items()}
        references += [replace(one, table=before + one.table, parent=before + one.parent) for one in around.references]
        unseen += [before + one for one in around.unseen]
    return Surroundings(
        encoding=encoding,
        triggers=triggers,
        views=views,
        references=tuple(references),
        unseen=tuple(unseen),
        hidden=("writers",),
    )


def _look_at(path: Path) -> Surroundings:
    with reading(path) as connection:

        def ask(name: str) -> list[list[str]]:
            rows = connection.execute(named(name)).fetchall()
            return [[bytes(cell).decode("utf-8", "replace") for cell in row] for row in rows]

        triggers: dict[str, list[str]] = {}
        for table, name in ask("triggers_around"):
            triggers.setdefault(table, []).append(name)
        views: dict[str, list[str]] = {}
        unseen = []
        for (view,) in ask("views_around"):
            read = _tables_read(connection, view)
            if read is None:
                unseen.append(f"the view {view} names what is not there: nobody can read it")
            for table in sorted(read or ()):
                views.setdefault(table, []).append(view)
        return Surroundings(
            encoding=ask("encoding_around")[0][0],
            triggers={table: tuple(names) for table, names in triggers.items()},
            views={table: tuple(names) for table, names in views.items()},
            references=tuple(Reference(*row) for row in ask("references_around")),
            unseen=tuple(unseen),
        )


def _tables_read(connection: Connection, view: str) -> set[str] | None:
    """Name the tables that a view reads, itself or by other views, as SQLite prepares it; no row is read."""
    pages = {page: bytes(table).decode("utf-8", "replace") for page, table in connection.execute(named("pages_around"))}
    answer = ask_watched(connection, explain_view(view))
    if answer is None:
        return None
    steps, read = answer
    # a table joined by USING is not asked for by name, one that is not needed is not opened: both together name all
    opened = {pages[step[3]] for step in steps if bytes(step[1]) == b"OpenRead" and step[3] in pages}
    return (read | opened) - {view}
