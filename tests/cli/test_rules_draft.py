"""`banyan map draft` on a real legacy database: a file that lint refuses, and that holds no value of any row."""

import json

import pytest

pytestmark = pytest.mark.server


def test_a_table_of_orion_is_drafted_without_a_value_and_lint_refuses_the_draft(fresh_project, capfd):
    rules = fresh_project.folder / "drafts"
    path = rules / "t_personne.yaml"

    assert fresh_project.banyan("map", "draft", "38.ORION.t_personne", "--output", str(path)) == 0
    drafted = path.read_text(encoding="utf-8")
    assert fresh_project.banyan("map", "lint", str(rules)) == 2
    refused = capfd.readouterr().out

    assert "rule: T_PERSONNE@1" in drafted
    assert "surname: {from: nom, guess: 'name.use_name(sep: \" EP. \", max: 40)', also: [surname_use]}" in drafted
    assert "birth_date: {from: ddn, guess: 'date.partial_yyyymmdd'" in drafted
    assert "is a draft that nobody confirmed" in refused
    names = {row[0].strip() for row in fresh_project.ask(fresh_project.legacy, "select nom from orion.t_personne")}
    assert len(names) > 10
    assert not [name for name in names if len(name) > 5 and name in drafted]


def test_a_file_that_is_there_is_left_alone_and_an_unknown_table_is_named(fresh_project, capfd):
    path = fresh_project.folder / "rules" / "orion" / "t_proc.yaml"
    before = path.read_text()

    assert fresh_project.banyan("map", "draft", "38.ORION.t_proc", "-o", str(path)) == 2
    assert fresh_project.banyan("map", "draft", "38.ORION.t_nothing") == 2
    assert fresh_project.banyan("map", "draft", "38") == 2

    said = capfd.readouterr().err
    assert path.read_text() == before
    assert "exists; it was left as it is" in said
    assert "has no table t_nothing" in said


def test_the_draft_as_data_has_a_profile_of_each_column(fresh_project, capfd):
    assert fresh_project.banyan("map", "draft", "38.ORION.t_vehic", "--rows", "100", "--json") == 0

    found = json.loads(capfd.readouterr().out)
    plate = next(one for one in found["columns"] if one["name"] == "immat")
    assert plate["type_name"] == "varchar(14)"
    assert plate["patterns"]["plates"] > 0
