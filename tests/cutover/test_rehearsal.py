"""There and back on a copy: the original is not touched, and its plan knows what to expect."""

import pytest
from projects import known_actor
from switches import NAME, switch_world

from banyan.departments import Actor, Side
from cutover.gauge import read_way_back, say_rehearsal
from cutover.plan import plan_switch
from cutover.reading import RigReader
from cutover.rehearsal import rehearse

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


def test_a_rehearsal_goes_there_and_back_on_a_copy_and_is_the_forecast_of_the_next_plan(switch_world):
    world, said = switch_world, []
    world.sign()
    before = (world.row, world.fence, world.ask_legacy("select count(*), max(observ) from orion.t_proc"))

    report = rehearse(world.rig, world.closure, actor=Actor("eva", "engineer", "test"), announce=said.append)

    assert (world.row, world.fence, world.ask_legacy("select count(*), max(observ) from orion.t_proc")) == before
    assert (report.closure, report.lost) == (NAME, 0)
    assert report.edits > 500 and report.rows > 1000
    assert [step.name.value for step in report.back] == ["close", "drain", "verify", "flip", "open", "settle"]
    assert said[0] == "copying both sides"
    gauge = read_way_back(world.rig, world.closure)
    assert gauge.rehearsal is not None and gauge.rehearsal.edits == report.edits
    assert say_rehearsal(gauge).startswith(f"rehearsed 0 days ago: {report.edits} edits, 0 lost")
    there, back = (plan_switch(world.closure, to, RigReader(world.rig, world.closure)) for to in
                   (Side.CANONICAL, Side.LEGACY))  # fmt: skip
    measured = {step.name: step.milliseconds for step in report.there}
    assert {step.name: step.expected_ms for step in there.steps} == measured
    assert back.expected_outage_ms == sum(s.milliseconds for s in report.back if s.name.value != "settle")
    assert not any("rehearsed" in remark for remark in there.remarks)
