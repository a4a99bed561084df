"""What the way back of a long queue takes: edits of the new application carried into the old system.

python bench/bench_way_back.py [--rows N] [--edits N] [--edits N ...] [--per-transaction N]

So many records are edited in the new application, in transactions of --per-transaction (0: a single one), then carried
back by a process of its own whose seconds and peak memory are told. Given several numbers of edits, each is carried
by a new process over the same two servers: memory that follows the queue is seen at once.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from one_table import prepare
from sqlalchemy.engine import make_url
from stores import ORION_TABLES, StorePlace, only_tables
from worlds import RULES, World

from banyan.config import LandingConfig
from banyan.process import settle_process
from connectors.postgresql import open_postgresql
from mappings.ruleset import load_rulebook
from store.landing import open_landing
from store.runs import RunKind
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

TABLE, RECORDS = "t_proc", "justice.case_file"
LIMIT_MB = 512


def main() -> None:
    settle_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--edits", type=int, action="append")
    parser.add_argument("--per-transaction", type=int, default=1_000)
    parser.add_argument("--carry", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.carry:
        carry_alone(json.loads(sys.stdin.readline()))
        return
    folder = Path(tempfile.mkdtemp(prefix="banyan-bench-"))
    cluster = Cluster(ClusterPlace(cluster_home(folder, "bench"), Durability.THROWAWAY)).start()
    try:
        world = prepare(cluster, folder, TABLE, asked.rows)
        world.book = only_tables(load_rulebook(RULES), ORION_TABLES)
        world.load()
        world.place.run(f"vacuum analyze {RECORDS}_38")
        world.switch_by_hand()
        for edits in asked.edits or (20_000, 200_000):
            measure(world, edits, asked.per_transaction or edits, folder)
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


def measure(world: World, edits: int, per_transaction: int, folder: Path) -> None:
    ids = [row[0] for row in world.place.run(f"select id from {RECORDS} order by id limit {edits}")]
    for at in range(0, len(ids), per_transaction):
        world.as_app(
            f"update {RECORDS} set note_text = clock_timestamp()::text, row_version = row_version + 1"
            " where department_code = '38' and id = any(%s)",
            (ids[at : at + per_transaction],),
        )
    order = {
        "legacy": world.legacy,
        "store": world.place.url().render_as_string(hide_password=False),
        "numbers": world.numbers,
        "nonce": str(world.nonce),
        "folder": str(folder),
    }
    done = subprocess.run(
        [sys.executable, __file__, "--carry"],
        input=json.dumps(order) + "\n",
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    told = json.loads(done.stdout)
    if told["rows"] != len(ids):
        raise SystemExit(f"{told['rows']} rows were carried, not {len(ids)}")
    print(
        f"{len(ids):8} edits in transactions of {per_transaction:<8} {told['seconds']:7.1f} s"
        f" {len(ids) / told['seconds']:8.0f} rows/s   peak {told['peak']:4.0f} MB (limit {LIMIT_MB})",
        flush=True,
    )


def carry_alone(order: dict[str, str]) -> None:
    """Carry all that waits in this process, which did nothing else, and say what it took."""
    url = make_url(order["legacy"])
    reader, reverse = (
        url.set(username=name).render_as_string(hide_password=False) for name in ("banyan_reader", "banyan_reverse")
    )
    world = World(
        order["legacy"],
        StorePlace(make_url(order["store"])),
        open_postgresql(reader, "orion", reverse_url=reverse),
        only_tables(load_rulebook(RULES), ORION_TABLES),
        open_landing(LandingConfig(), folder=Path(order["folder"])),
        dict(order["numbers"]),
        UUID(order["nonce"]),
    )
    engine, lane = world.reverse_engine(), world.reverse()
    began, rows = time.perf_counter(), 0
    while (run := engine.advance(lane, RunKind.REVERSE)) is not None:
        rows += run.total.rows.loaded
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": time.perf_counter() - began, "peak": peak}))


if __name__ == "__main__":
    main()
