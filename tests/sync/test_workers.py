"""Several processes carry one run: the same records as one alone, whoever dies, and children follow their parents."""

import threading
import time

import psutil
import pytest
from projects import known_actor, make_project
from worlds import ORION

from banyan.departments import Side
from banyan.records import KeyRange
from store.ledger import Ledger
from store.postgres import transaction
from store.runs import ChunkPlan, RunKind, RunRequest
from sync.lane import Step

__all__ = ["known_actor"]

pytestmark = pytest.mark.server

WHOLE = KeyRange(None, None)
KEPT_OUT = (
    "select f.source_key from mig.filtered_row f join mig.source_table t using (source_table_no)"
    " where t.table_name = %s"
)
FOLLOWS = {"t_implic": ("id_implic", "t_proc", "id_proc"), "t_adresse": ("id_adr", "t_personne", "id_pers")}
"""Which rows follow which others: their key, the table they follow, by which column."""
STATE = (
    "select t.table_name, count(*), md5(string_agg(c.id::text || c.source_key, ',' order by c.id)) from mig.crosswalk c"
    " join mig.source_table t using (source_table_no) where c.deleted_at is null group by 1 order by 1",
    "select t.table_name, count(*), md5(string_agg(f.source_key, ',' order by f.source_key))"
    " from mig.filtered_row f join mig.source_table t using (source_table_no) group by 1 order by 1",
    "select t.table_name, count(*), md5(string_agg(q.source_key || q.cause, ',' order by q.source_key, q.column_name))"
    " from mig.quarantine q join mig.source_table t using (source_table_no) group by 1 order by 1",
    *(
        f"select count(*), md5(string_agg((to_jsonb(p) - 'created_at' - 'updated_at')::text, ',' order by p.id))"
        f" from justice.{table} p"
        for table in ("participation", "person_identity", "case_file", "location", "vehicle")
    ),
)


def wait_for(question):
    """Wait until a question is answered by yes."""
    until = time.monotonic() + 60
    while not question():
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.02)


def state(project):
    return [project.ask(project.store, query) for query in STATE]


@pytest.fixture(scope="module")
def alone(cluster, tmp_path_factory, known_actor):
    """What one process alone loads."""
    project = make_project(cluster, tmp_path_factory.mktemp("alone") / "project")
    assert project.banyan("load", "38", "--json") == 0
    return state(project)


@pytest.fixture
def project(cluster, tmp_path):
    return make_project(cluster, tmp_path / "project")


def workers_of(process):
    """The worker processes that a command has started."""
    return [one for one in psutil.Process(process.pid).children() if "sync.workers" in one.cmdline()]


def owners(project):
    """Who holds or has carried chunks; nobody before there is a ledger."""
    known = project.ask(project.store, "select to_regclass('mig.chunk') is not null")
    query = "select distinct owner from mig.chunk where owner is not null"
    return [owner for (owner,) in project.ask(project.store, query)] if known == [(True,)] else []


def test_three_processes_load_what_one_alone_loads(project, alone, capfd):
    assert project.banyan("load", "38", "--workers", "3", "--json") == 0
    assert state(project) == alone
    assert len(owners(project)) > 1


def test_a_load_goes_on_when_one_of_its_workers_is_killed(project, alone):
    load = project.start("load", "38", "--workers", "2", "--json")
    wait_for(lambda: load.poll() is None and workers_of(load))
    (worker,) = workers_of(load)
    wait_for(lambda: any(f":{worker.pid}:" in owner for owner in owners(project)) or load.poll() is not None)
    worker.kill()
    out, _ = load.communicate(timeout=120)
    assert load.returncode == 0
    assert '"is_balanced": true' in out
    assert state(project) == alone


@pytest.mark.torture
def test_workers_end_with_the_load_that_started_them_and_the_next_load_goes_on(project, alone, capfd):
    load = project.start("load", "38", "--workers", "2", "--json")
    wait_for(lambda: workers_of(load) and owners(project))
    (worker,) = workers_of(load)
    load.kill()
    load.communicate(timeout=60)
    worker.wait(10)

    assert project.banyan("load", "38", "--workers", "2", "--json") == 0
    assert state(project) == alone


@pytest.fixture(params=FOLLOWS)
def side_by_side(world, request):
    """A run of two chunks, parents and their children: the lane, the run, the table of the children, both leases."""
    children, (_, parents, _) = request.param, FOLLOWS[request.param]
    world.on_legacy(
        "update orion.t_personne set nom = 'TOTO'"
        " where id_pers = (select min(id_pers) from orion.t_adresse where top_supp = 'N')"
    )
    lane, engine = world.forward(), world.place.engine("banyan_forward")
    start = lane.head()
    with transaction(engine) as connection:
        ledger = Ledger(connection)
        request = RunRequest(ORION, Side.CANONICAL, RunKind.LOAD, "test", start, start, world.book.digest)
        run = ledger.open_run(request)
        ledger.write_chunks(run, [ChunkPlan(parents, WHOLE), ChunkPlan(children, WHOLE)])
        leases = ledger.take_chunk(run.run_no, "one"), ledger.take_chunk(run.run_no, "two")
    return lane, run, children, *leases


def loaded_children_of_kept_out(world, table):
    key, parents, column = FOLLOWS[table]
    kept_out = [one for (one,) in world.place.run(KEPT_OUT, (parents,))]
    assert kept_out
    children = world.on_legacy(
        f"select {key}::text from orion.{table} where {column}::text = any(%s)", (kept_out,), role="banyan_reader"
    )
    assert children
    return world.place.run(
        "select c.source_key from mig.crosswalk c join mig.source_table t using (source_table_no)"
        " where t.table_name = %s and c.deleted_at is null and c.source_key = any(%s)",
        (table, [one for (one,) in children]),
    )


def test_children_mapped_before_their_parents_were_kept_out_are_kept_out_with_them(world, side_by_side):
    lane, _, table, parents, children = side_by_side

    def meanwhile(step):
        if step is Step.MAPPED:
            world.forward().carry(parents)

    lane.carry(children, meanwhile)
    assert loaded_children_of_kept_out(world, table) == []


def test_parents_kept_out_while_their_children_were_written_take_them_along(world, side_by_side):
    lane, run, table, parents, children = side_by_side
    other = threading.Thread(target=lambda: world.forward().carry(parents))

    def meanwhile(step):
        if step is Step.WRITTEN:
            other.start()
            waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            wait_for(lambda: world.place.run(waiting) == [(1,)])

    lane.carry(children, meanwhile)
    other.join(60)
    assert loaded_children_of_kept_out(world, table) != []  # for a moment: their chunk is planned in the same run
    world.forward_engine(owner="test").carry_all(lane, run)
    assert loaded_children_of_kept_out(world, table) == []
