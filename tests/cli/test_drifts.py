"""Drift of a legacy system, by real ALTER TABLE: found before the run, answered by policy, told with the rule lines."""

import json

import pytest

pytestmark = pytest.mark.server


def alter(project, statement):
    project.ask(project.legacy, statement)


def drifts(project, capsys):
    """Give the exit code of `source drift`, and what it found of columns; the estate holds unknown codes anyway."""
    code, found = everything(project, capsys)
    return code, [one for one in found if one["kind"] != "new codes"]


def everything(project, capsys):
    capsys.readouterr()
    code = project.banyan("source", "drift", "38", "--json")
    return code, json.loads(capsys.readouterr().out)


def policy(project, text):
    """Say what drift leads to, in place of what was said before."""
    path = project.folder / "banyan.yaml"
    lines = [line for line in path.read_text().splitlines() if "drift:" not in line]
    path.write_text("\n".join([*lines, *([f"        drift: {text}"] if text else [])]) + "\n")


def runs(project):
    return project.ask(project.store, "select count(*) from mig.run")[0][0]


@pytest.fixture
def project(loaded_project):
    yield loaded_project
    policy(loaded_project, "")


def touch(project, table="t_objet", key="id_objet"):
    """Change one row as an officer would, so that the next run has something to carry."""
    where = f"{key} = (select max({key}) from orion.{table} where top_supp <> 'O')"
    project.ask(project.legacy, f"update orion.{table} set top_supp = top_supp, dt_maj = now() where {where}")
    return str(project.ask(project.legacy, f"select max({key}) from orion.{table} where top_supp <> 'O'")[0][0])


def test_a_system_as_it_was_agreed_has_no_drift(project, capsys):
    assert drifts(project, capsys) == (0, [])


def test_an_added_column_stops_and_names_the_rule(project, capsys):
    alter(project, "alter table orion.t_objet add column couleur varchar(10)")
    before = runs(project)
    try:
        touch(project)
        assert project.banyan("sync", "run", "38") == 3
        told = capsys.readouterr().err
        code, found = drifts(project, capsys)
    finally:
        alter(project, "alter table orion.t_objet drop column couleur")

    assert "t_objet.couleur is new and has no fate (varchar(10))" in told
    assert "nothing was read" in told
    assert "t_objet.yaml" in told
    assert runs(project) == before
    assert code == 3
    assert [(one["kind"], one["column"], one["is_stopping"]) for one in found] == [("added", "couleur", True)]
    assert project.banyan("sync", "run", "38") == 0


def test_an_added_column_in_quarantine_lists_its_values_and_loads_its_rows(project, capsys):
    policy(project, "{added: quarantine}")
    alter(project, "alter table orion.t_objet add column couleur varchar(10)")
    listed = (
        "select count(*) from mig.quarantine q join mig.source_table t using (source_table_no)"
        " where t.table_name = 't_objet' and column_name = 'couleur' and state = 'OPEN'"
    )
    try:
        key = touch(project)
        alter(project, f"update orion.t_objet set couleur = 'mauve' where id_objet = {key}")
        code, found = drifts(project, capsys)
        assert project.banyan("sync", "run", "38") == 0
        waiting = project.ask(project.store, listed)[0][0]
        assert project.banyan("recon", "run", "38.cases") == 0
    finally:
        alter(project, "alter table orion.t_objet drop column couleur")
    touch(project)
    assert project.banyan("sync", "run", "38") == 0

    assert (code, [one["policy"] for one in found], waiting) == (0, ["quarantine"], 1)
    assert project.ask(project.store, listed)[0][0] == 0  # gone with the column


def test_what_is_ignored_is_ignored_until_its_day(project, capsys):
    alter(project, "alter table orion.t_objet add column couleur varchar(10)")
    try:
        policy(project, "{added: {policy: ignore, until: 2999-01-01}}")
        assert drifts(project, capsys)[0] == 0
        touch(project)
        assert project.banyan("sync", "run", "38") == 0

        policy(project, "{added: {policy: ignore, until: 2020-01-01}}")
        touch(project)
        assert project.banyan("sync", "run", "38") == 3
        code, found = drifts(project, capsys)
    finally:
        alter(project, "alter table orion.t_objet drop column couleur")

    assert (code, found[0]["is_stopping"], found[0]["until"]) == (3, True, "2020-01-01")
    assert project.banyan("sync", "run", "38") == 0


@pytest.mark.parametrize(
    "wrong", ["{added: ignore}", "{removed: quarantine}", "{added: {policy: stop, until: 2999-01-01}}"]
)
def test_a_policy_that_cannot_be_is_refused(project, capsys, wrong):
    policy(project, wrong)

    assert project.banyan("sync", "run", "38") == 2
    assert "nothing was read" in capsys.readouterr().err


def test_a_removed_column_always_stops_while_a_rule_reads_it(project, capsys):
    policy(project, "{removed: {policy: ignore, until: 2999-01-01}}")
    alter(project, "alter table orion.t_objet rename column descr to descr_old")
    try:
        code, found = drifts(project, capsys)
        assert project.banyan("sync", "run", "38") == 3
    finally:
        alter(project, "alter table orion.t_objet rename column descr_old to descr")

    removed = next(one for one in found if one["kind"] == "removed")
    assert (code, removed["column"], removed["is_stopping"]) == (3, "descr", True)
    lines = {(mark["file"], mark["line"]) for mark in removed["rule_lines"]}
    text = (project.folder / "rules/orion/t_objet.yaml").read_text().splitlines()
    assert lines == {("rules/orion/t_objet.yaml", number) for number, line in enumerate(text, 1) if "descr" in line}


def test_a_wider_column_is_told_and_a_retyped_one_stops_until_it_is_accepted(project, capsys):
    alter(project, "alter table orion.t_objet alter column descr type varchar(400)")
    try:
        code, found = drifts(project, capsys)
        assert (code, [(one["kind"], one["policy"]) for one in found]) == (0, [("widened", "quarantine")])
        assert "was varchar(120) and is varchar(400)" in found[0]["told"]
        touch(project)
        capsys.readouterr()
        assert project.banyan("sync", "run", "38") == 0
        said = capsys.readouterr().err
        assert "WAIT  widened: t_objet.descr was varchar(120) and is varchar(400)   (quarantine)" in said
        assert "rules/orion/t_objet.yaml" in said

        alter(project, "alter table orion.t_objet alter column descr type text")
        alter(project, "alter table orion.t_objet alter column qte type varchar(12) using qte::text")
        code, found = drifts(project, capsys)
        assert (code, {one["column"]: one["kind"] for one in found}) == (3, {"descr": "widened", "qte": "retyped"})
        assert project.banyan("sync", "run", "38") == 3
        assert project.banyan("source", "drift", "38", "--accept") == 2  # without a reason
        assert project.banyan("source", "drift", "38", "--accept", "--reason", "vendor patch 12") == 0
        assert project.banyan("sync", "run", "38") == 0
        assert drifts(project, capsys) == (0, [])
    finally:
        logged = [row[0] for row in project.ask(project.store, "select reason from mig.processing_log")]
    assert any("accepted as they are: vendor patch 12" in reason for reason in logged)


def test_a_new_code_is_found_before_the_run_and_stops_where_the_project_says_so(project, capsys):
    key = touch(project)
    kept = project.ask(project.legacy, f"select cat_obj from orion.t_objet where id_objet = {key}")[0][0]
    before = runs(project)
    alter(project, f"update orion.t_objet set cat_obj = 'DRONE' where id_objet = {key}")
    try:
        code, found = everything(project, capsys)
        new = [one for one in found if one["column"] == "cat_obj"]
        policy(project, "{new_codes: stop}")
        assert project.banyan("sync", "run", "38") == 3
        told = capsys.readouterr().err
        assert runs(project) == before
    finally:
        alter(project, f"update orion.t_objet set cat_obj = '{kept}' where id_objet = {key}")

    assert (code, len(new), new[0]["policy"]) == (0, 1, "quarantine")
    assert "ITEM_CATEGORY does not know" in new[0]["told"] and "DRONE" in new[0]["told"]
    assert {mark["file"] for mark in new[0]["rule_lines"]} == {
        "rules/orion/t_objet.yaml", "rules/orion/code_maps.yaml",
    }  # fmt: skip
    assert "new codes" in told
