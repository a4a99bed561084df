"""`banyan metrics`: what a monitoring system reads, on a project under way."""

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

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
