"""The lenses of texts, amounts and places, with what to feed them."""

import uuid
from decimal import Decimal

from hypothesis import strategies as st

from mappings.model import CodeMap, LensCall
from tests.mappings.lens_case import AMOUNTS, NOISES, WORDS, Case, amount_text, one

UNIT = CodeMap("UNIT", {"A": "U1", "B": "U2", "B@20150101": "U3", "B@20200101": "U4", "C@20100101": "U5"}, {"U1": "A"})
"""B has meant three things, one after the other; C means nothing before 2010."""
COMMUNE = CodeMap(
    "COMMUNE",
    {
        "38|GRENOBLE": "38185",
        "38|SAINT EGREVE": "38382",
        "04|CERESTE": "04045",
        "69|LYON": "69123",
        "49|ANGERS": "49007",
    },
)
DESCRIPTION = ("description",)
LETTERS = st.text("abcéÀ '-xyz", min_size=1, max_size=8)
EVERYTHING = st.none() | WORDS
UUIDS = st.uuids(version=4)


def text_case(name, call, domain, values, **more):
    return Case(name, call, "item", DESCRIPTION, domain, values, **more)


TEXT_CASES = (
    text_case("upper", LensCall("text.upper"), one(EVERYTHING), one(EVERYTHING)),
    text_case("lower", LensCall("text.lower"), one(EVERYTHING.map(lambda w: w and w.lower())), one(st.just("abc"))),
    text_case("control free", LensCall("text.control_free"), one(EVERYTHING), one(EVERYTHING)),
    text_case("doubled", LensCall("text.repair", (), {"double": "utf8_as_cp1252"}), one(LETTERS), one(LETTERS)),
    text_case("mixed", LensCall("text.repair", (), {"mixed": "cp1252_as_cp850"}), one(LETTERS), one(LETTERS)),
    text_case("dos", LensCall("text.repair", (), {"mixed": "cp850_as_cp1252"}), one(LETTERS), one(LETTERS)),
    text_case("mainframe", LensCall("text.repair", (), {"mixed": "cp297_as_cp500"}), one(st.just("ABC")), one(WORDS)),
    Case(
        "access",
        LensCall("flag.access"),
        "offense",
        ("attempt",),
        one(st.sampled_from([None, "-1", "0"])),
        one(st.sampled_from([None, True, False])),
    ),
    Case(
        "split",
        LensCall("text.split", ("/",)),
        "location",
        ("street_name", "city_name"),
        st.one_of(one(EVERYTHING), st.tuples(WORDS, WORDS).map(lambda two: ("/".join(two),))),
        st.tuples(WORDS, EVERYTHING),
    ),
    text_case("first", LensCall("text.first"), st.tuples(WORDS, st.none()), one(EVERYTHING), sources=("a", "b")),
    text_case(
        "when",
        LensCall("text.when", (), {"equals": "O"}),
        st.tuples(WORDS, st.just("O")),
        one(EVERYTHING),
        sources=("a", "b"),
    ),
    text_case(
        "regex",
        LensCall("text.regex", (), {"pattern": "PV n° ([0-9]+)", "form": "PV n° {}"}),
        one(st.none() | st.integers(0, 10**9).map(lambda number: f"PV n° {number}")),
        one(st.none() | st.integers(0, 10**9).map(str)),
    ),
    text_case("constant", LensCall("text.constant", ("X",)), one(st.none()), one(st.just("X"))),
    text_case("cut", LensCall("name.cut", (20,)), one(EVERYTHING), one(EVERYTHING)),
    text_case(
        "python on Polars",
        LensCall("python", ("tests.mappings.python_lenses:NUMBERED",)),
        one(st.none() | st.integers(0, 99).map(lambda number: f"REF-{number}")),
        one(st.none() | st.integers(0, 99).map(str)),
    ),
    text_case(
        "python on pandas",
        LensCall("python", ("tests.mappings.python_lenses:MIRRORED",)),
        one(NOISES),
        one(NOISES),
    ),
    Case(
        "decimal",
        LensCall("number.decimal", (12,)),
        "item",
        ("value_eur",),
        one(st.none() | AMOUNTS.map(lambda value: f"{value:.2f}".rstrip("0").rstrip("."))),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "money",
        LensCall("number.money", (14,)),
        "item",
        ("value_eur",),
        one(st.none() | AMOUNTS.map(lambda value: f"{amount_text(value)} €")),
        one(st.none() | AMOUNTS),
    ),
    Case(
        "zero padded",
        LensCall("number.padded", (6,)),
        "item",
        ("value_eur",),
        one(st.none() | st.integers(0, 999999).map(lambda number: f"{number:06}")),
        one(st.none() | st.integers(0, 999999).map(Decimal)),
    ),
    Case(
        "uuid",
        LensCall("id.uuid"),
        "item",
        ("case_file_id",),
        one(st.none() | UUIDS.map(str)),
        one(st.none() | UUIDS.map(lambda one: one.bytes)),
    ),
    Case(
        "postal code",
        LensCall("address.postal_code"),
        "location",
        ("postal_code",),
        one(st.none() | st.integers(1000, 98999).map(lambda number: f"{number:05}")),
        one(st.none() | st.integers(1000, 98999).map(lambda number: f"{number:05}")),
    ),
    Case(
        "street",
        LensCall("address.street"),
        "location",
        ("address_number", "street_name"),
        st.tuples(st.sampled_from(["1 ", "12 BIS ", "7B ", ""]), WORDS).map(lambda two: ("".join(two),)),
        st.tuples(st.sampled_from([None, "1", "12 BIS", "7B"]), st.just("RUE HAUTE")),
    ),
    Case(
        "commune",
        LensCall("commune.cog"),
        "location",
        ("commune_code",),
        st.sampled_from([("GRENOBLE", "38"), ("SAINT EGREVE", "38"), (None, None)]),
        one(st.sampled_from([None, "38185", "49007", "04045"])),
        sources=("a", "b"),
        code_map="COMMUNE",
    ),
    Case(
        "dated code",
        LensCall("code.at", ("YYYY-MM-DD",)),
        "enforcement_unit",
        ("unit_code",),
        st.sampled_from([("A", None), (None, None)]),
        one(st.sampled_from([None, "U1", "U4", "U5"])),
        sources=("a", "b"),
        code_map="UNIT",
    ),
    Case(
        "looked up",
        LensCall("lookup", ("grade.label",)),
        "item",
        ("description",),
        one(st.sampled_from([None, "1", "4"])),
        one(st.sampled_from([None, "GARDIEN", "MAJOR"])),
    ),
    Case(
        "looked up by two",
        LensCall("lookup", ("post.label",)),
        "item",
        ("description",),
        st.sampled_from([(None, None), ("38", "1")]),
        one(st.sampled_from([None, "ACCUEIL"])),
        sources=("a", "b"),
    ),
    Case(
        "looked up code",
        LensCall("lookup", ("grade.label",)),
        "person_identity",
        ("sex_code",),
        one(st.sampled_from([None, "1"])),
        one(st.sampled_from([None, "M"])),
        code_map="GRADE",
    ),
    Case(
        "first phone",
        LensCall("phone.fr_each", (1,)),
        "contact_means",
        ("value_raw", "value_normalised", "country_code"),
        one(st.none() | WORDS),
        one(EVERYTHING).map(lambda v: (*v, None, None)),
    ),
    Case(
        "second phone",
        LensCall("phone.fr_each", (2,)),
        "contact_means",
        ("value_raw", "value_normalised", "country_code"),
        one(st.none()),
        st.just((None, None, None)),
    ),
)
MORE_DIRTY = [
    "HÃ©lÃ¨ne", "HÚlÞne", "H‚lŠne", "Hélène", "Ã©té é", "Â°", "â‚¬", "Ã", "ça…", "DUPONT\t\n", "\x1aFIN",
    "PV n° 12", "PV n° ", "REF-7", "REF-", "10,5 €", "10 EUR", "1 000,00 EUROS ", "000042", "12 BIS RUE HAUTE",
    "7B, IMPASSE", "RUE", "12", "1000", "38000", "99000", "00100", "St-Égrève", "GRENOBLE CEDEX 9",
    "LYON 3EME ARRONDISSEMENT", "Céreste", "38", "04", "69", "B", "C", "2012-05-01", "2015-01-01", "2021-05-01",
    "3", "4", "5", "6", "7", "0612345678 / 0476123456", "0612345678 ou 07 12 34 56 78",
    "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
    "6F9619FF-8B86-D011-B42D-00CF4FC964FF", "A/B/C", "/", "X" * 20, "X" * 21, str(uuid.UUID(int=0)), "1.50000",
    "-0.5", "1.23456",
]  # fmt: skip
"""What these lenses meet besides what all lenses are fed."""
