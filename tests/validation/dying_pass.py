"""A reconciliation in a process of its own, which its test kills: it says each step and stops for good at the last.

Run as `python dying_pass.py`, with what it judges as JSON on its standard input.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from stores import ORION_TABLES, only_tables
from worlds import DOMAINS, ISERE, ORION, RULES

from connectors.postgresql import open_postgresql
from mappings.ruleset import load_rulebook
from store.postgres import open_engine
from validation.reconcile import reconcile
from validation.subject import ROWS_PER_CHUNK, Progress, Subject


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    subject = Subject(
        department=ISERE,
        source=ORION,
        port=open_postgresql(asked["legacy"], "orion"),
        engine=open_engine(asked["store"], pool_size=0),
        book=only_tables(load_rulebook(RULES), ORION_TABLES),
        table_numbers=asked["numbers"],
        digest_key=b"k" * 32,
        domains=DOMAINS,
        rows_per_chunk=asked.get("rows_per_chunk", ROWS_PER_CHUNK),
    )
    judged = []

    def tell(progress: Progress) -> None:
        step = f"{progress.table} {progress.chunks_done}"
        judged.append(step)
        print(step if "last" in asked else progress.table, flush=True)
        if len(judged) == asked.get("chunks") or step == asked.get("last"):
            time.sleep(600)  # alive and doing nothing, until it is killed

    reconcile(subject, watermark=asked["watermark"], watcher=tell, kept_in=Path(asked["kept_in"]))


if __name__ == "__main__":
    main()
