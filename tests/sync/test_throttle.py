"""The pace of reading: chunks that fit, hours and sessions that are respected, pause, resume, cancel, kill -9."""

import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from captured import make_captured
from projects import known_actor

from banyan.config import load_project
from banyan.departments import Department, SourceRef
from banyan.errors import ConfigurationError
from connectors.mariadb_connection import ask
from store.pace import Pace, write_pace
from store.postgres import transaction
from sync.assembly import prepare
from sync.lane import Step
from sync.throttle import FIRST_ROWS, LEAST_ROWS, MOST_ROWS, Throttle, is_within
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
ISERE = Department("38", "Isère", "Europe/Paris", 1)
CHILD = Path(__file__).parent / "dying_load.py"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def throttle_of(world, pace: Pace | None = None, **more) -> Throttle:
    engine = world.place.engine("banyan_forward")
    if pace is not None:
        with transaction(engine) as connection:
            write_pace(connection, ORION, pace)
    return Throttle(engine, ORION, ISERE, world.port, **more)


def test_hours_may_pass_over_midnight():
    assert [is_within(hour, "07:00", "19:00") for hour in ("06:59", "07:00", "18:59", "19:00")] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [is_within(hour, "22:00", "06:00") for hour in ("21:59", "22:00", "00:30", "06:00")] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_chunk_becomes_as_long_as_the_legacy_system_can_bear(world):
    throttle = throttle_of(world)
    sizes = [throttle.rows("t")]
    for _ in range(12):  # a server that reads 20,000 rows a second
        throttle.learn("t", sizes[-1], sizes[-1] / 20_000)
        sizes.append(throttle.rows("t"))
    for _ in range(12):  # and becomes forty times slower
        throttle.learn("t", sizes[-1], sizes[-1] / 500)
        sizes.append(throttle.rows("t"))
    throttle.learn("t", 1, 0.0001)  # the end of a range says nothing

    assert sizes[0] == FIRST_ROWS
    assert sizes[12] == 15_000
    assert sizes[-1] == throttle.rows("t") == 375
    for _ in range(12):
        throttle.learn("fast", throttle.rows("fast"), 0.0)
        throttle.learn("slow", throttle.rows("slow"), 100.0)
    assert (throttle.rows("fast"), throttle.rows("slow")) == (MOST_ROWS, LEAST_ROWS)


def test_a_range_is_cut_when_the_server_is_slow_and_every_row_is_still_loaded_once(world):
    throttle = throttle_of(world)
    throttle.learn("t_personne", FIRST_ROWS, 10_000.0)
    throttle.learn("t_personne", FIRST_ROWS // 4, 10_000.0)
    for _ in range(4):
        throttle.learn("t_personne", throttle.rows("t_personne"), 10_000.0)
    lane = world.forward()

    result = world.forward_engine(throttle=throttle).load(lane, lane.plan_load, rules_digest="")

    rows = world.on_legacy("select count(*) from orion.t_personne")[0][0]
    chunks = world.place.run(
        "select low_key, high_key from mig.chunk where table_name = 't_personne' order by chunk_no"
    )
    assert result.totals["t_personne"].rows.read == rows
    assert result.total.is_balanced
    assert len(chunks) > 2
    assert [low for low, _ in chunks[1:]] == [high for _, high in chunks[:-1]]
    assert (chunks[0][0], chunks[-1][1]) == (None, None)


def test_nothing_is_read_in_the_closed_hours_of_the_department(world):
    throttle = throttle_of(world, Pace(closed_from="07:00", closed_until="19:00"))

    reasons = [throttle.find_obstacle(datetime(2026, 7, 14, hour, tzinfo=UTC)) for hour in (4, 5, 16, 17)]

    assert [bool(reason) for reason in reasons] == [False, True, True, False]  # Paris is two hours ahead
    assert reasons[1] == "closed from 07:00 to 19:00, it is 07:00 there"


def test_a_night_long_wait_goes_on_by_itself_and_keeps_its_run(world):
    """The watcher is told each second why nothing is read; the run is renewed, so that nobody takes it over."""
    told = []
    night = [0]

    def sleep(_: float) -> None:
        night[0] += 1
        if night[0] == 5:
            with transaction(world.place.engine("banyan_forward")) as connection:
                write_pace(connection, ORION, Pace())
        time.sleep(0.3)

    hours = {"closed_from": "00:00", "closed_until": "24:00"}
    throttle = throttle_of(world, Pace(**hours), sleep=sleep)
    lane = world.forward()
    engine = world.forward_engine(throttle=throttle, watcher=told.append)

    result = engine.load(lane, lane.plan_load, rules_digest="")

    waits = [progress.waiting for progress in told if progress.waiting]
    assert len(waits) >= 5
    assert waits[0].startswith("closed from 00:00 to 24:00")
    assert result.total.is_balanced


def test_sessions_at_work_and_behind_locks_are_respected(world):
    throttle = throttle_of(world, Pace(most_lock_waits=0))
    free = throttle.find_obstacle(datetime(2026, 1, 1, tzinfo=UTC))
    busy = ""
    with (
        world.place.connect() as _,
        __import__("psycopg").connect(world.legacy.replace("+psycopg", ""), autocommit=False) as first,
    ):
        first.execute("lock table orion.t_tel")
        second = threading.Thread(target=world.on_legacy, args=("select count(*) from orion.t_tel",))
        second.start()
        until = time.monotonic() + 30
        while not busy and time.monotonic() < until:
            busy = throttle.find_obstacle(datetime(2026, 1, 1, tzinfo=UTC))
        first.rollback()
        second.join()

    assert free == ""
    assert busy == "1 sessions wait for locks there, 0 are allowed"


def busy_one(throttle, wanted: str) -> str:
    """Ask until the legacy system is as busy as wanted, or free of work (""); gives what was said last."""
    until = time.monotonic() + 20
    while (said := throttle.find_obstacle(NOON)) != wanted and time.monotonic() < until:
        time.sleep(0.02)
    return said


def test_sessions_at_work_keep_us_waiting_and_an_account_that_may_not_see_them_says_so(world):
    throttle = throttle_of(world, Pace(most_active=0))
    people = threading.Thread(target=world.on_legacy, args=("select pg_sleep(2)",))
    world.on_legacy("grant pg_read_all_stats to banyan_reader", role="postgres")
    try:
        people.start()
        busy = busy_one(throttle, "1 sessions work there, 0 are allowed")
        people.join()
        free = busy_one(throttle, "")
    finally:
        world.on_legacy("revoke pg_read_all_stats from banyan_reader", role="postgres")
    people = threading.Thread(target=world.on_legacy, args=("select pg_sleep(2)",))
    people.start()
    time.sleep(0.5)
    with pytest.raises(ConfigurationError, match=r"may not see how many sessions of 38\.ORION work; nothing was read"):
        throttle.find_obstacle(NOON)
    people.join()

    assert (busy, free) == ("1 sessions work there, 0 are allowed", "")


@pytest.mark.mariadb
def test_a_busy_mariadb_keeps_us_waiting_as_well(world, marel):
    marel.run("insert into dossier (id) values (1)")
    with marel.port("log") as port, marel.connect(autocommit=False) as first:
        world.port = port
        active = throttle_of(world, Pace(most_active=0, most_lock_waits=0))
        free = busy_one(active, "")
        ask(first, "update dossier set note = 'x' where id = 1")
        wanted = ("update dossier set note = 'y' where id = 1",)
        second = threading.Thread(target=marel.run, args=wanted, kwargs={"account": "marel_app"})
        second.start()
        waits = busy_one(active, "1 sessions wait for locks there, 0 are allowed")
        works = busy_one(throttle_of(world, Pace(most_active=0)), "1 sessions work there, 0 are allowed")
        first.rollback()
        second.join()

    assert free == ""
    assert waits == "1 sessions wait for locks there, 0 are allowed"
    assert works == "1 sessions work there, 0 are allowed"


@pytest.mark.parametrize("step", [Step.READ, Step.MAPPED])
def test_a_row_deleted_between_reading_and_writing_does_not_rise_again(world, step):
    gone = []
    first_five = "select id_tel from orion.t_tel order by 1 limit 5"

    def strike(here: Step) -> None:
        leased = world.place.run("select table_name from mig.chunk where state = 'LEASED'") if here is step else []
        if leased == [("t_tel",)] and not gone:
            gone.append(world.on_legacy(f"delete from orion.t_tel where id_tel in ({first_five}) returning id_tel"))

    lane = world.forward()
    world.forward_engine(checkpoint=strike).load(lane, lane.plan_load, rules_digest="")
    while world.forward_engine().advance(world.forward()) is not None:
        pass

    keys = [str(key) for (key,) in gone[0]]
    live = world.place.run(
        "select count(*) from mig.crosswalk join mig.source_table using (source_table_no)"
        " where table_name = 't_tel' and source_key = any(%s) and deleted_at is null",
        (keys,),
    )
    assert len(keys) == 5
    assert live == [(0,)]


def done_chunks(project) -> int:
    return project.ask(project.store, "select count(*) from mig.chunk where state = 'DONE'")[0][0]


def wait_for(question, seconds: float = 30.0) -> float:
    start = time.monotonic()
    while not question():
        assert time.monotonic() - start < seconds, "it never came"
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def prepared(cluster, tmp_path_factory, known_actor):
    project = make_captured(cluster, tmp_path_factory.mktemp("paced") / "project", "log")
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, ORION).close()
    return project


def test_a_run_is_paused_killed_resumed_and_cancelled_while_it_goes_on_and_no_ghost_is_left(prepared, capfd):
    project = prepared
    # killed by kill -9 in the middle of its second chunk
    died = subprocess.run([sys.executable, str(CHILD), str(project.folder), "mapped"], timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL
    finished = done_chunks(project)
    assert finished >= 1

    # paused: a new process waits, and says so
    assert project.banyan("sync", "pause", "38", "--json") == 0
    load = project.start("load", "38", "--json")
    event = json.loads(next(line for line in load.stderr if '"waiting"' in line))
    assert event["event"] == "waiting"
    assert event["waiting"].endswith("by tester")
    assert done_chunks(project) == finished

    # resumed: it goes on within seconds, without reading finished chunks again
    assert project.banyan("sync", "resume", "38", "--json") == 0
    assert wait_for(lambda: done_chunks(project) > finished + 1) < 5

    # paused again and cancelled: the process ends, what is finished stays
    assert project.banyan("sync", "pause", "38", "--json") == 0
    wait_for(lambda: any('"waiting": "paused' in line for line in [load.stderr.readline()]))
    assert project.banyan("sync", "cancel", "38", "--reason", "wrong night", "--json") == 0
    assert load.wait(20) == 4
    kept = done_chunks(project)
    assert project.ask(project.store, "select state, reason from mig.run") == [("CANCELLED", "wrong night")]
    who = "select actor, reason from mig.processing_log where operation = 'alteration'"
    assert project.ask(project.store, who) == [("tester", "run 1 of 38.ORION cancelled: wrong night")]
    attempts = project.ask(project.store, "select attempt, count(*) from mig.chunk where state = 'DONE' group by 1")
    assert dict(attempts) == {1: kept - 1, 2: 1}  # only the chunk that was killed was read twice

    # a row that the cancelled copy had loaded is deleted before the next one begins
    key = project.ask(
        project.store,
        "select table_name, source_key from mig.crosswalk join mig.source_table using (source_table_no) limit 1",
    )
    ((table, source_key),) = key
    with opened(load_project(project.folder)) as workspace:
        column = workspace.book(ORION).rulesets[table].key[0]
    first = source_key.split("\x1f")[0]
    project.ask(project.legacy, f"delete from orion.{table} where {column}::text = :key", key=first)
    assert project.banyan("sync", "resume", "38", "--json") == 0
    assert project.banyan("load", "38", "--json") == 0
    project.sync()
    assert project.differences() == {}


def test_the_pace_is_shown_and_changed_on_the_command_line(prepared, capfd):
    project = prepared
    capfd.readouterr()
    assert project.banyan("sync", "throttle", "38", "--closed", "07:00-19:00", "--most-active", "20", "--json") == 0
    (shown,) = json.loads(capfd.readouterr().out)
    assert project.banyan("sync", "throttle", "38", "--no-limits", "--json") == 0
    (freed,) = json.loads(capfd.readouterr().out)
    wrong = project.banyan("sync", "throttle", "38", "--closed", "7-19")

    assert (shown["closed_from"], shown["closed_until"], shown["most_active"]) == ("07:00", "19:00", 20)
    assert (freed["closed_from"], freed["most_active"], freed["chunk_seconds"]) == (None, None, 0.75)
    assert wrong == 2
