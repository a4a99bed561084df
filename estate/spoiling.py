"""Planting defects: replace values of drawn rows, never the same value twice, and write each deed into the ledger."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from estate.catalogue import DefectKind
from estate.drawing import Booleans, Seed

LEDGER_COLUMNS = ("number", "kind", "table", "key", "column", "related_key")

DRAW = pl.col("_draw")
"""A random whole number of each chosen row, for replacements that have several forms."""


def one_of(values: Iterable[str]) -> pl.Expr:
    """Take one of these values for each chosen row."""
    choices = pl.Series(list(values), dtype=pl.String)
    return pl.lit(choices).gather(DRAW % len(choices))


@dataclass(slots=True)
class Spoiler:
    """The tables while they are spoiled: which values are taken, and the ledger so far."""

    seed: Seed
    tables: dict[str, pl.DataFrame]
    key_of: Callable[[str], str]
    _taken: dict[tuple[str, str], Booleans] = field(default_factory=dict)
    _entries: list[pl.DataFrame] = field(default_factory=list)

    def plant(
        self,
        defect: DefectKind,
        replacement: Mapping[str, pl.Expr],
        *,
        where: pl.Expr | None = None,
        related: pl.Expr | None = None,
    ) -> pl.DataFrame:
        """Replace values in as many free rows as the catalogue asks for; gives the rows as they were."""
        table = defect.specification.table
        frame = self.tables[table]
        stream = self.seed.stream(defect.name)
        fits = ~self._taken_in(table, replacement)
        if where is not None:
            fits &= frame.select(where.fill_null(value=False)).to_series().to_numpy()
        free = np.flatnonzero(fits)
        wanted = max(1, round(frame.height * defect.specification.per_ten_thousand / 10_000))
        rows = np.sort(stream.choice(free, min(wanted, len(free)), replace=False))
        chosen = frame[rows].with_columns(_draw=pl.Series(stream.integers(0, 2**31, len(rows))))
        spoiled = chosen.select(**replacement)
        self.tables[table] = frame.with_columns(
            [frame[name].scatter(pl.Series(rows), spoiled[name]) for name in replacement]
        )
        self.claim(table, replacement, rows)
        self.record(defect, chosen, related)
        return chosen

    def plant_all(self, defect: DefectKind, replacement: Mapping[str, pl.Expr], *, rows: pl.Series) -> None:
        """Replace values in every free row of a mask, however many the catalogue speaks of."""
        table = defect.specification.table
        frame = self.tables[table]
        free = np.flatnonzero(rows.to_numpy() & ~self._taken_in(table, replacement))
        chosen = frame[free]
        spoiled = chosen.select(**replacement)
        self.tables[table] = frame.with_columns(
            [frame[name].scatter(pl.Series(free), spoiled[name]) for name in replacement]
        )
        self.claim(table, replacement, free)
        self.record(defect, chosen)

    def claim(self, table: str, columns: Iterable[str], rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Keep these values from any later defect."""
        for column in columns:
            self._mask(table, column)[rows] = True

    def claim_keys(self, table: str, columns: Iterable[str], keys: pl.Series) -> None:
        """Keep the values of the rows with these keys from any later defect."""
        found = self.tables[table][self.key_of(table)].is_in(keys.drop_nulls().implode()).to_numpy()
        self.claim(table, columns, np.flatnonzero(found))

    def record(self, defect: DefectKind, rows: pl.DataFrame, related: pl.Expr | None = None) -> None:
        """Write into the ledger that these rows carry a defect."""
        specification = defect.specification
        self._entries.append(
            rows.select(
                number=pl.lit(specification.number, dtype=pl.Int64),
                kind=pl.lit(defect.kind),
                table=pl.lit(specification.table),
                key=pl.col(self.key_of(specification.table)),
                column=pl.lit(specification.column),
                related_key=pl.lit(None, dtype=pl.String) if related is None else related,
            )
        )

    def ledger(self) -> pl.DataFrame:
        """Give the ledger: one row per defect planted."""
        return pl.concat(self._entries)

    def _taken_in(self, table: str, columns: Iterable[str]) -> Booleans:
        taken = np.zeros(self.tables[table].height, dtype=np.bool_)
        for column in columns:
            taken |= self._mask(table, column)
        return taken

    def _mask(self, table: str, column: str) -> Booleans:
        return self._taken.setdefault((table, column), np.zeros(self.tables[table].height, dtype=np.bool_))
