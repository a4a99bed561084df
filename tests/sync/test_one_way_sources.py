"""Sources that are only read, carried end to end: a brigade's SQLite file, and ORION behind an ODBC driver."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from projects import TestProject, known_actor, make_project

import mappings
from banyan.config import PROJECT_FILE
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
      BUREAU: {{medium: sqlite, url: {file}, rules: rules/bureau{more}}}
"""


def numbers(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as base:
        return {str(number) for (number,) in base.execute("select NUMERO || '/' || ID_AFF from SCELLES")}


@pytest.fixture(scope="module")
def bureau(tmp_path_factory) -> Path:
    """One brigade's file, filled by hand for twenty years."""
    files = write_bureau(generate_bureau("S", 1), tmp_path_factory.mktemp("bureau") / "files")
    return max(files, key=lambda file: len(numbers(file)))


@pytest.fixture
def project(cluster, tmp_path, bureau) -> TestProject:
    made = make_project(cluster, tmp_path / "project")
    shutil.copytree(Path(mappings.__file__).parent / "rules" / "bureau", made.folder / "rules" / "bureau")
    shutil.copy(bureau, made.folder / "brigade.db")
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(head + _BUREAU.format(file="brigade.db", more=""))
    return made


def change(project, *statements):
    with closing(sqlite3.connect(project.folder / "brigade.db")) as base, base:
        for statement in statements:
            base.execute(statement)


def told(project, capfd, *arguments, code=0):
    capfd.readouterr()
    assert project.banyan(*arguments, "--json") == code
    return json.loads(capfd.readouterr().out)


def doctor(project, capfd):
    capfd.readouterr()
    project.banyan("doctor")
    return capfd.readouterr().out


def seals(project):
    return [number for (number,) in project.ask(project.store, "select seal_number from justice.evidence order by 1")]


def test_a_sqlite_file_is_copied_then_followed_by_looking_deletes_included(project, capfd):
    before = (project.folder / "brigade.db").read_bytes()

    assert project.banyan("load", "48") == 0
    first = seals(project)

    assert len(first) == len(numbers(project.folder / "brigade.db")) > 2
    assert (project.folder / "brigade.db").read_bytes() == before
    assert project.banyan("sync", "run", "48") == 0
    assert seals(project) == first

    change(
        project,
        "update SCELLES set NUMERO = 9001 where ID = (select min(ID) from SCELLES)",
        "delete from SCELLES where ID = (select max(ID) from SCELLES)",
        "insert into SCELLES (ID, ID_AFF, NUMERO, DESIGNATION) select 90210, min(ID), 9002, 'clef' from AFFAIRES",
    )
    assert project.banyan("sync", "run", "48") == 0
    now = seals(project)
    assert len(now) == len(first)
    assert {"9001", "9002"} <= set(now)

    assert project.banyan("sync", "status") == 0
    assert project.banyan("map", "draft", "48.BUREAU.SCELLES") == 0
    assert "source 48.BUREAU: sqlite, read one way, 2 tables" in doctor(project, capfd)

    capabilities = told(project, capfd, "source", "capabilities", "48")
    assert {(one["changes by"], one["write-back"], one["fence"]) for one in capabilities} == {
        ("snapshot_diff", "none", "none")
    }


def test_a_value_that_only_changed_its_class_is_a_change(project):
    assert project.banyan("load", "48") == 0
    runs = "select count(*) from mig.run where kind = 'CHANGES'"
    assert project.ask(project.store, runs) == [(0,)]

    change(project, "update SCELLES set LIEU = cast(LIEU as blob) where ID = (select min(ID) from SCELLES)")

    assert project.banyan("sync", "run", "48") == 0
    assert project.ask(project.store, runs) == [(1,)]


def test_nothing_is_switched_nor_written_back_where_nothing_can_be(project, capfd):
    assert project.banyan("load", "48") == 0
    capfd.readouterr()

    assert project.banyan("switch", "plan", "48.cases") != 0

    assert "one way" in capfd.readouterr().err


def test_another_file_in_the_place_of_the_one_that_was_copied_is_refused(project, capfd, tmp_path):
    assert project.banyan("load", "48") == 0
    shutil.copy(project.folder / "brigade.db", tmp_path / "other.db")
    (tmp_path / "other.db").rename(project.folder / "brigade.db")
    capfd.readouterr()

    assert project.banyan("sync", "run", "48") != 0

    said = capfd.readouterr().err
    assert "another incarnation" in said
    assert "One that is only read: banyan sync sweep DEPT --reason TEXT" in said


def test_a_new_copy_of_a_file_that_is_only_read_is_read_whole_and_followed_when_somebody_says_why(
    project, capfd, tmp_path
):
    assert project.banyan("load", "48") == 0
    first = seals(project)
    shutil.copy(project.folder / "brigade.db", tmp_path / "other.db")
    (tmp_path / "other.db").rename(project.folder / "brigade.db")
    change(
        project,
        "update SCELLES set NUMERO = 9001 where ID = (select min(ID) from SCELLES)",
        "delete from SCELLES where ID = (select max(ID) from SCELLES)",
    )

    unsaid = project.banyan("sync", "sweep", "48")
    swept = project.banyan("sync", "sweep", "48", "--reason", "the brigade sent its file again")
    now = seals(project)
    change(project, "update SCELLES set NUMERO = 9002 where ID = (select min(ID) from SCELLES)")
    followed = project.banyan("sync", "run", "48")

    assert (unsaid, swept, followed) == (2, 0, 0)
    assert (len(now), "9001" in now) == (len(first) - 1, True)
    assert "9002" in seals(project)


@pytest.mark.torture
@pytest.mark.odbc
def test_orion_behind_odbc_gives_the_same_rows_as_orion_itself(cluster, tmp_path):
    native = make_project(cluster, tmp_path / "native")
    odbc = make_project(cluster, tmp_path / "odbc")
    string = (
        f"DRIVER=PostgreSQL Unicode;SERVER=127.0.0.1;PORT={odbc.port};DATABASE={odbc.legacy};UID=banyan_reader;"
        "SSLMODE=disable"
    )
    (odbc.folder / "odbc.txt").write_text(string)
    file = (odbc.folder / PROJECT_FILE).read_text()
    other = ("reverse_", "fence_", "admin_", "url: postgresql")
    kept = [line for line in file.splitlines() if not line.strip().startswith(other)]
    text = "\n".join(kept).replace("medium: postgresql", f"medium: odbc\n        url: file:{odbc.folder / 'odbc.txt'}")
    (odbc.folder / PROJECT_FILE).write_text(text + "\n")
    for made in (native, odbc):
        (made.folder / ".banyan").mkdir(exist_ok=True)
        (made.folder / ".banyan" / "digest.key").write_bytes(b"k" * 32)

    assert native.banyan("load", "38") == 0
    assert odbc.banyan("load", "38") == 0

    rows = "select source_table_no, source_key, row_hash from mig.crosswalk order by 1, 2"
    assert native.ask(native.store, rows) == odbc.ask(odbc.store, rows)
    assert native.ask(native.store, "select count(*) > 100 from mig.crosswalk") == [(True,)]
