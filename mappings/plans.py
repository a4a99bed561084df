"""A field of a part, ready to run: its lens bound to columns, types and code map, in both directions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from banyan.records import KEY_SEPARATOR
from banyan.undecoded import MARK
from mappings.lenses.lens import Objection, Refusal
from mappings.model import FieldRule, PartRule
from mappings.programs import Program

HOLDS_NUL = "holds the character NUL, which no canonical text can hold"
NUL = "\x00"

CAUSE, AT, EVENT, EVENT_AT = "cause", "at", "event", "event_at"
REFUSED, REFUSED_CAUSE = "refused", "refused_cause"


def value_name(number: int) -> str:
    """Name the column of an output in the frames that a field is given and answers by itself."""
    return f"v{number}"


def raw_name(number: int) -> str:
    """Name the column of a written raw text in the frames that a field answers by itself."""
    return f"r{number}"


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The columns of one field on a board, where the columns of all fields of a table stand side by side."""

    number: int

    def value(self, output: int) -> str:
        """Name what an output reads as, or what stands now."""
        return f"{self.number}:v{output}"

    def raw(self, source: int) -> str:
        """Name the text written for a source column."""
        return f"{self.number}:r{source}"

    def lost(self, source: int) -> str:
        """Name whether the raw text of a source column would be lost."""
        return f"{self.number}:lost{source}"

    def own(self, word: str) -> str:
        """Name a column of this field that no other one reads."""
        return f"{self.number}:{word}"

    @property
    def fault(self) -> str:
        """Name the number of the objection for which the field is rejected, or null."""
        return f"{self.number}:fault"

    @property
    def event(self) -> str:
        """Name the number of the event of the field, or null."""
        return f"{self.number}:event"

    @property
    def refusal(self) -> str:
        """Name the number of the refusal of the way back, or null."""
        return f"{self.number}:refusal"


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """One canonical column that a field fills."""

    name: str
    dtype: pl.DataType
    derived: bool = False


@dataclass(frozen=True, slots=True)
class LensPlan:
    """A field answered by a lens."""

    rule: FieldRule
    outputs: tuple[OutputPlan, ...]
    owned: tuple[str, ...]
    """The source columns that this field writes back."""
    names: FieldNames
    objections: tuple[Objection, ...] = field(repr=False)
    """Why the field may be rejected; the last ones, one for each source column, are for bytes that are no text, and for
    the character NUL."""
    events: tuple[Objection, ...] = field(repr=False)
    refusals: tuple[Refusal, ...] = field(repr=False)
    reading: Program = field(repr=False)
    """From raw columns to values, fault and event."""
    writing: Program = field(repr=False)
    """From values to raw texts and refusal."""
    round_trip: Program = field(repr=False)
    """From raw columns to values, fault, event, and whether each raw text would be lost."""
    reads_nul: bool = False
    """Whether the lens itself says what the character NUL means."""
    seat: "Callable[[pl.DataFrame], LensPlan] | None" = field(default=None, repr=False, compare=False)
    """Gives this plan with the rows of another table in place, where the lens looks them up; else None."""
    decided: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    """The raw texts, by source column, that a steward decided to read as other ones: the lens reads those."""

    @property
    def stated(self) -> tuple[int, ...]:
        """Give the numbers of the outputs that are not derived."""
        return tuple(number for number, output in enumerate(self.outputs) if not output.derived)

    @property
    def nul_objection(self) -> int:
        """Give the number of the objection to the character NUL in the first source column."""
        return len(self.objections) - len(self.rule.sources)

    @property
    def undecoded_objection(self) -> int:
        """Give the number of the objection to bytes that are no text in the first source column."""
        return self.nul_objection - len(self.rule.sources)

    @property
    def answers(self) -> tuple[str, ...]:
        """Name what is read on a board: values, fault and event."""
        values = (self.names.value(number) for number in range(len(self.outputs)))
        return (*values, self.names.fault, self.names.event)

    @property
    def losses(self) -> tuple[str, ...]:
        """Name, source column by source column, whether its raw text would be lost."""
        return tuple(self.names.lost(number) for number in range(len(self.rule.sources)))

    def read(self, raws: pl.DataFrame) -> pl.DataFrame:
        """Read raw columns: `v0..`, and the cause and source number of a rejection and of an event, or null."""
        return self.tell(self.silence(self.reading.run(raws)))

    def come_and_go(self, raws: pl.DataFrame) -> pl.DataFrame:
        """Read raw columns and write them again: the answers, and whether each raw text would be lost."""
        return self.silence(self.round_trip.run(raws)).select(*self.answers, *self.losses)

    def put(self, values: pl.DataFrame) -> pl.DataFrame:
        """Write values: raw texts and refusal, under the names they have on a board."""
        inputs = [self.names.value(number) for number in range(len(self.outputs))]
        raws = [self.names.raw(number) for number in range(len(self.rule.sources))]
        return self.writing.run(values.select(inputs)).select(*raws, self.names.refusal)

    def look(self, raws: pl.DataFrame) -> pl.DataFrame:
        """Read raw columns: the answers, under the names they have on a board."""
        return self.silence(self.reading.run(raws)).select(self.answers)

    def tell(self, board: pl.DataFrame) -> pl.DataFrame:
        """Spell out what was read: `v0..`, and the cause and source number of a rejection and of an event."""
        names = self.names
        values = (pl.col(names.value(number)).alias(value_name(number)) for number in range(len(self.outputs)))
        return board.select(
            *values,
            *_tell(names.fault, self.objections, (CAUSE, AT)),
            *_tell(names.event, self.events, (EVENT, EVENT_AT)),
        )

    def write(self, values: pl.DataFrame) -> pl.DataFrame:
        """Write canonical values `v0..`: `r0..`, and the kind and cause of a refusal, or null."""
        names = self.names
        board = values.select(
            pl.col(value_name(number)).alias(names.value(number)) for number in range(len(self.outputs))
        )
        number = pl.col(names.refusal)
        return self.writing.run(board).select(
            *(pl.col(names.raw(source)).alias(raw_name(source)) for source in range(len(self.rule.sources))),
            _gather([refusal.kind.value for refusal in self.refusals], number).alias(REFUSED),
            _gather([refusal.cause for refusal in self.refusals], number).alias(REFUSED_CAUSE),
        )

    def silence(self, board: pl.DataFrame) -> pl.DataFrame:
        """Reject the cells that no lens may read: bytes that are no text, and the character NUL unless it reads NUL."""
        for number, column in reversed(list(enumerate(self.rule.sources))):
            texts = board[column].str
            faults = {} if self.reads_nul else {self.nul_objection: texts.contains(NUL, literal=True)}
            faults[self.undecoded_objection] = texts.starts_with(MARK)
            for objection, found in faults.items():
                holds = found.fill_null(value=False)
                if holds.any() and column in self.decided:
                    holds = holds & ~board[column].is_in(self.decided[column]).fill_null(value=False)
                if holds.any():
                    board = board.with_columns(self._silenced(holds, objection + number, board.columns))
        return board

    def _silenced(self, holds: pl.Series, objection: int, columns: Sequence[str]) -> list[pl.Expr]:
        mask = pl.lit(holds)
        fault = pl.when(mask).then(pl.lit(objection, pl.UInt8)).otherwise(pl.col(self.names.fault))
        nothing = (*(self.names.value(number) for number in range(len(self.outputs))), self.names.event)
        kept = [pl.when(~mask).then(pl.col(name)).alias(name) for name in nothing]
        lost = [(mask | pl.col(name)).alias(name) for name in self.losses if name in columns]
        return [fault.alias(self.names.fault), *kept, *lost]

    def agrees(self, read: pl.DataFrame, current: pl.DataFrame) -> pl.Series:
        """Tell, row by row, whether what was read is what stands now, derived outputs left aside."""
        same = pl.repeat(value=True, n=read.height, eager=True)
        for number in self.stated:
            same = same & read[value_name(number)].eq_missing(current[value_name(number)])
        return same


@dataclass(frozen=True, slots=True)
class ReferencePlan:
    """A field answered with the identifier of another legacy row's part."""

    rule: FieldRule
    output: str
    table: str
    part: str
    is_main: bool
    """Whether the part carries the identity of its row: only such identifiers are adopted without a part."""
    owned: tuple[str, ...]

    def key(self) -> pl.Expr:
        """Give the key that the source columns hold; blanks refer to nothing."""
        held = [pl.when(pl.col(column).str.strip_chars(" ") != "").then(pl.col(column)) for column in self.rule.sources]
        return pl.concat_str(held, separator=KEY_SEPARATOR)


@dataclass(frozen=True, slots=True)
class SiblingPlan:
    """A field answered with the identifier of another part of the same row."""

    rule: FieldRule
    output: str
    part: str


FieldPlan = LensPlan | ReferencePlan | SiblingPlan


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One part, ready to run: its fields in order, and the type of each column that it fills."""

    rule: PartRule
    fields: tuple[FieldPlan, ...]
    dtypes: dict[str, pl.DataType]
    constants: dict[str, pl.Expr] = field(repr=False)

    @property
    def owned(self) -> tuple[str, ...]:
        """Give the source columns that the part writes back."""
        return tuple(column for plan in self.fields if not isinstance(plan, SiblingPlan) for column in plan.owned)

    @property
    def lenses(self) -> tuple[LensPlan, ...]:
        """Give the fields that lenses answer."""
        return tuple(plan for plan in self.fields if isinstance(plan, LensPlan))


def _tell(number: str, objections: Sequence[Objection], names: tuple[str, str]) -> tuple[pl.Expr, pl.Expr]:
    """Give the cause and the source number of the objection of that number."""
    cause, at = names
    return (
        _gather([objection.cause for objection in objections], pl.col(number)).alias(cause),
        _gather([objection.source for objection in objections], pl.col(number)).alias(at),
    )


def _gather(told: Sequence[str] | Sequence[int], number: pl.Expr) -> pl.Expr:
    if not told:
        return pl.when(number.is_not_null()).then(pl.lit(None, dtype=pl.String))
    return pl.lit(pl.Series("told", told)).gather(number)
