"""`banyan quarantine repair | replay | undo` and `banyan sync replay`, on a project whose first copy is made."""

import json

import pytest
from projects import make_project

from cli.repairs import _read_values

pytestmark = pytest.mark.server
NATION, DAY = "XKX", "19500231"

COUNT = "select count(*) from mig.quarantine where state = 'OPEN' and column_name = 'nation'"


@pytest.fixture(scope="module")
def loaded_project(cluster, tmp_path_factory):
    """A project whose old system holds 40 nationalities that no map knows, and 30 impossible birthdays."""
    made = make_project(cluster, tmp_path_factory.mktemp("module") / "project")
    kept = "select id_pers from orion.t_personne where top_supp <> 'O' and trim(nation) <> '' order by id_pers desc"
    change = "update orion.t_personne set {column} = :text where id_pers in (" + kept + " limit {rows})"
    made.ask(made.legacy, change.format(column="nation", rows=40), text=NATION)
    made.ask(made.legacy, change.format(column="ddn", rows=30), text=DAY)
    assert made.banyan("load", "38") == 0
    return made


def find_nation(project, capsys):
    """The greatest cause of nationalities, its first entry's raw text, and how many entries hold that text."""
    capsys.readouterr()
    assert project.banyan("quarantine", "top", "38", "--json") == 0
    causes = json.loads(capsys.readouterr().out)["causes"]
    cause = next(one for one in causes if one["column"] == "nation")
    assert project.banyan("quarantine", "show", "38", cause["list"], "--reason", "test", "--json") == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    text = next(entry["value"] for entry in entries if entry["value"].strip() == NATION)
    return cause, text, [entry["key"] for entry in entries if entry["value"] == text]


def nationality(project, key):
    rows = project.ask(
        project.store,
        "select p.nationality_code, p.row_version from justice.person_identity p join mig.crosswalk c on c.id = p.id"
        " join mig.source_table t using (source_table_no) where t.table_name = 't_personne' and c.source_key = :key",
        key=key,
    )
    return rows[0][0]


def legacy_nation(project, key):
    return project.ask(project.legacy, "select nation from orion.t_personne where id_pers = :key", key=int(key))[0][0]


def log(project):
    return [row[0] for row in project.ask(project.store, "select reason from mig.processing_log order by sequence")]


def test_raw_values_in_quarantine_are_sealed_and_shown_only_with_a_reason(loaded_project, capsys):
    _cause, text, keys = find_nation(loaded_project, capsys)

    query = "select raw from mig.quarantine where raw is not null"
    stored = [bytes(row[0]) for row in loaded_project.ask(loaded_project.store, query)]

    assert text.strip()
    assert [legacy_nation(loaded_project, key) for key in keys[:3]] == [text] * len(keys[:3])
    assert len(stored) > len(keys)
    assert len(set(stored)) == len(stored)
    assert not any(DAY.encode() in one or one.endswith(NATION.encode()) for one in stored)
    assert all(one[:1] == b"\x01" and one[2:5] == b"38/" for one in stored)


def test_a_preview_changes_nothing_and_says_what_would_be(loaded_project, capsys):
    cause, text, keys = find_nation(loaded_project, capsys)
    before = (loaded_project.ask(loaded_project.store, COUNT), log(loaded_project))

    arguments = ("--code", f"{text.strip()}=FRA", "--json")
    assert loaded_project.banyan("quarantine", "repair", "38", cause["list"], *arguments) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["covered"], told["refused_anew"], told["decisions"]) == (len(keys), 0, [])
    assert sum(told["remaining"].values()) == cause["fields"] - len(keys)
    again = f"banyan quarantine repair 38 {cause['list']} --code {text.strip()}=FRA --reason TEXT --apply"
    assert told["next"] == again
    assert (loaded_project.ask(loaded_project.store, COUNT), log(loaded_project)) == before


def test_a_preview_says_that_replay_waits_while_the_new_system_owns(loaded_project, capsys):
    cause, text, _ = find_nation(loaded_project, capsys)
    held = loaded_project.ask(loaded_project.store, "select domain_code, owner, phase from mig.slice")
    owned = (
        "update mig.slice set owner = :owner, phase = :phase, epoch = epoch + 1,"
        " armed_boot = pg_postmaster_start_time() where domain_code = :domain"
    )
    arguments = ("quarantine", "repair", "38", cause["list"], "--code", f"{text.strip()}=FRA", "--json")

    for domain, _, _ in held:
        loaded_project.ask(loaded_project.store, owned, domain=domain, owner="CANONICAL", phase="LIVE")
    assert loaded_project.banyan(*arguments) == 0
    told = json.loads(capsys.readouterr().out)["notes"]
    for domain, owner, phase in held:
        loaded_project.ask(loaded_project.store, owned, domain=domain, owner=owner, phase=phase)
    assert loaded_project.banyan(*arguments) == 0

    waits = "what is decided waits, quarantine replay is refused until it is given back"
    assert told == [f"38.cases+vehicles is LIVE and owned by CANONICAL: {waits}"]
    assert json.loads(capsys.readouterr().out)["notes"] == []


def test_a_code_decision_clears_its_rows_keeps_their_bytes_and_is_taken_back(loaded_project, capsys):
    cause, text, keys = find_nation(loaded_project, capsys)
    code = text.strip()
    before = loaded_project.ask(loaded_project.store, COUNT)[0][0]

    arguments = ("--code", f"{code}=FRA", "--reason", "request 7", "--apply", "--json")
    assert loaded_project.banyan("quarantine", "repair", "38", cause["list"], *arguments) == 0
    (decision,) = json.loads(capsys.readouterr().out)["decisions"]
    assert loaded_project.ask(loaded_project.store, COUNT)[0][0] == before  # still on the list until it is replayed
    assert loaded_project.banyan("quarantine", "replay", "38", "--json") == 0
    replayed = json.loads(capsys.readouterr().out)["runs"]

    assert loaded_project.ask(loaded_project.store, COUNT)[0][0] == before - len(keys)
    assert [run["rows"] for run in replayed] == [len(keys)]
    assert {nationality(loaded_project, key) for key in keys} == {"FRA"}
    states = "select state, count(*) from mig.quarantine where decision is not null group by 1"
    assert loaded_project.ask(loaded_project.store, states) == [("REPLAYED", len(keys))]
    assert loaded_project.banyan("recon", "run", "38.cases") == 0  # what was decided counts for the judge too
    assert loaded_project.banyan("quarantine", "replay", "38") == 0
    assert "no decided entry waits" in capsys.readouterr().out

    assert loaded_project.banyan("quarantine", "undo", "38", decision, "--reason", "wrong map") == 0

    assert loaded_project.ask(loaded_project.store, COUNT)[0][0] == before
    assert {nationality(loaded_project, key) for key in keys} == {None}
    assert {legacy_nation(loaded_project, key) for key in keys} == {text}
    assert [reason for reason in log(loaded_project) if decision in reason] == [
        f"{decision} on {cause['list']}, {len(keys)} entries: request 7",
        f"{decision} undone: wrong map",
        f"rows of {decision}, which was undone: 40 rows",  # those that a rule keeps out as well
    ]
    capsys.readouterr()
    assert loaded_project.banyan("log", "verify") == 0


def test_a_line_of_readings_ends_where_lines_of_files_end_and_nowhere_else(tmp_path):
    (tmp_path / "readings").write_bytes("31\u202802\x85\tx\r\na\rb\t\n\ufeffc\td\n".encode())

    assert _read_values(str(tmp_path / "readings")) == [("31\u202802\x85", "x"), ("a\rb", None), ("\ufeffc", "d")]


def test_a_value_decision_reads_one_text_as_another_and_holds_for_rows_to_come(loaded_project, capsys, tmp_path):
    project = loaded_project
    assert project.banyan("quarantine", "top", "38", "--json") == 0
    causes = json.loads(capsys.readouterr().out)["causes"]
    cause = next(one for one in causes if one["column"] == "ddn")
    assert project.banyan("quarantine", "show", "38", cause["list"], "--reason", "test", "--json") == 0
    entry = json.loads(capsys.readouterr().out)["entries"][0]
    (tmp_path / "readings").write_text(f"{entry['value']}\t19500201\n")
    birth = (
        "select p.birth_date::text, encode(c.residue, 'escape') from justice.person_identity p"
        " join mig.crosswalk c on c.id = p.id join mig.source_table t using (source_table_no)"
        " where t.table_name = 't_personne' and c.source_key = :key"
    )
    common = ("--values-from", str(tmp_path / "readings"), "--reason", "paper file", "--apply", "--json")
    assert project.banyan("quarantine", "repair", "38", cause["list"], *common) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["covered"] >= 1
    assert project.banyan("quarantine", "repair", "38", cause["list"], *common) == 0
    assert json.loads(capsys.readouterr().out)["decisions"] == told["decisions"]  # the same again is the same
    assert project.banyan("quarantine", "replay", "38") == 0

    found = project.ask(project.store, birth, key=entry["key"])[0]
    assert found[0] == "1950-02-01"
    assert entry["value"] in found[1]  # what the old system holds is kept beside it, and goes back as it was
    sealed = project.ask(project.store, "select raw, read_as from mig.decision where kind = 'VALUE'")[0]
    assert not any(entry["value"].encode() in bytes(one) or b"1950" in bytes(one) for one in sealed)
    other = project.ask(
        project.store,
        "select c.source_key from justice.person_identity p join mig.crosswalk c on c.id = p.id join mig.source_table t"
        " using (source_table_no) where t.table_name = 't_personne' and p.birth_date is not null"
        " and c.source_key <> :key order by 1 limit 1",
        key=entry["key"],
    )[0][0]
    kept = project.ask(project.legacy, "select ddn from orion.t_personne where id_pers = :key", key=int(other))[0][0]
    change = "update orion.t_personne set ddn = :text where id_pers = :key"
    project.ask(project.legacy, change, text=entry["value"], key=int(other))
    assert project.banyan("sync", "run", "38") == 0
    assert project.ask(project.store, birth, key=other)[0][0] == "1950-02-01"

    assert project.banyan("quarantine", "undo", "38", told["decisions"][0], "--reason", "mistake") == 0
    assert project.ask(project.store, birth, key=entry["key"])[0][0] is None
    assert project.ask(project.store, birth, key=other)[0][0] is None  # also the row that never was in quarantine
    project.ask(project.legacy, change, text=kept, key=int(other))
    assert project.banyan("sync", "run", "38") == 0


def rows_of(project):
    query = "select count(*), count(*) filter (where nationality_code = 'XIT') from justice.person_identity"
    return project.ask(project.store, query)[0]


def test_changed_rules_are_applied_to_what_was_received_without_touching_the_old_system(loaded_project, capsys):
    project = loaded_project
    before, runs = rows_of(project), project.ask(project.store, "select max(run_no) from mig.run")[0][0]
    watermark = project.ask(project.store, "select position from mig.watermark where to_side = 'CANONICAL'")
    project.write("ITA: ITA", "ITA: XIT", "rules/orion/code_maps.yaml")
    project.ask("postgres", f"alter database {project.legacy} allow_connections false")
    try:
        assert project.banyan("sync", "replay", "38", "--table", "t_personne", "--json") == 0
    finally:
        project.ask("postgres", f"alter database {project.legacy} allow_connections true")
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    after = rows_of(project)

    project.write("ITA: XIT", "ITA: ITA", "rules/orion/code_maps.yaml")
    assert project.banyan("sync", "replay", "38", "--table", "t_personne") == 0

    assert (run["kind"], run["is_balanced"], run["run_no"] > runs) == ("CHANGES", True, True)
    assert after[0] == before[0]
    assert after[1] > before[1] == 0
    assert rows_of(project) == before
    assert project.ask(project.store, "select position from mig.watermark where to_side = 'CANONICAL'") == watermark
    assert project.banyan("recon", "run", "38.cases") == 0


def test_wishes_that_no_rule_would_read_are_refused(loaded_project, capsys):
    cause, text, _ = find_nation(loaded_project, capsys)
    before = log(loaded_project)

    for arguments, message in (
        ((), "nothing is wished"),
        (("--code", "X"), "is not CODE=MEANING"),
        (("--value", "x"), "is not TEXT=TEXT"),
        (("--code", f"{text.strip()}=FRA", "--apply"), "needs its reason"),
    ):
        assert loaded_project.banyan("quarantine", "repair", "38", cause["list"], *arguments) == 2
        assert message in capsys.readouterr().err
    assert loaded_project.banyan("quarantine", "repair", "38", "Q-999999", "--code", "A=B") == 2
    assert loaded_project.banyan("quarantine", "undo", "38", "D-999", "--reason", "x") == 2
    assert log(loaded_project) == before


def test_what_the_old_system_could_not_be_told_is_listed_by_cause_and_by_key(loaded_project, capsys):
    listed = (
        "insert into mig.degraded_write_back (department_code, source_table_no, source_key, main_id, canonical_table,"
        " column_name, kind, cause, state) select '38', source_table_no, :key, gen_random_uuid(), 'person_identity',"
        " :column, :kind, 'a cause', :state from mig.source_table where table_name = 't_personne'"
    )
    for key, column, kind, state in (
        ("7", "occupation_text", "TOO_LONG", "OPEN"), ("8", "occupation_text", "TOO_LONG", "OPEN"),
        ("9", "occupation_text", "TOO_LONG", "SETTLED"), ("7", None, "REFUSED", "OPEN"),
    ):  # fmt: skip
        asked = f"{listed} returning 1"
        loaded_project.ask(loaded_project.store, asked, key=key, column=column, kind=kind, state=state)
    capsys.readouterr()

    assert loaded_project.banyan("quarantine", "degraded", "38", "--kind", "TOO_LONG", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    wrong = loaded_project.banyan("quarantine", "degraded", "38", "--kind", "TOO_SHORT")
    refused = capsys.readouterr().err

    assert [(one["kind"], one["column"], one["records"]) for one in told["degraded"]] == [
        ("TOO_LONG", "occupation_text", 2), ("REFUSED", None, 1),
    ]  # fmt: skip
    assert [(one["legacy_table"], one["key"]) for one in told["keys"]] == [("t_personne", "7"), ("t_personne", "8")]
    assert (wrong, "there are REFUSED, TOO_LONG" in refused) == (2, True)
