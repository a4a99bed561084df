"""Rows whose key is no text of the encoding declared: each waits as a whole under its bytes, and all others go on."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from projects import TestProject, known_actor, make_project

import mappings
from banyan.config import PROJECT_FILE
from banyan.undecoded import KEY_NOT_DECODED, MARK
from estate.bureau import TABLES, generate_bureau
from estate.bureau_load import write_bureau

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

PAGE = """\
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles, custody]
    sources:
      BUREAU: """
MEDIA = {
    "looks": "{{medium: sqlite, url: brigade.db, rules: rules/bureau}}",
    "journal": "{{medium: sqlite, url: brigade.db, fence: triggers, rules: rules/bureau}}",
    "odbc": "{{medium: odbc, schema: '', url: 'DRIVER=SQLite3;Database={file};', rules: rules/bureau}}",
}
KEY = b"2\xeb\x81"
WAITING = [("SCELLES", MARK + KEY.hex(), None, KEY_NOT_DECODED)]


@pytest.fixture(params=["looks", "journal", pytest.param("odbc", marks=pytest.mark.odbc)])
def project(request, cluster, tmp_path) -> TestProject:
    """A brigade whose seals have keys that somebody types, one of them in bytes of no encoding."""
    made = make_project(cluster, tmp_path / "project")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", made.folder / "rules" / "bureau")
    files = write_bureau(generate_bureau("S", 1), tmp_path / "files")
    file = shutil.copy(next(path for path in files if path.stem == "480010"), made.folder / "brigade.db")
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(f"{head}{PAGE}{MEDIA[request.param].format(file=file)}\n")
    columns = ", ".join(f'"{name}"' for name in TABLES["SCELLES"] if name != "ID")
    type_keys = (
        f"create table typed (ID text primary key, {columns})",
        "insert into typed select cast(ID as text), " + columns + " from SCELLES",
        "drop table SCELLES",
        "alter table typed rename to SCELLES",
        f"update SCELLES set ID = cast(x'{KEY.hex()}' as text), NUMERO = 9001 where ID = (select max(ID) from SCELLES)",
    )
    change(made, *type_keys)
    return made


def change(project, *statements):
    with closing(sqlite3.connect(project.folder / "brigade.db")) as base, base:
        for statement in statements:
            base.execute(statement)


def told(project, capfd, *arguments):
    capfd.readouterr()
    assert project.banyan(*arguments, "--json") == 0
    return json.loads(capfd.readouterr().out)


def waiting(project):
    return project.ask(
        project.store,
        "select table_name, source_key, column_name, cause from mig.quarantine join mig.source_table"
        " using (source_table_no) where state = 'OPEN' and table_name = 'SCELLES'",
    )


def seals(project):
    return {number for (number,) in project.ask(project.store, "select seal_number from justice.evidence")}


def counted(told):
    (run,) = told["runs"]
    return {fate: rows for fate, rows in run["tables"]["SCELLES"]["rows"].items() if rows}


def test_a_row_whose_key_is_no_text_waits_as_a_whole_is_followed_swept_and_comes_in_once_corrected(project, capfd):
    with closing(sqlite3.connect(project.folder / "brigade.db")) as base:
        (rows,) = base.execute("select count(*) from SCELLES").fetchone()
    found = [told(project, capfd, "load", "48")]
    first, loaded = waiting(project), seals(project)

    change(project, f"update SCELLES set NUMERO = 9002 where ID = cast(x'{KEY.hex()}' as text)")
    found.append(told(project, capfd, "sync", "run", "48"))
    changed = waiting(project)
    found.append(told(project, capfd, "sync", "sweep", "48.BUREAU.SCELLES", "--reason", "doubted"))
    swept = waiting(project)
    change(project, f"update SCELLES set ID = '90210' where ID = cast(x'{KEY.hex()}' as text)")
    found.append(told(project, capfd, "sync", "run", "48"))

    assert first == changed == swept == WAITING
    assert [counted(told) for told in found] == [
        {"read": rows, "loaded": rows - 1, "quarantined": 1},
        {"read": 1, "quarantined": 1},
        {"read": rows, "unchanged": rows - 1, "quarantined": 1},
        {"read": 2, "loaded": 1, "deleted": 1},
    ]
    assert "9001" not in loaded
    assert waiting(project) == []
    assert seals(project) == loaded | {"9002"}


def test_a_row_whose_key_is_no_text_is_gone_when_it_is_gone_from_the_file(project, capfd):
    told(project, capfd, "load", "48")
    loaded = seals(project)

    change(project, f"delete from SCELLES where ID = cast(x'{KEY.hex()}' as text)")
    told(project, capfd, "sync", "run", "48")

    assert waiting(project) == []
    assert seals(project) == loaded


def test_such_a_row_is_named_by_the_bytes_of_its_key_and_no_reading_of_them_is_taken(project, capfd):
    told(project, capfd, "load", "48")
    causes = told(project, capfd, "quarantine", "top", "48")["causes"]
    name = next(one["list"] for one in causes if one["cause"] == KEY_NOT_DECODED)

    shown = told(project, capfd, "quarantine", "show", "48", name, "--reason", "which one")["entries"]
    traced = told(project, capfd, "trace", "SCELLES", f"48:{shown[0]['key']}", "--reason", "what stands there")
    wishes = (("--encoding", "cp850"), ("--value", "0x32eb81=290"))
    refused = [project.banyan("quarantine", "repair", "48", name, *wish) for wish in wishes]
    said = capfd.readouterr().err

    assert [one["key"] for one in shown] == [f"0x{KEY.hex()}"]
    assert (traced["trial"]["fate"], traced["trial"]["reason"]) == ("QUARANTINED", KEY_NOT_DECODED)
    assert traced["place"]["key"] == f"0x{KEY.hex()}"
    assert [one["cause"] for one in traced["lists"]["quarantine"]] == [KEY_NOT_DECODED]
    assert refused == [2, 2]
    assert said.count("the next `banyan sync run` brings its row in") == 2


def test_a_closure_with_such_a_row_is_judged_and_its_counts_add_up(project, capfd):
    told(project, capfd, "load", "48")
    name = next(one["name"] for one in told(project, capfd, "map", "closure", "48") if "custody" in one["domains"])
    capfd.readouterr()
    project.banyan("validate", "run", name, "--json")

    levels = json.loads(capfd.readouterr().out)["levels"]

    assert [levels[name]["state"] for name in ("L0", "L1", "L4", "L6")] == ["PASS"] * 4
    assert [levels["L1"][f"SCELLES.{fate}"] for fate in ("rows", "live", "quarantined")] == [3, 2, 1]
