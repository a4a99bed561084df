"""What judging again costs when 1,000 rows changed: the part of bench_validation.py that follows nights of work.

Rows are changed in the old system and carried; then the keys that changed are listed, read again, mapped again and
compared. Both sides stay open and the rules compiled from one night to the next; the first night, which opens them, is
told by itself. So is the question that every night asks whatever changed: which records anybody wrote whom no capture
saw, which takes one reading of their table.
"""

from collections.abc import Callable
from typing import Protocol

from one_table import KEYS
from worlds import ORION, World

from banyan.departments import Side
from banyan.findings import LevelState
from banyan.records import Position
from store.buckets import read_moment
from store.ledger import LedgerReader
from store.postgres import transaction
from validation.incremental import find_changed, find_written
from validation.reconcile import reconcile
from validation.subject import Subject

CHANGED, NIGHTS = 1_000, 10


class Bench(Protocol):
    """What is asked of the bench that this is a part of."""

    world: World
    table: str
    rows: int

    @property
    def both(self) -> float: ...

    def cost(self, work: Callable[[], object]) -> tuple[float, object]: ...

    def tell(self, what: str, seconds: float, *, scans: float, more: str = "") -> None: ...


def judge_nights(bench: Bench, subject: Subject) -> None:
    """Judge ten nights of changes to other rows each; what measuring itself takes is taken off."""
    idle = sum(bench.cost(lambda: None)[0] for _ in range(NIGHTS)) / NIGHTS
    nights = [_judge_night(bench, subject, night) for night in range(1 + NIGHTS)]
    changed, judged, written = (sum(each) / NIGHTS for each in zip(*nights[1:], strict=True))
    more = f"mean of {NIGHTS} nights; {idle:.3f} CPU s for measuring taken off"
    bench.tell(f"judged again: {changed:.0f} changed rows", judged - idle, scans=bench.both, more=more)
    bench.tell("  the first night of a process", nights[0][1] - idle, scans=bench.both)
    bench.tell("  and whatever anybody else wrote", written - idle, scans=bench.both, more="one reading of the records")


def _judge_night(bench: Bench, subject: Subject, night: int) -> tuple[int, float, float]:
    """Give how many rows changed, and the CPU seconds of judging them and of finding what else was written."""
    world, key, number = bench.world, KEYS[bench.table], min(CHANGED, bench.rows // 10)
    with transaction(subject.engine) as connection:
        snapshot = read_moment(connection).snapshot
        since = LedgerReader(connection).find_watermark(ORION, Side.CANONICAL) or Position(subject.port.head())
    every = bench.rows // number
    world.on_legacy(
        f"update orion.{bench.table} set dt_maj = clock_timestamp() where {key} in (select {key} from"
        f" orion.{bench.table} where {key}::bigint % {every} = {night % every} limit {number})"
    )
    world.forward_engine().advance(world.forward())
    counted = 0

    def judge() -> LevelState:
        nonlocal counted
        keys = find_changed(subject, since, subject.port.head())
        counted = sum(len(many) for many in keys.values())
        found = reconcile(subject, watermark=None, keys_by_table={one: sorted(many) for one, many in keys.items()})
        return found.level.state

    seconds, state = bench.cost(judge)
    if state is not LevelState.PASS or not number - number // 10 < counted <= number:
        raise RuntimeError(f"night {night}: {counted} rows, {state}")
    reading, _ = bench.cost(lambda: find_written(subject, snapshot))
    return counted, seconds, reading
