"""The file of a brigade from its first copy to the switch, back again, and there once more: behind either fence."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import sqlalchemy as sa
from projects import ENVIRONMENT
from psycopg import sql
from sqlites import LegacyFile
from switches import order

import mappings
from banyan.clock import new_id
from banyan.config import load_project
from banyan.departments import Phase, SourceRef
from banyan.ports import FenceMode
from cutover.switching import roll_back, switch
from estate.bureau import TABLES, generate_bureau
from estate.bureau_load import write_bureau
from sync.assembly import Rig, prepare
from sync.workspace import Workspace
from validation.reconcile import reconcile

pytestmark = [pytest.mark.server, pytest.mark.journey]

BUREAU = SourceRef("48", "BUREAU")
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
      BUREAU: {{medium: sqlite, url: brigade.db, fence: {fence}, rules: rules/bureau}}
"""
EDITS = (
    ("case_file", "note_text = 'vu ' || :n"),
    ("case_file", "case_status_code = 'CLOSED'"),
    ("person_identity", "given_names = 'Ana' || :n"),
    ("person_identity", "surname = 'Durand' || :n"),
    ("location", "city_name = 'Mende ' || :n"),
    ("offense", "offense_label = 'vol ' || :n"),
    ("case_file", "confidentiality_code = 'CONFIDENTIAL'"),
    ("vehicle", "plate_raw = 'AB-' || lpad(:n, 3, '0') || '-CD'"),
)


class World:
    """Both sides of 48."""

    def __init__(self, rig: Rig, file: LegacyFile, port: int, store: str) -> None:
        self.rig, self.file, self.port, self.store = rig, file, port, store
        self.name = next(found.name for found in rig.closures if "cases" in found.domains)
        self.closure = rig.closure(self.name)

    @property
    def phase(self) -> Phase:
        return self.rig.slices(self.name)[0].phase

    def ask_store(self, query, **bound):
        url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{self.store}"
        with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as connection:
            found = connection.execute(sa.text(query), bound)
            return [tuple(row) for row in found] if found.returns_rows else []

    def catch_up(self) -> int:
        lane, carried = self.rig.forward(), 0
        while self.rig.forward_engine().advance(lane) is not None:
            carried += 1
        return carried

    def load(self):
        lane = self.rig.forward()
        self.rig.forward_engine().load(lane, lane.plan_load, rules_digest=self.rig.book.digest)
        self.catch_up()
        self.ask_store("update mig.slice set phase = 'SYNCING' where phase in ('REGISTERED', 'LOADING')")

    def sign(self, number):
        evidence = f"{number:064x}"
        self.ask_store(
            "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons,"
            " legacy_position, rules_digest)"
            " values (:id, '48', :closure, 'standard', 'GO', '[]', :position, :rules)",
            id=evidence, closure=self.name, position=self.rig.port.head(), rules=self.rig.book.digest,
        )  # fmt: skip
        for role in ("steward", "lead"):
            self.ask_store(
                "insert into mig.sign_off (evidence_id, actor, role, authenticated_by, decision)"
                " values (:id, :actor, :role, 'card', 'ACCEPTED')",
                id=evidence, actor=f"the {role}", role=role,
            )  # fmt: skip

    def fence(self):
        door = self.rig.fence(self.name)
        return door.read().mode, set(door.find_open(self.closure.tables)), door.check_installed(self.closure.tables)

    def officers(self, *statements):
        with closing(sqlite3.connect(self.file.path, timeout=10)) as base, base:
            for statement in statements:
                base.execute(statement)

    def is_equal(self):
        from cutover.judgement import subject_of

        found = reconcile(subject_of(self.rig, self.name), watermark=None)
        return found.level.state.value, found.level.figures["different"]

    def dump(self):
        """Give every cell of every row of the file with its class and bytes, by table and key."""
        rows = {}
        for table, columns in TABLES.items():
            cells = ", ".join(f"typeof({name}), hex(cast({name} as blob))" for name in columns)
            for key, *values in self.file.run(f"select ID, {cells} from {table}"):
                rows[table, str(key)] = tuple(values)
        return rows

    def records(self, table: str, keys: list[str]) -> list[UUID]:
        """Give the canonical records of a table that stand in the rows of these cases."""
        rows = self.ask_store(
            f"select r.id from justice.{table} r where r.department_code = '48' and r.domain_code = any(:domains) and"
            " r.id in (select c.id from mig.crosswalk c where c.source_table_no = :n and c.source_key = any(:keys)"
            " union select l.canonical_id from mig.record_link l join mig.crosswalk c on c.id = l.id"
            " where c.source_table_no = :n and c.source_key = any(:keys)) order by 1",
            domains=list(self.closure.domains), n=self.rig.table_numbers["AFFAIRES"], keys=keys,
        )  # fmt: skip
        return [one for (one,) in rows]

    def people_of_the_new_system(self, edits: int, keys: list[str]) -> None:
        """Edit records of these cases, one transaction each, and open one case that the old system has never seen."""
        engine = self.rig.workspace.engine("banyan_app")
        ids = {table: self.records(table, keys) for table, _ in EDITS}
        done, turn = 0, 0
        while done < edits - 1:
            table, change = EDITS[turn % len(EDITS)]
            turn += 1
            if not ids[table]:
                continue
            values = {"id": ids[table][turn * 7 % len(ids[table])]} | ({"n": str(turn)} if ":n" in change else {})
            with engine.begin() as connection:
                connection.execute(
                    sa.text(f"update justice.{table} set {change}, row_version = row_version + 1"
                            " where department_code = '48' and id = :id"), values)  # fmt: skip
            done += 1
        new = UUID(bytes=new_id())
        with engine.begin() as connection:
            connection.execute(
                sa.text("insert into justice.case_file (id, department_code, domain_code, origin, case_number,"
                        " case_number_normalised, case_category_code, case_status_code) values (:new, '48', 'cases',"
                        " 'TARGET', '900/26', '900/26', 'JUDICIAL', 'OPEN')"), {"new": new})  # fmt: skip


@pytest.fixture(params=["triggers", pytest.param("closed_window", marks=pytest.mark.torture)])
def world(request, cluster, tmp_path):
    os.environ.update(ENVIRONMENT)
    store = f"bureau_store_{request.param}"
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(store)))
    folder = tmp_path / "project"
    folder.mkdir()
    files = write_bureau(generate_bureau("S", 1), tmp_path / "files")
    shutil.copy(max(files, key=lambda path: path.stem == "480010"), folder / "brigade.db")
    (folder / "banyan.yaml").write_text(PROJECT.format(port=cluster.port, store=store, fence=request.param))
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", folder / "rules" / "bureau")
    workspace = Workspace(load_project(folder))
    rig = prepare(workspace, BUREAU)
    yield World(rig, LegacyFile(folder / "brigade.db"), cluster.port, store)
    rig.close()
    workspace.close()


def test_the_file_of_a_brigade_is_copied_followed_switched_taken_back_and_switched_again(world):
    world.load()
    world.officers(
        "update AFFAIRES set ETAT = 'clos', MEC1_NOM = 'Martin' where ID in (1, 2)",
        "insert into AFFAIRES (NUM_AFF, NATURE, ETAT, CONFID, MEMO) values ('77/26', 'Délit', 'en cours', 0, 'vu')",
        "delete from AFFAIRES where ID = 3",
    )
    world.file.run_with_triggers_off("update AFFAIRES set MEMO = 'sans déclencheur' where ID = 5")
    assert world.catch_up() == 1
    assert world.is_equal() == ("PASS", 0)
    assert world.ask_store("select count(*) from justice.case_file where note_text = 'sans déclencheur'") == [(1,)]
    assert world.catch_up() == 0

    world.sign(1)
    switch(world.rig, world.closure, order())
    assert world.phase is Phase.LIVE
    assert world.fence() == (FenceMode.SEALED, set(), [])
    with pytest.raises(sqlite3.Error):
        world.officers("update AFFAIRES set MEMO = 'trop tard'")

    world.file = LegacyFile(world.rig.port.path) if world.file.path.is_file() else LegacyFile(
        world.file.path.parent / f".banyan-closed-{world.file.path.name}" / world.file.path.name)  # fmt: skip
    before = world.dump()
    worked_on = ["1", "2", "4", "5", "6", "7"]
    world.people_of_the_new_system(100, worked_on)
    roll_back(world.rig, world.closure, order())
    world.file = LegacyFile(world.rig.port.path)
    after = world.dump()

    assert world.phase is Phase.SYNCING
    assert world.fence() == (FenceMode.OPEN, set(world.closure.tables), [])
    born = set(after) - set(before)
    assert (len(born), set(before) - set(after)) == (1, set())
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {("AFFAIRES", key) for key in worked_on}  # every other row: class and bytes of every cell
    assert len(changed) >= 5
    assert len(set(before) - changed) >= 10
    assert world.is_equal() == ("PASS", 0)
    assert world.catch_up() == 0  # what the way back wrote comes back to nobody

    world.officers("update AFFAIRES set MEMO = 'de retour' where ID = 1")
    assert world.catch_up() == 1
    world.sign(2)
    switch(world.rig, world.closure, order())

    assert world.phase is Phase.LIVE
    assert world.is_equal() == ("PASS", 0)
    numbers = [world.rig.table_numbers[table] for table in world.closure.tables]
    assert world.ask_store(
        "select source_table_no, source_key from mig.crosswalk where source_table_no = any(:n) and deleted_at is null"
        " group by 1, 2 having count(*) > 1", n=numbers) == []  # fmt: skip
    assert world.ask_store("select count(*) from justice.case_file where case_number like '900/26%'") == [(1,)]
