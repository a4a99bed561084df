"""What may happen to the log of a legacy MariaDB, met by `banyan sync run`: carried exactly, or a loud stop."""

import os
import pwd
import shutil
import time

import pytest
from marels import NAME, make_marel
from projects import known_actor, run

from banyan.departments import Actor, Side
from cutover.judgement import subject_of
from cutover.reconciling import reconcile_sides
from validation.reconcile import reconcile
from wire.cluster import ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server, pytest.mark.torture]


@pytest.fixture(scope="module")
def world(cluster, tmp_path_factory):
    """A loaded MAREL whose server these tests may stop; each test begins where the log stands."""
    folder = tmp_path_factory.mktemp("disasters")
    server = MariaDBServer(ClusterPlace(cluster_home(folder, "own"), Durability.THROWAWAY)).start()
    world = make_marel(cluster, server, folder / "project", capture="log", name="marel_disasters")
    world.load()
    yield world
    world.close()
    server.destroy()


@pytest.fixture
def begun(world):
    """Let the world be carried as it stands: every test but the last one ends where the sync goes on."""
    assert run(["-C", str(world.rig.workspace.project.folder), "sync", "run", "35"]) == 0
    return world


def sync(world, capfd):
    """Run the command; gives its exit code and all it said."""
    capfd.readouterr()
    code = run(["-C", str(world.rig.workspace.project.folder), "sync", "run", "35"])
    out = capfd.readouterr()
    return code, f"{out.out}{out.err}"


def kept(world):
    """Give what a stop must leave as it was: every item and the Position of the store."""
    items = world.ask_store("select id, serial_number from justice.item where department_code = '35' order by id")
    return items, world.ask_store("select position, run_no from mig.watermark where to_side = 'CANONICAL'")


def serials(world):
    found = world.ask_store("select serial_number from justice.item where department_code = '35'")
    return {serial for (serial,) in found}


def write(world, serial):
    """Let a person change one row, which every sync must carry or refuse to pass over."""
    world.marel.run(f"update objets set serie = '{serial}' order by id_objet limit 1")


def differences(world):
    """Compare both sides row by row; everything equal gives {}."""
    found = {}
    for closure in world.rig.closures:
        judged = reconcile(subject_of(world.rig, closure.name), watermark=None)
        if judged.differences.height or judged.level.state != "PASS":
            found[closure.name] = (judged.level.state, judged.differences)
    return found


def test_a_table_altered_in_the_middle_is_carried_once_its_columns_are_known(begun, capfd):
    write(begun, "AVANT")
    assert sync(begun, capfd)[0] == 0
    assert "AVANT" in serials(begun)
    before = kept(begun)

    write(begun, "MILIEU")
    begun.marel.run("alter table objets add column neuf int first")
    write(begun, "APRES")
    code, said = sync(begun, capfd)
    stopped = kept(begun)
    begun.marel.run("alter table objets drop column neuf")
    write(begun, "ENSUITE")
    again, _ = sync(begun, capfd)

    assert (code, again) == (3, 0)
    assert "objets.neuf is new and has no fate" in said
    assert "banyan source drift 35.MAREL" in said
    assert stopped == before
    assert "ENSUITE" in serials(begun)
    assert differences(begun) == {}


def test_a_table_whose_rows_an_alteration_rewrites_is_carried(begun, capfd):
    begun.marel.run("alter table objets modify column serie varchar(120), add index par_serie (serie)")
    begun.marel.run("set binlog_format = 'STATEMENT'", "update objets set serie = concat('R', serie) where serie <> ''")
    begun.marel.run("alter table objets drop index par_serie")
    code, _ = sync(begun, capfd)

    assert code == 0
    assert differences(begun) == {}


def test_a_truncated_table_is_empty_on_the_new_side_and_filled_again_it_is_there_again(begun, capfd):
    known = (
        "select count(*) from mig.crosswalk join mig.source_table using (source_table_no) where table_name = 'suites'"
    )
    live = f"{known} and deleted_at is null"
    ((before,),) = begun.ask_store(live)
    assert before > 5

    begun.marel.run("create table gardes as select * from suites")
    begun.marel.run("set foreign_key_checks = 0", "truncate table suites")
    emptied, _ = sync(begun, capfd)
    ((gone,),) = begun.ask_store(live)
    apart = differences(begun)
    begun.marel.run("insert into suites select * from gardes", "drop table gardes")
    filled, _ = sync(begun, capfd)

    assert (emptied, gone, apart) == (0, 0, {})
    assert filled == 0
    assert begun.ask_store(live) == [(before,)]
    assert differences(begun) == {}


def test_a_table_whose_key_was_changed_stops_the_sync(begun, capfd):
    before = kept(begun)
    begun.marel.run("create table gardes like suites", "insert into gardes select * from suites")
    begun.marel.run("alter table suites drop primary key, add primary key (id_suite, id_implication)")
    code, said = sync(begun, capfd)
    begun.marel.run("drop table suites", "rename table gardes to suites")
    again, _ = sync(begun, capfd)

    assert code == 3
    assert "suites has the key id_suite, id_implication now, and SUITES@1 knows its rows by id_suite" in said
    assert kept(begun)[0] == before[0]
    assert again == 0
    assert differences(begun) == {}


def test_a_purged_log_stops_the_sync_and_two_persons_have_every_row_read_again(begun, capfd):
    assert sync(begun, capfd)[0] == 0
    before = kept(begun)
    write(begun, "PURGE")
    begun.marel.run("flush binary logs")
    (last, *_) = begun.marel.run("show master status")[0]
    until = time.monotonic() + 20
    while len(begun.marel.run("show binary logs")) > 1 and time.monotonic() < until:  # a reader still lets go of it
        begun.marel.run(f"purge binary logs to '{last}'")
        time.sleep(0.1)

    code, said = sync(begun, capfd)

    assert code == 3
    assert "was purged: changes are missing; nothing was read" in said
    assert "banyan sync sweep DEPT --reason TEXT" in said
    assert kept(begun) == before

    begun.marel.run("truncate table suites")  # in another closure, and in the log that is there again
    decided = [
        reconcile_sides(begun.rig, begun.rig.closure(NAME), Side.LEGACY, actor=actor).is_done
        for actor in (Actor("paul", "lead", "test"), Actor("claire", "steward", "test"))
    ]
    again, _ = sync(begun, capfd)

    assert (decided, again) == ([False, True], 0)
    assert "PURGE" in serials(begun)
    assert differences(begun) == {}


def test_a_server_restored_from_a_backup_stops_the_sync(begun, capfd):
    server = begun.marel.server
    server.stop()
    backup = server.place.home / "kept"
    _copy(server.place.data, backup)
    server.start()
    write(begun, "PERDU")
    assert sync(begun, capfd)[0] == 0
    before = kept(begun)
    server.stop()
    _copy(backup, server.place.data)
    server.start()
    write(begun, "AUTRE")

    code, said = sync(begun, capfd)

    assert code == 3
    assert "restored from a backup" in said
    assert "banyan switch status" in said
    assert kept(begun) == before
    assert "PERDU" in serials(begun)


def _copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        for folder, folders, files in os.walk(target):
            for name in (folder, *(os.path.join(folder, n) for n in (*folders, *files))):
                os.chown(name, owner.pw_uid, owner.pw_gid)
