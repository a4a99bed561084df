"""The whole path of one wide table against a bare pipe of it and pgloader, changes and their lag, in one run.

python bench/bench_sync.py [--rows N ...] [--only postgresql|mariadb] [--workers N ...] [--no-pgloader] [--no-pipe]
                           [--changes N] [--lag SECONDS] [--rate N] [--buffers 4GB]

Whole path: read, land encrypted, map with the residue check, load with keys, crosswalk, digests, ledger, by worker
processes that share one run. Beside it, before and after: `COPY | COPY`, or `mariadb | sed | COPY`, of the same rows
into a heap without keys. Seconds tell of this machine at this hour; CPU seconds of all who took part tell more.
With --changes: so many scattered changes applied, against a bare MERGE of as many rows. With --lag: changes at a steady
rate from a process of its own, and how old each is when the store shows it, from the log; then a burst of them.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil
from carried_changes import Bench, print_changes, print_lag
from grown_tables import Legacy, Place, connect_mariadb, fill_marel, fill_orion
from projects import ENVIRONMENT
from sqlalchemy.engine import make_url

from banyan.config import load_project
from banyan.departments import Side, SourceRef
from banyan.process import settle_process
from connectors.mariadb_connection import ask
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.runs import RunKind, RunRequest
from sync.assembly import Rig, open_rig, prepare
from sync.engine import SyncEngine
from sync.workspace import Workspace

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
    settle_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000])
    parser.add_argument("--only", choices=("postgresql", "mariadb"))
    parser.add_argument("--table", help="another table of the legacy than the widest of its make; with --only")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--no-pgloader", action="store_true")
    parser.add_argument("--no-pipe", action="store_true", help="leave the pipe out, for changes and lag alone")
    parser.add_argument("--changes", type=int, default=0, help="apply so many changes of one transaction")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds of changes at a steady rate")
    parser.add_argument("--rate", type=int, default=500, help="changes a second")
    parser.add_argument("--buffers", default="", help="memory of the store for its pages, where 256 MB are too few")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    if asked.work:
        work(asked.work)
        return
    folder = Path(tempfile.mkdtemp(prefix="banyan-bench-"))
    place = Place(folder, buffers=asked.buffers)
    try:
        for rows in asked.rows:
            for make in ("postgresql", "mariadb"):
                if asked.only in (None, make):
                    measure(place, make, rows, asked)
    finally:
        place.close()
        shutil.rmtree(folder, ignore_errors=True)


def measure(place: Place, make: str, rows: int, asked: argparse.Namespace) -> None:
    fill = fill_orion if make == "postgresql" else fill_marel
    legacy = fill(place, rows, asked.table) if asked.table else fill(place, rows)
    load_before = os.getloadavg()[0]
    capture = "log" if asked.changes or asked.lag or make == "mariadb" else "journal"
    pipes = [] if asked.no_pipe else [clocked(place, lambda: pipe(place, legacy))]
    paths = [(workers, whole_path(place, legacy, workers, capture=capture)) for workers in asked.workers]
    peer = None if asked.no_pgloader else clocked(place, lambda: pgloader(place, legacy))
    if not asked.no_pipe:
        pipes.append(clocked(place, lambda: pipe(place, legacy)))
    print(f"{make}: {rows} rows of {legacy.table}; load of the machine {load_before:.1f} to {os.getloadavg()[0]:.1f}")
    print_paths(pipes, paths, peer, rows)
    if asked.changes or asked.lag:
        bench = Bench(place, legacy, find_rig(place.folder / f"store_{place.stores}"), f"store_{place.stores}")
        if asked.changes:
            print_changes(bench, asked.changes)
        if asked.lag:
            print_lag(bench, asked.rate, asked.lag)
        bench.rig.close()
        bench.rig.workspace.close()
    sys.stdout.flush()


def print_paths(pipes: list[Taken], paths: list[tuple[int, tuple[Taken, str]]], peer: Taken | None, rows: int) -> None:
    bare, effort = 0.0, 0.0
    million = 1e6 / rows
    if pipes:
        bare, effort = (statistics.mean(getattr(one, name) for one in pipes) for name in ("seconds", "cpu"))
        print(f"  pipe into a heap       {bare:7.2f} s   1.0x   {effort:6.2f} CPU s   1.0x")
    for workers, (taken, told) in paths:
        print(
            f"  whole path, {workers} worker(s) {taken.seconds:7.2f} s {ratio(taken.seconds, bare)}"
            f"   {taken.cpu:6.2f} CPU s {ratio(taken.cpu, effort)}   per 1 M rows: client"
            f" {taken.own * million:.1f}, servers {taken.servers * million:.1f} CPU s"
            f"   peak {taken.peak:.0f} MB a worker   {told}"
        )
    if peer is not None:
        print(
            f"  pgloader, copy alone   {peer.seconds:7.2f} s {ratio(peer.seconds, bare)}   {peer.cpu:6.2f} CPU s"
            f" {ratio(peer.cpu, effort)}"
        )


def ratio(taken: float, bare: float) -> str:
    return f"{taken / bare:5.1f}x" if bare else "      "


def settle(place: Place) -> None:
    """Let the server write down what lies in its memory: else it does so during what comes next, at its expense."""
    place.ask("checkpoint")


def clocked(place: Place, work_done) -> Taken:
    settle(place)
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


def whole_path(place: Place, legacy: Legacy, workers: int, *, capture: str) -> tuple[Taken, str]:
    """Make the first copy into a store of its own, by so many processes; gives what it took, and what came of it."""
    folder = make_store(place, legacy, capture)
    rig = prepare(Workspace(load_project(folder)), legacy.source)
    started = [
        subprocess.Popen(
            [sys.executable, __file__, "--work", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(workers)
    ]
    for worker in started:
        assert worker.stdout.readline() == "ready\n"
    settle(place)
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
    for worker in started:  # all at once; communicate() would wait for the end of each before the next one begins
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [worker.communicate() for worker in started]
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


def make_store(place: Place, legacy: Legacy, capture: str) -> Path:
    place.stores += 1
    store = f"store_{place.stores}"
    place.cluster.create_database(store)
    folder = place.folder / store
    folder.mkdir()
    schema = "orion" if legacy.make == "postgresql" else str(make_url(legacy.urls["admin"]).database)
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


if __name__ == "__main__":
    main()
