"""What may happen to the log of a legacy MariaDB, met by `banyan sync run`: carried exactly, or a loud stop."""

import os
import pwd
import shutil
import time

import pytest
from marels import make_marel
from projects import known_actor, run

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
    """Let the world go on from the present Position, as an engineer does after a sweep."""
    world.ask_store(
        "update mig.watermark set position = :head where department_code = '35' and to_side = 'CANONICAL'",
        head=str(world.rig.port.head()),
    )
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


def test_a_change_is_carried_and_a_table_changed_in_the_middle_stops_the_sync(begun, capfd):
    write(begun, "AVANT")
    assert sync(begun, capfd)[0] == 0
    assert "AVANT" in serials(begun)
    before = kept(begun)

    write(begun, "MILIEU")
    begun.marel.run("alter table objets add column neuf int")
    write(begun, "APRES")
    code, said = sync(begun, capfd)
    begun.marel.run("alter table objets drop column neuf")
    again, repeated = sync(begun, capfd)

    assert (code, again) == (3, 3)
    assert "objets.neuf is new and has no fate" in said
    assert "banyan source drift 35.MAREL" in said
    assert "objets was truncated, altered or written by a statement" in repeated
    assert kept(begun) == before


def test_a_truncated_table_stops_the_sync_and_loses_no_record(begun, capfd):
    before = kept(begun)
    assert len(before[0]) > 5

    begun.marel.run("create table gardes as select * from suites", "set foreign_key_checks = 0")
    with begun.marel.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set foreign_key_checks = 0")
        cursor.execute("truncate table suites")
    code, said = sync(begun, capfd)
    begun.marel.run("insert into suites select * from gardes", "drop table gardes")

    assert code == 3
    assert "suites was truncated, altered or written by a statement" in said
    assert "banyan source scan; sweep these tables by snapshot difference" in said
    assert kept(begun) == before


def test_a_purged_log_stops_the_sync_and_a_new_position_goes_on(begun, capfd):
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
    assert "changes are missing; nothing was read" in said
    assert "if it was purged, sweep by snapshot difference" in said
    assert kept(begun) == before


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
