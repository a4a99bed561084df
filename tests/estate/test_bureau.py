"""The files of brigades in Lozère: written as SQLite, read back value by value, mapped by the shipped rules."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import UsageError
from connectors.sqlite import open_sqlite
from estate.bureau import TABLES, brigades_of, generate_bureau
from estate.bureau_load import write_bureau
from estate.bureau_planting import BureauDefect
from mappings.apply import apply_forward
from mappings.closure import closure, load_order
from mappings.compile import compile_ruleset
from mappings.coverage import coverage
from mappings.lint import lint
from mappings.outcomes import MapContext
from mappings.ruleset import load_rulebook

BUREAU = Path(__file__).parents[2] / "mappings" / "rules" / "bureau"


@pytest.fixture(scope="module")
def book():
    return load_rulebook(BUREAU)


@pytest.fixture(scope="module")
def estate():
    return generate_bureau("S", 3)


@pytest.fixture(scope="module")
def mapped(book, estate):
    """Map each file as a legacy system of its own, parents before children."""
    done = {}
    for brigade in brigades_of(estate):
        for table in load_order(book):
            context = MapContext("48", f"BUREAU_{brigade}", "Europe/Paris", b"k" * 32, date(2026, 11, 1))
            rows = estate.tables[f"{brigade}/{table}"]
            done[brigade, table] = apply_forward(compile_ruleset(book.rulesets[table], book, context), rows, context)
    return done


def test_the_same_seed_gives_the_same_files():
    assert generate_bureau("XS", 5).digest() == generate_bureau("XS", 5).digest() != generate_bureau("XS", 6).digest()
    with pytest.raises(UsageError, match="has no BUREAU"):
        generate_bureau("XS", 1, "38")


def test_the_keys_begin_at_one_in_every_file(estate):
    for name, frame in estate.tables.items():
        assert frame["ID"].to_list() == [str(number) for number in range(1, frame.height + 1)], name
    assert len(brigades_of(estate)) >= 10


def test_every_kind_of_defect_is_in_the_ledger_under_a_file_and_a_key_that_exist(estate):
    assert set(estate.defects["kind"]) == {defect.kind for defect in BureauDefect}
    for table, key in estate.defects.select("table", "key").iter_rows():
        brigade, _, number = key.partition(":")
        assert number in set(estate.tables[f"{brigade}/{table}"]["ID"])


@pytest.mark.parametrize(
    ("defect", "sign"),
    [
        (BureauDefect.IMPOSSIBLE_DATE, pl.col("MEC1_DDN").str.contains("/")),
        (BureauDefect.UNKNOWN_NATURE, pl.col("NATURE").is_in(["Divers", "?"])),
        (BureauDefect.SUSPECT_IN_MEMO, pl.col("MEMO").str.contains("4e MEC")),
        (BureauDefect.TEXT_IN_NUMBER, ~pl.col("NATINF").str.contains("^[0-9]+$")),
        (BureauDefect.PLATE_WITHOUT_HYPHENS, pl.col("VEH_IMMAT").str.contains("^[A-Z]{2} [0-9]{3} [A-Z]{2}$")),
    ],
)
def test_the_rows_that_show_a_defect_are_those_the_ledger_names(estate, defect, sign):
    shown = {
        f"{brigade}:{key}"
        for brigade in brigades_of(estate)
        for key in estate.tables[f"{brigade}/{defect.specification.table}"].filter(sign.fill_null(value=False))["ID"]
    }

    assert shown == set(estate.defects.filter(pl.col("kind") == defect.kind)["key"])


def test_a_seal_without_case_is_one_the_ledger_names(estate):
    shown = {
        f"{brigade}:{key}"
        for brigade in brigades_of(estate)
        for key in estate.tables[f"{brigade}/SCELLES"].filter(
            ~pl.col("ID_AFF").is_in(estate.tables[f"{brigade}/AFFAIRES"]["ID"].implode())
        )["ID"]
    }

    assert shown == set(estate.defects.filter(pl.col("kind") == BureauDefect.SEAL_WITHOUT_CASE.kind)["key"])


def test_the_files_hold_what_was_generated_value_by_value(estate, tmp_path):
    paths = write_bureau(estate, tmp_path / "brigades")

    assert tuple(path.stem for path in paths) == brigades_of(estate)
    for path in paths:
        for table, columns in TABLES.items():
            opened = open_sqlite(path, table, encoding="utf-8")
            given = estate.tables[f"{path.stem}/{table}"]
            assert opened.columns == columns
            frames = list(opened.read(1000))
            read = pl.concat(frames) if frames else given.clear()
            assert read.select(columns).equals(given, null_equal=True), (path.stem, table)
    with pytest.raises(UsageError, match="already holds"):
        write_bureau(estate, tmp_path / "brigades")


def test_numbers_are_numbers_and_a_remark_among_them_is_text(estate, tmp_path):
    (path, *_) = write_bureau(estate, tmp_path)

    letters = next(iter(open_sqlite(path, "AFFAIRES", encoding="utf-8").read(1000, storage=True)))["_storage"]

    at = {column: place for place, column in enumerate(TABLES["AFFAIRES"])}
    assert {row[at["ID"]] for row in letters} == {"i"}
    assert {row[at["NUM_AFF"]] for row in letters} == {"t"}
    assert {row[at["FAIT_LE"]] for row in letters} <= {"r", "i"}


def test_the_rules_name_every_column_and_their_remarks_are_known(book):
    assert {table: rules.columns for table, rules in book.rulesets.items()} == TABLES
    assert len(coverage(book)) == sum(len(columns) for columns in TABLES.values())
    assert {remark.message.split(" depends")[0] for remark in lint(book)} == {
        *(f"part suspect_role.{place}" for place in (1, 2, 3)), *(f"part victim_role.{place}" for place in (1, 2)),
        "part car",
    }  # fmt: skip
    assert [found.name for found in closure(book, "48")] == ["48.cases+vehicles", "48.custody"]


def test_every_row_is_loaded_and_every_refusal_is_a_planted_one(estate, mapped):
    refused = set()
    for (brigade, table), fates in mapped.items():
        assert fates.crosswalk.height == estate.tables[f"{brigade}/{table}"].height
        refused |= {(table, f"{brigade}:{key}") for key in fates.rejected_fields["source_key"]}
    planted = {
        (one.specification.table, key)
        for one in (BureauDefect.IMPOSSIBLE_DATE, BureauDefect.UNKNOWN_NATURE, BureauDefect.TEXT_IN_NUMBER)
        for key in estate.defects.filter(pl.col("kind") == one.kind)["key"]
    }
    assert refused == planted


def test_who_stands_side_by_side_becomes_a_person_and_a_role_each(estate, mapped):
    people, roles = 0, 0
    for brigade in brigades_of(estate):
        rows = estate.tables[f"{brigade}/AFFAIRES"]
        parts = mapped[brigade, "AFFAIRES"].parts
        for place in (1, 2, 3):
            there = rows.filter(pl.col(f"MEC{place}_NOM").is_not_null())
            identity, role = parts[f"suspect.{place}"], parts[f"suspect_role.{place}"]
            assert identity["source_key"].to_list() == role["source_key"].to_list() == there["ID"].to_list()
            assert role["person_identity_id"].to_list() == identity["id"].to_list()
            assert set(role["role_sequence"]) <= {place}
            people, roles = people + identity.height, roles + role.height
    assert people == roles > 20


def test_the_same_key_in_two_files_is_two_cases(mapped):
    ids = [fates.crosswalk["id"] for (_, table), fates in mapped.items() if table == "AFFAIRES"]

    every = pl.concat(ids)

    assert every.n_unique() == len(every) > 100


def test_an_ole_day_is_the_day_a_spreadsheet_shows(estate, mapped):
    compared = 0
    for brigade in brigades_of(estate):
        cases = mapped[brigade, "AFFAIRES"].parts["case"].join(
            estate.tables[f"{brigade}/AFFAIRES"], left_on="source_key", right_on="ID"
        )  # fmt: skip
        for opened, raw in cases.select("opened_on", "OUV_LE").iter_rows():
            assert opened.toordinal() - date(1899, 12, 30).toordinal() == int(raw)
            compared += 1
    assert compared > 100
