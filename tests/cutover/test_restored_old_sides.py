"""A brigade's file and a MariaDB that come back from a backup, in every state: noticed, and never a second writer.

Two PostgreSQL are played in journeys/test_restored_copies.
"""

import shutil
from datetime import timedelta

import pytest
from brigades import make_brigade
from marels import make_marel
from officers import find_keys, officers_of, read_row, write_record
from projects import known_actor
from states import come_to
from switches import order

from banyan.clock import now
from banyan.departments import Actor, Phase, Side
from banyan.errors import BanyanError
from cutover.guard import guard_once
from cutover.reconciling import reconcile_sides
from cutover.switching import roll_back
from cutover.watching import RENEWED_EVERY
from wire.cluster import ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

pytestmark = pytest.mark.server
__all__ = ["known_actor"]

LEAD, STEWARD = Actor("paul", "lead", "test"), Actor("claire", "steward", "test")
STATES = ("SYNCING", "DRAINING", "SEALING", "LIVE", "R_DRAINING", "R_OPENING")
DAILY = ("sqlite", "LIVE")
MARKS = {"sqlite": (), "mariadb": (pytest.mark.mariadb,)}


class BrigadeFile:
    """The file of a brigade, and a copy of it."""

    def __init__(self, world) -> None:
        self.world = world

    def copy(self) -> None:
        shutil.copy(self.world.path, self.world.path.with_suffix(".before"))

    def put_back(self) -> None:
        self.world.rig.close()
        for more in ("-wal", "-shm", "-journal"):
            self.world.path.with_name(self.world.path.name + more).unlink(missing_ok=True)
        shutil.copy(self.world.path.with_suffix(".before"), self.world.path)


class OwnMariaDB:
    """A MariaDB of its own, and a copy of its data."""

    def __init__(self, world, server: MariaDBServer) -> None:
        self.world, self._server = world, server
        self._before = server.place.home / "before"

    def copy(self) -> None:
        self.world.rig.close()
        self._server.stop()
        shutil.rmtree(self._before, ignore_errors=True)
        self._take(self._server.place.data, self._before)
        self._server.start()

    def put_back(self) -> None:
        self.world.rig.close()
        self._server.stop()
        shutil.rmtree(self._server.place.data)
        self._take(self._before, self._server.place.data)
        self._server.start()

    def _take(self, old, new) -> None:
        shutil.copytree(old, new)
        owner = old.stat()
        for path in (new, *new.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)


@pytest.fixture
def side(request, store, cluster, tmp_path):
    """An old side under LEGACY, its first copy made."""
    if store == "sqlite":
        world = make_brigade(cluster, tmp_path / "project", fence="triggers", name=f"back_{request.node.callspec.id}")
        world.load()
        yield BrigadeFile(world)
    else:
        place = ClusterPlace(cluster_home(tmp_path / "own", "own"), Durability.THROWAWAY)
        server = MariaDBServer(place).start()
        name = f"back_{request.node.callspec.id}".replace("-", "_").lower()
        world = make_marel(cluster, server, tmp_path / "project", capture="log", name=name)
        world.load()
        yield OwnMariaDB(world, server)
        server.destroy()
    world.close()


def look(world):
    return guard_once(world.rig, world.closure, now=now() + timedelta(hours=1))


def come_to_rest(world):
    """What a night would do: the guard, again the guard, and two persons for each closure where it stops."""
    for _ in range(3):
        try:
            look(world)
        except BanyanError:
            continue
    for closure in world.rig.closures:
        row = world.rig.slices(closure.name)[0]
        if row.phase is Phase.HALT or not guard_once(world.rig, closure, now=now() + timedelta(hours=1)).is_sure:
            keep = Side.CANONICAL if row.phase is Phase.HALT else row.owner
            for actor in (LEAD, STEWARD):
                reconcile_sides(world.rig, closure, keep, actor=actor)
    return look(world)


def marks_of(store, state):
    return MARKS[store] if (store, state) == DAILY else (*MARKS[store], pytest.mark.torture)


@pytest.mark.parametrize(
    ("store", "state"),
    [pytest.param(store, state, marks=marks_of(store, state)) for store in MARKS for state in STATES],
)
def test_an_old_side_of_before_is_noticed_in_every_state_and_never_writes_beside_the_new_one(side, state):
    world = side.world
    side.copy()
    guard_once(world.rig, world.closure, now=now() + RENEWED_EVERY + timedelta(minutes=1))
    key, other = find_keys(world, 2)
    person = officers_of(world).begin(key, "of the day")
    person.commit()
    person.close()
    come_to(world, state)
    is_there = state in ("LIVE", "R_DRAINING", "R_OPENING")
    if state == "LIVE":
        write_record(world, other, "by the new")
    side.put_back()

    seen = look(world)
    who = world.who_writes()
    found = come_to_rest(world)

    assert seen.deeds or not seen.is_sure
    assert who != "BOTH"
    assert found.is_sure
    assert world.who_writes() == ("CANONICAL" if is_there else "LEGACY")
    world.catch_up()
    assert world.reconcile().level.figures["differences"] == 0
    if state == "LIVE":
        roll_back(world.rig, world.closure, order())
        assert (read_row(world, key), read_row(world, other)) == ("of the day", "by the new")
