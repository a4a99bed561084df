"""Torture: the disk of the store is really full in the middle of a load; nothing of the chunk stays, room heals it."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from worlds import World

from banyan.errors import CapacityExhausted

pytestmark = [pytest.mark.server, pytest.mark.torture]
ROOM = 300_000


@pytest.fixture
def small_disk(cluster, world: World):
    """A small disk on which the database of the store stands, with little room left."""
    owner = Path(f"/proc/{server_process(world)}").stat()
    folder = Path(tempfile.mkdtemp(prefix="banyan-small-disk-"))
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    name = world.place.address.database
    ((size,),) = world.place.run("select pg_database_size(current_database())")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + 64_000_000}", "tmpfs", str(disk)], check=True)
    try:
        shutil.chown(disk, owner.st_uid, owner.st_gid)
        run_elsewhere(world, f"create tablespace small location '{disk}'")
        run_elsewhere(world, f'alter database "{name}" set tablespace small')
        used = shutil.disk_usage(disk).used
        resize(disk, used + ROOM)
        yield disk
        resize(disk, size + 256_000_000)
        run_elsewhere(world, f'alter database "{name}" set tablespace pg_default')
        run_elsewhere(world, "drop tablespace small")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def server_process(world: World) -> int:
    """Give the number of the server's own process: whose it is may use the disk."""
    return int(world.place.run("select split_part(pg_read_file('postmaster.pid'), chr(10), 1)")[0][0])


def run_elsewhere(world: World, statement: str) -> None:
    """Run a statement as superuser in another database than the store's."""
    place = type(world.place)(world.place.address.set(database="postgres"))
    place.run(statement)


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def test_a_store_whose_disk_is_full_stops_the_load_and_room_lets_it_go_on(world, small_disk):
    lane = world.forward()

    with pytest.raises(CapacityExhausted, match="no disk left"):
        world.forward_engine(owner="one").load(lane, lane.plan_load, rules_digest=world.book.digest)
    resize(small_disk, shutil.disk_usage(small_disk).used + 256_000_000)
    done = world.place.run("select count(*) filter (where state = 'DONE'), count(*) from mig.chunk")[0]
    result = world.forward_engine(owner="one").load(lane, lane.plan_load, rules_digest=world.book.digest)

    assert 0 <= done[0] < done[1]
    assert result.total.is_balanced
    assert world.place.run("select count(*), count(distinct (source_table_no, source_key)) from mig.crosswalk") == [
        (result.total.rows.loaded, result.total.rows.loaded)
    ]
