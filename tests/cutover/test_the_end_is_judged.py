"""The end of the way back rests on what both sides hold then: judged, signed by two, and given by two."""

import pytest
from projects import known_actor
from signing import signed_by, write_sign_off
from switches import NAME, order, switch_world

from banyan.departments import Actor, Phase
from banyan.errors import BanyanError, SwitchRefused
from banyan.findings import LevelState, VerdictKind
from cutover import protocol
from cutover.completing import complete
from cutover.control import Writing, move
from cutover.judgement import judge_closure
from cutover.switching import switch
from store.runs import RunKind
from validation.facts import Transition

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]
LEAD, STEWARD = Actor("paul", "lead", "test"), Actor("claire", "steward", "test")


def test_the_way_back_is_given_up_on_evidence_of_the_end_and_on_no_other(switch_world):
    world = switch_world
    world.sign()
    switch(world.rig, world.closure, order())
    world.application(10)
    world.rig.reverse_engine().advance(world.rig.reverse(NAME), RunKind.REVERSE)

    with pytest.raises(SwitchRefused) as on_that_of_the_switch:
        complete(world.rig, world.closure, actor=LEAD)
    with pytest.raises(BanyanError, match="without evidence of the profile complete"):
        move(world.rig.workspace.engine("banyan_guard"), NAME, actor=LEAD, writing=Writing(deadline=None),
             decide=lambda row: protocol.change(row, protocol.COMPLETE, epoch=row.epoch))  # fmt: skip
    judged = judge_closure(world.rig, NAME, profile="complete")
    with pytest.raises(SwitchRefused) as on_that_of_the_end_unsigned:
        complete(world.rig, world.closure, actor=LEAD)
    for role in ("steward", "lead"):
        write_sign_off(world.rig, signed_by(world.rig, judged.bundle.evidence_id, role))
    first = complete(world.rig, world.closure, actor=LEAD)
    done = complete(world.rig, world.closure, actor=STEWARD)

    reasons = [each.value.facts["reasons"] for each in (on_that_of_the_switch, on_that_of_the_end_unsigned)]
    assert [len(each) for each in reasons] == [1, 1]
    assert reasons[0][0].endswith("was made for the profile switch, not for complete")
    assert on_that_of_the_switch.value.hint == f"banyan validate run {NAME} --profile complete"
    assert "is not signed by a steward and a lead" in reasons[1][0]
    assert (judged.judgement.kind, judged.facts.transition) == (VerdictKind.AWAITING, Transition.COMPLETE)
    assert [judged.level(name).state for name in ("L1", "L2", "L3", "L4")] == [LevelState.PASS] * 4
    assert (first.is_done, done.is_done, world.phase) == (False, True, Phase.RETIRED)
    assert world.row.evidence_id == judged.bundle.evidence_id
