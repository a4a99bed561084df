"""The watchdog: deadlines, half-open switches, a store that has started, and the seal of the old side."""

from datetime import timedelta

import pytest
from projects import known_actor
from states import left_at
from switches import NAME, SwitchWorld, build_switch_world, order

from banyan.clock import now
from banyan.departments import Phase
from banyan.errors import StoreFenced
from cutover.alive import print_unit, read_sign_of_life
from cutover.guard import guard_once, run_guard
from cutover.status import Writer, read_status
from cutover.switching import abort, roll_back, switch
from store.postgres import transaction
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

pytestmark = pytest.mark.server
__all__ = ["known_actor"]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server that these tests may restart."""
    home = cluster_home(tmp_path_factory.mktemp("guarded"), "both")
    server = Cluster(ClusterPlace(home, Durability.THROWAWAY)).start()
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def guarded(own_server, tmp_path_factory) -> SwitchWorld:
    made = build_switch_world(own_server, tmp_path_factory.mktemp("guarded-project") / "project")
    yield made
    made.rig.workspace.close()


@pytest.fixture
def live(guarded) -> SwitchWorld:
    if guarded.phase is not Phase.LIVE:
        guarded.catch_up()
        guarded.sign()
        switch(guarded.rig, guarded.closure, order())
    return guarded


@pytest.fixture
def ready(guarded) -> SwitchWorld:
    if guarded.phase is Phase.LIVE:
        roll_back(guarded.rig, guarded.closure, order())
    guarded.catch_up()
    guarded.sign()
    return guarded


def look(world, later=timedelta(0)):
    return guard_once(world.rig, world.closure, now=now() + later)


def restarted(world, server):
    """Restart the server under both stores, as after a power cut."""
    server.stop(immediately=True)
    server.start()
    with pytest.raises(StoreFenced), transaction(world.rig.workspace.engine("banyan_app")) as connection:
        connection.exec_driver_sql("update justice.case_file set note_text = note_text where department_code = '38'")


def test_at_rest_there_is_nothing_to_do_and_nothing_to_doubt(ready):
    before = (ready.row, ready.fence)

    found = look(ready, timedelta(minutes=30))

    assert (found.deeds, found.doubts, found.is_sure) == ((), (), True)
    assert (ready.row, ready.fence) == before


def test_a_live_closure_with_its_seal_is_sure(live):
    found = look(live)

    assert (found.phase, found.deeds, found.doubts) == (Phase.LIVE, (), ())


def test_a_switch_within_its_time_is_left_alone_and_given_up_past_it(ready):
    left_at(ready, "before VERIFY_CHANGED")

    early = look(ready)
    late = look(ready, timedelta(minutes=5))

    assert (early.phase, early.deeds) == (Phase.VERIFYING, ())
    assert late.deeds == ("gave up VERIFYING: its time was over", "finished an abort")
    assert (late.phase, ready.who_writes()) == (Phase.SYNCING, "LEGACY")


def test_an_abort_whose_controller_died_is_finished(ready):
    left_at(ready, "before DRAIN")
    left_at(ready, "before OPEN_LEGACY", abort)

    found = look(ready, timedelta(minutes=5))

    assert found.deeds == ("finished an abort",)
    assert ready.who_writes() == "LEGACY"


def test_an_unsealed_old_side_while_the_new_one_owns_is_said_at_once(live):
    live.ask_legacy("update banyan.fence set mode = 'OPEN' where closure = :c", c=NAME)

    found = look(live)
    status = read_status(live.rig, live.closure)
    live.ask_legacy("update banyan.fence set mode = 'SEALED' where closure = :c", c=NAME)

    assert found.doubts[0] == "the old side is OPEN while the new system owns: both could write"
    assert "the old side lets people write in t_proc while the new system owns" in found.doubts
    assert (status.writer, len(status.doubts)) == (Writer.UNKNOWN, 1)
    assert look(live).is_sure


def test_an_old_side_restored_from_a_backup_is_recognised_by_its_nonce(live):
    live.ask_legacy("update banyan.fence set nonce = gen_random_uuid() where closure = :c", c=NAME)

    found = look(live)
    live.ask_legacy("update banyan.fence set nonce = :n where closure = :c", n=live.row.nonce, c=NAME)

    assert found.doubts == (
        "the old side is not the one banyan knows: restored from a backup, or worked by another hand",
        f"the old side is SEALED; two people decide: banyan switch reconcile {NAME}",
    )


def test_a_table_whose_trigger_was_switched_off_under_the_seal_is_named(live):
    live.ask_legacy("alter table orion.t_tel disable trigger aa_banyan")

    found = look(live)
    live.ask_legacy("alter table orion.t_tel enable always trigger aa_banyan")

    assert any("t_tel" in doubt and "disabled" in doubt for doubt in found.doubts)
    assert any("lets people write in t_tel" in doubt for doubt in found.doubts)


def test_one_closure_in_trouble_never_keeps_the_others_from_being_looked_at(live):
    live.ask_legacy("update banyan.fence set nonce = gen_random_uuid() where closure = :c", c=NAME)
    reports = []

    is_sure = run_guard(
        [(live.rig, closure) for closure in live.rig.closures],
        report=reports.append,
        is_stopped=lambda: len(reports) >= 5,
        period_seconds=0,
    )
    live.ask_legacy("update banyan.fence set nonce = :n where closure = :c", n=live.row.nonce, c=NAME)

    assert is_sure is False
    assert {report.closure: report.is_sure for report in reports} == {
        NAME: False, "38.custody": True, "38.documents": True, "38.logbook": True, "38.reference": True,
    }  # fmt: skip


def test_a_guard_leaves_a_heartbeat_and_is_missed_when_it_stops(live):
    engine = live.rig.workspace.engine("banyan_guard")
    live.ask_store("delete from mig.guard_beat")
    never = read_sign_of_life(engine)
    reports = []
    run_guard([(live.rig, live.closure)], report=reports.append, is_stopped=lambda: bool(reports), period_seconds=0)
    alive, shown = read_sign_of_life(engine), read_status(live.rig, live.closure)
    live.ask_store("update mig.guard_beat set beat_at = beat_at - interval '10 minutes'")
    dead, missed = read_sign_of_life(engine), read_status(live.rig, live.closure)
    live.ask_store("delete from mig.guard_beat")

    assert (never.is_alive, never.sentence) == (False, "no guard has ever watched this store")
    assert alive.is_alive and shown.alarms == () and "is alive" in shown.guard
    assert not dead.is_alive and "is dead: last seen 10 min ago" in dead.sentence
    assert missed.alarms == (f"{dead.sentence}; what is late is given up by nobody",)


def test_the_unit_of_the_guard_starts_again_by_itself_and_holds_no_secret():
    unit = print_unit("/srv/isere", "/opt/banyan/bin/python")

    assert "ExecStart=/opt/banyan/bin/python -m cli.main -C /srv/isere guard\n" in unit
    assert {"Restart=always", "KillSignal=SIGINT", "ProtectSystem=strict"} <= set(unit.splitlines())
    assert "password" not in unit.lower()


def test_a_store_that_restarted_in_live_starts_shut_and_is_armed_once_it_fits(live, own_server):
    restarted(live, own_server)
    shut = live.who_writes()

    found = look(live)

    assert shut == "NOBODY"
    assert found.deeds == ("armed the store after its start: it fits the journal and the old side",)
    assert (found.is_sure, live.who_writes()) == (True, "CANONICAL")


def test_a_store_that_restarted_while_the_old_side_was_sealed_is_armed_and_then_given_up(ready, own_server):
    left_at(ready, "before FLIP")
    restarted(ready, own_server)

    found = look(ready, timedelta(minutes=5))

    assert [deed.split(":")[0] for deed in found.deeds] == [
        "armed the store after its start", "gave up SEALING", "finished an abort",
    ]  # fmt: skip
    assert ready.who_writes() == "LEGACY"


def test_a_dead_close_whose_nonce_has_turned_does_not_look_like_a_restored_copy(ready, own_server):
    left_at(ready, "before COMMIT_POSITION")
    restarted(ready, own_server)

    found = look(ready, timedelta(minutes=5))

    assert (found.is_sure, found.phase) == (True, Phase.SYNCING)
    assert ready.row.nonce == ready.fence.nonce


# the last ones leave the closure halted: people would have to decide
def test_a_store_older_than_the_old_sides_token_is_stopped_until_people_decide(live, own_server):
    live.ask_legacy("update banyan.fence set token = token + 40 where closure = :c", c=NAME)
    token = live.fence.token
    restarted(live, own_server)

    found = look(live)
    again = look(live)

    assert found.phase is Phase.HALT
    assert "behind legacy" in found.doubts[0]
    assert live.row.epoch > token
    assert live.row.is_armed is False
    assert live.who_writes() == "NOBODY"
    assert again.doubts == (f"{NAME} is stopped until two people have decided",)
    assert read_status(live.rig, live.closure).doubts == again.doubts
