"""What a column looks like from afar: counts of patterns, never a value.

A profile is made of raw texts and keeps none of them: how many are filled, how long the longest is, how many have the
form of a day, an hour, a telephone. It is what `map draft` guesses from, and all that it may show.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

PATTERNS: Mapping[str, str] = {
    "days YYYYMMDD": r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$",
    "days known in part": r"^((19|20)\d\d(0[0-9]|1[0-2])00|0|99999999)$",
    "days DD/MM/YYYY": r"^\d\d/\d\d/(19|20)\d\d$",
    "hours HHMM": r"^([01]\d|2[0-3])[0-5]\d$",
    "whole numbers": r"^-?\d+$",
    "amounts with a comma": r"^-?[\d  ]+,\d{1,4}$",
    "yes or no": r"^[ONYN01]$",
    "telephones": r"^(\+|0)[\d .\-/()]{8,}$",
    "plates": r"^([A-Z]{2}-?\d{3}-?[A-Z]{2}|\d{1,4} ?[A-Z]{1,3} ?(\d\d|2[AB]|97\d))$",
    "communes": r"^(\d{5}|2[AB]\d{3})$",
    "use names after EP.": r" EP\. ",
    "trailing blanks": r" $",
    "capitals alone": r"^[A-Z]{1,5}$",
}
"""Forms that tell what a column may be; the first that fits most of the filled texts is the one spoken of."""

_WIDTH = re.compile(r"\((\d+)")
FEW_KINDS = 40
"""A column with at most so many distinct texts may be a code."""


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column from afar."""

    name: str
    type_name: str
    rows: int
    filled: int
    longest: int
    kinds: int
    """How many distinct texts there are, counted up to one more than a code has."""
    patterns: Mapping[str, int]
    """How many filled texts have each form; forms that none has are left out."""

    @property
    def width(self) -> int | None:
        """Give the width that the type declares, if it does."""
        found = _WIDTH.search(self.type_name)
        return int(found.group(1)) if found else None

    @property
    def room(self) -> int:
        """Give the declared width, else the length of the longest text."""
        return self.width or max(self.longest, 1)

    def share(self, *names: str) -> float:
        """Give which share of the filled texts has one of these forms."""
        return sum(self.patterns.get(name, 0) for name in names) / self.filled if self.filled else 0.0

    def __str__(self) -> str:
        share = f"{100 * self.filled / self.rows:.0f} % filled" if self.rows else "no row seen"
        told = [f"{count} {name}" for name, count in self.patterns.items()]
        return ", ".join([self.type_name, share, f"longest {self.longest}", *told])


def profile(rows: pl.DataFrame, types: Mapping[str, str]) -> tuple[ColumnProfile, ...]:
    """Look at raw texts from afar, column by column."""
    return tuple(_profile(rows[name], types.get(name, "text")) for name in rows.columns)


def _profile(texts: pl.Series, type_name: str) -> ColumnProfile:
    bare = texts.drop_nulls()
    trimmed = bare.str.strip_chars_end(" ")
    filled = trimmed.filter(trimmed != "")
    counts = {
        name: int((bare if name == "trailing blanks" else filled).str.contains(pattern).sum())
        for name, pattern in PATTERNS.items()
    }
    return ColumnProfile(
        name=texts.name,
        type_name=type_name,
        rows=len(texts),
        filled=len(filled),
        longest=int(bare.str.len_chars().max() or 0),  # type: ignore[arg-type]
        kinds=min(filled.n_unique(), FEW_KINDS + 1),
        patterns={name: count for name, count in counts.items() if count},
    )
