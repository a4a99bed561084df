"""A plan is a value: it reads through a reader, changes nothing, and its digest covers what a person agrees to."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from banyan.departments import Closure, Phase, Side
from cutover.journal import Account, PastSwitch
from cutover.plan import StepName, plan_switch
from cutover.preconditions.condition import Moment, Obstacle, Scene
from cutover.preconditions.phase import can_go_back, can_switch
from cutover.preconditions.registered import PRECONDITIONS
from cutover.steps import describe
from store.slices import SliceRow

CLOSURE = Closure("38", ("cases", "vehicles"), ("t_personne", "t_proc"), ("t_personne",))
ROW = SliceRow("38", "cases", CLOSURE.name, Side.LEGACY, Phase.READY, 4, True, UUID(int=7), None, None, "e" * 64)


@dataclass
class Reader:
    """A world that a test says."""

    changed: int | None = 310
    last: PastSwitch | None = None
    link: int = 0
    missing: tuple[Obstacle, ...] = ()
    evidence: str | None = "a" * 64
    slice_row: SliceRow = field(default_factory=lambda: ROW)

    def row(self):
        return self.slice_row

    def evidence_id(self):
        return self.evidence

    def rules_digest(self):
        return "r" * 64

    def count_changed(self, to):
        return self.changed

    def past(self, to):
        return self.last

    def link_us(self):
        return self.link

    def obstacles(self, to):
        return self.missing

    def remarks(self, to):
        return ()


def planned(to=Side.CANONICAL, **said):
    return plan_switch(CLOSURE, to, Reader(**said))


def test_a_switch_has_six_steps_in_their_order():
    assert [(step.number, step.name.value) for step in planned().steps] == [
        (1, "close"), (2, "drain"), (3, "verify"), (4, "seal"), (5, "flip"), (6, "open"),
    ]  # fmt: skip


def test_a_way_back_seals_nothing_and_ends_by_settling_what_was_listed():
    assert [step.name.value for step in planned(Side.LEGACY).steps] == [
        "close", "drain", "verify", "flip", "open", "settle",
    ]  # fmt: skip


def test_the_expected_outage_runs_from_the_close_to_the_flip_and_follows_the_last_time():
    last = PastSwitch(
        Side.CANONICAL, 3, 900, {"close": 100, "drain": 200, "verify": 300, "seal": 40, "flip": 5, "open": 999}
    )

    found = planned(last=last)

    assert found.expected_outage_ms == 900
    assert [step.expected_ms for step in found.steps] == [140, 279, 418, 56, 7, 999], "shared out as they were"


@pytest.mark.parametrize(("link", "expected"), [(500, 900), (80_500, 900 + 40 * 80), (None, 900)])
def test_the_last_times_are_told_as_over_the_link_of_today(link, expected):
    last = PastSwitch(Side.CANONICAL, 3, 900, {"drain": 800, "flip": 5}, link_us=500)

    assert last.over(link) == expected
    assert planned(last=last, link=link).expected_outage_ms == expected


def test_a_first_switch_over_a_far_link_is_expected_to_take_longer():
    near, far = planned(link=0), planned(link=20_000)

    assert far.expected_outage_ms == near.expected_outage_ms + 40 * 20


def test_what_is_usual_is_the_median_of_each_step_of_the_last_five_and_nothing_before_a_rehearsal():
    def moved(number, drain):
        facts = {"to": "CANONICAL", "outage_ms": drain + 100, "drain_ms": drain, "flip_ms": 10}
        return {"kind": "SWITCHED", "epoch": number, "facts": facts}

    many = Account([moved(number, drain) for number, drain in enumerate((9000, 200, 300, 5000, 250, 260))])
    rehearsed = {"outage_ms": 40, "back_ms": 9, "there_drain": 30, "there_flip": 10}
    young = Account([*many.entries, {"kind": "REHEARSED", "epoch": 7, "facts": rehearsed}, moved(8, 50)])

    assert many.find_usual(Side.CANONICAL) == PastSwitch(Side.CANONICAL, 5, 360, {"drain": 260, "flip": 10})
    assert young.find_usual(Side.CANONICAL).step_ms == {"drain": 40, "flip": 10}
    assert many.find_usual(Side.LEGACY) is None


def test_the_way_back_counts_the_opening_and_not_the_settling():
    last = PastSwitch(
        Side.LEGACY, 3, 900, {"close": 10, "drain": 20, "verify": 30, "flip": 5, "open": 7, "settle": 9000}
    )

    found = planned(Side.LEGACY, last=last)

    assert found.expected_outage_ms == 900
    assert sum(step.expected_ms for step in found.steps if step.name is not StepName.SETTLE) == 900
    assert found.steps[-1].expected_ms == 9000


def test_the_digest_is_that_of_what_a_person_agrees_to():
    same = planned(changed=7, last=PastSwitch(Side.CANONICAL, 1, 1, {}), missing=(Obstacle("x", "y", "z"),))

    assert same.digest == planned().digest
    assert planned(evidence="b" * 64).digest != planned().digest
    assert planned(slice_row=replace(ROW, epoch=5)).digest != planned().digest
    assert planned(Side.LEGACY).digest != planned().digest


def test_a_plan_with_something_in_the_way_is_not_possible():
    missing = planned(missing=(Obstacle("signed", "the lead has not signed", "banyan gate sign 38.cases --as lead"),))

    assert (planned().is_possible, missing.is_possible) == (True, False)


@pytest.mark.parametrize("to", list(Side))
def test_every_step_says_what_it_does_and_when_it_is_done(to):
    plan = planned(to)

    words = [describe(step, plan) for step in plan.steps]

    assert len({each.title for each in words}) == 6
    assert all(each.done_when for each in words)


def test_the_number_of_rows_to_compare_is_said_only_when_it_is_known():
    (known,) = [s for s in planned().steps if s.name is StepName.VERIFY]

    assert describe(known, planned()).done_when == "~310 rows equal"
    assert describe(known, planned(changed=None)).done_when == "all changed rows equal"


def scene(phase):
    owner = phase.owner or Side.LEGACY
    return Scene(None, CLOSURE, replace(ROW, phase=phase, owner=owner), None, None, None)


def test_only_a_copied_closure_switches_and_only_a_live_one_goes_back():
    assert [phase for phase in Phase if can_switch(scene(phase)) is None] == [Phase.SYNCING, Phase.READY]
    assert [phase for phase in Phase if can_go_back(scene(phase)) is None] == [Phase.LIVE]


@pytest.mark.parametrize("phase", [p for p in Phase if p not in (Phase.SYNCING, Phase.READY)])
def test_a_refused_phase_is_a_sentence_with_a_next_command(phase):
    obstacle = can_switch(scene(phase))

    assert CLOSURE.name in obstacle.sentence
    assert obstacle.next_command.startswith("banyan ")


def test_each_direction_has_its_preconditions_and_the_phase_is_asked_first():
    for moment in (Moment.SWITCH, Moment.ROLLBACK):
        asked = [each.check.__module__.rsplit(".", 1)[1] for each in PRECONDITIONS if moment in each.moments]
        assert asked[0] == "phase"
        assert {"armed", "fenced", "way_back"} <= set(asked)


def test_the_reason_of_an_attempt_is_forgotten_once_another_begins():
    given_up = {"kind": "GIVEN_UP", "to_phase": "ABORTING", "epoch": 3, "facts": {"reason": "late"}}
    begun = {"kind": "TRANSITION", "to_phase": "FENCING", "epoch": 4, "facts": {}}

    assert Account([begun, given_up]).find_reason() == "late"
    assert Account([given_up, begun]).find_reason() == ""


def test_every_question_of_a_precondition_stands_on_the_page_for_the_night():
    page = (Path(__file__).parents[2] / "docs" / "cutover.md").read_text(encoding="utf-8")
    said = {Moment.SWITCH: "switch", Moment.ROLLBACK: "way back", Moment.COMPLETE: "end"}
    asked: dict[str, set[Moment]] = {}
    for each in PRECONDITIONS:
        asked.setdefault(each.question, set()).update(each.moments)

    for question, moments in asked.items():
        assert f"| {question} | {', '.join(said[moment] for moment in Moment if moment in moments)} |" in page


def test_no_command_has_an_option_that_forces():
    from cli.reference import render_commands

    assert "--force" not in render_commands()
