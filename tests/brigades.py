"""A project of one brigade, or of two: SQLite files behind either fence and a store, with what people do there."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg
import sqlalchemy as sa
from projects import ENVIRONMENT
from psycopg import sql
from sides import Sides
from sqlites import LegacyFile

import mappings
from banyan.clock import new_id
from banyan.config import load_project
from banyan.departments import SourceRef
from connectors.sqlite_connection import place_of
from estate.bureau import TABLES, generate_bureau
from estate.bureau_load import write_bureau
from sync.assembly import Rig, prepare
from sync.workspace import Workspace
from wire.cluster import Cluster

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
      BUREAU: {{medium: sqlite, {place}, fence: {fence}, rules: rules/bureau}}
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


def make_brigade(cluster: Cluster, folder: Path, *, fence: str, name: str) -> "BrigadeWorld":
    """Make the file of a brigade with its rows, and a project that follows it behind this fence; nothing is loaded."""
    folder.mkdir()
    files = write_bureau(generate_bureau("S", 1), folder / "files")
    shutil.copy(next(path for path in files if path.stem == "480010"), folder / "brigade.db")
    return BrigadeWorld(_make_rig(cluster, folder, "url: brigade.db", fence=fence, name=name), folder / "brigade.db")


def make_brigades(cluster: Cluster, folder: Path, *, fence: str, name: str) -> "BrigadesWorld":
    """Make the files of two brigades, as `make_brigade` makes one; beside them stands a third that nobody listed."""
    folder.mkdir()
    paths = sorted(write_bureau(generate_bureau("S", 1), folder / "brigades"))
    place = f"url: brigades, files: [{paths[0].name}, {paths[1].name}]"
    shutil.copy(paths[0], folder / "brigades" / "479999.db")
    return BrigadesWorld(_make_rig(cluster, folder, place, fence=fence, name=name), tuple(paths[:2]))


def _make_rig(cluster: Cluster, folder: Path, place: str, *, fence: str, name: str) -> Rig:
    os.environ.update(ENVIRONMENT)
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    (folder / "banyan.yaml").write_text(PROJECT.format(port=cluster.port, store=name, fence=fence, place=place))
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", folder / "rules" / "bureau")
    return prepare(Workspace(load_project(folder)), BUREAU)


class BrigadesWorld(Sides):
    """Both sides of 48, whose old one stands in several files."""

    def __init__(self, rig: Rig, paths: tuple[Path, ...]) -> None:
        self.rig, self.paths = rig, paths
        self.name = next(found.name for found in rig.closures if "cases" in found.domains)

    def files(self) -> dict[str, bytes]:
        """Give every file that stands in the folder, to the byte."""
        folder = self.paths[0].parent
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.db*"))}


class BrigadeWorld(Sides):
    """Both sides of 48."""

    def __init__(self, rig: Rig, path: Path) -> None:
        self.rig, self.path = rig, path
        self.name = next(found.name for found in rig.closures if "cases" in found.domains)

    @property
    def file(self) -> LegacyFile:
        """The file where it stands now: in its place, or aside while a closed window is shut."""
        return LegacyFile(place_of(self.path))

    def officers(self, *statements: str) -> None:
        """Work in the file under its own name, as people do."""
        with closing(sqlite3.connect(self.path, timeout=10)) as base, base:
            for statement in statements:
                base.execute(statement)

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
