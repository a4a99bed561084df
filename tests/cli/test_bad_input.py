"""What people and machines do wrong, each provoked: the message says what, to what, what is untouched, what next."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys

import pytest
from projects import ENVIRONMENT

from banyan.config import load_project
from banyan.departments import SourceRef
from estate.schema import legacy_tables
from sync.assembly import open_rig, prepare
from sync.lane import Step
from sync.workspace import opened
from wire.cleanup import destroy_clusters

pytestmark = pytest.mark.server

ORION = SourceRef("38", "ORION")
TABLES = len(legacy_tables())


def refused(project, capfd, *arguments):
    """Run a command that must fail; give its code and what it said, which has all its parts."""
    capfd.readouterr()
    code = project.banyan(*arguments)
    said = capfd.readouterr().err
    lines = said.splitlines()
    assert lines[0].startswith(("ERROR ", "NO   "))
    assert any(word in lines[0] for word in ("nothing was", "no rule was", "no database was"))
    assert lines[-1].startswith("next ")
    assert lines[-1].endswith(f"exit code {code}")
    return code, said


def loads_everything(project, capfd):
    """Run the ordinary load to its end; every row of the old system has one fate."""
    capfd.readouterr()
    assert project.banyan("load", "38", "--json") == 0
    (run,) = json.loads(capfd.readouterr().out)["runs"]
    assert run["is_balanced"]
    for table, counts in run["tables"].items():
        assert project.ask(project.legacy, f"select count(*) from orion.{table}") == [(counts["rows"]["read"],)]
    loaded = project.ask(project.store, "select count(*) from mig.crosswalk")
    assert loaded == [(run["total"]["rows"]["loaded"] + run["total"]["rows"]["unchanged"],)]
    return run


def test_a_source_that_does_not_answer_is_a_matter_of_trying_later(fresh_project, capfd):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        fresh_project.write(
            f"banyan_reader@127.0.0.1:{fresh_project.port}", f"banyan_reader@127.0.0.1:{free.getsockname()[1]}"
        )

        code, said = refused(fresh_project, capfd, "source", "scan", "38")

    assert code == 4
    assert "does not answer; nothing was read" in said


def test_an_account_the_source_does_not_know_is_a_matter_of_configuration(fresh_project, capfd, monkeypatch):
    address = fresh_project.url(fresh_project.legacy, "banyan_reader")
    monkeypatch.setenv("ORION_ADDRESS", address.replace("banyan_reader@", "nobody_at_all:secret-word@"))
    fresh_project.write(f"url: {address}", "url: env:ORION_ADDRESS")

    code, said = refused(fresh_project, capfd, "source", "scan", "38")

    assert code == 2
    assert "refuses this account, its password or its database; nothing was read" in said
    assert "secret-word" not in said


def test_a_password_in_the_project_file_is_refused_before_anything_is_opened(fresh_project, capfd):
    fresh_project.write("banyan_reader@", "banyan_reader:secret-word@")

    code, said = refused(fresh_project, capfd, "source", "scan", "38")

    assert code == 2
    assert "holds a password in banyan.yaml; nothing was opened" in said
    assert "secret-word" not in said


def test_a_department_a_system_and_a_table_that_are_not_there(fresh_project, capfd):
    assert "department 99 is not in banyan.yaml" in fails(fresh_project, capfd, 2, "load", "99")
    assert "38.ZEUS is not in banyan.yaml" in fails(fresh_project, capfd, 2, "source", "scan", "38.ZEUS")
    assert "there is no table orion.t_none" in fails(fresh_project, capfd, 3, "source", "scan", "38.ORION.t_none")


def fails(project, capfd, code, *arguments):
    capfd.readouterr()
    assert project.banyan(*arguments) == code
    return capfd.readouterr().err


def test_a_project_file_that_is_not_yaml_names_the_place(fresh_project, capfd):
    fresh_project.write("landing: {kind: local", "landing: {kind: [local")

    code, said = refused_without_hint(fresh_project, capfd, "load", "38")

    assert code == 2
    assert "banyan.yaml:" in said
    assert "nothing was read" in said


def refused_without_hint(project, capfd, *arguments):
    capfd.readouterr()
    return project.banyan(*arguments), capfd.readouterr().err


def test_a_rule_about_an_unknown_column_is_refused_at_its_place(fresh_project, capfd):
    fresh_project.write("{from: observ,", "{from: observation,", "rules/orion/t_proc.yaml")

    code, said = refused(fresh_project, capfd, "load", "38")

    assert code == 2
    assert "t_proc.yaml:" in said
    assert "observation" in said
    assert fresh_project.ask("postgres", "select count(*) from pg_database where datname = :n", n="banyan") == [(0,)]
    assert not (fresh_project.folder / "landing").exists()


def test_a_column_without_a_fate_is_refused_at_its_place(fresh_project, capfd):
    fresh_project.write(
        'drop:\n  religion: {legal_basis: "LED art. 10, not necessary"}\n', "", "rules/orion/t_personne.yaml"
    )

    code, said = refused(fresh_project, capfd, "load", "38")

    assert code == 2
    assert "t_personne.yaml:" in said
    assert "column religion has no fate" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("add column blood_group char(3)", "t_personne.blood_group is new and has no fate"),
        ("drop column profession", "t_personne.profession is gone"),
    ],
)
def test_a_legacy_table_that_changed_its_columns_is_not_read(fresh_project, capfd, change, told):
    fresh_project.ask(fresh_project.legacy, f"alter table orion.t_personne {change}")

    code, said = refused(fresh_project, capfd, "load", "38")

    assert code == 3
    assert told in said
    assert fresh_project.ask(fresh_project.store, "select count(*) from mig.run") == [(0,)]
    assert fails_scan(fresh_project) == 3


def fails_scan(project):
    return project.banyan("source", "scan", "38.ORION.t_personne")


def test_a_table_without_a_primary_key_is_not_followed(fresh_project, capfd):
    fresh_project.ask(fresh_project.legacy, "alter table orion.t_tel drop constraint t_tel_pkey")

    code, said = refused(fresh_project, capfd, "load", "38")

    assert code == 3
    assert "orion.t_tel has no primary key: nothing tells its rows apart" in said


def test_an_impossible_date_is_listed_and_its_row_is_loaded(loaded_project):
    listed = loaded_project.ask(
        loaded_project.store,
        "select count(*), count(c.id), min(cause) from mig.quarantine q join mig.source_table t using (source_table_no)"
        " left join mig.crosswalk c on c.source_table_no = q.source_table_no and c.source_key = q.source_key"
        " where column_name = 'ddn' and q.state = 'OPEN'",
    )

    ((entries, loaded, cause),) = listed
    assert entries == loaded > 0
    assert cause == "not a day of the calendar"


def test_a_port_that_is_taken_is_said_with_its_number(fresh_project, capfd):
    url = f"postgresql+psycopg://postgres@127.0.0.1:{fresh_project.port}/{fresh_project.store}"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        fresh_project.write(f'{{url: "{url}"}}', f'{{url: "embedded:target", port: {port}}}')
        try:
            code, said = refused(fresh_project, capfd, "load", "38")
        finally:
            destroy_clusters(fresh_project.folder)

    assert code == 4
    assert f"port {port} of 127.0.0.1 is taken by another program; no database was started" in said


def test_a_full_disk_stops_the_load_and_the_same_command_goes_on(fresh_project, capfd):
    def leave_no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000))

    done = subprocess.run(
        [sys.executable, "-B", "-m", "cli.main", "-C", str(fresh_project.folder), "load", "38"],
        capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, preexec_fn=leave_no_room, check=False,
    )  # fmt: skip

    assert done.returncode == 4
    assert "the landing zone has no room for" in done.stderr
    assert "nothing was left there" in done.stderr
    assert "exit code 4" in done.stderr
    assert not list(fresh_project.folder.rglob(".draft-*"))
    loads_everything(fresh_project, capfd)


def test_a_second_run_beside_the_first_is_refused_and_the_first_goes_on(fresh_project):
    seen: list[tuple[int, str]] = []

    def start_another(step: Step) -> None:
        if step is Step.READ and not seen:
            other = fresh_project.start("load", "38")
            _, said = other.communicate(timeout=60)
            seen.append((other.returncode, said))

    with opened(load_project(fresh_project.folder)) as workspace:
        prepare(workspace, ORION)
        rig = open_rig(workspace, ORION)
        lane = rig.forward()
        result = rig.forward_engine(checkpoint=start_another).load(lane, lane.plan_load, rules_digest=rig.book.digest)

    ((code, said),) = seen
    assert code == 4
    assert "is held by" in said
    assert "nothing was started" in said
    assert "next banyan sync status" in said
    assert result.total.is_balanced


def test_ctrl_c_pauses_and_the_same_command_resumes_and_adds_up(fresh_project, capfd):
    child = fresh_project.start("load", "38")
    assert child.stderr is not None
    first = child.stderr.readline()
    assert f"chunk 1 of {TABLES}" in first
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)

    assert child.returncode == 4
    assert "stopped by Ctrl-C; what was committed stays, the same command resumes" in said
    ((done,),) = fresh_project.ask(fresh_project.store, "select count(*) from mig.chunk where state = 'DONE'")
    assert 1 <= done < TABLES

    run = loads_everything(fresh_project, capfd)
    assert run["run_no"] == 1
    assert run["total"]["rows"]["unchanged"] == 0
