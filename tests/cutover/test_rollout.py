"""The calendar of all slices: earliest feasible, refused with reasons, shown, and readable by calendar programs."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.errors import ConfigurationError
from cutover.rollout.assembly import move_wave
from cutover.rollout.board import render_board
from cutover.rollout.calendar_file import calendar_of
from cutover.rollout.check import check_rollout
from cutover.rollout.document import Rollout, RolloutDepartment, RolloutDocument, read_rollout
from cutover.rollout.nights import NightRule, refuse_night, window_of
from cutover.rollout.plan import plan_rollout
from cutover.rollout.standing import Standing
from validation.text import Language, Text

START = date(2026, 9, 1)
DOMAINS = ("reference", "vehicles", "cases+documents")


def rollout_of(**changes: object) -> Rollout:
    document = RolloutDocument.model_validate(
        {
            "starts_on": START,
            "rehearsal_days": 20,
            "teams": [{"name": "north", "nights_per_week": 2}, {"name": "south", "nights_per_week": 2}],
            "waves": [
                {"number": 1, "team": "north", "departments": ["48", "23"]},
                {"number": 2, "team": "south", "departments": ["2A", "974"]},
            ],
        }
        | changes
    )
    departments = {
        code: RolloutDepartment(code, code, zone, wave, tuple(f"{code}.{one}" for one in DOMAINS))
        for code, zone, wave in (
            ("48", "Europe/Paris", 1),
            ("23", "Europe/Paris", 1),
            ("2A", "Europe/Paris", 2),
            ("974", "Indian/Reunion", 2),
        )
    }
    return Rollout(document, departments, 90)


def test_the_first_cutover_waits_for_the_rehearsal_and_for_two_weeks_in_parallel():
    plan = plan_rollout(rollout_of(), today=START)

    first = plan.find_cutover("48.reference")
    assert plan.rehearsals[0].last == date(2026, 9, 21)
    assert first.night == date(2026, 10, 6)  # the first Tuesday after 5 October
    assert first.way_back_until == date(2027, 1, 4)
    assert (first.because, first.after) == ("14 days in parallel after the rehearsal", "rehearse 48")


def test_a_team_rehearses_one_department_at_a_time():
    rehearsals = {one.department: one for one in plan_rollout(rollout_of(), today=START).rehearsals}

    assert rehearsals["23"].first == rehearsals["48"].last
    assert rehearsals["23"].after == "rehearse 48"
    assert rehearsals["2A"].first == START


def test_rows_and_the_measured_rate_lengthen_a_rehearsal():
    rollout = rollout_of()
    big = replace(rollout.departments["48"], rows=40_000_000)
    rollout = replace(rollout, departments={**rollout.departments, "48": big}, rows_per_hour=1_000_000)

    plan = plan_rollout(rollout, today=START)

    assert plan.rehearsals[0].last == START + timedelta(days=20 + 5)  # 40 hours, 8 a day


@settings(max_examples=40, deadline=None)
@given(
    nights_per_week=st.integers(1, 3),
    per_night=st.integers(1, 2),
    frozen=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=4),
)
def test_every_proposed_calendar_keeps_every_rule(nights_per_week, per_night, frozen):
    excluded = [
        {
            "name": str(at),
            "kind": "freeze",
            "first": START + timedelta(days=begin),
            "last": START + timedelta(days=begin + long),
        }
        for at, (begin, long) in enumerate(frozen)
    ]
    rollout = rollout_of(
        teams=[{"name": "north", "nights_per_week": nights_per_week}, {"name": "south", "nights_per_week": 1}],
        cutovers_per_night=per_night,
        excluded=excluded,
        after={"974.reference": ["2A.vehicles"]},
    )

    plan = plan_rollout(rollout, today=START)
    as_decided = rollout.document.model_copy(update={"decided": {one.closure: one.night for one in plan.cutovers}})

    assert len(plan.cutovers) == 12
    assert check_rollout(replace(rollout, document=as_decided)) == ()
    assert min(one.night for one in plan.cutovers if one.wave == 2) > max(
        one.night for one in plan.cutovers if one.wave == 1
    )


def test_the_critical_path_leads_from_a_rehearsal_to_the_last_cutover():
    plan = plan_rollout(rollout_of(), today=START)

    assert plan.critical_path[0] == "rehearse 48"
    assert plan.critical_path[-1] == plan.cutovers[-1].closure
    nights = [plan.find_cutover(one).night for one in plan.critical_path if not one.startswith("rehearse")]
    assert nights == sorted(nights)


def test_nothing_is_proposed_in_the_past_and_what_moved_keeps_its_night():
    rollout = rollout_of(decided={"48.reference": date(2026, 10, 6)})

    plan = plan_rollout(rollout, today=date(2026, 12, 1))

    assert plan.find_cutover("48.reference").night == date(2026, 10, 6)
    assert all(one.night >= date(2026, 12, 1) for one in plan.cutovers if not one.is_decided)


@pytest.mark.parametrize(
    ("night", "zone", "rule"),
    [
        (date(2026, 10, 9), "Europe/Paris", NightRule.FRIDAY),
        (date(2026, 10, 7), "Europe/Paris", NightRule.WEEKDAY),
        (date(2026, 12, 17), "Europe/Paris", NightRule.FREEZE),  # the morning after is in the freeze
        (date(2027, 4, 13), "Europe/Paris", NightRule.ELECTION),
        (date(2026, 10, 24), "Indian/Reunion", NightRule.CLOCK_CHANGE),  # the clock of the rollout changes
        (date(2026, 8, 25), "Europe/Paris", NightRule.TOO_EARLY),
    ],
)
def test_a_night_is_refused_by_the_rule_it_breaks(night, zone, rule):
    document = rollout_of(
        nights=["tuesday", "thursday", "saturday"],
        excluded=[
            {"name": "freeze", "kind": "freeze", "first": "2026-12-18", "last": "2027-01-04"},
            {"name": "vote", "kind": "election", "first": "2027-04-02", "last": "2027-05-04"},
        ],
    ).document

    refusal = refuse_night(document, night, zone)

    assert refusal is not None
    assert refusal.rule is rule
    assert str(night) in refusal.sentence.fr
    assert str(night) in refusal.sentence.en


def test_the_window_lasts_hours_that_pass_even_when_the_clock_changes():
    document = rollout_of(nights=["saturday"]).document

    opens, closes = window_of(document, date(2026, 10, 24))

    assert closes - opens == timedelta(hours=9) or closes.astimezone(UTC) - opens.astimezone(UTC) == timedelta(hours=9)
    assert closes.hour == 5  # 21:00 and nine hours on the night that has one more


def test_check_names_each_conflict_of_decided_dates():
    tuesday = date(2026, 11, 10)
    rollout = rollout_of(
        decided={
            "48.reference": tuesday,
            "23.reference": tuesday,
            "48.cases": date(2026, 11, 12),
            "48.cases+documents": date(2026, 11, 13),
            "974.reference": date(2026, 9, 15),
            "99.reference": tuesday,
        }
    )

    found = {(one.closure, one.rule) for one in check_rollout(rollout)}

    assert found == {
        ("48.reference", "two cutovers for one team"),
        ("48.cases", "part of a closure"),
        ("48.cases+documents", "friday"),
        ("48.cases+documents", "open dependency"),
        ("974.reference", "too soon"),
        ("99.reference", "unknown"),
    }


def test_moving_a_wave_moves_what_follows_and_costs_coexistence():
    rollout = rollout_of()
    before = plan_rollout(rollout, today=START)

    after = plan_rollout(move_wave(rollout, 1, 21, before), today=START)

    assert after.find_cutover("48.reference").night == before.find_cutover("48.reference").night + timedelta(days=21)
    assert after.ends_on > before.ends_on


def test_the_calendar_file_opens_with_the_right_instants_and_the_same_names_each_time():
    rollout = rollout_of(decided={"48.reference": date(2026, 10, 6)})
    plan = plan_rollout(rollout, today=START)

    first = icalendar.Calendar.from_ical(calendar_of(rollout, plan, made_at=datetime(2026, 9, 1, tzinfo=UTC)))
    second = icalendar.Calendar.from_ical(calendar_of(rollout, plan, made_at=datetime(2026, 9, 2, tzinfo=UTC)))

    events = {str(one["uid"]): one for one in first.walk("VEVENT")}
    night = events["cutover-48.reference@banyan"]
    assert night["dtstart"].dt == datetime(2026, 10, 6, 19, tzinfo=UTC)  # 21:00 in Paris in summer
    assert night["dtend"].dt - night["dtstart"].dt == timedelta(hours=9)
    assert str(night["status"]) == "CONFIRMED"
    assert str(events["cutover-974.reference@banyan"]["status"]) == "TENTATIVE"
    assert events["way-back-48.reference@banyan"]["dtstart"].dt == date(2027, 1, 4)
    assert {str(one["uid"]) for one in second.walk("VEVENT")} == set(events)


@pytest.mark.parametrize("language", list(Language))
def test_the_board_shows_every_closure_and_asks_nothing_of_a_network(language):
    rollout = rollout_of(decided={"48.cases": date(2026, 11, 12)})
    plan = plan_rollout(rollout, today=START)
    standings = {
        "48.reference": Standing(
            "48.reference", "G4", "go", Text("Basculé", "Moved"), True, datetime(2027, 1, 4, tzinfo=UTC)
        ),
        "2A.vehicles": Standing("2A.vehicles", "G4", "nogo", Text.same("NO-GO"), is_blocked=True),
    }

    page = render_board(
        rollout,
        plan,
        standings=standings,
        conflicts=check_rollout(rollout),
        at=datetime(2026, 10, 1, tzinfo=UTC),
        language=language,
    )

    assert f'<html lang="{language.value}">' in page
    assert page.count('role="rowheader"') == 4
    assert "banyan gate show 2A.vehicles" in page
    assert "48.cases+documents" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    assert 'style="' not in page
    assert page.count('<rect class="gb"') == 2


def test_a_refusal_names_file_line_and_column(project_folder):
    (project_folder / "rollout.yaml").write_text(
        "rollout:\n  starts_on: 2026-09-01\n  nights: [tuesday, friday]\n  teams: [{name: n}]\n"
        '  waves: [{number: 1, team: n, departments: ["48"]}]\n',
        encoding="utf-8",
    )

    with pytest.raises(ConfigurationError) as refused:
        read_rollout(project_folder)

    assert "rollout.yaml:3:" in refused.value.message
    assert "no cutover starts on a Friday" in refused.value.message


def test_a_rollout_without_a_file_says_what_to_do(project_folder):
    with pytest.raises(ConfigurationError) as refused:
        read_rollout(project_folder)

    assert "rollout.yaml" in refused.value.message
    assert "banyan rollout --help" in refused.value.hint
