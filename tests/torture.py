"""Load for tests of the switch: writers on both sides who note what was acknowledged, and chaos around a controller."""

import itertools
import signal
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from switches import NAME, ControllerProcess, SwitchWorld, order

from banyan.clock import now
from banyan.departments import Phase, Side
from banyan.errors import BanyanError, SourceUnavailable, StoreUnavailable
from cutover.guard import guard_once
from cutover.switching import roll_back, switch


class Interruption(Exception):
    """The controller goes away here, without a word."""


@dataclass(frozen=True)
class Write:
    """One acknowledged write: where, which key, which value, and between which two moments."""

    side: Side
    key: int
    value: str
    began: float
    ended: float


class Writer(threading.Thread):
    """One person who writes her own keys where it is possible, and remembers what was acknowledged."""

    def __init__(self, places: dict[Side, str], name: str, keys: dict[int, object], *, patience: float) -> None:
        super().__init__(daemon=True, name=name)
        self._places, self._patience = places, patience
        self._connections: dict[Side, psycopg.Connection] = {}
        self._keys = keys
        self._ending, self._pause, self._idle = threading.Event(), threading.Event(), threading.Event()
        self.writes: list[Write] = []
        self.refused = self.unknown = 0
        self.doubtful: dict[int, str] = {}

    def run(self) -> None:
        side = Side.LEGACY
        for number in itertools.count(1):
            if self._ending.is_set():
                break
            while self._pause.is_set() and not self._ending.is_set():
                self._idle.set()
                time.sleep(0.005)
            self._idle.clear()
            key = list(self._keys)[number % len(self._keys)]
            time.sleep(_THINKING_SECONDS)
            if not self._write(side, key, f"{self.name}.{number}"):
                side = side.other
                time.sleep(self._patience)
        self._idle.set()
        for connection in self._connections.values():
            connection.close()

    def _write(self, side: Side, key: int, value: str) -> bool:
        began = time.time()
        try:
            connection = self._connections.get(side)
            if connection is None or connection.closed:
                connection = self._connections[side] = psycopg.connect(self._places[side], autocommit=True)
            if side is Side.LEGACY:
                done = connection.execute("update orion.t_proc set observ = %s where id_proc = %s", (value, key))
            else:
                query = "update justice.case_file set note_text = %s where department_code = '38' and id = %s"
                done = connection.execute(query, (value, self._keys[key]))
        except psycopg.errors.ObjectInUse:
            self.refused += 1
            return False
        except psycopg.errors.SerializationFailure:
            return False
        except psycopg.Error:
            self.unknown += 1  # the answer was lost: the write may stand or not
            self.doubtful[key] = value
            return False
        assert done.rowcount == 1, (side, key)
        self.writes.append(Write(side, key, value, began, time.time()))
        self.doubtful.pop(key, None)
        return True

    def pause(self) -> None:
        self._idle.clear()
        self._pause.set()
        self._idle.wait(10)

    def go_on(self) -> None:
        self._pause.clear()

    def stop(self) -> None:
        self._ending.set()
        self.join(20)


@dataclass
class Tally:
    """What a run of cycles has come to."""

    cycles: int = 0
    kills: int = 0
    interruptions: int = 0
    cuts: int = 0
    given_up: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    there_ms: list[float] = field(default_factory=list)
    back_ms: list[float] = field(default_factory=list)

    def say(self, writers: list[Writer], seconds: float) -> dict[str, object]:
        writes = sum(len(writer.writes) for writer in writers)
        return {
            "cycles": self.cycles,
            "minutes": round(seconds / 60, 1),
            "writes": writes,
            "refused": sum(writer.refused for writer in writers),
            "kills": self.kills,
            "deaths without a signal": self.interruptions,
            "cuts": self.cuts,
            "given up by the guard": self.given_up,
            "gap there, ms": spread(self.there_ms),
            "gap back, ms": spread(self.back_ms),
            "refusals": self.refusals,
        }


_THINKING_SECONDS = 0.008  # people are not the load of the machine that measures
POINTS = {
    Side.CANONICAL: (
        *("START", "CLOSE_LEGACY", "READ_DRAIN_POSITION", "COMMIT_POSITION", "DRAIN", "VERIFY_CHANGED"),
        *("COMMIT_VERIFIED", "SEAL_LEGACY", "FLIP"),
    ),
    Side.LEGACY: (
        *("ROLL_BACK", "DRAIN_REVERSE", "COMMIT_ROLLED_DRAINED", "VERIFY_REVERSE", "FLIP_BACK"),
        *("OPEN_LEGACY", "COMMIT_OPENED"),
    ),
}


class Chaos:
    """Moves a closure to a side whatever happens on the way: kill -9, deaths, cut links, the guard in between."""

    def __init__(self, world: SwitchWorld, tally: Tally, seed: int, *, kills: float = 0.1) -> None:
        self._world, self._tally, self._random, self._kills = world, tally, Random(seed), kills

    def move(self, to: Side) -> None:
        """Bring the closure to a side; each disturbance comes once."""
        disturbance = self._random.random()
        if disturbance < self._kills:
            self._killed(to)
        elif disturbance < self._kills + 0.25:
            self._interrupted(to)
        elif disturbance < self._kills + 0.45:
            threading.Timer(self._random.uniform(0.05, 1.5), self._cut).start()
        for _ in range(12):
            if self._is_there(to):
                return
            self._try(to, "nowhere")
        raise AssertionError(f"{NAME} does not come to {to.value}: {self._world.phase}, {self._tally.refusals}")

    def _is_there(self, to: Side) -> bool:
        phase = self._asked(lambda: self._world.phase)
        return phase is Phase.LIVE if to is Side.CANONICAL else phase in (Phase.SYNCING, Phase.READY)

    def _asked(self, question: Callable[[], Any]) -> Any:
        """Ask what the test itself wants to know; a cut meets whoever asks, and the test asks again."""
        for _ in range(5):
            try:
                return question()
            except (StoreUnavailable, SourceUnavailable, sa.exc.DBAPIError):
                time.sleep(0.1)
        return question()

    def _try(self, to: Side, point: str) -> None:
        world = self._world

        def leave(name: str) -> None:
            if name == point:
                raise Interruption

        if to is Side.CANONICAL and self._asked(lambda: world.phase) in (Phase.SYNCING, Phase.READY):
            self._asked(world.sign)
        try:
            (switch if to is Side.CANONICAL else roll_back)(world.rig, world.closure, order(checkpoint=leave))
        except Interruption:
            self._tally.interruptions += 1
        except BanyanError as error:
            name = f"{type(error).__name__}: {error.message[:70]}"
            self._tally.refusals[name] = self._tally.refusals.get(name, 0) + 1
            self._guard()

    def _interrupted(self, to: Side) -> None:
        self._try(to, f"before {self._random.choice(POINTS[to])}")
        if self._random.random() < 0.3:
            self._guard()

    def _killed(self, to: Side) -> None:
        if to is Side.CANONICAL:
            self._asked(self._world.sign)
        deed = "switch" if to is Side.CANONICAL else "rollback"
        point = f"before {self._random.choice(POINTS[to])}"
        if ControllerProcess(self._world, deed, point).wait() == -signal.SIGKILL:
            self._tally.kills += 1
        if self._random.random() < 0.3:
            self._guard()

    def _guard(self) -> None:
        """Let the guard come by when everything is late."""
        try:
            found = guard_once(self._world.rig, self._world.closure, now=now() + timedelta(hours=1))
            self._tally.given_up += any("gave up" in deed for deed in found.deeds)
        except BanyanError:
            return

    def _cut(self) -> None:
        """End every connection of the controller to one of the stores, as a cut cable would."""
        database = self._random.choice((self._world.project.legacy, self._world.project.store))
        try:
            self._world.project.ask(
                "postgres",
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where usename in ('banyan_guard', 'banyan_forward', 'banyan_reverse', 'banyan_reader')"
                " and datname = :name",
                name=database,
            )
            self._tally.cuts += 1
        except Exception as error:  # the server of a test that has ended
            print(f"no cut: {type(error).__name__}")


@dataclass(frozen=True)
class Desks:
    """Where people write, and which cases each of them has: their key in the old system, and their record.

    Whoever is refused waits for so many seconds and tries the other side.
    """

    places: dict[Side, str]
    keys: list[dict[int, object]]
    patience: float = 0.004

    def start(self) -> list[Writer]:
        """Let people write."""
        writers = [
            Writer(self.places, f"w{index}", mine, patience=self.patience) for index, mine in enumerate(self.keys)
        ]
        for writer in writers:
            writer.start()
        return writers


def find_desks(world: SwitchWorld, count: int, keys_each: int) -> Desks:
    """Find cases for so many people; each has her own."""
    rows = world.ask_legacy(
        "select id_proc from orion.t_proc where top_supp = 'N' and dt_ouv > 20240101 order by id_proc limit :n",
        n=count * keys_each,
    )
    number = world.rig.table_numbers["t_proc"]
    records = dict(
        world.ask_store(
            "select source_key, id from mig.crosswalk where source_table_no = :n and deleted_at is null", n=number
        )
    )
    keys = [int(row[0]) for row in rows if str(row[0]) in records]
    assert len(keys) >= count, f"the estate has {len(keys)} cases for {count} writers"
    places = {
        Side.LEGACY: _plain(world, world.project.legacy, "orion_app"),
        Side.CANONICAL: _plain(world, world.project.store, "banyan_app"),
    }
    return Desks(places, [{key: records[str(key)] for key in keys[index::count]} for index in range(count)])


def start_writers(world: SwitchWorld, count: int, keys_each: int) -> list[Writer]:
    """Let people write; each has her own cases."""
    return find_desks(world, count, keys_each).start()


def owned_periods(world: SwitchWorld) -> tuple[list[float], list[str]]:
    """Read from the journal when who could write: instants, and the phase entered at each."""
    rows = world.ask_store(
        "select extract(epoch from at), to_phase from mig.journal where closure = :c and kind = 'TRANSITION'"
        " order by sequence",
        c=NAME,
    )
    return [float(at) for at, _ in rows], [str(phase) for _, phase in rows]


def find_two_writers(world: SwitchWorld, writers: list[Writer]) -> list[Write]:
    """Find acknowledged writes that lie whole within a time in which the other side owned, or nobody could write."""
    instants, phases = owned_periods(world)
    shut = {
        Side.LEGACY: {"LIVE", "R_DRAINING", "R_VERIFYING"},
        Side.CANONICAL: {phase.value for phase in Phase if not phase.canonical_writes},
    }
    found = []
    for writer in writers:
        for write in writer.writes:
            first, last = (bisect_right(instants, at) - 1 for at in (write.began, write.ended))
            if first >= 0 and all(phase in shut[write.side] for phase in phases[first : last + 1]):
                found.append(write)
    return found


def find_lost(world: SwitchWorld, writers: list[Writer]) -> list[tuple[int, str, str]]:
    """Find keys whose last acknowledged value does not stand in the owner's store; nobody is writing."""
    is_legacy = world.row.owner is Side.LEGACY
    lost = []
    for writer in writers:
        last: dict[int, str] = {}
        for write in writer.writes:
            last[write.key] = write.value
        for key, value in last.items():
            if is_legacy:
                ((stands,),) = world.ask_legacy("select rtrim(observ) from orion.t_proc where id_proc = :k", k=key)
            else:
                query = "select note_text from justice.case_file where id = :i"
                ((stands,),) = world.ask_store(query, i=writer._keys[key])
            if stands not in (value, writer.doubtful.get(key)):
                lost.append((key, value, stands))
    return lost


def gaps(writes: Iterable[Write]) -> tuple[list[float], list[float]]:
    """Give, in milliseconds, how long nobody's write was acknowledged at each change of side: there, and back."""
    there, back = [], []
    for before, after in itertools.pairwise(sorted(writes, key=lambda write: write.ended)):
        if before.side is not after.side:
            (there if after.side is Side.CANONICAL else back).append((after.ended - before.ended) * 1000)
    return there, back


def spread(values: list[float]) -> dict[str, int]:
    """Give p50, p90, p99 and the greatest of some figures."""
    if not values:
        return {}
    ordered = sorted(values)
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in
          (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}  # fmt: skip
    return {name: round(value) for name, value in at.items()} | {"max": round(ordered[-1])}


def _plain(world: SwitchWorld, database: str, role: str) -> str:
    url = make_url(world.project.url(database, role)).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
