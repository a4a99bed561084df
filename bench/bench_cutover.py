"""How long nobody can write at a switch and at a way back, what the new side's fence costs, and the explorer's time.

python bench/bench_cutover.py [outage|fence|explorer]... [--size S] [--cycles 6] [--writers 16] [--delays 0,20,80]
                              [--changed 0,1000,10000]
The estate must be large enough for 10,000 changed rows: size S or more. The delay is that of the controller's link.
People write in a process of their own; whoever is refused tries again as applications are told to, after 200 ms.
A source that is only compared, snapshot by snapshot, is shut for at least one look at all its rows, a file behind a
closed window while it is moved aside and compared whole: both are printed below the table.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg
from brigades import make_brigade
from people import People
from projects import ENVIRONMENT, ORION_TEMPLATE
from proxy import Link
from sqlalchemy.engine import make_url
from switches import ORION, SwitchWorld, TestWorkspace, build_switch_world, order
from torture import find_desks, gaps, spread

from banyan.config import load_project
from banyan.errors import BanyanError
from connectors.postgresql import open_postgresql
from connectors.snapshot_diff import open_snapshot_diff
from cutover.deeds import Limits
from cutover.explorer import BASES, explore
from cutover.mutants import MUTANTS
from cutover.switching import roll_back, switch
from estate.load import load
from estate.orion import generate
from store.row_marks import StoreRowMarks
from sync.assembly import open_rig
from sync.workspace import LegacyUrls
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home, wheel_installation

DELAYS_MS = (0, 20, 80)
CHANGED = (0, 1_000, 10_000)
PATIENCE_SECONDS = 0.2  # docs/for-application-teams.md: the rule to retry by
_ROUNDS = 3
_FENCE_ROUNDS = 11  # short ones, one after the other: a disk has its moods
_KEYS = 64  # the smallest estate has so many cases for people to write
LIMITS = Limits(lease_seconds=120, budget_seconds=100, rollback_seconds=200)


class FarWorkspace(TestWorkspace):
    """The same project, whose old system is far away."""

    link: Link

    def legacy_urls(self, source) -> LegacyUrls:
        near = super().legacy_urls(source)
        urls = (near.reader, near.reverse, near.guard, near.admin, near.application)
        return LegacyUrls(*(make_url(u).set(port=self.link.port).render_as_string(hide_password=False) for u in urls))


def build(cluster: Cluster, folder: Path, size: str) -> SwitchWorld:
    """A world whose ORION has the size asked for."""
    cluster.create_database(ORION_TEMPLATE)
    load(generate(size, 1), cluster.url(ORION_TEMPLATE).render_as_string(hide_password=False))
    with psycopg.connect(plain(cluster, "postgres"), autocommit=True) as connection:
        for role in ("banyan_reverse", "banyan_guard"):
            connection.execute(f"alter role {role} noinherit")
    return build_switch_world(cluster, folder / "project")


def plain(cluster: Cluster, database: str, role: str = "postgres") -> str:
    return cluster.url(database, role).set(drivername="postgresql").render_as_string(hide_password=False)


def change(world: SwitchWorld, rows: int) -> int:
    """Let people change rows after the evidence was made, and carry them: they are what is left to compare."""
    changed = 0
    for table, column in (("t_objet", "descr"), ("t_proc", "observ"), ("t_personne", "tel_ref")):
        if changed >= rows:
            break
        names = {row[0] for row in world.ask_legacy(
            "select column_name::text from information_schema.columns where table_schema = 'orion' and table_name = :t",
            t=table)}  # fmt: skip
        if column not in names:
            column = "dt_maj"
        key = world.rig.book.rulesets[table].key[0]
        done = world.ask_legacy(
            f"update orion.{table} set {column} = {column} where {key} in"
            f" (select {key} from orion.{table} where top_supp = 'N' order by {key} limit :n) returning 1",
            n=rows - changed,
        )
        changed += len(done)
    lane, engine = world.rig.forward(), world.rig.forward_engine()
    for _ in range(_ROUNDS):  # people write on: to carry until nothing waits would never end
        engine.advance(lane)
    return changed


@dataclass(frozen=True)
class Asked:
    """What to measure."""

    size: str
    cycles: int
    writers: int
    delays: tuple[int, ...]
    changed: tuple[int, ...]


def look_at_everything(world: SwitchWorld) -> None:
    """Measure what a source costs in the fence whose changes are found by comparing every row."""
    tables = world.closure.tables
    marks = StoreRowMarks(lambda: world.rig.workspace.engine("banyan_forward"), ORION)
    urls = world.rig.workspace.legacy_urls(ORION)
    way = open_snapshot_diff(tables, marks, key=world.rig.workspace.digest_key)
    port = open_postgresql(urls.reader, "orion", capture=way)
    try:
        port.head()
        began = time.monotonic()
        port.head()
        seconds = time.monotonic() - began
        rows = sum(port.count(table) for table in tables)
    finally:
        port.close()
    rate = rows / seconds
    print(f"snapshot_diff: one look at {rows} rows {seconds * 1000:.0f} ms, {rate:.0f} rows/s;"
          f" ten million rows would be shut for at least {10_000_000 / rate / 60:.0f} min")  # fmt: skip


def outage(asked: Asked) -> None:
    """Switch and come back, again and again, beside people who write; print what was expected and what was."""
    folder = Path(tempfile.mkdtemp())
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    try:
        world = build(cluster, folder, asked.size)
        told = f"size {asked.size}, {asked.writers} writers, {asked.cycles} cycles each; milliseconds"
        print(f"{told}; load of the machine {os.getloadavg()[0]:.1f}")
        print(f"{'delay':>6} {'changed':>8} {'way':<6} {'controller':<52} {'people see':<52} predicted / measured")
        for delay in asked.delays:
            link = Link(cluster.port, delay_ms=delay)
            workspace = FarWorkspace(load_project(world.project.folder))
            workspace.link = link
            rig = open_rig(workspace, ORION)
            for rows in asked.changed:
                measure(world, rig, delay, rows, asked)
            workspace.close()
            rig.close()
            link.close()
        look_at_everything(world)
        look_aside(cluster, folder, asked.cycles)
    finally:
        cluster.destroy()


def look_aside(cluster: Cluster, folder: Path, cycles: int) -> None:
    """Measure how long a file is shut whose fence is a closed window: it is moved aside and compared whole."""
    world = make_brigade(cluster, folder / "brigade", fence="closed_window", name="window")
    try:
        world.load()
        there, back = [], []
        for _ in range(cycles):
            world.sign()
            there.append(float(switch(world.rig, world.closure, order(limits=LIMITS)).outage_ms))
            back.append(float(roll_back(world.rig, world.closure, order(limits=LIMITS)).outage_ms))
        size = world.file.path.stat().st_size
    finally:
        world.close()
    print(
        f"closed_window: a file of {size / 1e6:.1f} MB, nobody at work: there {spread(there)}, back {spread(back)} ms"
    )


def measure(world, rig, delay, rows, asked) -> None:
    desks = find_desks(world, asked.writers, max(1, _KEYS // asked.writers))
    people = People(replace(desks, patience=PATIENCE_SECONDS))
    there, back, expected = [], [], []
    changed = 0
    try:
        for _ in range(asked.cycles):
            world.sign()
            changed = change(world, rows) if rows else 0
            try:
                done = switch(rig, world.closure, order(limits=LIMITS))
                time.sleep(0.3)
                undone = roll_back(rig, world.closure, order(limits=LIMITS))
            except BanyanError as error:
                print(f"{delay:>6} {changed:>8} given up: {error.message[:90]}")
                if world.row.owner.value == "CANONICAL":
                    roll_back(world.rig, world.closure, order(limits=LIMITS))
                continue
            there.append(float(done.outage_ms))
            back.append(float(undone.outage_ms))
            expected.append(float(done.expected_ms or 0))
    finally:
        writes = people.stop()
    seen_there, seen_back = gaps(writes)
    near = sum(0.75 <= one / max(1, took) <= 1.25 for one, took in zip(expected, there, strict=True))
    print(f"{delay:>6} {changed:>8} {'there':<6} {spread(there)!s:<52} {spread(seen_there)!s:<52} "
          f"p50 {spread(expected).get('p50')} expected; {near} of {len(there)} within 25 %")  # fmt: skip
    print(f"{delay:>6} {changed:>8} {'back':<6} {spread(back)!s:<52} {spread(seen_back)!s:<52}", flush=True)


def fence_cost(size: str, writers: int, seconds: int = 2) -> None:
    """Throughput of people's writes in the new system with the fence and without, in the same rounds, kept on disk."""
    folder = Path(tempfile.mkdtemp())
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    try:
        world = build(cluster, folder, size)
        world.ask_store("update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1")
        with psycopg.connect(plain(cluster, "postgres"), autocommit=True) as connection:
            for line in ("alter system set fsync = on", "alter system set full_page_writes = on", "checkpoint"):
                connection.execute(line)
            connection.execute("select pg_reload_conf()")
        one = folder / "one.sql"
        into = "insert into justice.item (id, department_code, domain_code, origin)"
        one.write_text(f"{into} values (gen_random_uuid(), '38', 'vehicles', 'TARGET');")
        many = folder / "many.sql"
        many.write_text(f"{into} select gen_random_uuid(), '38', 'vehicles', 'TARGET' from generate_series(1, 1000);")
        for name, script in (("single row", one), ("1,000 rows", many)):
            ratios = []
            for _ in range(_FENCE_ROUNDS):
                rates = []
                for word in ("enable always", "disable"):
                    for trigger in ("zz_banyan_i", "zz_banyan_u", "zz_banyan_d"):
                        world.ask_store(f"alter table justice.item {word} trigger {trigger}")
                    rates.append(pgbench(cluster, world.project.store, script, writers, seconds))
                ratios.append(rates[0] / rates[1])
            low, middle, high = statistics.quantiles(ratios)
            print(f"fence and outbox, {writers} writers, {name:<11} median {middle:.2f}x of no fence,"
                  f" half of the rounds {low:.2f}x to {high:.2f}x")  # fmt: skip
    finally:
        cluster.destroy()


def pgbench(cluster: Cluster, database: str, script: Path, clients: int, seconds: int) -> float:
    done = subprocess.run(
        [str(wheel_installation() / "bin" / "pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T",
         str(seconds), "-f", str(script), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "banyan_app", database],
        capture_output=True, text=True, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return float(line.split("=")[1].split()[0])


def explorer() -> None:
    """The fast set of the normal tests in one process."""
    began, cpu = time.perf_counter(), time.process_time()
    states = 0
    for base in BASES:
        if base.is_fast:
            states += explore(base.bounds).states
    bases = time.perf_counter() - began
    killed = sum(mutant.is_killed_by(explore(mutant.bounds, mutant.rules)) for mutant in MUTANTS if mutant.killed_by)
    total, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"explorer: {states} states of the fast bases in {bases:.1f} s; {killed} mutants killed; {total:.1f} s in all,"
        f" {cpu:.1f} s of one processor; load of the machine {os.getloadavg()[0]:.1f}"
    )


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], metavar="outage|fence|explorer")
    parser.add_argument("--size", default="S")
    parser.add_argument("--cycles", type=int, default=6)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--delays", type=numbers, default=DELAYS_MS)
    parser.add_argument("--changed", type=numbers, default=CHANGED)
    asked = parser.parse_args()
    parts = asked.parts or ["explorer", "fence", "outage"]
    if "explorer" in parts:
        explorer()
    if "fence" in parts:
        fence_cost("XS", asked.writers)
    if "outage" in parts:
        outage(Asked(asked.size, asked.cycles, asked.writers, asked.delays, asked.changed))


if __name__ == "__main__":
    main()
