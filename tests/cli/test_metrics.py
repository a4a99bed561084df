"""`banyan metrics`: what a monitoring system reads, on a project under way."""

import json

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from banyan.config import load_project
from banyan.departments import SourceRef
from cutover.alive import Heart
from sync.assembly import open_rig
from sync.workspace import opened

pytestmark = pytest.mark.server


def figures(project, capsys):
    capsys.readouterr()
    assert project.banyan("metrics") == 0
    text = capsys.readouterr().out
    families = list(text_string_to_metric_families(text))
    return text, {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def one(found, name, **labels):
    (value,) = [
        value for (known, given), value in found.items() if known == name and labels.items() <= dict(given).items()
    ]
    return value


def test_a_loaded_department_is_told_in_figures(loaded_project, capsys):
    _, found = figures(loaded_project, capsys)

    assert one(found, "banyan_up", department="38", system="ORION") == 1
    assert one(found, "banyan_lag_rows", to="CANONICAL") == one(found, "banyan_lag_seconds", to="CANONICAL") == 0
    assert {value for (name, _), value in found.items() if name == "banyan_fence_mode"} == {0}
    assert {value for (name, _), value in found.items() if name == "banyan_way_back_possible"} == {0}
    assert one(found, "banyan_guard_alive") == 0
    entries = sum(value for (name, _), value in found.items() if name == "banyan_quarantine_entries")
    waiting = loaded_project.ask(loaded_project.store, "select count(*) from mig.quarantine where state = 'OPEN'")
    assert entries == waiting[0][0] > 0


def test_what_waits_is_counted_until_it_is_carried(loaded_project, capsys):
    change = "update orion.t_objet set qte = qte where id_objet = (select max(id_objet) from orion.t_objet)"
    loaded_project.ask(loaded_project.legacy, change)

    _, before = figures(loaded_project, capsys)
    assert loaded_project.banyan("sync", "run", "38") == 0
    _, after = figures(loaded_project, capsys)

    assert one(before, "banyan_lag_rows", to="CANONICAL") == 1
    assert one(before, "banyan_lag_seconds", to="CANONICAL") > 0
    assert one(after, "banyan_lag_rows", to="CANONICAL") == 0


def test_no_value_of_a_record_and_no_key_stands_in_the_figures(loaded_project, capsys):
    text, _ = figures(loaded_project, capsys)

    persons = loaded_project.ask(loaded_project.legacy, "select id_pers, nom, prenom, ddn from orion.t_personne")
    names = {str(part).strip() for row in persons for part in row[1:] if part and len(str(part).strip()) > 4}
    assert len(names) > 100
    assert not [name for name in names if name in text]
    assert "source_key" not in text


def test_a_system_that_does_not_answer_is_a_figure_and_the_rest_is_told(loaded_project, capsys):
    loaded_project.ask("postgres", f"alter database {loaded_project.legacy} allow_connections false")
    try:
        _, found = figures(loaded_project, capsys)
    finally:
        loaded_project.ask("postgres", f"alter database {loaded_project.legacy} allow_connections true")

    assert one(found, "banyan_up", department="38") == 0
    assert [name for name, _ in found if name == "banyan_lag_rows"] == []
    assert [name for name, _ in found if name == "banyan_slice_armed"] != []


def test_an_open_run_is_a_backlog(loaded_project, capsys):
    loaded_project.ask(
        loaded_project.store,
        "with r as (insert into mig.run (department_code, system_code, to_side, kind, state, owner, attempt,"
        " lease_until) values ('38', 'ORION', 'CANONICAL', 'CHANGES', 'OPEN', 'elsewhere', 1, now()) returning run_no)"
        " insert into mig.chunk (run_no, chunk_no, table_name, state) select run_no, n, 't_objet', 'PLANNED'"
        " from r, generate_series(1, 3) n",
    )
    try:
        _, found = figures(loaded_project, capsys)
    finally:
        loaded_project.ask(
            loaded_project.store, "delete from mig.chunk where run_no = (select max(run_no) from mig.run)"
        )
        loaded_project.ask(loaded_project.store, "delete from mig.run where state = 'OPEN'")

    assert one(found, "banyan_landing_backlog_chunks", department="38") == 3
    assert one(found, "banyan_run_open_seconds", department="38") >= 0


def test_a_file_for_a_collector_is_replaced_whole_and_json_says_the_same(loaded_project, capsys, tmp_path):
    assert loaded_project.banyan("metrics", "--into", str(tmp_path / "banyan.prom")) == 0
    assert loaded_project.banyan("metrics", "--json") == 0

    told = json.loads(capsys.readouterr().out)
    text = (tmp_path / "banyan.prom").read_text()
    assert {sample["name"] for sample in told} == {family.name for family in text_string_to_metric_families(text)}
    assert [path.name for path in tmp_path.iterdir()] == ["banyan.prom"]


def test_fences_slots_evidence_the_watchdog_and_the_way_back_are_told_with_their_values(loaded_project, capsys):
    name, project = "38.cases+vehicles", loaded_project
    slot = f"banyan_test_{project.legacy}"
    project.ask(
        project.store,
        "insert into mig.evidence (evidence_id, department_code, closure, profile, verdict, reasons, made_at)"
        " values ('e1', '38', :name, 'sync', 'NO-GO', '[]', now() - interval '2 hours')",
        name=name,
    )
    with opened(load_project(project.folder)) as workspace:
        rig = open_rig(workspace, SourceRef("38", "ORION"))
        assert Heart(period_seconds=30).beat(workspace, is_sure=True)
        nonce = rig.slices(name)[0].nonce
        assert rig.fence(name).close(2, lease_seconds=600, nonce_old=nonce, nonce_new=nonce).accepted
        project.ask(project.legacy, "select pg_create_logical_replication_slot(:slot, 'pgoutput')", slot=slot)
        try:
            project.ask(project.legacy, "update orion.t_unite set lib_unite = lib_unite")
            _, closed = figures(project, capsys)
        finally:
            project.ask(project.legacy, "select pg_drop_replication_slot(:slot)", slot=slot)
        assert rig.fence(name).seal(2, nonce_old=nonce).accepted
        rig.close()
    project.ask(
        project.store,
        "update mig.slice set owner = 'CANONICAL', phase = 'LIVE', epoch = epoch + 1 where closure = :name",
        name=name,
    )
    edit = "update justice.person_identity set occupation_text = 'LUTHIER' where id in (select id from"
    edit += " justice.person_identity order by id limit 3)"
    with psycopg.connect(host="127.0.0.1", port=project.port, user="banyan_app", dbname=project.store) as connection:
        connection.execute(edit)
    project.ask(
        project.store,
        "insert into mig.degraded_write_back (department_code, source_table_no, main_id, canonical_table, kind, cause,"
        " state) select '38', source_table_no, gen_random_uuid(), 'vehicle', 'NO_PLACE', 'test', 'OPEN'"
        " from mig.source_table where table_name = 't_vehic'",
    )
    _, moved = figures(project, capsys)

    assert 7_200 <= one(closed, "banyan_evidence_age_seconds", closure=name, verdict="NO-GO") < 7_800
    assert one(closed, "banyan_guard_alive") == 1
    assert 0 <= one(closed, "banyan_guard_heartbeat_age_seconds") < 600
    assert one(closed, "banyan_fence_mode", closure=name) == 1
    assert 0 < one(closed, "banyan_fence_lease_seconds", closure=name) <= 600
    assert one(closed, "banyan_slot_bytes", slot=slot) > 0
    assert one(closed, "banyan_slot_active", slot=slot) == 0
    assert one(moved, "banyan_fence_mode", closure=name) == 2
    assert not [labels for (known, labels) in moved if known == "banyan_fence_lease_seconds"]
    assert one(moved, "banyan_lag_rows", closure=name, to="LEGACY") == 3
    assert one(moved, "banyan_lag_seconds", closure=name, to="LEGACY") > 0
    assert one(moved, "banyan_way_back_waiting_records", closure=name) == 3
    assert one(moved, "banyan_slice_owned_by_canonical", domain="vehicles") == 1
    assert one(moved, "banyan_degraded_write_backs", department="38") == 1
