"""The bare copy of one table with its traps, against pipes and pgloader, and the lag of two logs, in one run.

python bench/bench_databases.py [--rows N] [--only mariadb|postgresql] [--no-pgloader] [--sling] [--dlt]
                                [--lag SECONDS] [--rate N]

The copy goes through banyan's own readers and COPY: ranges planned, rows read as raw text, landed in a heap of texts
without keys. Exact means that both servers, each asked in its own SQL, sum the same digest over all rows. The pipes are
`mariadb | sed | COPY` (which takes the word NULL for nothing) and `COPY | COPY` in binary.
With --lag: so many changes a second, and how old each is when the reader of the log tells it.
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
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import polars as pl
import psutil
import psycopg
import pymysql
from legacies import ROLES
from psycopg import sql
from stores import ISERE

from banyan.departments import SourceRef
from connectors.database import DatabasePort
from connectors.mariadb import open_mariadb
from connectors.postgresql import open_postgresql
from connectors.postgresql_log import open_log
from store.install import add_department, install
from store.key_log import StoreKeyLog
from store.postgres import open_engine
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home, wheel_installation
from wire.copy import copy_in
from wire.mariadb import MariaDBServer

ROWS_A_CHUNK = 50_000
COLUMNS = ("id", "dept", "nom", "prenom", "commune", "ddn", "sexe", "code", "montant", "cree", "maj", "note")
POSTGRESQL = """
create schema marel;
create table marel.personne (id integer primary key, dept smallint, nom varchar(40), prenom varchar(40),
  commune varchar(60), ddn date, sexe char(1), code varchar(8), montant numeric(12,2), cree timestamp,
  maj timestamp, note text);
insert into marel.personne select n, n % 96, 'Œuvre-' || n, 'Gaëlle ' || n % 977, 'Saint-Étienne-du-Bois ' || n % 36000,
  case n % 500 when 1 then 'infinity' when 2 then '-infinity' when 3 then '0044-03-15 BC' when 4 then '10000-11-21'
    when 5 then '0001-01-01' when 6 then '9999-12-31' else date '1930-01-01' + n % 30000 end,
  case when n % 2 = 0 then 'F' else 'M' end, 'C' || n % 4000,
  case when n % 5 < 2 then null when n % 500 = 7 then 'NaN'::numeric else (n % 1000000) / 100.0 end,
  case n % 500 when 8 then 'infinity' when 9 then '0044-03-15 10:00 BC'
    else timestamp '2001-01-01' + n * interval '1 min' end,
  timestamp '2010-01-01 00:00:00.000001' + n * interval '1 s',
  case n % 20 when 0 then null when 1 then '' when 2 then E'a''"b\\r\\n\\\\.\\nc\\t' when 3 then 'NULL'
    when 4 then E'\\\\N' when 5 then '  blanks  ' when 6 then U&'\\+01F600\\2028œ€'
    else 'Vu au commissariat, dossier ' || n end
  from generate_series(1, {rows}) n;
analyze marel.personne;
"""
MARIADB = """
create table personne (id int primary key, dept smallint, nom varchar(40), prenom varchar(40), commune varchar(60),
  ddn date, sexe char(1), code varchar(8), montant decimal(12,2), cree datetime, maj datetime(6), note text);
insert into personne select n, n % 96, concat('Œuvre-', n), concat('Gaëlle ', n % 977),
  concat('Saint-Étienne-du-Bois ', n % 36000),
  case n % 500 when 1 then '0000-00-00' when 2 then '2019-00-00' when 5 then '0001-01-01' when 6 then '9999-12-31'
    else date '1930-01-01' + interval n % 30000 day end,
  if(n % 2 = 0, 'F', 'M'), concat('C', n % 4000), if(n % 5 < 2, null, (n % 1000000) / 100),
  if(n % 500 = 8, '0000-00-00', timestamp '2001-01-01 00:00:00' + interval n minute),
  timestamp '2010-01-01 00:00:00.000001' + interval n second,
  case n % 20 when 0 then null when 1 then '' when 2 then 'a\\'"b\\r\\n\\\\.\\nc\\t' when 3 then 'NULL'
    when 4 then '\\\\N' when 5 then '  blanks  ' when 6 then concat(_utf8mb4 x'f09f9880e280a8', 'œ€')
    else concat('Vu au commissariat, dossier ', n) end
  from (select seq as n from seq_1_to_{rows}) numbers;
analyze table personne;
"""


@dataclass(frozen=True)
class Place:
    """Both servers of a run."""

    cluster: Cluster
    mariadb: MariaDBServer
    folder: Path
    rows: int
    _leader: list[int] = field(default_factory=list)

    def connect(self, database: str = "bench") -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.cluster.port, user="postgres", dbname=database, autocommit=True
        )

    def ask(self, query: str, database: str = "bench") -> list[tuple]:
        with self.connect(database) as connection:
            done = connection.execute(query)
            return done.fetchall() if done.description else []

    def leader(self, backend: int) -> int:
        """Give the process that serves the PostgreSQL of this run, from one of its backends."""
        if not self._leader:
            self._leader.append(psutil.Process(backend).ppid())
        return self._leader[0]

    def url(self, make: str) -> str:
        if make == "mariadb":
            return self.mariadb.url("marel").render_as_string(hide_password=False)
        return self.cluster.url("bench").render_as_string(hide_password=False)

    @property
    def psql(self) -> list[str]:
        tool = str(wheel_installation() / "bin" / "psql")
        return [tool, "-X", "-q", "-h", "127.0.0.1", "-p", str(self.cluster.port), "-U", "postgres", "-d", "bench"]

    @property
    def mysql(self) -> list[str]:
        return ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{self.mariadb.port}", "-uroot",
                "--default-character-set=utf8mb4", "marel"]  # fmt: skip


@dataclass(frozen=True)
class Copied:
    """What one copy took: seconds, CPU seconds of all who took part, the largest memory in MB."""

    seconds: float
    cpu: float
    peak: float


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
    peak = max(one.peak for one in copies)
    print(f"  {'banyan':<22} {seconds:7.2f} s   {ratios}   peak {peak:.0f} MB   {exact}")
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
        took = run(place, make)
        without = "   dates that are none taken out beforehand" if (other, make) == ("pgloader", "mariadb") else ""
        print(f"  {other:<22} {took:7.2f} s   {took / bare:4.2f}x{without}")
    if not is_exact:
        raise SystemExit(1)


def clocked(place: Place, run: Callable[[], float]) -> Copied:
    """Run programs; gives the seconds they took, and the CPU seconds that they and the servers spent."""
    servers, before = cpu_of_servers(place), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Copied(seconds, own + cpu_of_servers(place) - servers, 0.0)


def cpu_of_servers(place: Place) -> float:
    """Give the CPU seconds of both servers, those of their ended processes included."""
    with place.connect() as connection:
        (backend,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
    leader = psutil.Process(place.leader(backend))
    total = 0.0
    for one in (leader, *leader.children(), psutil.Process(place.mariadb.process_id)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
            if one == leader:
                total += times.children_user + times.children_system
    return total


def fill(place: Place, make: str) -> None:
    """Make the table in its server, with a trap in every fiftieth row or more."""
    place.ask("drop table if exists public.heap")
    listed = ", ".join(f"{name} text" for name in COLUMNS)
    place.ask(f"create table public.heap ({listed})")
    if make == "postgresql":
        place.ask(POSTGRESQL.replace("{rows}", str(place.rows)))
        return
    with closing(connect_mariadb(place, "")) as connection, connection.cursor() as cursor:
        cursor.execute("create database marel character set utf8mb4")
        cursor.execute("use marel")
        cursor.execute("set sql_mode = 'PIPES_AS_CONCAT', sql_log_bin = 0")
        for statement in MARIADB.replace("{rows}", str(place.rows)).split(";\n"):
            if statement.strip():
                cursor.execute(statement)


def connect_mariadb(place: Place, database: str = "marel") -> pymysql.connections.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=place.mariadb.port, user="root", database=database or None, charset="utf8mb4",
        autocommit=True,
    )  # fmt: skip


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
    servers = cpu_of_servers(place)
    process = subprocess.Popen(
        [sys.executable, __file__, "--copy", make, "--address", place.url(make), "--into", place.url("postgresql")],
        stdout=subprocess.PIPE,
    )
    peak = 0.0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, memory_of(watched))
        time.sleep(0.05)
    assert process.stdout is not None
    told = process.stdout.read().decode()
    if process.returncode:
        raise RuntimeError(f"the copy ended with {process.returncode}")
    seconds, cpu = map(float, told.split())
    return Copied(seconds, cpu + cpu_of_servers(place) - servers, peak)


def memory_of(process: psutil.Process) -> float:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        pass
    return total / (1 << 20)


def pipe_mariadb(place: Place) -> float:
    """Send what the client prints through sed into COPY."""
    place.ask("truncate public.heap")
    null = r"s/\(^\|\t\)NULL\(\t\|$\)/\1\\N\2/g"
    nulls = rf"s/\r/\\r/g; {null}; {null}"  # the client leaves a carriage return as it is, and COPY refuses it
    began = time.perf_counter()
    out = subprocess.Popen(
        [*place.mysql, "--quick", "--batch", "--skip-column-names", "-e", "select * from personne"],
        stdout=subprocess.PIPE,
    )
    sed = subprocess.Popen(["sed", nulls], stdin=out.stdout, stdout=subprocess.PIPE, env={"LC_ALL": "C"})
    subprocess.run([*place.psql, "-c", "copy public.heap from stdin"], stdin=sed.stdout, check=True)
    if out.wait() or sed.wait():
        raise RuntimeError("the pipe broke")
    return time.perf_counter() - began


def pipe_postgresql(place: Place) -> float:
    """Send one COPY into another, in binary, between columns of the same types."""
    place.ask("drop table if exists public.typed")
    place.ask("create table public.typed as select * from marel.personne with no data")
    began = time.perf_counter()
    out = subprocess.Popen([*place.psql, "-c", "copy marel.personne to stdout binary"], stdout=subprocess.PIPE)
    subprocess.run([*place.psql, "-c", "copy public.typed from stdin binary"], stdin=out.stdout, check=True)
    if out.wait():
        raise RuntimeError("the pipe broke")
    return time.perf_counter() - began


def pgloader(place: Place, make: str) -> float:
    """Let pgloader do it, as it would."""
    place.ask("create database peer template template0", "postgres")
    target = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/peer"
    source = f"pgsql://postgres@127.0.0.1:{place.cluster.port}/bench"
    if make == "mariadb":  # it loses every row of a table that holds a partial date, and says that all went well
        source = f"mysql://root@127.0.0.1:{place.mariadb.port}/peer"
        with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
            for statement in ("drop database if exists peer", "create database peer character set utf8mb4",
                              "create table peer.personne like marel.personne", "set sql_mode = ''",
                              "insert into peer.personne select * from marel.personne",
                              "update peer.personne set ddn = '2019-01-01', cree = maj, note = 'Vu'"
                              " where id % 500 < 10"):  # fmt: skip
                cursor.execute(statement)
    name = "'personne'" if make == "mariadb" else "'personne' in schema 'marel'"
    load = place.folder / f"{make}.load"
    load.write_text(
        f"LOAD DATABASE FROM {source} INTO {target}\n"
        " WITH include drop, create tables, no truncate, batch rows = 25000\n"
        f" INCLUDING ONLY TABLE NAMES MATCHING {name};\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        ["pgloader", "--on-error-stop", "--root-dir", str(place.folder), str(load)], capture_output=True, check=False
    )
    took = time.perf_counter() - began
    found = place.ask("select coalesce(sum(reltuples), 0) from pg_class where relname = 'personne'", "peer")
    count = 0
    if found[0][0]:
        schema = place.ask("select relnamespace::regnamespace from pg_class where relname = 'personne'", "peer")[0][0]
        count = place.ask(f"select count(*) from {schema}.personne", "peer")[0][0]
    place.ask("drop database peer with (force)", "postgres")
    if done.returncode or count != place.rows:
        print(f"  pgloader ended with {done.returncode} and {count} of {place.rows} rows")
    return took


def sling(place: Place, make: str) -> float:
    """Let Sling do it, in its default mode."""
    url = f"postgresql://postgres@127.0.0.1:{place.cluster.port}/bench?sslmode=disable"
    source, name = (url, "marel.personne")
    if make == "mariadb":
        source, name = f"mariadb://root@127.0.0.1:{place.mariadb.port}/marel", "marel.personne"
    began = time.perf_counter()
    subprocess.run(
        ["sling", "run", "--src-conn", source, "--src-stream", name, "--tgt-conn", url, "--tgt-object", "public.sling",
         "--mode", "full-refresh"],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - began


def dlt(place: Place, make: str) -> float:
    """Let dlt do it with its fastest reader."""
    program = (
        "import dlt, sys\n"
        "from dlt.sources.sql_database import sql_table\n"
        "one = sql_table(credentials=sys.argv[1], schema=sys.argv[2] or None, table='personne', backend='connectorx')\n"
        "line = dlt.pipeline('bench', destination=dlt.destinations.postgres(sys.argv[3]), dataset_name='dlt')\n"
        "line.run(one, loader_file_format='csv')\n"
    )
    target = f"postgresql://postgres@127.0.0.1:{place.cluster.port}/bench"
    source = target if make == "postgresql" else f"mysql+pymysql://root@127.0.0.1:{place.mariadb.port}/marel"
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", program, source, "marel" if make == "postgresql" else "", target],
        check=True, capture_output=True, cwd=place.folder,
    )  # fmt: skip
    return time.perf_counter() - began


def digest_of(place: Place, make: str) -> tuple[int, int]:
    """Let the source count its rows and sum a digest of each, in its own SQL."""
    if make == "postgresql":
        row = ", ".join(f"case when {name} is null then 'N' else concat('=', {name}) end" for name in COLUMNS)
        return place.ask(f"select count(*), {sum_of(row)} from marel.personne")[0]
    row = ", ".join(f"if({name} is null, 'N', concat('=', cast({name} as char)))" for name in COLUMNS)
    with closing(connect_mariadb(place)) as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select count(*), sum(conv(left(md5(concat_ws(char(31), {row})), 8), 16, 10) + 0) from personne"
        )
        count, total = cursor.fetchone()
        return int(count), int(total)


def digest_of_copy(place: Place) -> tuple[int, int]:
    """Sum the same digest over the copy."""
    row = ", ".join(f"coalesce('=' || {name}, 'N')" for name in COLUMNS)
    return place.ask(f"select count(*), {sum_of(row)} from public.heap")[0]


def sum_of(row: str) -> str:
    return f"sum(('x' || left(md5(concat_ws(chr(31), {row})), 8))::bit(32)::bigint)::bigint"


def print_lag(place: Place, make: str, seconds: float, rate: int) -> None:
    """Commit changes at a steady pace while the log is read; print how old each was when the reader told it."""
    port, write = (follow_mariadb if make == "mariadb" else follow_postgresql)(place)
    committed: dict[str, float] = {}
    ending = threading.Event()

    def blow() -> None:
        began, done = time.perf_counter(), 0
        while not ending.is_set():
            for _ in range(int((time.perf_counter() - began) * rate) - done):
                done += 1
                write(done)
                committed[str(done)] = time.perf_counter()
            time.sleep(0.002)

    writer = threading.Thread(target=blow, daemon=True)
    since = port.head()
    began = time.perf_counter()
    writer.start()
    ages: list[float] = []
    early = 0  # told before the writer had come to note its commit
    while time.perf_counter() - began < seconds:
        until = port.head()
        changes = port.changes(since, until)
        told = time.perf_counter()
        since = until
        for change in changes:
            if change.key in committed:
                ages.append(told - committed[change.key])
            else:
                early += 1
    ending.set()
    writer.join()
    ages.sort()
    p50, p95 = (1000 * ages[int(len(ages) * part)] for part in (0.5, 0.95))
    place_now = port.head()
    burst(place, make)
    began = time.perf_counter()
    rows = len(port.changes(place_now, port.head()))
    pace = rows / (time.perf_counter() - began)
    port.close()
    print(f"log of {make}: {len(ages) + early} changes in {seconds:.0f} s, asked for {rate}/s")
    print(f"  commit to told   p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   largest {1000 * ages[-1]:7.1f} ms")
    print(f"  drained          {pace:7.0f} keys/s   ({rows} of one transaction)")


def follow_mariadb(place: Place) -> tuple[DatabasePort, Callable[[int], None]]:
    """Open the binary log, and a hand that changes one row at a time."""
    connection = connect_mariadb(place)

    def write(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("update personne set dept = dept + 1 where id = %s", (number,))

    return open_mariadb(place.url("mariadb"), "marel", way="log", tables=("personne",)), write


def follow_postgresql(place: Place) -> tuple[DatabasePort, Callable[[int], None]]:
    """Install the capture by the log with a store to keep its keys, and give a hand that changes one row at a time."""
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
    connection = place.connect()
    connection.prepare_threshold = 1

    def write(number: int) -> None:
        connection.execute("update marel.personne set dept = dept + 1 where id = %s", (number,))

    return port, write


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
