"""The words of the estate: names with a realistic tail, streets, communes, code tables."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import polars as pl

_TAIL_NAMES = 12_000


@dataclass(frozen=True, slots=True)
class WeightedNames:
    """Names with the share of people who bear one of the names up to each."""

    names: pl.Series
    shares: np.ndarray[tuple[int], np.dtype[np.float64]]

    def draw(self, stream: np.random.Generator, size: int) -> pl.Series:
        """Draw names by rank."""
        index = np.searchsorted(self.shares, stream.random(size), side="right")
        return self.names.gather(np.minimum(index, len(self.names) - 1))


def _ranked(names: list[str], head: int) -> WeightedNames:
    rank = np.arange(len(names), dtype=float)
    weight = np.where(rank < head, 1 / (rank + 12) ** 0.75, 0.35 / (rank + 12) ** 0.75)
    return WeightedNames(pl.Series(names), np.cumsum(weight / weight.sum()))


def _lines(name: str) -> list[str]:
    return files("estate").joinpath("lists", name).read_text(encoding="utf-8").splitlines()


def _words(name: str) -> list[str]:
    return list(dict.fromkeys(" ".join(_lines(name)).split()))


@cache
def surnames() -> WeightedNames:
    """Give the frequent French surnames, then a generated tail of 12 000 rare ones."""
    head = _words("surnames.txt")
    roots, endings = (line.split() for line in _lines("syllables.txt"))
    order = np.random.default_rng(1789).permutation(len(roots) * len(endings))
    simple = [roots[i // len(endings)] + endings[i % len(endings)] for i in order.tolist()]
    tail = [*simple, *(f"LE {name}" for name in simple), *(f"DE {name}" for name in simple)]
    return _ranked(list(dict.fromkeys([*head, *tail]))[: len(head) + _TAIL_NAMES], len(head))


@cache
def given_names(sex: str) -> WeightedNames:
    """Give the given names of one sex, `M` or `F`."""
    names = _words(f"given_names_{sex.lower()}.txt")
    return _ranked(names, len(names))


@cache
def streets() -> pl.Series:
    """Give the ends of street names."""
    return pl.Series(_lines("streets.txt"))


@cache
def communes(department: str) -> pl.DataFrame:
    """Give inhabited communes of a department: code, postcode, name in capitals."""
    every = pl.read_csv("\n".join(_lines("communes.csv")).encode(), infer_schema=False)
    return every.filter(pl.col("code").str.starts_with(department))


@cache
def offences() -> pl.DataFrame:
    """Give the offences of the estate: number, label, statistical index, last day of validity."""
    return pl.read_csv("\n".join(_lines("offences.csv")).encode(), infer_schema=False)


@cache
def code_values() -> pl.DataFrame:
    """Give every row of the R_ tables: table, code, label, valid_from, valid_to."""
    return pl.read_csv("\n".join(_lines("codes.csv")).encode(), infer_schema=False)


def codes_of(table: str, *, day: str = "20261101") -> list[str]:
    """Give the codes of one R_ table that are valid on a day."""
    valid = (pl.col("valid_from") <= day) & (pl.col("valid_to") >= day)
    return code_values().filter((pl.col("table") == table) & valid)["code"].to_list()


def repealed_codes(table: str) -> list[str]:
    """Give the codes of one R_ table whose validity has ended."""
    return code_values().filter((pl.col("table") == table) & (pl.col("valid_to") != "99999999"))["code"].to_list()
