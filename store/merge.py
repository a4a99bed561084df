"""The MERGE that writes staged rows into the store, built from identifiers quoted by psycopg.

Rows come by COPY into a temporary table of exactly the target's types; one query counts those that are already there
unchanged, then one MERGE inserts and updates the others. Few rows come as one bound value instead, read by the types of
the target, and are counted and merged by one statement. Each number is counted by the database, none by subtraction.
Rows of a first copy go straight into the target.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import polars as pl
import psycopg
from psycopg import sql

from wire.copy import copy_in

_STAGE = sql.Identifier("pg_temp", "banyan_stage")
_STAGE_NAME = sql.Identifier("banyan_stage")
_FEW_ROWS: Final = 500
"""Up to so many rows, a stage costs more than the rows."""


@dataclass(frozen=True, slots=True)
class MergeShape:
    """Which columns of a department's rows find, compare, follow and stamp a target row.

    `compared` columns decide whether a row changed and are then set; `carried` ones are set with them without being
    compared; `born` ones are written when a row is inserted and never again. `uuids` are the columns of identifiers.
    """

    schema: str
    table: str
    compared: tuple[str, ...]
    carried: tuple[str, ...] = ()
    born: tuple[str, ...] = ()
    is_versioned: bool = False
    keys: tuple[str, ...] = ("id", "department_code")
    uuids: frozenset[str] = frozenset()

    @property
    def target(self) -> sql.Composable:
        """Give the quoted name of the target table."""
        return sql.Identifier(self.schema, self.table)

    @property
    def columns(self) -> tuple[str, ...]:
        """Give every column that is staged."""
        return (*self.keys, *self.compared, *self.carried, *self.born)


@dataclass(frozen=True, slots=True)
class MergeCounts:
    """What one MERGE did, as counted by the database."""

    inserted: int
    updated: int
    unchanged: int


def merge(
    connection: psycopg.Connection[Any], shape: MergeShape, department_code: str, frame: pl.DataFrame
) -> MergeCounts:
    """Write one department's rows inside the caller's transaction; only rows that differ are touched."""
    if frame.is_empty():
        return MergeCounts(0, 0, 0)
    few = _as_json(shape, frame) if frame.height <= _FEW_ROWS and shape.uuids else None
    if few is not None:
        figures = connection.execute(_merge_few(shape), {"department": department_code, "rows": few}).fetchone()
        assert figures is not None  # aggregates always give one row
        return MergeCounts(*figures)
    connection.execute(_create_stage(shape))
    copy_in(connection, _STAGE, frame)
    bound = {"department": department_code}
    unchanged = _one_row(connection, count_unchanged(shape), bound)[0]
    inserted, updated = _one_row(connection, merge_statement(shape), bound)
    connection.execute(sql.SQL("drop table {}").format(_STAGE))
    return MergeCounts(inserted, updated, unchanged)


def append(
    connection: psycopg.Connection[Any], shape: MergeShape, department_code: str, frame: pl.DataFrame
) -> MergeCounts:
    """Write rows that are read for the first time straight into the target; those known after all are merged.

    Every fence and key of the target holds: this is the same COPY that fills a stage, and it is taken back whole when
    one of its rows is there already.
    """
    if frame.is_empty():
        return MergeCounts(0, 0, 0)
    try:
        with connection.transaction():  # a savepoint: the caller's transaction goes on
            copy_in(connection, shape.target, _in_order(frame, shape.keys[0]))
    except psycopg.errors.UniqueViolation:
        return merge(connection, shape, department_code, frame)
    return MergeCounts(frame.height, 0, 0)


def _in_order(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Put rows in the order of their identifiers, as far as the first half of each says it: decision 0020."""
    half = pl.col(key).bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")
    return frame[frame.select(half.arg_sort()).to_series()]


def _one_row(connection: psycopg.Connection[Any], query: sql.Composed, bound: dict[str, str]) -> tuple[int, ...]:
    row = connection.execute(query, bound).fetchone()
    assert row is not None  # aggregates always give one row
    return tuple(int(figure) for figure in row)


def _create_stage(shape: MergeShape) -> sql.Composed:
    return sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
        _STAGE_NAME, _names(shape.columns), shape.target
    )


def count_unchanged(shape: MergeShape, stage: sql.Composable = _STAGE) -> sql.Composed:
    """Give the query that counts staged rows whose compared columns are already the target's."""
    return sql.SQL("select count(*) from {} s join {} t on {} where not ({})").format(
        stage, shape.target, _found(shape), _differs(shape)
    )


def merge_statement(shape: MergeShape) -> sql.Composed:
    """Give the MERGE with its two figures: rows inserted, rows updated."""
    return sql.SQL(
        "with merged as ({}) "
        "select count(*) filter (where action = 'INSERT'), count(*) filter (where action = 'UPDATE') from merged"
    ).format(_merge_from(shape, _STAGE))


@cache
def _merge_few(shape: MergeShape) -> str:
    """Give the statement that merges and counts rows bound as one value; each type of the target reads its own text."""
    few = sql.Identifier("few")
    statement = sql.SQL(
        "with few as materialized (select {columns} from json_populate_recordset(null::{target}, %(rows)s::json)), "
        "merged as ({merge}) "
        "select count(*) filter (where action = 'INSERT'), count(*) filter (where action = 'UPDATE'), ({unchanged}) "
        "from merged"
    ).format(
        columns=_names(shape.columns),
        target=shape.target,
        merge=_merge_from(shape, few),
        unchanged=count_unchanged(shape, few),  # one snapshot: what the MERGE writes is not counted
    )
    return statement.as_string()


def _as_json(shape: MergeShape, frame: pl.DataFrame) -> str | None:
    """Give rows as texts that the types of the target read; None where something lies outside of what can be said."""
    schema = frame.schema
    try:
        columns = [
            [None if cell is None else say(cell) for cell in frame[name].to_list()]
            for name in shape.columns
            for say in [_say(schema[name], is_uuid=name in shape.uuids)]
        ]
    except (ValueError, OverflowError):  # beyond the years that Python's dates know
        return None
    rows = [dict(zip(shape.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    said = json.dumps(rows, ensure_ascii=False)
    return None if "\\u0000" in said else said  # no text of the store holds a zero: COPY has it refused as one


def _say(dtype: pl.DataType, *, is_uuid: bool) -> Callable[[Any], object]:
    """Give how the value of a type is said in JSON, so that PostgreSQL reads the very same value."""
    match dtype:
        case pl.Binary():
            return bytes.hex if is_uuid else lambda cell: "\\x" + cell.hex()
        case pl.Date() | pl.Datetime():
            return lambda cell: cell.isoformat()
        case pl.Decimal():
            return str
        case pl.Float64():
            return repr  # JSON has no infinity
        case _:
            return lambda cell: cell


def _merge_from(shape: MergeShape, stage: sql.Composable) -> sql.Composed:
    changes = [_from_stage(name) for name in (*shape.compared, *shape.carried)]
    if shape.is_versioned:
        changes += [sql.SQL("row_version = t.row_version + 1"), sql.SQL("updated_at = now()")]
    return sql.SQL(
        "merge into {target} t using {stage} s on {found} "
        "when matched and {differs} then update set {changes} "
        "when not matched then insert ({columns}) values ({values}) "
        "returning merge_action() as action"
    ).format(
        target=shape.target,
        stage=stage,
        found=_found(shape),
        differs=_differs(shape),
        changes=sql.SQL(", ").join(changes),
        columns=_names(shape.columns),
        values=_names(shape.columns, of="s"),
    )


def _found(shape: MergeShape) -> sql.Composable:
    """Find a row by its keys; the department is bound as well, so that one partition is read."""
    pairs = [_pair(name, sql.SQL(" = ")) for name in shape.keys]
    return sql.SQL(" and ").join([sql.SQL("t.department_code = %(department)s"), *pairs])


def _differs(shape: MergeShape) -> sql.Composable:
    return sql.SQL("row({}) is distinct from row({})").format(
        _names(shape.compared, of="t"), _names(shape.compared, of="s")
    )


def _from_stage(name: str) -> sql.Composable:
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("s", name))


def _pair(name: str, operator: sql.SQL) -> sql.Composable:
    return sql.Identifier("t", name) + operator + sql.Identifier("s", name)


def _names(names: Sequence[str], *, of: str | None = None) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(of, name) if of else sql.Identifier(name) for name in names)
