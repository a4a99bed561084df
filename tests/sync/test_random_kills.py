"""Torture: first copy, changes and the way back of an estate, killed at random again and again: all of it once."""

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
from worlds import CLOSURE, ORION

from banyan.config import load_project
from banyan.findings import LevelState
from estate.live import Pace, live
from estate.load import load
from estate.orion import generate
from sync.assembly import Rig, open_rig, prepare
from sync.workspace import Workspace, opened
from validation.conservation import check_conservation
from validation.reconcile import reconcile
from validation.subject import Subject

__all__ = ["known_actor"]
pytestmark = [pytest.mark.server, pytest.mark.torture]
KILLS = int(os.environ.get("BANYAN_KILLS", "200"))
SIZE = os.environ.get("BANYAN_KILLS_SIZE", "S")
A_CHUNK = 0.25
"""Seconds in which a chunk of a first copy is carried: most of its commands die."""
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

    def run(self, *arguments: str, patience: float | None = None) -> bool:
        """Run a command and kill it unless it is done before; gives whether it came to its end.

        With `patience`, so many seconds are the most that it is given once it carries a chunk.
        """
        asked = (["-C", str(self._project.folder), *arguments], ENVIRONMENT)
        child = self._context.Process(target=run_command, args=asked, daemon=True)
        child.start()
        if self._draw.random() < 0.8:
            self._wait_for_a_chunk(child)
        child.join(self._draw.uniform(0.0, self._patience if patience is None else patience))
        child.kill()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        has_ended = child.exitcode == 0
        self.kills, self.ends = self.kills + (not has_ended), self.ends + has_ended
        if patience is not None:
            return has_ended
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


class Patience:
    """Tells when a part of the killing is over: so many kills, or so much of the time there is."""

    def __init__(self, killer: Killer) -> None:
        self._killer, self._began = killer, time.monotonic()

    def is_over(self, share: float) -> bool:
        return self._killer.kills >= KILLS * share or time.monotonic() - self._began > SECONDS * share


def give_to_the_new_system(project: TestProject, workspace: Workspace) -> None:
    """Seal the fence of a closure and let the new system own it, without the protocol: for a test of sync alone."""
    rig = open_rig(workspace, ORION)
    nonce = rig.slices(CLOSURE)[0].nonce
    assert rig.fence(CLOSURE).close(2, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
    assert rig.fence(CLOSURE).seal(2, nonce_old=nonce).accepted
    change = "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1 where closure = :name"
    project.ask(project.store, change, name=CLOSURE)


class People:
    """People of the new system, who edit persons that nobody edited before."""

    def __init__(self, project: TestProject) -> None:
        self._project = project
        self._left = project.ask(
            project.store,
            "select p.id::text, c.source_key from justice.person_identity p join mig.crosswalk c using (id)"
            " join mig.source_table t using (source_table_no) where t.table_name = 't_personne'"
            " and p.occupation_text is not null and c.deleted_at is null order by md5(c.source_key)",
        )
        self.edits: dict[str, str] = {}
        in_lower_case = "select id_pers::text from orion.t_personne where nom <> upper(nom)"
        self.rewritten = {key for (key,) in project.ask(project.legacy, in_lower_case)}
        """Keys of persons whose name a trigger of the old system puts in capitals whenever their row is written."""

    def edit(self, count: int) -> None:
        chosen, self._left = self._left[:count], self._left[count:]
        assert len(chosen) == count
        word = f"METIER {len(self.edits)}"
        with psycopg.connect(
            host="127.0.0.1", port=self._project.port, user="banyan_app", dbname=self._project.store
        ) as connection:
            for person, _ in chosen:
                connection.execute(
                    "update justice.person_identity set occupation_text = %s where id = %s", (word, person)
                )
        self.edits |= {key: word for _, key in chosen}


def test_an_estate_killed_at_random_is_carried_whole_and_once_there_and_back(cluster, tmp_path):
    project = make_big_project(cluster, tmp_path / "project")
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, ORION)
    killer = Killer(project, 20)
    patience = Patience(killer)
    while not patience.is_over(0.3) and not killer.run("load", "38", "--json", patience=A_CHUNK):
        pass
    load_kills, writings = killer.kills, 0
    assert project.banyan("load", "38", "--json") == 0
    while not patience.is_over(0.6):
        writings += 1
        writer = project.url(project.legacy, "orion_app")
        live(writer, Pace(rate_per_second=2_000, count=100, seed=writings))
        for _ in range(12):
            if killer.run("sync", "run", "38", "--json") or patience.is_over(0.6):
                break
    change_kills = killer.kills - load_kills
    for _ in range(2):  # the run that was left open, then what came after it
        assert project.banyan("sync", "run", "38", "--json") == 0
    with opened(load_project(project.folder)) as workspace:
        found = judge(open_rig(workspace, ORION))
        give_to_the_new_system(project, workspace)
    people = People(project)
    while not patience.is_over(1.0):
        people.edit(10)
        for _ in range(12):
            if killer.run("sync", "run", "38", "--json") or patience.is_over(1.0):
                break
    killer.close()
    for _ in range(2):
        assert project.banyan("sync", "run", "38", "--json") == 0

    doubled = project.ask(
        project.store,
        "select count(*) from (select 1 from mig.crosswalk where deleted_at is null"
        " group by source_table_no, source_key having count(*) > 1) d",
    )[0][0]
    stands = dict(
        project.ask(
            project.legacy, "select id_pers::text, trim(profession) from orion.t_personne where profession ~ '^METIER '"
        )
    )
    listed = project.ask(project.store, "select source_key, column_name, kind from mig.degraded_write_back order by 1")
    degraded = [one for one in listed if one[0] not in people.rewritten or one[2] != "REWRITTEN"]
    ((counted, open_runs),) = project.ask(
        project.store,
        "select (select coalesce(sum(loaded), 0)::int from mig.conservation where to_side = 'LEGACY'),"
        " (select count(*) from mig.run where state <> 'DONE')",
    )
    lost = sum(stands.get(key) != word for key, word in people.edits.items())
    print(
        f"{killer.kills} kills ({load_kills} in the first copy, {change_kills} in changes,"
        f" {killer.kills - load_kills - change_kills} on the way back), {killer.ends} commands that ended,"
        f" {writings} times 100 writes, {len(people.edits)} edits back: {lost} lost, {doubled} doubled rows,"
        f" {counted - len(people.edits)} counted too often, {len(found) + len(degraded)} unexplained;"
        f" {len(listed) - len(degraded)} names put in capitals by the old system"
    )
    assert killer.kills >= KILLS or float("inf") > SECONDS
    assert (found, doubled, degraded, open_runs) == ([], 0, [], 0)
    assert stands == people.edits
    assert counted == len(people.edits)
