"""The whole path of one wide table against a bare pipe of it and pgloader, and the lag of changes, in one run.

python bench/bench_sync.py [--rows N ...] [--only postgresql|mariadb] [--workers N ...] [--no-pgloader] [--lag SECONDS]

Whole path: read, land encrypted, map with the residue check, load with keys, crosswalk, digests, ledger, by worker
processes that share one run. Beside it, before and after: `COPY | COPY`, or `mariadb | sed | COPY`, of the same rows
into a heap without keys. Seconds tell of this machine at this hour; CPU seconds of all who took part tell more.
With --lag: 500 changes a second, and how old each is when the store shows it.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil
import psycopg
from grown_tables import Legacy, Place, connect_mariadb, fill_marel, fill_orion
from projects import ENVIRONMENT
from sqlalchemy.engine import make_url

from banyan.config import load_project
from banyan.departments import Side, SourceRef
from connectors.mariadb_connection import ask
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.runs import RunKind, RunRequest
from sync.assembly import Rig, open_rig, prepare
from sync.engine import SyncEngine
from sync.workspace import Workspace

CHANGES_PER_SECOND = 500
OWNER = "bench"
PROJECT = """\
project: bench
target: {{url: "postgresql+psycopg://postgres@127.0.0.1:{port}/{store}"}}
landing: {{kind: local, path: landing}}
people: {{tester: [engineer]}}
departments:
  "{code}":
    name: Bench
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles]
    sources:
      {system}: {{medium: {medium}, capture: {capture}, schema: {schema}, rules: rules/{schema},
        url: "{reader}", reverse_url: "{reverse}", fence_url: "{guard}", admin_url: "{admin}",
        application_url: "{application}"}}
"""


@dataclass(frozen=True)
class Taken:
    """What some work took: seconds, CPU seconds of its processes and of the servers, the most memory of one in MB."""

    seconds: float
    own: float
    servers: float
    peak: float = 0.0

    @property
    def cpu(self) -> float:
        return self.own + self.servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000])
    parser.add_argument("--only", choices=("postgresql", "mariadb"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-pgloader", action="store_true")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds of 500 changes a second")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    if asked.work:
        work(asked.work)
        return
    folder = Path(tempfile.mkdtemp(prefix="banyan-bench-"))
    place = Place(folder)
    try:
        for rows in asked.rows:
            for make in ("postgresql", "mariadb"):
                if asked.only in (None, make):
                    measure(place, make, rows, asked)
    finally:
        place.close()
        shutil.rmtree(folder, ignore_errors=True)


def measure(place: Place, make: str, rows: int, asked: argparse.Namespace) -> None:
    legacy = fill_orion(place, rows) if make == "postgresql" else fill_marel(place, rows)
    load_before = os.getloadavg()[0]
    pipes = [clocked(place, lambda: pipe(place, legacy))]
    paths = [(workers, whole_path(place, legacy, workers)) for workers in asked.workers]
    peer = None if asked.no_pgloader else clocked(place, lambda: pgloader(place, legacy))
    pipes.append(clocked(place, lambda: pipe(place, legacy)))
    bare, effort = (statistics.mean(getattr(one, name) for one in pipes) for name in ("seconds", "cpu"))
    million = 1e6 / rows
    print(f"{make}: {rows} rows of {legacy.table}; load of the machine {load_before:.1f} to {os.getloadavg()[0]:.1f}")
    print(f"  pipe into a heap       {bare:7.2f} s   1.0x   {effort:6.2f} CPU s   1.0x")
    for workers, (taken, told) in paths:
        print(
            f"  whole path, {workers} worker(s) {taken.seconds:7.2f} s {taken.seconds / bare:5.1f}x"
            f"   {taken.cpu:6.2f} CPU s {taken.cpu / effort:5.1f}x   per 1 M rows: client"
            f" {taken.own * million:.1f}, servers {taken.servers * million:.1f} CPU s"
            f"   peak {taken.peak:.0f} MB a worker   {told}"
        )
    if peer is not None:
        print(f"  pgloader, copy alone   {peer.seconds:7.2f} s {peer.seconds / bare:5.1f}x   {peer.cpu:6.2f} CPU s"
              f" {peer.cpu / effort:5.1f}x")  # fmt: skip
    if asked.lag and make == "postgresql":
        print_lag(place, legacy, asked.lag)
    sys.stdout.flush()


def clocked(place: Place, work_done) -> Taken:
    servers, before = place.cpu(), resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    work_done()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(seconds, own, place.cpu() - servers)


def pipe(place: Place, legacy: Legacy) -> None:
    """Copy the rows into a heap without keys, with nothing between both ends but a pipe."""
    if legacy.make == "postgresql":
        database = str(make_url(legacy.urls["admin"]).database)
        place.ask("drop table if exists public.heap", database)
        place.ask(f"create table public.heap as select * from orion.{legacy.table} with no data", database)
        out = subprocess.Popen(
            [*place.psql(database), "-c", f"copy orion.{legacy.table} to stdout binary"], stdout=subprocess.PIPE
        )
        subprocess.run(
            [*place.psql(database), "-c", "copy public.heap from stdin binary"], stdin=out.stdout, check=True
        )
    else:
        schema = str(make_url(legacy.urls["admin"]).database)
        with connect_mariadb(place, schema) as root:
            count = len(list(ask(root, f"show columns from {legacy.table}")))
        place.ask("drop table if exists public.heap")
        place.ask(f"create table public.heap ({', '.join(f'c{n} text' for n in range(count))})")
        client = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{place.mariadb.port}", "-uroot", schema, "--quick",
                  "--batch", "--skip-column-names", "-e", f"select * from {legacy.table}"]  # fmt: skip
        null = r"s/\(^\|\t\)NULL\(\t\|$\)/\1\\N\2/g"
        out = subprocess.Popen(client, stdout=subprocess.PIPE)
        sed = subprocess.Popen(
            ["sed", rf"s/\r/\\r/g; {null}; {null}"], stdin=out.stdout, stdout=subprocess.PIPE, env={"LC_ALL": "C"}
        )
        subprocess.run([*place.psql("postgres"), "-c", "copy public.heap from stdin"], stdin=sed.stdout, check=True)
        if sed.wait():
            raise RuntimeError("the pipe broke")
    if out.wait():
        raise RuntimeError("the pipe broke")


def pgloader(place: Place, legacy: Legacy) -> None:
    """Let pgloader copy the table, as it would."""
    target = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/peer"
    place.ask("drop database if exists peer with (force)")
    place.ask("create database peer template template0")
    at = make_url(legacy.urls["admin"])
    source = f"mysql://root@127.0.0.1:{place.mariadb.port}/{at.database}"
    named = f"'{legacy.table}'"
    if legacy.make == "postgresql":
        source, named = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/{at.database}", f"{named} in schema 'orion'"
    order = place.folder / "order.load"
    order.write_text(
        f"LOAD DATABASE FROM {source} INTO {target}\n WITH include drop, create tables, no truncate,"
        " batch rows = 25000\n"
        f" INCLUDING ONLY TABLE NAMES MATCHING {named};\n"
    )
    asked = ["pgloader", "--on-error-stop", "--root-dir", str(place.folder), str(order)]
    done = subprocess.run(asked, capture_output=True, check=False)
    if done.returncode:
        print(f"  pgloader ended with {done.returncode}")


def whole_path(place: Place, legacy: Legacy, workers: int) -> tuple[Taken, str]:
    """Make the first copy into a store of its own, by so many processes; gives what it took, and what came of it."""
    folder = make_store(place, legacy)
    rig = prepare(Workspace(load_project(folder)), legacy.source)
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(workers)
    ]
    for worker in started:
        assert worker.stdout.readline() == "ready\n"
    lane, engine = rig.forward(), rig.workspace.engine("banyan_forward")
    servers, began = place.cpu(), time.perf_counter()
    own = psutil.Process().cpu_times()
    start = lane.head()
    plans = [plan for plan in lane.plan_load() if plan.table == legacy.table]
    with transaction(engine) as connection:
        ledger = Ledger(connection)
        request = RunRequest(legacy.source, Side.CANONICAL, RunKind.LOAD, OWNER, start, start, rig.book.digest)
        run = ledger.open_run(request)
        ledger.write_chunks(run, plans)
    told = [worker.communicate("go\n") for worker in started]
    result = SyncEngine(engine, owner=OWNER).finish(lane, run)
    seconds, after = time.perf_counter() - began, psutil.Process().cpu_times()
    figures = [list(map(float, out.split())) for out, _ in told]
    cpu = sum(each[0] for each in figures) + after.user + after.system - own.user - own.system
    taken = Taken(seconds, cpu, place.cpu() - servers, max(each[1] for each in figures))
    rows, parts = result.total.rows, result.total.parts
    with transaction(engine) as connection:
        (known,) = connection.exec_driver_sql("select count(*) from mig.crosswalk").one()
    is_right = result.total.is_balanced and known == rows.loaded == parts.emitted - parts.split
    said = f"{rows.loaded} of {rows.read} loaded as {parts.inserted} records" + ("" if is_right else "   NOT RIGHT")
    rig.close()
    rig.workspace.close()
    return taken, said


def make_store(place: Place, legacy: Legacy) -> Path:
    place.stores += 1
    store = f"store_{place.stores}"
    place.cluster.create_database(store)
    folder = place.folder / store
    folder.mkdir()
    schema = "orion" if legacy.make == "postgresql" else str(make_url(legacy.urls["admin"]).database)
    capture = "journal" if legacy.make == "postgresql" else "log"
    text = PROJECT.format(
        port=place.cluster.port, store=store, code=legacy.source.department_code, system=legacy.source.system_code,
        medium=legacy.make, capture=capture, schema=schema, **legacy.urls,
    )  # fmt: skip
    rules = "orion" if legacy.make == "postgresql" else "marel"
    (folder / "banyan.yaml").write_text(text.replace(f"rules: rules/{schema}", f"rules: rules/{rules}"))
    return folder


def work(folder: Path) -> None:
    """Carry what the parent plans, beside the other workers; tell CPU seconds and the most memory."""
    rig = find_rig(folder)
    lane = rig.forward()
    print("ready", flush=True)
    sys.stdin.readline()
    before = psutil.Process().cpu_times()
    engine = rig.workspace.engine("banyan_forward")
    with transaction(engine) as connection:
        run = LedgerReader(connection).find_open_run(rig.source, Side.CANONICAL)
    assert run is not None
    SyncEngine(engine, owner=OWNER).carry_all(lane, run)
    times = psutil.Process().cpu_times()
    mine = times.user + times.system - before.user - before.system
    children = times.children_user + times.children_system
    print(mine + children, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def find_rig(folder: Path) -> Rig:
    project = load_project(folder)
    ((code, department),) = project.departments.items()
    (system,) = department.sources
    return open_rig(Workspace(project), SourceRef(code, system))


def print_lag(place: Place, legacy: Legacy, seconds: float) -> None:
    """Change rows at a steady pace while changes are carried; print how old a change is when the store shows it."""
    rig = find_rig(place.folder / f"store_{place.stores}")
    address = make_url(legacy.urls["application"]).set(drivername="postgresql").render_as_string(hide_password=False)
    ending = threading.Event()
    committed: dict[str, float] = {}
    with psycopg.connect(address) as connection:
        keys = [
            str(row[0]) for row in connection.execute("select id_proc from orion.t_proc order by 1 desc limit 20000")
        ]

    def write() -> None:
        with psycopg.connect(address, autocommit=True) as connection:
            began, done = time.perf_counter(), 0
            while not ending.is_set():
                due = int((time.perf_counter() - began) * CHANGES_PER_SECOND)
                for _ in range(due - done):
                    one = keys[done % len(keys)]
                    connection.execute("update orion.t_proc set dt_maj = clock_timestamp() where id_proc = %s", (one,))
                    committed.setdefault(one, time.perf_counter())
                    done += 1
                time.sleep(0.005)

    writer = threading.Thread(target=write, daemon=True)
    lane, engine = rig.forward(), SyncEngine(rig.workspace.engine("banyan_forward"))
    ages: list[float] = []
    carried = 0
    writer.start()
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        waiting = dict(committed)
        result = engine.advance(lane)
        shown = time.perf_counter()
        carried += 0 if result is None else result.total.rows.read
        for one, since in waiting.items():
            if committed.get(one) == since:
                del committed[one]
                ages.append(shown - since)
    ending.set()
    writer.join()
    ages.sort()
    p50, p95 = ages[len(ages) // 2], ages[int(len(ages) * 0.95)]
    print(f"  lag at {CHANGES_PER_SECOND} changes/s   {carried} carried   p50 {p50:.2f} s   p95 {p95:.2f} s")
    rig.close()
    rig.workspace.close()


if __name__ == "__main__":
    main()
