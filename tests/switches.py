"""A world for tests of the switch: ORION and a store on a throwaway server, a rig between, people on both sides."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from projects import ENVIRONMENT, TestProject, make_project
from sides import Sides
from sqlalchemy.engine import make_url

from banyan.config import load_project
from banyan.departments import Actor, Closure, SourceRef
from cutover.deeds import Limits
from cutover.execute import Order
from estate.live import Pace, live
from estate.new_application import Application
from store.runs import RunKind
from sync.assembly import Rig, open_rig, prepare
from sync.workspace import LegacyUrls, Workspace

ORION = SourceRef("38", "ORION")
NAME = "38.cases+vehicles"
ENGINEER = Actor("eva", "engineer", "test")
PATIENT = Limits(lease_seconds=60, budget_seconds=60, rollback_seconds=120)


class TestWorkspace(Workspace):
    """A project whose officers' account is the one of ORION's application."""

    __test__ = False

    def legacy_urls(self, source: SourceRef) -> LegacyUrls:
        urls = super().legacy_urls(source)
        officers = make_url(urls.reader).set(username="orion_app").render_as_string(hide_password=False)
        return LegacyUrls(urls.reader, urls.reverse, urls.guard, urls.admin, officers)


def open_world_rig(folder: Path) -> Rig:
    """Open the rig of a project that is prepared."""
    os.environ.update(ENVIRONMENT)
    return open_rig(TestWorkspace(load_project(folder)), ORION)


def order(**more) -> Order:
    """An order with all the time in the world."""
    return Order(**({"actor": ENGINEER, "limits": PATIENT} | more))


@dataclass
class SwitchWorld(Sides):
    """Both sides of 38, as people and controllers meet them."""

    project: TestProject
    rig: Rig
    name: str = NAME
    _random: Random = field(default_factory=lambda: Random(1))

    def ask_store(self, query: str, **bound):
        return self.project.ask(self.project.store, query, **bound)

    def ask_legacy(self, query: str, **bound):
        return self.project.ask(self.project.legacy, query, **bound)

    def officers(self, count: int) -> None:
        """Let officers work in the old system."""
        url = self.rig.workspace.legacy_urls(ORION).application
        done = live(url, Pace(rate_per_second=2000, count=count, seed=self._random.randrange(10**6)))
        assert done.refused == 0

    def application(self, edits: int):
        """Let people work in the new system."""
        units: dict[str, list[tuple[str, ...]]] = {}
        for ruleset in self.rig.book.rulesets.values():
            for part in ruleset.parts:
                if part.domain.value in self.closure.domains:
                    units.setdefault(part.table, []).extend(rule.to for rule in part.fields)
        engine = self.rig.workspace.engine("banyan_app")
        return Application(engine, "38", units, seed=self._random.randrange(10**6)).do(edits)

    def lost_or_doubled(self) -> tuple[int, int, int]:
        """Count rows whose fate nobody knows, legacy keys claimed twice, and records of keys that are gone."""
        unknown = doubled = strange = 0
        for table in self.closure.tables:
            key = self.rig.book.rulesets[table].key[0]
            keys = {str(row[0]) for row in self.ask_legacy(f"select {key} from orion.{table}")}
            number = self.rig.table_numbers[table]
            live_keys = [
                row[0]
                for row in self.ask_store(
                    "select source_key from mig.crosswalk where source_table_no = :n and deleted_at is null", n=number
                )
            ]
            others = {
                row[0]
                for row in self.ask_store(
                    "select source_key from mig.filtered_row where source_table_no = :n union select source_key from"
                    " mig.quarantine where source_table_no = :n and state = 'OPEN' and column_name is null",
                    n=number,
                )
            }
            struck = set()
            deletes = self.rig.book.rulesets[table].deletes
            if deletes is not None:
                query = f"select {key} from orion.{table} where {deletes.column} = '{deletes.value}'"
                struck = {str(row[0]) for row in self.ask_legacy(query)}
            unknown += len(keys - set(live_keys) - others - struck)
            doubled += len(live_keys) - len(set(live_keys))
            strange += len(set(live_keys) - keys)
        return unknown, doubled, strange

    def journal(self) -> list[tuple]:
        return self.ask_store(
            "select kind, from_phase, to_phase, epoch, facts from mig.journal where closure = :c order by sequence",
            c=NAME,
        )


def build_switch_world(cluster, folder: Path) -> SwitchWorld:
    """Make a world whose first copy is done and whose evidence two people signed."""
    os.environ.update(ENVIRONMENT)
    project = make_project(cluster, folder)
    rig = prepare(TestWorkspace(load_project(folder)), ORION)
    world = SwitchWorld(project, rig)
    world.load()
    return world


@pytest.fixture(scope="module")
def switch_world(cluster, tmp_path_factory) -> SwitchWorld:
    """One world a module."""
    made = build_switch_world(cluster, tmp_path_factory.mktemp("switch") / "project")
    yield made
    made.close()


class ControllerProcess:
    """A controller, or an applier of one way, in a process of its own, which kills or stops itself at a named point."""

    _context = multiprocessing.get_context("forkserver")
    # nothing that starts threads: a fork would inherit their locks
    _context.set_forkserver_preload(
        ["sqlalchemy.dialects.postgresql", "psycopg", "pydantic", "boto3", "alembic.command"]
    )

    def __init__(self, world: SwitchWorld, deed: str, point: str = "", how: int = signal.SIGKILL) -> None:
        arguments = (world.project.folder, deed, point, how)
        self._process = self._context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, seconds: float = 60) -> int | None:
        """Wait for its end; gives the exit code of banyan, or minus the signal that killed it."""
        self._process.join(seconds)
        return self._process.exitcode

    def wait_until_stopped(self, seconds: float = 60) -> None:
        """Wait until it has frozen itself."""
        until = time.monotonic() + seconds
        while Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            assert self._process.is_alive(), f"it ended with {self._process.exitcode} and never stopped"
            assert time.monotonic() < until, "it never stopped"
            time.sleep(0.02)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def _forward(rig: Rig, _: Closure, order: Order) -> None:
    rig.forward_engine(checkpoint=order.checkpoint).advance(rig.forward())


def _reverse(rig: Rig, closure: Closure, order: Order) -> None:
    rig.reverse_engine(checkpoint=order.checkpoint).advance(rig.reverse(closure.name), RunKind.REVERSE)


def _work(folder: Path, deed: str, point: str, how: int) -> None:
    from banyan.errors import BanyanError
    from cutover.switching import abort, roll_back, switch

    passed: list[str] = []  # a controller that is thawed goes on to its end

    def checkpoint(name: str) -> None:
        if name == point and not passed:
            passed.append(name)
            os.kill(os.getpid(), how)

    rig = open_world_rig(folder)
    work = {"switch": switch, "rollback": roll_back, "abort": abort, "forward": _forward, "reverse": _reverse}[deed]
    try:
        work(rig, rig.closure(NAME), order(checkpoint=checkpoint))
    except BanyanError as error:
        sys.exit(error.exit_code)


__all__ = ["NAME", "ORION", "ControllerProcess", "SwitchWorld", "order", "switch_world"]
