"""The reverse applier's transactions on several SQLite files: one in each file that is written.

The first file is opened first and committed last: it holds the Position. Whatever ends before its commit leaves the old
Position, and the same changes are carried again; those that stand in another file already change nothing there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import polars as pl

from banyan.ports import WrittenRows
from banyan.records import Position
from connectors.sqlite_database import SqliteDatabase
from connectors.sqlite_reverse import Admission, SqliteReverseSession, open_reverse_session


class FilesReverseSession:
    """Transactions carrying canonical changes back, each row into its own file."""

    def __init__(self, files: Mapping[str, SqliteDatabase], admission: Admission, held: ExitStack) -> None:
        self._files = files
        self._admission = admission
        self._held = held
        self._opened: dict[str, SqliteReverseSession] = {}
        self._first = self._session(next(iter(files)))

    def upsert(self, table: str, rows: pl.DataFrame) -> WrittenRows:
        """Insert or update rows by primary key, only the columns given and only where a value differs."""
        file, _, name = table.partition("/")
        return self._session(file).upsert(name, rows)

    def delete(self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None) -> int:
        """Delete rows by key, or mark them deleted by the assignment; gives the number of rows touched."""
        file, _, name = table.partition("/")
        return self._session(file).delete(name, keys, assign=assign)

    def read_back(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read rows as they stand in this transaction, side effects of legacy triggers included."""
        file, _, name = table.partition("/")
        return self._session(file).read_back(name, keys)

    def attempt(self, table: str) -> AbstractContextManager[None]:
        """Try what follows in the file of the table; an error takes back only that."""
        file, _, name = table.partition("/")
        return self._session(file).attempt(name)

    def set_position(self, route: str, position: Position) -> None:
        """Record how far a route has come; commits after every row."""
        self._first.set_position(route, position)

    def _session(self, file: str) -> SqliteReverseSession:
        if file not in self._opened:
            opened = self._files[file]
            self._opened[file] = self._held.enter_context(
                open_reverse_session(opened.path, opened.keyed, self._admission)
            )
        return self._opened[file]


@contextmanager
def open_files_session(files: Mapping[str, SqliteDatabase], admission: Admission) -> Iterator[FilesReverseSession]:
    """Open the transaction of the first file, and of each other one when it is written; commit them, the first last."""
    with ExitStack() as held:
        yield FilesReverseSession(files, admission, held)
