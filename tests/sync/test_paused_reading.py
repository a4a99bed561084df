"""A paused source gets no table read: not by looks, drift, terms of retention, nor by whoever counts what waits."""

import json
import signal

import pytest
from captured import make_captured
from projects import known_actor

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import prepare
from sync.incremental import plan_incremental
from sync.workspace import opened

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
_READ = (
    "select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables"
    " where schemaname = 'orion' and coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) > 0"
)
_LOOKS = "select reached from mig.log_place"
_RUNS = "select count(*) from mig.run"


@pytest.fixture(scope="module")
def project(cluster, tmp_path_factory, known_actor):
    made = make_captured(cluster, tmp_path_factory.mktemp("waiting") / "project", "snapshot")
    with opened(load_project(made.folder)) as workspace:
        prepare(workspace, ORION).close()
    path = made.folder / "banyan.yaml"
    path.write_text(path.read_text().rstrip() + "\n        drift: {new_codes: stop}\n")
    return made


def rows_read(project) -> dict[str, int]:
    """Count the rows of each table that the server has read for anybody whose session has ended."""
    return dict(project.ask(project.legacy, _READ))


def told(project, *command) -> str:
    """Run a command as a process of its own, so that its sessions end and the server counts what it read."""
    started = project.start(*command)
    said, failed = started.communicate(timeout=500)
    assert started.returncode == 0, failed
    return said


def interrupted_while_waiting(project, *command) -> str:
    """Start a command, interrupt it when it says that it waits, and give what it waits for."""
    started = project.start(*command, "--json")
    event = json.loads(next(line for line in started.stderr if '"waiting": "' in line and '"event": "waiting"' in line))
    started.send_signal(signal.SIGINT)
    started.wait(120)
    return event["waiting"]


@pytest.mark.torture
def test_a_paused_source_gets_no_table_read_by_anybody(project):
    # before the first copy: terms of retention, codes and the first look wait
    assert project.banyan("sync", "pause", "38", "--json") == 0
    before = rows_read(project)
    waiting = interrupted_while_waiting(project, "load", "38")
    assert waiting.startswith("paused since")
    assert (rows_read(project), project.ask(project.store, _RUNS)) == (before, [(0,)])
    assert project.banyan("sync", "resume", "38", "--json") == 0
    policy = project.folder / "banyan.yaml"
    policy.write_text(policy.read_text().replace("{new_codes: stop}", "{new_codes: quarantine}"))
    told(project, "load", "38", "--json")
    assert rows_read(project)["t_objet"] > before.get("t_objet", 0)

    # afterwards: who counts what waits tells of the last look, and a run waits before it looks
    project.ask(
        project.legacy,
        "update orion.t_objet set descr = 'vue' where id_objet = (select min(id_objet) from orion.t_objet)",
    )
    policy.write_text(policy.read_text().replace("{new_codes: quarantine}", "{new_codes: stop}"))
    looks, runs, before = project.ask(project.store, _LOOKS), project.ask(project.store, _RUNS), rows_read(project)
    assert project.banyan("sync", "pause", "38", "--json") == 0
    (status,) = json.loads(told(project, "sync", "status", "--json"))
    figures = told(project, "metrics")
    waiting = interrupted_while_waiting(project, "sync", "run", "38")
    with opened(load_project(project.folder)) as workspace, pytest.raises(Exception, match="may not be read now: pau"):
        plan_incremental(workspace, ORION, run_key="a clock", actor=None)

    assert (status["lags"]["38.ORION -> CANONICAL"]["pending"], waiting[:12]) == (0, "paused since")
    assert 0 < status["lags"]["38.ORION -> CANONICAL"]["looked_seconds"] < 600
    assert "lag_rows" in figures and 'banyan_look_age_seconds{department="38",system="ORION"}' in figures
    assert (project.ask(project.store, _LOOKS), project.ask(project.store, _RUNS)) == (looks, runs)
    assert rows_read(project) == before

    # resumed: it looks, and carries what it finds
    policy.write_text(policy.read_text().replace("{new_codes: stop}", "{new_codes: quarantine}"))
    assert project.banyan("sync", "resume", "38", "--json") == 0
    assert project.banyan("sync", "run", "38", "--json") == 0
    assert project.ask(project.store, _LOOKS) > looks
    assert project.differences() == {}
