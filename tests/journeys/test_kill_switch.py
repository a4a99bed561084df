"""A controller dies, freezes or meets another one at every point: one side writes, nothing is lost, nothing doubled.

The moment after a deed is the moment before the next one, so that each gap between two deeds is one point.
"""

import signal
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest

import pytest
from projects import known_actor
from switches import PATIENT, ControllerProcess, SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Phase, Side
from banyan.errors import BanyanError, LeaseLost, StoreFenced
from cutover.guard import guard_once
from cutover.switching import roll_back, switch
from sync.lane import Step

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
EVERY_DAY = ("before CLOSE_LEGACY", "before SEAL_LEGACY", "before FLIP")
HALF_CLOSED = [
    "before CLOSE_LEGACY",
    pytest.param("before COMMIT_POSITION", marks=pytest.mark.torture),
    pytest.param("before VERIFY_CHANGED", marks=pytest.mark.torture),
    "before FLIP",
]


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
    """Every point of both ways; every day those whose death leaves most undone."""
    for there, back in zip_longest(SWITCH, ROLLBACK, fillvalue="after SETTLE"):
        yield pytest.param(there, back, marks=() if there in EVERY_DAY else pytest.mark.torture)


@pytest.mark.parametrize(("there", "back"), list(pairs()))
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


@pytest.mark.parametrize("point", [pytest.param("before DRAIN_REVERSE", marks=pytest.mark.torture), "before FLIP_BACK"])
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


@pytest.mark.parametrize(
    "point", [pytest.param("before OPEN_LEGACY", marks=pytest.mark.torture), "before COMMIT_OPENED"]
)
def test_the_guard_finishes_the_opening_of_a_dead_rollback_and_reads_listed_rows_again(world, point):
    switch(world.rig, world.closure, order())
    world.application(25)
    killed(world, "rollback", point)
    found = guard_once(world.rig, world.closure, now=now())

    assert found.phase is Phase.SYNCING and found.is_sure
    assert "finished the opening of the old side" in found.deeds
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("before CLOSE_LEGACY", marks=pytest.mark.torture),
        pytest.param("before SEAL_LEGACY", marks=pytest.mark.torture),
        "before FLIP",
    ],
)
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


@pytest.mark.torture
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


def end_leases(world):
    """Let the time pass after which others may take over what a frozen applier holds."""
    for table in ("run", "chunk"):
        world.ask_store(
            f"update mig.{table} set lease_until = now() - interval '1 s' where state in ('OPEN', 'LEASED')"
        )


def frozen_applier(world, way, step):
    made = ControllerProcess(world, way, step.value, signal.SIGSTOP)
    made.wait_until_stopped()
    if step is Step.MAPPED:  # inside its transaction it holds the row of its lease
        end_leases(world)
    return made


def new_side(world):
    """Every case and person of the new side, as its rows were last written."""
    return [world.ask_store(f"select id, row_version, updated_at, xmin::text from justice.{table} order by id")
            for table in ("case_file", "person_identity", "participation", "item")]  # fmt: skip


def old_side(world):
    """Every row of the closure on the old side, as it was last written."""
    return [world.ask_legacy(f"select ctid::text, xmin::text, t::text from orion.{table} t order by 1")
            for table in world.closure.tables]  # fmt: skip


def test_an_applier_frozen_before_it_writes_and_thawed_after_the_flip_commits_nothing(world):
    applier = frozen_applier(world, "forward", Step.MAPPED)
    switch(world.rig, world.closure, order())
    world.application(6)
    before = new_side(world)
    applier.thaw()

    assert applier.wait() == LeaseLost.exit_code
    assert new_side(world) == before
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


@pytest.mark.torture
def test_an_applier_of_the_way_back_frozen_before_it_writes_and_thawed_under_the_old_owner_commits_nothing(world):
    switch(world.rig, world.closure, order())
    world.application(6)
    applier = frozen_applier(world, "reverse", Step.MAPPED)
    roll_back(world.rig, world.closure, order())
    world.officers(4)
    before = old_side(world)
    applier.thaw()

    assert applier.wait() == StoreFenced.exit_code
    assert old_side(world) == before
    world.catch_up()
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.torture
def test_an_applier_frozen_inside_its_transaction_keeps_the_switch_from_beginning_and_what_it_wrote_counts_once(world):
    applier = frozen_applier(world, "forward", Step.WRITTEN)
    with pytest.raises(BanyanError) as refused:
        switch(world.rig, world.closure, order())
    between = (world.row.owner, world.phase, world.legacy_lets_write())
    applier.thaw()

    assert (refused.value.exit_code, between) == (4, (Side.LEGACY, Phase.SYNCING, True))
    assert applier.wait() == 0
    switch(world.rig, world.closure, order())
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))
    roll_back(world.rig, world.closure, order())
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.torture
def test_an_applier_of_the_way_back_frozen_inside_its_transaction_leaves_the_new_side_at_work(world):
    switch(world.rig, world.closure, order())
    world.application(6)
    applier = frozen_applier(world, "reverse", Step.WRITTEN)
    with pytest.raises(BanyanError) as refused:
        roll_back(world.rig, world.closure, order(limits=replace(PATIENT, rollback_seconds=10)))
    between = (world.phase, world.who_writes())
    world.application(3)
    applier.thaw()

    assert (refused.value.exit_code, between) == (3, (Phase.LIVE, "CANONICAL"))
    assert applier.wait() == 0
    roll_back(world.rig, world.closure, order())
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))
    assert world.reconcile().level.figures["differences"] == 0


def test_two_commands_at_once_make_one_switch(world):
    first, second = ControllerProcess(world, "switch"), ControllerProcess(world, "switch")
    codes = sorted((first.wait() or 0, second.wait() or 0))

    assert codes in ([0, 0], [0, 3])
    assert world.who_writes() == "CANONICAL"
    flips = [entry for entry in world.journal() if entry[0] == "FLIPPED"]
    assert len({entry[3] for entry in flips}) == len(flips)
    assert world.lost_or_doubled() == (0, 0, 0)
