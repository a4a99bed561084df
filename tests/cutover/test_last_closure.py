"""When the last closure of an old system is completed, nothing of banyan's capture is left on its server."""

import pytest
from captured import ORION, make_captured
from projects import known_actor
from switches import NAME, SwitchWorld, TestWorkspace, order

from banyan.clock import now
from banyan.config import load_project
from banyan.departments import Actor, Phase
from cutover.completing import complete
from cutover.guard import guard_once
from cutover.switching import switch
from store.runs import RunKind
from sync.assembly import prepare

pytestmark = pytest.mark.server
__all__ = ["known_actor"]

LEAD, STEWARD = Actor("paul", "lead", "test"), Actor("claire", "steward", "test")
OTHERS = "update mig.slice set phase = 'RETIRED', owner = 'CANONICAL', epoch = epoch + 1 where closure <> :name"


@pytest.fixture(params=["log", pytest.param("journal", marks=pytest.mark.torture)])
def live(request, cluster, tmp_path):
    project = make_captured(cluster, tmp_path / "project", request.param)
    rig = prepare(TestWorkspace(load_project(project.folder)), ORION)
    world = SwitchWorld(project, rig)
    world.load()
    world.sign()
    switch(world.rig, world.closure, order())
    world.rig.reverse_engine().advance(world.rig.reverse(NAME), RunKind.REVERSE)
    yield world
    rig.close()
    rig.workspace.close()


def left(world):
    """Count what capture has on the legacy server: slots, publications, triggers and its own tables."""
    slot, schema = world.rig.port.slot, "banyan"
    (row,) = world.ask_legacy(
        "select (select count(*) from pg_replication_slots where slot_name = :slot),"
        " (select count(*) from pg_publication),"
        " (select count(*) from pg_trigger where tgname like 'zz\\_banyan%' and not tgisinternal),"
        " (select count(*) from pg_tables where schemaname = :schema and tablename in"
        " ('journal', 'captured', 'log_capture', 'incarnation'))",
        slot=slot, schema=schema,
    )  # fmt: skip
    return row


def test_with_the_last_closure_go_slot_publication_journal_and_triggers(live):
    before = left(live)
    live.sign(profile="complete")
    first = complete(live.rig, live.closure, actor=LEAD)
    alone = left(live)
    live.ask_store(OTHERS, name=NAME)
    done = complete(live.rig, live.closure, actor=STEWARD)

    assert sum(before) > 0 and alone == before
    assert (first.is_done, done.is_done, live.phase) == (False, True, Phase.RETIRED)
    assert left(live) == (0, 0, 0, 0)
    assert complete(live.rig, live.closure, actor=LEAD).is_done
    assert guard_once(live.rig, live.closure, now=now()).is_sure
    assert live.who_writes() == "CANONICAL"
