"""After kill -9 of a first copy, the next command goes on: the chunk that was killed is read again, and no other.

How long that takes is printed (`pytest -s`), and bounded from far above: it is the start of a process, beside other
tests. What is exact is what a new command asks before it reads: so many questions, and no plan.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from captured import make_captured
from projects import known_actor

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import prepare
from sync.lane import Step
from sync.movement import actor_of, first_copy
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

CHILD = Path(__file__).parent / "dying_load.py"
MOST_QUESTIONS = 220
"""What a command asks both servers from its start to its first chunk, of 40 tables in 5 closures, with some room."""
MOST_SECONDS = 60
_CHUNKS = "select table_name, coalesce(low_key, ''), attempt from mig.chunk where state = 'DONE' order by chunk_no"
_LEASED = "select table_name, attempt from mig.chunk where state = 'LEASED'"
_PLAN = "select chunk_no, table_name, low_key, high_key from mig.chunk order by chunk_no"


class Reached(Exception):
    """The chunk that is looked for was leased."""


def killed(project) -> None:
    """Begin the first copy and kill it while it carries its second chunk."""
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, SourceRef("38", "ORION")).close()
    died = subprocess.run([sys.executable, str(CHILD), str(project.folder), "mapped"], timeout=300, check=False)
    assert died.returncode == -signal.SIGKILL


@pytest.fixture
def questions():
    """What is asked of any server meanwhile."""
    asked: list[str] = []

    def note(connection, cursor, statement, *_) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_a_new_command_goes_on_with_the_plan_there_is_after_few_questions(cluster, tmp_path, known_actor, questions):
    project = make_captured(cluster, tmp_path / "project", "journal")
    killed(project)
    plan, finished = project.ask(project.store, _PLAN), project.ask(project.store, _CHUNKS)
    leased = []

    def stop(step: Step) -> None:
        if step is Step.LEASED:
            leased.extend(project.ask(project.store, _LEASED))
            raise Reached

    questions.clear()
    with opened(load_project(project.folder)) as workspace:
        rig = prepare(workspace, SourceRef("38", "ORION"))
        with pytest.raises(Reached):
            first_copy(rig, actor_of(workspace), checkpoint=stop)
        rig.close()
    asked = len(questions)

    print(f"questions before the next chunk: {asked}")
    assert [attempt for _, attempt in leased] == [2]  # at once: nobody waits for the lease of a process that is dead
    assert project.ask(project.store, _PLAN) == plan
    assert project.ask(project.store, _CHUNKS) == finished
    assert asked <= MOST_QUESTIONS


@pytest.mark.torture
def test_the_next_command_reads_nothing_again_but_the_chunk_that_was_killed(cluster, tmp_path, known_actor):
    project = make_captured(cluster, tmp_path / "project", "log")
    killed(project)
    finished, plan = project.ask(project.store, _CHUNKS), project.ask(project.store, _PLAN)
    parcels = project.ask(project.store, "select count(*) from mig.chunk where parcel is not null")

    began = time.monotonic()
    resumed = project.start("load", "38", "--json")
    while len(project.ask(project.store, _CHUNKS)) == len(finished):
        assert resumed.poll() is None and time.monotonic() - began < 300
        time.sleep(0.02)
    seconds = time.monotonic() - began
    _, told = resumed.communicate(timeout=300)

    print(f"from kill -9 to the next chunk committed by a new command: {seconds:.2f} s")
    done = project.ask(project.store, _CHUNKS)
    assert resumed.returncode == 0, told
    assert finished and parcels[0][0] >= len(finished)
    assert done[: len(finished)] == finished  # none of them was leased a second time
    assert [attempt for _, _, attempt in done[len(finished) :]].count(2) == 1
    assert {attempt for _, _, attempt in done} == {1, 2}
    assert project.ask(project.store, _PLAN) == plan
    assert seconds < MOST_SECONDS
    assert project.differences() == {}
