"""Canonical records as L4 compares them: only what it asks for, in the form that costs both sides least.

What rules fill is read with its type. Of what no rule fills it is only asked whether it is empty. Few records are read
by their identifiers; a whole table is read as it lies there, a range of its pages at a time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl
from psycopg import sql

from banyan.canonical.columns import Kind
from mappings.unhex import unhex
from store.records import record_kinds, uuid_array
from validation.pages import pages_between
from validation.subject import Psycopg, Subject
from wire.copy import copy_out, read_frame, text_projection
from wire.kinds import POLARS_TYPES

UNRULED = "unruled"
"""The column that counts the values of columns which no rule fills."""
_PLAIN = tuple(place for place in range(36) if place not in (8, 13, 18, 23))
"""Where the digits of an identifier stand among its dashes."""


def read_compared(
    connection: Psycopg, table: str, department_code: str, *, ids: pl.Series, ruled: Collection[str],
    unruled: Collection[str],
) -> pl.DataFrame:  # fmt: skip
    """Read records by id: id, the ruled columns with their types, and of the others whether they hold a value."""
    stored = record_kinds(table)
    kinds = {name: stored[name] for name in ("id", *ruled)}
    columns = _projection(kinds)
    columns += [sql.SQL("case when {} is not null then 'x' end").format(sql.Identifier(name)) for name in unruled]
    query = sql.SQL("select {} from {} where department_code = %s and id = any(%s::uuid[])").format(
        sql.SQL(", ").join(columns), sql.Identifier("justice", table)
    )
    sent = _sent(kinds) | dict.fromkeys(unruled, Kind.TEXT)
    frame = read_frame(connection, query, sent, (department_code, uuid_array(ids)), asked=len(ids))
    return _typed(frame, kinds)


def read_pages(
    connection: Psycopg, subject: Subject, table: str, *, pages: tuple[int, int | None], ruled: Sequence[str],
    unruled: Sequence[str],
) -> Iterator[pl.DataFrame]:  # fmt: skip
    """Stream the records of the domains that lie in a range of pages: id, the ruled columns with their types, and
    under UNRULED how many of the others hold a value.
    """
    stored = record_kinds(table)
    kinds = {name: stored[name] for name in ("id", *ruled)}
    columns, sent = _projection(kinds), _sent(kinds)
    if unruled:
        columns.append(sql.SQL("num_nonnulls({})").format(sql.SQL(", ").join(map(sql.Identifier, unruled))))
        sent[UNRULED] = Kind.INTEGER
    query = sql.SQL("select {} from {} where department_code = %s and domain_code = any(%s) and {}").format(
        sql.SQL(", ").join(columns), sql.Identifier("justice", table), pages_between(*pages)
    )
    for frame in copy_out(connection, query, sent, (subject.department.code, list(subject.domains))):
        yield _typed(frame, kinds)


def _projection(kinds: Mapping[str, Kind]) -> list[sql.Composable]:
    return [_projected(name, kind) for name, kind in kinds.items()]


def _sent(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    return {name: _SENT.get(kind, kind) for name, kind in kinds.items()}


def _typed(frame: pl.DataFrame, kinds: Mapping[str, Kind]) -> pl.DataFrame:
    dates = [name for name, kind in kinds.items() if kind is Kind.DATE]
    plain = [plain_ids(frame[name]) for name, kind in kinds.items() if kind is Kind.UUID]
    instants = [counted_instants(frame[name]) for name, kind in kinds.items() if kind is Kind.INSTANT]
    return frame.with_columns(*plain, *instants, pl.col(dates).cast(pl.Date))


def plain_ids(texts: pl.Series) -> pl.Series:
    """Give the bytes of identifiers that the server wrote with dashes, all at once."""
    return unhex(texts, width=36, digits=_PLAIN)


def counted_instants(texts: pl.Series) -> pl.Series:
    """Give the instants that the server wrote as sixteen digits: microseconds since the year 2000."""
    counted = unhex(texts, width=16, digits=_SIXTEEN).bin.reinterpret(dtype=pl.Int64, endianness="big")
    return (counted + _MICROSECONDS_TO_2000).cast(POLARS_TYPES[Kind.INSTANT])


_SIXTEEN = tuple(range(16))
_MICROSECONDS_TO_2000 = 946_684_800_000_000
_SENT = {Kind.UUID: Kind.TEXT, Kind.DATE: Kind.INTEGER, Kind.INSTANT: Kind.TEXT}
"""Identifiers are made bytes all at once, days and instants are counted: none is parsed cell by cell."""
_WRITTEN_ONCE = (Kind.UUID, Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.NUMERIC)
"""What COPY writes as a cast to text does: the server would write the cast, read it, and write it again."""


def _projected(column: str, kind: Kind) -> sql.Composable:
    name = sql.Identifier(column)
    if kind is Kind.DATE:
        return sql.SQL("case when isfinite({0}) then {0} - date '1970-01-01' end").format(name)
    if kind is Kind.INSTANT:  # as binary COPY writes it: to spell one costs the server four times as much
        return sql.SQL("case when isfinite({0}) then encode(timestamptz_send({0}), 'hex') end").format(name)
    if kind in _WRITTEN_ONCE:
        return name
    return text_projection(column, kind)
