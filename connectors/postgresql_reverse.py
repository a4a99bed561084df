"""The reverse applier's transaction on a legacy PostgreSQL: admitted by the fence, committed with its Position."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Json

from banyan.errors import BanyanError, SourceDrifted, StoreFenced
from banyan.ports import WrittenRows
from banyan.records import Position
from connectors.dialects import (
    RAW_SETTINGS,
    TableShape,
    create_stage,
    delete_keys,
    mark_keys,
    select_keys,
    statement,
    upsert_stage,
)
from connectors.postgresql_connection import Connection, PostgreSQLConnections, copy_rows, explain
from wire.copy import copy_in

_LOCK_MILLISECONDS = "5000"


@dataclass(frozen=True, slots=True)
class Admission:
    """What the applier must prove to the fence at the start of its transaction."""

    closure: str
    token: int
    nonce: UUID = field(repr=False)
    is_rehearsal: bool = False


class PostgreSQLReverseSession:
    """One legacy transaction carrying canonical changes back; nothing of it is seen before it commits."""

    def __init__(self, connection: Connection, shape_of: Callable[[str], TableShape]) -> None:
        self._connection = connection
        self._shape_of = shape_of
        self._numbers = itertools.count(1)

    @contextmanager
    def attempt(self, table: str) -> Iterator[None]:
        """Try what follows in a savepoint; an error takes back only that, and says what was refused."""
        try:
            with self._connection.transaction():
                yield
        except psycopg.Error as error:
            raise explain(error, "writing back", table) from None

    def upsert(self, table: str, rows: pl.DataFrame) -> WrittenRows:
        """Insert or update rows by primary key, only the columns given and only where a value differs."""
        shape = self._shape_of(table)
        if shape.is_inherited:
            raise SourceDrifted(
                f"tables inherit from {table}: no key is unique over all of them; nothing was written",
                hint="banyan source capabilities",
                table=table,
            )
        _check_rows(shape, rows)
        if rows.is_empty():
            return WrittenRows(0, 0, 0)
        stage = sql.Identifier("pg_temp", f"banyan_stage_{next(self._numbers)}")
        self._connection.execute(create_stage(stage, rows.columns))
        copy_in(self._connection, stage, rows)
        both = sql.SQL("{}; drop table {}").format(upsert_stage(shape, stage, rows.columns), stage)
        inserted, updated = self._connection.execute(both).fetchone() or (0, 0)
        return WrittenRows(inserted, updated, rows.height - inserted - updated)

    def delete(self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None) -> int:
        """Delete rows by key, or mark them deleted by the assignment; gives the number of rows touched."""
        if not keys:
            return 0
        shape = self._shape_of(table)
        query, values = mark_keys(shape, keys, assign) if assign else delete_keys(shape, keys)
        return self._connection.execute(query, values).rowcount

    def read_back(self, table: str, keys: Sequence[str]) -> pl.DataFrame:
        """Read rows as they stand in this transaction, side effects of legacy triggers included."""
        shape = self._shape_of(table)
        names = [column.name for column in shape.columns]
        if not keys:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        # the raw settings hold for this reading only: legacy triggers must see those of their own server
        with self._connection.transaction(force_rollback=True):
            self._connection.execute(statement("raw_settings"), {"settings": Json(RAW_SETTINGS)})
            return copy_rows(self._connection, select_keys(shape, keys), names, asked=len(keys))

    def set_position(self, route: str, position: Position) -> None:
        """Record how far a route has come; commits with the rows or not at all."""
        self._connection.execute(statement("set_position"), {"route": route, "position": position})


@contextmanager
def open_reverse_session(
    writer: PostgreSQLConnections, shape_of: Callable[[str], TableShape], admission: Admission
) -> Iterator[PostgreSQLReverseSession]:
    """Open the transaction, take the fence row in share mode, and commit when left without an error.

    The server may be far away, and at a rollback nobody can write meanwhile: few questions, each asked once.
    """
    with writer.session("writing back") as connection, connection.transaction(force_rollback=admission.is_rehearsal):
        connection.prepare_threshold = None  # what is prepared would be forgotten again at each savepoint and stage
        _admit(connection, admission)
        yield PostgreSQLReverseSession(connection, shape_of)


def _admit(connection: Connection, admission: Admission) -> None:
    values = {
        "closure": admission.closure,
        "token": admission.token,
        "nonce": admission.nonce,
        "rehearsal": admission.is_rehearsal,
        "milliseconds": _LOCK_MILLISECONDS,
    }
    cursor = psycopg.ClientCursor(connection)
    cursor.execute(statement("admit_reverse"), values)
    cursor.nextset()
    row = cursor.fetchone()
    if row != ("ok",):
        reason = row[0] if row else "the fence does not answer"
        raise StoreFenced(
            f"the reverse applier of {admission.closure} was refused: {reason}; nothing was written",
            hint="banyan switch status",
            closure=admission.closure,
            token=admission.token,
        )


def _check_rows(shape: TableShape, rows: pl.DataFrame) -> None:
    unknown = [name for name in rows.columns if name not in shape.casts]
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
