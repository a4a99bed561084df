"""Days: whole ones, and those of which only the month or the year is known."""

from dataclasses import dataclass

import polars as pl

from mappings.lenses.lens import (
    Backward,
    Columns,
    Degradation,
    Forward,
    Lens,
    LensSetting,
    Objection,
    Refusal,
    Steps,
    without_blanks,
)

IMPOSSIBLE = "not a day of the calendar"
PARTIAL = "a partial date has no place here"
MALFORMED = "not a date of the expected form"
OUT_OF_YEARS = Degradation.NO_PLACE, "the year is not between 1000 and 9999"

NUL = "\x00"
_PARTS = ("YYYY", "MM", "DD")


@dataclass(frozen=True, slots=True)
class Mask:
    """Where the year, the month and the day stand in a date of fixed width."""

    text: str

    def __post_init__(self) -> None:
        if any(self.text.count(part) != 1 for part in _PARTS):
            raise ValueError(f"the mask {self.text!r} must hold YYYY, MM and DD once each")

    def part(self, text: pl.Expr, name: str) -> pl.Expr:
        """Cut one part out of a date that has the form of the mask."""
        return text.str.slice(self.text.index(name), len(name))

    @property
    def pattern(self) -> str:
        """Give the regular expression of the digits and separators of the mask."""
        return _spell(self.text, "[0-9]{{{size}}}")

    def filled(self, digit: str) -> str:
        """Give the mask with each place filled by one digit."""
        return "".join(digit if place in "YMD" else place for place in self.text)

    @property
    def low_values(self) -> str:
        """Give the field filled with the character NUL, as mainframe programs leave it."""
        return NUL * len(self.text)

    def written(self, day: pl.Expr, *, month: str = "%m", day_of_month: str = "%d") -> pl.Expr:
        """Write a date under the mask; a part that is not known is given as zeros."""
        form = self.text.replace("%", "%%").replace("YYYY", "%Y")
        return day.dt.strftime(form.replace("MM", month).replace("DD", day_of_month))


def _spell(mask: str, digits: str) -> str:
    spelled = "".join(f"\\{place}" if not place.isalnum() else place for place in mask)
    for part in _PARTS:
        spelled = spelled.replace(part, digits.format(size=len(part)))
    return f"^{spelled}$"


COMPACT = Mask("YYYYMMDD")
ISO = Mask("YYYY-MM-DD")


def real_day(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Give the date of three texts of digits, null when the calendar has no such day or the year is below 1000."""
    compact = pl.concat_str([year, month, day])
    return pl.when(year >= "1000").then(compact.str.to_date("%Y%m%d", strict=False))


def is_unknown(text: pl.Expr, mask: Mask) -> pl.Expr:
    """Tell whether a date is one of the ways to say that it is not known: zeros, nines, LOW-VALUES."""
    return text.is_in(["0", mask.filled("0"), mask.filled("9"), mask.low_values])


def out_of_years(day: pl.Expr) -> Refusal:
    """Refuse days whose year has not four digits."""
    return Refusal(~day.dt.year().is_between(1000, 9999), *OUT_OF_YEARS)


def whole_day(text: pl.Expr, mask: Mask) -> Forward:
    """Read real days under a mask; what says that it is not known is null, what is partial is rejected."""
    steps = Steps()
    text = steps.let("text", text)
    well_formed = steps.let("well formed", text.str.contains(mask.pattern))
    year, month, day = (mask.part(text, part) for part in _PARTS)
    value = steps.let("day", pl.when(well_formed).then(real_day(year, month, day)))
    absent = steps.let("absent", value.is_null() & ~is_unknown(text, mask))
    return Forward(
        (value,),
        (
            Objection(absent & ~well_formed, MALFORMED),
            Objection(absent & ((month == "00") | (day == "00")), PARTIAL),
            Objection(absent, IMPOSSIBLE),
        ),
        steps=steps.taken,
    )


def _day_forward(columns: Columns, setting: LensSetting) -> Forward:
    return whole_day(without_blanks(columns[0]), COMPACT)


def _day_backward(values: Columns, setting: LensSetting) -> Backward:
    return Backward((COMPACT.written(values[0]),), (out_of_years(values[0]),))


def _partial_forward(text: pl.Expr, mask: Mask) -> Forward:
    steps = Steps()
    text = steps.let("text", text)
    well_formed = steps.let("well formed", text.str.contains(mask.pattern))
    unknown = steps.let("unknown", is_unknown(text, mask))
    whole = steps.let("whole", well_formed & ~unknown)
    year, month, day = (steps.let(part, mask.part(text, part)) for part in _PARTS)
    no_day = steps.let("no day", whole & (day == "00"))
    of_year = steps.let("of year", no_day & (month == "00"))
    first = pl.lit("01")
    known_month = pl.when(of_year).then(first).otherwise(month)
    known_day = pl.when(no_day).then(first).otherwise(day)
    value = steps.let("date", pl.when(whole).then(real_day(year, known_month, known_day)))
    precision = (
        pl.when(unknown)
        .then(pl.lit("UNKNOWN"))
        .when(of_year)
        .then(pl.lit("YEAR"))
        .when(no_day)
        .then(pl.lit("MONTH"))
        .when(value.is_not_null())
        .then(pl.lit("DAY"))
    )
    return Forward(
        (value, precision, pl.when((unknown | no_day) & (text != mask.low_values)).then(text)),
        (
            Objection(~unknown & ~well_formed, MALFORMED),
            Objection(whole & value.is_null(), IMPOSSIBLE),
        ),
        steps=steps.taken,
    )


def _partial_backward(values: Columns, mask: Mask, unknown: str) -> Backward:
    day = values[0]
    whole = mask.written(day)
    if len(values) == 1:
        return Backward((whole,), (out_of_years(day),))
    precision = values[1]
    written = (
        pl.when(day.is_null() & (precision == "UNKNOWN"))
        .then(pl.lit(unknown))
        .when(precision == "YEAR")
        .then(mask.written(day, month="00", day_of_month="00"))
        .when(precision == "MONTH")
        .then(mask.written(day, day_of_month="00"))
        .otherwise(whole)
    )
    strange = Refusal(
        ~precision.is_in(["DAY", "MONTH", "YEAR", "UNKNOWN"]),
        Degradation.UNKNOWN_CODE,
        "the precision has no form in this date",
    )
    return Backward((written,), (out_of_years(day), strange))


def _compact_partial_forward(columns: Columns, setting: LensSetting) -> Forward:
    return _partial_forward(without_blanks(columns[0]), COMPACT)


def _compact_partial_backward(values: Columns, setting: LensSetting) -> Backward:
    return _partial_backward(values, COMPACT, unknown="0")


def _zero_iso_forward(columns: Columns, setting: LensSetting) -> Forward:
    return _partial_forward(without_blanks(columns[0]), ISO)


def _zero_iso_backward(values: Columns, setting: LensSetting) -> Backward:
    return _partial_backward(values, ISO, unknown=ISO.filled("0"))


def _masked_partial_forward(columns: Columns, setting: LensSetting) -> Forward:
    return _partial_forward(without_blanks(columns[0]), Mask(setting.text("mask")))


def _masked_partial_backward(values: Columns, setting: LensSetting) -> Backward:
    mask = Mask(setting.text("mask"))
    return _partial_backward(values, mask, unknown=mask.filled("0"))


DAY = Lens(_day_forward, _day_backward, reads_nul=True)
PARTIAL_COMPACT = Lens(_compact_partial_forward, _compact_partial_backward, reads_nul=True)
PARTIAL_MASKED = Lens(_masked_partial_forward, _masked_partial_backward, reads_nul=True)
ZERO_ISO = Lens(_zero_iso_forward, _zero_iso_backward, reads_nul=True)
