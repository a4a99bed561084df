import json

import pytest
import sqlalchemy as sa

from banyan.config import load_project
from banyan.departments import SourceRef
from estate.live import Pace, live
from store.postgres import open_engine, transaction
from sync.assembly import open_rig, prepare
from sync.workspace import opened

pytestmark = pytest.mark.server


def told(capfd):
    return json.loads(capfd.readouterr().out)


def test_the_first_copy_accounts_for_every_row_and_opens_the_slices_to_changes(fresh_project, capfd):
    assert fresh_project.banyan("load", "38") == 0

    said = capfd.readouterr()
    assert "conserved  3 377 read = " in said.out
    assert said.out.rstrip().endswith("next  banyan sync run 38")
    assert "chunk 40 of 40" in said.err
    assert fresh_project.ask(fresh_project.store, "select distinct phase, owner from mig.slice") == [
        ("SYNCING", "LEGACY")
    ]
    kinds = fresh_project.ask(
        fresh_project.store,
        "select from_phase, to_phase from mig.journal where closure = '38.cases+vehicles' order by sequence",
    )
    assert kinds == [
        ("REGISTERED", "ASSESSED"), ("ASSESSED", "MAPPED"), ("MAPPED", "LOADING"), ("LOADING", "SYNCING"),
    ]  # fmt: skip
    assert fresh_project.ask(fresh_project.store, "select operation, run_no from mig.processing_log") == [
        ("collection", 1)
    ]


def test_a_second_load_reads_nothing_and_tells_the_same_account(loaded_project, capfd):
    capfd.readouterr()

    assert loaded_project.banyan("load", "38", "--json") == 0

    (run,) = told(capfd)["runs"]
    assert run["is_new"] is False
    assert run["total"]["rows"]["read"] == 3377
    assert loaded_project.ask(loaded_project.store, "select count(*) from mig.run where kind = 'LOAD'") == [(1,)]


def test_changes_are_carried_once_and_the_lag_is_told(loaded_project, capfd):
    live(loaded_project.url(loaded_project.legacy, "orion_app"), Pace(rate_per_second=500, count=20, seed=3))
    capfd.readouterr()

    assert loaded_project.banyan("sync", "status", "--json") == 0
    (before,) = told(capfd)
    assert loaded_project.banyan("sync", "run", "38", "--json") == 0
    (run,) = told(capfd)["runs"]
    assert loaded_project.banyan("sync", "run", "38", "--json") == 0
    again = told(capfd)["runs"]
    assert loaded_project.banyan("sync", "status") == 0
    after = capfd.readouterr().out

    pending, read = before["lags"]["38.ORION -> CANONICAL"]["pending"], run["total"]["rows"]["read"]
    assert 0 < pending <= read < 5 * pending  # people who come back into a case are read again, with what is theirs
    assert run["is_balanced"]
    assert again == []
    assert "38    0 of 6      0 s" in after


def test_watching_carries_what_arrives_and_stops_after_its_rounds(loaded_project, capfd):
    live(loaded_project.url(loaded_project.legacy, "orion_app"), Pace(rate_per_second=500, count=5, seed=4))
    capfd.readouterr()

    assert loaded_project.banyan("sync", "watch", "38", "--rounds", "2", "--every", "0.1", "--json") == 0

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    looks = [line for line in lines if line.get("event") == "look"]
    runs = [line for line in lines if "run_no" in line]
    assert lines == [looks[0], *runs, looks[1]]
    waited, left = (look["lags"]["38.ORION -> CANONICAL"]["pending"] for look in looks)
    assert (0 < waited <= runs[0]["total"]["rows"]["read"], left) == (True, 0)  # children of a parent are read as well
    assert ([run["kind"] for run in runs], runs[0]["is_balanced"]) == (["CHANGES"], True)


def test_watching_tells_people_what_waits_and_is_silent_while_it_stays_the_same(loaded_project, capfd):
    loaded_project.banyan("sync", "run", "38")
    capfd.readouterr()

    assert loaded_project.banyan("sync", "watch", "38", "--rounds", "3", "--every", "0.1") == 0

    assert capfd.readouterr().out.splitlines() == ["38.ORION -> CANONICAL: nothing waits   degraded write-backs: 0"]


def test_a_department_that_is_not_loaded_says_so(fresh_project, capfd):
    assert fresh_project.banyan("sync", "status", "--json") == 0

    (status,) = told(capfd)
    assert status["word"] != "ok"
    assert status["following"]


def test_changes_before_a_first_copy_are_refused(fresh_project, capfd):
    with opened(load_project(fresh_project.folder)) as workspace:
        prepare(workspace, SourceRef("38", "ORION"))

    assert fresh_project.banyan("sync", "run", "38") == 2
    said = capfd.readouterr().err
    assert "no first copy yet" in said
    assert "next banyan load 38" in said


def test_the_two_logs_follow_and_can_be_exported(loaded_project, tmp_path, capfd):
    assert loaded_project.banyan("log", "verify", "--json") == 0
    states = told(capfd)
    assert loaded_project.banyan("log", "export", "38", str(tmp_path / "log.jsonl"), "--json") == 0
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]

    assert states["38"]["length"] == len(entries) > 0
    assert states["journal"]["broken_at"] is None
    assert entries[-1]["entry_hash"] == states["38"]["head"]
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == 0o600
    assert loaded_project.banyan("log", "export", "38", str(tmp_path / "log.jsonl")) == 2


def test_quarantine_is_grouped_by_cause_and_values_need_a_reason(loaded_project, capfd):
    capfd.readouterr()
    assert loaded_project.banyan("quarantine", "top", "38", "--json") == 0
    found = told(capfd)
    first = next(cause for cause in found["causes"] if cause["column"] == "ddn")
    count = loaded_project.ask(loaded_project.store, "select count(*) from mig.processing_log")[0][0]

    assert loaded_project.banyan("quarantine", "show", "38", first["list"]) == 0
    without = capfd.readouterr().out
    assert loaded_project.ask(loaded_project.store, "select count(*) from mig.processing_log") == [(count,)]
    assert loaded_project.banyan("quarantine", "show", "38", first["list"], "--reason", "test", "--json") == 0
    shown = told(capfd)

    values = [entry["value"] for entry in shown["entries"]]
    assert len(values) == first["fields"] > 0
    assert all(value not in without for value in values)
    assert loaded_project.ask(
        loaded_project.store,
        "select operation, reason from mig.processing_log order by sequence desc limit 1",
    ) == [("consultation", "test")]


def test_what_people_do_in_the_new_system_goes_back_with_the_same_command(fresh_project, capfd):
    assert fresh_project.banyan("load", "38") == 0
    name = "38.cases+vehicles"
    with opened(load_project(fresh_project.folder)) as workspace:
        rig = open_rig(workspace, SourceRef("38", "ORION"))
        nonce = rig.slices(name)[0].nonce
        assert rig.fence(name).close(2, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert rig.fence(name).seal(2, nonce_old=nonce).accepted
        fresh_project.ask(
            fresh_project.store,
            "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1 where closure = :name",
            name=name,
        )
    with_app = open_engine(fresh_project.url(fresh_project.store, "banyan_app"))
    with transaction(with_app) as connection:
        changed = connection.execute(
            sa.text(
                "update justice.person_identity set occupation_text = 'LUTHIER' where id in"
                " (select id from justice.person_identity order by id limit 3)"
            )
        ).rowcount
    capfd.readouterr()

    assert fresh_project.banyan("sync", "status", "--json") == 0
    (before,) = told(capfd)
    assert fresh_project.banyan("sync", "run", "38", "--json") == 0
    (run,) = told(capfd)["runs"]
    assert fresh_project.banyan("sync", "status", "--json") == 0
    (after,) = told(capfd)

    assert changed == 3
    assert (before["moved"], before["lags"]["38.cases+vehicles -> LEGACY"]["pending"]) == ("2 of 6", 3)
    assert run["kind"] == "REVERSE"
    assert run["is_balanced"]
    assert fresh_project.ask(
        fresh_project.legacy, "select count(*) from orion.t_personne where profession = 'LUTHIER'"
    ) == [(3,)]
    assert after["lags"]["38.cases+vehicles -> LEGACY"]["pending"] == 0
    routes = {account["route"]: account for account in after["accounts"]}
    (account,) = routes["38.ORION -> LEGACY"]["tables"]
    assert (account["counts"]["rows"]["read"], account["is_balanced"]) == (run["total"]["rows"]["read"], True)
    key = fresh_project.ask(
        fresh_project.legacy, "select min(id_pers) from orion.t_personne where profession = 'LUTHIER'"
    )
    assert fresh_project.banyan("trace", "t_personne", f"38:{key[0][0]}", "--reason", "test", "--json") == 0
    back = told(capfd)["runs"][-1]
    assert (back["kind"], back["fate"], back["run_no"]) == ("REVERSE", "LOADED", run["run_no"])
    assert back["parcel_before"].endswith("-before")
    assert back["parcel"].endswith("-after")
    assert fresh_project.banyan("load", "38") == 3
    assert "would overwrite what people did there; nothing was read" in capfd.readouterr().err


def test_what_is_past_its_term_is_listed_by_series_and_counts_and_nothing_is_loaded(fresh_project, capfd):
    assert fresh_project.banyan("load", "38", "--archives", "--json") == 0
    told = json.loads(capfd.readouterr().out)["38.ORION"]
    assert fresh_project.banyan("load", "38", "--archives") == 0
    shown = capfd.readouterr().out

    assert 0 < told["past"] < told["participations"]
    assert told["past"] == sum(one["participations"] for one in told["series"])
    assert set(told["series"][0]) == {
        "series", "rule_code", "participations", "cases", "first_year", "last_year",
    }  # fmt: skip
    assert told["persons_without_role"] > 0
    assert "nothing may be destroyed in the old system without the visa of the archives" in shown
    names = [row[0] for row in fresh_project.ask(fresh_project.legacy, "select distinct nom from orion.t_personne")]
    assert [name for name in names if name and len(name) > 4 and name in shown] == []
