"""A survey of a legacy table: what its columns hold from afar, gathered batch by batch. Counts and shapes, no value.

The only texts that a survey shows are codes: short, of a column that is not personal, each standing in many rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import polars as pl

from banyan.undecoded import MARK
from mappings.model import Ruleset
from mappings.profile import FEW_KINDS, PATTERNS
from mappings.signs import ENCODING_SIGNS, UNDECODED_SIGN, tag

LEAST_ROWS_OF_A_CODE: Final = 5
_LONGEST_CODE: Final = 12
_SHAPES_AT_MOST: Final = 2_000
_RARE: Final = 0.001
_KINDS_AT_MOST: Final = 4 * FEW_KINDS


@dataclass(slots=True)
class ColumnSurvey:
    """One column, as far as it was read."""

    name: str
    type_name: str
    rows: int = 0
    nulls: int = 0
    empty: int = 0
    longest: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    encoding: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter, repr=False)
    outliers: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] | None = field(default_factory=Counter, repr=False)
    """The different texts while they are few; None once there are too many for codes."""

    def add(self, texts: pl.Series, *, today: date) -> None:
        """Count one batch of raw texts."""
        self.rows += len(texts)
        self.nulls += texts.null_count()
        bare = texts.drop_nulls()
        trimmed = bare.str.strip_chars(" ")
        filled = trimmed.filter(trimmed != "")
        self.empty += len(bare) - len(filled)
        if (marked := bare.str.starts_with(MARK)).any():
            self._count(self.encoding, UNDECODED_SIGN, marked)
            bare, filled = bare.filter(~marked), filled.filter(~filled.str.starts_with(MARK))
        self.longest = max(self.longest, int(bare.str.len_chars().max() or 0))  # type: ignore[arg-type]
        for name, pattern in PATTERNS.items():
            series = bare if name == "trailing blanks" else filled
            self._count(self.forms, name, series.str.contains(pattern))
        for name, pattern in ENCODING_SIGNS.items():
            self._count(self.encoding, name, bare.str.contains(pattern))
        self._add_shapes(filled)
        self._add_days(filled, today)
        self._add_kinds(filled)

    @property
    def filled(self) -> int:
        """Give how many texts hold something."""
        return self.rows - self.nulls - self.empty

    def told(self, ruleset: Ruleset | None) -> dict[str, Any]:
        """Tell the column in words and numbers, for a page or a machine."""
        shares = {name: count / self.filled for name, count in self.forms.items()} if self.filled else {}
        protection, why = tag(self.name, shares, ruleset)
        is_open = protection in ("none", "case") and self.longest <= _LONGEST_CODE
        codes = self.kinds if self.kinds is not None and is_open and len(self.kinds) <= FEW_KINDS else None
        shown = {text: count for text, count in (codes or {}).items() if count >= LEAST_ROWS_OF_A_CODE}
        if len(shown) * 2 < len(codes or {}):  # most of them stand in a few rows each: these are no codes
            codes, shown = None, {}
        return {
            "name": self.name,
            "type": self.type_name,
            "nulls": self.nulls,
            "empty": self.empty,
            "filled": self.filled,
            "longest": self.longest,
            "forms": dict(self.forms.most_common(3)),
            "encoding": dict(self.encoding),
            "outliers": dict(self.outliers) | self._rare(),
            "protection": protection,
            "protection_known_by": why,
            "codes": dict(sorted(shown.items())),
            "codes_not_shown": len(codes) - len(shown) if codes is not None else 0,
        }

    def _add_shapes(self, filled: pl.Series) -> None:
        if len(self.shapes) > _SHAPES_AT_MOST:
            return
        shaped = filled.str.head(40).str.replace_all(r"\p{L}+", "A").str.replace_all(r"\d", "9")
        for shape, count in shaped.value_counts().iter_rows():
            self.shapes[shape] += count

    def _add_days(self, filled: pl.Series, today: date) -> None:
        """Count days that no calendar has, and those that most often mean something else."""
        compact = filled.str.replace_all(r"^(\d\d)/(\d\d)/(\d{4})$", "$3$2$1").str.replace_all(
            r"^(\d{4})-(\d\d)-(\d\d)( .*)?$", "$1$2$3"
        )
        days = compact.filter(compact.str.contains(r"^\d{8}$"))
        if len(days) < len(filled) * 0.5 or not len(days):
            return
        real = days.str.to_date("%Y%m%d", strict=False)
        self._count(self.outliers, "days that no calendar has", real.is_null())
        self._count(self.outliers, "days to come", (real > today).fill_null(value=False))
        self._count(self.outliers, "days before 1900", (real < date(1900, 1, 1)).fill_null(value=False))
        self._count(self.outliers, "first of January", days.str.ends_with("0101"))

    def _add_kinds(self, filled: pl.Series) -> None:
        if self.kinds is None:
            return
        for text, count in filled.value_counts().iter_rows():
            self.kinds[text] += count
            if len(self.kinds) > _KINDS_AT_MOST:
                self.kinds = None
                return

    def _rare(self) -> dict[str, int]:
        """Count texts of a shape that next to no other has; only where shapes are few enough to tell."""
        if not self.filled or len(self.shapes) > _SHAPES_AT_MOST:
            return {}
        rare = sum(count for count in self.shapes.values() if count <= self.filled * _RARE)
        return {"texts of a rare shape": rare} if 0 < rare <= self.filled * 0.05 else {}

    @staticmethod
    def _count(counts: Counter[str], name: str, holds: pl.Series) -> None:
        if found := int(holds.sum()):
            counts[name] += found


class TableSurvey:
    """One table, batch by batch; keeps hashes of keys and references of this process, to count what has no parent."""

    def __init__(self, types: Mapping[str, str], key: Sequence[str], watched: Sequence[str], *, today: date) -> None:
        self.columns = [ColumnSurvey(name, kind) for name, kind in types.items()]
        self.rows = 0
        self.key_faults = 0
        self.padded_keys = 0
        self._key = tuple(key)
        self._today = today
        self._watched = tuple(dict.fromkeys(watched))
        self._hashes: dict[str, list[pl.DataFrame]] = {name: [] for name in self._watched}

    def add(self, rows: pl.DataFrame) -> None:
        """Survey one batch of raw texts."""
        self.rows += rows.height
        for column in self.columns:
            column.add(rows[column.name], today=self._today)
        if self._key:
            keys = rows.select(self._key)
            self.key_faults += int(
                keys.select(pl.any_horizontal(pl.all().is_null() | (pl.all() == ""))).to_series().sum()
            )
            self.padded_keys += int(
                keys.select(pl.any_horizontal(pl.all().str.contains(r"^ | $"))).to_series().fill_null(value=False).sum()
            )
        for name in self._watched:
            filled = rows[name].str.strip_chars(" ").drop_nulls()
            hashed = filled.filter(filled != "").hash(seed=1).alias("hash").value_counts(name="rows")
            self._hashes[name].append(hashed)

    def hashes(self, column: str) -> pl.DataFrame:
        """Give the different texts of a watched column as hashes of this process, with their rows."""
        empty = pl.DataFrame(schema={"hash": pl.UInt64, "rows": pl.UInt32})
        return pl.concat([empty, *self._hashes[column]]).group_by("hash").agg(pl.col("rows").sum())


def count_orphans(children: pl.DataFrame, parents: pl.DataFrame) -> int:
    """Count the rows whose reference has no parent, from the hashes of both."""
    return int(children.join(parents, on="hash", how="anti")["rows"].sum())
