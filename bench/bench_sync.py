"""The whole path of one wide table against a bare pipe of it, and the lag of changes, in one run.

python bench/bench_sync.py [--rows N] [--table t_proc] [--profile] [--lag SECONDS]

Legacy PostgreSQL to canonical: read, land encrypted, map with the residue check, load with keys, crosswalk, ledger;
beside it `COPY | COPY` of the same rows into a heap without keys, before and after.
With --lag: 500 changes a second, and how old each is when the store shows it.
"""

import argparse
import cProfile
import pstats
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url
from stores import ISERE, StorePlace, only_tables
from worlds import World, build_world

from store.install import add_department, install
from store.postgres import open_engine
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home, wheel_installation

KEYS = {"t_proc": "id_proc", "t_personne": "id_pers", "t_objet": "id_objet", "t_tel": "id_tel", "t_implic": "id_implic"}
CHANGES_PER_SECOND = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--table", default="t_proc", choices=sorted(KEYS))
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds of 500 changes a second")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    try:
        measure(cluster, folder, asked)
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def measure(cluster: Cluster, folder: Path, asked: argparse.Namespace) -> None:
    world = prepare(cluster, folder, asked.table, asked.rows)
    columns = len(world.port.columns(asked.table))
    before = pipe(cluster, world, asked.table)
    lane = world.forward()
    profiler = cProfile.Profile()
    servers = cpu_of_servers(cluster)
    began, cpu = time.perf_counter(), cpu_seconds()
    if asked.profile:
        profiler.enable()
    plans = [plan for plan in lane.plan_load() if plan.table == asked.table]
    result = world.forward_engine().load(lane, lambda: plans, rules_digest="")
    profiler.disable()
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    servers = cpu_of_servers(cluster) - servers
    after = pipe(cluster, world, asked.table)
    bare = statistics.mean((before, after))
    rows, parts = result.total.rows, result.total.parts.emitted
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    million = 1e6 / rows.read
    print(f"{asked.table}: {rows.read} rows x {columns} columns, {rows.loaded} loaded, {parts} canonical parts")
    print(f"pipe COPY|COPY, no key   {bare:7.2f} s   (before {before:.2f}, after {after:.2f})")
    print(
        f"whole path, one worker   {seconds:7.2f} s   {seconds / bare:5.1f}x   per 1 M rows: client {cpu * million:.1f}"
        f" CPU s, servers {servers * million:.1f} CPU s   peak {peak:.0f} MB"
    )
    if asked.profile:
        ours = r"/(sync|store|wire|mappings|connectors)/"
        pstats.Stats(profiler).sort_stats("cumtime").print_stats(ours, 45)
    if asked.lag:
        print_lag(world, asked.table, asked.lag)


def prepare(cluster: Cluster, folder: Path, table: str, rows: int) -> World:
    """Make a world whose only table has so many rows: those of the estate, again and again under other keys."""
    numbers = iter(range(1, 100))

    def make_database(name: str | None = None, template: str = "template0") -> str:
        name = name or f"bench_{next(numbers)}"
        with psycopg.connect(
            host="127.0.0.1", port=cluster.port, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return cluster.url(name).render_as_string(hide_password=False)

    def make_store() -> StorePlace:
        url = make_database()
        install(url)
        add_department(open_engine(url, pool_size=0), ISERE)
        return StorePlace(make_url(url))

    world = build_world(make_database, make_store, folder)
    world.book = only_tables(world.book, (table,))
    key = KEYS[table]
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname=make_url(world.legacy).database, autocommit=True
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


def pipe(cluster: Cluster, world: World, table: str) -> float:
    """Copy the rows into a heap without keys, as `COPY | COPY`; gives the seconds."""
    psql = [str(wheel_installation() / "bin" / "psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(cluster.port)]
    psql += ["-U", "postgres", "-d", str(make_url(world.legacy).database)]
    copied = f"drop table if exists public.heap; create table public.heap as select * from orion.{table} with no data"
    subprocess.run([*psql, "-c", copied], check=True, capture_output=True)
    began = time.perf_counter()
    out = subprocess.Popen([*psql, "-c", f"copy orion.{table} to stdout binary"], stdout=subprocess.PIPE)
    subprocess.run([*psql, "-c", "copy public.heap from stdin binary"], stdin=out.stdout, check=True)
    if out.wait():
        raise RuntimeError("the pipe broke")
    return time.perf_counter() - began


def cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def cpu_of_servers(cluster: Cluster) -> float:
    """Give the CPU seconds of the server's processes, those that ended included."""
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


def print_lag(world: World, table: str, seconds: float) -> None:
    """Change rows at a steady pace while changes are carried; print how old a change is when the store shows it."""
    key = KEYS[table]
    ending = threading.Event()
    committed: dict[str, float] = {}
    keys = [str(row[0]) for row in world.on_legacy(f"select {key} from orion.{table} order by {key} desc limit 20000")]

    def write() -> None:
        with psycopg.connect(
            make_url(world.legacy_url("orion_app")).set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        ) as connection:
            began, done = time.perf_counter(), 0
            while not ending.is_set():
                due = int((time.perf_counter() - began) * CHANGES_PER_SECOND)
                for _ in range(due - done):
                    one = keys[done % len(keys)]
                    connection.execute(f"update orion.{table} set dt_maj = clock_timestamp() where {key} = %s", (one,))
                    committed.setdefault(one, time.perf_counter())
                    done += 1
                time.sleep(0.005)

    writer = threading.Thread(target=write, daemon=True)
    lane, engine = world.forward(), world.forward_engine()
    ages: list[float] = []
    carried = 0
    writer.start()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        waiting = dict(committed)
        result = engine.advance(lane)
        shown = time.perf_counter()
        if result is None:
            continue
        carried += result.total.rows.read
        for one, since in waiting.items():
            if committed.get(one) == since:
                del committed[one]
                ages.append(shown - since)
    ending.set()
    writer.join()
    ages.sort()
    p50, p95 = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
    print(f"lag at {CHANGES_PER_SECOND} changes/s   {carried} carried   p50 {p50:.2f} s   p95 {p95:.2f} s")


if __name__ == "__main__":
    main()
