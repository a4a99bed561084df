"""Drawing columns: random numbers by stream, and the shapes French keyboards give to plates, phones and dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from estate.places import find_place

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

ESTATE_DAY = date(2026, 11, 1)
"""The day the estate stops at: fixed, so that a seed gives the same rows in every year."""

_PLATE_LETTERS = np.array(list("ABCDEFGHJKLMNPQRSTVWXYZ"))  # SIV never uses I, O or U
_FICTION_PREFIXES = np.array(["019900", "026191", "035301", "046571", "053649"])
_FICTION_MOBILE = "063998"


@dataclass(frozen=True, slots=True)
class Seed:
    """The seed of an estate; each stream of numbers depends on its name only, not on what was drawn before."""

    number: int
    department_code: str

    def stream(self, name: str) -> np.random.Generator:
        """Open the stream of that name."""
        return np.random.default_rng([self.number, crc32(self.department_code.encode()), crc32(name.encode())])


def pick(stream: np.random.Generator, values: Sequence[str | None], weights: Sequence[float], size: int) -> pl.Series:
    """Draw weighted values."""
    shares = np.cumsum(np.asarray(weights, dtype=float) / sum(weights))
    index = np.minimum(np.searchsorted(shares, stream.random(size), side="right"), len(values) - 1)
    return pl.Series(values, dtype=pl.String).gather(index)


def integers_text(values: Integers) -> pl.Series:
    """Write integers as a numeric column does."""
    return pl.Series(values, dtype=pl.Int64).cast(pl.String)


def yyyymmdd(days: Integers) -> pl.Series:
    """Write days since 1970 as the eight digits of a date column."""
    return pl.Series(days.astype(np.int32)).cast(pl.Date).dt.strftime("%Y%m%d")


def days_of(day: date) -> int:
    """Give days since 1970."""
    return (day - date(1970, 1, 1)).days


def stamps(days: Integers, stream: np.random.Generator) -> pl.Series:
    """Write a timestamp(0) in office and night hours of these days."""
    seconds = days.astype(np.int64) * 86_400 + stream.integers(6 * 3600, 23 * 3600, len(days))
    return pl.Series(seconds * 1_000_000).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S")


def hours(stream: np.random.Generator, size: int, *, blank_share: float) -> pl.Series:
    """Draw HHMM, or blanks; never between two and three, an hour that clock changes make ambiguous."""
    minutes = stream.integers(0, 23 * 60, size)
    minutes = np.where(minutes >= 120, minutes + 60, minutes)
    text = pl.Series((minutes // 60) * 100 + minutes % 60).cast(pl.String).str.zfill(4)
    return text.set(pl.Series(stream.random(size) < blank_share), "    ")


def plates(stream: np.random.Generator, opened: Integers, department: str) -> pl.Series:
    """Draw plates: SIV `AB-123-CD` since 2009, FNI `1234 AB 38` before, of the department and its neighbours."""
    size = len(opened)
    letters = pl.DataFrame({str(i): _PLATE_LETTERS[stream.integers(0, 23, size)] for i in range(4)})
    digits = integers_text(stream.integers(1, 1000, size)).str.zfill(3)
    fni_digits = integers_text(stream.integers(10, 10_000, size))
    county = pick(stream, [department, *find_place(department).neighbours], [70, 9, 6, 5, 4, 3, 1, 2], size)
    recent = pl.Series(opened >= days_of(date(2009, 4, 15)))
    frame = letters.with_columns(digits.alias("d"), fni_digits.alias("f"), county.alias("c"), recent.alias("siv"))
    return frame.select(
        plate=pl.when("siv")
        .then(pl.format("{}{}-{}-{}{}", "0", "1", "d", "2", "3"))
        .otherwise(pl.format("{} {}{} {}", "f", "0", "1", "c"))
    ).to_series()


def phone_digits(stream: np.random.Generator, size: int) -> pl.Series:
    """Draw ten-digit numbers from the ranges the French regulator keeps for fiction."""
    mobile = pl.Series(stream.random(size) < 0.7)
    prefix = pl.Series(_FICTION_PREFIXES[stream.integers(0, len(_FICTION_PREFIXES), size)])
    prefix = prefix.set(mobile, _FICTION_MOBILE)
    return prefix + integers_text(stream.integers(0, 10_000, size)).str.zfill(4)


def phones(stream: np.random.Generator, size: int) -> pl.Series:
    """Draw numbers as people key them: plain, blanks, dots, +33, 0033, or a British fiction number."""
    form = pick(stream, ["plain", "blank", "dot", "plus", "zeros", "gb"], [40, 30, 15, 9, 3, 3], size)
    frame = pl.DataFrame({"n": phone_digits(stream, size), "form": form}).with_columns(
        tail=pl.col("n").str.slice(1), pairs=pl.col("n").str.replace_all(r"(\d\d)", "$1 ").str.strip_chars_end()
    )
    return frame.select(
        number=pl.when(pl.col("form") == "plain").then("n")
        .when(pl.col("form") == "blank").then("pairs")
        .when(pl.col("form") == "dot").then(pl.col("pairs").str.replace_all(" ", "."))
        .when(pl.col("form") == "plus").then(pl.lit("+33 ") + pl.col("pairs").str.slice(1))
        .when(pl.col("form") == "zeros").then(pl.lit("0033") + pl.col("tail"))
        .otherwise(pl.lit("+44 7700 900") + pl.col("n").str.slice(7))
    ).to_series()  # fmt: skip
