"""MAREL on MariaDB, whole path: a first copy killed, kept waiting and deleted under, then a storm of changes."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pymysql
import pytest
from marels import MAREL, make_marel
from projects import ENVIRONMENT, known_actor

from connectors.mariadb_connection import ask
from cutover.judgement import subject_of
from store.pace import Pace, write_pace
from store.postgres import transaction
from sync.lane import Step
from sync.throttle import Throttle
from validation.reconcile import reconcile

__all__ = ["known_actor"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server, pytest.mark.torture]

CHILD = Path(__file__).parent / "dying_load.py"
RATE, SECONDS, DEADLOCK = 500, 3.0, 1213


@pytest.fixture(params=["log", "journal"])
def world(request, cluster, mariadb, tmp_path, known_actor):
    made = make_marel(cluster, mariadb, tmp_path / "project", capture=request.param, name=f"storm_{request.param}")
    yield made
    made.close()


def folder(world) -> str:
    return str(world.rig.workspace.project.folder)


def differences(world) -> dict[str, object]:
    """Compare both sides row by row, and every key with its fate; everything equal gives {}."""
    found: dict[str, object] = {}
    for closure in world.rig.closures:
        judged = reconcile(subject_of(world.rig, closure.name), watermark=None)
        if judged.differences.height or judged.level.state != "PASS":
            found[closure.name] = (judged.level.state, judged.differences)
        for table in closure.tables:
            ruleset, number = world.rig.book.rulesets[table], world.rig.table_numbers[table]
            (key,) = ruleset.key
            gone = f"{ruleset.deletes.column} = '{ruleset.deletes.value}'" if ruleset.deletes else "false"
            rows = world.marel.run(f"select cast({key} as char), coalesce({gone}, 0) from {table}")
            keys, struck = {row[0] for row in rows}, {row[0] for row in rows if row[1]}
            live = [row[0] for row in world.ask_store("select source_key from mig.crosswalk where source_table_no = :n"
                                                      " and deleted_at is null", n=number)]  # fmt: skip
            out = {row[0] for row in world.ask_store(
                "select source_key from mig.filtered_row where source_table_no = :n union select source_key from"
                " mig.quarantine where source_table_no = :n and state = 'OPEN' and column_name is null",
                n=number)}  # fmt: skip
            told = (len(keys - set(live) - out - struck), len((set(live) | out) - keys), len(live) - len(set(live)))
            found |= {table: told} if any(told) else {}
    return found


def first_copy(world) -> list[str]:
    """Die in the middle of a chunk, wait through a night, lose rows between reading and writing; gives their keys."""
    died = subprocess.run(
        [sys.executable, str(CHILD), folder(world), Step.MAPPED.value, "KILL", str(MAREL)], timeout=120, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert world.ask_store("select state, count(*) from mig.chunk where state <> 'PLANNED' group by 1 order by 1") == [
        ("DONE", 1), ("LEASED", 1)
    ]  # fmt: skip

    gone: list[str] = []
    nights: list[float] = []
    engine = world.rig.workspace.engine("banyan_forward")
    with transaction(engine) as connection:
        write_pace(connection, MAREL, Pace(closed_from="00:00", closed_until="24:00"))

    def sleep(seconds: float) -> None:
        nights.append(seconds)
        if len(nights) == 3:
            with transaction(engine) as connection:
                write_pace(connection, MAREL, Pace())

    def strike(here: Step) -> None:
        if here is not Step.READ or gone:
            return
        leased = world.ask_store("select table_name from mig.chunk where state = 'LEASED'")
        if leased == [("adresses",)]:
            gone.extend(str(row[0]) for row in world.marel.run("select id_adresse from adresses order by 1 limit 5"))
            world.marel.run(f"delete from adresses where id_adresse in ({', '.join(gone)})", account="marel_app")

    department = world.rig.workspace.project.department("35")
    throttle = Throttle(engine, MAREL, department, world.rig.port, sleep=sleep)
    lane = world.rig.forward()
    world.rig.forward_engine(checkpoint=strike, throttle=throttle).load(
        lane, lane.plan_load, rules_digest=world.rig.book.digest
    )
    world.ask_store("update mig.slice set phase = 'SYNCING' where phase in ('REGISTERED', 'LOADING')")
    world.catch_up()
    assert len(nights) >= 3
    return gone


class Storm:
    """People who change addresses, persons and the table without transactions, in every way a capture may miss."""

    def __init__(self, world) -> None:
        self._world, self._random = world, random.Random(1)
        self.changes = 0
        self.reached = 0.0
        self._persons = [row[0] for row in world.marel.run("select id_personne from personnes")]
        self._homes = [row[0] for row in world.marel.run("select id_adresse from adresses")]
        self._roles = [row[0] for row in world.marel.run("select id_implication from implications")]
        self._next = 5_000_000
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            with self._world.marel.connect("marel_app", autocommit=False) as connection:
                began = time.monotonic()
                while self.changes < RATE * SECONDS:
                    assert time.monotonic() - began < SECONDS + 50, "people are kept waiting for ever"
                    time.sleep(max(0.0, began + self.changes / RATE - time.monotonic()))
                    try:
                        for _ in range(self._random.randrange(1, 4)):
                            self._change(connection)
                    except pymysql.OperationalError as error:
                        if error.args[0] != DEADLOCK:
                            raise
                        connection.rollback()
                        continue
                    connection.rollback() if self._random.random() < 0.15 else connection.commit()
                self.reached = self.changes / (time.monotonic() - began)
        except BaseException as error:
            self.failure = error

    def _change(self, connection) -> None:
        chance, few = self._random.random(), self._random.randrange(1, 8)
        homes = ", ".join(str(one) for one in self._random.sample(self._homes, few))
        persons = self._random.sample(self._persons, few)
        self.changes += few
        if chance < 0.25:
            keys = range(self._next, self._next + few)
            self._next += few
            self._homes += keys
            rows = ", ".join(f"({key}, {person}, 'neuve')" for key, person in zip(keys, persons, strict=True))
            ask(connection, f"insert into adresses (id_adresse, id_personne, voie) values {rows}")
        elif chance < 0.5:
            ask(connection, f"update adresses set voie = 'rue {self._random.random()}' where id_adresse in ({homes})")
        elif chance < 0.6:
            ask(connection, f"delete from adresses where id_adresse in ({homes})")
        elif chance < 0.7:  # a key changes
            self._next += 1
            self._homes.append(self._next)
            one = homes.split(", ")[0]
            ask(connection, f"update adresses set id_adresse = {self._next} where id_adresse = {one}")
            self._next += 1
        elif chance < 0.8:
            few_roles = ", ".join(str(one) for one in self._random.sample(self._roles, few))
            ask(connection, f"update implications set rang = rang + 1 where id_implication in ({few_roles})")
        else:
            listed = ", ".join(map(str, persons))
            ask(connection, f"update personnes set profession = 'METIER' where id_personne in ({listed})")


def insist(world, statement: str) -> None:
    """Run a statement again when it met another one head on, as people do."""
    for _ in range(20):
        try:
            world.marel.run(statement)
        except pymysql.OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
        else:
            return
    raise AssertionError("it met another one each time")


def blow(world) -> Storm:
    """Blow while a reader carries, is killed and starts again, and the server begins another file of its log."""
    storm = Storm(world)
    with world.marel.connect("marel_app", autocommit=False) as long_one:
        ask(long_one, "update vehicules set modele = 'LONGUE' where id_vehicule % 7 = 0")
        storm.thread.start()
        for turn in range(2):
            watch = ["-C", folder(world), "sync", "watch", "35", "--every", "0.1", "--json"]
            reader = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *watch],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT},
            )  # fmt: skip
            time.sleep(SECONDS)
            assert reader.poll() is None, reader.communicate()
            os.kill(reader.pid, signal.SIGKILL)
            reader.communicate()
            if turn == 0:
                world.marel.run("flush binary logs")
                # its addresses go by a foreign key, inside the engine
                insist(world, "delete from personnes where id_personne in (select * from (select id_personne from"
                                " adresses where id_personne is not null order by 1 limit 3) some)")  # fmt: skip
        storm.thread.join(60)
        long_one.rollback()
    assert storm.failure is None, storm.failure
    return storm


def test_a_copy_killed_kept_waiting_and_deleted_under_then_a_storm_end_with_both_sides_equal(world):
    gone = first_copy(world)
    first = differences(world)
    risen = world.ask_store(
        "select count(*) from mig.crosswalk where source_table_no = :n and source_key = any(:keys)"
        " and deleted_at is null", n=world.rig.table_numbers["adresses"], keys=gone,
    )  # fmt: skip

    storm = blow(world)
    world.ask_store("update mig.run set lease_until = now() - interval '1 s' where state = 'OPEN'")
    world.ask_store("update mig.chunk set lease_until = now() - interval '1 s' where state = 'LEASED'")
    world.catch_up()

    assert (len(gone), first, risen) == (5, {}, [(0,)])
    print(f"{storm.reached:.0f} changes a second")
    assert storm.changes >= RATE * SECONDS
    assert differences(world) == {}
