"""SQL for MariaDB that hashes rows where they stand, built from quoted identifiers; values are bound."""

# ruff: noqa: S608 - built from quoted identifiers

from banyan.records import KeyRange
from connectors.dialects_mariadb import (
    BYTE_TYPES,
    Bound,
    MariaDBShape,
    key_text,
    project,
    quoted,
    range_condition,
)

_LARGE_TYPES = frozenset((*BYTE_TYPES, "text", "mediumtext", "longtext"))


def select_hashes(shape: MariaDBShape, keys: KeyRange) -> Bound:
    """Select the key of each row of a range with a hash of all its columns, no two different rows written alike.

    What may be large is hashed by itself: a text longer than the server may send would be nothing, without a word.
    """
    where, values = range_condition(shape, keys)
    cells = ", ".join(_cell(shape, column.name) for column in shape.columns)
    query = f"select {key_text(shape, 't')}, sha2(concat({cells}), 256) from {shape.identifier} t where {where}"
    return Bound(query, values)


def _cell(shape: MariaDBShape, column: str) -> str:
    if shape.types[column].name in _LARGE_TYPES:
        return f"ifnull(sha2(t.{quoted(column)}, 256), 'n')"
    text = f"binary convert({project(shape, column, 't')} using utf8mb4)"
    return f"ifnull(concat('t', length({text}), ':', {text}), 'n')"
