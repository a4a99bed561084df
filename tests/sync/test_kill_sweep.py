"""A sweep that is killed before and after each kind of transaction it commits: the next one makes both sides equal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from captured import make_captured
from projects import ENVIRONMENT, known_actor
from test_sweeps import WHY, drop_slots, lose, write

pytestmark = pytest.mark.server
__all__ = ["known_actor"]
CHILD = Path(__file__).parent / "dying_sweep.py"


@pytest.fixture(params=["journal", pytest.param("log", marks=pytest.mark.torture)])
def project(request, cluster, tmp_path):
    """An ORION that is loaded and followed."""
    made = make_captured(cluster, tmp_path / "project", request.param)
    assert made.banyan("load", "38", "--json") == 0
    yield made
    if request.param == "log":
        drop_slots(made)


def sweep(project, kind=(), when="before"):
    """Sweep in a process of its own, which dies at its first transaction of this kind; gives what it said."""
    order = ["-C", str(project.folder), "sync", "sweep", "38", "--reason", WHY, "--json"]
    return subprocess.run(
        [sys.executable, str(CHILD), json.dumps(kind), when, *order], capture_output=True, text=True, timeout=300,
        env={**os.environ, **ENVIRONMENT}, check=False,
    )  # fmt: skip


def change(project, word):
    """Let officers work, and write the same word into all things there are."""
    write(project, word)
    project.ask(project.legacy, "update orion.t_objet set descr = :word", word=word)


def unbalanced(project):
    """List the runs and tables of which the rows read are not the rows with a fate, or parts the parts placed."""
    return project.ask(
        project.store,
        "select run_no, table_name from mig.conservation where state = 'DONE' and (read <> loaded + unchanged + deleted"
        " + filtered + quarantined + in_flight or parts_emitted <> parts_inserted + parts_updated + parts_unchanged"
        " + parts_merged or parts_split <> parts_emitted - loaded - unchanged)",
    )


def position(project):
    return project.ask(project.store, "select position from mig.watermark where to_side = 'CANONICAL'")


def assert_swept(project, word):
    assert project.differences() == {}
    assert unbalanced(project) == []
    assert project.ask(project.store, "select state, count(*) from mig.run where state <> 'DONE' group by 1") == []
    assert project.ask(project.store, "select count(*) from mig.capture_gap") == [(0,)]
    said = "select count(*) from justice.item where description = :word"
    assert project.ask(project.store, said, word=word)[0][0] > 20
    doubled = "select source_table_no, source_key from mig.crosswalk where deleted_at is null group by 1, 2 having"
    assert project.ask(project.store, f"{doubled} count(*) > 1") == []
    assert project.banyan("sync", "run", "38", "--json") == 0


def die_and_sweep(project, kind, when):
    """Lose the history, kill a sweep at its first transaction of a kind, and sweep again."""
    word = f"UNSEEN {when} {kind[0]}"
    lose(project)
    change(project, word)
    before = position(project)
    died = sweep(project, kind, when)
    assert died.returncode == -signal.SIGKILL, (kind, when, died.stderr[-500:])
    if position(project) == before:  # else all rows were read before it moved
        codes = [project.banyan("sync", "run", "38", "--json") for _ in range(2)]
        assert (codes, position(project)) == ([3, 3], before)  # nothing is followed from a lost Position

    assert project.banyan("sync", "sweep", "38", "--reason", WHY, "--json") == 0, (kind, when)
    assert_swept(project, word)


@pytest.mark.parametrize("deaths", ["opened, and moved", pytest.param("all", marks=pytest.mark.torture)])
def test_a_sweep_killed_at_any_of_its_transactions_is_made_whole_by_the_next_one(project, deaths):
    lose(project)
    change(project, "UNSEEN")
    whole = json.loads(sweep(project).stderr.splitlines()[-1])
    assert whole["code"] == 0
    assert_swept(project, "UNSEEN")
    kinds = [list(kind) for kind in dict.fromkeys(map(tuple, whole["commits"]))]
    moving = [kind for kind in kinds if "update mig.watermark" in kind]
    carrying = [kind for kind in kinds if "insert mig.run" in kind]
    assert moving and carrying and len(kinds) > 8

    chosen = kinds if deaths == "all" else [*moving, *carrying]
    for kind in chosen:
        for when in ("before", "after"):
            die_and_sweep(project, kind, when)
    print(
        f"{2 * len(chosen)} deaths at {len(chosen)} of {len(kinds)} kinds of transactions, of {len(whole['commits'])}"
    )
