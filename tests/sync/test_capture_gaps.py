"""A capture that was away and is repaired: what people wrote meanwhile is read before anything else is followed."""

import pytest
from projects import known_actor
from switches import NAME, ORION, SwitchWorld, TestWorkspace, switch_world

from banyan.config import load_project
from banyan.errors import SourceDrifted
from cutover.judgement import subject_of
from store.gaps import find_gaps
from store.postgres import transaction
from store.runs import RunKind
from sync.assembly import prepare
from sync.incremental import sync_once
from sync.movement import actor_of, carry_changes, first_copy
from validation.reconcile import reconcile

pytestmark = pytest.mark.server
__all__ = ["known_actor", "switch_world"]

DAMAGES = {
    "removed": "drop trigger zz_banyan_update on orion.t_objet; drop trigger zz_banyan_delete on orion.t_objet;"
    " drop trigger zz_banyan_truncate on orion.t_objet; drop trigger zz_banyan_insert on orion.t_objet",
    "deletes only": "alter table orion.t_objet disable trigger zz_banyan_delete",
    "emptied": "create or replace function banyan.capture_t_objet() returns trigger language plpgsql as"
    " 'begin return null; end'",
}


def write_unseen(world: SwitchWorld, mark: str) -> None:
    """Officers change and delete in the table nobody follows, and in one that is followed."""
    some = "select id_objet from orion.t_objet where top_supp = 'N' order by id_objet limit 5"
    world.ask_legacy(f"update orion.t_objet set descr = :mark where id_objet in ({some})", mark=mark)
    world.ask_legacy("delete from orion.t_objet where id_objet in (select max(id_objet) from orion.t_objet)")
    world.ask_legacy("update orion.t_tel set dt_maj = now() where id_tel in (select max(id_tel) from orion.t_tel)")


def differences(world: SwitchWorld) -> int:
    return int(reconcile(subject_of(world.rig, NAME), watermark=None).level.figures["differences"])


def waiting(world: SwitchWorld) -> list[str]:
    with transaction(world.rig.workspace.engine("banyan_forward")) as connection:
        return list(find_gaps(connection, ORION))


def prepare_again(world: SwitchWorld) -> None:
    prepare(TestWorkspace(load_project(world.project.folder)), ORION).workspace.close()


@pytest.mark.parametrize(
    "damage",
    [pytest.param(how, id=name, marks=[pytest.mark.torture] * (name != "removed")) for name, how in DAMAGES.items()],
)
def test_what_was_written_while_the_capture_was_away_is_found_by_the_load_that_repairs_it(switch_world, damage):
    world = switch_world
    world.catch_up()
    world.ask_legacy(damage)
    write_unseen(world, damage[:20])
    with pytest.raises(SourceDrifted, match="capture of t_objet"):
        world.catch_up()

    prepare_again(world)
    noted = waiting(world)
    first_copy(world.rig, actor_of(world.rig.workspace))
    world.catch_up()

    assert differences(world) == 0
    assert (noted, waiting(world)) == (["t_objet"], [])


def test_a_sweep_that_died_before_its_end_leaves_the_source_stopped_until_the_next_one(switch_world):
    world = switch_world
    world.catch_up()
    world.ask_legacy(DAMAGES["removed"])
    write_unseen(world, "BEFORE THE END")
    prepare_again(world)
    with pytest.raises(SourceDrifted, match="capture of t_objet was away"):
        world.catch_up()
    lane = world.rig.forward()
    begun = world.rig.forward_engine()
    run = begun._open(
        lane, RunKind.CHANGES, lane.watermark(), lane.watermark(), lambda: lane.plan_keys({"t_objet": ["1"]}), ""
    )

    carried = carry_changes(world.rig, actor_of(world.rig.workspace))

    assert world.ask_store("select state from mig.run where run_no = :no", no=run.run_no) == [("DONE",)]
    assert carried[0].total.rows.read > 50
    assert waiting(world) == []
    assert differences(world) == 0


def test_a_table_that_nothing_follows_ends_every_run_loudly_and_the_others_are_carried(switch_world):
    world = switch_world
    world.catch_up()
    urls = world.rig.workspace.legacy_urls(ORION)
    done = "select count(*) from mig.run where kind = 'CHANGES' and state = 'DONE'"
    ((before,),) = world.ask_store(done)
    world.rig.port.remove_capture(urls.admin, ["t_objet"])
    write_unseen(world, "NOBODY SAW")

    with pytest.raises(SourceDrifted, match="changes of t_objet are found by nothing") as met:
        carry_changes(world.rig, actor_of(world.rig.workspace))
    with pytest.raises(SourceDrifted, match="t_objet"):
        carry_changes(world.rig, actor_of(world.rig.workspace))
    with pytest.raises(SourceDrifted, match="t_objet"):
        sync_once(world.rig.workspace, ORION, run_key="a clock", actor=actor_of(world.rig.workspace))

    assert met.value.exit_code == 3
    assert world.ask_store(done) == [(before + 1,)]
    prepare_again(world)
    carry_changes(world.rig, actor_of(world.rig.workspace))
    assert differences(world) == 0


def test_preparing_a_sound_source_again_reads_nothing_again(switch_world):
    world = switch_world
    world.catch_up()

    prepare_again(world)

    assert waiting(world) == []
    assert world.catch_up() == 0
