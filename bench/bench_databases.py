"""The bare copy of one table with its traps, against pipes and pgloader, and the lag of two logs, in one run.

python bench/bench_databases.py [--rows N] [--only mariadb|postgresql] [--no-pgloader] [--sling] [--dlt]
                                [--lag SECONDS] [--rate N]

The copy goes through banyan's own readers and COPY: ranges planned, rows read as raw text, landed in a heap of texts
without keys. Exact means that both servers, each asked in its own SQL, sum the same digest over all rows. The pipes are
`mariadb | sed | COPY` (which takes the word NULL for nothing) and `COPY | COPY` in binary.
With --lag: so many changes a second, committed by a process of its own, and how old each is when the log tells it; the
run ends with an error when that process did not keep the rate.
"""

import argparse
import queue
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import polars as pl
import psutil
import psycopg
from legacies import ROLES
from peers import dlt, pgloader, pipe_mariadb, pipe_postgresql, sling
from psycopg import sql
from steady_writer import Order, SteadyWriter
from stores import ISERE
from trapped_table import COLUMNS, Place, connect_mariadb, digest_of, digest_of_copy, fill

from banyan.departments import SourceRef
from connectors.database import DatabasePort
from connectors.mariadb import open_mariadb
from connectors.postgresql import open_postgresql
from connectors.postgresql_connection import PostgreSQLConnections
from connectors.postgresql_log import open_log
from connectors.postgresql_log_keys import KeyReader
from connectors.postgresql_log_setup import slot_name
from connectors.postgresql_log_stream import LogStream
from store.install import add_department, install
from store.key_log import StoreKeyLog
from store.postgres import open_engine
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home
from wire.copy import copy_in
from wire.mariadb import MariaDBServer

ROWS_A_CHUNK = 50_000
KEYS = [str(number) for number in range(2, 50_001)]


@dataclass(frozen=True)
class Copied:
    """What one copy took: seconds, CPU seconds of all who took part, the largest memory in MB, in all and of one."""

    seconds: float
    cpu: float
    peak: float = 0.0
    largest: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--no-copy", action="store_true", help="leave the copies out, for the lag alone")
    parser.add_argument("--rounds", type=int, default=3, help="how often pipe and copy take turns")
    parser.add_argument("--only", choices=("mariadb", "postgresql"))
    parser.add_argument("--no-pgloader", action="store_true")
    parser.add_argument("--sling", action="store_true", help="measure Sling too, when it is installed")
    parser.add_argument("--dlt", action="store_true", help="measure dlt too, when it is installed")
    parser.add_argument("--lag", type=float, default=10.0, help="seconds of changes; 0 leaves the logs out")
    parser.add_argument("--rate", type=int, default=500, help="changes a second")
    parser.add_argument("--copy", choices=("mariadb", "postgresql"), help=argparse.SUPPRESS)
    parser.add_argument("--address", default="", help=argparse.SUPPRESS)
    parser.add_argument("--into", default="", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.copy:
        print(*copy_bare(asked.copy, asked.address, asked.into))
        return
    folder = Path(tempfile.mkdtemp(prefix="banyan-bench-"))
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    mariadb = MariaDBServer(ClusterPlace(cluster_home(folder, "mariadb"), Durability.THROWAWAY)).start()
    try:
        place = Place(cluster, mariadb, folder, asked.rows)
        place.ask("create database bench template template0", "postgres")
        for make in ("mariadb", "postgresql"):
            if asked.only in (None, make):
                fill(place, make)
                if not asked.no_copy:
                    measure(place, make, asked)
        if asked.lag:
            for make in ("mariadb", "postgresql"):
                if asked.only in (None, make):
                    print_lag(place, make, asked.lag, asked.rate)
    finally:
        mariadb.destroy()
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def measure(place: Place, make: str, asked: argparse.Namespace) -> None:
    pipe = pipe_mariadb if make == "mariadb" else pipe_postgresql
    expected = digest_of(place, make)
    pipe(place)  # once without a clock: caches of both servers are warm for everybody
    pipes, copies = [], []
    for _ in range(asked.rounds):  # one after the other, so that a busy machine is busy for both
        pipes.append(clocked(place, lambda: pipe(place)))
        place.ask("truncate public.heap")
        copies.append(banyan(place, make))
        is_exact = digest_of_copy(place) == expected
    bare, work = (statistics.median(getattr(one, name) for one in pipes) for name in ("seconds", "cpu"))
    seconds, effort = (statistics.median(getattr(one, name) for one in copies) for name in ("seconds", "cpu"))
    name = "mariadb | sed | COPY" if make == "mariadb" else "COPY | COPY, binary"
    print(f"{make} -> PostgreSQL: {place.rows} rows x {len(COLUMNS)} columns, median of {asked.rounds}")
    print(f"  {name:<22} {bare:7.2f} s   1.00x   {work:6.2f} CPU s   1.00x")
    exact = "every value exact" if is_exact else "NOT EXACT"
    ratios = f"{seconds / bare:4.2f}x   {effort:6.2f} CPU s   {effort / work:4.2f}x"
    peak, largest = max(one.peak for one in copies), max(one.largest for one in copies)
    print(f"  {'banyan':<22} {seconds:7.2f} s   {ratios}   {exact}")
    print(f"  {'':<22} memory at its highest: {peak:.0f} MB in all, {largest:.0f} MB the largest process")
    others: list[tuple[str, Callable[[Place, str], float]]] = []
    if not asked.no_pgloader:
        others.append(("pgloader", pgloader))
    if asked.sling:
        others.append(("sling", sling))
    if asked.dlt:
        others.append(("dlt", dlt))
    for other, run in others:
        if other != "dlt" and shutil.which(other) is None:
            print(f"  {other:<22} is not installed")
            continue
        try:
            took = run(place, make)
        except RuntimeError as gave_up:
            print(f"  {other:<22} NOT MEASURED: it {gave_up}")
            continue
        without = "   dates that are none taken out beforehand" if (other, make) == ("pgloader", "mariadb") else ""
        print(f"  {other:<22} {took:7.2f} s   {took / bare:4.2f}x{without}")
    if not is_exact:
        raise SystemExit(1)


def settle(place: Place) -> None:
    """Let the server write down what lies in its memory: else it does so during what comes next, at its expense."""
    place.ask("checkpoint")


def clocked(place: Place, run: Callable[[], float]) -> Copied:
    """Run programs; gives the seconds they took, and the CPU seconds that they and the servers spent."""
    settle(place)
    servers, before = cpu_of_servers(place), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Copied(seconds, own + cpu_of_servers(place) - servers)


def cpu_of_servers(place: Place) -> float:
    """Give the CPU seconds of both servers, those of their ended processes included."""
    with place.connect() as connection:
        (backend,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
        leader = psutil.Process(place.leader(backend))  # while the backend lives
    total = 0.0
    for one in (leader, *leader.children(), psutil.Process(place.mariadb.process_id)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
            if one == leader:
                total += times.children_user + times.children_system
    return total


def copy_bare(make: str, address: str, into: str) -> tuple[float, float]:
    """Copy the table through banyan's reader of this make; gives seconds and CPU seconds, from plan to commit."""
    port = open_mariadb(address, "marel", way="log") if make == "mariadb" else open_postgresql(address, "marel")
    waiting: queue.Queue[pl.DataFrame | BaseException | None] = queue.Queue(maxsize=2)
    port.shape("personne")

    def read() -> None:
        try:
            for keys in port.plan_ranges("personne", ROWS_A_CHUNK):
                waiting.put(port.read_range("personne", keys).rows)
            waiting.put(None)
        except Exception as error:  # noqa: BLE001 - raised again by the one who waits
            waiting.put(error)

    me = psutil.Process()
    with psycopg.connect(into.replace("+psycopg", "")) as connection:
        began, cpu = time.perf_counter(), spent(me)
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        while (rows := waiting.get()) is not None:
            if isinstance(rows, BaseException):
                raise rows
            copy_in(connection, sql.Identifier("public", "heap"), rows)
        connection.commit()
        seconds, cpu = time.perf_counter() - began, spent(me) - cpu
    port.close()
    return seconds, cpu


def spent(process: psutil.Process) -> float:
    """Give the CPU seconds of a process and its children."""
    times = [one.cpu_times() for one in (process, *process.children())]
    return sum(one.user + one.system for one in times)


def banyan(place: Place, make: str) -> Copied:
    """Copy in a process of its own, whose start is not counted."""
    settle(place)
    servers = cpu_of_servers(place)
    process = subprocess.Popen(
        [sys.executable, __file__, "--copy", make, "--address", place.url(make), "--into", place.url("postgresql")],
        stdout=subprocess.PIPE,
    )
    peak = largest = 0.0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        each = memory_of(watched)
        peak, largest = max(peak, sum(each)), max(largest, *each)
        time.sleep(0.05)
    assert process.stdout is not None
    told = process.stdout.read().decode()
    if process.returncode:
        raise RuntimeError(f"the copy ended with {process.returncode}")
    seconds, cpu = map(float, told.split())
    return Copied(seconds, cpu + cpu_of_servers(place) - servers, peak, largest)


def memory_of(process: psutil.Process) -> list[float]:
    """Give the memory in MB of a process and of each of its children."""
    each = [0.0]
    with suppress(psutil.Error):  # it ended
        each += [one.memory_info().rss / (1 << 20) for one in (process, *process.children(recursive=True))]
    return each


def print_lag(place: Place, make: str, seconds: float, rate: int) -> None:
    """Let another process commit changes at a steady rate while the log is read; print how old each was when told."""
    following = (follow_mariadb if make == "mariadb" else follow_postgresql)(place)
    port = following.port
    writer = SteadyWriter(Order(make, place.url(make), following.statement, rate, seconds), KEYS)
    told: dict[str, float] = {}
    since = port.head()
    writer.begin()
    is_last = False
    while True:
        until = port.head()
        changes = port.changes(since, until)
        now = time.perf_counter()
        since = until
        for change in changes:
            told.setdefault(change.key, now)
        if is_last:
            break
        is_last = writer.has_ended
    kept = print_ages("kept, in the order of commits" if make == "postgresql" else "told", writer, told, make)
    if make == "postgresql":
        writer = SteadyWriter(Order(make, place.url(make), following.statement, rate, seconds), KEYS)
        kept = print_ages("reader alone", writer, read_alone(place, port, writer), make)
    since = port.head()
    burst(place, make)
    began = time.perf_counter()
    rows = len(port.changes(since, port.head()))
    pace = rows / (time.perf_counter() - began)
    port.close()
    print(
        f"  drained                        {pace:7.0f} keys/s   ({rows} of one transaction; {kept:.0f}/s were written)"
    )


def print_ages(name: str, writer: SteadyWriter, told: dict[str, float], make: str) -> float:
    """Print how old changes were when they were told; ends the run when one was not. Gives the rate of the writer."""
    written, kept = writer.end()
    lost = [one for one in written if one.key not in told]
    if lost:
        raise SystemExit(f"the log of {make} did not tell {len(lost)} of {len(written)} changes")
    ages = sorted(max(0.0, told[one.key] - one.committed) for one in written)
    p50, p95 = (1000 * ages[int(len(ages) * part)] for part in (0.5, 0.95))
    print(
        f"log of {make}: commit to {name:<29} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   largest {1000 * ages[-1]:6.1f} ms"
        f"   {len(written)} changes at {kept:.0f}/s from another process"
    )
    return kept


def read_alone(place: Place, port: DatabasePort, writer: SteadyWriter) -> dict[str, float]:
    """Read the log into keys and nothing more: no head is asked, nothing is kept."""
    port.close()  # it lets go of the slot
    arguments = PostgreSQLConnections(place.url("postgresql")).arguments()
    stream = LogStream(arguments, slot_name("bench", "marel"), 0)
    keys = KeyReader({("marel", "personne"): ("id",)})
    told: dict[str, float] = {}

    def say_the_end() -> None:
        while not writer.has_ended:
            time.sleep(0.05)
        place.ask("update marel.personne set dept = dept + 1 where id = 1")

    ending = threading.Thread(target=say_the_end, daemon=True)
    writer.begin()
    ending.start()
    for message in stream.read(1 << 62, most_messages=1 << 62):
        for key in keys.read(message):
            told.setdefault(key.key, time.perf_counter())
        if "1" in told:
            break
    stream.close()
    return told


@dataclass(frozen=True)
class Following:
    """A port that follows one table, and the statement that changes one row of it: a number, then its key."""

    port: DatabasePort
    statement: str


def follow_mariadb(place: Place) -> Following:
    """Open the binary log."""
    port = open_mariadb(place.url("mariadb"), "marel", way="log", tables=("personne",))
    return Following(port, "update personne set dept = dept + sign(%s) where id = %s")


def follow_postgresql(place: Place) -> Following:
    """Install the capture by the log with a store to keep its keys."""
    place.ask("create database store template template0", "postgres")
    for role in ROLES:
        place.ask(f"do $$ begin create role {role} login; exception when duplicate_object then null; end $$")
    store = place.cluster.url("store").render_as_string(hide_password=False)
    install(store)
    engine = open_engine(store, pool_size=1)
    add_department(engine, ISERE)
    port = open_postgresql(
        place.url("postgresql"), "marel", capture=open_log(StoreKeyLog(lambda: engine, SourceRef("38", "ORION")))
    )
    port.install_capture(place.url("postgresql"), ["personne"])
    return Following(port, "update marel.personne set dept = dept + sign(%s::int)::int where id = %s::bigint")


def burst(place: Place, make: str) -> None:
    """Change many rows in one transaction."""
    query = "update {}personne set dept = dept + 1 where id between 50001 and 150000"
    if make == "postgresql":
        place.ask(query.format("marel."))
        return
    with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
        cursor.execute(query.format(""))


if __name__ == "__main__":
    main()
