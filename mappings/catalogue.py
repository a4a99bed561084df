"""The closed list of lenses: their parameters, inputs, outputs, law and domain. Rules may name no other."""

from dataclasses import dataclass
from enum import StrEnum

from banyan.canonical.model import Kind
from mappings.model import LensCall, Scalar


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


_ANY_TEXT = frozenset((Kind.TEXT,))
_DATE = frozenset((Kind.DATE,))
_INSTANT = frozenset((Kind.INSTANT,))
_UUID = frozenset((Kind.UUID,))
_BOOLEAN = frozenset((Kind.BOOLEAN,))
_WHOLE = frozenset((Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT, Kind.NUMERIC))
_DECIMAL = frozenset((Kind.NUMERIC,))


def _text(name: str = "value", *, derived: bool = False) -> Output:
    return Output(name, _ANY_TEXT, derived)


def _number(name: str, *, required: bool = True) -> Parameter:
    return Parameter(name, ParameterKind.NUMBER, required)


def _word(name: str, *, required: bool = True) -> Parameter:
    return Parameter(name, ParameterKind.TEXT, required)


_PRECISE_DATE = (Output("date", _DATE), _text("precision_code"), _text("text", derived=True))

_SPECS = (
    LensSpec("verbatim", Law.ISO, "every text and null", (_text(),)),
    LensSpec(
        "text.padded",
        Law.EMBED,
        "texts of n characters, the last not all blank; null. Blanks alone are null",
        (_text(),),
        (_number("n"),),
    ),
    LensSpec("text.trimmed", Law.LOSSY, "texts without blanks at either end; null", (_text(),)),
    LensSpec("text.max", Law.EMBED, "texts of at most n characters; null", (_text(),), (_number("n"),)),
    LensSpec(
        "text.joined",
        Law.EMBED,
        "texts that make one code together; none but the last holds the separator",
        (_text(),),
        (_word("sep"),),
        inputs=(2, 8),
    ),
    LensSpec(
        "name.use_name",
        Law.EMBED,
        "a birth name, or a birth name, the separator once and a use name, in at most max characters",
        (_text("surname"), _text("surname_use")),
        (_word("sep"), _number("max")),
    ),
    LensSpec(
        "name.given",
        Law.EMBED,
        "given names separated by one blank, in at most max characters",
        (_text("given_names"),),
        (_number("max"),),
    ),
    LensSpec("date.yyyymmdd", Law.ISO, "the eight digits of a real day; null", (Output("date", _DATE),)),
    LensSpec(
        "date.partial_yyyymmdd",
        Law.EMBED,
        "real days, YYYYMM00, YYYY0000 and 0; 99999999 is unknown too; an impossible day is rejected",
        _PRECISE_DATE,
    ),
    LensSpec(
        "date.partial",
        Law.EMBED,
        "dates under a mask of DD, MM and YYYY with zeros for what is unknown",
        _PRECISE_DATE,
        (_word("mask"),),
    ),
    LensSpec(
        "instant.local",
        Law.EMBED,
        "a real day YYYYMMDD and HHMM, or a day alone, in the department's zone; hours skipped or told twice "
        "by a change of clock are residue",
        (Output("instant", _INSTANT), _text("precision_code")),
        inputs=(1, 2),
    ),
    LensSpec("number.integer", Law.ISO, "whole numbers without leading zeros; null", (Output("number", _WHOLE),)),
    LensSpec(
        "number.decimal_comma",
        Law.EMBED,
        "amounts such as 1 234,50 in at most max characters; null",
        (Output("number", _DECIMAL),),
        (_number("max"),),
    ),
    LensSpec(
        "number.implied",
        Law.EMBED,
        "digits whose last scale ones are decimals; null",
        (Output("number", _DECIMAL),),
        (_number("scale"),),
    ),
    LensSpec(
        "number.point",
        Law.EMBED,
        "numbers right-aligned in width characters, scale decimals after a point; beyond the fourth they are zeros; "
        "null",
        (Output("number", _DECIMAL),),
        (_number("width"), _number("scale")),
    ),
    LensSpec(
        "number.as_code",
        Law.EMBED,
        "codes kept as whole numbers, right-aligned in width characters, scale zeros after a point; zero is no code",
        (_text("code"),),
        (_number("width"), _number("scale")),
    ),
    LensSpec(
        "flag",
        Law.EMBED,
        "the text for yes, the text for no; blanks are null",
        (Output("flag", _BOOLEAN),),
        (_word("yes"), _word("no")),
    ),
    LensSpec(
        "code",
        Law.EMBED,
        "the source codes of the map that are written back; null",
        (_text("code"),),
        (Parameter("map", ParameterKind.CODE_MAP),),
    ),
    LensSpec(
        "phone.fr",
        Law.ISO,
        "every text: the raw value is kept, the rest is recomputed",
        (_text("value_raw"), _text("value_normalised", derived=True), _text("country_code", derived=True)),
        (_number("max", required=False),),
    ),
    LensSpec(
        "plate.fr",
        Law.ISO,
        "every text: the raw value is kept, the rest is recomputed",
        (
            _text("plate_raw"),
            _text("plate_normalised", derived=True),
            _text("plate_system_code", derived=True),
        ),
        (_number("max", required=False),),
    ),
    LensSpec(
        "ref",
        Law.EMBED,
        "keys of rows of the table; a canonical row born in the target has no key until it is written back",
        (Output("id", _UUID),),
        (Parameter("target", ParameterKind.REFERENCE),),
    ),
    LensSpec(
        "part",
        Law.EMBED,
        "the id of a sibling part of the same row; reads no source column",
        (Output("id", _UUID),),
        (Parameter("name", ParameterKind.PART),),
        inputs=(0, 0),
    ),
    LensSpec(
        "case_number.normalised",
        Law.ISO,
        "every text: the number is kept as written, the normalised one is recomputed",
        (_text("case_number"), _text("case_number_normalised", derived=True)),
        (_number("max", required=False),),
    ),
)

LENSES: dict[str, LensSpec] = {spec.name: spec for spec in _SPECS}
VERBATIM = LENSES["verbatim"]


def find_lens(call: LensCall | None) -> LensSpec:
    """Give the catalogue's entry of a call that the loader accepted; no lens means `verbatim`."""
    return VERBATIM if call is None else LENSES[call.name]


def bind_parameters(call: LensCall) -> dict[str, Scalar]:
    """Give the parameters of an accepted call by name, whether they were given by position or by name."""
    spec = LENSES[call.name]
    by_position = zip((parameter.name for parameter in spec.parameters), call.args, strict=False)
    return dict(by_position) | dict(call.kwargs)
