"""Each value that lies, through each source that can hold it: its exact raw text arrives, or a lens refuses it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import polars as pl
import psycopg
import pymysql
import pytest
from mariadbs import LegacyMariaDB
from traps import REFUSED, TRAPS, Trap

from banyan.errors import SourceUnreadable
from banyan.records import KeyRange
from connectors.dialects_odbc import select_range
from connectors.mariadb import open_mariadb
from connectors.odbc import OdbcReader, open_odbc
from connectors.postgresql import open_postgresql
from connectors.postgresql_encoding import with_encoding
from connectors.sqlite_port import open_sqlite_file
from mappings.plans import CAUSE, value_name
from tests.mappings.lens_bench import Case, plan_of, raw_frame
from wire.cluster import Cluster

EVERYTHING = KeyRange(None, None)
TRAPS_TOO_LONG = next(trap for trap in TRAPS if trap.name == "a text of 80,000 bytes")


@dataclass(frozen=True)
class Source:
    """One way to read one make: who makes the table, who opens it."""

    name: str
    make: str
    server: str
    read: Callable[[object], pl.DataFrame]
    marks: tuple = ()

    @property
    def is_bounded(self) -> bool:
        return self.name.startswith("ODBC") and self.name.endswith("child")


def column(trap: Trap) -> str:
    return f"c{TRAPS.index(trap)}"


def table_of(make: str, quoted: str = "") -> list[str]:
    held = [(column(trap), trap.held(make)) for trap in TRAPS if trap.held(make)]
    columns = ", ".join(f"{name} {one.kind}" for name, one in held)
    values = ", ".join(one.literal for _, one in held)
    return [
        f"create table {quoted}traps (id int primary key, {columns})",
        f"insert into {quoted}traps values (1, {values})",
    ]


@dataclass(frozen=True)
class PostgreSQLPlace:
    host: str
    port: int
    database: str

    def url(self) -> str:
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/{self.database}"

    def odbc(self) -> str:
        return (
            f"DRIVER=PostgreSQL Unicode;SERVER={self.host};PORT={self.port};DATABASE={self.database};UID=postgres;"
            "SSLMODE=disable"
        )


def make_postgresql(server: Cluster) -> PostgreSQLPlace:
    database = "traps"
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user="postgres", dbname="postgres", autocommit=True
    ) as admin:
        admin.execute(f"create database {database} template template0")
    place = PostgreSQLPlace("127.0.0.1", server.port, database)
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user="postgres", dbname=database, autocommit=True
    ) as connection:
        connection.execute("create schema orion")
        for statement in table_of("postgresql", "orion."):
            connection.execute(statement)
    return place


def make_bytes(server: Cluster) -> str:
    """Keep the same values in a database that has no encoding; gives a URL that declares UTF-8."""
    database = "traps_of_bytes"
    server.create_database(database, has_encoding=False)
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user="postgres", dbname=database, autocommit=True, client_encoding="latin1"
    ) as connection:
        connection.execute("create schema orion")
        for statement in table_of("postgresql", "orion."):
            connection.execute(statement.encode())
    return with_encoding(PostgreSQLPlace("127.0.0.1", server.port, database).url(), "utf-8")


def make_mariadb(server) -> LegacyMariaDB:
    place = LegacyMariaDB(server, "traps")
    with pymysql.connect(host="127.0.0.1", port=server.port, user="root", autocommit=True) as root:
        root.cursor().execute("create database traps character set utf8mb4")
    place.run("set sql_mode = ''", *table_of("mariadb"))
    return place


def make_sqlite(folder):
    path = folder / "traps.db"
    with closing(sqlite3.connect(path)) as base, base:
        for statement in table_of("sqlite"):
            base.execute(statement)
    return path


@pytest.fixture(scope="session")
def made(request, tmp_path_factory) -> Callable[[str], object]:
    """Make the table of traps once on each server that a source asks for."""
    places: dict[str, object] = {}

    def make(server: str) -> object:
        if server not in places:
            match server:
                case "sqlite":
                    places[server] = make_sqlite(tmp_path_factory.mktemp("traps"))
                case "bytes":
                    places[server] = make_bytes(request.getfixturevalue("cluster"))
                case "mariadb":
                    places[server] = make_mariadb(request.getfixturevalue("mariadb"))
                case _:
                    places[server] = make_postgresql(request.getfixturevalue(server))
        return places[server]

    return make


@contextmanager
def closed(port) -> Iterator[object]:
    try:
        yield port
    finally:
        port.close()


def through_port(open_port):
    def read(place) -> pl.DataFrame:
        with closed(open_port(place)) as port:
            return port.read_range("traps", EVERYTHING).rows

    return read


def through_child(address, schema):
    """Read in bulk what fits the room of the child; the child alone, without the way that helps it out."""

    def read(place) -> pl.DataFrame:
        with closed(OdbcReader(address(place), schema, "utf-8")) as reader:
            shape = reader.shape("traps")
            fitting = replace(shape, columns=tuple(c for c in shape.columns if c.name != column(TRAPS_TOO_LONG)))
            return reader.read_in_child(fitting, select_range(fitting, EVERYTHING), [c.name for c in fitting.columns])

    return read


def mariadb_in_child(place) -> pl.DataFrame:
    with closed(open_mariadb(place.url(), place.schema)) as port:
        port.child_from_rows = 0
        return port.read_range("traps", EVERYTHING).rows


def mariadb_odbc(place) -> str:
    return f"DRIVER=MariaDB Unicode;SERVER=127.0.0.1;PORT={place.server.port};UID=root;DATABASE={place.schema}"


def sqlite_odbc(path) -> str:
    return f"DRIVER=SQLite3;Database={path};"


SOURCES = (
    Source("PostgreSQL 18", "postgresql", "cluster",
           through_port(lambda place: open_postgresql(place.url(), "orion")), (pytest.mark.server,)),
    Source("PostgreSQL 15", "postgresql", "postgresql_15",
           through_port(lambda place: open_postgresql(place.url(), "orion")), (pytest.mark.pg15,)),
    Source("PostgreSQL 18 without encoding", "postgresql", "bytes",
           through_port(lambda url: open_postgresql(url, "orion")), (pytest.mark.server,)),
    Source("MariaDB", "mariadb", "mariadb",
           through_port(lambda place: open_mariadb(place.url(), place.schema)), (pytest.mark.mariadb,)),
    Source("MariaDB in a child", "mariadb", "mariadb", mariadb_in_child, (pytest.mark.mariadb,)),
    Source("SQLite", "sqlite", "sqlite", through_port(open_sqlite_file)),
    Source("ODBC to PostgreSQL", "postgresql", "cluster",
           through_port(lambda place: open_odbc(place.odbc(), "orion")), (pytest.mark.odbc, pytest.mark.server)),
    Source("ODBC to PostgreSQL in a child", "postgresql", "cluster",
           through_child(PostgreSQLPlace.odbc, "orion"), (pytest.mark.odbc, pytest.mark.server)),
    Source("ODBC to MariaDB", "mariadb", "mariadb",
           through_port(lambda place: open_odbc(mariadb_odbc(place), place.schema)),
           (pytest.mark.odbc, pytest.mark.mariadb)),
    Source("ODBC to MariaDB in a child", "mariadb", "mariadb", through_child(mariadb_odbc, "traps"),
           (pytest.mark.odbc, pytest.mark.mariadb)),
    Source("ODBC to SQLite", "sqlite", "sqlite",
           through_port(lambda path: open_odbc(sqlite_odbc(path), "")), (pytest.mark.odbc,)),
    Source("ODBC to SQLite in a child", "sqlite", "sqlite", through_child(sqlite_odbc, ""), (pytest.mark.odbc,)),
)  # fmt: skip


@pytest.fixture(scope="session")
def rows_of(made) -> Callable[[Source], pl.DataFrame]:
    """Read the table of traps once through each source."""
    read: dict[str, pl.DataFrame] = {}

    def rows(source: Source) -> pl.DataFrame:
        if source.name not in read:
            read[source.name] = source.read(made(source.server))
        return read[source.name]

    return rows


CASES = [
    pytest.param(source, trap, id=f"{source.name}: {trap.name}", marks=source.marks)
    for source in SOURCES
    for trap in TRAPS
    if trap.held(source.make) and not (source.is_bounded and trap is TRAPS_TOO_LONG)
]


@pytest.mark.parametrize(("source", "trap"), CASES)
def test_the_raw_text_arrives_exactly(rows_of, source, trap):
    (cell,) = rows_of(source)[column(trap)].to_list()

    assert cell == trap.held(source.make).raw


@pytest.mark.odbc
def test_a_text_longer_than_the_room_of_the_child_is_read_the_slow_way(made):
    with closed(OdbcReader(sqlite_odbc(made("sqlite")), "", "utf-8")) as reader:
        shape = reader.shape("traps")
        with pytest.raises(SourceUnreadable, match="could not read these rows exactly"):
            reader.read_in_child(shape, select_range(shape, EVERYTHING), [c.name for c in shape.columns])
        reader.child_from_rows = 0

        rows = reader.read_range("traps", EVERYTHING)

    assert rows[column(TRAPS_TOO_LONG)].to_list() == [TRAPS_TOO_LONG.sqlite.raw]


@pytest.mark.parametrize("trap", [one for one in TRAPS if one.meaning], ids=lambda trap: trap.name)
def test_a_lens_gives_the_value_or_refuses_the_cell(trap):
    held = next(one for one in (trap.postgresql, trap.mariadb, trap.sqlite) if one)
    meaning = trap.meaning
    case = Case(
        "trap", meaning.call, "case_file" if meaning.lens == "date.iso" else "item", (meaning.column,), None, None
    )
    plan = plan_of(case)

    looked = plan.read(raw_frame(case, [(held.raw,)]))

    assert (looked[CAUSE][0] is not None) == (meaning.value is REFUSED)
    if meaning.value is not REFUSED:
        assert looked[value_name(0)][0] == meaning.value


def test_the_matrix_holds_every_value_that_was_seen_to_lie():
    assert len(TRAPS) >= 43
    assert len({trap.name for trap in TRAPS}) == len(TRAPS)
    assert all(trap.postgresql or trap.mariadb or trap.sqlite for trap in TRAPS)
