"""What goes wrong around a load: a cut in mid-COPY, a server that restarts, a full disk, two workers, a frozen one."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from projects import fresh_project, known_actor
from proxy import Link
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace
from worlds import World, build_world

from banyan.config import LandingConfig, load_project
from banyan.departments import SourceRef
from banyan.errors import BanyanError, CapacityExhausted, LeaseLost, SourceUnavailable, StoreUnavailable
from store.install import add_department, install
from store.landing import open_landing
from store.postgres import open_engine
from sync.assembly import prepare
from sync.engine import SyncEngine
from sync.forward import ForwardLane
from sync.lane import Step
from sync.workspace import opened
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

__all__ = ["fresh_project", "known_actor"]
pytestmark = pytest.mark.server
CHILD = Path(__file__).parent / "dying_load.py"
END_LEASES = "update mig.{} set lease_until = now() - interval '1 second' where state in ('OPEN', 'LEASED')"


class BrittleLink(Link):
    """A link that breaks by itself once so many bytes went towards the server."""

    bytes_left = 1 << 60

    def _carry(self, source, target):
        if source.getsockname()[1] == self.port:  # from the client
            target = _Counted(target, self)
        super()._carry(source, target)


class _Counted:
    """A socket that counts what is sent, and cuts the link when it was enough."""

    def __init__(self, target, link: BrittleLink) -> None:
        self._target, self._link = target, link

    def sendall(self, sent: bytes) -> None:
        self._link.bytes_left -= len(sent)
        if self._link.bytes_left < 0:
            self._target.sendall(sent[: len(sent) // 2])
            self._link.cut()
            raise OSError
        self._target.sendall(sent)

    def __getattr__(self, name: str):
        return getattr(self._target, name)

    def __hash__(self) -> int:
        return hash(self._target)

    def __eq__(self, other: object) -> bool:
        return self._target == other


def judge(world: World, result) -> None:
    """Every row has one fate, every record stands once: nothing lost, nothing doubled."""
    assert result.total.is_balanced
    for table, counts in result.totals.items():
        assert world.on_legacy(f"select count(*) from orion.{table}", role="postgres") == [(counts.rows.read,)]
    assert world.place.run("select count(*), count(distinct (source_table_no, source_key)) from mig.crosswalk") == [
        (result.total.rows.loaded, result.total.rows.loaded)
    ]
    tables = world.place.run(
        "select relname::text from pg_class where relkind = 'p' and relnamespace = 'justice'::regnamespace"
    )
    stands = sum(world.place.run(f"select count(*) from justice.{name}")[0][0] for (name,) in tables)
    assert stands == result.total.parts.inserted


def load(world: World, lane: ForwardLane, engine: SyncEngine):
    return engine.load(lane, lane.plan_load, rules_digest=world.book.digest)


def test_a_link_cut_in_mid_copy_leaves_nothing_of_the_chunk_and_the_load_goes_on(world, cluster):
    link = BrittleLink(cluster.port)
    far = StorePlace(world.place.address.set(port=link.port))
    lane = ForwardLane(replace(world.setting("banyan_forward"), engine=far.engine("banyan_forward")), world.landing)
    cuts = 0
    for bytes_left in (30_000, 60_000, 120_000, 250_000):
        link.bytes_left = bytes_left
        with contextlib.suppress(SourceUnavailable, StoreUnavailable):
            load(world, lane, SyncEngine(far.engine("banyan_forward"), owner="one"))
        cuts += link.bytes_left < 0
        link.bytes_left = 1 << 60
        link.heal()

    result = load(world, lane, SyncEngine(far.engine("banyan_forward"), owner="one"))

    link.close()
    assert cuts >= 2
    judge(world, result)


def test_of_two_workers_on_one_chunk_the_first_to_come_back_writes_and_the_late_one_nothing(world):
    results = []

    def overtake(step: Step) -> None:
        if step is Step.MAPPED and not results:
            results.append(None)
            world.place.run(END_LEASES.format("run"))
            world.place.run(END_LEASES.format("chunk"))
            results[0] = load(world, world.forward(), world.forward_engine(owner="second"))

    with pytest.raises(LeaseLost, match="another worker"):
        load(world, world.forward(), world.forward_engine(owner="first", checkpoint=overtake))

    judge(world, results[0])


def test_a_full_landing_zone_stops_the_load_before_anything_of_the_chunk_is_written(world, tmp_path):
    lane = ForwardLane(world.setting("banyan_forward"), FullLanding(world.landing, room=2))

    with pytest.raises(CapacityExhausted):
        load(world, lane, world.forward_engine(owner="one"))

    chunks = world.place.run("select count(*) filter (where state = 'DONE'), count(parcel) from mig.chunk")
    assert chunks == [(2, 2)]
    judge(world, load(world, world.forward(), world.forward_engine(owner="one")))


class FullLanding:
    """A landing zone with room for so many parcels: then the disk is full."""

    def __init__(self, landing, *, room: int) -> None:
        self._landing, self._room = landing, room

    def write_parcel(self, name, frame, *, metadata):
        self._room -= 1
        if self._room < 0:
            raise CapacityExhausted("the landing zone has no room left; nothing was written")
        return self._landing.write_parcel(name, frame, metadata=metadata)

    def __getattr__(self, name: str):
        return getattr(self._landing, name)


def test_a_worker_frozen_with_its_rows_mapped_and_thawed_too_late_commits_nothing(fresh_project):
    project = fresh_project
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, SourceRef("38", "ORION"))
    frozen = subprocess.Popen([sys.executable, str(CHILD), str(project.folder), Step.MAPPED.value, "STOP"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # fmt: skip
    _, status = os.waitpid(frozen.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    for table in ("run", "chunk"):
        project.ask(project.store, END_LEASES.format(table))

    assert project.banyan("load", "38", "--json") == 0

    before = project.ask(project.store, "select count(*), max(run_no) from mig.crosswalk")
    os.kill(frozen.pid, signal.SIGCONT)
    _, said = frozen.communicate(timeout=60)
    assert frozen.returncode != 0
    assert "belongs to another" in said
    assert project.ask(project.store, "select count(*), max(run_no) from mig.crosswalk") == before
    doubled = (
        "select count(*) from (select 1 from mig.crosswalk group by source_table_no, source_key having count(*) > 1)"
    )
    assert project.ask(project.store, doubled + " d") == [(0,)]
    assert project.ask(project.store, "select distinct state from mig.chunk") == [("DONE",)]


@pytest.fixture
def own_server_world(make_database, tmp_path):
    """A world whose store stands on a server of its own, which may be restarted."""
    server = Cluster(ClusterPlace(cluster_home(tmp_path, "store"), Durability.THROWAWAY)).start()

    def make_store() -> StorePlace:
        server.create_database("banyan")
        url = server.url("banyan")
        install(url)
        add_department(open_engine(url, pool_size=0), ISERE)
        return StorePlace(make_url(url))

    yield build_world(make_database, make_store, tmp_path), server
    server.destroy()


@pytest.mark.torture
@pytest.mark.parametrize("step", [Step.LANDED, Step.MAPPED, Step.WRITTEN])
def test_a_store_restarted_in_the_middle_of_a_chunk_closes_until_armed_and_then_the_load_goes_on(
    own_server_world, step
):
    world, server = own_server_world
    passed = []

    def restart(here: Step) -> None:
        passed.append(here)
        if passed.count(step) == 3 and here is step:
            server.stop(immediately=True)
            server.start()

    with pytest.raises((BanyanError, sa.exc.DBAPIError)):
        load(world, world.forward(), world.forward_engine(owner="one", checkpoint=restart))
    world = replace(world, place=StorePlace(server.url("banyan")))
    with pytest.raises(BanyanError):
        load(world, world.forward(), world.forward_engine(owner="one"))
    world.place.run("update mig.slice set armed_boot = pg_postmaster_start_time()")

    judge(world, load(world, world.forward(), world.forward_engine(owner="one")))


@pytest.mark.torture
def test_a_disk_that_is_really_full_stops_the_load_and_room_lets_it_go_on(world, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    try:
        lane = ForwardLane(world.setting("banyan_forward"), open_landing(LandingConfig(), folder=disk))
        with pytest.raises((BanyanError, OSError)) as refused:
            load(world, lane, world.forward_engine(owner="one"))
        done = world.place.run("select count(*) from mig.chunk where state = 'DONE'")[0][0]
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)

        result = load(world, lane, world.forward_engine(owner="one"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert isinstance(refused.value, CapacityExhausted)
    assert done > 0
    judge(world, result)
