"""A brigade's SQLite file that is read and written back, as people at the command line meet it."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from projects import TestProject, known_actor, make_project
from sqlites import LegacyFile

import mappings
from banyan.config import PROJECT_FILE, SourceConfig
from estate.bureau import generate_bureau
from estate.bureau_load import write_bureau

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

_BUREAU = """\
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles, custody]
    sources:
      BUREAU: {{medium: sqlite, url: brigade.db, fence: {fence}, rules: rules/bureau}}
"""


def make(cluster, folder: Path, fence: str) -> TestProject:
    made = make_project(cluster, folder / "project")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", made.folder / "rules" / "bureau")
    files = write_bureau(generate_bureau("S", 1), folder / "files")
    shutil.copy(next(path for path in files if path.stem == "480010"), made.folder / "brigade.db")
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(head + _BUREAU.format(fence=fence))
    return made


def told(project, capfd, *arguments, code=0):
    capfd.readouterr()
    assert project.banyan(*arguments, "--json") == code
    return json.loads(capfd.readouterr().out)


def seals(project):
    return [number for (number,) in project.ask(project.store, "select seal_number from justice.evidence order by 1")]


def test_a_file_behind_triggers_is_followed_by_its_journal_and_what_left_no_entry_is_found(cluster, tmp_path, capfd):
    project = make(cluster, tmp_path, "triggers")
    file = LegacyFile(project.folder / "brigade.db")
    grants = {plan["rung"]: plan for plan in told(project, capfd, "source", "grants", "48")}
    assert "banyan_journal" not in str(file.run("select group_concat(name) from sqlite_master"))
    assert any(
        line.startswith("CREATE TRIGGER") and "banyan_journal_insert_SCELLES" in line for line in grants["R3"]["grant"]
    )
    assert any("banyan_fence_update_AFFAIRES" in line for line in grants["R4"]["grant"])

    assert project.banyan("load", "48") == 0
    first = seals(project)
    file.run("update SCELLES set NUMERO = 9001 where ID = 1", "delete from SCELLES where ID = 2")
    file.run_with_triggers_off("insert into SCELLES (ID, ID_AFF, NUMERO) select 90210, min(ID), 9002 from AFFAIRES")
    assert project.banyan("sync", "run", "48") == 0

    assert len(first) == len(seals(project)) == 3
    assert {"9001", "9002"} <= set(seals(project))
    assert project.banyan("sync", "run", "48") == 0
    assert project.ask(project.store, "select count(*) from mig.run where kind = 'CHANGES'") == [(1,)]

    found = told(project, capfd, "source", "capabilities", "48")
    assert {(one["changes by"], one["write-back"], one["fence"]) for one in found} == {("journal", "sql", "online")}
    assert all("clock of this machine" in one["note"] for one in found)
    capfd.readouterr()
    project.banyan("doctor")
    doctor = capfd.readouterr().out
    assert "source 48.BUREAU: sqlite, both ways, 2 tables; fence: triggers: the file stands on a disk" in doctor
    assert "capture of 48.BUREAU: on 2 tables, as installed" in doctor
    assert "fence of 48.cases+vehicles: on 1 tables, OPEN" in doctor

    file.run("drop trigger banyan_fence_update_AFFAIRES")
    plan = told(project, capfd, "switch", "plan", "48.cases+vehicles", code=3)
    assert any("banyan_fence_update_AFFAIRES is missing" in one["sentence"] for one in plan["obstacles"])


def test_cells_of_another_encoding_wait_in_quarantine_and_every_row_is_loaded(cluster, tmp_path, capfd):
    project = make(cluster, tmp_path, "triggers")
    file = LegacyFile(project.folder / "brigade.db")
    file.run("update AFFAIRES set MEMO = 'note'", "update SCELLES set NUMERO = 1")
    file.run(
        "update AFFAIRES set MEMO = cast(x'4761eb6c' as text) where ID = (select min(ID) from AFFAIRES)",
        "update AFFAIRES set OUV_LE = cast(x'31e9' as text) where ID = (select max(ID) from AFFAIRES)",
    )
    (rows,) = file.run("select count(*) from AFFAIRES")[0]

    assert project.banyan("load", "48") == 0

    cause = "its bytes are no text of the encoding that is declared for its source"
    waiting = project.ask(
        project.store, f"select column_name from mig.quarantine where cause like '%{cause}' order by column_name"
    )
    loaded = project.ask(project.store, "select count(*), count(note_text), count(opened_on) from justice.case_file")
    known = project.ask(
        project.store,
        "select count(*) from mig.crosswalk join mig.source_table using (source_table_no)"
        " where table_name = 'AFFAIRES' and deleted_at is null",
    )
    assert waiting == [("MEMO",), ("OUV_LE",)]
    assert known == [(rows,)]
    assert loaded[0][1] == loaded[0][0] - 1

    file.run("update AFFAIRES set MEMO = cast(x'e9e9' as text) where ID = (select max(ID) from AFFAIRES)")
    assert project.banyan("sync", "run", "48") == 0

    again = project.ask(project.store, f"select count(*) from mig.quarantine where cause like '%{cause}'")
    assert again == [(3,)]
    assert project.ask(project.store, "select count(note_text) from justice.case_file") == [(loaded[0][1] - 1,)]


def test_a_closed_window_moves_everything_a_file_holds_and_the_plan_says_so(cluster, tmp_path, capfd):
    project = make(cluster, tmp_path, "closed_window")

    assert project.banyan("load", "48") == 0

    found = told(project, capfd, "source", "capabilities", "48")
    assert {(one["changes by"], one["write-back"], one["fence"]) for one in found} == {
        ("journal", "sql", "closed_window")
    }
    closures = told(project, capfd, "map", "closure", "48")
    assert [(one["name"], one["tables"], one["domains"]) for one in closures] == [
        ("48.cases+custody+vehicles", ["AFFAIRES", "SCELLES"], ["cases", "custody", "vehicles"])
    ]
    assert {"case_file", "evidence"} <= {name.split(".")[-1] for name in closures[0]["canonical_tables"]}
    by_rules = told(project, capfd, "map", "closure", "48", str(project.folder / "rules" / "bureau"))
    assert [one["name"] for one in by_rules] == ["48.cases+vehicles", "48.custody"]
    plan = told(project, capfd, "switch", "plan", "48.cases+custody+vehicles", code=3)
    assert any("moved aside" in one for one in plan["remarks"])
    assert plan["fenced_tables"] == ["AFFAIRES", "SCELLES"]
    with closing(sqlite3.connect(project.folder / "brigade.db")) as base:
        assert base.execute("select count(*) from sqlite_master where name like 'banyan_fence_%'").fetchone() == (0,)
    capfd.readouterr()
    project.banyan("doctor")
    assert "fence: closed_window: no lock or trigger is trusted" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"medium": "postgresql", "fence": "triggers"}, "chosen for a SQLite file"),
        ({"medium": "sqlite", "fence": "triggers", "capture": "snapshot"}, "knows its own echoes"),
        ({"medium": "sqlite", "capture": "journal"}, "looking at every row"),
        ({"medium": "sqlite", "fence": "advisory_lock"}, "triggers"),
        ({"medium": "sqlite", "files": ["480001.db"]}, "of a SQLite source with a fence"),
        ({"medium": "sqlite", "fence": "triggers", "files": ["../480001.db"]}, "names files in the folder"),
        ({"medium": "sqlite", "fence": "triggers", "files": ["480001.db", "480001.sqlite"]}, "have one name"),
    ],
)
def test_a_fence_that_cannot_be_is_refused_in_the_project_file(given, why):
    with pytest.raises(ValueError, match=why):
        SourceConfig.model_validate({"url": "brigade.db", "rules": "rules/bureau"} | given)
