"""The four steps of a run as processes that die, come late, or are not alone."""

import socket
from uuid import uuid4

import pytest

from banyan.config import load_project
from banyan.departments import Actor, Phase, Side, SourceRef
from banyan.errors import ConservationBroken, LeaseLost, UsageError
from store.held import hold_run, release_held
from store.ledger import Ledger, LedgerReader
from store.postgres import transaction
from store.slices import SliceRow
from sync.incremental import (
    Permission,
    carry_chunk,
    finish_incremental,
    judge_slices,
    may_sync,
    plan_incremental,
    sync_once,
)
from sync.owners import this_owner
from sync.workspace import Workspace, opened

ORION = SourceRef("38", "ORION")
KEY = "airflow:38.ORION"
CLOCK = Actor("a clock", "service", "a test")
DEAD = f"{socket.gethostname()}:999999999:1"
ELSEWHERE = "another-machine:1:1"


@pytest.fixture
def workspace(under_way):
    with opened(load_project(under_way.folder)) as opened_workspace:
        yield opened_workspace
        under_way.run_store("update mig.run set lease_until = now() - interval '1 second' where state = 'OPEN'")
        under_way.run_store("update mig.chunk set lease_until = now() - interval '1 second' where state = 'LEASED'")
        sync_once(opened_workspace, ORION, run_key=KEY, actor=CLOCK)


def take_chunk(workspace: Workspace, run_no: int, owner: str) -> None:
    with transaction(workspace.engine("banyan_forward")) as connection:
        assert Ledger(connection).take_chunk(run_no, owner) is not None


@pytest.mark.server
def test_the_chunk_of_a_dead_process_is_carried_at_once_by_the_next(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    take_chunk(workspace, chunk.run_no, DEAD)

    carried = carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    again = carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)

    assert carried is not None
    assert (carried.rows.read, again) == (20, None)


@pytest.mark.server
def test_a_chunk_held_elsewhere_is_waited_for_and_the_run_is_not_finished_without_it(workspace, under_way):
    under_way.people_edit("t_proc")
    before = under_way.watermark()
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    take_chunk(workspace, chunk.run_no, ELSEWHERE)

    with pytest.raises(LeaseLost, match="1 chunks that another worker holds"):
        carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    with pytest.raises(LeaseLost, match="1 chunks that another worker holds"):
        finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)

    assert under_way.watermark() == before


@pytest.mark.server
def test_a_run_of_a_living_process_is_not_taken_over(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=this_owner(), actor=CLOCK)

    with pytest.raises(LeaseLost, match="is held by"):
        plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    with pytest.raises(LeaseLost, match="was taken over by"):
        carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    with pytest.raises(LeaseLost, match="was taken over by"):
        finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)


@pytest.mark.server
def test_finishing_twice_gives_the_same_result_and_moves_nothing(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)

    first = finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)
    moved = under_way.watermark()
    second = finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)

    assert first == second
    assert first.total.rows.read == 20
    assert under_way.watermark() == moved == first.until
    logged = under_way.run_store(f"select actor, operation from mig.processing_log where run_no = {chunk.run_no}")
    assert logged == [("a clock", "collection")]


@pytest.mark.server
def test_a_run_that_lost_only_its_last_step_is_finished_by_the_next_plan(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    before = under_way.watermark()

    planned = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)

    assert planned == []
    assert (chunk.run_no, "CHANGES", "DONE") in under_way.runs()
    assert under_way.watermark() != before


@pytest.mark.server
def test_a_cancelled_run_is_refused_for_good(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    with transaction(workspace.engine("banyan_forward")) as connection:
        Ledger(connection).cancel_run(chunk.run_no, reason="a person said so")

    with pytest.raises(UsageError, match="was closed as CANCELLED"):
        carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    with pytest.raises(UsageError, match="was closed as CANCELLED"):
        finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)


@pytest.mark.server
def test_a_run_that_stands_still_is_refused_with_what_was_found_wrong(workspace, under_way):
    under_way.people_edit("t_proc")
    (chunk,) = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    found = "the figures of PROC@1 are not those of its lists: 2 loaded, 1 in the list; nothing was written"
    with transaction(workspace.engine("banyan_forward")) as connection:
        hold_run(connection, LedgerReader(connection).read_run(chunk.run_no), found)

    with pytest.raises(ConservationBroken) as carried:
        carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    with pytest.raises(ConservationBroken) as finished:
        finish_incremental(workspace, ORION, run_no=chunk.run_no, run_key=KEY, actor=CLOCK)
    with transaction(workspace.engine("banyan_forward")) as connection:
        release_held(connection, chunk.run_no, reason="a person has looked")

    assert carried.value.message == finished.value.message == found
    assert (carried.value.exit_code, carried.value.transient) == (3, False)


@pytest.mark.server
def test_a_department_under_way_may_be_synchronised(workspace):
    names = ("cases+vehicles", "custody", "documents", "logbook", "reference")

    permission = may_sync(workspace, ORION)

    assert permission == Permission(is_granted=True, reason=", ".join(f"38.{name} is SYNCING" for name in names))


def slice_of(domain: str, phase: Phase, *, is_armed: bool = True) -> SliceRow:
    owner = phase.owner or Side.LEGACY
    return SliceRow("38", domain, f"38.{domain}", owner, phase, 3, is_armed, uuid4(), None, None, None)


@pytest.mark.parametrize(
    ("phases", "is_granted", "reason"),
    [
        ((Phase.SYNCING, Phase.READY), True, "38.a is SYNCING, 38.b is READY"),
        ((Phase.LIVE, Phase.SYNCING), True, "38.b is SYNCING"),
        ((Phase.REGISTERED, Phase.SYNCING), True, "38.b is SYNCING"),
        ((Phase.LIVE, Phase.LIVE), False, "nothing to follow: 38.a is LIVE, 38.b is LIVE"),
        ((Phase.REGISTERED, Phase.MAPPED), False, "nothing to follow: 38.a is REGISTERED, 38.b is MAPPED"),
        ((Phase.LOADING, Phase.SYNCING), False, "38.a is LOADING"),
        ((Phase.SYNCING, Phase.FENCING), False, "38.b is FENCING"),
        ((Phase.SYNCING, Phase.HALT), False, "38.b is HALT"),
        ((Phase.R_DRAINING, Phase.SYNCING), False, "38.a is R_DRAINING"),
        ((), False, "nothing to follow: no slice is registered"),
    ],
)
def test_the_gate_follows_what_legacy_owns_and_nothing_that_moves(phases, is_granted, reason):
    slices = [slice_of(domain, phase) for domain, phase in zip("ab", phases, strict=False)]

    assert judge_slices(slices) == Permission(is_granted=is_granted, reason=reason)


def test_the_gate_waits_for_the_guard_after_a_restart_of_the_store():
    permission = judge_slices([slice_of("a", Phase.SYNCING, is_armed=False)])

    assert permission == Permission(
        is_granted=False, reason="the store has restarted and 38.a is not armed yet: banyan guard"
    )


def test_chunks_that_grow_while_a_run_is_carried_are_carried_before_it_is_finished(workspace, under_way):
    (case,) = under_way.run_legacy(
        "select id_proc from orion.t_proc p where top_supp = 'N' and dt_ouv > 20100101 and num_proc not like '99999%'"
        " and exists (select from orion.t_fait f where f.id_proc = p.id_proc and top_supp = 'N') order by 1 limit 1"
    )[0]
    dates = under_way.run_legacy("select dt_ouv, dt_clo, dt_trans from orion.t_proc where id_proc = %s", (case,))[0]
    change = "update orion.t_proc set dt_ouv = %s, dt_clo = %s, dt_trans = %s where id_proc = %s"
    under_way.run_legacy(change, (19800101, 0, 0, case))

    planned = plan_incremental(workspace, ORION, run_key=KEY, actor=CLOCK)
    for chunk in planned:
        carry_chunk(workspace, ORION, run_no=chunk.run_no, run_key=KEY)
    result = finish_incremental(workspace, ORION, run_no=planned[0].run_no, run_key=KEY, actor=CLOCK)
    under_way.run_legacy(change, (*dates, case))
    sync_once(workspace, ORION, run_key=KEY, actor=CLOCK)

    assert [chunk.table for chunk in planned] == ["t_proc"]
    assert "t_fait" in result.totals
    assert result.totals["t_fait"].rows.filtered > 0
