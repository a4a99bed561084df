"""Torture: the first copy and the changes of an estate, killed at random again and again: nothing lost or doubled."""

import os
import random
import signal
import subprocess
import time
from dataclasses import replace

import psycopg
import pytest
from projects import TestProject, known_actor, make_project
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


def make_big_project(cluster, folder) -> TestProject:
    project = make_project(cluster, folder)
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute("create database kills_orion")
    load(generate(SIZE, 1), project.url("kills_orion"))
    project.write(project.legacy, "kills_orion")
    return replace(project, legacy="kills_orion")


def start_and_kill(project: TestProject, draw: random.Random, *arguments: str) -> bool:
    """Start a command, kill it while it carries a chunk; gives whether it came to its end before."""
    child = project.start(*arguments)
    holds = f"select count(*) from mig.chunk where state = 'LEASED' and owner like '%:{child.pid}:%'"
    while child.poll() is None and project.ask(project.store, holds) == [(0,)]:
        time.sleep(0.02)
    try:
        _, said = child.communicate(timeout=draw.uniform(0.0, 4.0))
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
        _, said = child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), said[-2000:]
    return child.returncode == 0


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
    draw, kills, ends, writings = random.Random(20), 0, 0, 0
    while not start_and_kill(project, draw, "load", "38", "--json"):
        kills += 1
    load_kills = kills
    while kills < KILLS:
        writings += 1
        writer = project.url(project.legacy, "orion_app")
        live(writer, Pace(rate_per_second=2_000, count=100, seed=writings))
        for _ in range(12):
            if start_and_kill(project, draw, "sync", "run", "38", "--json"):
                ends += 1
                break
            kills += 1
    while project.banyan("sync", "run", "38", "--json") != 0:
        pass

    with opened(load_project(project.folder)) as workspace:
        found = judge(open_rig(workspace, ORION))
    doubled = project.ask(
        project.store,
        "select count(*) from (select 1 from mig.crosswalk where deleted_at is null"
        " group by source_table_no, source_key having count(*) > 1) d",
    )
    print(f"{kills} kills ({load_kills} in the first copy), {ends} runs that ended, {writings} times 100 writes")
    assert kills >= KILLS
    assert (found, doubled) == ([], [(0,)])
