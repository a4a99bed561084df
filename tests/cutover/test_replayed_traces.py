"""Each trace that breaks a mutant, played on real stores: the program never comes to the bad state."""

import pytest
from projects import known_actor
from replay import Orphan, Replay
from switches import SwitchWorld, order, switch_world

from banyan.clock import now
from banyan.departments import Phase, Side
from cutover.guard import guard_once
from cutover.mutants import MUTANTS, find_mutant
from cutover.plan import plan_switch
from cutover.reading import RigReader
from cutover.switching import abort, roll_back, switch

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]

# a copy that comes back from a backup is played in test_restores and test_deciding
RESTORED = {"NOISOLATE", "NODETECT", "NOLATCH", "LAGWIT", "DRAINAPART"}
DAILY = ("NOTOKEN", "RECLOSE", "DOWNGRADE")
OTHERS = [m.name for m in MUTANTS if m.killed_by and m.name not in RESTORED and m.name not in DAILY]


@pytest.fixture
def world(switch_world: SwitchWorld) -> SwitchWorld:
    """The module's world, at rest under LEGACY."""
    if switch_world.phase is Phase.SEALING or switch_world.phase in (Phase.FENCING, Phase.DRAINING, Phase.VERIFYING):
        abort(switch_world.rig, switch_world.closure, order())
    if switch_world.row.owner is Side.CANONICAL or switch_world.phase is Phase.R_OPENING:
        roll_back(switch_world.rig, switch_world.closure, order())
    if switch_world.phase is Phase.ABORTING:
        abort(switch_world.rig, switch_world.closure, order())
    switch_world.catch_up()
    switch_world.sign()
    return switch_world


def played(world, name):
    rows = world.ask_legacy(
        "select id_proc::text from orion.t_proc where top_supp = 'N' and dt_ouv > 20240101 order by id_proc limit 2"
    )
    replay = Replay(world, (rows[0][0], rows[1][0]))
    replay.play(find_mutant(name))
    return replay


def holds(world, name):
    replay = played(world, name)
    who, stands = world.who_writes(), replay.stands()
    if world.phase in (Phase.FENCING, Phase.DRAINING, Phase.VERIFYING, Phase.SEALING, Phase.ABORTING):
        abort(world.rig, world.closure, order())
    if world.phase is Phase.R_OPENING:
        guard_once(world.rig, world.closure, now=now())

    assert who != "BOTH"
    assert stands == replay.acknowledged
    assert replay.acknowledged or replay.refused
    assert world.who_writes() == ("CANONICAL" if world.row.owner is Side.CANONICAL else "LEGACY") or world.phase in (
        Phase.R_DRAINING,
        Phase.R_VERIFYING,
    )


@pytest.mark.parametrize("name", DAILY)
def test_the_trace_of_a_wrong_decision_ends_well_with_the_programs_own(world, name):
    holds(world, name)


@pytest.mark.torture
@pytest.mark.parametrize("name", OTHERS)
def test_the_trace_of_every_other_wrong_decision_ends_well_too(world, name):
    holds(world, name)


def test_a_late_orphan_of_the_forward_way_writes_nothing_once_the_owner_has_changed(world):
    world.ask_legacy("update orion.t_proc set observ = 'of the orphan' where id_proc ="
                     " (select max(id_proc) from orion.t_proc where top_supp = 'N' and dt_ouv > 20240101)")  # fmt: skip
    orphan = Orphan(world, "forward")
    world.ask_store("update mig.run set lease_until = now() - interval '1 s' where state = 'OPEN'")
    world.ask_store("update mig.chunk set lease_until = now() - interval '1 s' where state = 'LEASED'")
    switch(world.rig, world.closure, order())
    world.application(6)
    before = world.ask_store("select count(*), max(updated_at) from justice.case_file")
    orphan.go_on()

    assert world.ask_store("select count(*), max(updated_at) from justice.case_file") == before
    assert (world.who_writes(), world.lost_or_doubled()) == ("CANONICAL", (0, 0, 0))


def test_a_fenced_table_that_is_dropped_and_made_again_under_its_name_is_seen_by_plan_and_guard(world):
    world.ask_legacy("create table orion.t_tel_new (like orion.t_tel including all)")
    world.ask_legacy("insert into orion.t_tel_new select * from orion.t_tel")
    world.ask_legacy("grant select, insert, update, delete on orion.t_tel_new to orion_app")
    world.ask_legacy("grant select on orion.t_tel_new to banyan_reader")
    world.ask_legacy("alter table orion.t_tel rename to t_tel_old")
    world.ask_legacy("alter table orion.t_tel_new rename to t_tel")

    found = plan_switch(world.closure, Side.CANONICAL, RigReader(world.rig, world.closure)).obstacles
    doubts = guard_once(world.rig, world.closure, now=now()).doubts
    world.ask_legacy("drop table orion.t_tel")
    world.ask_legacy("alter table orion.t_tel_old rename to t_tel")

    assert any("t_tel: another table stands under this name" in each.sentence for each in found)
    assert any("t_tel" in doubt for doubt in doubts)
    assert guard_once(world.rig, world.closure, now=now()).is_sure
