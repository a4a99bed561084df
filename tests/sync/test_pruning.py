"""What everybody has read is forgotten in the old system: the journal stays small, and no reader misses a change."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from projects import known_actor
from switches import NAME, ORION, SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Phase
from banyan.errors import SourceDrifted
from banyan.records import Origin, Position
from cutover.switching import roll_back, switch
from store.buckets import JudgedUpTo, write_judged
from store.needed import find_forgettable
from store.postgres import transaction
from store.runs import RunKind
from sync.movement import actor_of, carry_changes
from sync.pruning import prune_capture

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]


@pytest.fixture
def world(switch_world: SwitchWorld) -> SwitchWorld:
    """The module's world, owned by LEGACY, nothing waiting."""
    switch_world.catch_up()
    return switch_world


def entries(world: SwitchWorld) -> int:
    return world.ask_legacy("select count(*) from banyan.journal")[0][0]


def let_pass(world: SwitchWorld, days: int) -> None:
    """Move every run into the past."""
    past = f"interval '{days} days'"
    world.ask_store(f"update mig.run set opened_at = opened_at - {past}, closed_at = closed_at - {past}")


def lay_down(world: SwitchWorld, evidence: str, position: Position, *, until: str) -> None:
    """Evidence of ten days ago that holds a Position, and stands until an instant."""
    world.ask_store(
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons, legacy_position,"
        f" made_at, expires_at) values (:e, '38', :c, 'light', 'GO', '[]', :p, now() - interval '10 days', {until})",
        e=evidence, c=NAME, p=position,
    )  # fmt: skip


def carry(world: SwitchWorld):
    return carry_changes(world.rig, actor_of(world.rig.workspace))


@pytest.mark.torture
def test_the_journal_of_the_old_system_stays_small_however_long_it_is_followed(world):
    seen = []
    for _ in range(4):
        world.officers(30)
        carry(world)
        let_pass(world, 3)
        seen.append(entries(world))

    assert seen[0] > 30
    assert max(seen) < 3 * seen[0]
    assert world.catch_up() == 0
    assert world.reconcile().level.figures["differences"] == 0


def test_a_process_that_dies_between_its_run_and_the_forgetting_loses_nothing_and_the_next_one_forgets(world):
    world.officers(20)
    world.catch_up()  # the run is closed, and whoever closed it died
    let_pass(world, 3)
    before = entries(world)
    world.officers(5)

    carry(world)

    assert entries(world) < before
    assert world.catch_up() == 0
    assert world.reconcile().level.figures["differences"] == 0


def test_what_an_evidence_a_judgement_or_an_open_run_needs_is_kept(world):
    world.officers(5)
    world.catch_up()
    let_pass(world, 20)
    needed = world.rig.port.head()
    world.officers(10)
    world.catch_up()
    let_pass(world, 5)
    lay_down(world, "stands", needed, until="now() + interval '3 seconds'")
    prune_capture(world.rig)
    by_evidence = len(world.rig.port.changes(needed))
    lay_down(world, "expired", needed, until="now() - interval '1 minute'")
    with transaction(world.rig.workspace.engine("banyan_judge")) as connection:
        ten_days_ago = now() - timedelta(days=10)
        write_judged(connection, JudgedUpTo("38", NAME, needed, "", "", "", "stands", "stands", ten_days_ago))
    time.sleep(3)
    prune_capture(world.rig)
    by_judgement = len(world.rig.port.changes(needed))
    world.ask_store("delete from mig.judged")
    lane, engine = world.rig.forward(), world.rig.forward_engine()
    world.officers(2)
    run = engine.open_changes(lane)
    world.ask_store("update mig.run set opened_at = now() - interval '10 days' where run_no = :no", no=run.run_no)
    prune_capture(world.rig)
    by_run = len(world.rig.port.changes(needed))
    engine.carry_all(lane, run)
    engine.finish(lane, run)
    removed = prune_capture(world.rig)

    assert by_evidence >= 5
    assert by_judgement == by_evidence
    assert by_run > by_judgement
    assert removed >= by_evidence
    with pytest.raises(SourceDrifted, match="pruned"):
        world.rig.port.changes(needed)
    assert world.catch_up() == 0


def test_while_the_new_system_owns_what_the_way_back_compares_is_kept(world):
    world.officers(20)
    world.catch_up()
    let_pass(world, 20)
    world.sign()
    switch(world.rig, world.closure, order())
    flip = world.ask_store("select facts ->> 'drain_position' from mig.journal where kind = 'FLIPPED'")[0][0]
    world.application(5)
    world.rig.reverse_engine().advance(world.rig.reverse(NAME), RunKind.REVERSE)

    removed = prune_capture(world.rig)

    assert removed > 0
    assert {change.origin for change in world.rig.port.changes(Position(flip))} == {Origin.ROUTE}
    roll_back(world.rig, world.closure, order())
    assert world.lost_or_doubled() == (0, 0, 0)


def test_nothing_is_forgotten_while_a_switch_is_in_flight(world):
    let_pass(world, 20)
    slices = [row for found in world.rig.closures for row in world.rig.slices(found.name)]
    moving = [replace(row, phase=Phase.DRAINING) for row in slices]
    with transaction(world.rig.workspace.engine("banyan_guard")) as connection:
        found = [find_forgettable(connection, ORION, some) for some in (slices, moving)]

    assert [each is None for each in found] == [False, True]
