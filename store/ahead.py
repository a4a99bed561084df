"""Rows of tables without transactions, noted before the way back writes them: an intent, row by row, and no value.

Every function takes the psycopg connection of an open transaction. A row is noted with the keyed digest of what stood,
and struck out when its chunk is done; what is left over tells the next attempt which rows a dead one wrote.
"""

from dataclasses import dataclass, field
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa

from store.records import RowsPlace, uuid_array
from store.row_tables import identifier, table_number
from store.runs import ChunkLease
from store.tables import instant, number, table, text

WRITE_AHEAD = table(
    "write_ahead",
    text("department_code"),
    table_number(),
    text("source_key"),
    identifier("id"),
    sa.Column("row_hash", sa.LargeBinary(), nullable=True),
    sa.Column("is_known", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    sa.Column("is_written", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    number("run_no"),
    sa.Column("chunk_no", sa.Integer(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    instant("noted_at", default="clock_timestamp()"),
    sa.PrimaryKeyConstraint("department_code", "source_table_no", "source_key"),
    sa.ForeignKeyConstraint(["source_table_no"], ["mig.source_table.source_table_no"]),
    sa.ForeignKeyConstraint(["run_no", "chunk_no"], ["mig.chunk.run_no", "mig.chunk.chunk_no"]),
)
NOTED = {
    "source_key": pl.String(),
    "id": pl.Binary(),
    "row_hash": pl.Binary(),
    "is_known": pl.Boolean(),
    "is_written": pl.Boolean(),
    "run_no": pl.Int64(),
    "chunk_no": pl.Int64(),
    "attempt": pl.Int64(),
}
"""What is noted of a row: its digest before the writing (none when no row stood), whether the crosswalk knows by now
what stands, whether an earlier attempt wrote it, and the attempt whose parcel holds it as it was."""


@dataclass(frozen=True, slots=True)
class Meant:
    """A row that is about to be written: its key and record, the digest of what stands, and whether it was written."""

    source_key: str = field(repr=False)
    id: bytes = field(repr=False)
    row_hash: bytes | None = field(repr=False)
    is_written: bool


def find_noted(connection: psycopg.Connection[Any], place: RowsPlace) -> pl.DataFrame:
    """Find the rows of a table that attempts noted whose chunk was never done: columns as in NOTED."""
    rows = connection.execute(
        "select source_key, id, row_hash, is_known, is_written, run_no, chunk_no, attempt from mig.write_ahead"
        " where department_code = %s and source_table_no = %s order by source_key",
        (place.department_code, place.source_table_no),
    ).fetchall()
    told = [(key, record.bytes, None if found is None else bytes(found), *rest) for key, record, found, *rest in rows]
    return pl.DataFrame(told, schema=NOTED, orient="row")


def note_rows(connection: psycopg.Connection[Any], place: RowsPlace, lease: ChunkLease, rows: list[Meant]) -> None:
    """Note rows before they are written; what was noted of them by an attempt that never wrote them is replaced."""
    connection.execute(
        "insert into mig.write_ahead (department_code, source_table_no, source_key, id, row_hash, is_written, run_no,"
        " chunk_no, attempt)"
        " select %(department)s, %(table)s, r.key, r.id, r.hash, r.written, %(run)s, %(chunk)s, %(attempt)s"
        " from unnest(%(keys)s::text[], %(ids)s::uuid[], %(hashes)s::bytea[], %(written)s::boolean[])"
        " as r(key, id, hash, written)"
        " on conflict (department_code, source_table_no, source_key) do update set id = excluded.id,"
        " row_hash = excluded.row_hash, is_known = false, run_no = excluded.run_no, chunk_no = excluded.chunk_no,"
        " attempt = excluded.attempt, is_written = write_ahead.is_written or excluded.is_written,"
        " noted_at = excluded.noted_at",
        {
            "department": place.department_code,
            "table": place.source_table_no,
            "keys": [row.source_key for row in rows],
            "ids": uuid_array(pl.Series([row.id for row in rows], dtype=pl.Binary)),
            "hashes": [row.row_hash for row in rows],
            "written": [row.is_written for row in rows],
            "run": lease.run_no,
            "chunk": lease.chunk_no,
            "attempt": lease.attempt,
        },
    )


def mark_written(connection: psycopg.Connection[Any], place: RowsPlace, keys: list[str]) -> None:
    """Remember of noted rows that a dead attempt wrote them; what stood before stays noted as it was."""
    connection.execute(
        "update mig.write_ahead set is_written = true where department_code = %s and source_table_no = %s"
        " and source_key = any(%s::text[])",
        (place.department_code, place.source_table_no, keys),
    )


def mark_known(connection: psycopg.Connection[Any], place: RowsPlace) -> None:
    """Say of all noted rows of a table that the crosswalk knows, by this transaction, what stands."""
    connection.execute(
        "update mig.write_ahead set is_known = true where department_code = %s and source_table_no = %s",
        (place.department_code, place.source_table_no),
    )


def strike_out(connection: psycopg.Connection[Any], place: RowsPlace) -> None:
    """Forget what was noted of a table: its chunk is done."""
    connection.execute(
        "delete from mig.write_ahead where department_code = %s and source_table_no = %s",
        (place.department_code, place.source_table_no),
    )
