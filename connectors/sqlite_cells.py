"""Cells of a SQLite file, there and back: which class a text takes when it is written, and rows found by their key."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

import polars as pl

from banyan.errors import RowRefused, SourceDrifted
from banyan.records import KEY_SEPARATOR
from banyan.undecoded import find_bytes
from connectors.dialects_sqlite import Affinity, SqliteShape, named, select_where
from connectors.sqlite import SqliteTable
from connectors.sqlite_connection import Connection, Text, Value

_BLOB: Final = re.compile(r"0x(?:[0-9a-f]{2})*")
_WHOLE: Final = re.compile(r"-?[0-9]{1,19}")
_INTEGERS: Final = (-(2**63), 2**63 - 1)
_NUMBERS: Final = (Affinity.INTEGER, Affinity.REAL, Affinity.NUMERIC)
Bound = str | int | float | bytes | None
Placed = tuple[str, Bound]
"""A place in a statement, and the value that is bound there."""


def read_shape(connection: Connection, table: str) -> SqliteShape:
    """Read the columns, key and unique indexes of a table; refuses one that is not there."""
    found = connection.execute(named("columns"), (table,)).fetchall()
    if not found:
        raise SourceDrifted(
            f"the file has no table {table}; nothing was read",
            hint="correct the name of the table in the rules",
            table=table,
        )
    declared = {bytes(name).decode(): bytes(kind).decode() for name, kind, _, _ in found}
    key = sorted((place, bytes(name).decode()) for name, _, _, place in found if place)
    indexes: dict[str, list[str | None]] = {}
    for index, column in connection.execute(named("unique_indexes"), (table,)):
        indexes.setdefault(bytes(index).decode(), []).append(None if column is None else bytes(column).decode())
    ((definition,),) = connection.execute(named("definition"), (table,)).fetchall() or ((b"",),)
    return SqliteShape(
        table,
        tuple(declared),
        declared,
        tuple(name for _, name in key),
        tuple(tuple(column for column in one if column) for one in indexes.values() if None not in one),
        bytes(definition).decode(),
    )


def placed(shape: SqliteShape, column: str, text: str | None, held: Value, encoding: str) -> Placed:
    """Give a text the class it takes in a column; `held` is what the cell holds now.

    Digits are a number where the column is one of numbers or the cell holds one, and only where the number gives the
    same text again. `0x` and hexadecimal is bytes where the cell holds bytes, or the column is declared to.
    """
    if text is None:
        return "?", None
    affinity = shape.affinity(column)
    if (isinstance(held, bytes) or "blob" in shape.declared[column].lower()) and _BLOB.fullmatch(text):
        return "?", bytes.fromhex(text[2:])
    if affinity in _NUMBERS or (affinity is Affinity.NONE and isinstance(held, int | float)):
        number = _number(text)
        if number is not None:
            return "?", number
    return _placed_text(shape, column, text, encoding)


def select_rows(
    connection: Connection, shape: SqliteShape, opened: SqliteTable, keys: Sequence[str]
) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Give the rows of exactly these keys, as they stand, each with the text of its key."""
    places = [shape.columns.index(name) for name in shape.key]
    for key in dict.fromkeys(keys):
        seen: list[tuple[Value, ...]] = []
        candidates = [_candidates(shape, name, part, opened.encoding)
                      for name, part in zip(shape.key, shape.key_parts(key), strict=True)]  # fmt: skip
        for chosen in product(*candidates):
            query = select_where(shape, [place for place, _ in chosen])
            for row in connection.execute(query, tuple(value for _, value in chosen)):
                cells = tuple(row[place] for place in places)
                if key_of(opened, cells) == key and cells not in seen:
                    seen.append(cells)
                    yield key, row


def key_of(opened: SqliteTable, cells: Sequence[Value]) -> str | None:
    """Give the text of the cells of a key; None when one of them is empty."""
    parts = [opened.text(cell) for cell in cells]
    return None if None in parts else KEY_SEPARATOR.join(str(part) for part in parts)


def same_cells(shape: SqliteShape, row: Sequence[Value]) -> list[Placed]:
    """Give the places that find one row again by what stands in its key."""
    cells = [row[shape.columns.index(name)] for name in shape.key]
    return [("cast(? as text)", bytes(cell)) if isinstance(cell, Text) else ("?", cell) for cell in cells]


def frame_of(opened: SqliteTable, shape: SqliteShape, rows: Sequence[tuple[Value, ...]]) -> pl.DataFrame:
    """Give rows as raw texts, all columns."""
    return opened.frame(list(rows), 0, names=shape.columns)


def _candidates(shape: SqliteShape, column: str, text: str, encoding: str) -> list[Placed]:
    """Give each value whose raw text a key may be: without an affinity, digits and a number are different things."""
    found: list[Placed] = [_placed_text(shape, column, text, encoding)]
    number = _number(text)
    if number is not None and shape.affinity(column) is not Affinity.TEXT:
        found.append(("?", number))
    if _BLOB.fullmatch(text):
        found.append(("?", bytes.fromhex(text[2:])))
    return found


def _placed_text(shape: SqliteShape, column: str, text: str, encoding: str) -> Placed:
    if (raw := find_bytes(text)) is not None:
        return "cast(? as text)", raw
    if encoding.replace("_", "-").lower() in ("utf-8", "utf8"):
        return "?", text
    try:
        return "cast(? as text)", text.encode(encoding)
    except UnicodeEncodeError:
        raise RowRefused(
            f"a text for {shape.name}.{column} has a character that {encoding} does not have; nothing was written",
            hint="the rule of this column must refuse it: banyan map contract",
            code=encoding,
            table=shape.name,
            column=column,
        ) from None


def _number(text: str) -> int | float | None:
    """Give the number that is written as exactly this text; None when there is none."""
    if _WHOLE.fullmatch(text):
        number = int(text)
        return number if _INTEGERS[0] <= number <= _INTEGERS[1] and str(number) == text else None
    try:
        real = float(text)
    except ValueError:
        return None
    return real if repr(real) == text and real not in (float("inf"), float("-inf")) and real == real else None
