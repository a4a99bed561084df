"""L4: is each record what the rule says? Legacy rows are read again, mapped again, and compared with the store.

Independent of the ledger: no expected value and no digest of the load is read. It maps with the same code as the load,
so that a rule that is wrong the same way twice is not found here; statistics parity and golden records are for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from banyan.records import Position
from validation.judging import Judge
from validation.provenance import ChunkPlan, plan_of
from validation.rechecking import Patience
from validation.reconciliation import Reconciliation, conclude
from validation.resumption import Pass, open_pass
from validation.subject import ROWS_PER_CHUNK, Moves, Progress, Subject, Watcher, watch_nothing
from validation.sweeping import Sweep


def reconcile(
    subject: Subject,
    *,
    watermark: Position | None,
    keys_by_table: Mapping[str, Sequence[str]] | None = None,
    watcher: Watcher = watch_nothing,
    patience: Patience | None = None,
    kept_in: Path | None = None,
) -> Reconciliation:
    """Compare every legacy row of the domains, or only the keys given, with the store; changes nothing.

    A key that a person changed in the legacy system after `watermark` is moving, not different; with `patience` it is
    asked again until it is decided. Keys of tables outside the domains are left aside. With keys, records that no row
    emits and doubled keys are looked for among them only. A complete pass is kept in a folder of its own, `kept_in`:
    after a death, the same call goes on from the chunk it had reached, and judges again what was touched since.
    """
    is_full = keys_by_table is None
    with open_pass(subject, watermark, kept_in=kept_in if is_full else None) as going:
        judge = Judge(subject, Moves(subject.port, going.watermark, going.touched), going.tally)
        if keys_by_table is None:
            Sweep(judge, going, watcher).run()
        else:
            _judge_keys(judge, keys_by_table, watcher)
        if patience is not None:
            judge.recheck(patience)
        chunks = _chunks(subject, going) if is_full else ()
    return replace(conclude(subject, judge.tally, is_full=is_full), chunks=chunks)


def _chunks(subject: Subject, going: Pass) -> tuple[ChunkPlan, ...]:
    return tuple(
        plan_of(
            table,
            going.planned(table),
            is_keyed=bool(subject.port.key_columns(table)),
            rows_per_chunk=subject.rows_per_chunk,
            key=subject.digest_key,
        )
        for table in subject.tables
    )


def _judge_keys(judge: Judge, keys_by_table: Mapping[str, Sequence[str]], watcher: Watcher) -> None:
    for table in judge.subject.tables:
        chunks = _cut(keys_by_table.get(table, ()))
        for number, keys in enumerate(chunks, 1):
            judge.judge_chunk(table, keys)
            watcher(Progress(table, number, len(chunks), judge.tally.rows))


def _cut(keys: Sequence[str]) -> list[tuple[str, ...]]:
    distinct = sorted(set(keys))
    return [tuple(distinct[at : at + ROWS_PER_CHUNK]) for at in range(0, len(distinct), ROWS_PER_CHUNK)]
