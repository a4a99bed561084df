"""The score of defects: every kind is looked for, or says why it is not, and the figures are those of the rows."""

import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench"))

from defect_score import DETECTORS, NOT_LOOKED_FOR, find_asked, score

from estate.catalogue import Defect
from validation.suites import load_suites

ENTRIES = {"kind": pl.String, "table": pl.String, "key": pl.String, "related_key": pl.String}


def defects(*rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=ENTRIES, orient="row")


def table(**columns: list[str]) -> pl.DataFrame:
    return pl.DataFrame(columns)


def test_each_kind_of_defect_is_looked_for_or_says_why_not():
    kinds = {defect.kind for defect in Defect}

    assert set(DETECTORS) | set(NOT_LOOKED_FOR) == kinds
    assert not set(DETECTORS) & set(NOT_LOOKED_FOR)


def test_each_rule_that_looks_for_a_defect_is_shipped():
    shipped = {f"rule {rule.rule_id}" for suite in load_suites() for rule in suite.rules}

    assert {name for names in DETECTORS.values() for name in names if name.startswith("rule ")} <= shipped


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
