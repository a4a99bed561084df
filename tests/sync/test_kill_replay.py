"""Replays that are killed at every named step, one after the other, and finished by the ordinary commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import known_actor, make_project

from sync.lane import STEPS

pytestmark = [pytest.mark.server, pytest.mark.torture]
__all__ = ["known_actor"]
WAITING = "select count(*) from mig.quarantine where state = 'OPEN' and column_name = 'cat_obj'"
ITEMS = (
    "select md5(string_agg(i::text, '|' order by id))"
    " from (select id, item_category_code, description from justice.item) i"
)


@pytest.fixture(scope="module")
def project(cluster, tmp_path_factory, known_actor):
    made = make_project(cluster, tmp_path_factory.mktemp("kill") / "project")
    made.ask(made.legacy, "update orion.t_objet set cat_obj = 'DRONE' where id_objet % 3 = 0 and top_supp <> 'O'")
    assert made.banyan("load", "38") == 0
    return made


def die(project, what, step):
    """Run a replay in a process that kills itself at a step."""
    script = str(Path(__file__).parent / "dying_replay.py")
    done = subprocess.run(
        [sys.executable, script, str(project.folder), what, step], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr


def run_of(project):
    return project.ask(project.store, "select run_no, state from mig.run order by run_no desc limit 1")[0]


def test_a_replay_from_parcels_dies_at_each_step_and_is_resumed_by_the_same_command(project):
    before, first = project.ask(project.store, ITEMS), run_of(project)[0]

    for step in STEPS:
        die(project, "parcels", step.value)
    assert run_of(project) == (first + 1, "OPEN")  # one run, resumed by each of them
    assert project.banyan("sync", "replay", "38", "--table", "t_objet") == 0

    assert run_of(project)[1] == "DONE"
    assert project.ask(project.store, ITEMS) == before
    assert project.ask(project.store, "select count(*) from mig.run where state = 'OPEN'") == [(0,)]
    assert project.banyan("recon", "run", "38.cases") == 0


def test_decided_entries_are_replayed_once_whatever_dies_in_between(project, capsys):
    (waiting,) = project.ask(project.store, WAITING)[0]
    capsys.readouterr()
    assert project.banyan("quarantine", "top", "38", "--json") == 0
    causes = json.loads(capsys.readouterr().out)["causes"]
    cause = next(one for one in causes if one["column"] == "cat_obj")
    arguments = ("--code", "DRONE=OTHER", "--reason", "test", "--apply")
    assert project.banyan("quarantine", "repair", "38", cause["list"], *arguments) == 0
    left = waiting - sum(row[0] for row in project.ask(project.store, f"{WAITING} and decision is not null"))

    for step in ("read", "landed", "mapped", "written"):
        die(project, "decided", step)
        assert project.ask(project.store, WAITING)[0][0] == waiting  # nothing of a chunk before it commits
    die(project, "decided", "committed")
    assert project.ask(project.store, WAITING)[0][0] == left
    assert project.banyan("sync", "run", "38") == 0  # finishes what was left open

    assert project.banyan("quarantine", "replay", "38") == 0
    assert "no decided entry waits" in capsys.readouterr().out
    categories = project.ask(project.store, "select count(*) from justice.item where item_category_code = 'OTHER'")
    assert categories[0][0] >= waiting - left > 0
    assert project.banyan("recon", "run", "38.cases") == 0
