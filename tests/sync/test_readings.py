"""Cells that no encoding declared reads: a steward says what stands there, by its bytes or by a code page."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from brigades import BUREAU, BrigadeWorld, make_brigade
from projects import TestProject, known_actor, make_project, run
from switches import order

import mappings
from banyan.config import PROJECT_FILE, load_project
from cutover.switching import roll_back, switch
from estate.bureau import generate_bureau
from estate.bureau_load import write_bureau
from sync.assembly import open_rig
from sync.workspace import Workspace

__all__ = ["known_actor"]
pytestmark = pytest.mark.server

MEDIA = {
    "sqlite": "{{medium: sqlite, url: brigade.db, rules: rules/bureau}}",
    "odbc": "{{medium: odbc, schema: '', url: 'DRIVER=SQLite3;Database={file};', rules: rules/bureau}}",
}
PAGE = """\
  "48":
    name: Lozère
    time_zone: Europe/Paris
    domains: [reference, cases, vehicles, custody]
    sources:
      BUREAU: """
CELLS = (b"Ga\x82l", b"\x8et\x82", b"x\x9d\x81")
NO_TEXT = "its bytes are no text of the encoding that is declared for its source"


def spoil(file) -> int:
    """Write notes of a code page into three cases of a file, and plain ones into all others; gives how many rows."""
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("update AFFAIRES set MEMO = 'note'")
        ids = [number for (number,) in base.execute("select ID from AFFAIRES order by ID limit 3")]
        for number, raw in zip(ids, CELLS, strict=True):
            base.execute("update AFFAIRES set MEMO = cast(? as text) where ID = ?", (raw, number))
        return base.execute("select count(*) from AFFAIRES").fetchone()[0]


@pytest.fixture(params=["sqlite", pytest.param("odbc", marks=pytest.mark.odbc)])
def project(request, cluster, tmp_path) -> TestProject:
    made = make_project(cluster, tmp_path / "project")
    shutil.copytree(mappings_of("bureau"), made.folder / "rules" / "bureau")
    files = write_bureau(generate_bureau("S", 1), tmp_path / "files")
    file = shutil.copy(next(path for path in files if path.stem == "480010"), made.folder / "brigade.db")
    spoil(file)
    head = (made.folder / PROJECT_FILE).read_text().split('  "38":')[0]
    (made.folder / PROJECT_FILE).write_text(f"{head}{PAGE}{MEDIA[request.param].format(file=file)}\n")
    assert made.banyan("load", "48", "--json") == 0
    return made


def mappings_of(name) -> Path:
    return Path(mappings.__file__).parent / "rules" / name


def told(project, capfd, *arguments, code=0):
    capfd.readouterr()
    assert project.banyan(*arguments, *(["--json"] if code == 0 else [])) == code
    said = capfd.readouterr()
    return json.loads(said.out) if code == 0 else said.err


def cause_of(project, capfd):
    causes = told(project, capfd, "quarantine", "top", "48")["causes"]
    return next(one for one in causes if one["cause"] == NO_TEXT)


def notes(project):
    return {text for (text,) in project.ask(project.store, "select note_text from justice.case_file") if text != "note"}


def test_cells_of_a_code_page_are_read_previewed_replayed_and_taken_back(project, capfd):
    cause = cause_of(project, capfd)
    name = cause["list"]
    shown = told(project, capfd, "quarantine", "show", "48", name, "--reason", "what does it say")["entries"]
    before = notes(project)

    preview = told(project, capfd, "quarantine", "repair", "48", name, "--encoding", "cp850")
    untouched = notes(project)
    said = ("--encoding", "cp850", "--reason", "typed on a DOS", "--apply")
    decided = told(project, capfd, "quarantine", "repair", "48", name, *said)
    told(project, capfd, "quarantine", "replay", "48")
    read = notes(project)
    told(project, capfd, "quarantine", "undo", "48", decided["decisions"][0], "--reason", "another page")

    assert {one["value"] for one in shown} == {f"0x{raw.hex()}" for raw in CELLS}
    assert (cause["fields"], preview["covered"], preview["refused_anew"], untouched) == (3, 3, 0, before)
    assert before == {None}
    assert read == {raw.decode("cp850") for raw in CELLS}
    assert len(decided["decisions"]) == 3
    assert len(notes(project) & read) == 2
    assert cause_of(project, capfd)["fields"] == 1


def test_one_cell_is_read_as_what_the_steward_read_in_it_and_the_others_wait(project, capfd):
    name = cause_of(project, capfd)["list"]
    reading = f"0x{CELLS[0].hex().upper()}=Gaël"

    preview = told(project, capfd, "quarantine", "repair", "48", name, "--value", reading)
    told(project, capfd, "quarantine", "repair", "48", name, "--value", reading, "--reason", "seen on paper", "--apply")
    told(project, capfd, "quarantine", "replay", "48")

    assert (preview["covered"], preview["remaining"]) == (1, {NO_TEXT: 2})
    assert notes(project) == {None, "Gaël"}
    assert cause_of(project, capfd)["fields"] == 2


def test_what_reads_no_cell_is_refused_with_what_does(project, capfd):
    name = cause_of(project, capfd)["list"]
    wishes = (
        (("--value", "Gaël=Gaëlle"), "one of its values is not given as bytes"),
        (("--encoding", "cp85o"), "there is no encoding cp85o"),
        (("--encoding", "ascii"), "is a text of ascii"),
    )

    for arguments, why in wishes:
        said = told(project, capfd, "quarantine", "repair", "48", name, *arguments, code=2)

        assert why in said
        assert "Gaëlle" not in said
        assert "nothing was changed" in said


def test_a_cell_that_was_read_goes_back_byte_for_byte(cluster, tmp_path, capfd):
    world = make_brigade(cluster, tmp_path / "project", fence="triggers", name="bureau_readings")
    spoil(world.file.path)
    world.load()
    folder = str(world.rig.workspace.project.folder)
    capfd.readouterr()
    assert run(["-C", folder, "quarantine", "top", "48", "--json"]) == 0
    name = next(one["list"] for one in json.loads(capfd.readouterr().out)["causes"] if one["cause"] == NO_TEXT)
    repair = ("quarantine", "repair", "48", name, "--encoding", "cp850", "--reason", "a DOS", "--apply")
    assert [run(["-C", folder, *one]) for one in (repair, ("quarantine", "replay", "48"))] == [0, 0]
    read = "select note_text from justice.case_file where note_text like 'Ga%'"
    before = world.file.run("select ID, hex(MEMO), typeof(MEMO) from AFFAIRES order by ID")

    folder = world.rig.workspace.project.folder
    world.close()
    world = BrigadeWorld(open_rig(Workspace(load_project(folder)), BUREAU), world.file.path)
    world.sign()
    switch(world.rig, world.closure, order())
    text = world.ask_store(read)
    with world.rig.workspace.engine("banyan_app").begin() as connection:
        connection.exec_driver_sql(
            "update justice.case_file set confidentiality_code = 'CONFIDENTIAL', row_version = row_version + 1"
            " where note_text <> 'note'"
        )
    roll_back(world.rig, world.closure, order())

    after = world.file.run("select ID, hex(MEMO), typeof(MEMO) from AFFAIRES order by ID")
    assert text == [("Gaél",)]
    assert world.is_equal() == ("PASS", 0)
    assert world.file.run("select count(*) from AFFAIRES where CONFID <> 0 and MEMO <> 'note'")[0][0] == len(CELLS)
    assert after == before
    world.close()
