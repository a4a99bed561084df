"""A project of a legacy MAREL on MariaDB, captured in one of the ways, for tests."""

import os
import shutil
from pathlib import Path
from uuid import UUID

import psycopg
import pymysql
import sqlalchemy as sa
from mariadbs import LegacyMariaDB
from projects import ENVIRONMENT
from psycopg import sql
from sides import Sides
from switches import TestWorkspace

import mappings
from banyan.clock import new_id
from banyan.config import load_project
from banyan.departments import SourceRef
from connectors.mariadb_connection import ask
from estate.marel import generate_marel
from estate.marel_load import load_marel
from sync.assembly import Rig, prepare
from sync.workspace import LegacyUrls
from wire.cluster import Cluster
from wire.mariadb import MariaDBServer

MAREL = SourceRef("35", "MAREL")
NAME = "35.vehicles"
PROJECT = """\
project: test
target: {{url: "postgresql+psycopg://postgres@127.0.0.1:{port}/{store}"}}
landing: {{kind: local, path: landing}}
people: {{tester: [engineer], claire: [steward], paul: [lead]}}
departments:
  "35":
    name: Ille-et-Vilaine
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles]
    sources:
      MAREL:
        medium: mariadb
        capture: {capture}
        url: {reader}
        reverse_url: {reverse}
        fence_url: {guard}
        admin_url: {admin}
        application_url: {application}
        schema: {schema}
        rules: rules/marel
"""


class MarelWorkspace(TestWorkspace):
    """A project whose officers' account is the one its file names."""

    __test__ = False

    def legacy_urls(self, source: SourceRef) -> LegacyUrls:
        return super(TestWorkspace, self).legacy_urls(source)


def make_marel(
    cluster: Cluster,
    mariadb: MariaDBServer,
    folder: Path,
    *,
    capture: str,
    name: str,
    department: str = "35",
    shaped: tuple[str, ...] = (),
) -> "MarelWorld":
    """Make a legacy MAREL with its rows and a project that follows it in this way; nothing is loaded.

    What `shaped` says is done to the old system before the project knows it.
    """
    os.environ.update(ENVIRONMENT)
    marel = LegacyMariaDB(mariadb, name)
    store = f"{name}_store"
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(store)))
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", autocommit=True) as root:
        ask(root, f"create database {marel.schema} character set utf8mb3")
    load_marel(generate_marel("XS", 1, department), marel.url())
    marel.run(*shaped, "grant replication slave, binlog monitor on *.* to banyan_reader@'%'")
    folder.mkdir()
    urls = {name: marel.url(account) for name, account in (
        ("reader", "banyan_reader"), ("reverse", "banyan_reverse"), ("guard", "banyan_guard"), ("admin", "root"),
        ("application", "marel_app"))}  # fmt: skip
    text = PROJECT.format(port=cluster.port, store=store, schema=marel.schema, capture=capture, **urls)
    text = text.replace('"35"', f'"{department}"')
    (folder / "banyan.yaml").write_text(text)
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "marel", folder / "rules" / "marel")
    workspace = MarelWorkspace(load_project(folder))
    return MarelWorld(prepare(workspace, SourceRef(department, MAREL.system_code)), marel, capture)


class MarelWorld(Sides):
    """Both sides of 35."""

    def __init__(self, rig: Rig, marel: LegacyMariaDB, way: str) -> None:
        self.rig, self.marel, self.way, self.name = rig, marel, way, NAME

    def people_of_the_new_system(self):
        """Edit five items, remove one and describe one that the old system has never seen."""
        items = "justice.item where department_code = '35' and domain_code = 'vehicles'"
        plain = f"{items} and id not in (select item_id from justice.vehicle where department_code = '35')"
        with self.rig.workspace.engine("banyan_app").begin() as connection:
            ids = list(connection.scalars(sa.text(f"select id from {plain} order by id limit 6")))
            connection.execute(
                sa.text(
                    "update justice.item set serial_number = 'NOUVEAU', row_version = row_version + 1 "
                    "where department_code = '35' and id = any(:ids)"
                ),
                {"ids": ids[:5]},
            )
            connection.execute(
                sa.text(
                    "insert into justice.item (id, department_code, domain_code, origin, case_file_id, "
                    "item_category_code, item_status_code, description) select :new, department_code, domain_code, "
                    "'TARGET', case_file_id, item_category_code, item_status_code, 'né ici' from justice.item "
                    "where department_code = '35' and id = :like"
                ),
                {"new": UUID(bytes=new_id()), "like": ids[0]},
            )
            connection.execute(
                sa.text("delete from justice.item where department_code = '35' and id = :id"), {"id": ids[5]}
            )
