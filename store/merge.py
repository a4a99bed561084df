"""The MERGE that writes staged rows into the store, built from identifiers quoted by psycopg.

Rows come by COPY into a temporary table of exactly the target's types; one query counts those that are already there
unchanged, then one MERGE inserts and updates the others. Each number is counted by the database, none by subtraction.
Rows of a first copy go straight into the target.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from wire.copy import copy_in

_STAGE = sql.Identifier("pg_temp", "banyan_stage")
_STAGE_NAME = sql.Identifier("banyan_stage")


@dataclass(frozen=True, slots=True)
class MergeShape:
    """Which columns of a department's rows find, compare, follow and stamp a target row.

    `compared` columns decide whether a row changed and are then set; `carried` ones are set with them without being
    compared; `born` ones are written when a row is inserted and never again.
    """

    schema: str
    table: str
    compared: tuple[str, ...]
    carried: tuple[str, ...] = ()
    born: tuple[str, ...] = ()
    is_versioned: bool = False
    keys: tuple[str, ...] = ("id", "department_code")

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
            copy_in(connection, shape.target, frame)
    except psycopg.errors.UniqueViolation:
        return merge(connection, shape, department_code, frame)
    return MergeCounts(frame.height, 0, 0)


def _one_row(connection: psycopg.Connection[Any], query: sql.Composed, bound: dict[str, str]) -> tuple[int, ...]:
    row = connection.execute(query, bound).fetchone()
    assert row is not None  # aggregates always give one row
    return tuple(int(figure) for figure in row)


def _create_stage(shape: MergeShape) -> sql.Composed:
    return sql.SQL("create temporary table {} on commit drop as select {} from {} with no data").format(
        _STAGE_NAME, _names(shape.columns), shape.target
    )


def count_unchanged(shape: MergeShape) -> sql.Composed:
    """Give the query that counts staged rows whose compared columns are already the target's."""
    return sql.SQL("select count(*) from {} s join {} t on {} where not ({})").format(
        _STAGE, shape.target, _found(shape), _differs(shape)
    )


def merge_statement(shape: MergeShape) -> sql.Composed:
    """Give the MERGE with its two figures: rows inserted, rows updated."""
    changes = [_from_stage(name) for name in (*shape.compared, *shape.carried)]
    if shape.is_versioned:
        changes += [sql.SQL("row_version = t.row_version + 1"), sql.SQL("updated_at = now()")]
    return sql.SQL(
        "with merged as ("
        "merge into {target} t using {stage} s on {found} "
        "when matched and {differs} then update set {changes} "
        "when not matched then insert ({columns}) values ({values}) "
        "returning merge_action() as action) "
        "select count(*) filter (where action = 'INSERT'), count(*) filter (where action = 'UPDATE') from merged"
    ).format(
        target=shape.target,
        stage=_STAGE,
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
