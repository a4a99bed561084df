"""A controller dies, freezes or meets another one at every point: one side writes, nothing is lost, nothing doubled.

The moment after a deed is the moment before the next one, so that each gap between two deeds is one point.
"""

import signal
from datetime import timedelta
from itertools import zip_longest

import pytest
from projects import known_actor
from switches import ControllerProcess, SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Phase
from cutover.guard import guard_once
from cutover.switching import roll_back, switch

pytestmark = [pytest.mark.server, pytest.mark.journey]
__all__ = ["known_actor", "switch_world"]

KILLED = -signal.SIGKILL
# point -> who can write once the controller is dead there
SWITCH = {
    "before START": "LEGACY",
    "before CLOSE_LEGACY": "LEGACY",
    "before READ_DRAIN_POSITION": "NOBODY",
    "before COMMIT_POSITION": "NOBODY",
    "before DRAIN": "NOBODY",
    "before VERIFY_CHANGED": "NOBODY",
    "before COMMIT_VERIFIED": "NOBODY",
    "before SEAL_LEGACY": "NOBODY",
    "before FLIP": "NOBODY",
    "after FLIP": "CANONICAL",
}
ROLLBACK = {
    "before ROLL_BACK": "CANONICAL",
    "before DRAIN_REVERSE": "NOBODY",
    "before COMMIT_ROLLED_DRAINED": "NOBODY",
    "before VERIFY_REVERSE": "NOBODY",
    "before FLIP_BACK": "NOBODY",
    "before OPEN_LEGACY": "NOBODY",
    "before COMMIT_OPENED": "LEGACY",
    "before SETTLE": "LEGACY",
    "after SETTLE": "LEGACY",
}
HALF_CLOSED = ["before CLOSE_LEGACY", "before COMMIT_POSITION", "before VERIFY_CHANGED", "before FLIP"]


@pytest.fixture
def world(switch_world: SwitchWorld) -> SwitchWorld:
    """The module's world, owned by LEGACY, its present state signed, with some unfinished work on the old side."""
    if switch_world.phase is Phase.LIVE:
        roll_back(switch_world.rig, switch_world.closure, order())
    assert switch_world.phase in (Phase.SYNCING, Phase.READY)
    switch_world.catch_up()
    switch_world.sign()
    switch_world.officers(3)
    return switch_world


def killed(world, deed, point):
    assert ControllerProcess(world, deed, point).wait() == KILLED


def much_later():
    return now() + timedelta(minutes=30)


def pairs():
    return list(zip_longest(SWITCH, ROLLBACK, fillvalue="after SETTLE"))


@pytest.mark.parametrize(("there", "back"), pairs())
def test_the_same_command_finishes_what_a_dead_controller_began(world, there, back):
    killed(world, "switch", there)
    after_death = world.who_writes()
    report = switch(world.rig, world.closure, order())
    after_switch = world.who_writes()
    counted = world.lost_or_doubled()

    assert (after_death, after_switch, counted) == (SWITCH[there], "CANONICAL", (0, 0, 0))
    assert report.was_done_before == (there == "after FLIP")

    world.application(8)
    killed(world, "rollback", back)
    after_death = world.who_writes()
    roll_back(world.rig, world.closure, order())

    assert (after_death, world.who_writes()) == (ROLLBACK[back], "LEGACY")
    assert world.lost_or_doubled() == (0, 0, 0)
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.parametrize("point", HALF_CLOSED)
def test_past_the_deadline_the_guard_reopens_the_old_side_and_a_second_run_completes(world, point):
    killed(world, "switch", point)
    early = guard_once(world.rig, world.closure, now=now())
    nobody_helped = world.phase
    late = guard_once(world.rig, world.closure, now=much_later())

    assert early.deeds == () and nobody_helped not in (Phase.SYNCING, Phase.ABORTING)
    assert late.is_sure and late.phase is Phase.SYNCING and len(late.deeds) == 2
    assert world.who_writes() == "LEGACY"
    world.officers(4)
    switch(world.rig, world.closure, order())
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


@pytest.mark.parametrize("point", ["before DRAIN_REVERSE", "before FLIP_BACK"])
def test_past_the_deadline_the_guard_cancels_a_dead_rollback_and_the_new_side_writes_again(world, point):
    switch(world.rig, world.closure, order())
    world.application(6)
    killed(world, "rollback", point)
    late = guard_once(world.rig, world.closure, now=much_later())

    assert late.is_sure and late.phase is Phase.LIVE
    assert world.who_writes() == "CANONICAL"
    world.application(4)
    roll_back(world.rig, world.closure, order())
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))


@pytest.mark.parametrize("point", ["before OPEN_LEGACY", "before COMMIT_OPENED"])
def test_the_guard_finishes_the_opening_of_a_dead_rollback_and_reads_listed_rows_again(world, point):
    switch(world.rig, world.closure, order())
    world.application(25)
    killed(world, "rollback", point)
    found = guard_once(world.rig, world.closure, now=now())

    assert found.phase is Phase.SYNCING and found.is_sure
    assert "finished the opening of the old side" in found.deeds
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.parametrize("point", ["before CLOSE_LEGACY", "before SEAL_LEGACY", "before FLIP"])
def test_a_frozen_controller_that_wakes_with_an_old_token_changes_nothing(world, point):
    zombie = ControllerProcess(world, "switch", point, signal.SIGSTOP)
    zombie.wait_until_stopped()
    given_up = guard_once(world.rig, world.closure, now=much_later())
    world.officers(4)
    report = switch(world.rig, world.closure, order())
    before = (world.row, world.fence, len(world.journal()))
    zombie.thaw()
    code = zombie.wait()

    assert given_up.phase is Phase.SYNCING
    assert report.owner.value == "CANONICAL"
    assert code in (0, 3, 5)
    assert (world.row, world.fence, len(world.journal())) == before
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


def test_a_frozen_abort_that_wakes_after_a_second_switch_opens_nothing(world):
    killed(world, "switch", "before DRAIN")
    zombie = ControllerProcess(world, "abort", "before OPEN_LEGACY", signal.SIGSTOP)
    zombie.wait_until_stopped()
    guard_once(world.rig, world.closure, now=much_later())
    switch(world.rig, world.closure, order())
    sealed = world.fence
    zombie.thaw()

    assert zombie.wait() == 5
    assert world.fence == sealed
    assert world.who_writes() == "CANONICAL"


def test_two_commands_at_once_make_one_switch(world):
    first, second = ControllerProcess(world, "switch"), ControllerProcess(world, "switch")
    codes = sorted((first.wait() or 0, second.wait() or 0))

    assert codes in ([0, 0], [0, 3])
    assert world.who_writes() == "CANONICAL"
    flips = [entry for entry in world.journal() if entry[0] == "FLIPPED"]
    assert len({entry[3] for entry in flips}) == len(flips)
    assert world.lost_or_doubled() == (0, 0, 0)
