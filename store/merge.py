"""The MERGE that writes staged rows into the store, built from identifiers quoted by psycopg.

Rows come by COPY into a temporary table of exactly the target's types, few rows as one bound value that the types of
the target read; one MERGE inserts and updates those that differ. Each number is counted by the database, none by
subtraction: those that are there unchanged are looked for only where the MERGE left some of its rows alone. Rows of a
first copy go straight into the target.
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
_DROP_STAGE: Final = sql.SQL("drop table {}").format(_STAGE)
_FEW_ROWS: Final = 500
"""Up to so many rows, a stage costs more than the rows."""
_BY_KEY: Final = "set local random_page_cost = 1.1"
"""Rows are found by their key, not by reading the whole target beside a few thousand of them: decision 0028."""


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

    def partition(self, department_code: str) -> sql.Composable:
        """Give the quoted name of the partition of a department, as `mig.add_partitions` names it."""
        return sql.Identifier(self.schema, f"{self.table}_{department_code.lower()}")

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
    connection.execute(_BY_KEY)
    connection.execute(_create_stage(shape))
    copy_in(connection, _STAGE, _in_order(frame, shape.keys[0]) if shape.uuids else frame)
    figures = connection.execute(_merge_staged(shape), {"department": department_code}).fetchone()
    assert figures is not None  # aggregates always give one row
    connection.execute(_DROP_STAGE)
    return MergeCounts(*figures)


def append(
    connection: psycopg.Connection[Any], shape: MergeShape, department_code: str, frame: pl.DataFrame
) -> MergeCounts:
    """Write rows that are read for the first time straight into the department's partition; known ones are merged.

    The partition has the key of its parent and, where that is fenced, the same fence: decision 0020. It is the COPY
    that fills a stage, and it is taken back whole when one of its rows is there already.
    """
    if frame.is_empty():
        return MergeCounts(0, 0, 0)
    try:
        with connection.transaction():  # a savepoint: the caller's transaction goes on
            copy_in(connection, shape.partition(department_code), _told(_in_order(frame, shape.keys[0])))
    except psycopg.errors.UniqueViolation:
        return merge(connection, shape, department_code, frame)
    return MergeCounts(frame.height, 0, 0)


def _told(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out what a partition fills in by itself: its department, and the columns that no row says anything in."""
    return frame[[one.name for one in frame if one.name != "department_code" and one.null_count() < len(one)]]


def _in_order(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """Put rows in the order of their identifiers, as far as the first half of each says it: decision 0020."""
    half = pl.col(key).bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")
    return frame[frame.select(half.arg_sort()).to_series()]


@cache
def _create_stage(shape: MergeShape) -> str:
    statement = sql.SQL("create temporary table {} on commit drop as select {} from {} with no data")
    return statement.format(_STAGE_NAME, _names(shape.columns), shape.target).as_string()


@cache
def _merge_staged(shape: MergeShape) -> str:
    """Give the statement that merges and counts the rows of the stage."""
    return sql.SQL("with {}").format(_merge_and_count(shape, _STAGE)).as_string()


@cache
def _merge_few(shape: MergeShape) -> str:
    """Give the statement that merges and counts rows bound as one value; each type of the target reads its own text."""
    few = sql.SQL(
        "with few as materialized (select {} from json_populate_recordset(null::{}, %(rows)s::json)), {}"
    ).format(_names(shape.columns), shape.target, _merge_and_count(shape, sql.Identifier("few")))
    return few.as_string()


def _merge_and_count(shape: MergeShape, stage: sql.Composable) -> sql.Composed:
    """Merge, and tell how many rows were inserted, updated, and found unchanged.

    The last query runs only where it is asked for, and sees what the MERGE saw: what it writes is not counted.
    """
    return sql.SQL(
        "merged as ({merge}), "
        "told as (select count(*) filter (where action = 'INSERT') as inserted,"
        " count(*) filter (where action = 'UPDATE') as updated from merged) "
        "select inserted, updated, case when inserted + updated < (select count(*) from {stage}) "
        "then ({unchanged}) else 0 end from told"
    ).format(merge=_merge_from(shape, stage), stage=stage, unchanged=_count_unchanged(shape, stage))


def _count_unchanged(shape: MergeShape, stage: sql.Composable) -> sql.Composed:
    """Count staged rows whose compared columns are already the target's."""
    return sql.SQL("select count(*) from {} s join {} t on {} where not ({})").format(
        stage, shape.target, _found(shape), _differs(shape)
    )


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
