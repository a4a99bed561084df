"""What a lens is: a pair of expressions, forward and backward, with what each of them must refuse.

A lens has the outputs, the law and the domain that the catalogue declares for its name. Everything here is an
elementwise Polars expression, so that it gives the same answer on all rows or on distinct values only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

import polars as pl

from mappings.model import Scalar


class Degradation(StrEnum):
    """Why an edit made in the new system cannot be seen whole in the old one."""

    TOO_LONG = "TOO_LONG"
    UNKNOWN_CODE = "UNKNOWN_CODE"
    OUT_OF_ALPHABET = "OUT_OF_ALPHABET"
    DERIVED_EDIT = "DERIVED_EDIT"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"
    NO_PLACE = "NO_PLACE"


@dataclass(frozen=True, slots=True)
class Objection:
    """Rows that a lens will not carry, or wants counted, and why; the cause never holds a value."""

    mask: pl.Expr
    cause: str
    source: int = 0
    """Which source column of the lens is at fault."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Canonical values that the old system has no form for, and why."""

    mask: pl.Expr
    kind: Degradation
    cause: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Raw texts read: one value for each output of the lens.

    A rejected cell has no value; an event is counted and its raw text kept as residue, its value stands.
    """

    values: tuple[pl.Expr, ...]
    rejections: tuple[Objection, ...] = ()
    events: tuple[Objection, ...] = ()
    steps: tuple[pl.Expr, ...] = ()
    """Expressions computed first, one after the other, that the others name."""


@dataclass(frozen=True, slots=True)
class Backward:
    """Canonical values written: one raw text for each source column."""

    raws: tuple[pl.Expr, ...]
    refusals: tuple[Refusal, ...] = ()
    steps: tuple[pl.Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class LensSetting:
    """What a lens is given besides its columns: its parameters and the zone of the department."""

    parameters: Mapping[str, Scalar]
    time_zone: str
    inputs: int = 1

    def number(self, name: str) -> int:
        """Give a parameter that is a whole number."""
        return int(self.parameters[name])

    def text(self, name: str) -> str:
        """Give a parameter that is a text."""
        return str(self.parameters[name])


Columns = Sequence[pl.Expr]
"""Raw columns on the way forward; on the way back the outputs that the rule keeps, a prefix of all outputs."""


@dataclass(frozen=True, slots=True)
class Lens:
    """The two directions of one lens of the catalogue."""

    forward: Callable[[Columns, LensSetting], Forward]
    backward: Callable[[Columns, LensSetting], Backward]
    reads_nul: bool = False
    """Whether the lens itself says what the character NUL means; a cell that holds it is rejected by others."""
    is_dated: bool = False
    """Whether it yields codes with the day on which they are looked up: it needs a code map behind it."""


_numbers = count()


class Steps:
    """Names what several expressions need, so that it is computed once and not once for each of them."""

    def __init__(self) -> None:
        self._number = next(_numbers)
        self._expressions: list[pl.Expr] = []

    def let(self, name: str, expression: pl.Expr) -> pl.Expr:
        """Compute an expression under a name that no legacy column and no other field has, and give its column."""
        unique = f"let {self._number} {name}"
        self._expressions.append(expression.alias(unique))
        return pl.col(unique)

    @property
    def taken(self) -> tuple[pl.Expr, ...]:
        """Give the steps in the order in which they are computed."""
        return tuple(self._expressions)


def without_trailing_blanks(text: pl.Expr) -> pl.Expr:
    """Take away the blanks at the end; a text of blanks alone is null."""
    return null_if_empty(text.str.strip_chars_end(" "))


def without_blanks(text: pl.Expr) -> pl.Expr:
    """Take away the blanks at both ends; a text of blanks alone is null."""
    return null_if_empty(text.str.strip_chars(" "))


def null_if_empty(text: pl.Expr) -> pl.Expr:
    """Read the empty text as null."""
    return pl.when(text != "").then(text)


def longer_than(text: pl.Expr, size: int) -> Refusal:
    """Refuse texts of more than `size` characters."""
    return Refusal(text.str.len_chars() > size, Degradation.TOO_LONG, f"longer than {size} characters")
