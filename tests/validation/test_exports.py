"""The sheets of an evidence: exact, the same bytes again, and nothing in them that a spreadsheet would compute."""

import csv
import io
import re
import zipfile
from dataclasses import replace
from decimal import Decimal

import pytest
from python_calamine import CalamineWorkbook
from sample_evidence import FORMULA, HOSTILE, SECRET, good_facts
from sample_packs import differing, hostile_waived_facts, waived_facts, whole_facts, write_chain

from banyan.canonical.model import Sensitivity
from validation.exports import as_frame, sheets_of, to_csv, write_exports
from validation.facts import Example, Total
from validation.masking import show
from validation.text import Language, Text
from validation.trend import read_history

ACTS = re.compile(r"^\s*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def read_csv(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"))))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return write_exports(hostile_waived_facts(), tmp_path_factory.mktemp("hostile"), language=Language.FR)


def test_no_cell_of_any_csv_starts_a_formula_or_hides_a_character(hostile):
    cells = [cell for path in hostile if path.suffix == ".csv" for line in read_csv(path) for cell in line]

    assert [cell for cell in cells if ACTS.match(cell) and not NUMBER.fullmatch(cell)] == []
    assert [cell for cell in cells if UNSEEN.search(cell)] == []
    assert f"'{FORMULA}" in cells


def test_the_workbook_holds_texts_and_numbers_and_no_formula_link_or_macro(hostile):
    workbook = next(path for path in hostile if path.suffix == ".xlsx")
    with zipfile.ZipFile(workbook) as inside:
        parts = {name: inside.read(name).decode("utf-8") for name in inside.namelist()}

    sheets = "".join(text for name, text in parts.items() if name.startswith("xl/worksheets/"))
    assert "<f>" not in sheets and "<f " not in sheets
    assert "hyperlink" not in sheets
    assert not [name for name in parts if "vba" in name.lower() or "external" in name.lower()]
    assert not any("http://" in text and "schemas." not in text for text in parts.values())
    opened = CalamineWorkbook.from_path(workbook)
    lines = [line for name in opened.sheet_names for line in opened.get_sheet_by_name(name).to_python()]
    cells = [cell for line in lines for cell in line]
    texts = [cell for cell in cells if isinstance(cell, str)]
    assert f"'{FORMULA}" in texts
    assert [text for text in texts if ACTS.match(text) and not NUMBER.fullmatch(text)] == []


def test_the_same_facts_give_the_same_bytes(tmp_path):
    first = write_exports(whole_facts(), tmp_path / "1", language=Language.EN)
    again = write_exports(whole_facts(), tmp_path / "2", language=Language.EN)

    assert [path.name for path in first] == [path.name for path in again]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_figures_are_exact_whole_decimal_and_very_large(tmp_path):
    large = 2**60 + 1
    facts = replace(good_facts(), control_totals=(
        Total(Text.same("euros"), Decimal("18734.50"), Decimal("18734.51")), Total(Text.same("large"), large, large),
    ))  # fmt: skip

    write_exports(facts, tmp_path, language=Language.EN)

    lines = read_csv(tmp_path / "totals.en.csv")
    assert lines[1] == ["euros", "18734.50", "18734.51", "0.01", ""]
    assert lines[2] == ["large", str(large), str(large), "0", ""]
    sheet = CalamineWorkbook.from_path(tmp_path / "tables.en.xlsx").get_sheet_by_name("totals").to_python()
    assert sheet[2][1] == str(large)
    assert sheet[1][1] == "18734.50"


def test_causes_carry_their_figure_of_before_and_waivers_what_they_accept(tmp_path):
    bundle = write_chain(tmp_path / "runs", differing(12), waived_facts())
    history = read_history(bundle, "38.cases+vehicles")

    write_exports(waived_facts(), tmp_path, language=Language.FR, history=history)

    assert read_csv(tmp_path / "causes.fr.csv")[1] == [
        "person_identity", "birth_date", "date différente", "3", "no", "12",
    ]  # fmt: skip
    assert read_csv(tmp_path / "waivers.fr.csv")[1][:6] == [
        "7", "L4", "person_identity.birth_date", "date différente", "3", "5",
    ]  # fmt: skip
    assert len(read_csv(tmp_path / "findings.fr.csv")) == 4


def test_masked_values_are_absent_from_every_sheet(tmp_path):
    seen = show(SECRET, Sensitivity.IDENTITY)
    example = Example("A", "person_identity", "surname", "0" * 32, seen, "rule", seen, seen)

    paths = write_exports(replace(whole_facts(), examples=(example,)), tmp_path, language=Language.FR)

    for path in paths:
        raw = path.read_bytes()
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as inside:
                raw = b"".join(inside.read(name) for name in inside.namelist())
        assert SECRET.encode() not in raw
    assert read_csv(tmp_path / "examples.fr.csv")[1][4] == seen.text


def test_french_and_english_sheets_have_the_same_tables():
    french, english = (sheets_of(hostile_waived_facts(), language) for language in Language)

    assert french.keys() == english.keys()
    assert {name: [len(cells) for cells in sheet.values()] for name, sheet in french.items()} == {
        name: [len(cells) for cells in sheet.values()] for name, sheet in english.items()
    }


def test_every_hostile_text_alone_is_disarmed():
    content = to_csv(as_frame({"x": list(HOSTILE)})).decode("utf-8-sig")

    for line in csv.reader(io.StringIO(content)):
        assert not ACTS.match(line[0])
        assert not UNSEEN.search(line[0])
