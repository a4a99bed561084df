"""Two closures of one legacy system: nothing of one is lost by what is decided of the other, or told on its pages."""

from datetime import timedelta

import pytest
from projects import known_actor
from switches import NAME, SwitchWorld, switch_world

from banyan.clock import now
from banyan.departments import Actor, Side
from banyan.errors import SourceDrifted
from cutover.gauge import read_way_back
from cutover.guard import guard_once
from cutover.judgement import subject_of
from cutover.listed import degraded_of
from cutover.reconciling import reconcile_sides
from store.postgres import transaction
from validation.reconcile import reconcile
from validation.round_trip import check_round_trip

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]

LEAD, STEWARD = Actor("paul", "lead", "test"), Actor("claire", "steward", "test")
OTHER = "38.custody"
EDITS = (
    "update orion.t_objet set descr = 'OF THE GAP' where id_objet in"
    " (select id_objet from orion.t_objet where top_supp = 'N' order by id_objet limit 4)",
    "update orion.t_scelle set descr = 'OF THE GAP' where id_scelle in"
    " (select id_scelle from orion.t_scelle order by id_scelle limit 4)",
    "delete from orion.t_mvt_scelle where id_mvt in (select id_mvt from orion.t_mvt_scelle order by id_mvt limit 2)",
)


def differences(world: SwitchWorld, name: str) -> int:
    return int(reconcile(subject_of(world.rig, name), watermark=None).level.figures["differences"])


def both_decide(world: SwitchWorld, name: str, keep: Side = Side.LEGACY):
    for actor in (LEAD, STEWARD):
        done = reconcile_sides(world.rig, world.rig.closure(name), keep, actor=actor)
    return done


def lose_the_history(world: SwitchWorld) -> None:
    """What a purged log and a capture begun anew leave: edits that nobody wrote down, and fences that are known."""
    admin = world.rig.workspace.legacy_urls(world.rig.source).admin
    world.rig.port.remove_capture(admin)
    for edit in EDITS:
        world.ask_legacy(edit)
    world.rig.port.install_capture(admin, tuple(world.rig.book.rulesets))


def test_a_lost_history_is_made_good_in_every_closure_before_anything_is_followed_again(switch_world):
    world = switch_world
    world.catch_up()
    before = differences(world, NAME), differences(world, OTHER)
    lose_the_history(world)
    with pytest.raises(SourceDrifted, match="another incarnation"):
        world.catch_up()

    done = both_decide(world, NAME)
    world.catch_up()

    assert (before, done.is_done) == ((0, 0), True)
    assert (differences(world, NAME), differences(world, OTHER)) == (0, 0)
    assert {NAME, OTHER} <= set(done.read_again)
    look = guard_once(world.rig, world.rig.closure(OTHER), now=now() + timedelta(hours=1))
    assert look.is_sure


def listed_of(world: SwitchWorld, name: str) -> tuple[int, int, list[tuple[str, str, int]]]:
    """What cannot be written back, as the gauge, L6 and the facts of a closure tell it."""
    subject = subject_of(world.rig, name)
    gauge = read_way_back(world.rig, world.rig.closure(name))
    trip = check_round_trip(subject)
    with transaction(subject.engine) as connection:
        facts = [(each.table, each.column, each.count) for each in degraded_of(connection, subject)]
    return gauge.listed, int(trip.level.figures["open_degraded"]), facts


def test_what_cannot_be_written_back_is_told_of_its_own_closure_alone(switch_world):
    world = switch_world
    before = listed_of(world, NAME)
    world.ask_store(
        "insert into mig.degraded_write_back (department_code, source_table_no, main_id, canonical_table, column_name,"
        " kind, cause, state) values ('38', :number, gen_random_uuid(), 'evidence', 'description', 'NO_PLACE',"
        " 'no place for it', 'OPEN')", number=world.rig.table_numbers["t_scelle"],
    )  # fmt: skip

    after, other = listed_of(world, NAME), listed_of(world, OTHER)
    world.ask_store("delete from mig.degraded_write_back where cause = 'no place for it'")

    assert after == before
    assert other == (1, 1, [("evidence", "description", 1)])


@pytest.mark.torture
def test_a_fence_of_another_day_in_one_closure_leaves_the_changes_that_wait_in_the_others(switch_world):
    world = switch_world
    world.catch_up()
    for edit in EDITS:
        world.ask_legacy(edit.replace("OF THE GAP", "OF LATER"))
    world.ask_legacy("update banyan.fence set nonce = gen_random_uuid() where closure = :c", c=NAME)

    done = both_decide(world, NAME)
    world.catch_up()

    assert done.is_done
    assert (differences(world, NAME), differences(world, OTHER)) == (0, 0)
    assert done.read_again == (NAME,)
