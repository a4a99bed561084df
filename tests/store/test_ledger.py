"""Runs and chunks belong to whoever holds their lease; a late orphan commits nothing, and rows must add up."""

import threading

import pytest
import sqlalchemy as sa
from stores import StorePlace

from banyan.departments import Side, SourceRef
from banyan.errors import ConservationBroken, LeaseLost, UsageError
from banyan.records import ChunkCounts, KeyRange, PartCounts, Position, RowCounts
from store.ledger import Ledger, LedgerReader
from store.runs import ChunkPlan, RunKind, RunProgress, RunRequest, RunState

pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
BALANCED = ChunkCounts(RowCounts(read=3, loaded=2, filtered=1), PartCounts(emitted=4, inserted=4, split=2))


def request(owner="worker-1", kind=RunKind.LOAD, lease_seconds=60) -> RunRequest:
    return RunRequest(ORION, Side.CANONICAL, kind, owner, lease_seconds=lease_seconds)


def opened(place, *plans, **options):
    with place.transaction("banyan_forward") as connection:
        run = Ledger(connection).open_run(request(**options))
        Ledger(connection).write_chunks(run, plans)
    return run


def taken(place, run, owner="worker-1", lease_seconds=60):
    with place.transaction("banyan_forward") as connection:
        return Ledger(connection).take_chunk(run.run_no, owner, lease_seconds=lease_seconds)


def test_a_second_run_on_a_route_is_refused_and_told_which_is_open_and_since_when(store: StorePlace):
    run = opened(store)

    with pytest.raises(LeaseLost) as refused:
        opened(store, owner="worker-2", kind=RunKind.CHANGES)

    assert (
        f"run {run.run_no} (LOAD) of 38.ORION to CANONICAL, open since {run.opened_at:%F %T}" in refused.value.message
    )
    assert refused.value.facts["run_no"] == run.run_no


def test_the_other_direction_has_its_own_run(store):
    opened(store)
    with store.transaction("banyan_reverse") as connection:
        reverse = Ledger(connection).open_run(RunRequest(ORION, Side.LEGACY, RunKind.REVERSE, "worker-2"))

    assert (reverse.state, reverse.to_side) == (RunState.OPEN, Side.LEGACY)


def test_a_run_of_a_silent_owner_is_taken_over_and_the_first_owner_has_lost_it(store):
    run = opened(store, lease_seconds=0)

    with store.transaction("banyan_forward") as connection:
        taken_over = Ledger(connection).open_run(request("worker-2"))

    assert (taken_over.run_no, taken_over.owner, taken_over.attempt) == (run.run_no, "worker-2", 2)
    for deed in (
        lambda ledger: ledger.renew_run(run),
        lambda ledger: ledger.close_run(run, RunState.DONE),
        lambda ledger: ledger.write_chunks(run, [ChunkPlan("t_proc", ("1",))]),
    ):
        with pytest.raises(LeaseLost), store.transaction("banyan_forward") as connection:
            deed(Ledger(connection))


def test_an_unfinished_run_of_another_kind_is_not_replaced(store):
    opened(store, lease_seconds=0)

    with pytest.raises(UsageError, match="left unfinished"):
        opened(store, kind=RunKind.CHANGES)


def test_of_two_workers_that_open_a_run_at_once_one_is_told_to_wait(store):
    outcome = []

    def work(owner):
        try:
            outcome.append(opened(store, owner=owner).owner)
        except LeaseLost:
            outcome.append("refused")

    threads = [threading.Thread(target=work, args=(f"worker-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcome)[:3] == ["refused"] * 3
    assert len(outcome) == 4


def test_chunks_are_leased_in_order_each_to_one_worker(store):
    run = opened(store, ChunkPlan("t_proc", KeyRange(None, "10")), ChunkPlan("t_fait", ("1", "2")))

    first, second, none = taken(store, run), taken(store, run, "worker-2"), taken(store, run)

    assert (first.chunk_no, first.keys, first.owner) == (1, KeyRange(None, "10"), "worker-1")
    assert (second.chunk_no, second.keys, second.owner) == (2, ("1", "2"), "worker-2")
    assert none is None


def test_a_chunk_somebody_is_taking_is_skipped_and_not_waited_for(store):
    run = opened(store, ChunkPlan("t_proc", ("1",)), ChunkPlan("t_proc", ("2",)))
    with store.transaction("banyan_forward") as slow:
        held = Ledger(slow).take_chunk(run.run_no, "slow")
        fast = taken(store, run, "fast")

    assert (held.chunk_no, fast.chunk_no) == (1, 2)


def test_a_late_orphan_cannot_commit_its_chunk(store):
    run = opened(store, ChunkPlan("t_proc", ("1",)))
    orphan = taken(store, run, lease_seconds=0)
    heir = taken(store, run, "worker-2")

    with pytest.raises(LeaseLost) as late, store.transaction("banyan_forward") as connection:
        connection.execute(sa.text("insert into mig.figure values (:run, 't_proc', 'orphan', 1)"), {"run": run.run_no})
        Ledger(connection).finish_chunk(orphan, BALANCED)
    with store.transaction("banyan_forward") as connection:
        Ledger(connection).finish_chunk(heir, BALANCED)

    assert late.value.facts["attempt"] == 1
    with store.transaction("banyan_auditor") as connection:
        assert LedgerReader(connection).read_figures(run.run_no) == {}
        assert LedgerReader(connection).read_totals(run.run_no) == {"t_proc": BALANCED}


def test_a_worker_of_a_cancelled_run_commits_nothing_more(store):
    run = opened(store, ChunkPlan("t_proc", ("1",)))
    lease = taken(store, run)
    with store.transaction("banyan_forward") as connection:
        Ledger(connection).cancel_run(run.run_no, reason="source in maintenance")

    with pytest.raises(LeaseLost), store.transaction("banyan_forward") as connection:
        Ledger(connection).finish_chunk(lease, BALANCED)
    assert taken(store, run) is None


@pytest.mark.parametrize(
    "counts",
    [ChunkCounts(RowCounts(read=3, loaded=2)), ChunkCounts(RowCounts(), PartCounts(emitted=2, inserted=1))],
)
def test_a_chunk_whose_rows_or_parts_do_not_add_up_is_refused(store, counts):
    run = opened(store, ChunkPlan("t_proc", ("1",)))
    lease = taken(store, run)

    with pytest.raises(ConservationBroken), store.transaction("banyan_forward") as connection:
        Ledger(connection).finish_chunk(lease, counts)


def test_a_run_is_done_only_with_all_its_chunks_and_leaves_its_figures(store):
    run = opened(store, ChunkPlan("t_proc", ("1",)), ChunkPlan("t_proc", ("2",)))
    first, second = taken(store, run), taken(store, run)
    with store.transaction("banyan_forward") as connection:
        Ledger(connection).finish_chunk(first, BALANCED)
    with pytest.raises(LeaseLost, match="not done: 1"), store.transaction("banyan_forward") as connection:
        Ledger(connection).close_run(run, RunState.DONE)
    with store.transaction("banyan_forward") as connection:
        Ledger(connection).finish_chunk(second, BALANCED, parcel="38/t_proc/2")
        Ledger(connection).close_run(run, RunState.DONE)

    with store.transaction("banyan_auditor") as connection:
        ledger = LedgerReader(connection)
        assert ledger.read_run(run.run_no).state is RunState.DONE
        assert ledger.read_progress(run.run_no) == RunProgress(done=2, planned=2, rows=6)
        assert ledger.read_figures(run.run_no)["t_proc"]["parts.inserted"] == 8
        assert ledger.find_open_run(ORION, Side.CANONICAL) is None
    equation = "select read, loaded, unchanged, deleted, filtered, quarantined, in_flight from mig.conservation"
    assert store.run(equation, role="banyan_auditor") == [(6, 4, 0, 0, 2, 0, 0)]


def test_a_watermark_moves_only_from_where_the_run_found_it(store):
    run = opened(store)
    one, two = Position("one"), Position("two")
    with store.transaction("banyan_forward") as connection:
        Ledger(connection).write_watermark(run, one, expected=None)
        Ledger(connection).write_watermark(run, two, expected=one)

    for expected in (None, one):
        with pytest.raises(LeaseLost), store.transaction("banyan_forward") as connection:
            Ledger(connection).write_watermark(run, Position("three"), expected=expected)
    with store.transaction("banyan_reverse") as connection:
        assert LedgerReader(connection).find_watermark(ORION, Side.CANONICAL) == two
        assert LedgerReader(connection).find_watermark(ORION, Side.LEGACY) is None
