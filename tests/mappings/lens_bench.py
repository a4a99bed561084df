"""One lens at a time on the bench: a ruleset with a single field, and what to feed it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
from hypothesis import strategies as st

from banyan.departments import Domain
from mappings.catalogue import bind_parameters
from mappings.compile import compile_ruleset
from mappings.model import CodeMap, FieldRule, LensCall, PartRule, RuleBook, Ruleset
from mappings.outcomes import MapContext
from mappings.plans import raw_name, value_name
from tests.mappings.reference_lenses import LENSES, Refused, Rejected

ZONE = "Europe/Paris"
CONTEXT = MapContext("38", "ORION", ZONE, b"0" * 32, date(2026, 1, 1))
SEX = CodeMap("SEX", {"M": "M", "F": "F", "1": "M", "2": "F"}, {"M": "M", "F": "F"})

NOISE = "aéZ 0129/.,-+()OI\u00a0'"
DIRTY = [
    None, "", " ", "    ", "0", "00000000", "99999999", "19560000", "19560300", "19800231", "19561300", "19560003",
    "20190331", "20191027", "2019033", "08991231", "0230", "0245", "2400", "1430", "14:3", "DURAND EP. MARTIN",
    " EP. MARTIN", "DURAND EP. ", "A EP. B EP. C", "durand  ", "JEAN  PAUL", "06 12 34 56 78", "+33 (0)6.12.34.56.78",
    "0033612345678", "0692 12 34 56", "+262692123456", "+32 2 123 45 67", "612345678", "06?", "AB-123-CD", "ab123cd",
    "1234 AB 38", "123 ABC 2A", "AB-I23-CD", "B MW 1234", "209 BT 20", "AI-123-CD", "1234 AB 96", "12 A 971",
    "O", "N", "o", "X", "1 234,50", "1234.5",
    "1.234,50", "12,34567", "-0,5", "99999999999999999", "007", "-3", "+4", "12345678901234567890", "00123/2019  ",
    "31/02/1980", "00/03/1956", "00/00/0000", "12/03/1956", "12-03-1956", "é" * 50, "M", "1", "M ", "a\x00b",
    "１９８０", "\u202f12",
]  # fmt: skip
"""What old systems really hold, and worse."""

DAYS = st.dates(date(1000, 1, 1), date(9999, 12, 31))
NOISES = st.none() | st.text(NOISE)
WORDS = st.text("ABCÉ'-", min_size=1, max_size=6)
MINUTES = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)).map(
    lambda instant: instant.replace(second=0, microsecond=0)
)
AMOUNTS = st.integers(-(10**7), 10**7).map(lambda cents: Decimal(cents).scaleb(-2))


@dataclass(frozen=True)
class Case:
    """One lens with its parameters, texts of its domain, and canonical values that the old system can hold."""

    name: str
    call: LensCall | None
    table: str
    to: tuple[str, ...]
    domain: st.SearchStrategy
    values: st.SearchStrategy
    sources: tuple[str, ...] = ("a",)
    code_map: str | None = None

    def __str__(self):
        return self.name


def one(strategy):
    return strategy.map(lambda value: (value,))


def padded(size):
    return st.text("ABC1 ", min_size=1, max_size=size).map(lambda text: text.ljust(size)).filter(str.strip)


def amount_text(value):
    text = f"{abs(value):,.2f}".replace(",", " ").replace(".", ",")
    return text if value >= 0 else f"-{text}"


def implied_text(value):
    return str(int(value.scaleb(2)))


PARTIAL = ("birth_date", "birth_date_precision_code", "birth_date_text")
PRECISE = st.one_of(
    DAYS.map(lambda day: (day, "DAY", None)),
    DAYS.map(lambda day: (day.replace(day=1), "MONTH", None)),
    DAYS.map(lambda day: (day.replace(month=1, day=1), "YEAR", None)),
    st.sampled_from([(None, "UNKNOWN", None), (None, None, None)]),
)
DATE_TEXTS = st.one_of(
    DAYS.map(lambda day: f"{day.year:04}{day:%m%d}"),
    DAYS.map(lambda day: f"{day.year:04}{day:%m}00"),
    DAYS.map(lambda day: f"{day.year:04}0000"),
    st.sampled_from([None, "0"]),
)
LOCAL_TEXTS = st.dates(date(1990, 1, 1), date(2037, 12, 31)).flatmap(
    lambda day: st.sampled_from([(f"{day:%Y%m%d}", "1430"), (f"{day:%Y%m%d}", "    "), ("0", "    ")])
)
INSTANTS = st.one_of(
    MINUTES.filter(lambda instant: not (instant.month in (10, 11, 3, 4) and instant.hour < 6)).map(
        lambda instant: (instant, "MINUTE")
    ),
    st.sampled_from([(datetime(2019, 5, 31, 22, tzinfo=UTC), "DAY"), (None, "UNKNOWN"), (None, None)]),
)

CASES = (
    Case("verbatim", None, "item", ("description",), one(NOISES), one(NOISES)),
    Case(
        "padded",
        LensCall("text.padded", (6,)),
        "item",
        ("serial_number",),
        one(st.none() | padded(6)),
        one(st.none() | WORDS),
    ),
    Case("trimmed", LensCall("text.trimmed"), "item", ("description",), one(WORDS), one(st.none() | WORDS)),
    Case("max", LensCall("text.max", (6,)), "item", ("description",), one(st.none() | WORDS), one(st.none() | WORDS)),
    Case(
        "use name",
        LensCall("name.use_name", (), {"sep": " EP. ", "max": 40}),
        "person_identity",
        ("surname", "surname_use"),
        st.one_of(WORDS.map(lambda name: (name,)), st.tuples(WORDS, WORDS).map(lambda two: (" EP. ".join(two),))),
        st.tuples(WORDS, st.none() | WORDS),
    ),
    Case(
        "given",
        LensCall("name.given", (20,)),
        "person_identity",
        ("given_names",),
        one(st.lists(WORDS, min_size=1, max_size=2).map(" ".join)),
        one(st.none() | WORDS),
    ),
    Case(
        "day",
        LensCall("date.yyyymmdd"),
        "case_file",
        ("closed_on",),
        one(st.none() | DAYS.map(lambda day: f"{day.year:04}{day:%m%d}")),
        one(st.none() | DAYS),
    ),
    Case("partial", LensCall("date.partial_yyyymmdd"), "person_identity", PARTIAL, one(DATE_TEXTS), PRECISE),
    Case(
        "masked",
        LensCall("date.partial", ("DD/MM/YYYY",)),
        "person_identity",
        PARTIAL,
        one(DAYS.map(lambda day: f"{day:%d/%m}/{day.year:04}")),
        PRECISE,
    ),
    Case(
        "local",
        LensCall("instant.local"),
        "incident",
        ("occurred_from", "occurred_precision_code"),
        LOCAL_TEXTS,
        INSTANTS,
        ("a", "b"),
    ),
    Case(
        "integer",
        LensCall("number.integer"),
        "offense",
        ("statistical_index_code",),
        one(st.none() | st.integers(-999, 999).map(str)),
        one(st.none() | st.integers(-32768, 32767)),
    ),
    Case(
        "comma",
        LensCall("number.decimal_comma", (12,)),
        "item",
        ("value_eur",),
        one(AMOUNTS.map(amount_text)),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "implied",
        LensCall("number.implied", (2,)),
        "item",
        ("value_eur",),
        one(AMOUNTS.map(implied_text)),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "point",
        LensCall("number.point", (), {"width": 16, "scale": 6}),
        "location",
        ("x_coordinate",),
        one(st.none() | st.integers(-(10**11), 10**11).map(lambda n: f"{Decimal(n).scaleb(-4):.6f}".rjust(16))),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "coarse point",
        LensCall("number.point", (12, 2)),
        "item",
        ("value_eur",),
        one(st.none() | AMOUNTS.map(lambda value: f"{value:.2f}".rjust(12))),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "whole point",
        LensCall("number.point", (12, 0)),
        "item",
        ("value_eur",),
        one(st.none() | st.integers(-999, 999).map(lambda value: f"{value:12}")),
        one(st.none() | st.integers(-999, 999).map(Decimal)),
    ),
    Case(
        "number as code",
        LensCall("number.as_code", (16, 6)),
        "location",
        ("census_tract",),
        one(st.integers(0, 10**6).map(lambda code: f"{code}.000000".rjust(16))),
        one(st.none() | st.integers(1, 10**6).map(str)),
    ),
    Case(
        "joined",
        LensCall("text.joined", ("/",)),
        "enforcement_unit",
        ("unit_code",),
        st.tuples(WORDS | st.just(""), st.text("A/ ")),
        one(st.none() | st.tuples(WORDS, st.text("A/ ")).map("/".join)),
        ("a", "b"),
    ),
    Case(
        "flag",
        LensCall("flag", ("O", "N")),
        "offense",
        ("attempt",),
        one(st.sampled_from([None, "O", "N"])),
        one(st.sampled_from([None, True, False])),
    ),
    Case(
        "code",
        LensCall("code", ("SEX",)),
        "person_identity",
        ("sex_code",),
        one(st.sampled_from([None, "M", "F"])),
        one(st.sampled_from([None, "M", "F"])),
    ),
    Case(
        "padded code",
        LensCall("text.padded", (2,)),
        "person_identity",
        ("sex_code",),
        one(st.sampled_from([None, "M ", "F "])),
        one(st.sampled_from([None, "M", "F"])),
        code_map="SEX",
    ),
    Case(
        "phone",
        LensCall("phone.fr"),
        "contact_means",
        ("value_raw", "value_normalised", "country_code"),
        one(NOISES),
        one(NOISES).map(lambda v: (*v, None, None)),
    ),
    Case(
        "plate",
        LensCall("plate.fr"),
        "vehicle",
        ("plate_raw", "plate_normalised", "plate_system_code"),
        one(NOISES),
        one(NOISES).map(lambda v: (*v, None, None)),
    ),
    Case(
        "case number",
        LensCall("case_number.normalised"),
        "case_file",
        ("case_number", "case_number_normalised"),
        one(NOISES),
        one(NOISES).map(lambda v: (*v, None)),
    ),
)


def plan_of(case):
    rule = FieldRule(case.to, case.sources, case.call, case.code_map)
    ruleset = Ruleset(
        "BENCH@1", 1, "ORION", "t_bench", ("k",), ("k", *case.sources),
        (PartRule("main", case.table, Domain.CASES, main=True, fields=(rule,)),),
    )  # fmt: skip
    book = RuleBook("ORION", {"t_bench": ruleset}, {"SEX": SEX})
    return compile_ruleset(ruleset, book, CONTEXT).parts[0].fields[0]


def raw_frame(case, rows):
    return pl.DataFrame(rows, schema=dict.fromkeys(case.sources, pl.String), orient="row")


def value_frame(plan, rows):
    schema = {value_name(number): output.dtype for number, output in enumerate(plan.outputs)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def written_rows(plan, values):
    return plan.write(values).select(raw_name(number) for number in range(len(plan.rule.sources))).rows()


def parameters_of(case):
    return (bind_parameters(case.call) if case.call else {}) | {"time_zone": ZONE, "inputs": len(case.sources)}


def oracle(case):
    return LENSES[case.call.name if case.call else "verbatim"]


def code_map_of(case):
    return SEX if case.code_map or (case.call and case.call.name == "code") else None


def reference_read(case, raws):
    """Read one row as the oracle does: values, rejection, event."""
    nothing = (None,) * len(case.to)
    for number, raw in enumerate(raws):
        if raw is not None and "\x00" in raw:
            return nothing, ("holds the character NUL, which no canonical text can hold", number), None
    try:
        values, event = oracle(case)[0](raws, parameters_of(case))
    except Rejected as rejection:
        return nothing, (rejection.cause, rejection.source), None
    code_map = code_map_of(case)
    if code_map and values[0] is not None:
        if values[0] not in code_map.entries:
            return nothing, ("a code that the code map does not know", 0), None
        values = (code_map.entries[values[0]], *values[1:])
    if case.name == "integer" and values[0] is not None and not -32768 <= values[0] <= 32767:
        return nothing, ("outside the range of the canonical column", 0), None
    return values[: len(case.to)], None, event


def reference_write(case, values):
    """Write one value as the oracle does: raw texts, or the kind of the refusal."""
    code_map = code_map_of(case)
    try:
        if code_map and values[0] is not None:
            if values[0] not in code_map.backward():
                return "UNKNOWN_CODE"
            values = (code_map.backward()[values[0]], *values[1:])
        return oracle(case)[1](values, parameters_of(case))
    except Refused as refusal:
        return refusal.kind
