"""The lenses of dates and instants, with what to feed them."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from mappings.model import LensCall
from tests.mappings.lens_case import DAYS, MINUTES, Case, one

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

CLOSED, OCCURRED = ("closed_on",), ("occurred_from", "occurred_precision_code")
BORN = ("birth_date", "birth_date_precision_code")
DAY_VALUES = one(st.none() | DAYS)
BORN_DAYS = st.one_of(st.just((None, None)), DAYS.map(lambda day: (day, "DAY")))
ISO_TEXTS = st.one_of(
    DAYS.map(date.isoformat),
    DAYS.map(lambda day: f"{day.year:04}-{day:%m}-00"),
    DAYS.map(lambda day: f"{day.year:04}-00-00"),
    st.sampled_from([None, "0000-00-00"]),
)
SLASHED = st.none() | DAYS.map(lambda day: f"{day:%d/%m}/{day.year:04}")
SHORT_DAYS = st.none() | st.dates(date(1930, 1, 1), date(2029, 12, 31))
SHORT_TEXTS = SHORT_DAYS.map(lambda day: day and f"{day:%d/%m/%y}")
CENTURY = st.dates(date(1900, 1, 1), date(1999, 12, 31))
OLE_DAYS = st.integers(-328716, 2958465)
JULIAN_DAYS = st.none() | st.dates(date(1900, 1, 1), date(2899, 12, 31))
JULIAN_TEXTS = st.dates(date(1900, 1, 2), date(2899, 12, 31)).map(
    lambda day: f"{day.year - 1900:03}{day.timetuple().tm_yday:03}"
)
QUIET = MINUTES.filter(lambda instant: not (instant.month in (10, 11, 3, 4) and instant.hour < 6))
"""Instants far from any change of clock."""
ISO_INSTANTS = st.one_of(
    QUIET.map(lambda instant: f"{instant:%Y-%m-%d %H:%M:%S}").filter(lambda text: text[11:13] > "03"),
    st.sampled_from([None, "2019-07-01", "0000-00-00 00:00:00"]),
)
SECONDS = st.one_of(
    st.tuples(QUIET, st.integers(0, 59)).map(lambda two: (two[0].replace(second=two[1]), "MINUTE")),
    st.sampled_from([(datetime(2019, 5, 31, 22, tzinfo=UTC), "DAY"), (None, "UNKNOWN"), (None, None)]),
)
OLE_TEXTS = st.none() | st.tuples(st.integers(43650, 43700), st.integers(0, 86399)).map(
    lambda two: f"{two[0]}.{str(round(two[1] / 86400, 10))[2:]}" if two[1] % 8640 == 0 else f"{two[0]}.5104166667"
)
OLE_INSTANTS = st.one_of(
    SECONDS.filter(lambda value: value[1] == "MINUTE").map(lambda value: (value[0].replace(hour=10), "MINUTE")),
    st.sampled_from([(datetime(2019, 5, 31, 22, tzinfo=UTC), "DAY"), (None, None)]),
)

DATE_CASES = (
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
    Case("iso day", LensCall("date.iso"), "case_file", CLOSED, one(st.none() | DAYS.map(date.isoformat)), DAY_VALUES),
    Case("zero iso", LensCall("date.zero_iso"), "person_identity", PARTIAL, one(ISO_TEXTS), PRECISE),
    Case("one mask", LensCall("date.mask", ("DD/MM/YYYY",)), "case_file", CLOSED, one(SLASHED), DAY_VALUES),
    Case(
        "several masks",
        LensCall("date.masks", ("DD/MM/YYYY", "YYYY-MM-DD", "YYYYMMDD")),
        "case_file",
        CLOSED,
        one(SLASHED),
        DAY_VALUES,
    ),
    Case("pivot", LensCall("date.pivot", ("DD/MM/YY", 30)), "case_file", CLOSED, one(SHORT_TEXTS), one(SHORT_DAYS)),
    Case(
        "short compact",
        LensCall("date.pivot", (), {"mask": "YYMMDD", "pivot": 0}),
        "case_file",
        CLOSED,
        one(CENTURY.map(lambda day: f"{day:%y%m%d}")),
        one(CENTURY),
    ),
    Case("ole day", LensCall("date.ole"), "case_file", CLOSED, one(st.none() | OLE_DAYS.map(str)), DAY_VALUES),
    Case("ole birth", LensCall("date.ole"), "person_identity", BORN, one(st.none() | OLE_DAYS.map(str)), BORN_DAYS),
    Case("julian", LensCall("date.julian"), "case_file", CLOSED, one(st.none() | JULIAN_TEXTS), one(JULIAN_DAYS)),
    Case("iso instant", LensCall("instant.iso_local"), "incident", OCCURRED, one(ISO_INSTANTS), SECONDS),
    Case("ole instant", LensCall("instant.ole"), "incident", OCCURRED, one(OLE_TEXTS), OLE_INSTANTS),
)
