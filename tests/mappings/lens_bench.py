"""One lens at a time on the bench: a ruleset with a single field, and what to feed it."""

from datetime import date
from decimal import Decimal

import polars as pl
from hypothesis import strategies as st

from banyan.canonical.model import TABLES
from banyan.departments import Domain
from banyan.undecoded import MARK, NOT_DECODED
from mappings.catalogue import bind_parameters
from mappings.compile import compile_ruleset
from mappings.lookups import seat
from mappings.model import CodeMap, FieldRule, LensCall, PartRule, RuleBook, Ruleset
from mappings.outcomes import MapContext
from mappings.plans import raw_name, value_name
from tests.mappings.lens_case import (
    AMOUNTS,
    LOOKED_UP,
    NOISES,
    WORDS,
    Case,
    amount_text,
    implied_text,
    one,
    padded,
)
from tests.mappings.lens_cases_dates import DATE_CASES
from tests.mappings.lens_cases_texts import COMMUNE, MORE_DIRTY, TEXT_CASES, UNIT
from tests.mappings.reference import RANGES
from tests.mappings.reference_lenses import LENSES, NUL_READERS, Refused, Rejected

ZONE = "Europe/Paris"
CONTEXT = MapContext("38", "ORION", ZONE, b"0" * 32, date(2026, 1, 1))
SEX = CodeMap("SEX", {"M": "M", "F": "F", "1": "M", "2": "F"}, {"M": "M", "F": "F"})

DIRTY = [
    None, "", " ", "    ", "0", "00000000", "99999999", "19560000", "19560300", "19800231", "19561300", "19560003",
    "20190331", "20191027", "2019033", "08991231", "0230", "0245", "2400", "1430", "14:3", "DURAND EP. MARTIN",
    " EP. MARTIN", "DURAND EP. ", "A EP. B EP. C", "durand  ", "JEAN  PAUL", "06 12 34 56 78", "+33 (0)6.12.34.56.78",
    "0033612345678", "0692 12 34 56", "+262692123456", "+32 2 123 45 67", "612345678", "06?", "AB-123-CD", "ab123cd",
    "1234 AB 38", "123 ABC 2A", "AB-I23-CD", "B MW 1234", "209 BT 20", "AI-123-CD", "1234 AB 96", "12 A 971",
    "O", "N", "o", "X", "1 234,50", "1234.5",
    "1.234,50", "12,34567", "-0,5", "99999999999999999", "007", "-3", "+4", "12345678901234567890", "00123/2019  ",
    "31/02/1980", "00/03/1956", "00/00/0000", "12/03/1956", "12-03-1956", "é" * 50, "M", "1", "M ", "a\x00b",
    "１９８０", "\u202f12", "2019-03-31", "2019-02-29", "2019-03-00", "2019-00-00", "0000-00-00", "0999-01-01",
    "0000-00-00 00:00:00", "2019-03-31 02:30:00", "2019-10-27 02:30:15", "2019-07-01 14:30:59", "2019-07-01 24:00:00",
    "2019-07-01 14:60:00", "2019-07-01 14:30", "2019-13-01 00:00:00", "2019-07-01T14:30:00", "43466", "43466.0",
    "43466.5104166667", "43466.9999999999", "-1", "-1.25", "0.5", "-328716", "-330000", "2958465", "2958466", "43555.1",
    "1e5", "119366", "120366", "119000", "150000", "200001", "\x00" * 6, "\x00" * 8, "\x00" * 10, "\x00" * 19,
    "31/12/29", "31/12/30", "29/02/00", "00/00/00", "31/02/80", "1/2/80", "-1 ", " 0", "99/99/99", "9999-99-99",
]  # fmt: skip
DIRTY += MORE_DIRTY
"""What old systems really hold, and worse."""
CODE_MAPS = {"SEX": SEX, "UNIT": UNIT, "COMMUNE": COMMUNE, "GRADE": CodeMap("GRADE", {"GARDIEN": "M"})}

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
    *DATE_CASES,
    *TEXT_CASES,
)


def plan_of(case):
    rule = FieldRule(case.to, case.sources, case.call, case.code_map)
    ruleset = Ruleset(
        "BENCH@1", 1, "ORION", "t_bench", ("k",), ("k", *case.sources),
        (PartRule("main", case.table, Domain.CASES, main=True, fields=(rule,)),),
    )  # fmt: skip
    book = RuleBook("ORION", {"t_bench": ruleset}, CODE_MAPS)
    looked_up = {
        target: pl.DataFrame({"key": list(rows), "value": list(rows.values())}) for target, rows in LOOKED_UP.items()
    }
    return seat(compile_ruleset(ruleset, book, CONTEXT), looked_up, rows=1).parts[0].fields[0]


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


def reads_nul(case):
    return case.call is not None and case.call.name in NUL_READERS


def code_map_of(case):
    return CODE_MAPS[case.code_map] if case.code_map else SEX if case.call and case.call.name == "code" else None


def means(code_map, text):
    """Give what a code means, on its day where it has one: the last entry that has begun."""
    code, sign, day = text.partition("@") if any("@" in key for key in code_map.entries) else (text, "", "")
    begun = sorted(
        (key.partition("@")[2], value) for key, value in code_map.entries.items() if key.split("@")[0] == code
    )
    known = [value for start, value in begun if not start or not sign or day >= start]
    return known[-1] if known else None


def source_of(code_map, code):
    return code_map.backward()[code].partition("@")[0]


def reference_read(case, raws):
    """Read one row as the oracle does: values, rejection, event."""
    nothing = (None,) * len(case.to)
    for number, raw in enumerate(raws):
        if raw is not None and raw.startswith(MARK):
            return nothing, (NOT_DECODED, number), None
        if raw is not None and "\x00" in raw and not reads_nul(case):
            return nothing, ("holds the character NUL, which no canonical text can hold", number), None
    try:
        values, event = oracle(case)[0](raws, parameters_of(case))
    except Rejected as rejection:
        return nothing, (rejection.cause, rejection.source), None
    code_map = code_map_of(case)
    if code_map and values[0] is not None:
        if means(code_map, values[0]) is None:
            return nothing, ("a code that the code map does not know", 0), None
        values = (means(code_map, values[0]), *values[1:])
    limit = RANGES.get(TABLES[case.table].column(case.to[0]).kind)
    if limit and values[0] is not None and not -limit <= values[0] < limit:
        return nothing, ("outside the range of the canonical column", 0), None
    return values[: len(case.to)], None, event


def reference_write(case, values):
    """Write one value as the oracle does: raw texts, or the kind of the refusal."""
    code_map = code_map_of(case)
    try:
        if code_map and values[0] is not None:
            if values[0] not in code_map.backward():
                return "UNKNOWN_CODE"
            values = (source_of(code_map, values[0]), *values[1:])
        return oracle(case)[1](values, parameters_of(case))
    except Refused as refusal:
        return refusal.kind
