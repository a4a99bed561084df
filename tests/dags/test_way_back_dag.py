"""`sync_38` after a switch: people work in the new system, and Airflow carries what they did back to the old one."""

import signal
from uuid import uuid4

import pytest
from projects import known_actor
from switches import ControllerProcess, build_switch_world, order

from banyan.departments import Phase, Side
from banyan.errors import LeaseLost, SourceDrifted
from cutover.gauge import LATE
from cutover.switching import switch
from dags import tasks
from dags.settings import PROJECT_VARIABLE
from store.runs import RunKind
from store.slices import SliceRow
from sync.engine import SyncEngine
from sync.incremental import Permission, judge_way_back, may_carry_back
from sync.lane import Step

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
__all__ = ["known_actor"]

IDLE_FORWARD = {"gate": ["success"], "plan": ["success"], "carry": ["skipped"], "finish": ["skipped"]}
NO_FORWARD = {"gate": ["success"], "plan": ["skipped"], "carry": ["skipped"], "finish": ["skipped"]}
WALKED = {"gate_back": ["success"], "carry_back": ["success"]}
LEFT_ALONE = {"gate_back": ["success"], "carry_back": ["skipped"]}
PERSONS = "select id_pers, profession, nom, xmin::text from orion.t_personne order by 1"
PHASE = "update mig.slice set phase = :phase where closure = :closure"
OTHERS = "update mig.slice set phase = :phase, owner = :owner, epoch = epoch + 1 where closure <> :closure"


@pytest.fixture(scope="module")
def switched(cluster, airflow, tmp_path_factory):
    """A department of which cases and vehicles were switched, and the environment in which Airflow knows it."""
    made = build_switch_world(cluster, tmp_path_factory.mktemp("live") / "project")
    made.sign()
    switch(made.rig, made.closure, order())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROJECT_VARIABLE, str(made.project.folder))
        yield made
    made.close()


@pytest.fixture
def live(switched, airflow):
    """The same, with all that people did carried back before and after a test, and nothing left in Airflow."""
    assert waiting(switched) == 0
    _forget_all(airflow)
    yield switched
    _forget_all(airflow)
    tasks.carry_back("38", "ORION")


def _forget_all(airflow) -> None:
    """Leave Airflow empty: tests ask for all that was ever exchanged."""
    airflow.lose()
    airflow.create()


def waiting(world) -> int:
    return world.rig.reverse(world.name).queue()


def take_up(world, trade: str, count: int = 5) -> None:
    """Let people of the new system write a trade into the records of some persons."""
    known = world.ask_store(
        "select p.id from justice.person_identity p join mig.crosswalk c using (id) join mig.source_table s using"
        " (source_table_no) where s.table_name = 't_personne' and c.deleted_at is null order by 1 limit :count",
        count=count,
    )
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        for (person,) in known:
            query = "update justice.person_identity set occupation_text = %s where id = %s"
            connection.exec_driver_sql(query, (trade, person))


def practising(world, trade: str) -> int:
    """Count the persons of whom the old system says this trade."""
    return world.ask_legacy("select count(*) from orion.t_personne where trim(profession) = :trade", trade=trade)[0][0]


def runs_back(world) -> list[tuple]:
    return world.ask_store("select run_no, state from mig.run where to_side = 'LEGACY' order by 1")


def counts_of(airflow) -> list[dict]:
    """Give what `carry_back` left in Airflow: the counts of each run."""
    return [one for left in airflow.exchanged() if isinstance(left, list) for one in left]


@pytest.mark.server
@pytest.mark.airflow
def test_what_people_did_after_a_switch_is_carried_back_once_and_leaves_counts(airflow, live):
    work = live.application(60)
    waited = waiting(live)

    first = airflow.run("sync_38")
    counts, text, rows = counts_of(airflow), airflow.everything(), live.ask_legacy(PERSONS)
    second = airflow.run("sync_38")

    assert work.edits >= 60 and waited > 30
    assert (first.state, second.state) == ("success", "success")
    assert airflow.states(first) == airflow.states(second) == IDLE_FORWARD | WALKED
    assert waiting(live) == 0
    assert live.is_equal() == ("PASS", 0)
    assert live.lost_or_doubled() == (0, 0, 0)
    assert len(runs_back(live)) == len(counts) == 1
    ((run_no, state),) = runs_back(live)
    assert (counts[0]["run_no"], state) == (run_no, "DONE")
    assert {type(count) for count in counts[0].values()} == {int}
    assert counts[0]["read"] == counts[0]["loaded"] + counts[0]["unchanged"] + counts[0]["deleted"] > 20
    assert counts_of(airflow) == counts  # the second run carried nothing
    assert live.ask_legacy(PERSONS) == rows  # nor wrote any row again
    names = live.ask_store("select distinct surname from justice.person_identity where length(surname) > 4")
    assert names and not [name for (name,) in names if name in text]


@pytest.mark.server
@pytest.mark.airflow
def test_a_department_that_is_wholly_on_the_new_side_has_its_way_back_walked(airflow, live):
    live.ask_store(OTHERS, phase="LIVE", owner="CANONICAL", closure=live.name)
    take_up(live, "NOTAIRE")

    run = airflow.run("sync_38")

    live.ask_store(OTHERS, phase="SYNCING", owner="LEGACY", closure=live.name)
    assert run.state == "success"
    assert airflow.states(run) == NO_FORWARD | WALKED
    assert (waiting(live), practising(live, "NOTAIRE")) == (0, 5)


@pytest.mark.server
@pytest.mark.airflow
@pytest.mark.parametrize("phase", ["R_DRAINING", "HALT"])
def test_a_slice_that_is_rolled_back_or_stopped_is_left_alone(airflow, live, phase):
    take_up(live, f"FORGERON {phase}")
    runs = runs_back(live)
    live.ask_store(PHASE, phase=phase, closure=live.name)

    run = airflow.run("sync_38")
    permission = may_carry_back(live.rig.workspace, live.rig.source)

    live.ask_store(PHASE, phase="LIVE", closure=live.name)
    assert run.state == "success"
    assert airflow.states(run) == NO_FORWARD | LEFT_ALONE
    assert not permission.is_granted and f"{live.name} is {phase}" in permission.reason
    assert (runs_back(live), waiting(live)) == (runs, 5)
    assert practising(live, f"FORGERON {phase}") == 0


@pytest.mark.server
@pytest.mark.airflow
def test_while_another_slice_is_switched_the_way_back_is_walked_and_nothing_is_followed(airflow, live):
    take_up(live, "TONNELIER")
    live.ask_store(PHASE, phase="DRAINING", closure="38.reference")

    run = airflow.run("sync_38")

    live.ask_store(PHASE, phase="SYNCING", closure="38.reference")
    assert airflow.states(run) == NO_FORWARD | WALKED
    assert (waiting(live), practising(live, "TONNELIER")) == (0, 5)


@pytest.mark.server
@pytest.mark.airflow
def test_a_refusal_is_told_by_the_task_as_sync_run_tells_it_and_nothing_is_written(airflow, live, capfd):
    take_up(live, "SELLIER")
    live.ask_legacy("alter table orion.t_objet rename column descr to descr_2")
    failures, runs = [], runs_back(live)

    run = airflow.run("sync_38", failures, of="ORION.carry_back")
    capfd.readouterr()
    code = live.project.banyan("sync", "run", "38")
    said = " ".join(capfd.readouterr().err.split())

    live.ask_legacy("alter table orion.t_objet rename column descr_2 to descr")
    assert run.state == "failed"
    assert [type(failure) for failure in failures] == [SourceDrifted]
    assert code == failures[0].exit_code == 3
    assert "t_objet" in failures[0].message and failures[0].message in said
    assert airflow.tries(run, "ORION.carry_back") == [1]  # a person must look: not tried again
    assert (runs_back(live), waiting(live), practising(live, "SELLIER")) == (runs, 5, 0)


@pytest.mark.server
@pytest.mark.airflow
def test_a_way_back_killed_behind_its_commit_is_ended_by_the_next_run_and_writes_nothing_twice(airflow, live):
    take_up(live, "VERRIER")
    died = ControllerProcess(live, "reverse", Step.COMMITTED.value).wait()
    rows, left = live.ask_legacy(PERSONS), runs_back(live)[-1]

    run = airflow.run("sync_38")

    assert died == -signal.SIGKILL
    assert left[1] == "OPEN" and practising(live, "VERRIER") == 5
    assert airflow.states(run) == IDLE_FORWARD | WALKED
    assert [(one["run_no"], one["read"]) for one in counts_of(airflow)] == [(left[0], 5)]
    assert runs_back(live)[-1] == (left[0], "DONE")
    assert live.ask_legacy(PERSONS) == rows


@pytest.mark.server
def test_task_and_sync_run_hold_the_same_lease(live):
    take_up(live, "MEUNIER")
    lane = live.rig.reverse(live.name)
    elsewhere = SyncEngine(live.rig.workspace.engine("banyan_reverse"), owner="another-machine:1:1")
    held = elsewhere.open_changes(lane, RunKind.REVERSE)

    with pytest.raises(LeaseLost, match=r"is held by another-machine:1:1; nothing was started"):
        tasks.carry_back("38", "ORION")
    code = live.project.banyan("sync", "run", "38", "--json")
    waited = waiting(live)
    live.ask_store("update mig.run set lease_until = now() - interval '1 second' where state = 'OPEN'")
    (told,) = tasks.carry_back("38", "ORION")

    assert (code, waited) == (LeaseLost.exit_code, 5)
    assert (told["run_no"], told["read"], practising(live, "MEUNIER")) == (held.run_no, 5, 5)


@pytest.mark.server
def test_the_way_back_waits_for_no_pause_of_reading_even_where_new_codes_stop(live):
    take_up(live, "BATELIER")
    live.project.write("        schema: orion\n", "        schema: orion\n        drift: {new_codes: stop}\n")
    assert live.project.banyan("sync", "pause", "38") == 0

    told = tasks.carry_back("38", "ORION")

    assert live.project.banyan("sync", "resume", "38") == 0
    live.project.write("        drift: {new_codes: stop}\n", "")
    assert [one["read"] for one in told] == [5]
    assert practising(live, "BATELIER") == 5


@pytest.mark.server
def test_a_way_back_that_was_given_up_is_left_alone_by_sync_run_and_leaves_no_run_open(live):
    take_up(live, "CHAPELIER")
    runs, evidence = runs_back(live), live.sign(profile="complete")
    live.ask_store("update mig.slice set evidence_id = :evidence where closure = :closure", evidence=evidence,
                   closure=live.name)  # fmt: skip
    live.ask_store(PHASE, phase="COMPLETING", closure=live.name)

    code = live.project.banyan("sync", "run", "38", "--json")

    live.ask_store(PHASE, phase="LIVE", closure=live.name)
    assert (code, runs_back(live), practising(live, "CHAPELIER")) == (0, runs, 0)


@pytest.mark.airflow
def test_the_clock_comes_by_before_a_way_back_counts_as_dead(airflow_folder):
    from dags.factory import SYNC_EVERY

    assert SYNC_EVERY * 1.5 <= LATE


def slice_of(domain: str, phase: Phase, *, is_armed: bool = True) -> SliceRow:
    owner = phase.owner or Side.CANONICAL
    return SliceRow("38", domain, f"38.{domain}", owner, phase, 3, is_armed, uuid4(), None, None, None)


@pytest.mark.parametrize(
    ("phases", "is_granted", "reason"),
    [
        ((Phase.LIVE, Phase.SYNCING), True, "38.a is LIVE"),
        ((Phase.LIVE, Phase.LIVE), True, "38.a is LIVE, 38.b is LIVE"),
        ((Phase.LIVE, Phase.SEALING), True, "38.a is LIVE"),
        ((Phase.LIVE, Phase.HALT), True, "38.a is LIVE"),
        ((Phase.LIVE, Phase.R_DRAINING), False, "38.b is R_DRAINING"),
        ((Phase.R_OPENING, Phase.LIVE), False, "38.a is R_OPENING"),
        ((Phase.SYNCING, Phase.READY), False, "nothing to carry back: 38.a is SYNCING, 38.b is READY"),
        ((Phase.COMPLETING, Phase.RETIRED), False, "nothing to carry back: 38.a is COMPLETING, 38.b is RETIRED"),
        ((), False, "nothing to carry back: no slice is registered"),
    ],
)
def test_the_gate_of_the_way_back_lets_through_what_lives_unless_something_is_rolled_back(phases, is_granted, reason):
    slices = [slice_of(domain, phase) for domain, phase in zip("ab", phases, strict=False)]

    assert judge_way_back(slices) == Permission(is_granted=is_granted, reason=reason)


def test_the_gate_of_the_way_back_waits_for_the_guard_after_a_restart_of_the_store():
    permission = judge_way_back([slice_of("a", Phase.LIVE, is_armed=False)])

    assert permission == Permission(
        is_granted=False, reason="the store has restarted and 38.a is not armed yet: banyan guard"
    )
