import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.dbf import open_dbf
from connectors.spreadsheet import open_sheet

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml."


def write_workbook(path: Path, cells: dict[str, str]) -> Path:
    """Write a workbook of one sheet `S`; a cell is the inside of its XML element, with its attributes first."""
    rows: dict[int, list[str]] = {}
    for place, cell in cells.items():
        attributes, _, value = cell.rpartition("|")
        rows.setdefault(int(place[1:]), []).append(f'<c r="{place}" {attributes}>{value}</c>')
    body = "".join(f'<row r="{number}">{"".join(rows[number])}</row>' for number in sorted(rows))
    files = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPE}sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{TYPE}styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{TYPE}worksheet+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships"><Relationship Id="r1" Type="{LINKS}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{LINKS}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="14"/>'
        '<xf numFmtId="22"/><xf numFmtId="46"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def text(value: str) -> str:
    return f't="inlineStr"|<is><t xml:space="preserve">{value}</t></is>'


def number(value: str, style: int = 0) -> str:
    return f's="{style}"|<v>{value}</v>'


HEADER = {"A1": text("code"), "B1": text("when")}


def read(path, **options):
    return pl.concat(open_sheet(path, "S", **options).read(2, recno=True))


def test_each_kind_of_cell_has_one_text(tmp_path):
    cells = {
        "A2": text(" 01"), "B2": number("42614", 1),
        "A3": number("38"), "B3": number("42614.5", 2),
        "A4": number("0.1"), "B4": 't="b"|<v>1</v>',
        "A5": number("1234567890123456"), "B5": number("-2.5"),
    }  # fmt: skip
    path = write_workbook(tmp_path / "s.xlsx", HEADER | cells)

    rows = read(path)

    assert rows["code"].to_list() == [" 01", "38", "0.1", "1234567890123456"]
    assert rows["when"].to_list() == ["2016-09-01", "2016-09-01T12:00:00", "TRUE", "-2.5"]
    assert rows["_recno"].to_list() == ["1", "2", "3", "4"]
    assert set(rows.dtypes) == {pl.String}


def test_empty_rows_and_cells_are_kept_so_that_row_numbers_stay_exact(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER | {"B3": text("x"), "A5": text("y")})

    rows = read(path)

    assert rows["code"].to_list() == ["", "", "", "y"]
    assert rows["when"].to_list() == ["", "x", "", ""]


def test_a_cell_in_error_is_given_as_it_shows_and_not_as_empty(tmp_path):
    cells = {"A2": 't="e"|<v>#N/A</v>', "B2": text("x"), "A3": text("y"), "B3": 't="e"|<f>1/0</f><v>#DIV/0!</v>'}
    path = write_workbook(tmp_path / "s.xlsx", HEADER | cells)

    assert read(path).rows() == [("#N/A", "x", "1"), ("y", "#DIV/0!", "2")]


def test_a_duration_is_given_to_the_millisecond_however_long_it_is(tmp_path):
    numbers = ["0.5", "12.5", "11.574085648148147", "0.999999", "300.123456", "-0.25", "-59.00001", "42614"]
    cells = {f"A{row}": number(value, 3) for row, value in enumerate(numbers, 2)}
    path = write_workbook(tmp_path / "s.xlsx", HEADER | cells)

    assert read(path)["code"].to_list() == [
        "43200", "1080000", "1000001", "86399.914", "25930666.598", "-21600", "-5097600.864", "3681849600",
    ]  # fmt: skip


def test_a_duration_that_is_too_long_is_refused(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER | {"A2": number("1e10", 3)})

    with pytest.raises(SourceUnreadable, match="a duration is longer than 999,999,999 days"):
        read(path)


def test_a_date_that_cannot_be_is_given_as_its_number_and_not_as_another_date(tmp_path):
    numbers = ["59", "60", "60.5", "61", "-1", "-0.25", "0.9999999999", "0.5", "2958466"]
    cells = {f"{column}{row}": number(value, 2 if column == "A" else 0)
             for row, value in enumerate(numbers, 2) for column in "AB"}  # fmt: skip
    path = write_workbook(tmp_path / "s.xlsx", HEADER | cells)

    rows = read(path)

    assert rows["code"].to_list() == [
        "1900-02-28", "60", "60.5", "1900-03-01", "-1", "-0.25", "0.9999999999", "12:00:00", "2958466",
    ]  # fmt: skip
    assert rows["when"].to_list() == numbers


def test_a_cell_that_does_not_say_its_place_is_looked_at_too(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER | {"A2": 't="e"|<v>#N/A</v>', "B2": number("-1", 1)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b'r="A2" ', b"").replace(b'r="B2" ', b"").replace(b' r="2"', b""))

    assert read(path).rows() == [("#N/A", "-1", "1")]


def test_a_header_further_down_is_found_only_where_it_is_declared(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", {"A3": text("code"), "B3": text("when"), "A4": text("38")})

    assert read(path, header_row=3).rows() == [("38", "", "1")]
    with pytest.raises(SourceDrifted, match=r"row 1 of sheet S in s\.xlsx is no header"):
        open_sheet(path, "S")


def test_a_sheet_that_starts_at_the_second_column_keeps_its_places(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", {"B1": text("code"), "B2": text("38")})

    with pytest.raises(SourceDrifted, match="a name is missing"):
        open_sheet(path, "S")


def test_other_columns_than_declared_are_named(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER)

    with pytest.raises(SourceDrifted, match=r"missing \['place'\], new \['when'\]"):
        open_sheet(path, "S", columns=("code", "place"))


def test_cells_beside_the_header_stop_the_reading_with_their_row(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER | {"A2": text("a"), "C7": text("secret")})

    with pytest.raises(SourceDrifted, match="row 7: cells to the right") as caught:
        read(path)

    assert "secret" not in str(caught.value)


def test_a_column_named_twice_a_missing_sheet_and_a_file_that_is_no_workbook_are_refused(tmp_path):
    path = write_workbook(tmp_path / "s.xlsx", HEADER | {"C1": text("code")})
    (tmp_path / "n.xlsx").write_bytes(b"PK\x03\x04 no workbook")

    with pytest.raises(SourceDrifted, match=r"names used twice \['code'\]"):
        open_sheet(path, "S")
    with pytest.raises(SourceDrifted, match=r"has no sheet T; it has \['S'\]"):
        open_sheet(path, "T")
    with pytest.raises(SourceUnreadable, match=r"n\.xlsx is no workbook"):
        open_sheet(tmp_path / "n.xlsx", "S")
    with pytest.raises(SourceUnavailable, match=r"absent\.xlsx cannot be opened"):
        open_sheet(tmp_path / "absent.xlsx", "S")


@pytest.mark.real
def test_the_sheet_and_the_table_of_portland_hold_the_same_calls(tmp_path):
    name = "NIJ2016_SEP01_SEP30"
    with zipfile.ZipFile(Path(os.environ["BANYAN_REAL_DATA"]) / "portland/090116_093016_Data.zip") as archive:
        archive.extract(f"{name}.dbf", tmp_path)
        archive.extract(f"{name}.xlsx", tmp_path)

    sheet = pl.concat(open_sheet(tmp_path / f"{name}.xlsx", name).read(5000))
    table = pl.concat(open_dbf(tmp_path / f"{name}.dbf", "cp1252").read(5000))

    assert len(sheet) == len(table) == 18_443
    blanks = pl.all().str.strip_chars(" ")
    left = sheet.select(blanks).select(pl.col("occ_date").str.replace_all("-", ""), pl.nth(0, 1, 2, 3))
    right = table.select(blanks).select("occ_date", pl.nth(0, 1, 2, 3))
    assert sorted(left.rows()) == sorted(right.rows())
