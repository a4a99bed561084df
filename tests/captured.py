"""A project whose ORION is captured in one of the ways, on the shared server or on one of its own."""

import itertools
import os
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from projects import ENVIRONMENT, TestProject, make_project
from psycopg import sql
from sqlalchemy.engine import make_url
from switches import TestWorkspace

from banyan.config import load_project
from banyan.departments import SourceRef
from cutover.judgement import subject_of
from estate.load import load
from estate.orion import generate
from sync.assembly import Rig, open_rig
from validation.reconcile import reconcile
from wire.cluster import Cluster

ORION = SourceRef("38", "ORION")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class CapturedProject(TestProject):
    """A project whose legacy server is not the one of its store."""

    legacy_port: int = 0

    def url(self, database: str, role: str = "postgres") -> str:
        port = self.legacy_port if database == self.legacy else self.port
        return f"postgresql+psycopg://{role}@127.0.0.1:{port}/{database}"

    def rig(self) -> Rig:
        os.environ.update(ENVIRONMENT)
        return open_rig(TestWorkspace(load_project(self.folder)), ORION)

    def connect(self, role: str = "orion_app", *, autocommit: bool = True) -> psycopg.Connection:
        url = make_url(self.url(self.legacy, role)).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=autocommit)

    def sync(self) -> None:
        """Carry changes until there are none."""
        for _ in range(20):
            before = self.ask(self.store, "select count(*) from mig.run")
            assert self.banyan("sync", "run", "38", "--json") == 0
            if self.ask(self.store, "select count(*) from mig.run") == before:
                return
        raise AssertionError("changes never end")

    def differences(self) -> dict[str, object]:
        """Compare both sides row by row; everything equal gives {}."""
        rig = self.rig()
        found: dict[str, object] = {}
        try:
            for closure in rig.closures:
                judged = reconcile(subject_of(rig, closure.name), watermark=None)
                if judged.differences.height or judged.level.state != "PASS":
                    found[closure.name] = (judged.level.state, judged.differences)
                for table in closure.tables:
                    found |= self._strangers(rig, table)
        finally:
            rig.close()
            rig.workspace.close()
        return found

    def _strangers(self, rig: Rig, table: str) -> dict[str, object]:
        """Find keys with no fate, and keys that are known and gone."""
        ruleset = rig.book.rulesets[table]
        key = f"concat_ws(chr(31), {', '.join(ruleset.key)})"
        struck = f" where {ruleset.deletes.column} = '{ruleset.deletes.value}'" if ruleset.deletes else " where false"
        keys = {str(row[0]) for row in self.ask(self.legacy, f"select {key} from orion.{table}")}
        gone = {str(row[0]) for row in self.ask(self.legacy, f"select {key} from orion.{table}{struck}")}
        number = rig.table_numbers[table]
        live = [r[0] for r in self.ask(self.store, "select source_key from mig.crosswalk where source_table_no = :n"
                                       " and deleted_at is null", n=number)]  # fmt: skip
        kept_out = {r[0] for r in self.ask(self.store, "select source_key from mig.filtered_row where source_table_no ="
                                           " :n union select source_key from mig.quarantine where source_table_no = :n"
                                           " and state = 'OPEN' and column_name is null", n=number)}  # fmt: skip
        lost, strange = keys - set(live) - kept_out - gone, (set(live) | kept_out) - keys
        doubled = len(live) - len(set(live))
        return {table: (len(lost), len(strange), doubled)} if lost or strange or doubled else {}


def make_captured(store_server: Cluster, folder: Path, capture: str, legacy_server: Cluster | None = None):
    """Make a project with an ORION (XS) captured in this way; nothing is loaded."""
    made = make_project(store_server, folder)
    project = CapturedProject(made.folder, made.port, made.store, made.legacy, made.port)
    if legacy_server is not None:
        name = f"orion_apart_{next(_numbers)}"
        project = CapturedProject(made.folder, made.port, made.store, name, legacy_server.port)
        with psycopg.connect(
            host="127.0.0.1", port=legacy_server.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
        load(generate("XS", 1), project.url(name))
        project.write(f"127.0.0.1:{made.port}/{made.legacy}", f"127.0.0.1:{legacy_server.port}/{name}")
    project.write("        schema: orion\n", f"        schema: orion\n        capture: {capture}\n")
    return project


class Storm:
    """People who change telephones and persons at a pace, in every way that a capture may miss.

    They do all they were asked for, `rate` times `seconds` changes, those rolled back too: beside readers that begin on
    the same two cores, and behind the locks of a change of columns, that may take longer; `reached` says how fast.
    """

    def __init__(self, project: CapturedProject, *, rate: float, seconds: float, seed: int = 1) -> None:
        self._project, self._rate, self._seconds = project, rate, seconds
        self._random = random.Random(seed)
        self.changes = 0
        self.reached = 0.0
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        persons = project.ask(project.legacy, "select id_pers from orion.t_personne order by 1")
        self._persons = [str(row[0]) for row in persons]
        self._next = itertools.count(50_000_000)
        self._tels = [str(row[0]) for row in project.ask(project.legacy, "select id_tel from orion.t_tel")]

    def __enter__(self) -> "Storm":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(self._seconds + 60)
        assert not self._thread.is_alive()
        assert not self.failures, self.failures

    @property
    def is_blowing(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._blow()
        except BaseException as error:
            self.failures.append(error)

    def _blow(self) -> None:
        start = time.monotonic()
        with self._project.connect(autocommit=False) as connection:
            while self.changes < self._rate * self._seconds:
                assert time.monotonic() - start < self._seconds + 50, "people are kept waiting for ever"
                pause = start + self.changes / self._rate - time.monotonic()
                if pause > 0:
                    time.sleep(pause)
                for _ in range(self._random.randrange(1, 4)):
                    self.changes += self._change(connection)
                if self._random.random() < 0.15:
                    connection.rollback()
                else:
                    connection.commit()
        self.reached = self.changes / (time.monotonic() - start)

    def _change(self, connection: psycopg.Connection) -> int:
        """Change some rows in one statement; gives how many."""
        chance, few = self._random.random(), self._random.randrange(1, 8)
        tels = self._random.sample(self._tels, few)
        keys = [str(next(self._next)) for _ in range(few)]
        persons = self._random.sample(self._persons, few)
        if chance < 0.25:
            query = (
                "insert into orion.t_tel (id_tel, id_pers, num_tel, type_tel)"
                " select k::numeric, p::numeric, '06' || k, 'M' from unnest(%s::text[], %s::text[]) as n (k, p)"
            )
            self._tels += keys
            return connection.execute(query, (keys, persons)).rowcount
        if chance < 0.55:
            query = "update orion.t_tel set num_tel = %s where id_tel = any(%s::numeric[])"
            return connection.execute(query, (f"07{self._random.randrange(10**8):08d}", tels)).rowcount
        if chance < 0.70:
            return connection.execute("delete from orion.t_tel where id_tel = any(%s::numeric[])", (tels,)).rowcount
        if chance < 0.85:  # keys change
            self._tels += keys
            query = (
                "update orion.t_tel t set id_tel = n.k::numeric from unnest(%s::text[], %s::text[]) as n (k, o)"
                " where t.id_tel = n.o::numeric"
            )
            return connection.execute(query, (keys, tels)).rowcount
        query = "update orion.t_personne set profession = %s where id_pers = any(%s::numeric[])"
        return connection.execute(query, (f"METIER {self._random.randrange(1000)}", persons)).rowcount
