"""Each side comes back from a copy of its files, made in one state and put back in another: nothing is written twice.

Two servers, so that one side can go back in time alone. A stop that only people can end is ended by two persons.
"""

import shutil
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from projects import PROJECT_FILE, TestProject, known_actor, make_project
from states import come_to
from switches import NAME, ORION, SwitchWorld, TestWorkspace, order

from banyan.clock import now
from banyan.config import load_project
from banyan.departments import Actor, Phase, Side
from banyan.errors import BanyanError
from cutover.guard import guard_once
from cutover.reconciling import reconcile_sides
from cutover.switching import roll_back
from cutover.watching import RENEWED_EVERY
from store.runs import RunKind
from sync.assembly import prepare
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

pytestmark = [pytest.mark.server, pytest.mark.journey, pytest.mark.torture]
__all__ = ["known_actor"]

LEAD, STEWARD = Actor("paul", "lead", "test"), Actor("claire", "steward", "test")


@dataclass(frozen=True)
class ApartProject(TestProject):
    """A project whose store is on a server of its own."""

    store_port: int = 0

    def url(self, database: str, role: str = "postgres") -> str:
        port = self.store_port if database == self.store else self.port
        return f"postgresql+psycopg://{role}@127.0.0.1:{port}/{database}"


class Sides:
    """Both servers, and the copies of their files."""

    def __init__(self, place) -> None:
        self.servers = {}
        for side in Side:
            home = cluster_home(place / side.value.lower(), side.value.lower())
            self.servers[side] = Cluster(ClusterPlace(home, Durability.THROWAWAY)).start()
        made = make_project(self.servers[Side.LEGACY], place / "project")
        store = self.servers[Side.CANONICAL]
        store.create_database(made.store)
        made.write(f"{made.port}/{made.store}", f"{store.port}/{made.store}")
        project = ApartProject(made.folder, made.port, made.store, made.legacy, store.port)
        assert str(store.port) in (made.folder / PROJECT_FILE).read_text()
        self.world = SwitchWorld(project, prepare(TestWorkspace(load_project(made.folder)), ORION))
        self.world.load()

    def copy(self, side: Side, name: str) -> None:
        """Copy the files of a server that stands still for it."""
        server = self.servers[side]
        self.world.rig.workspace.close()
        self.world.rig.close()
        server.stop()
        shutil.rmtree(server.place.home / name, ignore_errors=True)
        shutil.copytree(server.place.data, server.place.home / name, symlinks=True)
        self._own(server, name)
        server.start()

    def put_back(self, side: Side, name: str) -> None:
        """Put a copy in the place of a server's files, as a restored backup."""
        server = self.servers[side]
        self.world.rig.workspace.close()
        self.world.rig.close()
        server.stop(immediately=True)
        shutil.rmtree(server.place.data)
        shutil.copytree(server.place.home / name, server.place.data, symlinks=True)
        self._own(server, "data")
        server.start()

    def _own(self, server: Cluster, name: str) -> None:
        """Give a copy to the account the server runs as."""
        import os
        import pwd

        folder = server.place.home / name
        if os.geteuid() == 0:
            account = pwd.getpwnam("nobody")
            for path in (folder, *folder.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        folder.chmod(0o700)


@pytest.fixture
def sides(tmp_path):
    made = Sides(tmp_path)
    yield made
    made.world.rig.workspace.close()
    for server in made.servers.values():
        server.destroy()


def look(world, later=timedelta(0)):
    return guard_once(world.rig, world.closure, now=now() + later)


def carry_back(world):
    world.rig.reverse_engine().advance(world.rig.reverse(NAME), RunKind.REVERSE)


def two_decide(world, keep):
    for actor in (LEAD, STEWARD):
        done = reconcile_sides(world.rig, world.closure, keep, actor=actor)
    return done


def come_to_rest(world):
    """What a night would do: the guard, again the guard, and two persons where it stops."""
    for _ in range(3):
        try:
            look(world, timedelta(hours=1))
        except BanyanError:
            continue
    if world.phase is Phase.HALT:
        two_decide(world, Side.CANONICAL)  # its copy is whole: the other one is of before
    elif not look(world, timedelta(hours=1)).is_sure:
        two_decide(world, world.row.owner)
    return look(world, timedelta(hours=1))


STATES = ["DRAINING", "SEALING", "LIVE", "R_DRAINING", "R_OPENING"]


@pytest.mark.parametrize("state", ["SYNCING", *STATES])
def test_a_legacy_system_of_before_is_noticed_in_every_state_and_never_writes_beside_the_new_one(sides, state):
    world = sides.world
    sides.copy(Side.LEGACY, "before")
    look(world, RENEWED_EVERY + timedelta(minutes=1))
    world.officers(4)
    come_to(world, state)
    is_there = state in ("LIVE", "R_DRAINING", "R_OPENING")
    sides.put_back(Side.LEGACY, "before")

    seen = look(world, timedelta(hours=1))
    who = world.who_writes()
    found = come_to_rest(world)

    assert seen.deeds or not seen.is_sure
    assert who != "BOTH"
    assert found.is_sure
    assert world.who_writes() == ("CANONICAL" if is_there else "LEGACY")
    world.catch_up()
    assert world.reconcile().level.figures["differences"] == 0


@pytest.mark.parametrize("state", STATES)
def test_a_store_of_before_opens_to_nobody_until_it_was_compared(sides, state):
    world = sides.world
    come_to(world, "SYNCING")
    sides.copy(Side.CANONICAL, "before")
    look(world)
    come_to(world, state)
    token = world.fence.token
    sides.put_back(Side.CANONICAL, "before")

    shut = world.new_lets_write()
    found = look(world)

    assert shut is False
    assert token > 1 and found.phase is Phase.HALT
    assert "behind legacy" in found.doubts[0]
    assert world.new_lets_write() is False


def test_a_store_that_lost_the_work_of_an_hour_in_live_is_stopped_by_what_the_old_system_has_seen(sides):
    world = sides.world
    come_to(world, "LIVE")
    sides.copy(Side.CANONICAL, "before")
    look(world)
    world.application(12)
    carry_back(world)
    sides.put_back(Side.CANONICAL, "before")

    found = look(world)

    assert found.phase is Phase.HALT
    assert "behind legacy" in found.doubts[0]
    assert world.who_writes() == "NOBODY"


def test_a_legacy_copy_made_in_live_is_recognised_once_the_nonce_was_renewed(sides):
    world = sides.world
    come_to(world, "LIVE")
    world.application(10)
    carry_back(world)
    sides.copy(Side.LEGACY, "before")
    renewed = look(world, RENEWED_EVERY + timedelta(minutes=1))
    world.application(10)
    carry_back(world)
    sides.put_back(Side.LEGACY, "before")

    found = look(world)
    two_decide(world, Side.CANONICAL)

    assert renewed.deeds == ("renewed the nonce of the old side",)
    assert not found.is_sure
    assert look(world).is_sure
    assert (world.who_writes(), world.reconcile().level.figures["differences"]) == ("CANONICAL", 0)


@pytest.mark.parametrize("state", ["DRAINING", "SEALING", "LIVE", "R_DRAINING", "R_OPENING"])
@pytest.mark.parametrize("side", list(Side))
def test_either_server_may_be_restarted_in_every_state(sides, side, state):
    world = sides.world
    world.officers(3)
    come_to(world, state)
    world.rig.workspace.close()
    world.rig.close()
    sides.servers[side].stop(immediately=True)
    with pytest.raises((BanyanError, psycopg.Error)):
        roll_back(world.rig, world.closure, order())
    sides.servers[side].start()

    found = [look(world, timedelta(hours=1)) for _ in range(2)][-1]
    if world.phase is Phase.LIVE:
        roll_back(world.rig, world.closure, order())
    world.catch_up()

    assert found.is_sure
    assert (world.who_writes(), world.lost_or_doubled()) == ("LEGACY", (0, 0, 0))
