"""How far behind a route is, how far a run is and how long it takes: what `sync status --json` and `metrics` say."""

import json

import psycopg
import pytest
from projects import make_project
from prometheus_client.parser import text_string_to_metric_families

from banyan.config import load_project
from banyan.departments import SourceRef
from cutover.gauge import find_alarm, read_way_back
from sync.assembly import open_rig, prepare
from sync.incremental import plan_incremental
from sync.lane import Step
from sync.movement import actor_of, first_copy
from sync.workspace import opened

pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
CLOSURE = "38.cases+vehicles"
FORWARD, BACK = "38.ORION -> CANONICAL", f"{CLOSURE} -> LEGACY"
NIGHT = 8 * 3600
EARLIER = (
    "update mig.run set opened_at = opened_at - interval '8 hours', closed_at = closed_at - interval '8 hours'",
    "update mig.watermark set updated_at = updated_at - interval '8 hours'",
    "update mig.journal set at = at - interval '8 hours'",
)


_ROWS_READ = "select (counts -> 'rows' ->> 'read')::int from mig.chunk where state = 'DONE' order by chunk_no"


class Enough(Exception):
    """So many chunks are carried."""


def status(project, capfd):
    capfd.readouterr()
    assert project.banyan("sync", "status", "38", "--json") == 0
    (found,) = json.loads(capfd.readouterr().out)
    return found


def gauge(project, capfd, name, **labels):
    """Give the one figure of this name and these labels; None where there is none."""
    capfd.readouterr()
    assert project.banyan("metrics") == 0
    found = [
        sample.value
        for family in text_string_to_metric_families(capfd.readouterr().out)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) < 2
    return found[0] if found else None


def let_a_night_pass(project):
    """Put all that happened so far eight hours back."""
    project.ask(project.store, "alter table mig.journal disable trigger all")
    for text in EARLIER:
        project.ask(project.store, text)
    project.ask(project.store, "alter table mig.journal enable trigger all")


def touch(project):
    """Let an officer change one row."""
    change = "update orion.t_objet set dt_maj = now() where id_objet = (select max(id_objet) from orion.t_objet)"
    project.ask(project.legacy, change)


def test_after_a_quiet_night_nothing_is_behind_and_the_first_change_has_waited_for_seconds(loaded_project, capfd):
    project = loaded_project
    assert project.banyan("sync", "run", "38") == 0
    let_a_night_pass(project)
    quiet = status(project, capfd)["lags"][FORWARD], gauge(project, capfd, "banyan_lag_seconds", to="CANONICAL")
    touch(project)
    unknown = status(project, capfd)["lags"][FORWARD]
    assert project.banyan("sync", "run", "38") == 0

    let_a_night_pass(project)
    assert project.banyan("sync", "run", "38") == 0  # the clock of the night, which finds nothing
    touch(project)
    fresh = status(project, capfd)["lags"][FORWARD], gauge(project, capfd, "banyan_lag_seconds", to="CANONICAL")

    assert (quiet[0]["pending"], quiet[0]["seconds"], quiet[1]) == (0, 0.0, 0.0)
    assert unknown["pending"] == 1
    assert NIGHT <= unknown["seconds"] < NIGHT + 600  # nobody has looked since
    assert fresh[0]["pending"] == 1
    assert 0 < fresh[0]["seconds"] < 300
    assert 0 < fresh[1] < 300
    assert project.banyan("sync", "run", "38") == 0


def test_a_run_that_was_cancelled_carried_nothing_and_lets_nothing_look_fresh(loaded_project, capfd):
    project = loaded_project
    let_a_night_pass(project)
    touch(project)
    with opened(load_project(project.folder)) as workspace:
        assert plan_incremental(workspace, ORION, run_key="a clock", actor=actor_of(workspace))
    assert project.banyan("sync", "cancel", "38", "--reason", "test") == 0

    behind = status(project, capfd)["lags"][FORWARD]

    assert behind["pending"] == 1
    assert behind["seconds"] >= NIGHT
    assert project.banyan("sync", "run", "38") == 0


def test_what_waits_is_told_from_the_beginning_of_the_run_that_could_not_see_it(loaded_project, capfd):
    project = loaded_project
    touch(project)
    assert project.banyan("sync", "run", "38") == 0
    last = "(select max(run_no) from mig.run where state = 'DONE')"
    project.ask(project.store, f"update mig.run set opened_at = opened_at - interval '1 hour' where run_no = {last}")
    touch(project)  # as if it had come while that run, which took an hour, was carrying

    behind = status(project, capfd)["lags"][FORWARD]

    assert behind["pending"] == 1
    assert 3600 <= behind["seconds"] < 3900
    assert project.banyan("sync", "run", "38") == 0


@pytest.fixture
def half_way(cluster, tmp_path):
    """A first copy that ended after twenty chunks; they ended three seconds apart, the last one a moment ago."""
    project = make_project(cluster, tmp_path / "project")
    committed = []

    def stop(step: Step) -> None:
        committed.extend([step] if step is Step.COMMITTED else [])
        if len(committed) == 20:
            raise Enough

    with opened(load_project(project.folder)) as workspace:
        rig = prepare(workspace, ORION)
        with pytest.raises(Enough):
            first_copy(rig, actor_of(workspace), checkpoint=stop)
        rig.close()
    project.ask(
        project.store,
        "update mig.chunk set finished_at = clock_timestamp() - (20 - chunk_no) * interval '3 seconds'"
        " where state = 'DONE'",
    )
    return project


def test_an_open_run_says_how_far_it_is_how_fast_and_how_long_it_still_takes(half_way, capfd):
    rows = half_way.ask(half_way.store, _ROWS_READ)
    (chunks,) = half_way.ask(half_way.store, "select count(*) from mig.chunk")[0]
    rate = sum(count for (count,) in rows[1:]) / 57

    found = status(half_way, capfd)
    backlog = gauge(half_way, capfd, "banyan_landing_backlog_chunks", system="ORION")
    left = gauge(half_way, capfd, "banyan_run_left_seconds", to="CANONICAL")
    pace = gauge(half_way, capfd, "banyan_run_rows_per_second", to="CANONICAL")

    (run,) = found["runs"]
    assert (run["kind"], run["chunks"], run["chunks_done"]) == ("LOAD", chunks, 20)
    assert run["rows"] == sum(count for (count,) in rows)
    assert backlog == chunks - 20 > 10
    for said in (run["seconds_left"], left):  # three seconds a chunk, and the time since the last one ended
        assert 3 * (chunks - 20) <= said < 4 * (chunks - 20)
    for said in (run["rows_per_second"], pace):
        assert 0.75 * rate < said <= rate
    assert f"is open: 20 of {chunks} chunks, about 1 min" in found["sentence"]


def test_a_run_that_has_stood_still_for_long_has_no_pace_and_no_end(half_way, capfd):
    half_way.ask(half_way.store, "update mig.chunk set finished_at = finished_at - interval '10 minutes'")

    (run,) = status(half_way, capfd)["runs"]

    assert (run["rows_per_second"], run["seconds_left"]) == (None, None)
    assert gauge(half_way, capfd, "banyan_run_left_seconds") is None
    assert gauge(half_way, capfd, "banyan_landing_backlog_chunks") == run["chunks"] - 20


def edit(project, count):
    """Let people of the new system edit so many persons."""
    text = (
        "update justice.person_identity set occupation_text = coalesce(occupation_text, '') || 'X' where id in"
        f" (select id from justice.person_identity where occupation_text is not null order by id limit {count})"
    )
    with psycopg.connect(host="127.0.0.1", port=project.port, user="banyan_app", dbname=project.store) as connection:
        connection.execute(text)


def test_after_a_quiet_night_of_the_new_system_its_first_edit_is_no_alarm(fresh_project, capfd):
    project = fresh_project
    assert project.banyan("load", "38") == 0
    with opened(load_project(project.folder)) as workspace:
        rig = open_rig(workspace, ORION)
        nonce = rig.slices(CLOSURE)[0].nonce
        assert rig.fence(CLOSURE).close(2, lease_seconds=600, nonce_old=nonce, nonce_new=nonce).accepted
        assert rig.fence(CLOSURE).seal(2, nonce_old=nonce).accepted
        rig.close()
    moved = "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1 where closure = :name"
    project.ask(project.store, moved, name=CLOSURE)
    edit(project, 3)
    assert project.banyan("sync", "run", "38") == 0
    let_a_night_pass(project)
    quiet = status(project, capfd)["lags"][BACK]
    assert project.banyan("sync", "run", "38") == 0  # the clock of the night, which finds nothing
    edit(project, 2)

    fresh = status(project, capfd)["lags"][BACK], gauge(project, capfd, "banyan_lag_seconds", closure=CLOSURE)
    with opened(load_project(project.folder)) as workspace:
        rig = open_rig(workspace, ORION)
        alarm = find_alarm(read_way_back(rig, rig.closure(CLOSURE)))
        rig.close()

    assert (quiet["pending"], quiet["seconds"]) == (0, 0.0)
    assert fresh[0]["pending"] == 2
    assert 0 < fresh[0]["seconds"] < 300
    assert 0 < fresh[1] < 300
    assert alarm == ""
    let_a_night_pass(project)
    assert status(project, capfd)["lags"][BACK]["seconds"] >= NIGHT  # nobody has walked since
