"""The reverse applier's transaction on a SQLite file: admitted by the fence, committed with its Position."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import polars as pl

from banyan.errors import BanyanError, SourceDrifted, StoreFenced
from banyan.ports import WrittenRows
from banyan.records import KEY_SEPARATOR, Position
from connectors.dialects_sqlite import (
    SqliteShape,
    delete_where,
    highest_key,
    insert_row,
    named,
    update_where,
)
from connectors.sqlite import SqliteTable
from connectors.sqlite_cells import Placed, frame_of, placed, same_cells, select_rows
from connectors.sqlite_connection import Connection, Value, attempted, place_of, undone, writing
from connectors.sqlite_door import is_shut, read_row
from connectors.sqlite_journal import is_there

Tables = Callable[[str], tuple[SqliteShape, SqliteTable]]
"""Gives the shape of a table that has a key, and how its values are read; refuses any other."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What the applier must prove to the fence at the start of its transaction."""

    closure: str
    token: int
    nonce: UUID = field(repr=False)
    is_rehearsal: bool = False


class SqliteReverseSession:
    """One transaction carrying canonical changes back; nobody else writes or sees anything of it before it commits."""

    def __init__(self, connection: Connection, path: Path, tables: Tables) -> None:
        self._connection = connection
        self._path = path
        self._tables = tables

    @contextmanager
    def attempt(self, table: str) -> Iterator[None]:
        """Try what follows in a savepoint; an error takes back only that, and says what was refused."""
        with attempted(self._connection, self._path, f"writing back {table}"):
            yield

    def upsert(self, table: str, rows: pl.DataFrame) -> WrittenRows:
        """Insert or update rows by primary key, only the columns given and only where a value differs."""
        shape, opened = self._tables(table)
        _check_rows(shape, rows)
        inserted = updated = 0
        for given in rows.iter_rows(named=True):
            key = KEY_SEPARATOR.join(str(given[name]) for name in shape.key)
            held = next((row for _, row in select_rows(self._connection, shape, opened, [key])), None)
            if held is None:
                self._insert(shape, opened, given)
                inserted += 1
            else:
                updated += self._update(shape, opened, held, given)
        return WrittenRows(inserted, updated, rows.height - inserted - updated)

    def delete(self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None) -> int:
        """Delete rows by key, or mark them deleted by the assignment; gives the number of rows touched."""
        shape, opened = self._tables(table)
        touched = 0
        for _, held in list(select_rows(self._connection, shape, opened, keys)):
            if assign:
                touched += self._update(shape, opened, held, assign)
                continue
            places = same_cells(shape, held)
            self._run(delete_where(shape, [place for place, _ in places]), places)
            touched += 1
        return touched

    def read_back(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read rows as they stand in this transaction, side effects of legacy triggers included."""
        shape, opened = self._tables(table)
        rows = [row for _, row in select_rows(self._connection, shape, opened, keys)]
        return frame_of(opened, shape, rows)

    def set_position(self, route: str, position: Position) -> None:
        """Record how far a route has come; commits with the rows or not at all."""
        self._connection.execute(named("set_position"), (route, position))

    def _insert(self, shape: SqliteShape, opened: SqliteTable, given: Mapping[str, str | None]) -> None:
        written = [(name, placed(shape, name, text, None, opened.encoding)) for name, text in given.items()]
        query = insert_row(shape, [(name, place) for name, (place, _) in written])
        self._run(query, [one for _, one in written])

    def _update(
        self, shape: SqliteShape, opened: SqliteTable, held: tuple[Value, ...], given: Mapping[str, str | None]
    ) -> int:
        """Update the cells whose raw text differs; gives 1 when there was one."""
        cells = dict(zip(shape.columns, held, strict=True))
        written = [
            (name, placed(shape, name, text, cells[name], opened.encoding))
            for name, text in given.items()
            if name not in shape.key and opened.text(cells[name]) != text
        ]
        if not written:
            return 0
        found = same_cells(shape, held)
        query = update_where(shape, [(name, place) for name, (place, _) in written], [place for place, _ in found])
        self._run(query, [*(one for _, one in written), *found])
        return 1

    def _run(self, query: str, bound: Sequence[Placed]) -> None:
        self._connection.execute(query, tuple(value for _, value in bound))


@contextmanager
def open_reverse_session(path: Path, tables: Tables, admission: Admission) -> Iterator[SqliteReverseSession]:
    """Open the transaction, compare the fence row in it, and commit when left without an error."""
    doing = f"writing back behind the fence of {admission.closure}"
    if admission.is_rehearsal:
        with undone(place_of(path), doing) as connection:
            _admit(connection, path, admission)
            yield SqliteReverseSession(connection, path, tables)
        return
    with writing(path, doing) as connection:
        _admit(connection, path, admission)
        yield SqliteReverseSession(connection, path, tables)
        # written and taken back in this transaction: triggers see it, no other connection ever does
        connection.execute(named("dismiss"))


def reserve(
    path: Path, tables: Sequence[str], shape_of: Callable[[str], SqliteShape], counter: str, *, count: int
) -> list[str]:
    """Take numbers for new rows of a table; a file that counts onward is advanced before any of them is used.

    A table that only gives the number after its highest is noted beside: its numbers are free until the fence opens,
    and all of them are written by then.
    """
    rest = counter.removeprefix("seq_")
    wanted = {name.lower() for name in (counter, f"t_{rest}", rest)}
    table = next((name for name in tables if name.lower() in wanted), None)
    shape = shape_of(table) if table else None
    if table is None or shape is None or not shape.is_counted:
        raise SourceDrifted(
            f"{counter} counts no table of this file; no key was taken",
            hint="a key of other columns cannot be given to a row born in the target",
            table=counter,
        )
    with writing(path, "reserving keys") as connection:
        highest = _highest(connection, shape)
        taken = range(highest + 1, highest + count + 1)
        if shape.counts_onward:
            known = connection.execute(named("counted_to"), (table,)).fetchone() is not None
            bound = (taken[-1], table) if known else (table, taken[-1])
            connection.execute(named("advance") if known else named("begin_counting"), bound)
        connection.execute(named("reserve"), (table, taken[-1]))
    return [str(number) for number in taken]


def _highest(connection: Connection, shape: SqliteShape) -> int:
    (highest,) = connection.execute(highest_key(shape)).fetchone()
    found = [int(highest)]
    for name in ("reserved_to", *(("counted_to",) if shape.counts_onward else ())):
        row = connection.execute(named(name), (shape.name,)).fetchone()
        found.append(int(row[0]) if row else 0)
    return max(found)


def _admit(connection: Connection, path: Path, admission: Admission) -> None:
    reason = ""
    row = read_row(connection, admission.closure) if is_there(connection, "banyan_fence") else None
    if row is None:
        reason = "there is no fence for this closure"
    elif row.nonce != str(admission.nonce):
        reason = "the fence belongs to another incarnation"
    elif row.token != admission.token:
        reason = "the fence holds another token"
    elif not admission.is_rehearsal and not is_shut(connection, path, row):
        reason = "the fence is open"
    if reason:
        raise StoreFenced(
            f"the reverse applier of {admission.closure} was refused: {reason}; nothing was written",
            hint="banyan switch status",
            closure=admission.closure,
            token=admission.token,
        )
    connection.execute(named("dismiss"))
    connection.execute(named("admit"), (admission.closure, admission.token, str(admission.nonce)))


def _check_rows(shape: SqliteShape, rows: pl.DataFrame) -> None:
    unknown = [name for name in rows.columns if name not in shape.columns]
    missing = [name for name in shape.key if name not in rows.columns]
    typed = [name for name, kind in rows.schema.items() if kind != pl.String]
    if unknown or missing or typed:
        raise BanyanError(
            f"rows for {shape.name} cannot be written: unknown columns {unknown}, missing key columns {missing}, "
            f"not text {typed}; nothing was written",
            table=shape.name,
        )
    doubled = rows.height - rows.select(shape.key).unique().height
    if doubled:
        raise BanyanError(f"{doubled} rows for {shape.name} name a key twice; nothing was written", table=shape.name)
