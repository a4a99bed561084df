"""The terms of retention over whole columns: the same as one participation at a time, and kind in case of doubt."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.errors import RulesetError
from estate.catalogue import Defect
from estate.orion import generate
from mappings.outcomes import MapContext
from mappings.retention import OffenceClass, RetentionDates, RetentionDecision, Role, prolonged, retention_until
from mappings.retention_facts import FactReader
from mappings.retention_sources import FILE, load_retention_sources
from mappings.ruleset import load_rulebook
from mappings.terms import FACTS, NO_ROLE_LEFT, find_unapplied, judge_terms, list_archives
from tests.mappings.rule_files import PERSONNE, write_rules

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
TODAY = date(2026, 11, 1)
DAYS = st.dates(date(1980, 1, 1), date(2026, 10, 31))
LEAP_DAYS = st.sampled_from([date(2004, 2, 29), date(2008, 2, 29), date(1996, 2, 29)])
LINES = st.lists(
    st.tuples(
        st.sampled_from(["P1", "P2", "P3", None]),
        st.sampled_from(Role),
        st.booleans(),
        st.sampled_from(OffenceClass),
        st.none() | DAYS | LEAP_DAYS,
        st.none() | DAYS,
    ),
    min_size=1,
    max_size=8,
)


def facts_of(lines) -> pl.DataFrame:
    rows = [
        (str(n), person, f"C{n}", "DE", role.value, minor, klass.value, recorded, transmitted, False, True)
        for n, (person, role, minor, klass, recorded, transmitted) in enumerate(lines)
    ]
    return pl.DataFrame(rows, schema=FACTS, orient="row")


def one_by_one(lines) -> list[RetentionDecision]:
    """Say the same with the function of one participation, person by person."""
    own = [
        retention_until(role, minor=minor, offence_class=klass, dates=RetentionDates(recorded, transmitted))
        for _, role, minor, klass, recorded, transmitted in lines
    ]
    for person in {line[0] for line in lines} - {None}:
        places = [n for n, line in enumerate(lines) if line[0] == person and line[1] is Role.SUSPECT]
        for place, decision in zip(places, prolonged([(lines[n][4], own[n]) for n in places]), strict=True):
            own[place] = decision
    return own


@settings(max_examples=50, deadline=None)
@given(LINES)
def test_whole_columns_say_what_one_participation_at_a_time_says(lines):
    judged = judge_terms(facts_of(lines), as_of=TODAY).participations

    assert judged.select("until", "rule_code").rows() == [(one.until, one.rule_code) for one in one_by_one(lines)]


@settings(max_examples=50, deadline=None)
@given(LINES, st.data())
def test_one_more_offence_never_shortens_what_is_kept(lines, data):
    person, role, minor, klass, recorded, transmitted = data.draw(LINES)[0]
    before = judge_terms(facts_of(lines), as_of=TODAY).participations["until"]

    after = judge_terms(facts_of([*lines, (person, role, minor, klass, recorded, transmitted)]), as_of=TODAY)

    pairs = zip(before, after.participations["until"].head(len(lines)), strict=True)
    assert all((now or date.min) >= (then or date.min) for then, now in pairs)


@settings(max_examples=50, deadline=None)
@given(LINES)
def test_a_graver_offence_never_shortens_what_is_kept(lines):
    before = judge_terms(facts_of(lines), as_of=TODAY).participations["until"]
    graver = [(*line[:3], OffenceClass.LISTED_GRAVE, *line[4:]) for line in lines]

    after = judge_terms(facts_of(graver), as_of=TODAY).participations["until"]

    assert all((now or date.min) >= (then or date.min) for then, now in zip(before, after, strict=True))


def test_a_new_offence_before_the_end_prolongs_both_and_one_after_the_end_begins_anew():
    grave, ordinary, minor = OffenceClass.LISTED_GRAVE, OffenceClass.ORDINARY, OffenceClass.LISTED_MINOR
    first = ("P", Role.SUSPECT, False, minor, date(2000, 1, 1), None)
    late = ("P", Role.SUSPECT, False, ordinary, date(2005, 1, 2), None)
    in_time = ("P", Role.SUSPECT, False, grave, date(2004, 6, 1), None)

    apart = judge_terms(facts_of([first, late]), as_of=TODAY).participations
    together = judge_terms(facts_of([first, late, in_time]), as_of=TODAY).participations

    assert apart["until"].to_list() == [date(2005, 1, 1), date(2025, 1, 2)]
    assert together["until"].to_list() == [date(2044, 6, 1)] * 3
    assert set(together["rule_code"]) == {"TAJ-ADULT-40"}


def test_whoever_takes_part_in_an_open_case_is_kept_whatever_the_terms_say():
    old = facts_of([("P", Role.VICTIM, False, OffenceClass.ORDINARY, date(1990, 1, 1), None)])

    closed = judge_terms(old, as_of=TODAY)
    still_open = judge_terms(old.with_columns(case_open=pl.lit(value=True)), as_of=TODAY)

    assert closed.participations["is_expired"].to_list() == [True]
    assert closed.persons.select("key", "rule_code", "is_expired").rows() == [("P", NO_ROLE_LEFT, True)]
    assert still_open.participations["is_expired"].to_list() == [False]
    assert still_open.persons.height == 0


def test_the_last_day_itself_may_still_be_kept():
    day = facts_of([("P", Role.VICTIM, False, OffenceClass.ORDINARY, date(2010, 3, 1), None)])

    assert judge_terms(day, as_of=date(2025, 3, 1)).participations["is_expired"].to_list() == [False]
    assert judge_terms(day, as_of=date(2025, 3, 2)).participations["is_expired"].to_list() == [True]


def test_a_person_is_past_only_when_no_role_of_any_case_keeps_it():
    past = ("P", Role.VICTIM, False, OffenceClass.ORDINARY, date(1990, 1, 1), None)
    kept = ("P", Role.VICTIM, False, OffenceClass.ORDINARY, date(2020, 1, 1), None)
    unknown = ("Q", Role.WITNESS, False, OffenceClass.ORDINARY, date(1990, 1, 1), None)
    facts = facts_of([past, kept, unknown])

    assert judge_terms(facts, as_of=TODAY).persons.height == 0
    filtered = facts.with_columns(case_kept=pl.col("key") != "1")
    assert judge_terms(filtered, as_of=TODAY).persons["key"].to_list() == ["P"]


@pytest.fixture(scope="module")
def judged_estate():
    book = load_rulebook(ORION)
    sources = load_retention_sources(ORION, book)
    estate = generate("S", 7)
    reader = FactReader(sources, book, MapContext("38", "ORION", "Europe/Paris", b"k" * 32, TODAY))
    reduced = {table: reader.reduce(table, estate.tables[table]) for table in sources.columns}
    return estate, reader, reduced, judge_terms(reader.join(reduced), as_of=TODAY)


def test_most_of_an_old_base_is_past_its_terms(judged_estate):
    estate, _, _, judged = judged_estate
    live = estate.tables["t_implic"].filter(pl.col("top_supp") != "O")

    assert judged.participations["key"].to_list() == live["id_implic"].to_list()
    assert 0.42 <= judged.participations["is_expired"].mean() <= 0.70
    assert 0 < judged.persons.height < estate.tables["t_personne"].height


def test_every_row_past_its_term_is_named_by_an_opened_case_old_enough(judged_estate):
    _, _, _, judged = judged_estate
    past = judged.participations.filter("is_expired")

    assert past.filter(pl.col("case_open")).height == 0
    assert past.filter(pl.col("rule_code").is_null() | pl.col("until").is_null()).height == 0
    assert past.filter(pl.col("recorded_on") > date(2023, 11, 1)).height == 0


def test_the_list_of_archives_counts_without_naming_anyone(judged_estate):
    _, _, _, judged = judged_estate

    listed = list_archives(judged)

    assert listed.columns == ["series", "rule_code", "participations", "cases", "first_year", "last_year"]
    assert listed["participations"].sum() == judged.participations["is_expired"].sum()
    assert set(listed["series"]) <= {"CR", "DE", "CO", "RJ", "MO", "DI"}
    assert (listed["first_year"] <= listed["last_year"]).all()


def test_each_decision_that_erases_and_was_not_applied_is_found_and_nothing_else(judged_estate):
    estate, reader, reduced, judged = judged_estate
    planted = estate.defects.filter(pl.col("kind") == Defect.ACQUITTED_STILL_SUSPECT.kind)

    found = find_unapplied(reader.dispositions(reduced), judged)

    assert {(one.table, one.key) for one in found} == {("t_suite", key) for key in planted["key"]}
    assert all("erases" in one.cause for one in found)


def test_rules_that_leave_rows_to_be_judged_need_the_file_that_says_where(tmp_path):
    judged = PERSONNE.replace("""when: "nom = 'TOTO'\"""", "judged: retention")
    folder = write_rules(tmp_path / "rules", judged)
    book = load_rulebook(folder)

    with pytest.raises(RulesetError, match="leave rows to be judged"):
        load_retention_sources(folder, book)


@pytest.mark.parametrize(
    ("said", "wrong", "message"),
    [
        ("person: t_personne", "person: t_people", "table t_people has no rule"),
        ("recorded: dt_ouv", "recorded: dt_open", "table t_proc has no column dt_open"),
        ("role_map: ROLE", "role_map: ROLES", "unknown code map ROLES"),
        ("series: type_proc, ", "", "key series is missing"),
    ],
)
def test_a_wrong_place_of_a_term_is_refused(tmp_path, said, wrong, message):
    book = load_rulebook(ORION)
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_text((ORION / FILE).read_text(encoding="utf-8").replace(said, wrong), encoding="utf-8")

    with pytest.raises(RulesetError, match=message):
        load_retention_sources(tmp_path, book)
