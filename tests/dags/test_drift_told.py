"""Drift that a run goes on with: in the log of the tasks that plan and finish it, and beside the counts it leaves."""

import logging

import pytest

from banyan.config import load_project
from banyan.departments import SourceRef
from dags import tasks
from sync.incremental import sync_once
from sync.workspace import opened

pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
NAMED = "widened: t_unite.lib_unite (quarantine)"


@pytest.fixture
def widened(under_way):
    """A department whose vendor made a column wider since it was agreed; people changed one table, with values."""
    with opened(load_project(under_way.folder)) as workspace:
        while sync_once(workspace, ORION, run_key=tasks.run_key(ORION), actor=tasks.CLOCK) is not None:
            pass
    ((size,),) = under_way.run_legacy(
        "select character_maximum_length from information_schema.columns where table_schema = 'orion'"
        " and table_name = 't_unite' and column_name = 'lib_unite'"
    )
    under_way.run_legacy("alter table orion.t_unite alter column lib_unite type varchar(400)")
    yield under_way
    under_way.run_legacy(f"alter table orion.t_unite alter column lib_unite type varchar({size})")


@pytest.fixture
def logged():
    """What the tasks log, also where a look at the DAGs in this process has silenced its loggers."""
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    before = tasks.log.level
    tasks.log.setLevel(logging.INFO)
    tasks.log.addHandler(handler)
    yield found
    tasks.log.removeHandler(handler)
    tasks.log.setLevel(before)


def test_the_tasks_name_the_drift_they_go_on_with_in_log_and_summary(widened, logged):
    touched = widened.people_edit("t_unite")
    texts = {text for (text,) in widened.run_legacy("select lib_unite from orion.t_unite")}

    chunks = tasks.plan("38", "ORION")
    of_plan = list(logged)
    logged.clear()
    while tasks.carry(chunks[0], "38", "ORION"):
        pass
    told = tasks.finish(chunks, "38", "ORION")
    of_finish = list(logged)
    again = tasks.finish(chunks, "38", "ORION")

    assert told["read"] == len(touched["t_unite"]) > 5
    assert told["drift"] == again["drift"] == [NAMED]
    for said in (of_plan, of_finish):
        assert len(said) == 1
        assert said[0].startswith(f"drift {NAMED}; ")
        assert "t_unite.yaml:" in said[0]
        assert not [text for text in texts if text in said[0]]


def test_a_plan_that_finds_nothing_to_carry_names_the_drift_too(widened, logged):
    assert tasks.plan("38", "ORION") == []
    assert [said.split(";")[0] for said in logged] == [f"drift {NAMED}"]


@pytest.mark.airflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_airflow_shows_the_drift_of_a_run_beside_its_counts(airflow, widened):
    widened.people_edit("t_unite")

    run = airflow.run("sync_38")
    exchanged = airflow.exchanged()
    airflow.lose()  # other tests ask for all that was ever exchanged
    airflow.create()

    assert run.state == "success"
    assert [value["drift"] for value in exchanged if isinstance(value, dict) and "drift" in value] == [[NAMED]]
