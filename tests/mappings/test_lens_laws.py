import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings.catalogue import LENSES as CATALOGUE
from mappings.catalogue import find_lens
from mappings.lanes import Lane, come_and_go, run_in_lane
from mappings.lenses.library import ANSWERED_WITH_IDENTIFIERS
from mappings.lenses.library import LENSES as LIBRARY
from mappings.plans import AT, CAUSE, EVENT, EVENT_AT, REFUSED, value_name
from mappings.reading import lost_name, there_and_back
from tests.mappings.lens_bench import (
    CASES,
    DIRTY,
    plan_of,
    raw_frame,
    reference_read,
    reference_write,
    value_frame,
    written_rows,
)
from tests.mappings.lens_case import NOISE
from tests.mappings.reference_lenses import CAUSES

FEW = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)


def rows_of(strategy):
    return st.lists(strategy, min_size=1, max_size=40)


def dirty_rows(case):
    cell = st.sampled_from(DIRTY) | st.text(NOISE, max_size=14)
    return st.lists(st.tuples(*[cell] * len(case.sources)), min_size=1, max_size=40)


def event_of(cause_and_source):
    return (None, None) if cause_and_source is None else (CAUSES[cause_and_source[0]], cause_and_source[1])


def check_read(case, rows):
    plan = plan_of(case)
    read = plan.read(raw_frame(case, rows))

    names = [value_name(number) for number in range(len(case.to))]
    for row, values, faults in zip(
        rows, read.select(names).rows(), read.select(CAUSE, AT, EVENT, EVENT_AT).rows(), strict=True
    ):
        expected, rejection, event = reference_read(case, row)
        assert values == expected
        assert faults[:2] == (rejection or (None, None))
        assert (faults[2], faults[3] if faults[2] else None) == event_of(event)


def check_write(case, rows):
    plan = plan_of(case)
    read = plan.read(raw_frame(case, rows))
    written, refused = written_rows(plan, read), plan.write(read)[REFUSED].to_list()
    values = read.select([value_name(number) for number in range(len(case.to))]).rows()

    for value, raws, refusal in zip(values, written, refused, strict=True):
        expected = reference_write(case, value)
        assert (refusal if refusal else raws) == expected


def test_every_lens_of_the_catalogue_has_its_expressions():
    assert set(LIBRARY) | ANSWERED_WITH_IDENTIFIERS == set(CATALOGUE)


@EVERY_CASE
def test_every_dirty_text_is_read_as_the_row_by_row_oracle_reads_it(case):
    check_read(case, [(cell,) * len(case.sources) for cell in DIRTY])
    if len(case.sources) > 1:
        pairs = [(left, right) for left in DIRTY for right in DIRTY]
        check_read(case, random.Random(7).sample(pairs, 3000))


@EVERY_CASE
def test_every_dirty_text_is_written_again_as_the_oracle_writes_it(case):
    check_write(case, [(cell,) * len(case.sources) for cell in DIRTY])


@EVERY_CASE
@FEW
@given(data=st.data())
def test_random_texts_are_read_and_written_as_the_oracle_does(case, data):
    rows = data.draw(dirty_rows(case))

    check_read(case, rows)
    check_write(case, rows)


@EVERY_CASE
@FEW
@given(data=st.data())
def test_a_text_of_the_domain_comes_back_byte_for_byte_without_residue(case, data):
    rows = data.draw(rows_of(case.domain))
    plan = plan_of(case)

    read = plan.read(raw_frame(case, rows))

    assert read[CAUSE].null_count() == len(rows)
    assert written_rows(plan, read) == rows


@EVERY_CASE
@FEW
@given(data=st.data())
def test_a_value_that_the_old_system_can_hold_is_read_back_unchanged(case, data):
    plan = plan_of(case)
    values = value_frame(plan, data.draw(rows_of(case.values)))

    written = plan.write(values)
    read = plan.read(raw_frame(case, written_rows(plan, values)))

    assert written[REFUSED].null_count() == values.height
    assert plan.agrees(read, values).all()


@EVERY_CASE
@FEW
@given(data=st.data())
def test_a_dirty_text_comes_back_or_is_kept_as_residue(case, data):
    rows = data.draw(dirty_rows(case))
    raws, plan = raw_frame(case, rows), plan_of(case)

    result = there_and_back(plan, raws)

    again = written_rows(plan, result)
    for number in range(len(case.sources)):
        for row, written, lost in zip(rows, again, result[lost_name(number)], strict=True):
            assert lost or written[number] == row[number]
    rejected = result[CAUSE].is_not_null()
    assert all(result[lost_name(number)].filter(rejected).all() for number in range(len(case.sources)))


@EVERY_CASE
def test_the_lane_of_distinct_values_gives_what_the_plain_expression_gives(case):
    plan = plan_of(case)
    raws = raw_frame(case, [(cell,) * len(case.sources) for cell in DIRTY * 3])

    distinct = run_in_lane(raws, plan.read, Lane.DISTINCT)

    assert distinct.equals(run_in_lane(raws, plan.read, Lane.PLAIN))


@EVERY_CASE
def test_the_fused_program_gives_what_the_lens_gives_by_itself(case):
    plan = plan_of(case)
    raws = raw_frame(case, [(cell,) * len(case.sources) for cell in DIRTY])

    fused = come_and_go([plan], raws, Lane.FUSED).select(*plan.answers, *plan.losses)

    assert fused.equals(come_and_go([plan], raws, Lane.PLAIN).select(fused.columns))


@EVERY_CASE
def test_outputs_are_derived_as_the_catalogue_declares(case):
    declared = [output.derived for output in find_lens(case.call).outputs]

    assert [output.derived for output in plan_of(case).outputs] == declared[: len(case.to)]
