"""SQL for rows of tables without transactions in MariaDB: one row a statement, each beside a mark for the log.

Statements are built from identifiers quoted here; values are bound by the driver. A stage numbers its rows.
"""

# ruff: noqa: S608 - a place where SQL is built from quoted identifiers

from collections.abc import Mapping, Sequence
from dataclasses import replace

from connectors.dialects_mariadb import (
    Bound,
    MariaDBShape,
    delete_keys,
    home_of,
    key_condition,
    mark_keys,
    quoted,
    row_differs,
    same_key,
    typed_value,
)

_NUMBER = quoted("banyan_row")


def create_numbered(shape: MariaDBShape, stage: str, columns: Sequence[str]) -> str:
    """Create a staging table whose rows have a number of their own."""
    listed = ", ".join(f"t.{quoted(name)}" for name in columns)
    return (
        f"create temporary table {stage} ({_NUMBER} int unsigned primary key default 0) engine = innodb "
        f"as select {listed} from {shape.identifier} t where false"
    )


def fill_numbered(shape: MariaDBShape, stage: str, columns: Sequence[str], rows: int) -> str:
    """Insert raw texts into the staging table, as values of its types, each row behind its number."""
    cells = ", ".join(["%s", *(typed_value(shape.types[name]) for name in columns)])
    listed = ", ".join([_NUMBER, *map(quoted, columns)])
    return f"insert into {stage} ({listed}) values {', '.join([f'({cells})'] * rows)}"


def compare_numbered(shape: MariaDBShape, stage: str, columns: Sequence[str]) -> str:
    """Tell of each staged row, by its number, whether its key stands in the table and whether a value differs."""
    there = f"t.{quoted(shape.key[0])} is not null"
    differs = row_differs(shape, columns) or "false"
    return (
        f"select s.{_NUMBER}, {there}, {there} and ({differs}) from {stage} s "
        f"left join {shape.identifier} t on {same_key(shape)} order by 1"
    )


def update_numbered(shape: MariaDBShape, stage: str, columns: Sequence[str], number: int) -> str:
    """Update the row of one staged row, where a value differs."""
    sets = ", ".join(f"t.{quoted(name)} = s.{quoted(name)}" for name in columns if name not in shape.key)
    return (
        f"update {shape.identifier} t join {stage} s on {same_key(shape)} set {sets} "
        f"where s.{_NUMBER} = {number:d} and ({row_differs(shape, columns)}) and {_passing(shape)}"
    )


def insert_numbered(shape: MariaDBShape, stage: str, columns: Sequence[str], number: int) -> str:
    """Insert one staged row whose key is not there yet."""
    listed = ", ".join(map(quoted, columns))
    values = ", ".join(f"s.{quoted(name)}" for name in columns)
    return (
        f"insert into {shape.identifier} ({listed}) select {values} from {stage} s where s.{_NUMBER} = {number:d} "
        f"and not exists (select 1 from {shape.identifier} t where {same_key(shape)}) and {_passing(shape)}"
    )


def delete_one(shape: MariaDBShape, key: str, assign: Mapping[str, str | None] | None) -> Bound:
    """Delete the row of one key, or mark it where a value differs."""
    bound = mark_keys(shape, (key,), assign) if assign else delete_keys(shape, (key,))
    return replace(bound, query=f"{bound.query} and {_passing(shape)}")


def create_copy(shape: MariaDBShape, copy: MariaDBShape) -> str:
    """Create an empty copy of a table for this session alone: columns, keys, defaults and checks, no trigger."""
    return f"create temporary table {copy.identifier} like {shape.identifier}"


def fill_copy(shape: MariaDBShape, copy: MariaDBShape, keys: Sequence[str]) -> Bound:
    """Copy the rows of some keys, as they stand, where they are not copied yet."""
    where, values = key_condition(shape, keys, "t")
    return Bound(f"insert ignore into {copy.identifier} select * from {shape.identifier} t where {where}", values)


def _passing(shape: MariaDBShape) -> str:
    """Leave the mark of the reverse applier in the same statement: in the log it stands in the group of the row."""
    return f"{quoted(home_of(shape.schema))}.pass() = 1"
