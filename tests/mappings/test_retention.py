from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.retention import RULES, OffenceClass, RetentionDates, RetentionDecision, Role, longest, retention_until

DAYS = st.dates(date(1950, 1, 1), date(2050, 12, 31))
DATES = st.builds(
    RetentionDates,
    recorded_on=st.none() | DAYS,
    transmitted_on=st.none() | DAYS,
    found_on=st.none() | DAYS,
)
RECORDED = RetentionDates(recorded_on=date(2010, 3, 1), transmitted_on=date(2010, 5, 1))


@pytest.mark.parametrize(
    ("role", "minor", "offence_class", "until", "rule"),
    [
        (Role.SUSPECT, False, OffenceClass.LISTED_MINOR, date(2015, 3, 1), "TAJ-ADULT-05"),
        (Role.SUSPECT, False, OffenceClass.ORDINARY, date(2030, 3, 1), "TAJ-ADULT-20"),
        (Role.SUSPECT, False, OffenceClass.LISTED_GRAVE, date(2050, 3, 1), "TAJ-ADULT-40"),
        (Role.SUSPECT, True, OffenceClass.LISTED_MINOR, date(2015, 3, 1), "TAJ-MINOR-05"),
        (Role.SUSPECT, True, OffenceClass.ORDINARY, date(2020, 3, 1), "TAJ-MINOR-10"),
        (Role.SUSPECT, True, OffenceClass.LISTED_GRAVE, date(2030, 3, 1), "TAJ-MINOR-20"),
        (Role.VICTIM, False, OffenceClass.LISTED_GRAVE, date(2025, 3, 1), "TAJ-VICTIM-15"),
        (Role.WITNESS, False, OffenceClass.ORDINARY, date(2013, 5, 1), "LRP-DRAFT-03"),
        (Role.MISSING, True, OffenceClass.ORDINARY, None, None),
    ],
)
def test_each_role_is_kept_for_its_term(role, minor, offence_class, until, rule):
    decision = retention_until(role, minor=minor, offence_class=offence_class, dates=RECORDED)

    assert decision == RetentionDecision(until, rule)


def test_a_missing_person_is_kept_until_found():
    dates = RetentionDates(recorded_on=date(2010, 3, 1), found_on=date(2011, 1, 2))

    decision = retention_until(Role.MISSING, minor=False, offence_class=OffenceClass.ORDINARY, dates=dates)

    assert decision == RetentionDecision(date(2011, 1, 2), "MISSING-FOUND")


def test_a_day_that_is_not_known_gives_no_last_day():
    decision = retention_until(
        Role.SUSPECT, minor=False, offence_class=OffenceClass.ORDINARY, dates=RetentionDates(None)
    )

    assert decision == RetentionDecision(None, None)


def test_a_term_from_a_leap_day_ends_on_the_first_of_march():
    decision = retention_until(
        Role.SUSPECT,
        minor=False,
        offence_class=OffenceClass.LISTED_MINOR,
        dates=RetentionDates(date(2004, 2, 29)),
    )

    assert decision.until == date(2009, 3, 1)


@settings(max_examples=50)
@given(st.sampled_from(Role), st.booleans(), DATES)
def test_a_graver_offence_is_never_kept_for_less_time(role, minor, dates):
    terms = [
        retention_until(role, minor=minor, offence_class=one, dates=dates).until or date.min for one in OffenceClass
    ]

    assert terms == sorted(terms)


@settings(max_examples=50)
@given(st.sampled_from(Role), st.sampled_from(OffenceClass), DATES)
def test_a_minor_is_never_kept_longer_than_an_adult(role, offence_class, dates):
    minor = retention_until(role, minor=True, offence_class=offence_class, dates=dates)
    adult = retention_until(role, minor=False, offence_class=offence_class, dates=dates)

    assert (minor.until is None) == (adult.until is None)
    assert (minor.until or date.min) <= (adult.until or date.min)


@settings(max_examples=50)
@given(st.sampled_from(Role), st.booleans(), st.sampled_from(OffenceClass), DATES, st.integers(0, 60))
def test_the_longest_term_wins_whatever_the_order_of_the_rules(role, minor, offence_class, dates, years):
    more = (*RULES, replace(RULES[0], code="ZZ-LOCAL", roles=frozenset(Role), ages=RULES[-1].ages, years=years))

    forward = retention_until(role, minor=minor, offence_class=offence_class, dates=dates, rules=more)
    backward = retention_until(role, minor=minor, offence_class=offence_class, dates=dates, rules=more[::-1])
    shipped = retention_until(role, minor=minor, offence_class=offence_class, dates=dates)

    assert forward == backward
    assert (forward.until or date.min) >= (shipped.until or date.min)


def test_several_offences_are_kept_for_the_longest_of_their_terms():
    short, long = RetentionDecision(date(2015, 1, 1), "A"), RetentionDecision(date(2030, 1, 1), "B")

    assert longest([short, RetentionDecision(None, None), long]) == long
    assert longest([]) == RetentionDecision(None, None)


def test_every_term_names_its_law():
    assert all(rule.basis and rule.roles and rule.ages for rule in RULES)
    assert len({rule.code for rule in RULES}) == len(RULES)
