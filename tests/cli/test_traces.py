import json

import pytest

pytestmark = pytest.mark.server


def trace(project, capfd, *arguments):
    capfd.readouterr()
    assert project.banyan("trace", *arguments, "--reason", "test of a trace", "--json") == 0
    return json.loads(capfd.readouterr().out)


@pytest.fixture
def key(loaded_project):
    """A person whose date of birth waits in quarantine."""
    query = (
        "select source_key from mig.quarantine join mig.source_table using (source_table_no)"
        " where table_name = 't_personne' and column_name = 'ddn' and state = 'OPEN' order by 1 limit 1"
    )
    return loaded_project.ask(loaded_project.store, query)[0][0]


def test_a_row_is_followed_from_its_text_to_its_records_and_back(loaded_project, key, capfd):
    found = trace(loaded_project, capfd, "t_personne", f"38:{key}")

    raw = dict(
        zip(
            ("nom", "ddn"),
            loaded_project.ask(
                loaded_project.legacy, f"select nom, ddn::text from orion.t_personne where id_pers = {key}"
            )[0],
            strict=True,
        )
    )
    cells = {cell["column"]: cell for cell in found["trial"]["cells"]}
    assert {name: cells[name]["raw"] for name in raw} == raw
    assert all(cell["raw"] == cell["written"] for cell in cells.values() if cell["is_written"])
    assert "ddn" in found["residue_columns"]
    assert found["crosswalk"]["rule_id"] == "T_PERSONNE@1"
    assert [one["kind"] for one in found["runs"]] == ["LOAD"]
    assert found["runs"][0]["parcel"].startswith("38/ORION/t_personne/")
    assert [entry["column_name"] for entry in found["lists"]["quarantine"]] == ["ddn"]
    assert found["journal"][-1]["to_phase"] == "SYNCING"
    for record in found["records"]:
        assert all(mapped == stored for mapped, stored in record["columns"].values())


def test_what_has_no_place_in_the_new_system_is_not_shown_at_all(loaded_project, key, capfd):
    found = trace(loaded_project, capfd, "t_personne", f"38:{key}")

    assert {cell["raw"] for cell in found["trial"]["cells"] if cell["column"] == "religion"} == {None}


def test_a_look_is_logged_with_who_and_why(loaded_project, key, capfd):
    trace(loaded_project, capfd, "t_personne", f"38:{key}")

    assert loaded_project.ask(
        loaded_project.store,
        "select actor, operation, reason, record_refs from mig.processing_log order by sequence desc limit 1",
    ) == [("tester", "consultation", "test of a trace", [f"38.ORION/t_personne/{key}"])]


def test_without_a_reason_nothing_is_read_or_logged(loaded_project, key, capfd):
    before = loaded_project.ask(loaded_project.store, "select count(*) from mig.processing_log")

    assert loaded_project.banyan("trace", "t_personne", f"38:{key}", "--reason", "  ") == 2
    assert loaded_project.banyan("map", "try", "38", f"t_personne:{key}") == 2

    said = capfd.readouterr()
    assert "only with a reason" in said.err
    assert said.out == ""
    assert loaded_project.ask(loaded_project.store, "select count(*) from mig.processing_log") == before


def test_a_case_is_found_by_its_number_and_a_record_by_its_id(loaded_project, capfd):
    number, identity = loaded_project.ask(
        loaded_project.store,
        "select min(case_number), min(id::text) from justice.case_file group by rtrim(case_number)"
        " having count(*) = 1 order by 1 limit 1",
    )[0]

    by_number = trace(loaded_project, capfd, "case", f"38:{number.rstrip()}")
    by_id = trace(loaded_project, capfd, "case_file", f"38:{identity}")

    assert by_number["place"] == by_id["place"]
    assert by_number["place"]["table"] == "t_proc"


def test_a_number_that_several_cases_bear_gives_their_keys(loaded_project, capfd):
    number = loaded_project.ask(
        loaded_project.store,
        "select rtrim(case_number) from justice.case_file group by 1 having count(*) > 1 order by 1 limit 1",
    )[0][0]

    assert loaded_project.banyan("trace", "case", f"38:{number}", "--reason", "test") == 2
    assert "t_proc 38:" in capfd.readouterr().err


def test_a_filtered_row_is_told_with_its_rule(loaded_project, capfd):
    key = loaded_project.ask(
        loaded_project.store,
        "select source_key from mig.filtered_row join mig.source_table using (source_table_no)"
        " where table_name = 't_proc' order by 1 limit 1",
    )[0][0]

    found = trace(loaded_project, capfd, "t_proc", f"38:{key}")

    assert found["trial"]["fate"] == "FILTERED"
    assert found["crosswalk"] is None
    assert found["lists"]["filtered"][0]["rule"] == found["trial"]["reason"]


def test_a_rule_is_tried_on_one_row(loaded_project, key, capfd):
    capfd.readouterr()

    assert loaded_project.banyan("map", "try", "38", f"t_personne:{key}", "--reason", "test", "--json") == 0

    trial = json.loads(capfd.readouterr().out)["trial"]
    assert trial["fate"] == "LOADED"
    assert set(trial["records"]) >= {"identity"}


def test_a_trace_is_readable_in_a_terminal(loaded_project, key, capfd):
    capfd.readouterr()

    assert loaded_project.banyan("trace", "t_personne", f"38:{key}", "--reason", "test") == 0

    shown = capfd.readouterr().out
    assert shown.startswith(f"TRACE  38.ORION/t_personne/{key}")
    assert "lives as residue" in shown
    assert "equal to what the rules make of the legacy row now" in shown


def test_each_run_tells_the_fate_a_row_had_there_and_a_row_that_left_says_why(loaded_project, capfd):
    (gone,), (changed,) = loaded_project.ask(
        loaded_project.store,
        "select source_key from mig.crosswalk join mig.source_table using (source_table_no)"
        " where table_name = 't_objet' and deleted_at is null order by source_key desc limit 2",
    )
    loaded_project.ask(loaded_project.legacy, f"delete from orion.t_objet where id_objet = {gone}")
    loaded_project.ask(loaded_project.legacy, f"update orion.t_objet set descr = 'AUTRE' where id_objet = {changed}")
    assert loaded_project.banyan("sync", "run", "38") == 0
    assert loaded_project.banyan("sync", "replay", "38", "--table", "t_objet") == 0
    filtered = loaded_project.ask(
        loaded_project.store,
        "select source_key, rule from mig.filtered_row join mig.source_table using (source_table_no)"
        " where table_name = 't_proc' order by 1 limit 1",
    )[0]

    left = trace(loaded_project, capfd, "t_objet", f"38:{gone}")
    stays = trace(loaded_project, capfd, "t_objet", f"38:{changed}")
    kept_out = trace(loaded_project, capfd, "t_proc", f"38:{filtered[0]}")

    fates = [[(run["kind"], run["fate"], run["why"]) for run in found["runs"]] for found in (left, stays, kept_out)]
    later = stays["runs"][1]["run_no"]
    superseded = ("LOAD", "", f"run {later} found another one since")
    assert fates[0] == [superseded, ("CHANGES", "DELETED", "GONE")]
    assert (left["crosswalk"]["deleted_reason"], left["crosswalk"]["deleted_at"] is None) == ("GONE", False)
    assert fates[1] == [superseded, ("CHANGES", "LOADED", ""), ("CHANGES", "UNCHANGED", "")]
    assert fates[2] == [("LOAD", "FILTERED", filtered[1])]
