"""The servers of a run that measures the whole path, and its two legacy systems with one table grown wide and long."""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil
import psycopg

from banyan.departments import SourceRef
from connectors.mariadb_connection import ask
from estate.load import load
from estate.marel import generate_marel
from estate.marel_load import load_marel
from estate.orion import generate
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home, wheel_installation
from wire.mariadb import MariaDBServer


@dataclass(frozen=True)
class Legacy:
    """One legacy system of the bench: its table is filled again and again under other keys."""

    make: str
    source: SourceRef
    table: str
    key: str
    urls: dict[str, str]


class Place:
    """The servers of one run."""

    def __init__(self, folder: Path, *, buffers: str = "") -> None:
        """Start them; with `buffers`, PostgreSQL has so much memory for its pages, and 16 GB for its log."""
        self.folder = folder
        self.cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
        self.mariadb = MariaDBServer(ClusterPlace(cluster_home(folder, "mariadb"), Durability.THROWAWAY)).start()
        self.stores = 0
        if buffers:
            self.ask(f"alter system set shared_buffers = '{buffers}'")
            self.ask("alter system set max_wal_size = '16GB'")
            self.cluster.stop()
            self.cluster.start()

    def close(self) -> None:
        self.mariadb.destroy()
        self.cluster.destroy()

    def ask(self, query: str, database: str = "postgres") -> list[tuple]:
        with psycopg.connect(
            host="127.0.0.1", port=self.cluster.port, user="postgres", dbname=database, autocommit=True
        ) as connection:
            done = connection.execute(query)
            return done.fetchall() if done.description else []

    def psql(self, database: str) -> list[str]:
        tool = str(wheel_installation() / "bin" / "psql")
        return [tool, "-X", "-q", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", "postgres", "-d", database]

    def cpu(self) -> float:
        """Give the CPU seconds of both servers, those of their ended processes included."""
        leader = psutil.Process(int(self.ask("select split_part(pg_read_file('postmaster.pid'), chr(10), 1)")[0][0]))
        total = 0.0
        for one in (leader, *leader.children(), psutil.Process(self.mariadb.process_id)):
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            ended = times.children_user + times.children_system if one == leader else 0.0
            total += times.user + times.system + ended
        return total


ORION_KEYS = {"t_proc": "id_proc", "t_piece": "id_piece", "t_personne": "id_pers", "t_objet": "id_objet"}
MAREL_KEYS = {"personnes": "id_personne", "dossiers": "id_dossier", "objets": "id_objet"}


def fill_orion(place: Place, rows: int, table: str = "t_proc") -> Legacy:
    """Make an ORION with so many rows in one table."""
    name, key = f"orion_{table}_{rows}", ORION_KEYS[table]
    place.cluster.create_database(name)
    url = place.cluster.url(name)
    load(generate("XS", 1), url.render_as_string(hide_password=False))
    columns = place.ask(
        f"select attname from pg_attribute where attrelid = 'orion.{table}'::regclass and attnum > 0 order by attnum",
        name,
    )
    place.ask(f"create table public.seed as select *, row_number() over () as n from orion.{table}", name)
    ((seeds,),) = place.ask("select count(*) from public.seed", name)
    listed = ", ".join(column for (column,) in columns)
    drawn = ", ".join(f"n + round * {seeds} + 1000000" if column == key else column for (column,) in columns)
    with psycopg.connect(
        host="127.0.0.1", port=place.cluster.port, user="postgres", dbname=name, autocommit=True
    ) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            f"insert into orion.{table} ({listed}) select {drawn} from public.seed, generate_series(0, {rows // seeds})"
            f" round order by round, n limit {max(0, rows - seeds)}"
        )
        connection.execute(f"vacuum analyze orion.{table}")
    roles = ("reader", "reverse", "guard")
    urls = {role: url.set(username=f"banyan_{role}") for role in roles}
    urls |= {"admin": url, "application": url.set(username="orion_app")}
    said = {role: one.render_as_string(hide_password=False) for role, one in urls.items()}
    return Legacy("postgresql", SourceRef("38", "ORION"), table, key, said)


def fill_marel(place: Place, rows: int, table: str = "personnes") -> Legacy:
    """Make a MAREL with so many rows in one table."""
    schema, key = f"marel_{table}_{rows}", MAREL_KEYS[table]
    with connect_mariadb(place, "mysql") as root:
        ask(root, f"create database {schema} character set utf8mb3")
    load_marel(generate_marel("XS", 1, "35"), place.mariadb.url(schema, "root").render_as_string(hide_password=False))
    with connect_mariadb(place, schema) as root:
        ask(root, "grant replication slave, binlog monitor on *.* to banyan_reader@'%'")
        ask(root, "set sql_log_bin = 0")
        columns = [row[0] for row in ask(root, f"select column_name from information_schema.columns where"
                   f" table_schema = '{schema}' and table_name = '{table}' order by ordinal_position")]  # fmt: skip
        ((seeds, highest),) = ask(root, f"select count(*), max({key}) from {table}")
        ask(root, f"create table mysql.seed as select *, row_number() over () as n from {table}")
        listed = ", ".join(columns)
        drawn = ", ".join(f"s.n + r.seq * {seeds} + {highest}" if column == key else column for column in columns)
        ask(
            root,
            f"insert into {table} ({listed}) select {drawn} from mysql.seed s, seq_0_to_{rows // seeds} r"
            f" limit {max(0, rows - seeds)}",
        )
        ask(root, "drop table mysql.seed")
        ask(root, f"analyze table {table}")
    accounts = {"reader": "banyan_reader", "reverse": "banyan_reverse", "guard": "banyan_guard", "admin": "root",
                "application": "marel_app"}  # fmt: skip
    said = {
        role: place.mariadb.url(schema, name).render_as_string(hide_password=False) for role, name in accounts.items()
    }
    return Legacy("mariadb", SourceRef("35", "MAREL"), table, key, said)


def connect_mariadb(place: Place, database: str):
    import pymysql

    return pymysql.connect(
        host="127.0.0.1", port=place.mariadb.port, user="root", database=database, charset="utf8mb4", autocommit=True
    )
