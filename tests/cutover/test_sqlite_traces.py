"""Traces that break a mutant, on PostgreSQL and the file of a brigade: the program never comes to the bad state."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from projects import ENVIRONMENT, known_actor
from psycopg import sql
from replay import Replay
from switches import order

import mappings
from banyan.config import load_project
from banyan.departments import Phase, Side, SourceRef
from banyan.errors import SourceUnavailable, StoreFenced
from cutover.mutants import MUTANTS, find_mutant
from cutover.steps import probe_new_side
from cutover.switching import abort, roll_back
from estate.bureau import generate_bureau
from estate.bureau_load import write_bureau
from store.postgres import transaction
from sync.assembly import prepare
from sync.workspace import Workspace

pytestmark = [pytest.mark.server, pytest.mark.torture]
__all__ = ["known_actor"]

RESTORED = {"NOISOLATE", "NODETECT", "NOLATCH", "LAGWIT", "DRAINAPART"}
TRACES = [mutant.name for mutant in MUTANTS if mutant.killed_by and mutant.name not in RESTORED]
PROJECT = """\
project: test
target: {{url: "postgresql+psycopg://postgres@127.0.0.1:{port}/{store}"}}
landing: {{kind: local, path: landing}}
people: {{tester: [engineer], claire: [steward], paul: [lead]}}
departments:
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles, custody]
    sources:
      BUREAU: {{medium: sqlite, url: brigade.db, fence: triggers, rules: rules/bureau}}
"""


class FileWorld:
    """Both sides of 48, with what a replay asks of a world."""

    def __init__(self, rig, port, store):
        self.rig, self.port, self.store = rig, port, store
        self.closure = next(found for found in rig.closures if "cases" in found.domains)
        self.path, self.is_in_flight, self._numbers = rig.port.path, False, iter(range(1, 1000))

    @property
    def row(self):
        return self.rig.slices(self.closure.name)[0]

    @property
    def phase(self) -> Phase:
        return self.row.phase

    @property
    def fence(self):
        return self.rig.fence(self.closure.name).read()

    def ask_store(self, query, **bound):
        url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{self.store}"
        with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as connection:
            found = connection.execute(sa.text(query), bound)
            return [tuple(row) for row in found] if found.returns_rows else []

    def catch_up(self):
        while self.rig.forward_engine().advance(self.rig.forward()) is not None:
            pass

    def load(self):
        lane = self.rig.forward()
        self.rig.forward_engine().load(lane, lane.plan_load, rules_digest=self.rig.book.digest)
        self.catch_up()
        self.ask_store("update mig.slice set phase = 'SYNCING' where phase in ('REGISTERED', 'LOADING')")

    def sign(self):
        evidence = f"{next(self._numbers):064x}"
        self.ask_store(
            "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons,"
            " legacy_position, rules_digest)"
            " values (:id, '48', :closure, 'standard', 'GO', '[]', :position, :rules)",
            id=evidence, closure=self.closure.name, position=self.rig.port.head(), rules=self.rig.book.digest,
        )  # fmt: skip
        for role in ("steward", "lead"):
            self.ask_store(
                "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision)"
                " values (:id, :actor, :role, 'card', 'ACCEPTED')",
                id=evidence, actor=f"the {role}", role=role,
            )  # fmt: skip
        return evidence

    def who_writes(self):
        legacy = self.is_in_flight or bool(self.rig.fence(self.closure.name).find_open(self.closure.tables))
        new = probe_new_side(self.rig, self.closure)
        return {(True, False): "LEGACY", (False, True): "CANONICAL", (False, False): "NOBODY"}.get(
            (legacy, new), "BOTH"
        )


class FileReplay(Replay):
    """A trace whose legacy clients are programs that have the file open."""

    def _begin(self, key):
        client = sqlite3.connect(self.world.path, isolation_level=None, timeout=1)
        self._written += 1
        value = f"L{self._written}"
        try:
            client.execute("begin immediate")
            client.execute("update AFFAIRES set MEMO = ? where ID = ?", (value, int(self.keys[key])))
        except sqlite3.Error as error:
            client.close()
            raise (StoreFenced if "banyan" in str(error) else SourceUnavailable)(str(error)) from None
        self._clients.append((client, key, value))
        self.world.is_in_flight = True

    def _commit(self):
        super()._commit()
        self.world.is_in_flight = bool(self._clients)

    def _end_lease(self):
        with closing(sqlite3.connect(self.world.path, timeout=10)) as base, base:
            base.execute("update banyan_fence set lease_until = 1.0 where mode = 'CLOSED' and closure = ?",
                         (self.world.closure.name,))  # fmt: skip

    def _write(self, key):
        self._written += 1
        value = f"N{self._written}"
        with transaction(self.world.rig.workspace.engine("banyan_app")) as connection:
            done = connection.exec_driver_sql(
                "update justice.case_file set note_text = %s where department_code = '48' and id = %s",
                (value, self._record(key)),
            )
            assert done.rowcount == 1
        self.acknowledged[key] = value

    def _record(self, key):
        number = self.world.rig.table_numbers["AFFAIRES"]
        query = "select id from mig.crosswalk where source_table_no = :n and source_key = :k"
        return self.world.ask_store(query, n=number, k=self.keys[key])[0][0]

    def stands(self):
        found = {}
        for key in self.acknowledged:
            if self.world.row.owner is Side.LEGACY:
                with closing(sqlite3.connect(self.world.path)) as base:
                    query = "select MEMO from AFFAIRES where ID = ?"
                    found[key] = base.execute(query, (int(self.keys[key]),)).fetchone()[0]
            else:
                query = "select note_text from justice.case_file where id = :i"
                found[key] = self.world.ask_store(query, i=self._record(key))[0][0]
        return found


@pytest.fixture(scope="module")
def file_world(cluster, tmp_path_factory):
    os.environ.update(ENVIRONMENT)
    store, folder = "trace_store_48", tmp_path_factory.mktemp("traces") / "project"
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(store)))
    folder.mkdir()
    files = write_bureau(generate_bureau("S", 1), tmp_path_factory.mktemp("files") / "files")
    shutil.copy(next(path for path in files if path.stem == "480010"), folder / "brigade.db")
    (folder / "banyan.yaml").write_text(PROJECT.format(port=cluster.port, store=store))
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", folder / "rules" / "bureau")
    workspace = Workspace(load_project(folder))
    made = FileWorld(prepare(workspace, SourceRef("48", "BUREAU")), cluster.port, store)
    made.load()
    yield made
    workspace.close()


@pytest.fixture
def world(file_world):
    """The module's world, at rest under LEGACY."""
    rig, closure = file_world.rig, file_world.closure
    if file_world.phase in (Phase.FENCING, Phase.DRAINING, Phase.VERIFYING, Phase.SEALING):
        abort(rig, closure, order())
    if file_world.row.owner is Side.CANONICAL or file_world.phase is Phase.R_OPENING:
        roll_back(rig, closure, order())
    if file_world.phase is Phase.ABORTING:
        abort(rig, closure, order())
    file_world.catch_up()
    file_world.sign()
    return file_world


@pytest.mark.parametrize("name", TRACES)
def test_the_trace_of_a_wrong_decision_ends_well_on_a_file(world, name):
    replay = FileReplay(world, ("1", "2"))
    replay.play(find_mutant(name))
    who, stands = world.who_writes(), replay.stands()

    assert who != "BOTH"
    assert stands == replay.acknowledged
    assert replay.acknowledged or replay.refused
