"""L4 across engines: persons of a MAREL on MariaDB against the records of PostgreSQL, in scans of both sides."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psutil
import psycopg
from bench_sync import find_rig, pipe, whole_path
from grown_tables import Legacy, Place, connect_mariadb, fill_marel
from one_table import cpu_seconds
from projects import ENVIRONMENT
from sqlalchemy.engine import make_url
from stores import only_tables

from banyan.process import settle_process
from connectors.mariadb_connection import ask
from validation.reconcile import reconcile
from validation.subject import Subject

SCANS, CPU_ENOUGH = 40, 1.5
FEW, CHANGED = 10, 1_000
LIMIT_LEGACY = 2.5


@dataclass(frozen=True)
class Spent:
    """CPU seconds of the client, of both servers, and of the legacy one among them."""

    client: float
    servers: float
    legacy: float

    @property
    def total(self) -> float:
        return self.client + self.servers


@dataclass
class Marel:
    """One loaded MAREL, its store, and what a scan of each side costs."""

    place: Place
    legacy: Legacy
    folder: Path
    rows: int
    tables: tuple[str, ...] = ()
    legacy_scan: float = 0.0
    canonical_scan: float = 0.0

    @property
    def both(self) -> float:
        return self.legacy_scan + self.canonical_scan

    @property
    def store(self) -> str:
        return self.folder.name

    @property
    def schema(self) -> str:
        return str(make_url(self.legacy.urls["admin"]).database)

    def cpu_of_legacy(self) -> float:
        times = psutil.Process(self.place.mariadb.process_id).cpu_times()
        return times.user + times.system

    def spend(self, work: Callable[[], float]) -> Spent:
        """Tell what the servers took while work was done, which says itself what the client took."""
        servers, legacy = self.place.cpu(), self.cpu_of_legacy()
        client = work()
        return Spent(client, self.place.cpu() - servers, self.cpu_of_legacy() - legacy)

    def write(self, query: str) -> None:
        """Write to the store as the account of the applier could."""
        with psycopg.connect(
            host="127.0.0.1", port=self.place.cluster.port, user="banyan_forward", dbname=self.store, autocommit=True
        ) as connection:
            connection.execute(query)


def measure_marel(rows: int, folder: Path, *, reladiff: str, is_identical_only: bool) -> None:
    """Fill, load, scan and judge a MAREL of so many persons."""
    os.environ.update(ENVIRONMENT)
    folder.mkdir(exist_ok=True)
    place = Place(folder)
    try:
        legacy = fill_marel(place, rows)
        whole_path(place, legacy, 1, capture="log")
        marel = Marel(place, legacy, folder / f"store_{place.stores}", rows)
        with_subject(marel.folder, lambda subject: setattr(marel, "tables", subject.canonical_tables))
        records = 0
        for table in marel.tables:
            place.ask(f"vacuum analyze justice.{table}", marel.store)
            records += place.ask(f"select count(*) from justice.{table}", marel.store)[0][0]
        scan_both(marel)
        print(f"{legacy.table} of MariaDB: {rows} rows, {records} records of {', '.join(marel.tables)}")
        print(f"{'scan of both sides':44}{marel.both:9.2f} CPU s      1.0x  legacy {marel.legacy_scan:.3f} s")
        judge(marel, "L4, identical", expected=0)
        if is_identical_only:
            return
        for number in (FEW, CHANGED):
            edit(marel, number)
            judge(marel, f"L4, {number} differences", expected=number)
        rival(marel, reladiff)
    finally:
        place.close()


def edit(marel: Marel, number: int) -> None:
    """Edit so many persons scattered evenly, as the account of the applier could; the few are among the many."""
    main = "person_identity"
    every = max(1, marel.place.ask(f"select count(*) from justice.{main}", marel.store)[0][0] // CHANGED)
    numbered = f"select id, row_number() over (order by id) n from justice.{main}"
    many = f"select id, n / {every} m from ({numbered}) r where n % {every} = 0 order by id limit {CHANGED}"
    edited = f"select id from ({many}) r where m % {CHANGED // number} = 0"
    marel.write(f"update justice.{main} set surname = 'X' || coalesce(surname, '') where id in ({edited})")


def with_subject(folder: Path, use: Callable[[Subject], object]) -> None:
    rig = find_rig(folder)
    subject = Subject(
        department=rig.workspace.project.department(rig.source.department_code),
        source=rig.source,
        port=rig.port,
        engine=rig.workspace.engine("banyan_judge"),
        book=only_tables(rig.book, ("personnes",)),
        table_numbers=rig.table_numbers,
        digest_key=rig.workspace.digest_key,
        domains=tuple(sorted({part.domain.value for part in rig.book.rulesets["personnes"].parts})),
    )
    use(subject)
    rig.close()
    rig.workspace.close()


def scan_both(marel: Marel) -> None:
    """Scan each side, reading every column of every row, as often as it takes to measure it."""
    for table in marel.tables:
        names = marel.place.ask(
            f"select attname from pg_attribute where attrelid = 'justice.{table}'::regclass and attnum > 0"
            " and not attisdropped",
            marel.store,
        )
        counted = ", ".join(f"count({name})" for (name,) in names)
        marel.canonical_scan += repeated(
            marel.place.cpu, lambda asked=f"select {counted} from justice.{table}": marel.place.ask(asked, marel.store)
        )
    with connect_mariadb(marel.place, marel.schema) as root:
        names = ask(root, f"show columns from {marel.legacy.table}")
        counted = ", ".join(f"count({row[0]})" for row in names)
        marel.legacy_scan = repeated(
            marel.cpu_of_legacy, lambda: list(ask(root, f"select {counted} from {marel.legacy.table}"))
        )


def repeated(cpu: Callable[[], float], scan: Callable[[], object]) -> float:
    scan()  # what a table needs to be read the first time is no scan
    before, done = cpu(), 0
    while done < SCANS and cpu() - before < CPU_ENOUGH:
        scan()
        done += 1
    return (cpu() - before) / done


def judge(marel: Marel, what: str, *, expected: int) -> None:
    told: dict[str, float] = {}

    def run() -> float:
        done = subprocess.run(
            [sys.executable, __file__, str(marel.folder)], stdout=subprocess.PIPE, check=True, text=True
        )
        told.update(json.loads(done.stdout))
        return told["cpu"]

    spent = marel.spend(run)
    if (told["rows"], told["different"]) != (marel.rows, expected):
        raise RuntimeError(f"{what}: {told}")
    print(
        f"{what:44}{spent.total:9.2f} CPU s {spent.total / marel.both:8.1f}x  client {spent.client:.2f}, servers"
        f" {spent.servers:.2f} CPU s; legacy server {spent.legacy:.2f} CPU s, {spent.legacy / marel.both:.2f}x of both"
        f" sides (limit {LIMIT_LEGACY}x), {spent.legacy / marel.legacy_scan:.2f}x of its own scan;"
        f" peak {told['peak']:.0f} MB",
        flush=True,
    )


def rival(marel: Marel, program: str) -> None:
    """Have reladiff compare the raw table with the same text on PostgreSQL: no mapping, other names for types."""
    if not program:
        print("reladiff: NOT RUN, it is not installed (--reladiff PATH of a venv of its own)")
        return
    place, table = marel.place, marel.legacy.table
    with connect_mariadb(place, marel.schema) as root:
        columns = [(row[0], str(row[1])) for row in ask(root, f"show columns from {table}")]
    pipe(place, marel.legacy)
    for number, (name, _) in enumerate(columns):
        place.ask(f"alter table public.heap rename column c{number} to {name}")
    key = marel.legacy.key
    place.ask(f"alter table public.heap alter column {key} type bigint using {key}::bigint, add primary key ({key})")
    place.ask("vacuum analyze public.heap")
    texts = [name for name, kind in columns if kind.lower().startswith("varchar")]
    counted = ", ".join(f"count({name})" for name in (key, *texts))
    single = repeated(place.cpu, lambda: place.ask(f"select {counted} from public.heap"))
    with connect_mariadb(place, marel.schema) as root:
        single += repeated(marel.cpu_of_legacy, lambda: list(ask(root, f"select {counted} from {table}")))
    sides = [f"mysql://root@127.0.0.1:{place.mariadb.port}/{marel.schema}", table,
             f"postgresql://postgres@127.0.0.1:{place.cluster.port}/postgres", "public.heap"]  # fmt: skip
    asked = [program, *sides, "-k", key, *(word for name in texts for word in ("-c", name))]
    told: list[str] = []

    def run() -> float:
        own = cpu_seconds()
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        if answer.returncode:
            raise RuntimeError(answer.stderr[-2000:])
        told.extend(answer.stdout.splitlines())
        return cpu_seconds() - own

    spent = marel.spend(run)
    print(
        f"{f'reladiff, {len(texts)} columns of text, no mapping':44}{spent.total:9.2f} CPU s"
        f" {spent.total / single:8.1f}x  legacy server {spent.legacy:.2f} CPU s; {len(told)} lines"
    )


def judge_alone(folder: Path) -> None:
    """Judge in this process, which did nothing else, and say what it took."""
    os.environ.update(ENVIRONMENT)

    def run(subject: Subject) -> None:
        before = cpu_seconds()
        found = reconcile(subject, watermark=None)
        told = {
            "cpu": cpu_seconds() - before,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "rows": found.rows,
            "different": found.level.figures["different"],
        }
        print(json.dumps(told))

    tempfile.tempdir = str(folder.parent)
    with_subject(folder, run)


if __name__ == "__main__":
    settle_process()
    judge_alone(Path(sys.argv[1]))
