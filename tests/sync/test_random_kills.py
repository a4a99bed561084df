"""Torture: the first copy and the changes of an estate, killed at random again and again: nothing lost or doubled."""

import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace

import psycopg
import pytest
from killed_command import run_command
from projects import ENVIRONMENT, TestProject, known_actor, make_project
from worlds import ORION

from banyan.config import load_project
from banyan.findings import LevelState
from estate.live import Pace, live
from estate.load import load
from estate.orion import generate
from sync.assembly import Rig, open_rig, prepare
from sync.workspace import opened
from validation.conservation import check_conservation
from validation.reconcile import reconcile
from validation.subject import Subject

__all__ = ["known_actor"]
pytestmark = [pytest.mark.server, pytest.mark.torture]
KILLS = int(os.environ.get("BANYAN_KILLS", "200"))
SIZE = os.environ.get("BANYAN_KILLS_SIZE", "S")
SECONDS = float(os.environ.get("BANYAN_KILLS_SECONDS", "inf"))  # after so many, whatever was killed is judged


def make_big_project(cluster, folder) -> TestProject:
    project = make_project(cluster, folder)
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute("create database kills_orion")
    load(generate(SIZE, 1), project.url("kills_orion"))
    project.write(project.legacy, "kills_orion")
    return replace(project, legacy="kills_orion")


class Killer:
    """Starts commands and kills them at random, most often while they carry a chunk."""

    _context = multiprocessing.get_context("forkserver")
    # nothing that starts the threads of Polars: a fork would not have them
    _context.set_forkserver_preload(
        ["boto3", "alembic.command", "polars", "pyarrow.parquet", "cli.main", "cli.runs", "connectors.postgresql",
         "store.records", "store.outcomes", "store.landing", "store.slices", "store.ledger"]
    )  # fmt: skip

    def __init__(self, project: TestProject, seed: int) -> None:
        self._project, self._draw, self._patience = project, random.Random(seed), 2.0
        self._watch = psycopg.connect(
            host="127.0.0.1", port=project.port, user="postgres", dbname=project.store, autocommit=True
        )
        self.kills = self.ends = 0

    def run(self, *arguments: str) -> bool:
        """Run a command and kill it unless it is done before; gives whether it came to its end."""
        asked = (["-C", str(self._project.folder), *arguments], ENVIRONMENT)
        child = self._context.Process(target=run_command, args=asked, daemon=True)
        child.start()
        if self._draw.random() < 0.8:
            self._wait_for_a_chunk(child)
        child.join(self._draw.uniform(0.0, self._patience))
        child.kill()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        has_ended = child.exitcode == 0
        self.kills, self.ends = self.kills + (not has_ended), self.ends + has_ended
        self._patience = min(6.0, max(0.2, self._patience * (0.7 if has_ended else 1.1)))  # most die, some do not
        return has_ended

    def close(self) -> None:
        self._watch.close()

    def _wait_for_a_chunk(self, child: multiprocessing.process.BaseProcess) -> None:
        holds = "select exists (select from mig.chunk where state = 'LEASED' and owner like %s)"
        while child.is_alive() and self._watch.execute(holds, (f"%:{child.pid}:%",)).fetchone() == (False,):
            time.sleep(0.02)


def judge(rig: Rig) -> list[object]:
    """List what is lost, doubled or unexplained."""
    subject = Subject(
        department=rig.workspace.project.department(rig.source.department_code),
        source=rig.source,
        port=rig.port,
        engine=rig.workspace.engine("banyan_judge"),
        book=rig.book,
        table_numbers=rig.table_numbers,
        digest_key=rig.workspace.digest_key,
        domains=tuple(domain for closure in rig.closures for domain in closure.domains),
    )
    watermark = rig.forward().watermark()
    levels = [check_conservation(subject), reconcile(subject, watermark=watermark).level]
    return [finding for level in levels for finding in level.findings if level.state is not LevelState.PASS]


def test_an_estate_killed_at_random_is_carried_whole_and_once(cluster, tmp_path):
    project = make_big_project(cluster, tmp_path / "project")
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, ORION)
    killer, writings, until = Killer(project, 20), 0, time.monotonic() + SECONDS
    while killer.kills < KILLS / 2 and time.monotonic() < until and not killer.run("load", "38", "--json"):
        pass
    load_kills = killer.kills
    assert project.banyan("load", "38", "--json") == 0
    while killer.kills < KILLS and time.monotonic() < until:
        writings += 1
        writer = project.url(project.legacy, "orion_app")
        live(writer, Pace(rate_per_second=2_000, count=100, seed=writings))
        for _ in range(12):
            if killer.run("sync", "run", "38", "--json") or killer.kills >= KILLS or time.monotonic() > until:
                break
    killer.close()
    for _ in range(2):  # the run that was left open, then what came after it
        assert project.banyan("sync", "run", "38", "--json") == 0

    with opened(load_project(project.folder)) as workspace:
        found = judge(open_rig(workspace, ORION))
    doubled = project.ask(
        project.store,
        "select count(*) from (select 1 from mig.crosswalk where deleted_at is null"
        " group by source_table_no, source_key having count(*) > 1) d",
    )
    print(
        f"{killer.kills} kills ({load_kills} in the first copy), {killer.ends} commands that ended,"
        f" {writings} times 100 writes, {len(found)} findings"
    )
    assert killer.kills >= KILLS or time.monotonic() > until
    assert (found, doubled) == ([], [(0,)])
