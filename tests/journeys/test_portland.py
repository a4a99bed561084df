"""Calls for service of the Portland police, September 2016: a DBF table, and a workbook of the same month beside it.

The workbook is read by python-calamine, which shares no code with the reader of the table: two readers for one truth.
"""

import json
import shutil
import zipfile
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import python_calamine
from file_projects import FileProject, copy_example, in_file_order, on_command_line, open_example
from projects import known_actor

from banyan.config import real_files_folder
from banyan.errors import SourceDrifted, SourceUnreadable
from banyan.records import RowCounts
from connectors.write_once import DbfFile, open_write_once
from sync.engine import RunResult

pytestmark = [pytest.mark.real, pytest.mark.journey, pytest.mark.server]
__all__ = ["known_actor"]

ROWS, REPEATED, WITHOUT_TRACT = 18_443, 257, 884
TABLE = "NIJ2016_SEP01_SEP30"
NAMES = {
    "CATEGORY": "CATEGORY",
    "CALL_GROUP": "CALL GROUPS",
    "final_case": "final_case_type",
    "CASE_DESC": "CASE DESC",
    "occ_date": "occ_date",
    "x_coordina": "x_coordinate",
    "y_coordina": "y_coordinate",
    "census_tra": "census_tract",
}
"""The columns of the table, cut to ten characters by its format, and what the workbook calls them."""

Row = tuple[object, ...]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    folder = real_files_folder()
    assert folder is not None, "BANYAN_REAL_DATA names the folder of real files"
    home = tmp_path_factory.mktemp("calls")
    with zipfile.ZipFile(folder / "portland" / "090116_093016_Data.zip") as archive:
        archive.extractall(home)
    return home


@pytest.fixture(scope="module")
def workbook(unpacked: Path) -> list[Row]:
    book = python_calamine.CalamineWorkbook.from_path(unpacked / f"{TABLE}.xlsx")
    header, *rows = book.get_sheet_by_name(TABLE).to_python()
    assert header == list(NAMES.values())
    return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, make_database) -> tuple[FileProject, RunResult]:
    project = open_example("portland", tmp_path_factory.mktemp("portland"), make_database)
    return project, project.load()


@pytest.fixture(scope="module")
def written(loaded) -> pl.DataFrame:
    """Every record, rendered back to the fields of the file."""
    project, _ = loaded
    back = project.write_back()
    assert back.degraded.is_empty()
    return in_file_order(back.rows)


# -- what is the same in other clothes, and nothing else, as declared in examples/portland/README.md ---------------


def common_form(column: str, cell: object) -> object:
    """Say what a cell of either file means: the tolerances of the comparison, and all of them."""
    if isinstance(cell, str):
        text = cell.rstrip(" ")
        match column:
            case "occ_date":
                return date(int(text[:4]), int(text[4:6]), int(text[6:]))
            case "x_coordina" | "y_coordina" | "census_tra":
                if column == "census_tra" and text.strip(" ") in ("", "0.000000"):
                    return None
                return Decimal(text.strip(" "))  # an empty coordinate would be no tolerance: it stops here
            case _:
                return text
    return Decimal(str(cell)) if isinstance(cell, float | int) else cell


def cause_of(column: str, ours: object, theirs: object) -> str:
    match column:
        case "occ_date":
            return "form of a date"
        case "x_coordina" | "y_coordina":
            return "form of a number"
        case "census_tra":
            return "form of a number" if theirs != "" else "zero for no tract"
        case _:
            return "padding" if str(ours).rstrip(" ") == str(theirs).rstrip(" ") else "unexplained"


def compare(ours: list[Row], theirs: list[Row]) -> tuple[Counter, Counter, Counter]:
    """Compare two multisets of rows: what only one has, and how many cells are the same in other clothes, by cause."""

    def meaning(row: Row) -> Row:
        return tuple(common_form(column, cell) for column, cell in zip(NAMES, row, strict=True))

    left, right = Counter(map(meaning, ours)), Counter(map(meaning, theirs))
    causes: Counter = Counter()
    by_meaning = [sorted(rows, key=lambda row: repr(meaning(row))) for rows in (ours, theirs)]
    if left == right:
        for one, other in zip(*by_meaning, strict=True):
            pairs = zip(NAMES, one, other, strict=True)
            causes.update((column, cause_of(column, a, b)) for column, a, b in pairs if a != b)
    return left - right, right - left, causes


# ------------------------------------------------------------------------------------------------------------------


def test_every_call_is_accounted_for_and_gives_an_incident_and_a_place(loaded):
    project, result = loaded

    assert result.total.rows == RowCounts(read=ROWS, loaded=ROWS)
    assert (result.total.parts.emitted, result.total.parts.inserted) == (2 * ROWS, 2 * ROWS)
    assert result.total.parts.split == ROWS
    assert result.total.is_balanced
    assert result.total.rejected_fields == 0
    assert project.figure("select count(*) from justice.incident") == ROWS
    assert project.figure("select count(*) from justice.location where census_tract is null") == WITHOUT_TRACT
    assert project.figure("select count(*) from justice.location where x_coordinate is null") == 0
    assert project.figure("select count(*) from mig.quarantine") == 0


def test_a_call_has_a_kind_a_local_day_and_a_place_with_exact_coordinates(loaded):
    project, _ = loaded

    days = project.place.run(
        "select min(occurred_from at time zone 'America/Los_Angeles')::text,"
        " max(occurred_from at time zone 'America/Los_Angeles')::text, min(occurred_from at time zone 'UTC')::text,"
        " count(distinct incident_category_code), min(occurred_precision_code), max(occurred_precision_code)"
        " from justice.incident"
    )
    places = project.place.run(
        "select min(x_coordinate), max(x_coordinate), min(y_coordinate), max(y_coordinate),"
        " count(distinct census_tract) from justice.location"
    )

    assert days == [("2016-09-01 00:00:00", "2016-09-30 00:00:00", "2016-09-01 07:00:00", 74, "DAY", "DAY")]
    assert places == [(Decimal(7_601_457), Decimal(7_715_910), Decimal(651_922), Decimal(728_133), 159)]


def test_the_records_of_the_table_are_written_back_byte_for_byte(written, unpacked):
    stored = (unpacked / f"{TABLE}.dbf").read_bytes()
    header, width = (int.from_bytes(stored[at : at + 2], "little") for at in (8, 10))

    rebuilt = "".join("".join(row) for row in written.select("$deleted", *NAMES).rows()).encode("cp1252")

    assert written["$recno"].to_list() == [str(number) for number in range(1, ROWS + 1)]
    assert len(rebuilt) == ROWS * width
    assert rebuilt == stored[header : header + ROWS * width]


def test_the_canonical_records_are_the_rows_of_the_workbook_as_multisets(written, workbook):
    ours = written.select(*NAMES).rows()

    only_ours, only_theirs, causes = compare(ours, workbook)

    assert (len(ours), len(workbook)) == (ROWS, ROWS)
    assert (only_ours.total(), only_theirs.total()) == (0, 0)
    assert ROWS - len(set(ours)) == ROWS - len(set(workbook)) == REPEATED
    assert causes == {
        ("CATEGORY", "padding"): ROWS,
        ("CALL_GROUP", "padding"): ROWS,
        ("final_case", "padding"): ROWS,
        ("CASE_DESC", "padding"): ROWS,
        ("occ_date", "form of a date"): ROWS,
        ("x_coordina", "form of a number"): ROWS,
        ("y_coordina", "form of a number"): ROWS,
        ("census_tra", "form of a number"): ROWS - WITHOUT_TRACT,
        ("census_tra", "zero for no tract"): WITHOUT_TRACT,
    }


def test_a_lost_call_a_call_told_twice_and_a_moved_call_are_each_found(written, workbook):
    ours = written.select(*NAMES).rows()
    moved = (*ours[2][:4], "20160902", *ours[2][5:])

    only_ours, only_theirs, _ = compare([ours[1], ours[1], moved, *ours[3:]], workbook)

    told_twice, replaced = [tuple(map(common_form, NAMES, row)) for row in (ours[1], moved)]
    assert only_ours == Counter([told_twice, replaced])
    assert only_theirs == Counter(tuple(map(common_form, NAMES, row)) for row in (ours[0], ours[2]))


def test_a_plain_query_of_the_typed_columns_agrees_with_the_workbook(loaded, workbook):
    project, _ = loaded
    expected = Counter(
        (case.rstrip(" "), text.rstrip(" "), day, Decimal(int(x)), Decimal(int(y)), str(int(tract)) if tract else None)
        for _, _, case, text, day, x, y, tract in workbook
    )

    found = project.place.run(
        "select incident_category_code, summary, (occurred_from at time zone 'America/Los_Angeles')::date,"
        " x_coordinate, y_coordinate, census_tract"
        " from justice.incident i join justice.location p on p.id = i.location_id"
    )

    assert Counter(found) == expected


def test_the_columns_kept_as_residue_follow_from_the_type_of_the_call(written):
    for column in ("CATEGORY", "CALL_GROUP"):
        assert written.select("final_case", column).n_unique() == written["final_case"].n_unique() == 74
    assert written["CALL_GROUP"].str.starts_with(" ").sum() == 2_585


def test_the_same_file_loaded_again_changes_nothing(loaded):
    project, _ = loaded

    again = project.load()

    assert again.total.rows == RowCounts(read=ROWS, unchanged=ROWS)
    assert (again.total.parts.inserted, again.total.parts.updated, again.total.parts.unchanged) == (0, 0, 2 * ROWS)
    assert again.total.is_balanced
    assert project.figure("select max(row_version) from justice.incident") == 1


def test_a_file_with_one_other_byte_is_refused_and_the_records_stay(loaded, unpacked, tmp_path):
    project, _ = loaded
    other = tmp_path / "other.dbf"
    stored = bytearray((unpacked / f"{TABLE}.dbf").read_bytes())
    stored[-100] ^= 1
    other.write_bytes(stored)
    runs = project.figure("select count(*) from mig.run")

    with pytest.raises(SourceDrifted, match="not the ones that were read before"):
        project.load(port=open_write_once({TABLE: DbfFile(other, "cp1252")}))

    assert project.figure("select count(*) from mig.run") == runs
    assert project.figure("select max(row_version) from justice.incident") == 1


def test_a_cut_table_stops_before_anything_is_written(unpacked, tmp_path, make_database):
    project = open_example("portland", tmp_path, make_database)
    cut = tmp_path / f"{TABLE}.dbf"
    shutil.copy(unpacked / cut.name, cut)
    with open(cut, "rb+") as file:
        file.truncate(cut.stat().st_size // 2)

    with pytest.raises(SourceUnreadable, match="its header counts 18443 records, 9221 whole ones are there"):
        project.load(port=open_write_once({TABLE: DbfFile(cut, "cp1252")}))

    assert project.figure("select count(*) from mig.run") == 0
    assert project.figure("select count(*) from justice.incident") == 0


def test_on_the_command_line_it_is_loaded_and_every_row_reconciled(tmp_path, make_database, capfd):
    project = on_command_line(copy_example("portland", tmp_path), make_database)

    runs = []
    for _ in range(2):
        assert project.banyan("load", "PDX", "--json") == 0
        runs += json.loads(capfd.readouterr().out)["runs"]
    assert project.banyan("recon", "run", "PDX.logbook", "--json") == 0
    level = json.loads(capfd.readouterr().out)

    assert [(run["is_new"], run["total"]["rows"]["loaded"]) for run in runs] == [(True, ROWS), (False, ROWS)]
    assert (level["state"], level["rows"], level["different"]) == ("PASS", ROWS, 0)
