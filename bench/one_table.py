"""A world whose only table has as many rows as a bench asks for, and the CPU seconds of who works on it."""

import resource
import time
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace, only_tables
from worlds import World, build_world

from store.install import add_department, install
from store.postgres import open_engine
from wire.cluster import Cluster

KEYS = {"t_proc": "id_proc", "t_personne": "id_pers", "t_objet": "id_objet", "t_tel": "id_tel", "t_implic": "id_implic"}


def prepare(cluster: Cluster, folder: Path, table: str, rows: int, *, legacy: Cluster | None = None) -> World:
    """Make a world whose only table has so many rows: those of the estate, again and again under other keys.

    Both sides stand on one server, unless the legacy one is given a server of its own.
    """
    numbers = iter(range(1, 100))
    old = legacy or cluster

    def make_on(server: Cluster, name: str, template: str) -> str:
        with psycopg.connect(
            host="127.0.0.1", port=server.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return server.url(name).render_as_string(hide_password=False)

    def make_database(name: str | None = None, template: str = "template0") -> str:
        return make_on(old, name or f"bench_{next(numbers)}", template)

    def make_store() -> StorePlace:
        url = make_on(cluster, f"bench_{next(numbers)}", "template0")
        install(url)
        add_department(open_engine(url, pool_size=0), ISERE)
        return StorePlace(make_url(url))

    world = build_world(make_database, make_store, folder)
    world.book = only_tables(world.book, (table,))
    key = KEYS[table]
    with psycopg.connect(
        host="127.0.0.1", port=old.port, user="postgres", dbname=make_url(world.legacy).database, autocommit=True
    ) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(f"create table public.seed as select *, row_number() over () as n from orion.{table}")
        one = connection.execute("select count(*) from public.seed").fetchone()
        names = [c.name for c in world.port.columns(table)]
        listed = ", ".join(name if name != key else f"n + round * {one[0]} + 1000000" for name in names)
        connection.execute(
            f"insert into orion.{table} ({', '.join(names)}) select {listed} from public.seed, generate_series(0,"
            f" {rows // one[0]}) round order by round, n limit {max(0, rows - one[0])}"
        )
        connection.execute(f"vacuum analyze orion.{table}")
    return world


def cpu_seconds() -> float:
    """Give the CPU seconds of this process and of those it started that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def cpu_of_servers(cluster: Cluster) -> float:
    """Give the CPU seconds of the server's processes, those that ended included.

    One that is just ending is neither there nor counted with those that ended: all are given the time to.
    """
    time.sleep(0.3)
    with psycopg.connect(host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres") as connection:
        (leader,) = connection.execute("select pg_backend_pid()").fetchone()
        parent = int(Path(f"/proc/{leader}/stat").read_text().rsplit(")", 1)[1].split()[1])
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(path.parent.name) == parent:
            ticks += sum(int(one) for one in fields[11:15])  # of children that ended as well
        elif int(fields[1]) == parent:
            ticks += sum(int(one) for one in fields[11:13])
    return ticks / 100
