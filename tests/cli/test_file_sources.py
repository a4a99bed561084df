"""Write-once files on the command line: loaded, told again, compared; what is wrong with them is said and changes
nothing."""

import json
import zipfile
from pathlib import Path

import pytest
from file_projects import CommandLineProject, on_command_line

pytestmark = pytest.mark.server

LINES = ["unit;year;facts", "ARLES;2012;3", "AIX;2012;", "ARLES;2013;0", "ARLES;2014;2", "AIX;2013;5"]
PROJECT = """\
project: small
departments:
  FR:
    name: France
    time_zone: Europe/Paris
    sources:
      REGISTER:
        medium: {medium}
        url: "{url}"
        encoding: cp1252
        rules: rules
        write_once: true
        after_load: {{statement: validity.sql, writes: {{enforcement_unit: [{columns}]}}}}
    domains: [reference]
"""
RULES = """\
rule: FACTS@1
source: {system: REGISTER, table: facts, key: [$recno], write_once: true}
columns: [$recno, unit, year, facts]
emit:
  - part: count
    table: recorded_fact_count
    domain: reference
    main: true
    fields:
      unit_id: {part: unit}
      year: {from: year, lens: number.integer}
      recorded_count: {from: facts, lens: number.integer}
  - part: unit
    table: enforcement_unit
    domain: reference
    share: [unit]
    fields:
      name: {from: unit}
"""
VALIDITY = Path(__file__).parent.parent.parent / "examples" / "etat4001" / "after_load.sql"


def write_facts(path, lines):
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode("cp1252"))
    return path


def cut_dbf():
    """A table whose header counts three records, cut in the middle of the second one."""
    fields = b"".join(
        name.ljust(11, b"\0") + b"C" + bytes(4) + bytes([8, 0]) + bytes(14) for name in (b"unit", b"year", b"facts")
    )
    header = bytes([3, 126, 1, 1]) + (3).to_bytes(4, "little") + (129).to_bytes(2, "little")
    return (
        header + (25).to_bytes(2, "little") + bytes(20) + fields + b"\r" + b" " + b"ARLES   2012    3       " + b" AI"
    )


def make(folder, make_database, url, *, medium="csv", columns="valid_from, valid_to"):
    folder.joinpath("rules").mkdir(parents=True)
    folder.joinpath("banyan.yaml").write_text(PROJECT.format(medium=medium, url=url, columns=columns))
    folder.joinpath("rules", "facts.yaml").write_text(RULES)
    folder.joinpath("validity.sql").write_text(VALIDITY.read_text())
    return on_command_line(folder, make_database)


@pytest.fixture
def file(tmp_path):
    return write_facts(tmp_path / "facts.csv", LINES)


@pytest.fixture
def small(tmp_path, file, make_database) -> CommandLineProject:
    return make(tmp_path / "project", make_database, f"{file}?separator=;")


def told(project, capfd, *arguments, code=0):
    capfd.readouterr()
    assert project.banyan(*arguments, "--json") == code
    return json.loads(capfd.readouterr().out)


def refused(project, capfd, *arguments, code):
    capfd.readouterr()
    assert project.banyan(*arguments) == code
    return capfd.readouterr().err


def has_store(project):
    return project.figure("select count(*) from pg_namespace where nspname = 'mig'") == 1


def test_files_are_loaded_and_told_again_with_what_followed(small, capfd):
    first, second = (told(small, capfd, "load", "FR") for _ in range(2))

    (before,), (after,) = first["runs"], second["runs"]
    assert (before["is_new"], before["after_load"], before["total"]["rows"]["loaded"]) == (True, 2, 5)
    assert (after["is_new"], after["after_load"], after["total"]) == (False, 0, before["total"])
    assert first["next"] == "banyan recon run FR.reference"
    assert small.figure("select count(*) from mig.run") == 1
    units = small.place.run("select name, valid_from::text, valid_to::text from justice.enforcement_unit order by 1")
    assert units == [("AIX", "2012-01-01", "2013-12-31"), ("ARLES", "2012-01-01", "2014-12-31")]


def test_every_command_that_looks_at_them_answers(small, capfd):
    assert small.banyan("load", "FR") == 0

    (scanned,) = told(small, capfd, "source", "scan", "FR")
    (can,) = told(small, capfd, "source", "capabilities", "FR")
    (status,) = told(small, capfd, "sync", "status")
    sentences = [remark["sentence"] for remark in told(small, capfd, "doctor")]

    assert (scanned["table"], scanned["rows"], scanned["rule"], scanned["missing"]) == ("facts", 5, "FACTS@1", [])
    assert (can["changes by"], can["write-back"], can["fence"]) == ("none", "none", "none")
    assert (status["word"], status["moved"], status["forward_lag"]) == ("ok", "0 of 1", "0 s")
    assert told(small, capfd, "sync", "run", "FR")["runs"] == []
    assert any("files of FR.REGISTER: those of the first copy" in sentence for sentence in sentences)


def test_every_row_is_compared_and_only_what_the_statement_wrote_is_passed_by(small, capfd):
    assert small.banyan("load", "FR") == 0
    sound = told(small, capfd, "recon", "run", "FR.reference")
    small.place.run(
        "update justice.enforcement_unit set valid_to = '2099-12-31' where name = 'AIX'", role="banyan_forward"
    )
    passed_by = told(small, capfd, "recon", "run", "FR.reference")
    wrong = "update justice.enforcement_unit set unit_code = 'X', name = 'Y' where name = 'AIX'"
    small.place.run(wrong, role="banyan_forward")

    capfd.readouterr()
    assert small.banyan("recon", "run", "FR.reference") == 3
    shown = capfd.readouterr().out

    assert (sound["state"], sound["rows"], sound["shared"], sound["doubled"]) == ("PASS", 5, 2, 0)
    assert passed_by["state"] == "PASS"
    assert "unit_code" in shown
    assert "1 records differ" in shown
    assert "not judged because a statement after the load writes them: enforcement_unit.valid_from" in shown


@pytest.mark.parametrize("command", [("plan",), ("run",), ("rollback",), ("abort",), ("status",)])
def test_their_closure_never_changes_its_owner(loaded, capfd, command):
    said = refused(loaded, capfd, "switch", *command, "FR.reference", code=3)

    assert "nothing is written back to them, and no fence can stop a writer. Nothing was touched" in said
    assert loaded.place.run("select owner::text, phase::text from mig.slice") == [("LEGACY", "SYNCING")]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, make_database) -> CommandLineProject:
    home = tmp_path_factory.mktemp("loaded")
    file = write_facts(home / "facts.csv", LINES)
    project = make(home / "project", make_database, f"{file}?separator=;")
    assert project.banyan("load", "FR") == 0
    return project


def test_nothing_is_granted_on_files(loaded, capfd):
    assert "there is no account to grant anything to" in refused(loaded, capfd, "source", "grants", "FR", code=2)


def test_after_a_start_of_the_store_the_load_arms_it(small, capfd):
    assert small.banyan("load", "FR") == 0
    small.place.run("update mig.slice set armed_boot = armed_boot - interval '1 day'")
    (closed,) = told(small, capfd, "sync", "status")

    assert small.banyan("load", "FR") == 0

    assert (closed["word"], closed["following"]) == ("NO", "banyan load FR")
    assert told(small, capfd, "sync", "status")[0]["word"] == "ok"


def test_another_file_after_the_first_copy_is_refused_everywhere(small, file, capfd):
    assert small.banyan("load", "FR") == 0
    write_facts(file, [LINES[0], *reversed(LINES[1:])])

    for arguments in (("load", "FR"), ("sync", "run", "FR"), ("recon", "run", "FR.reference")):
        assert "the files are not the ones that were read before" in refused(small, capfd, *arguments, code=3)

    (status,) = told(small, capfd, "sync", "status")
    remarks = told(small, capfd, "doctor", code=3)
    assert (status["word"], status["forward_lag"]) == ("NO", "STOPPED")
    assert any(remark["word"] == "NO" and "another row now" in remark["sentence"] for remark in remarks)
    assert small.figure("select count(*) from mig.run") == 1
    assert small.figure("select max(row_version) from justice.recorded_fact_count") == 1


def test_without_the_folder_of_real_files_nothing_is_looked_for(tmp_path, make_database, monkeypatch, capfd):
    monkeypatch.delenv("BANYAN_REAL_DATA", raising=False)
    project = make(tmp_path / "project", make_database, "calls/facts.zip?separator=;")

    said = refused(project, capfd, "load", "FR", code=2)

    assert "the environment has no BANYAN_REAL_DATA" in said
    assert "next export BANYAN_REAL_DATA=FOLDER" in said
    assert not has_store(project)
    assert refused(project, capfd, "source", "scan", "FR", code=2)


def test_a_zip_that_is_not_in_the_folder_is_named(tmp_path, make_database, monkeypatch, capfd):
    monkeypatch.setenv("BANYAN_REAL_DATA", str(tmp_path))
    project = make(tmp_path / "project", make_database, "calls/facts.zip?separator=;")

    said = refused(project, capfd, "load", "FR", code=4)

    assert "there is no facts.zip; nothing was read" in said
    assert not has_store(project)


def test_a_cut_zip_is_refused_and_leaves_nothing(tmp_path, file, make_database, capfd):
    packed = tmp_path / "facts.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(file, file.name)
    packed.write_bytes(packed.read_bytes()[:-30])
    project = make(tmp_path / "project", make_database, f"{packed}?separator=;")

    said = refused(project, capfd, "load", "FR", code=3)

    assert "facts.zip is no whole zip that can be unpacked here" in said
    assert list((project.folder / ".banyan" / "files").iterdir()) == []
    assert not has_store(project)


def test_a_zip_with_a_damaged_file_or_two_of_one_name_is_refused(tmp_path, file, make_database, capfd):
    packed = tmp_path / "facts.zip"
    project = make(tmp_path / "project", make_database, f"{packed}?separator=;")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "facts.csv")
    packed.write_bytes(packed.read_bytes().replace(b"ARLES;2014;2", b"ARLES;2014;9"))
    damaged = refused(project, capfd, "load", "FR", code=3)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "one/facts.csv")
        archive.write(file, "other/facts.csv")

    doubled = refused(project, capfd, "load", "FR", code=3)

    assert "is no whole zip" in damaged
    assert "holds two files of one name" in doubled
    assert not has_store(project)


def test_a_cut_table_is_refused_before_there_is_a_store(tmp_path, make_database, capfd):
    table = tmp_path / "facts.dbf"
    table.write_bytes(cut_dbf())
    project = make(tmp_path / "project", make_database, table, medium="dbf")

    said = refused(project, capfd, "load", "FR", code=3)

    assert "its header counts 3 records, 1 whole ones are there" in said
    assert not has_store(project)


def test_a_statement_that_is_not_there_or_writes_what_a_rule_fills_is_refused(tmp_path, file, make_database, capfd):
    project = make(tmp_path / "one", make_database, f"{file}?separator=;")
    project.folder.joinpath("validity.sql").unlink()
    filled = make(tmp_path / "two", make_database, f"{file}?separator=;", columns="name")

    assert "the project has no such file; nothing was loaded" in refused(project, capfd, "load", "FR", code=2)
    assert "enforcement_unit.name: a rule fills it" in refused(filled, capfd, "load", "FR", code=2)
    assert not has_store(project)


def test_a_statement_the_store_refuses_leaves_the_load_to_be_resumed(small, capfd):
    statement = small.folder / "validity.sql"
    text = statement.read_text()
    statement.write_text(text.replace("set valid_from", "set no_such_column"))
    said = refused(small, capfd, "load", "FR", code=2)
    statement.write_text(text)

    (run,) = told(small, capfd, "load", "FR")["runs"]

    assert "validity.sql was refused by the store (42703); nothing of it was written" in said
    assert (run["is_new"], run["after_load"], run["run_no"]) == (False, 2, 1)
    assert small.place.run("select phase::text from mig.slice") == [("SYNCING",)]
