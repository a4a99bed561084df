"""The reverse applier's transaction on a legacy MariaDB: admitted by the fence, committed with its Position."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import polars as pl
import pymysql

from banyan.errors import BanyanError, LeaseLost, RowRefused, SourceDrifted, StoreFenced
from banyan.lasting import RowSent
from banyan.ports import WrittenRows
from banyan.records import Position
from connectors.dialects_mariadb import (
    MariaDBShape,
    create_stage,
    delete_keys,
    fill_stage,
    insert_stage,
    mark_keys,
    named,
    update_stage,
)
from connectors.mariadb_connection import (
    WRITE_SETTINGS,
    Connection,
    MariaDBConnections,
    ask,
    count_touched,
    explain,
)
from connectors.mariadb_lasting import OneByOne, Rehearsed, stage_name
from connectors.mariadb_rows import key_text_of, raw_zone, read_keyed, values_of

_LOCK_SECONDS: Final = 5
_STAGED_CELLS: Final = 8_000
_KEYS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Admission:
    """What the applier must prove to the fence at the start of its transaction."""

    closure: str
    token: int
    nonce: UUID = field(repr=False)
    is_rehearsal: bool = False


class MariaDBReverseSession:
    """One legacy transaction carrying canonical changes back; nothing of it is seen before it commits."""

    def __init__(
        self,
        connection: Connection,
        schema: str,
        shape_of: Callable[[str], MariaDBShape],
        *,
        is_rehearsal: bool = False,
    ) -> None:
        self._is_rehearsal = is_rehearsal
        self._copies = Rehearsed(connection, schema)
        self._connection = connection
        self._schema = schema
        self._shape_of = shape_of
        self._numbers = itertools.count(1)
        self._zone = str(ask(connection, "select @@session.time_zone")[0][0])
        self._stage = ""

    @contextmanager
    def attempt(self, table: str) -> Iterator[None]:
        """Try what follows in a savepoint; an error takes back only that, and says what was refused.

        An error that ended the whole transaction, or the link, leaves no savepoint: it is given on as it is.
        """
        ask(self._connection, "savepoint banyan_attempt")
        try:
            yield
        except pymysql.MySQLError as error:
            refusal = explain(error, "writing back", table)
            if isinstance(refusal, RowRefused):
                ask(self._connection, "rollback to savepoint banyan_attempt")
                self._drop_stage()
            raise refusal from None
        ask(self._connection, "release savepoint banyan_attempt")

    def upsert(self, table: str, rows: pl.DataFrame) -> WrittenRows:
        """Insert or update rows by primary key, only the columns given and only where a value differs.

        The error value of an enum is left where it stands: a server in strict mode lets nobody write it again.
        """
        _check_rows(self._shape_of(table), rows)
        if self.is_lasting(table):
            return _total(_unrefused(self.upsert_each(table, rows)), rows.height)
        shape = self._writable(table, _keys_of(self._shape_of(table), rows))
        done = [self._upsert(shape, part) for part in _without_error_values(shape, rows)]
        inserted, updated = sum(one.inserted for one in done), sum(one.updated for one in done)
        return WrittenRows(inserted, updated, rows.height - inserted - updated)

    def _upsert(self, shape: MariaDBShape, rows: pl.DataFrame) -> WrittenRows:
        self._stage = stage = stage_name(self._schema, next(self._numbers))
        ask(self._connection, create_stage(shape, stage, rows.columns))
        with raw_zone(self._connection, self._zone):
            size = max(1, _STAGED_CELLS // len(rows.columns))
            for part in rows.iter_slices(size):
                values = [value for row in values_of(shape, part) for value in row]
                count_touched(self._connection, fill_stage(shape, stage, rows.columns, part.height), values)
        updating = update_stage(shape, stage, rows.columns)
        updated = count_touched(self._connection, updating) if updating else 0
        inserted = count_touched(self._connection, insert_stage(shape, stage, rows.columns))
        self._drop_stage()
        return WrittenRows(inserted, updated, rows.height - inserted - updated)

    def delete(self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None) -> int:
        """Delete rows by key, or mark them deleted by the assignment; gives the number of rows touched."""
        if self.is_lasting(table):
            return sum(_unrefused(self.delete_each(table, keys, assign=assign)))
        shape = self._writable(table, keys)
        touched = 0
        for at in range(0, len(keys), _KEYS):
            part = keys[at : at + _KEYS]
            bound = mark_keys(shape, part, assign) if assign else delete_keys(shape, part)
            touched += count_touched(self._connection, bound.query, bound.values)
        return touched

    def read_back(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read rows as they stand in this transaction, side effects of legacy triggers included."""
        with raw_zone(self._connection, self._zone):
            return read_keyed(self._connection, self._readable(table, keys), keys)

    def is_lasting(self, table: str) -> bool:
        """Tell whether a row stays as written, whatever becomes of this transaction; in a rehearsal none does."""
        return self._shape_of(table).is_lasting and not self._is_rehearsal

    def upsert_each(self, table: str, rows: pl.DataFrame) -> Iterator[RowSent]:
        """Insert or update row by row, only the columns given and only where a value differs; what is written stays."""
        shape = self._shape_of(table)
        _check_rows(shape, rows)
        for part in _without_error_values(shape, rows):
            self._stage = stage_name(self._schema, next(self._numbers))
            yield from self._one_by_one(shape).upsert(part, self._stage)
            self._drop_stage()

    def delete_each(
        self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None
    ) -> Iterator[RowSent]:
        """Delete row by row, or mark by the assignment; what is gone stays gone."""
        return self._one_by_one(self._shape_of(table)).delete(keys, assign)

    def hold_position(self, route: str, expected: Position | None, reached: Position) -> None:
        """Set the Position of a route, which keeps its other sessions waiting; refuses when it stood elsewhere."""
        rows = ask(self._connection, named("hold_position", self._schema), {"route": route})
        if (Position(rows[0][0]) if rows else None) != expected:
            raise LeaseLost(
                f"{route} has come further since this attempt began to read: another one wrote; nothing was written",
                hint="banyan sync status",
                route=route,
            )
        self.set_position(route, reached)

    def set_position(self, route: str, position: Position) -> None:
        """Record how far a route has come; commits with the rows or not at all."""
        ask(self._connection, named("set_position", self._schema), {"route": route, "position": position})

    def drop_copies(self) -> None:
        """Drop the copies on which a rehearsal tried out tables without transactions."""
        self._copies.drop()

    def _readable(self, table: str, keys: Sequence[str]) -> MariaDBShape:
        shape = self._shape_of(table)
        return self._copies.copy_of(shape, keys) if shape.is_lasting and self._is_rehearsal else shape

    def _drop_stage(self) -> None:
        """Drop what rows were staged in: the connection outlives this session, and a table of it would stay."""
        if self._stage:
            ask(self._connection, f"drop temporary table if exists {self._stage}")
            self._stage = ""

    def _writable(self, table: str, keys: Sequence[str]) -> MariaDBShape:
        """Give the shape of what is written: the table, or its copy where a rehearsal could not take it back."""
        shape = self._shape_of(table)
        if not shape.is_transactional and not shape.is_lasting:
            raise SourceDrifted(
                f"{table} is a table of {shape.engine}, which forgets its rows or keeps no key; nothing was written",
                hint=f"banyan source capabilities; ask for: alter table {table} engine = innodb",
                table=table,
            )
        return self._readable(table, keys)

    def _one_by_one(self, shape: MariaDBShape) -> OneByOne:
        return OneByOne(self._connection, shape, self._zone)


@contextmanager
def open_reverse_session(
    writer: MariaDBConnections, schema: str, shape_of: Callable[[str], MariaDBShape], admission: Admission
) -> Iterator[MariaDBReverseSession]:
    """Open the transaction, take the fence row in share mode, and commit when left without an error."""
    with writer.session("writing back") as connection:
        for wait in ("innodb_lock_wait_timeout", "lock_wait_timeout"):  # rows, and whole tables
            ask(connection, f"set session {wait} = {_LOCK_SECONDS}")
        connection.begin()
        _admit(connection, schema, admission)
        session = MariaDBReverseSession(connection, schema, shape_of, is_rehearsal=admission.is_rehearsal)
        yield session
        if admission.is_rehearsal:
            session.drop_copies()
            connection.rollback()
            return
        # the mark is written and taken back in this transaction: the log shows it, no other session ever does
        ask(connection, named("dismiss", schema))
        connection.commit()


def open_writer(url: str) -> MariaDBConnections:
    """Give the connections of the reverse applier: values that do not fit are refused, the zone is the server's."""
    return MariaDBConnections(url, settings=WRITE_SETTINGS)


def _admit(connection: Connection, schema: str, admission: Admission) -> None:
    values = {
        "closure": admission.closure,
        "token": admission.token,
        "nonce": str(admission.nonce),
        "rehearsal": int(admission.is_rehearsal),
    }
    reason = str(ask(connection, named("admit_reverse", schema), values)[0][0])
    if reason != "ok":
        raise StoreFenced(
            f"the reverse applier of {admission.closure} was refused: {reason}; nothing was written",
            hint="banyan switch status",
            closure=admission.closure,
            token=admission.token,
        )


def _without_error_values(shape: MariaDBShape, rows: pl.DataFrame) -> list[pl.DataFrame]:
    """Cut rows by the enums in which they say the error value, each part without those columns; most often one part."""
    enums = [name for name in rows.columns if name not in shape.key and shape.types[name].is_empty_by_error]
    if rows.is_empty() or not enums:
        return [rows] if rows.height else []
    signs = rows.select(pl.col(enums) == "").fill_null(value=False)
    parts = []
    for said in signs.unique(maintain_order=True).iter_rows():
        mine = signs.select(
            pl.all_horizontal(pl.col(name) == pl.lit(one) for name, one in zip(enums, said, strict=True))
        )
        parts.append(
            rows.filter(mine.to_series()).drop([n for n, is_error in zip(enums, said, strict=True) if is_error])
        )
    return parts


def _unrefused(sent: Iterator[RowSent]) -> Iterator[bool]:
    """Give of each row whether it was changed; the first that is refused ends it."""
    for row in sent:
        if row.refusal is not None:
            raise row.refusal
        yield row.is_changed


def _total(changed: Iterator[bool], rows: int) -> WrittenRows:
    """Sum up; a table without transactions is not asked what was an insert."""
    written = sum(changed)
    return WrittenRows(0, written, rows - written)


def _keys_of(shape: MariaDBShape, rows: pl.DataFrame) -> list[str]:
    return rows.select(key_text_of(shape)).to_series().to_list()


def _check_rows(shape: MariaDBShape, rows: pl.DataFrame) -> None:
    unknown = [name for name in rows.columns if name not in shape.types]
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
