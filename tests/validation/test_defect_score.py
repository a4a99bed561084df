"""The score of defects: every kind is looked for, or says why it is not, and the figures are those of the rows."""

import sys
from pathlib import Path

import polars as pl
import pytest
from worlds import RULES as ORION_RULES

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench"))

from defect_detectors import LOOKED
from defect_score import copied_project, find_asked, row_of, score, score_project

from estate.flavours import defects_of, generate_estate
from estate.places import Flavour
from mappings.ruleset import load_rulebook
from validation.suites import load_suites

RULES = ORION_RULES.parent

ENTRIES = {"kind": pl.String, "table": pl.String, "key": pl.String, "related_key": pl.String}


def defects(*rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ENTRIES, orient="row")


def table(**columns: list[str]) -> pl.DataFrame:
    return pl.DataFrame(columns)


@pytest.mark.parametrize(("flavour", "department"), [("ORION", "67"), ("MAREL", "35"), ("BUREAU", "48")])
def test_each_kind_of_defect_is_looked_for_or_says_why_not(flavour, department):
    looked = LOOKED[Flavour(flavour)]

    assert {*looked.detectors, *looked.not_looked_for} == {defect.kind for defect in defects_of(department)}
    assert not {*looked.detectors} & {*looked.not_looked_for}


@pytest.mark.parametrize("flavour", Flavour)
def test_each_detector_looks_at_a_rule_a_filter_or_a_column_that_is_shipped(flavour):
    book = load_rulebook(RULES / flavour.value.lower())
    shipped = {f"rule {rule.rule_id}" for suite in load_suites() for rule in suite.rules}
    shipped |= {f"filter {table}.{one.name}" for table, rules in book.rulesets.items() for one in rules.filters}
    shipped |= {
        f"{what} {table}.{column}"
        for table, rules in book.rulesets.items()
        for column in rules.columns
        for what in ("quarantine", "residue")
    }

    named = {name for names in LOOKED[flavour].detectors.values() for name in names}
    assert {name for name in named if not name.startswith("record ")} <= shipped


def test_a_row_of_one_of_several_files_is_named_as_the_ledger_names_it():
    assert row_of("480002/AFFAIRES", "7") == ("AFFAIRES", "480002:7")
    assert row_of("t_proc", "7") == ("t_proc", "7")


def test_what_is_kept_out_or_deleted_is_not_asked_and_nothing_else_is_left_out():
    tables = {"t_personne": table(id_pers=["1", "2", "3", "4"], top_supp=["N", "O", "N", "N"])}
    planted = defects(*(("name_in_lower_case", "t_personne", key, None) for key in "1234"))

    asked = find_asked(planted, tables, {("t_personne", "3")})
    lines = score(asked, {"rule person_identity.surname_in_capitals": {("t_personne", "1"), ("t_personne", "9")}})

    assert asked["name_in_lower_case"].rows == {("t_personne", "1"), ("t_personne", "4")}
    assert [line[:7] for line in lines] == [("name_in_lower_case", "4", "2", "1", "2", "50 %", "50 %")]


def test_a_defect_that_needs_another_case_is_asked_only_while_that_case_is_there():
    tables = {
        "t_adresse": table(id_adr=["7"], top_supp=["N"]),
        "t_implic": table(id_implic=["1", "2"], id_pers=["5", "5"], id_proc=["8", "9"], top_supp=["N", "N"]),
        "t_proc": table(id_proc=["8", "9"], top_supp=["N", "N"]),
    }
    planted = defects(("restricted_by_address", "t_adresse", "7", "5"))

    assert find_asked(planted, tables, set())["restricted_by_address"].rows == {("t_adresse", "7")}
    assert find_asked(planted, tables, {("t_proc", "9")})["restricted_by_address"].rows == frozenset()


def test_a_defect_shows_in_the_rows_that_it_spoils():
    tables = {
        "t_personne": table(id_pers=["5"], top_supp=["O"]),
        "t_implic": table(id_implic=["1", "2"], id_pers=["5", "6"], top_supp=["N", "N"]),
    }
    planted = defects(
        ("deleted_but_referenced", "t_personne", "5", None), ("involvement_without_person", "t_implic", "2", None)
    )

    lines = score(
        find_asked(planted, tables, set()),
        {"rule participation.person_identity_id_exists": {("t_implic", "1"), ("t_implic", "2")}},
    )

    assert [line[3:7] for line in lines] == [("1", "2", "100 %", "100 %")] * 2, "one rule for both kinds"


@pytest.mark.server
@pytest.mark.torture
@pytest.mark.parametrize("department", ["35", "38", "48"])
def test_what_is_looked_for_is_found_in_a_copy_of_each_legacy_system(department):
    size = "XS" if department == "38" else "S"
    estate = generate_estate(size, 1, department)

    with copied_project(estate, size, 1) as folder:
        lines = score_project(folder, estate)

    looked_for = [line for line in lines if line[5]]
    assert {(line[0], line[5]) for line in looked_for if line[5] not in ("100 %", "none left")} == set()
    assert sum(int(line[3]) for line in looked_for) > 5
