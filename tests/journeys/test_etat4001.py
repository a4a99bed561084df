"""État 4001: what police and gendarmerie units of twelve departments recorded, 2012 to 2014, as published."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from file_projects import FileProject, copy_example, in_file_order, on_command_line, open_example
from projects import known_actor

from banyan.config import real_files_folder
from banyan.records import RowCounts
from sync.engine import RunResult
from sync.real_files import apply_after_load

pytestmark = [pytest.mark.real, pytest.mark.journey, pytest.mark.server]
__all__ = ["known_actor"]

ROWS, UNITS, EMPTY = 73_402, 234, 628
CHUNK = 30_000
UNIT = ["force", "departement", "perimetre", "unite"]


@pytest.fixture(scope="module")
def file() -> Path:
    folder = real_files_folder()
    assert folder is not None, "BANYAN_REAL_DATA names the folder of real files"
    return folder / "france" / "etat4001-12dep-2012-2014.csv"


@pytest.fixture(scope="module")
def published(file: Path) -> pd.DataFrame:
    """The file once more, by a reader that shares nothing with ours."""
    return pd.read_csv(file, sep=";", encoding="cp1252", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, make_database) -> tuple[FileProject, RunResult]:
    project = open_example("etat4001", tmp_path_factory.mktemp("etat4001"), make_database)
    return project, project.load(rows_per_chunk=CHUNK)


@pytest.fixture(scope="module")
def state(loaded) -> FileProject:
    project, _ = loaded
    assert after_load(project) == UNITS
    return project


def after_load(project: FileProject) -> int:
    engine = project.place.engine("banyan_forward")
    return apply_after_load(engine, project.project.folder / "after_load.sql", project.department.code)


def test_every_row_is_accounted_for_and_a_unit_of_many_rows_is_one_record(loaded, published):
    project, result = loaded
    distinct_in_chunks = sum(
        len(published.iloc[first : first + CHUNK].drop_duplicates(UNIT)) for first in range(0, ROWS, CHUNK)
    )

    parts = result.total.parts

    assert result.total.rows == RowCounts(read=ROWS, loaded=ROWS)
    assert result.total.is_balanced
    assert (parts.emitted, parts.inserted, parts.updated) == (2 * ROWS, ROWS + UNITS, 0)
    assert parts.merged == ROWS - distinct_in_chunks
    assert parts.unchanged == distinct_in_chunks - UNITS
    assert parts.split == ROWS
    assert result.total.rejected_fields == 0
    assert project.figure("select count(*) from justice.recorded_fact_count") == ROWS
    assert project.figure("select count(*) from justice.enforcement_unit") == UNITS
    assert project.figure("select count(distinct canonical_id) from mig.record_link") == UNITS
    assert project.figure("select count(*) from mig.record_link") == ROWS


def test_a_count_that_was_not_published_stays_empty_and_never_becomes_zero(state, published):
    zeros = int((published.faits == "0").sum())

    empty = state.place.run(
        "select statistical_index_code, split_part(unit_code, '/', 1), count(*)"
        " from justice.recorded_fact_count c join justice.enforcement_unit u on u.id = c.unit_id"
        " where recorded_count is null group by 1, 2 order by 1, 2"
    )

    assert empty == [(96, "GN", 157), (97, "GN", 157), (99, "GN", 157), (100, "GN", 157)]
    assert sum(count for _, _, count in empty) == EMPTY == int((published.faits == "").sum())
    assert state.figure("select count(*) from justice.recorded_fact_count where recorded_count = 0") == zeros
    assert set(published.libelle[published.faits == ""]) == {"Index non utilisé"}


def test_totals_by_department_and_year_are_those_of_the_published_file(state, published):
    numbers = published.assign(faits=pd.to_numeric(published.faits.replace("", None)))
    expected = numbers.groupby(["departement", "annee"]).faits.agg(["sum", "count", "size"])

    found = state.place.run(
        "select split_part(unit_code, '/', 2), year, sum(recorded_count), count(recorded_count), count(*)"
        " from justice.recorded_fact_count c join justice.enforcement_unit u on u.id = c.unit_id group by 1, 2"
    )

    assert len(found) == 36
    assert {(code, str(year)): (int(total), counts, rows) for code, year, total, counts, rows in found} == {
        place: (int(row["sum"]), int(row["count"]), int(row["size"])) for place, row in expected.iterrows()
    }
    assert sum(total for _, _, total, _, _ in found) == 3_535_458


def test_a_unit_is_valid_from_the_first_to_the_last_year_in_which_it_appears(state, published):
    years = published.groupby(UNIT).annee.agg(["min", "max"])
    expected = {"/".join(unit): (f"{row['min']}-01-01", f"{row['max']}-12-31") for unit, row in years.iterrows()}

    found = state.place.run("select unit_code, valid_from::text, valid_to::text from justice.enforcement_unit")

    assert {code: (first, last) for code, first, last in found} == expected
    assert sum(first > "2012-01-01" for _, first, _ in found) == 3
    assert sum(last < "2014-12-31" for _, _, last in found) == 7


def test_the_same_file_loaded_again_changes_nothing(state):
    versions = "select md5(string_agg(id || ' ' || row_version, ',' order by id)) from justice.{}"
    tables = ("recorded_fact_count", "enforcement_unit")
    before = [state.figure(versions.format(table)) for table in tables]

    again = state.load(rows_per_chunk=CHUNK)

    assert again.total.rows == RowCounts(read=ROWS, unchanged=ROWS)
    assert (again.total.parts.inserted, again.total.parts.updated) == (0, 0)
    assert again.total.is_balanced
    assert after_load(state) == 0
    assert [state.figure(versions.format(table)) for table in tables] == before


def test_the_published_file_is_rebuilt_byte_for_byte_from_records_and_residue(state, file):
    written = state.write_back()

    rows = in_file_order(written.rows).drop("$recno")
    lines = [";".join(rows.columns), *(";".join(row) for row in rows.rows())]
    rebuilt = "".join(f"{line}\r\n" for line in lines).encode("cp1252")
    assert rows.height == ROWS
    assert written.degraded.is_empty()
    assert hashlib.sha256(rebuilt).hexdigest() == hashlib.sha256(file.read_bytes()).hexdigest()


def test_on_the_command_line_it_is_loaded_and_every_row_reconciled(tmp_path, make_database, capfd):
    project = on_command_line(copy_example("etat4001", tmp_path), make_database)

    assert project.banyan("load", "FR", "--json") == 0
    (run,) = json.loads(capfd.readouterr().out)["runs"]
    assert project.banyan("recon", "run", "FR.reference", "--json") == 0
    level = json.loads(capfd.readouterr().out)

    assert (run["total"]["rows"]["loaded"], run["after_load"]) == (ROWS, UNITS)
    assert (level["state"], level["rows"], level["different"], level["shared"]) == ("PASS", ROWS, 0, UNITS)
    assert project.figure("select count(*) from justice.enforcement_unit where valid_from is not null") == UNITS
