"""The sheets of a cutover night say what the plan says, in its order, complete without network or script."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from banyan.departments import Department, Side
from cutover.plan import Plan, PlannedStep, steps_to
from cutover.preconditions.condition import Obstacle
from cutover.runbook.pages import Night, render_isolated, render_night
from cutover.runbook.steps import steps_of_night
from validation.text import Language

AT = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)


def plan_to(to: Side, **changes: object) -> Plan:
    steps = tuple(PlannedStep(number, name, to, 100 * number) for number, name in enumerate(steps_to(to), 1))
    plan = Plan(
        closure="38.cases+vehicles",
        to=to,
        domains=("cases", "vehicles"),
        epoch=3,
        evidence_id="e" * 64,
        rules_digest="r" * 64,
        fenced_tables=("t_proc",),
        shared_tables=(),
        steps=steps,
        changed_rows=12,
        budget_seconds=10,
        link_us=400,
        obstacles=(),
    )
    return replace(plan, **changes)


def night_of(plan: Plan, **changes: object) -> Night:
    night = Night(
        plan=plan,
        department=Department("38", "Isère", "Europe/Paris", 2),
        legacy_name="ORION",
        opens_at=AT + timedelta(hours=2),
        closes_at=AT + timedelta(hours=11),
        people={"c.morel": ("lead",), "a.durand": ("steward",)},
        way_back_until=AT + timedelta(days=90),
        rollback_seconds=540,
        open_statement="select banyan.open_by_code('38.cases+vehicles', '...');",
        lease_seconds=30,
    )
    return replace(night, **changes)


@pytest.mark.parametrize("to", list(Side))
def test_the_sheet_has_every_step_of_the_plan_in_its_order_with_its_time(to):
    plan = plan_to(to)

    lines = steps_of_night(plan)

    assert [line.number for line in lines] == list(range(1, len(lines) + 1))
    planned = lines[3 : 3 + len(plan.steps)]
    assert [line.expected_ms for line in planned] == [step.expected_ms for step in plan.steps]
    closed = sum(line.expected_ms for line in lines if line.is_closed)
    assert closed == plan.expected_outage_ms


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("to", list(Side))
def test_the_sheet_is_whole_without_a_script_and_names_plan_people_and_way_back(to, language):
    plan = plan_to(to)

    page = render_night(night_of(plan), at=AT, language=language)
    without_script = re.sub(r"<script>.*?</script>", "", page, flags=re.S)

    assert plan.digest[:16] in without_script
    assert "c.morel" in without_script
    assert f"banyan switch abort {plan.closure}" in without_script
    assert without_script.count('<li class="step">') == len(steps_of_night(plan))
    assert "http:" not in page
    assert "https:" not in page
    assert "script-src 'sha256-" in page


def test_what_is_missing_stands_above_the_steps_with_its_command():
    plan = plan_to(Side.CANONICAL, obstacles=(Obstacle("signed", "the evidence is not signed", "banyan gate sign"),))

    page = render_night(night_of(plan), at=AT, language=Language.EN)

    assert "NO-GO: 1 to lift" in page
    assert page.index("banyan gate sign") < page.index('<ol class="steps">')


def test_the_sheet_of_the_old_site_waits_for_the_lease_and_never_forces():
    page = render_isolated(night_of(plan_to(Side.CANONICAL)), at=AT, language=Language.EN)
    without_clock = render_isolated(night_of(plan_to(Side.CANONICAL), lease_seconds=0), at=AT, language=Language.EN)

    assert "opens by itself after 30 s" in page
    assert "it does not open by itself" in without_clock
    assert "open_by_code" in page
    assert "Force nothing" in page
