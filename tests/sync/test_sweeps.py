"""`banyan sync sweep`: what log or journal do not tell any more is read again, and both sides are equal afterwards."""

import json
import socket
import time

import pytest
from captured import make_captured
from marels import make_marel
from projects import known_actor, run

from banyan.clock import now
from banyan.departments import Actor
from cutover.judgement import subject_of
from cutover.sweeping import carry_sweep
from sync.assembly import prepare
from sync.engine import SyncEngine
from validation.reconcile import reconcile
from wire.cluster import ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

pytestmark = pytest.mark.server
__all__ = ["known_actor"]

WHY = "the disk was full; no backup was restored"
UNSEEN = "select count(*) from justice.item where description = 'UNSEEN'"


def make_followed(cluster, folder, capture):
    made = make_captured(cluster, folder / "project", capture)
    assert made.banyan("load", "38", "--json") == 0
    return made


@pytest.fixture(scope="module")
def sound(cluster, tmp_path_factory):
    """An ORION that is loaded and followed by its journal; each test leaves it so that a sweep makes it whole."""
    return make_followed(cluster, tmp_path_factory.mktemp("sound"), "journal")


@pytest.fixture(params=["journal", pytest.param("log", marks=pytest.mark.torture)])
def project(request, cluster, tmp_path):
    """An ORION that is loaded and followed."""
    if request.param == "journal":
        yield request.getfixturevalue("sound")
        return
    made = make_followed(cluster, tmp_path, "log")
    yield made
    drop_slots(made)


def drop_slots(project) -> None:
    """Drop the slots of the legacy database, also one that a reader still holds."""
    mine = "from pg_replication_slots where database = current_database()"
    for _ in range(50):
        project.ask(project.legacy, f"select pg_terminate_backend(active_pid) {mine} and active")
        project.ask(project.legacy, f"select pg_drop_replication_slot(slot_name) {mine} and not active")
        if not project.ask(project.legacy, f"select 1 {mine}"):
            return
        time.sleep(0.1)
    raise AssertionError("a reader never lets go of its slot")


def lose(project) -> None:
    """Take away what was written down, as an administrator with a full disk does."""
    if "capture: log" in (project.folder / "banyan.yaml").read_text():
        drop_slots(project)
        return
    project.ask(project.legacy, "select banyan.prune(pg_current_snapshot())")


def write(project, word: str) -> None:
    """Let officers change rows, add some and take some away, in several tables."""
    for text in (
        f"update orion.t_objet set descr = '{word}' where id_objet in (select min(id_objet) from orion.t_objet)",
        "delete from orion.t_tel where id_tel in (select max(id_tel) from orion.t_tel)",
        "insert into orion.t_tel (id_tel, id_pers, num_tel, type_tel) select max(id_tel) + 1, min(id_pers),"
        " '0612345678', 'M' from orion.t_tel",
        f"update orion.t_agent set matricule = '{word[:8]}' where id_agent in (select min(id_agent) from"
        " orion.t_agent)",
    ):
        project.ask(project.legacy, text)


def ask(project, capfd, *arguments):
    capfd.readouterr()
    code = project.banyan(*arguments)
    found = capfd.readouterr()
    return code, found.out or found.err


def test_one_table_is_swept_while_the_history_is_known_and_the_position_stays(sound, capfd):
    sound.ask(
        sound.legacy,
        "alter table orion.t_objet disable trigger zz_banyan_update; update orion.t_objet set descr = 'UNSEEN';"
        " alter table orion.t_objet enable always trigger zz_banyan_update",
    )
    carried, _ = ask(sound, capfd, "sync", "run", "38")
    unseen = sound.ask(sound.store, UNSEEN)
    position = sound.ask(sound.store, "select position from mig.watermark")

    swept, told = ask(sound, capfd, "sync", "sweep", "38.ORION.t_objet", "--json")

    (document,) = json.loads(told)["runs"]
    assert (carried, swept) == (0, 0)
    assert unseen == [(0,)]
    assert sound.ask(sound.store, UNSEEN)[0][0] > 20
    assert set(document["tables"]) == {"t_objet"}
    assert document["total"]["rows"]["loaded"] > 20
    assert sound.differences() == {}
    assert sound.ask(sound.store, "select position from mig.watermark") == position


def test_a_system_put_back_from_a_backup_is_not_swept_by_one_person(sound, capfd):
    lose(sound)
    nonces = sound.ask(sound.legacy, "select closure, nonce from banyan.fence")
    sound.ask(sound.legacy, "update banyan.fence set nonce = gen_random_uuid()")  # that of the day before
    position = sound.ask(sound.store, "select position from mig.watermark")

    refused, said = ask(sound, capfd, "sync", "sweep", "38", "--reason", WHY)
    nowhere, _ = ask(sound, capfd, "sync", "sweep", "38.ORION.t_nothing")

    for closure, nonce in nonces:
        sound.ask(sound.legacy, "update banyan.fence set nonce = :nonce where closure = :closure", nonce=nonce,
                  closure=closure)  # fmt: skip
    assert (refused, nowhere) == (3, 3)
    assert "banyan switch reconcile 38." in said
    assert sound.ask(sound.store, "select position from mig.watermark") == position


def test_after_a_lost_log_or_journal_a_sweep_makes_both_sides_equal_and_the_sync_goes_on(project, capfd):
    lose(project)
    write(project, "UNSEEN")
    stopped, said = ask(project, capfd, "sync", "run", "38")
    position = project.ask(project.store, "select position from mig.watermark")

    unasked, why = ask(project, capfd, "sync", "sweep", "38")
    part, _ = ask(project, capfd, "sync", "sweep", "38.ORION.t_objet", "--reason", WHY)
    dry, told = ask(project, capfd, "sync", "sweep", "38.ORION", "--dry-run", "--json")
    untouched = project.ask(project.store, "select position from mig.watermark")
    swept, _ = ask(project, capfd, "sync", "sweep", "38", "--reason", WHY)
    write(project, "AFTERWARDS")
    carried, _ = ask(project, capfd, "sync", "run", "38")

    (plan,) = json.loads(told)
    assert (stopped, unasked, part, dry, swept, carried) == (3, 2, 2, 0, 0, 0)
    assert "banyan sync sweep DEPT" in said and "no backup was restored" in why
    assert plan["history"] == "lost" and plan["known"]["t_tel"] > 50
    assert untouched == position
    assert project.differences() == {}
    entries = project.ask(
        project.store, "select count(*) from mig.processing_log where reason = :why", why=f"sweep: {WHY}"
    )
    assert entries == [(1,)]


def leave_open(project) -> int:
    """Open a run over what changed, as a process of this machine that died at once; gives its number."""
    rig = project.rig()
    engine = SyncEngine(rig.workspace.engine("banyan_forward"), owner=f"{socket.gethostname()}:999999999:1")
    run = engine.open_changes(rig.forward())
    rig.close()
    rig.workspace.close()
    return run.run_no


def test_a_sync_that_ends_a_run_left_open_carries_what_came_since_too(sound, capfd):
    write(sound, "BEFORE")
    left_open = leave_open(sound)
    write(sound, "SINCE")

    code, told = ask(sound, capfd, "sync", "run", "38", "--json")

    ended, following = json.loads(told)["runs"]
    assert (code, ended["run_no"]) == (0, left_open)
    assert following["total"]["rows"]["read"] > 2
    assert sound.differences() == {}


def test_a_sync_that_ends_a_run_left_open_says_at_once_that_the_history_is_lost(sound, capfd):
    write(sound, "BEFORE")
    left_open = leave_open(sound)
    lose(sound)

    first, said = ask(sound, capfd, "sync", "run", "38")
    second, again = ask(sound, capfd, "sync", "run", "38")

    assert (first, second) == (3, 3)
    told = f"run {left_open}, which had been left open, was carried to its end; then: "
    assert told in said and told not in again
    assert "banyan sync sweep DEPT" in said and "banyan sync sweep DEPT" in again
    assert sound.ask(sound.store, "select state from mig.run where run_no = :no", no=left_open) == [("DONE",)]
    assert sound.banyan("sync", "sweep", "38", "--reason", WHY, "--json") == 0
    assert sound.differences() == {}


def test_what_people_do_while_a_sweep_reads_is_late_since_before_it(sound):
    lose(sound)
    rig, read_at = sound.rig(), []

    def read_slowly(_) -> None:
        if not read_at:
            read_at.append(now())
            time.sleep(1.5)

    began = now()
    carry_sweep(
        rig, Actor("tester", "engineer", "test"), reason=WHY, watcher=read_slowly,
        repair=lambda: prepare(rig.workspace, rig.source),
    )  # fmt: skip
    rig.workspace.close()

    ((since,),) = sound.ask(sound.store, "select updated_at from mig.watermark where to_side = 'CANONICAL'")
    assert began <= since <= read_at[0]


@pytest.mark.mariadb
def test_after_a_purged_log_of_a_mariadb_a_sweep_makes_both_sides_equal_and_the_sync_goes_on(cluster, tmp_path, capfd):
    server = MariaDBServer(ClusterPlace(cluster_home(tmp_path, "own"), Durability.THROWAWAY)).start()
    world = make_marel(cluster, server, tmp_path / "project", capture="log", name="marel_swept")
    folder = ["-C", str(world.rig.workspace.project.folder), "sync"]
    try:
        world.load()
        world.marel.run("update objets set serie = 'PURGED' order by id_objet limit 1")
        world.marel.run("delete from suites order by id_suite desc limit 1")
        world.marel.run("flush binary logs")
        (last, *_) = world.marel.run("show master status")[0]
        until = time.monotonic() + 20
        while len(world.marel.run("show binary logs")) > 1 and time.monotonic() < until:  # a reader lets go of it
            world.marel.run(f"purge binary logs to '{last}'")
            time.sleep(0.1)
        stopped = run([*folder, "run", "35"])
        said = capfd.readouterr().err

        swept = run([*folder, "sweep", "35.MAREL", "--reason", WHY])
        world.marel.run("update objets set serie = 'AFTERWARDS' order by id_objet desc limit 1")
        carried = run([*folder, "run", "35"])

        judged = [reconcile(subject_of(world.rig, one.name), watermark=None) for one in world.rig.closures]
        serials = {one for (one,) in world.ask_store("select serial_number from justice.item")}
        assert (stopped, swept, carried) == (3, 0, 0)
        assert "was purged: changes are missing" in said and "banyan sync sweep DEPT" in said
        assert [(one.level.state, one.differences.height) for one in judged] == [("PASS", 0)] * len(judged)
        assert {"PURGED", "AFTERWARDS"} <= serials
    finally:
        world.close()
        server.destroy()
