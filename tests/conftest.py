"""Real servers for tests, started on loopback and stopped afterwards."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

if TYPE_CHECKING:
    from mariadbs import LegacyMariaDB

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One throwaway PostgreSQL 18 for the whole run."""
    home = cluster_home(tmp_path_factory.mktemp("project"), "tests")
    server = Cluster(ClusterPlace(home, Durability.THROWAWAY)).start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def postgresql_15(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One throwaway PostgreSQL 15 of Debian for the whole run: an older legacy server."""
    home = cluster_home(tmp_path_factory.mktemp("postgresql_15"), "tests")
    place = ClusterPlace(home, Durability.THROWAWAY, binaries=Path("/usr/lib/postgresql/15/bin"))
    server = Cluster(place).start()
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDBServer]:
    """One throwaway MariaDB of Debian for the whole run, with a binary log of rows."""
    home = cluster_home(tmp_path_factory.mktemp("mariadb"), "mariadb")
    server = MariaDBServer(ClusterPlace(home, Durability.THROWAWAY)).start()
    yield server
    server.destroy()


@pytest.fixture
def marel(mariadb: MariaDBServer) -> "LegacyMariaDB":
    """A fresh legacy database of MariaDB for one test."""
    from mariadbs import make_legacy

    return make_legacy(mariadb)


MakeDatabase = Callable[..., str]


@pytest.fixture(scope="session")
def make_database(cluster: Cluster) -> MakeDatabase:
    """Make a new database (copied from a template when one is named); gives its SQLAlchemy URL."""

    def make(name: str | None = None, template: str = "template0") -> str:
        name = name or f"test_{next(_numbers)}"
        with psycopg.connect(
            host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return cluster.url(name).render_as_string(hide_password=False)

    return make


@pytest.fixture
def project_folder(tmp_path: Path) -> Path:
    """An empty folder for a migration project."""
    return tmp_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole stories come first: what takes longest does not begin when the other worker has nothing left."""
    folders = ("journeys", "dags", "sync", "cutover")
    places = {name: place for place, name in enumerate(folders)}
    items.sort(key=lambda item: places.get(item.path.parent.name, len(folders)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skipped test fails the run: what cannot run is deselected by name, never skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
