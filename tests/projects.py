"""Projects for tests of the command line: a store and an ORION in the throwaway server, copied from one template."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

import mappings
from banyan.config import PROJECT_FILE
from cli.main import run
from estate.load import load
from estate.orion import generate
from store.install import LOGIN_ROLES
from wire.cluster import Cluster

ORION_TEMPLATE = "orion_template"
_numbers = itertools.count(1)
_PROJECT = """\
project: test
target: {{url: "postgresql+psycopg://postgres@127.0.0.1:{port}/{store}"}}
landing: {{kind: local, path: landing}}
people: {{tester: [engineer], claire: [steward], paul: [lead]}}
departments:
  "38":
    name: Isère
    time_zone: Europe/Paris
    wave: 1
    domains: [reference, cases, vehicles]
    sources:
      ORION:
        medium: postgresql
        url: postgresql+psycopg://banyan_reader@127.0.0.1:{port}/{legacy}
        reverse_url: postgresql+psycopg://banyan_reverse@127.0.0.1:{port}/{legacy}
        fence_url: postgresql+psycopg://banyan_guard@127.0.0.1:{port}/{legacy}
        admin_url: postgresql+psycopg://postgres@127.0.0.1:{port}/{legacy}
        schema: orion
        rules: rules/orion
"""
ENVIRONMENT = {"BANYAN_ACTOR": "tester"} | {f"{role.upper()}_PASSWORD": "trusted" for role in LOGIN_ROLES}


@dataclass(frozen=True)
class TestProject:
    """One project of a test, and who looks at it from outside."""

    __test__ = False
    folder: Path
    port: int
    store: str
    legacy: str

    def url(self, database: str, role: str = "postgres") -> str:
        return f"postgresql+psycopg://{role}@127.0.0.1:{self.port}/{database}"

    def banyan(self, *arguments: str) -> int:
        """Run a command inside this process; give its exit code."""
        return run(["-C", str(self.folder), *arguments])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "-C", str(self.folder), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip

    def ask(self, database: str, query: str, **bound: object) -> list[tuple]:
        """Ask a database as superuser."""
        engine = sa.create_engine(self.url(database), poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            found = connection.execute(sa.text(query), bound)
            return [tuple(row) for row in found] if found.returns_rows else []

    def write(self, old: str, new: str, file: str = PROJECT_FILE) -> None:
        """Replace a text in a file of the project."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def make_project(cluster: Cluster, folder: Path) -> TestProject:
    """Make a project whose ORION (XS, seed 1) is filled and whose store is an empty database."""
    number = next(_numbers)
    made = TestProject(folder, cluster.port, f"cli_store_{number}", f"cli_orion_{number}")
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        if connection.execute("select from pg_database where datname = %s", (ORION_TEMPLATE,)).fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(ORION_TEMPLATE)))
            load(generate("XS", 1), made.url(ORION_TEMPLATE))
            for role in ("banyan_reverse", "banyan_guard"):  # both sides on one server: the store's design holds
                connection.execute(sql.SQL("alter role {} noinherit").format(sql.Identifier(role)))
        for name, template in ((made.legacy, ORION_TEMPLATE), (made.store, "template0")):
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROJECT_FILE).write_text(_PROJECT.format(port=cluster.port, store=made.store, legacy=made.legacy))
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "orion", folder / "rules" / "orion")
    return made


@pytest.fixture(scope="session", autouse=True)
def known_actor() -> Iterator[None]:
    """Say who is at the keyboard, and the passwords that a server without passwords does not look at."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def fresh_project(cluster, tmp_path) -> TestProject:
    """A project of its own, nothing loaded."""
    return make_project(cluster, tmp_path / "project")


@pytest.fixture(scope="module")
def loaded_project(cluster, tmp_path_factory) -> TestProject:
    """One project a module, its first copy made; tests leave it as they found it."""
    made = make_project(cluster, tmp_path_factory.mktemp("module") / "project")
    assert made.banyan("load", "38") == 0
    return made
