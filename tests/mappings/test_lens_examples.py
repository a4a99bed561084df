from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from mappings.catalogue import LENSES, find_lens
from mappings.plans import CAUSE, EVENT, REFUSED, value_name
from mappings.reading import there_and_back
from tests.mappings import lens_examples
from tests.mappings.lens_bench import CASES, plan_of, raw_frame, value_frame, written_rows

BY_NAME = {case.name: case for case in CASES}

READ = [
    ("padded", ("AB    ",), ("AB",)),
    ("padded", ("      ",), (None,)),
    ("use name", ("DURAND EP. MARTIN",), ("DURAND", "MARTIN")),
    ("use name", (" EP. MARTIN",), (None, "MARTIN")),
    ("given", (" JEAN  PAUL ",), ("JEAN PAUL",)),
    ("day", ("20190331",), (date(2019, 3, 31),)),
    ("day", ("0",), (None,)),
    ("day", ("99999999",), (None,)),
    ("partial", ("19560300",), (date(1956, 3, 1), "MONTH", "19560300")),
    ("partial", ("19560000",), (date(1956, 1, 1), "YEAR", "19560000")),
    ("partial", ("0",), (None, "UNKNOWN", "0")),
    ("masked", ("00/03/1956",), (date(1956, 3, 1), "MONTH", "00/03/1956")),
    ("local", ("20190701", "1430"), (datetime(2019, 7, 1, 12, 30, tzinfo=UTC), "MINUTE")),
    ("local", ("20190101", "    "), (datetime(2018, 12, 31, 23, 0, tzinfo=UTC), "DAY")),
    ("local", ("20191027", "0230"), (datetime(2019, 10, 27, 0, 30, tzinfo=UTC), "MINUTE")),
    ("integer", ("007",), (7,)),
    ("comma", ("1 234,50",), (Decimal("1234.5"),)),
    ("comma", ("-0,5",), (Decimal("-0.5"),)),
    ("implied", ("12345",), (Decimal("123.45"),)),
    ("implied", ("-7",), (Decimal("-0.07"),)),
    ("flag", ("O",), (True,)),
    ("flag", (" ",), (None,)),
    ("padded code", ("M ",), ("M",)),
    ("code", ("1",), ("M",)),
    ("phone", ("06.12.34.56.78",), ("06.12.34.56.78", "+33612345678", "FRA")),
    ("phone", ("0692 12 34 56",), ("0692 12 34 56", "+262692123456", "REU")),
    ("phone", ("+32 2 123 45 67",), ("+32 2 123 45 67", "+3221234567", None)),
    ("phone", ("06?",), ("06?", None, None)),
    ("plate", ("ab123cd",), ("ab123cd", "AB-123-CD", "SIV")),
    ("plate", ("AI-123-CD",), ("AI-123-CD", None, "UNKNOWN")),
    ("plate", ("209 BT 20",), ("209 BT 20", "209 BT 20", "FNI")),
    ("plate", ("123 ABC 2A",), ("123 ABC 2A", "123 ABC 2A", "FNI")),
    ("plate", ("1234 AB 96",), ("1234 AB 96", None, "UNKNOWN")),
    ("plate", ("B MW 1234",), ("B MW 1234", "BMW1234", "FOREIGN")),
    ("case number", ("00123/2019  ",), ("00123/2019  ", "123/2019")),
]

REJECTED = [
    ("day", ("19800231",), "not a day of the calendar"),
    ("day", ("19560300",), "a partial date has no place here"),
    ("day", ("2019033",), "not a date of the expected form"),
    ("partial", ("19561300",), "not a day of the calendar"),
    ("local", ("20190101", "2575"), "not an hour of the day"),
    ("integer", ("99999",), "outside the range of the canonical column"),
    ("comma", ("12,34567",), "not an amount with at most four decimals"),
    ("comma", ("1.234,50",), "not an amount with at most four decimals"),
    ("flag", ("?",), "neither yes nor no nor blank"),
    ("padded code", ("X ",), "a code that the code map does not know"),
    ("verbatim", ("a\x00",), "holds the character NUL, which no canonical text can hold"),
]

WRITTEN = [
    ("padded", ("AB",), ("AB    ",)),
    ("partial", (date(1956, 3, 1), "MONTH", None), ("19560300",)),
    ("partial", (None, "UNKNOWN", None), ("0",)),
    ("masked", (date(1956, 1, 1), "YEAR", None), ("00/00/1956",)),
    ("local", (datetime(2019, 7, 1, 12, 30, tzinfo=UTC), "MINUTE"), ("20190701", "1430")),
    ("local", (datetime(2018, 12, 31, 23, 0, tzinfo=UTC), "DAY"), ("20190101", "    ")),
    ("comma", (Decimal("1234567.5"),), ("1 234 567,50",)),
    ("implied", (Decimal("-0.07"),), ("-7",)),
    ("flag", (False,), ("N",)),
    ("padded code", ("M",), ("M ",)),
]


EVERY_READ, EVERY_REJECTED = READ + lens_examples.READ, REJECTED + lens_examples.REJECTED
EVERY_WRITTEN = WRITTEN + lens_examples.WRITTEN


@pytest.mark.parametrize(("name", "raws", "values"), EVERY_READ)
def test_a_text_is_read_as_this_value(name, raws, values):
    case = BY_NAME[name]

    read = plan_of(case).read(raw_frame(case, [raws]))

    assert read.select(value_name(number) for number in range(len(values))).row(0) == values
    assert read[CAUSE].to_list() == [None]


@pytest.mark.parametrize(("name", "raws", "cause"), EVERY_REJECTED)
def test_a_text_is_rejected_for_this_cause_and_gives_no_value(name, raws, cause):
    case = BY_NAME[name]

    read = plan_of(case).read(raw_frame(case, [raws]))

    assert read[CAUSE].to_list() == [cause]
    assert set(read.select(value_name(number) for number in range(len(case.to))).row(0)) == {None}


@pytest.mark.parametrize(("name", "values", "raws"), EVERY_WRITTEN)
def test_a_value_is_written_as_this_text(name, values, raws):
    plan = plan_of(BY_NAME[name])

    assert written_rows(plan, value_frame(plan, [values])) == [raws]


@pytest.mark.parametrize(("name", "raws", "event"), lens_examples.EVENTS)
def test_a_text_is_read_and_counted_for_this_event(name, raws, event):
    case = BY_NAME[name]

    read = there_and_back(plan_of(case), raw_frame(case, [raws]))

    assert read[EVENT].to_list() == [event]
    assert read["lost0"].to_list() == [True]


@pytest.mark.parametrize(("name", "values", "kind"), lens_examples.REFUSED)
def test_a_value_without_a_form_in_the_old_system_is_refused(name, values, kind):
    plan = plan_of(BY_NAME[name])

    assert plan.write(value_frame(plan, [values]))[REFUSED].to_list() == [kind]


def test_every_lens_is_put_to_its_law_and_has_a_golden_example():
    lenses = set(LENSES) - {"ref", "part"}

    assert {find_lens(case.call).name for case in CASES} == lenses
    shown = {find_lens(BY_NAME[name].call).name for name, *_ in EVERY_READ + EVERY_REJECTED}
    assert shown == lenses
