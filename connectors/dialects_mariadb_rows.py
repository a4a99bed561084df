"""SQL for MariaDB that writes a whole row as one text, and the cutting of such texts into their cells again.

A reader pays for each cell it is handed; a row of one text is read three times as fast. Nothing is guessed: a row whose
separators are not as many as its columns, because a value holds one, is not cut, and its range is read cell by cell.
"""

# ruff: noqa: S608 - built from quoted identifiers

import secrets
from dataclasses import dataclass, field

import polars as pl

from banyan.records import KeyRange
from connectors.dialects_mariadb import (
    INTEGER_TYPES,
    TEXT_TYPES,
    Bound,
    MariaDBShape,
    literal,
    project,
    quoted,
    range_condition,
)
from connectors.dialects_mariadb_bytes import GAPS

_SEPARATOR = "\x1e"
_JOINED_AS_TEXT = frozenset((*INTEGER_TYPES, "decimal", "date", "datetime", "timestamp", "time"))
"""Types that become the same text among texts as when they are cast to one, at two thirds of the server's work."""


@dataclass(frozen=True, slots=True)
class WholeRows:
    """The rows of a range, each asked for as one text; the mark of nothing is drawn anew for every reading."""

    bound: Bound
    columns: tuple[str, ...]
    nullable: tuple[str, ...]
    nothing: str = field(repr=False)

    def cut(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """Cut each text into its cells; None when any cannot be cut: too long for the server, or a separator inside."""
        parts = pl.first().str.splitn(_SEPARATOR, len(self.columns)).struct.rename_fields(list(self.columns))
        cells = rows.select(parts.struct.unnest())
        last = cells.to_series(-1)
        if last.has_nulls() or last.str.contains(_SEPARATOR, literal=True).any():
            return None
        return cells.with_columns(self._without_mark(cells[name]) for name in self.nullable)

    def _without_mark(self, cells: pl.Series) -> pl.Series:
        is_value = cells != self.nothing
        return cells if is_value.all() else cells.zip_with(is_value, pl.Series([None], dtype=pl.String))


def select_whole_rows(shape: MariaDBShape, keys: KeyRange) -> WholeRows:
    """Select the rows above `low` up to `high`, each as one text."""
    nothing = secrets.token_hex(8)
    where, values = range_condition(shape, keys)
    cells = (
        f"ifnull({_cell(shape, column.name)}, {literal(nothing)})" if column.is_nullable else _cell(shape, column.name)
        for column in shape.columns
    )
    row = f"concat_ws({literal(_SEPARATOR)}, {', '.join(cells)})"
    too_long = literal(_SEPARATOR * len(shape.columns))  # the server has nothing for it; so many cannot be cut
    query = f"select ifnull({row}, {too_long}) as `row` from {shape.identifier} t where {where}"
    nullable = tuple(column.name for column in shape.columns if column.is_nullable)
    return WholeRows(Bound(query, values), tuple(column.name for column in shape.columns), nullable, nothing)


def _cell(shape: MariaDBShape, column: str) -> str:
    """Project a column to its raw text in the one encoding in which texts can be joined."""
    kind = shape.types[column]
    if kind.name in _JOINED_AS_TEXT:
        return f"t.{quoted(column)}"
    if kind.name in TEXT_TYPES and kind.encoding not in ("utf8mb4", *GAPS):
        return f"convert(t.{quoted(column)} using utf8mb4)"
    return project(shape, column, "t")
