"""What it costs to carry changes along the whole path, beside a bare MERGE of as many rows, and how old they get.

The bare MERGE writes rows that lie in the server already, ready-made, in a table like the canonical one with its keys
and indexes but without partitions and fence: once by the plan that the server makes of analyzed tables, once by the
index whatever the server thinks. Applying is all that follows the reading of the changed rows: open the run, land,
look up, map, write records, crosswalk and lists, close the run; the whole way also finds the keys in the log and reads
the rows.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from grown_tables import Legacy, Place, connect_mariadb
from psycopg import sql
from sqlalchemy.engine import make_url
from steady_writer import Order, SteadyWriter, Written

from connectors.mariadb_connection import ask
from store.postgres import raw, transaction
from store.records import analyze_records, index_references
from sync.assembly import Rig
from sync.engine import SyncEngine
from sync.lane import Step

ROUNDS = 5
KEYS = 20_000
_BY_INDEX = "set local enable_hashjoin = off; set local enable_mergejoin = off"


@dataclass(frozen=True)
class Followed:
    """What people change in a legacy table, and where it arrives."""

    column: str
    canonical: str
    arrives: str
    form: str
    """How a number is written into the column, in the SQL of its server."""


FOLLOWED = {
    "postgresql": Followed("observ", "case_file", "note_text", "%s::text"),
    "mariadb": Followed("profession", "person_identity", "occupation_text", "cast(%s as char)"),
}


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, CPU seconds of this process, CPU seconds of the servers."""

    seconds: float
    own: float
    servers: float

    @property
    def cpu(self) -> float:
        return self.own + self.servers


@dataclass(frozen=True)
class Bench:
    """A legacy system whose first copy stands, with the hands that carry its changes."""

    place: Place
    legacy: Legacy
    rig: Rig
    store: str

    @property
    def followed(self) -> Followed:
        return FOLLOWED[self.legacy.make]

    def ready(self) -> None:
        """Do what follows a first copy: indexes and counted values; carry what waits."""
        with transaction(self.rig.workspace.engine("banyan_forward")) as connection:
            index_references(raw(connection), self.legacy.source.department_code)
            analyze_records(raw(connection))
        self.place.ask("alter system set autovacuum = off")  # or what it does is counted as a cost of a round
        self.place.ask("select pg_reload_conf()")
        self.place.ask("vacuum", self.store)
        lane, engine = self.rig.forward(), self.rig.forward_engine()
        while engine.advance(lane) is not None:
            pass

    def keys(self, count: int) -> list[str]:
        """Choose legacy keys whose rows are loaded, scattered over the table."""
        number = self.rig.table_numbers[self.legacy.table]
        found = self.place.ask(
            f"select source_key from mig.crosswalk where deleted_at is null and source_table_no = {number}"
            f" order by random() limit {count}",
            self.store,
        )
        return [key for (key,) in found]

    def change(self, keys: list[str], mark: str) -> None:
        """Let somebody change these rows, in one transaction."""
        column, table, key = self.followed.column, self.legacy.table, self.legacy.key
        if self.legacy.make == "postgresql":
            self.place.ask(
                f"update orion.{table} set {column} = '{mark}' || {key} where {key} in ({', '.join(keys)})",
                str(make_url(self.legacy.urls["admin"]).database),
            )
            return
        with connect_mariadb(self.place, str(make_url(self.legacy.urls["admin"]).database)) as root:
            ask(root, f"update {table} set {column} = concat('{mark}', {key}) where {key} in ({', '.join(keys)})")

    def statement(self) -> str:
        """Write the statement that changes one row: a number, then a key."""
        schema = "orion." if self.legacy.make == "postgresql" else ""
        return (
            f"update {schema}{self.legacy.table} set {self.followed.column} = {self.followed.form}"
            f" where {self.legacy.key} = %s"
        )

    def arrived(self) -> dict[str, str]:
        """Read what the store shows of the followed column, by legacy key."""
        code = self.legacy.source.department_code
        found = self.place.ask(
            f"select c.source_key, r.{self.followed.arrives} from mig.crosswalk c"
            f" join justice.{self.followed.canonical} r on r.id = c.id and r.department_code = c.department_code"
            f" where c.department_code = '{code}' and length(r.{self.followed.arrives}) < 9",
            self.store,
        )
        return {key: text for key, text in found if text is not None}


class Clock:
    """Takes what passes between two moments: of this process, and of both servers or of the sessions of one store.

    A server also vacuums and hands its log to readers meanwhile: what a statement costs is the time of its session.
    """

    def __init__(self, place: Place, store: str = "") -> None:
        self._place = place
        self._store = store
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        times = psutil.Process().cpu_times()
        served = self._place.cpu() if not self._store else self._sessions()
        return time.perf_counter(), times.user + times.system, served

    def _sessions(self) -> float:
        found = self._place.ask(
            "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
            f" and datname = '{self._store}'"
        )
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for (pid,) in found) / 1e9

    def taken(self) -> Cost:
        return Cost(*(now - then for now, then in zip(self._now(), self._began, strict=True)))


def print_changes(bench: Bench, count: int) -> None:
    """Carry so many scattered changes of one transaction, round by round beside a bare MERGE; print both."""
    bench.ready()
    bare = BareTable(bench)
    planned, indexed, applied, whole = [], [], [], []
    for number in range(ROUNDS):
        planned.append(bare.merge(bench.keys(count), f"plan {number} "))
        indexed.append(bare.merge(bench.keys(count), f"index {number} ", first=_BY_INDEX))
        bench.rig.forward_engine().advance(bench.rig.forward())  # read over what that left in the log of this server
        bench.change(bench.keys(count), f"round {number} ")
        one, other = carry(bench, count)
        applied.append(one)
        whole.append(other)
    bare.drop()
    best = min(_median(planned), _median(indexed), key=lambda cost: cost.cpu)
    print(f"  {count} scattered changes, median of {ROUNDS} rounds")
    for name, costs in (
        ("bare MERGE, server's plan", planned),
        ("bare MERGE, by index", indexed),
        ("applied", applied),
        ("whole way, from the log", whole),
    ):
        cost = _median(costs)
        print(
            f"    {name:<26} {cost.seconds:6.2f} s {cost.seconds / best.seconds:5.1f}x   {cost.cpu:6.2f} CPU s"
            f" {cost.cpu / best.cpu:5.1f}x  (client {cost.own:.2f}, servers {cost.servers:.2f})"
        )


def _median(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in ("seconds", "own", "servers")))


def carry(bench: Bench, count: int) -> tuple[Cost, Cost]:
    """Carry what was changed; gives what applying took, and all of it."""
    read: list[Clock] = []

    def point(step: Step) -> None:
        if step is Step.READ:
            read.append(Clock(bench.place, bench.store))

    lane = bench.rig.forward()
    engine = SyncEngine(bench.rig.workspace.engine("banyan_forward"), checkpoint=point)
    whole = Clock(bench.place)
    result = engine.advance(lane)
    costs = read[0].taken(), whole.taken()
    if result is None or result.total.rows.loaded != count or not result.total.is_balanced:
        raise SystemExit(f"not all of {count} changes were carried")
    return costs


class BareTable:
    """A table like the partition of the canonical one, alone."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        code = bench.legacy.source.department_code
        partition = f"justice.{bench.followed.canonical}_{code.lower()}"
        bench.place.ask("drop table if exists public.bare", bench.store)
        bench.place.ask(f"create table public.bare (like {partition} including all)", bench.store)
        bench.place.ask(f"insert into public.bare select * from {partition}", bench.store)
        bench.place.ask("vacuum analyze public.bare", bench.store)
        found = bench.place.ask(
            "select attname from pg_attribute where attrelid = 'public.bare'::regclass and attnum > 0"
            " and attname not in ('id', 'department_code') order by attnum",
            bench.store,
        )
        self._columns = [sql.Identifier(name) for (name,) in found]

    def merge(self, keys: list[str], mark: str, *, first: str = "") -> Cost:
        """Stage the records of these keys with another text, analyze them, and time the MERGE with its commit."""
        followed, number = self._bench.followed, self._bench.rig.table_numbers[self._bench.legacy.table]
        place = self._bench.place
        with psycopg.connect(
            host="127.0.0.1", port=place.cluster.port, user="postgres", dbname=self._bench.store, autocommit=True
        ) as connection:
            connection.execute(
                sql.SQL(
                    "create temporary table stage as select b.* from public.bare b join mig.crosswalk c on c.id = b.id"
                    " where c.source_table_no = {} and c.source_key = any(%s)"
                ).format(sql.Literal(number)),
                (keys,),
            )
            connection.execute(
                sql.SQL("update stage set {0} = %s || {0}").format(sql.Identifier(followed.arrives)), (mark,)
            )
            connection.execute(
                sql.SQL("update stage set {0} = %s where {0} is null").format(sql.Identifier(followed.arrives)),
                (mark,),
            )
            connection.execute("analyze stage")
            clock = Clock(place, self._bench.store)
            with connection.transaction():
                if first:
                    connection.execute(first)
                done = connection.execute(self._statement())
            cost = clock.taken()
            if done.rowcount != len(keys):
                raise SystemExit(f"the bare MERGE wrote {done.rowcount} of {len(keys)} rows")
        return cost

    def _statement(self) -> sql.Composed:
        return sql.SQL(
            "merge into public.bare t using stage s on t.id = s.id and t.department_code = s.department_code"
            " when matched and row({}) is distinct from row({}) then update set {}"
            " when not matched then insert (id, department_code, {}) values (s.id, s.department_code, {})"
        ).format(
            _listed(self._columns, "t.{}"),
            _listed(self._columns, "s.{}"),
            _listed(self._columns, "{0} = s.{0}"),
            _listed(self._columns, "{}"),
            _listed(self._columns, "s.{}"),
        )

    def drop(self) -> None:
        self._bench.place.ask("drop table public.bare", self._bench.store)


def _listed(columns: list[sql.Identifier], form: str) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL(form).format(column) for column in columns)


def print_lag(bench: Bench, rate: int, seconds: float) -> None:
    """Let another process write at a steady rate while changes are carried; print how old each is when it is shown.

    A change is shown when the run ends that began after its commit: what a run carried of later ones is not counted to
    its credit. Afterwards every row must show the last number written into it.
    """
    bench.ready()
    address = bench.legacy.urls["application"]
    writer = SteadyWriter(Order(bench.legacy.make, address, bench.statement(), rate, seconds), bench.keys(KEYS))
    lane, engine = bench.rig.forward(), bench.rig.forward_engine()
    runs: list[tuple[float, float, int]] = []
    clock = Clock(bench.place)
    writer.begin()
    is_last = False
    while True:
        began = time.perf_counter()
        result = engine.advance(lane)
        runs.append((began, time.perf_counter(), 0 if result is None else result.total.rows.read))
        if is_last and result is None:
            break
        is_last = writer.has_ended
    cost = clock.taken()
    written, kept = writer.end()
    _refuse_missing(bench, written)
    ages = sorted(_ages(written, runs))
    p50, p95 = (ages[int(len(ages) * part)] for part in (0.5, 0.95))
    carried = [rows for _, _, rows in runs if rows]
    print(
        f"  {kept:.0f} changes/s written by another process for {seconds:.0f} s, every one of them shown at the end\n"
        f"    commit to canonical   p50 {1000 * p50:5.0f} ms   p95 {1000 * p95:5.0f} ms   largest"
        f" {1000 * ages[-1]:5.0f} ms   in {len(carried)} runs of {statistics.median(carried):.0f} rows;"
        f" client {100 * cost.own / cost.seconds:.0f} %, servers {100 * cost.servers / cost.seconds:.0f} % of a core"
    )
    count = KEYS
    bench.change(bench.keys(count), "burst ")
    took = time.perf_counter()
    result = engine.advance(lane)
    took = time.perf_counter() - took
    print(f"    a burst of {count}      {count / took:5.0f} events/s to canonical")


def _ages(written: list[Written], runs: list[tuple[float, float, int]]) -> list[float]:
    ages, at = [], 0
    for change in written:  # both are in the order of time
        while runs[at][0] < change.committed:
            at += 1
        ages.append(runs[at][1] - change.committed)
    return ages


def _refuse_missing(bench: Bench, written: list[Written]) -> None:
    last = {change.key: str(change.number) for change in written}
    shown = bench.arrived()
    missing = [key for key, number in last.items() if shown.get(key) != number]
    if missing:
        raise SystemExit(f"{len(missing)} of {len(last)} changed rows do not show what was written last")
