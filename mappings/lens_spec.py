"""What the catalogue says of a lens: how it is called, what it reads and yields, which law it keeps and where."""

from dataclasses import dataclass
from enum import StrEnum

from banyan.canonical.model import Kind


class Law(StrEnum):
    """What a lens promises on its domain."""

    ISO = "iso"
    """A bijection: backward(forward(raw)) = raw and forward(backward(value)) = value on the whole domain."""
    EMBED = "embed"
    """Forward is injective; backward is partial: some values cannot be expressed in the old system."""
    LOSSY = "lossy"
    """Forward forgets; only the residue gives the raw value back."""


class ParameterKind(StrEnum):
    """What a parameter may be."""

    TEXT = "text"
    NUMBER = "number"
    CODE_MAP = "code map"
    REFERENCE = "table.part"
    COLUMN = "table.column"
    PART = "part"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a lens, given by position or by name."""

    name: str
    kind: ParameterKind
    required: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """One canonical value that a lens yields.

    A derived output is recomputed from the others on write-back: an edit of it alone is degraded.
    """

    name: str
    kinds: frozenset[Kind]
    derived: bool = False


@dataclass(frozen=True, slots=True)
class LensSpec:
    """A lens of the catalogue: how it is called, what it reads and yields, which law it keeps and where."""

    name: str
    law: Law
    domain: str
    outputs: tuple[Output, ...]
    parameters: tuple[Parameter, ...] = ()
    inputs: tuple[int, int] = (1, 1)
    """Fewest and most source columns."""


ANY_TEXT = frozenset((Kind.TEXT,))
DATE = frozenset((Kind.DATE,))
INSTANT = frozenset((Kind.INSTANT,))
UUID = frozenset((Kind.UUID,))
BOOLEAN = frozenset((Kind.BOOLEAN,))
WHOLE = frozenset((Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.NUMERIC))
DECIMAL = frozenset((Kind.NUMERIC,))


def text_output(name: str = "value", *, derived: bool = False) -> Output:
    """Give an output that is a text."""
    return Output(name, ANY_TEXT, derived)


def number(name: str, *, required: bool = True) -> Parameter:
    """Give a parameter that is a whole number."""
    return Parameter(name, ParameterKind.NUMBER, required)


def word(name: str, *, required: bool = True) -> Parameter:
    """Give a parameter that is a text."""
    return Parameter(name, ParameterKind.TEXT, required)


PRECISE_DATE = (Output("date", DATE), text_output("precision_code"), text_output("text", derived=True))
