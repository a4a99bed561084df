"""What judging costs: CPU seconds of client and servers together, as so many scans of both sides in the same run.

python bench/bench_validation.py [--legacy postgresql|mariadb] [--rows N] [--table t_proc] [--reladiff PATH]
                                 [--profile] [--identical-only]

A scan reads every column of every row of one side. L4 reads the legacy rows of PostgreSQL, maps them and compares them
with the canonical records of PostgreSQL: identical, with 10 and with 1,000 differences scattered evenly (six tenths
edited, two tenths removed, two tenths added). It runs in a process of its own, whose peak memory is told. Beside it:
bucket digests inside PostgreSQL (L3), with the same differences; 1,000 changes judged again, the mean of ten nights
(judged_again.py); 22 passing rules through Great Expectations against one scan; and reladiff on two tables of one
schema, the same rows, identical and with as many differences, when its program is given.
Each side has a server of its own, so that what the legacy server alone takes is told apart.

With MariaDB installed, the same L4 of the persons of a MAREL there, with what its server alone takes (judged_marel.py).
"""

import argparse
import cProfile
import json
import pstats
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from judged_again import CHANGED, judge_nights
from judged_marel import LIMIT_LEGACY, measure_marel
from one_table import KEYS, cpu_of_servers, cpu_seconds, prepare
from sqlalchemy.engine import make_url
from stores import only_tables
from worlds import DOMAINS, ISERE, ORION, RULES, World

from banyan.findings import Severity
from banyan.process import settle_process
from connectors.postgresql import open_postgresql
from mappings.ruleset import load_rulebook
from store.postgres import open_engine, transaction
from validation.level_two import run_rules
from validation.reconcile import reconcile
from validation.rules_worker import RuleWorker
from validation.subject import Subject
from validation.suites import Rule, Suite
from validation.text import Text
from validation.tripwire import WRITTEN, check_tripwire, remember
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home
from wire.mariadb import find_mariadb

FEW = 10
WRITTEN_TENTHS = 8
"""Of the differences, those that a record tells of: what was removed is told as a bucket that lost some."""
RULES_ASKED = 22
SCANS = 40
CPU_ENOUGH = 1.5


@dataclass
class Bench:
    """One loaded world, and what a scan of each side costs."""

    cluster: Cluster
    legacy: Cluster
    world: World
    table: str
    canonical: str
    rows: int
    legacy_scan: float = 0.0
    canonical_scan: float = 0.0

    @property
    def both(self) -> float:
        return self.legacy_scan + self.canonical_scan

    def servers(self) -> tuple[float, float]:
        """Give the CPU seconds of the legacy server and of the store's so far."""
        return cpu_of_servers(self.legacy), cpu_of_servers(self.cluster)

    def cost(self, work: Callable[[], object]) -> tuple[float, object]:
        """Give the CPU seconds of this process, those it started and the servers, while work is done."""
        servers, own = sum(self.servers()), cpu_seconds()
        found = work()
        return cpu_seconds() - own + sum(self.servers()) - servers, found

    def tell_legacy(self, seconds: float) -> str:
        """Say what the legacy server alone took, in scans of both sides and of its own."""
        shares = f"{seconds / self.both:.2f}x of both sides (limit {LIMIT_LEGACY}x)"
        return f"legacy server {seconds:.2f} CPU s, {shares}, {seconds / self.legacy_scan:.2f}x of its own scan"

    def tell(self, what: str, seconds: float, *, scans: float, more: str = "") -> None:
        ratio = seconds / scans
        told = f"{ratio:8.1f}x" if ratio >= 1 else f"{ratio:8.2f}x"
        print(f"{what:44}{seconds:9.2f} CPU s {told}  {more}", flush=True)


def main() -> None:
    settle_process()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--legacy", choices=("postgresql", "mariadb"), help="both, unless one is named")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--table", default="t_proc", choices=sorted(KEYS))
    parser.add_argument("--reladiff", default=shutil.which("reladiff") or "", help="its program, in a venv of its own")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--identical-only", action="store_true", help="L4 of identical sides alone: for its memory")
    parser.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.judge:
        judge_alone(json.loads(sys.stdin.readline()))
        return
    folder = Path(tempfile.mkdtemp())
    try:
        if asked.legacy in (None, "postgresql"):
            measure_postgresql(folder, asked)
        if asked.legacy == "mariadb" or (asked.legacy is None and find_mariadb() is not None):
            measure_marel(asked.rows, folder / "marel", reladiff=asked.reladiff, is_identical_only=asked.identical_only)
        elif asked.legacy is None:
            print("MariaDB: NOT RUN, it is not installed")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_postgresql(folder: Path, asked: argparse.Namespace) -> None:
    servers = [Cluster(ClusterPlace(cluster_home(folder, name), Durability.THROWAWAY)) for name in ("bench", "legacy")]
    try:
        store, legacy = (server.start() for server in servers)
        measure(store, legacy, folder, asked)
    finally:
        for server in servers:
            server.destroy()


def measure(cluster: Cluster, legacy: Cluster, folder: Path, asked: argparse.Namespace) -> None:
    world = prepare(cluster, folder, asked.table, asked.rows, legacy=legacy)
    lane = world.forward()
    plans = [plan for plan in lane.plan_load() if plan.table == asked.table]
    world.forward_engine().load(lane, lambda: plans, rules_digest="")
    canonical = world.book.rulesets[asked.table].main.table
    world.place.run(f"vacuum analyze justice.{canonical}_38")
    (records,) = world.place.run(f"select count(*) from justice.{canonical}")[0]
    bench = Bench(cluster, legacy, world, asked.table, canonical, asked.rows)
    bench.legacy_scan = scan(legacy, world.on_legacy, f"orion.{asked.table}")
    bench.canonical_scan = scan(cluster, world.place.run, f"justice.{canonical}")
    print(f"{asked.table}: {asked.rows} rows, {records} records of {canonical}; 1x is a scan of both sides")
    bench.tell("scan of both sides", bench.both, scans=bench.both, more=f"legacy {bench.legacy_scan:.3f} s")
    reconciled(bench, "L4, identical", expected=0, is_profiled=asked.profile)
    if asked.identical_only:
        return
    fold(bench)
    tripped(bench, "L3, inside PostgreSQL, identical", expected=0)
    for number in (FEW, CHANGED):
        with differences(bench, number):
            reconciled(bench, f"L4, {number} differences", expected=number)
            tripped(bench, f"L3, inside PostgreSQL, {number} differences", expected=number * WRITTEN_TENTHS // 10)
        fold(bench)
    judge_nights(bench, subject_for(asked_of(bench)))
    rules(bench)
    rivals(bench, asked.reladiff)


def scan(server: Cluster, run: Callable[[str], object], table: str) -> float:
    """Give what one scan that reads every column costs: the mean of as many as it takes to measure it."""
    names = [row[0] for row in run(f"select attname from pg_attribute where attrelid = '{table}'::regclass"
                                   " and attnum > 0 and not attisdropped order by attnum")]  # fmt: skip
    counted = ", ".join(f"count({name})" for name in names)
    before, done = cpu_of_servers(server), 0
    while done < SCANS and cpu_of_servers(server) - before < CPU_ENOUGH:
        run(f"select {counted} from {table}")
        done += 1
    return (cpu_of_servers(server) - before) / done


def subject_for(asked: dict[str, object]) -> Subject:
    return Subject(
        department=ISERE,
        source=ORION,
        port=open_postgresql(str(asked["legacy"]), "orion"),
        engine=open_engine(str(asked["store"]), pool_size=1),
        book=only_tables(load_rulebook(RULES), (str(asked["table"]),)),
        table_numbers=asked["numbers"],
        digest_key=b"k" * 32,
        domains=DOMAINS,
    )


def asked_of(bench: Bench) -> dict[str, object]:
    return {
        "legacy": bench.world.legacy_url("banyan_reader"),
        "store": bench.world.place.url("banyan_judge").render_as_string(hide_password=False),
        "table": bench.table,
        "numbers": bench.world.numbers,
    }


def judge_alone(asked: dict[str, object]) -> None:
    """Judge in this process, which did nothing else, and say what it took."""
    subject = subject_for(asked)
    profiler = cProfile.Profile()
    before = cpu_seconds()
    if asked.get("profile"):
        profiler.enable()
    found = reconcile(subject, watermark=None)
    profiler.disable()
    told = {
        "cpu": cpu_seconds() - before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": found.rows,
        "different": found.level.figures["different"],
    }
    if asked.get("profile"):
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    print(json.dumps(told))


def reconciled(bench: Bench, what: str, *, expected: int, is_profiled: bool = False) -> None:
    legacy, store = bench.servers()
    done = subprocess.run(
        [sys.executable, __file__, "--judge"],
        input=json.dumps(asked_of(bench) | {"profile": is_profiled}) + "\n",
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    legacy, store = (now - then for now, then in zip(bench.servers(), (legacy, store), strict=True))
    servers = legacy + store
    told = json.loads(done.stdout)
    if (told["rows"], told["different"]) != (bench.rows, expected):
        raise RuntimeError(f"{what}: {told}")
    more = f"client {told['cpu']:.2f}, servers {servers:.2f} CPU s; {bench.tell_legacy(legacy)}; peak"
    more += f" {told['peak']:.0f} MB"
    bench.tell(what, told["cpu"] + servers, scans=bench.both, more=more)


@contextmanager
def differences(bench: Bench, number: int) -> Iterator[None]:
    """Seed differences scattered evenly, as the account of the applier could, then take them back."""
    place, table = bench.world.place, f"justice.{bench.canonical}"
    text = next(row[0] for row in place.run(
        "select column_name from information_schema.columns where table_schema = 'justice' and table_name = %s"
        " and data_type = 'text' and column_name not in ('department_code', 'domain_code', 'origin')"
        " order by ordinal_position", (bench.canonical,),
    ))  # fmt: skip
    numbered = f"select id, row_number() over (order by id) as n, count(*) over () as records from {table}"
    every = (
        f"select id, row_number() over (order by id) % 10 as share from ({numbered}) r"
        f" where n % (records / {number}) = 0 order by id limit {number}"
    )
    applier = "banyan_forward"
    place.run(f"create table public.kept as select t.*, share from {table} t join ({every}) c using (id)")
    place.run("grant usage on schema public to banyan_forward; grant select on public.kept to banyan_forward")
    added = place.run(f"select string_agg(column_name, ', ') from information_schema.columns where table_schema = "
                      f"'justice' and table_name = '{bench.canonical}' and column_name <> 'id'")[0][0]  # fmt: skip
    chosen = "select id from public.kept where share"
    place.run(
        f"update {table} set {text} = 'X' || coalesce({text}, '') where id in ({chosen} in (0, 1, 2, 3, 4, 5))",
        role=applier,
    )
    place.run(f"delete from {table} where id in ({chosen} in (6, 7))", role=applier)
    place.run(f"insert into {table} (id, {added}) select gen_random_uuid(), {added} from public.kept"
              " where share in (8, 9)", role=applier)  # fmt: skip
    yield
    place.run(
        f"delete from {table} t where not exists"
        " (select from mig.crosswalk c where c.id = t.id and c.deleted_at is null)",
        role=applier,
    )
    place.run(f"delete from {table} where id in (select id from public.kept)", role=applier)
    place.run(f"insert into {table} (id, {added}) select id, {added} from public.kept", role=applier)
    place.run("drop table public.kept")
    place.run(f"vacuum analyze {table}")


def fold(bench: Bench) -> None:
    """Remember what the buckets of the records look like while all of them are as they were judged."""
    subject = subject_for(asked_of(bench))
    wire = check_tripwire(subject, rules_digest="")
    with transaction(subject.engine) as connection:
        remember(connection, subject, wire.fold, rules_digest="")


def tripped(bench: Bench, what: str, *, expected: int) -> None:
    """Compare all buckets with what was remembered, inside PostgreSQL, and name what somebody unknown wrote."""
    subject = subject_for(asked_of(bench))
    seconds, found = bench.cost(lambda: check_tripwire(subject, rules_digest=""))
    named = sum(each.cause == WRITTEN for each in found.level.findings)
    if named != expected:
        raise RuntimeError(f"{what}: {named} records named, not {expected}")
    bench.tell(what, seconds, scans=bench.both, more=f"{named} records named")


def rules(bench: Bench) -> None:
    said = Text("Une phrase.", "A sentence.")
    texts = [row[0] for row in bench.world.place.run(
        "select column_name from information_schema.columns where table_schema = 'justice' and table_name = %s"
        " and data_type = 'text' order by ordinal_position", (bench.canonical,),
    )]  # fmt: skip
    # the mix of the shipped suites: of a hundred column rules, eleven match a regular expression
    forms = (
        ("expect_column_values_to_not_be_in_set", {"value_set": ("NO SUCH TEXT",)}, 10),
        ("expect_column_value_lengths_to_be_between", {"min_value": 0, "max_value": 100_000}, 9),
        ("expect_column_values_to_not_match_regex", {"regex": "^no such text$"}, 3),
    )
    listed = [
        Rule(f"{bench.canonical}.rule_{number}", said, Severity.BLOCK, "engineer", kind, {"column": column, **more})
        for number, (column, kind, more) in enumerate(
            (column, kind, more) for kind, more, times in forms for column in texts[:times]
        )
    ]
    if len(listed) != RULES_ASKED:
        raise RuntimeError(f"{bench.canonical} has too few columns of text for {RULES_ASKED} rules")
    url = bench.world.place.url("banyan_judge")
    with RuleWorker() as worker:
        suite = Suite(bench.canonical, bench.canonical, 1, tuple(listed))
        run_rules(url, "38", [replace(suite, rules=suite.rules[:1])], worker=worker)  # it is imported before the clock
        before = cpu_of_process(worker._process.pid)
        servers = cpu_of_servers(bench.cluster)
        found = run_rules(url, "38", [suite], worker=worker)
        servers = cpu_of_servers(bench.cluster) - servers
        client = cpu_of_process(worker._process.pid) - before
    if found.level.figures["evaluated"] != RULES_ASKED or found.level.figures["block_rules"]:
        raise RuntimeError(found.level.sentence)
    more = f"1x is one scan of the canonical side; servers alone {servers / bench.canonical_scan:.1f}x"
    bench.tell(f"L2, {RULES_ASKED} passing rules", servers + client, scans=bench.canonical_scan, more=more)


def cpu_of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(one) for one in fields[11:15]) / 100


def rivals(bench: Bench, program: str) -> None:
    """Have reladiff compare two tables of one schema, which is all it can: ours compares through a mapping."""
    if not program:
        print("reladiff: NOT RUN, it is not installed (--reladiff PATH of a venv of its own)")
        return
    place = bench.world.place
    place.run(f"create table public.one as select * from justice.{bench.canonical}")
    place.run("create table public.two as select * from public.one")
    for table in ("one", "two"):
        place.run(f"alter table public.{table} add primary key (id)")
        place.run(f"vacuum analyze public.{table}")
    url = make_url(place.url()).set(drivername="postgresql").render_as_string(hide_password=False)
    columns = place.run(
        "select string_agg(' -c ' || column_name, '') from information_schema.columns where table_schema = 'justice'"
        " and table_name = %s and column_name <> 'id'",
        (bench.canonical,),
    )
    single = scan(bench.cluster, place.run, "public.one") + scan(bench.cluster, place.run, "public.two")
    for number in (0, FEW, CHANGED):
        if number:
            place.run(f"update public.two set origin = 'TARGET' where id in (select id from (select id, row_number()"
                      f" over (order by id) n from public.two) r where n % ({bench.rows} / {number}) = 0)")  # fmt: skip
        done: list[str] = []

        def compare(done: list[str] = done) -> None:
            command = [program, url, "public.one", url, "public.two", "-k", "id", *columns[0][0].split()]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode:
                raise RuntimeError(answer.stderr[-2000:])
            done.extend(answer.stdout.splitlines())

        seconds, _ = bench.cost(compare)
        bench.tell(f"reladiff, one schema, {number} differences", seconds, scans=single, more=f"{len(done)} lines")


if __name__ == "__main__":
    main()
