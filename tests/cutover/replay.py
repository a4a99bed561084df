"""A trace of the explorer, event by event, on real stores: the same clients, controllers and leases, nothing modelled.

What the program refuses stays refused and the rest of the trace goes on: in the end one side writes and every write
that was acknowledged stands in it.
"""

import re
import threading
from dataclasses import dataclass, field
from typing import Any

from officers import Officers, find_keys, officers_of, read_record, read_row, write_record
from sides import Sides
from switches import order

from banyan.clock import now
from banyan.departments import Actor, Phase, Side
from banyan.errors import BanyanError, StoreFenced
from cutover import protocol
from cutover.control import Writing, move, read_control
from cutover.execute import Controller, give_up
from cutover.explorer import explore
from cutover.journal import Word
from cutover.mutants import Mutant
from cutover.telephone import give_code
from store.runs import RunKind
from sync.lane import Step

PERSON = Actor("eva", "engineer", "test")


class Gone(Exception):
    """The controller ends here, as if it had died."""


class Hand:
    """One controller in a thread, which goes on deed by deed when told to."""

    def __init__(self, world: Sides) -> None:
        self.ended = threading.Event()
        self._arrived, self._go = threading.Semaphore(0), threading.Semaphore(0)
        self._is_over = False
        self._controller = Controller(world.rig, world.closure, order(checkpoint=self._stop_at))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._wait()

    def _stop_at(self, name: str) -> None:
        if name.startswith("before"):
            self._arrived.release()
            self._go.acquire()
        if self._is_over:
            raise Gone

    def _work(self) -> None:
        try:
            self._controller.drive()
        except (Gone, BanyanError):
            pass
        finally:
            self._controller.disconnect()
            self.ended.set()
            self._arrived.release()

    def _wait(self) -> None:
        assert self._arrived.acquire(timeout=60), "a controller neither ends nor arrives anywhere"

    def step(self) -> None:
        """Let it do the deed it stands before."""
        if not self.ended.is_set():
            self._go.release()
            self._wait()

    def die(self) -> None:
        """Let it end where it stands, with what it holds."""
        self._is_over = True
        self._go.release()
        self._thread.join(60)


@dataclass
class Replay:
    """One world and everybody who acts in a trace."""

    world: Sides
    keys: list[str] = field(init=False)
    refused: list[str] = field(default_factory=list)
    acknowledged: dict[int, str] = field(default_factory=dict)
    _hands: dict[str, Hand] = field(default_factory=dict)
    _officers: Officers = field(init=False)
    _clients: list[tuple[Any, int, str]] = field(default_factory=list)
    _orphans: dict[str, "Orphan"] = field(default_factory=dict)
    _written: int = 0

    def __post_init__(self) -> None:
        self._officers = officers_of(self.world)
        self.keys = find_keys(self.world, 2)

    def play(self, mutant: Mutant) -> None:
        """Do every event of the shortest trace that breaks a mutant, then let everybody come to rest."""
        for moment in explore(mutant.bounds, mutant.rules).trace:
            try:
                self.do(moment.what)
            except (BanyanError, *self._officers.refusals) as error:
                self.refused.append(f"{moment.what}: {type(error).__name__}")
            assert self.who_writes() != "BOTH", moment.what
        self.rest()

    def do(self, what: str) -> None:
        who, _, rest = what.partition(" ")
        if who in ("A", "B"):
            self._controller(who, rest)
        elif found := re.fullmatch(r"a legacy client begins to write key (\d)", what):
            self._begin(int(found[1]))
        elif what == "the legacy client commits":
            self._commit()
        elif found := re.fullmatch(r"a canonical client writes(?: key (\d))?", what):
            self._write(int(found[1] or 0))
        else:
            self._event(what)

    def _event(self, what: str) -> None:
        world, engine = self.world, self.world.rig.workspace.engine("banyan_guard")
        name = world.closure.name
        match what:
            case "a switch is started":
                world.catch_up()
                evidence = world.sign()
                nonce = world.fence.nonce.int
                ready = Writing(evidence_id=evidence, words=lambda _: {Word.STARTED: {"to": Side.CANONICAL.value}})
                if world.phase is Phase.SYNCING:
                    move(engine, name, lambda row: protocol.change(row, protocol.READY, epoch=row.epoch),
                         actor=PERSON, writing=ready)  # fmt: skip
                move(engine, name, lambda row: protocol.start(row, row.epoch, nonce=nonce), actor=PERSON, writing=ready)
            case "a rollback is ordered":
                closed = {Word.CLOSED: {"closed_at": now().isoformat()}}
                move(engine, name, lambda row: protocol.change(row, protocol.ROLL_BACK, epoch=row.epoch),
                     actor=PERSON, writing=Writing(words=lambda _: closed))  # fmt: skip
            case "the switch is aborted" | "the rollback is cancelled":
                give_up(world.rig, read_control(engine, name), PERSON, reason="the trace says so")
            case "the lease runs":
                self._officers.end_lease()
            case "the forward applier applies a change":
                world.catch_up()
            case "the reverse applier applies a change":
                world.rig.reverse_engine().advance(world.rig.reverse(name), RunKind.REVERSE)
            case "a second forward applier reads a change" | "the second reverse applier reads a change":
                self._orphans["forward"] = Orphan(world, "forward")
            case "a second reverse applier reads a change":
                self._orphans["reverse"] = Orphan(world, "reverse")
            case "the second forward applier applies it":
                self._orphans.pop("forward").go_on()
            case "the second reverse applier applies it":
                self._orphans.pop("reverse").go_on()
            case "a person opens with a code given while SEALING":
                for statement in give_code(world.rig, world.closure, actor=PERSON).statements:
                    self._officers.run(statement)
            case "the link is cut" | "the link heals" | "the reverse capture is switched on":
                pass  # the outbox is always on; a cut is played by what does not arrive
            case "an abort opens before it commits":
                pass  # the program has no such deed
            case _:
                raise AssertionError(f"nobody plays: {what}")

    def _controller(self, who: str, rest: str) -> None:
        takes_up = re.match(r"reads [A-Z_]+$|compares|sees|drained", rest) is not None
        if takes_up:
            if who in self._hands:
                self._hands.pop(who).die()
            self._hands[who] = Hand(self.world)
        if rest == "dies":
            if who in self._hands:
                self._hands.pop(who).die()
        elif not re.match(r"reads [A-Z_]+$", rest) and who in self._hands:
            self._hands[who].step()

    def _begin(self, key: int) -> None:
        self._written += 1
        value = f"L{self._written}"
        self._clients.append((self._officers.begin(self.keys[key], value), key, value))

    def _commit(self) -> None:
        if not self._clients:
            return
        client, key, value = self._clients.pop(0)
        client.commit()
        client.close()
        self.acknowledged[key] = value

    def _write(self, key: int) -> None:
        self._written += 1
        value = f"N{self._written}"
        write_record(self.world, self.keys[key], value)
        self.acknowledged[key] = value

    def who_writes(self) -> str:
        """Say who can write; beside the one writer of a file nobody can be asked, and it is that one."""
        if self._clients and self._officers.is_one_writer:
            return "BOTH" if self.world.new_lets_write() else "LEGACY"
        return self.world.who_writes()

    def rest(self) -> None:
        """Let clients end, controllers finish or die, and the guard come by when it is late."""
        while self._clients:
            self._commit()
        for hand in self._hands.values():
            for _ in range(40):
                hand.step()
            hand.die()
        for orphan in self._orphans.values():
            orphan.go_on()

    def stands(self) -> dict[int, str | None]:
        """Read what the owner's store says of the keys that were written."""
        read = read_row if self.world.row.owner is Side.LEGACY else read_record
        return {key: read(self.world, self.keys[key]) for key in self.acknowledged}


class Orphan:
    """An applier that has read and mapped, sleeps, and wakes when its time is long over."""

    def __init__(self, world: Sides, way: str) -> None:
        self._go, self._arrived = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, args=(world, way), daemon=True)
        self._thread.start()
        self._arrived.wait(30)

    def _work(self, world: Sides, way: str) -> None:
        def sleep(step: Step) -> None:
            if step is Step.MAPPED:
                self._arrived.set()
                self._go.wait(60)

        try:
            if way == "forward":
                world.rig.forward_engine(checkpoint=sleep).advance(world.rig.forward())
            else:
                lane = world.rig.reverse(world.closure.name)
                world.rig.reverse_engine(checkpoint=sleep).advance(lane, RunKind.REVERSE)
        except (BanyanError, StoreFenced):
            pass
        finally:
            self._arrived.set()

    def go_on(self) -> None:
        """Wake it and wait for its end."""
        self._go.set()
        self._thread.join(60)
