"""What a look at every row costs: sources without a log or a right to one, whose changes are found by comparing.

python bench/bench_looks.py [--rows N] [--only postgresql|mariadb|sqlite]

The table of the bare copy, N rows of 12 columns, is looked at three times through banyan's own ports and a real store:
the first look marks, the second finds nothing changed, the third finds 1,000 changed rows, 500 gone and 500 new. The
ratio is to the source alone in the same run, hashing the same rows and giving them to nobody (SQLite: read by nobody).
CPU seconds are those of banyan's process, and of the servers: the store, and the source where it is a server. A look
that finds anything else than what was changed ends the run with an error.
"""

import argparse
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
from bench_databases import cpu_of_servers, settle
from legacies import ROLES
from stores import ISERE
from trapped_table import COLUMNS, Place, connect_mariadb, fill

from banyan.departments import SourceRef
from banyan.records import KeyRange
from connectors.dialects import select_hashes
from connectors.dialects_mariadb_looks import select_hashes as select_mariadb_hashes
from connectors.looks import Looks
from connectors.mariadb import open_mariadb
from connectors.mariadb_snapshot import open_mariadb_snapshot
from connectors.postgresql import open_postgresql
from connectors.snapshot_diff import open_snapshot_diff
from connectors.sqlite_port import open_sqlite_file
from store.install import SourceSystem, add_department, install
from store.postgres import open_engine
from store.row_marks import StoreRowMarks
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer

KEY = b"k" * 32
CHANGES = (
    "update personne set note = 'changed' where id between 4001 and 5000",
    "delete from personne where id between 6001 and 6500",
    "insert into personne (id, nom) select -id, 'new' from personne where id between 7001 and 7500",
)
FOUND = {"I": 500, "U": 1000, "D": 500}


@dataclass(frozen=True)
class Subject:
    """One source that is looked at: how it is read to nobody, looked at, and changed."""

    name: str
    port: object
    scan: Callable[[], None]
    change: Callable[[str], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("postgresql", "mariadb", "sqlite"))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="banyan-bench-"))
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    mariadb = MariaDBServer(ClusterPlace(cluster_home(folder, "mariadb"), Durability.THROWAWAY)).start()
    try:
        place = Place(cluster, mariadb, folder, asked.rows)
        place.ask("create database bench template template0", "postgres")
        open_store(place)
        fill(place, "postgresql")  # the file of SQLite is filled from it, before anything changes
        makers = {"sqlite": sqlite_file, "postgresql": postgresql, "mariadb": mariadb_server}
        for name, make in makers.items():
            if asked.only in (None, name):
                measure(place, make(place))
        print(f"memory of this process at its highest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    finally:
        mariadb.destroy()
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def measure(place: Place, subject: Subject) -> None:
    """Look three times, and print what each look took."""
    scan = min(clocked(place, subject.scan)[0] for _ in range(2))
    print(f"{subject.name}: {place.rows} rows x {len(COLUMNS)} columns; the source alone {scan:.2f} s")
    positions: list[object] = []

    def look() -> None:
        positions.append(subject.port.head())

    for name in ("the first look", "nothing changed", "2,000 changed"):
        if name.startswith("2,000"):
            for statement in CHANGES:
                subject.change(statement)
        seconds, own, servers = clocked(place, look)
        effort = f"CPU {own:5.2f} s here, {servers:5.2f} s in servers"
        print(f"  {name:<16} {seconds:6.2f} s {seconds / scan:6.1f}x   {effort}   {place.rows / seconds:7.0f} rows/s")
    changes = [subject.port.changes(low, high) for low, high in pairwise(positions)]
    found = {letter: sum(one.operation.value == letter for one in changes[-1]) for letter in FOUND}
    subject.port.close()
    if changes[0] or found != FOUND:
        raise SystemExit(f"the looks found {len(changes[0])} and {found}, not 0 and {FOUND}")


def clocked(place: Place, run: Callable[[], None]) -> tuple[float, float, float]:
    """Run something; gives its seconds, the CPU seconds of this process, and those of the servers."""
    settle(place)
    servers, own, began = cpu_of_servers(place), time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - began, time.process_time() - own, cpu_of_servers(place) - servers


def open_store(place: Place) -> None:
    """Install a store with three sources."""
    place.ask("create database store template template0", "postgres")
    for role in ROLES:
        place.ask(f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$")
    store = place.cluster.url("store").render_as_string(hide_password=False)
    install(store)
    systems = tuple(SourceSystem(system, "any", "UTF-8", ("personne",)) for system in ("ORION", "MAREL", "BUREAU"))
    add_department(open_engine(store, pool_size=1), replace(ISERE, systems=systems))


def marks(place: Place, system: str) -> StoreRowMarks:
    """Open the marks of a source."""
    engine = open_engine(place.cluster.url("store").render_as_string(hide_password=False), pool_size=1)
    return StoreRowMarks(lambda: engine, SourceRef("38", system))


def postgresql(place: Place) -> Subject:
    way = open_snapshot_diff(("personne",), marks(place, "ORION"), key=KEY)
    port = open_postgresql(place.url("postgresql"), "marel", capture=way)

    def scan() -> None:
        with place.connect() as connection:
            query, values = select_hashes(port.shape("personne"), KeyRange(None, None))
            text = psycopg.ClientCursor(connection).mogrify(query, values)
            connection.execute(f"select count(*) from ({text}) hashed(key, hash) where hash is null")  # type: ignore[arg-type]

    return Subject("PostgreSQL", port, scan, lambda text: place.ask(text.replace("personne", "marel.personne")))


def mariadb_server(place: Place) -> Subject:
    fill(place, "mariadb")
    way = open_mariadb_snapshot(("personne",), marks(place, "MAREL"), key=KEY)
    port = open_mariadb(place.url("mariadb"), "marel", way=way, tables=("personne",))

    def ask(text: str, values: tuple = ()) -> None:
        with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
            cursor.execute(text, values)

    def scan() -> None:
        bound = select_mariadb_hashes(port.shape("personne"), KeyRange(None, None))
        _, word, hashed = bound.query.partition("sha2(concat(")
        ask("select max(" + word + hashed.replace(", 256) from ", ", 256)) from ", 1), tuple(bound.values))

    return Subject("MariaDB", port, scan, ask)


def sqlite_file(place: Place) -> Subject:
    path = place.folder / "bureau.db"
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"create table personne (id integer primary key, {', '.join(COLUMNS[1:])})")
        with place.connect() as connection, connection.transaction(), connection.cursor("rows") as rows:
            cells = ", ".join(f"{name}::text" for name in COLUMNS)
            rows.execute(f"select {cells} from marel.personne where id > 0")  # type: ignore[arg-type]
            while some := rows.fetchmany(50_000):
                file.executemany(f"insert or replace into personne values ({', '.join('?' * len(COLUMNS))})", some)
        file.commit()
    port = open_sqlite_file(path, looks=Looks(("personne",), marks(place, "BUREAU"), KEY))

    def change(text: str) -> None:
        with closing(sqlite3.connect(path)) as file:
            file.execute(text)
            file.commit()

    def scan() -> None:
        with closing(sqlite3.connect(path)) as file:
            for _ in file.execute("select * from personne"):
                pass

    return Subject("SQLite", port, scan, change)


if __name__ == "__main__":
    main()
