"""After kill -9 of a first copy, the next command goes on: the chunk that was killed is read again, and no other.

How long that takes is printed (`pytest -s`) and not asserted: it is the start of a process, beside other tests.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from captured import make_captured
from projects import known_actor

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import prepare
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = [pytest.mark.server, pytest.mark.torture]

CHILD = Path(__file__).parent / "dying_load.py"
_CHUNKS = "select table_name, coalesce(low_key, ''), attempt from mig.chunk where state = 'DONE' order by chunk_no"


def test_the_next_command_reads_nothing_again_but_the_chunk_that_was_killed(cluster, tmp_path, known_actor):
    project = make_captured(cluster, tmp_path / "project", "log")
    with opened(load_project(project.folder)) as workspace:
        prepare(workspace, SourceRef("38", "ORION")).close()
    died = subprocess.run([sys.executable, str(CHILD), str(project.folder), "mapped"], timeout=300, check=False)
    assert died.returncode == -signal.SIGKILL
    finished = project.ask(project.store, _CHUNKS)
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
    assert project.differences() == {}
