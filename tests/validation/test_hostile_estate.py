"""Hostile values of the estate, from the old system to page, sheet and terminal: carried to the letter, never acting.

The estate plants texts that are a formula to a spreadsheet, a script to a browser, and marks that clear a terminal or
turn what follows them around. They are loaded, changed behind everybody, judged, and reported in both languages.
"""

import csv
import re
import zipfile
from pathlib import Path

import psycopg
import pytest
from browsing import as_printed, count_printed_sheets, measure_overflow, open_in_browser
from projects import TestProject, known_actor, loaded_project

from estate.orion import generate

__all__ = ["known_actor", "loaded_project"]

CLOSURE = "38.cases+vehicles"
ROGUE = "@SUM(1)<img src=x onerror=alert(2)>\x1b]0;owned\x07\u202erogue"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
COMPUTED = re.compile(r"^[ \t]*[=+@\t\r]|^-(?![0-9]+(\.[0-9]+)?$)")
RUNS = re.compile(r"<script|<img|onerror\s*=|javascript:", re.IGNORECASE)
PAPER = 718
"""Pixels between the margins of an A4 sheet: 190 mm."""
WIDTHS = {"a laptop": 1366, "a laptop at 125 %": 1093}


def planted() -> dict[str, dict[str, str]]:
    """Texts that the estate plants, by defect and legacy key."""
    estate = generate("XS", 1)
    found: dict[str, dict[str, str]] = {}
    for kind, table, key, column in estate.defects.select("kind", "table", "key", "column").iter_rows():
        if kind.startswith("hostile_"):
            frame = estate.tables[table]
            found.setdefault(kind, {})[key] = frame.filter(frame.to_series(0) == key)[column].item()
    return found


@pytest.fixture(scope="module")
def judged(loaded_project) -> TestProject:
    """The project, two of its hostile texts changed behind everybody, and a judgement that found it."""
    address = loaded_project.url(loaded_project.store, "banyan_forward").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        for table, column in (("item", "description"), ("case_file", "note_text")):
            changed = connection.execute(
                f"update justice.{table} set {column} = %s where id ="
                f" (select id from justice.{table} where {column} like '%%<script>%%' order by id limit 1)",
                (ROGUE,),
            )
            assert changed.rowcount == 1
    assert loaded_project.banyan("validate", "run", CLOSURE) == 3
    assert loaded_project.banyan("validate", "report", CLOSURE, "--out", str(loaded_project.folder / "out")) == 0
    return loaded_project


@pytest.fixture(scope="module")
def written(judged) -> Path:
    """The folder of the pages."""
    return judged.folder / "out"


def test_the_estate_plants_a_formula_a_script_and_marks_that_act():
    texts = [text for found in planted().values() for text in found.values()]

    assert len(texts) == 5
    assert all('=HYPERLINK("' in text and "<script>" in text for text in texts)
    assert all("\x1b[2J" in text and "\u202e" in text for text in texts)


@pytest.mark.server
def test_they_are_carried_to_the_letter(loaded_project):
    items = planted()["hostile_text"]
    found = loaded_project.ask(
        loaded_project.store,
        "select x.source_key, i.description from justice.item i join mig.crosswalk x on x.id = i.id"
        " join mig.source_table t on t.source_table_no = x.source_table_no"
        " where t.table_name = 't_objet' and x.source_key = any(:keys) and i.description like '%HYPERLINK%'",
        keys=list(items),
    )

    assert found
    assert all(text == items[key] for key, text in found)


@pytest.mark.server
@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_page_of_a_real_judgement_holds_none_of_them(written, language):
    html = (written / f"report.{language}.html").read_text(encoding="utf-8")

    assert ("note_text" in html, "description" in html) == (True, True)  # the two differences are on the page
    assert not RUNS.search(html)
    assert not ACTING.search(html)
    assert "HYPERLINK" not in html and "alert(" not in html


@pytest.mark.server
def test_no_cell_of_a_sheet_is_computed(written):
    sheets = sorted((written / "tables").glob("*.csv"))
    cells = [cell for path in sheets for line in csv.reader(path.read_text("utf-8-sig").splitlines()) for cell in line]
    books = sorted((written / "tables").glob("*.xlsx"))

    assert sheets and books
    assert [cell for cell in cells if COMPUTED.match(cell) or ACTING.search(cell)] == []
    for book in books:
        with zipfile.ZipFile(book) as archive:
            parts = [archive.read(name).decode() for name in archive.namelist() if name.endswith(".xml")]
        assert not any("<f>" in part or "<hyperlink" in part for part in parts)


@pytest.mark.server
def test_no_terminal_acts_on_them(judged, capsys):
    key = next(iter(planted()["hostile_text"]))
    capsys.readouterr()

    for command in (
        ("recon", "explain", CLOSURE),
        ("map", "try", "38", f"t_objet:{key}", "--reason", "test"),
        ("trace", "t_objet", f"38:{key}", "--reason", "test"),
        ("quarantine", "top", "38"),
    ):
        judged.banyan(*command)
        told = capsys.readouterr()
        assert told.out, command
        assert not ACTING.search(told.out + told.err), command


@pytest.mark.server
@pytest.mark.browser
@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_browser_runs_nothing_of_a_real_page_and_no_line_leaves_the_screen_of_a_laptop(written, tmp_path, language):
    page = written / f"report.{language}.html"

    shown, requests = open_in_browser(tmp_path / "shown", page)

    assert requests <= {(written / f"report.{other}.html").as_uri() for other in ("fr", "en")}
    assert "Content Security Policy" not in shown.stderr
    assert {name: measure_overflow(tmp_path / "wide", page, width) for name, width in WIDTHS.items()} == {
        name: [] for name in WIDTHS
    }


@pytest.mark.server
@pytest.mark.browser
@pytest.mark.parametrize("language", ["fr", "en"])
def test_nothing_of_a_real_page_leaves_the_paper_it_is_printed_on(written, tmp_path, language):
    page = written / f"report.{language}.html"

    assert measure_overflow(tmp_path / "paper", as_printed(tmp_path / "paper", page), PAPER) == []
    assert count_printed_sheets(tmp_path / "sheets", page) <= 12
