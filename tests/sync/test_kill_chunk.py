"""A load that is killed at every named step of a chunk, one after the other, and finished by the ordinary command."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from projects import fresh_project, known_actor

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import prepare
from sync.lane import STEPS, Step
from sync.workspace import opened

__all__ = ["fresh_project", "known_actor"]
pytestmark = pytest.mark.server

CHILD = Path(__file__).parent / "dying_load.py"


def die_at(project, step: Step) -> int:
    done = subprocess.run(
        [sys.executable, str(CHILD), str(project.folder), step.value], capture_output=True, timeout=60, check=False
    )
    return done.returncode


def count_chunks(project, state: str) -> int:
    return project.ask(project.store, "select count(*) from mig.chunk where state = :state", state=state)[0][0]


def test_a_load_killed_at_every_step_loads_each_row_once_and_adds_up(fresh_project, capfd):
    project = fresh_project
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, SourceRef("38", "ORION"))

    for number, step in enumerate(STEPS, 1):
        assert die_at(project, step) == -signal.SIGKILL
        # the one before the step and, once committed, the one of the step itself; nothing of any other
        assert count_chunks(project, "DONE") == number + (step is Step.COMMITTED)
        assert count_chunks(project, "LEASED") == (step is not Step.COMMITTED)
    capfd.readouterr()
    assert project.banyan("load", "38", "--json") == 0

    (run,) = json.loads(capfd.readouterr().out)["runs"]
    assert run["is_balanced"]
    for table, counts in run["tables"].items():
        assert project.ask(project.legacy, f"select count(*) from orion.{table}") == [(counts["rows"]["read"],)]
    rows, parts = run["total"]["rows"], run["total"]["parts"]
    assert rows["unchanged"] == 0
    assert (parts["updated"], parts["unchanged"]) == (0, 0)
    assert project.ask(project.store, "select count(*) from mig.crosswalk") == [(rows["loaded"],)]
    assert sum_of_records(project) == parts["inserted"]
    assert project.ask(project.store, "select state, attempt from mig.run") == [("DONE", len(STEPS) + 1)]
    killed = project.ask(project.store, "select count(*) from mig.chunk where attempt = 2")
    assert killed == [(len(STEPS) - 1,)]
    assert project.ask(project.store, "select max(attempt) from mig.chunk") == [(2,)]


def sum_of_records(project) -> int:
    tables = project.ask(
        project.store,
        "select relname from pg_class join pg_namespace n on n.oid = relnamespace"
        " where nspname = 'justice' and relkind = 'p'",
    )
    return sum(project.ask(project.store, f"select count(*) from justice.{name}")[0][0] for (name,) in tables)
