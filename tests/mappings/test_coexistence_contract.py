"""The coexistence contract says what the engine does: whatever it forbids is degraded, and nothing else is promised."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from mappings.contract import Check, contract
from mappings.contract_words import say_cause
from mappings.engine import Lookups, MapContext, apply_forward, compile_ruleset, write_back
from mappings.explain import with_owners
from mappings.lenses.lens import Degradation
from mappings.ruleset import load_rulebook
from tests.mappings.test_overlays import write as write_overlay
from tests.mappings.test_repeats import write as write_wide

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
CONTEXT = MapContext("38", "ORION", "Europe/Paris", b"k" * 32, date(2026, 1, 1))
ROW = {
    "id_objet": "1", "id_proc": "2", "cat_obj": "TELEP", "statut_o": "VO", "descr": "X", "qte": "1", "valeur": "1,50",
    "top_supp": "N",
}  # fmt: skip


@pytest.fixture(scope="module")
def orion():
    return load_rulebook(ORION)


def breaches(book, table, part, **values):
    """Edit one record of one row; give what is listed as degraded: column and kind."""
    rules = book.rulesets[table]
    compiled = compile_ruleset(rules, book, CONTEXT)
    columns = list(compiled.hashed)
    rows = pl.DataFrame([{column: ROW.get(column) for column in columns}], schema=dict.fromkeys(columns, pl.String))
    mapped = apply_forward(compiled, rows, CONTEXT)
    parts = with_owners(mapped, compiled)
    schema = parts[part].schema
    parts[part] = parts[part].with_columns(pl.lit(value, schema[name]).alias(name) for name, value in values.items())
    keys = {"t_proc": pl.DataFrame({"id": mapped.parts[part]["case_file_id"], "key": ["2"]})}
    written = write_back(compiled, parts, mapped.crosswalk, Lookups(keys, rows))
    return set(written.degraded.select("column", "kind").rows())


def test_what_the_widths_forbid_is_degraded_and_what_they_allow_is_not(orion):
    terms = [one for one in contract(orion) if one.check is Check.MAX_LENGTH and one.table == "t_objet"]
    assert {(one.columns, one.limit) for one in terms} == {(("description",), 120), (("serial_number",), 30)}

    for term in terms:
        (column,) = term.columns
        assert breaches(orion, "t_objet", "item", **{column: "x" * term.limit}) == set()
        assert breaches(orion, "t_objet", "item", **{column: "x" * (term.limit + 1)}) == {(column, term.degraded)}


def test_every_allowed_code_can_be_written_and_no_other(orion):
    terms = [one for one in contract(orion) if one.check is Check.ALLOWED_VALUES and one.table == "t_objet"]
    assert {one.columns[0] for one in terms} == {"item_category_code", "item_status_code"}

    for term in terms:
        for code in term.allowed:
            assert breaches(orion, "t_objet", "item", **{term.columns[0]: code}) == set()
        assert breaches(orion, "t_objet", "item", **{term.columns[0]: "NONE"}) == {(term.columns[0], term.degraded)}


def test_the_written_width_of_an_amount_is_that_of_the_old_system(orion):
    (term,) = [
        one for one in contract(orion) if one.columns == ("value_eur",) and one.check is Check.MAX_WRITTEN_LENGTH
    ]

    assert term.limit == 12
    assert breaches(orion, "t_objet", "item", value_eur=Decimal("1234567890.25")) != set()
    assert breaches(orion, "t_objet", "item", value_eur=Decimal("1234.25")) == set()


def test_files_that_are_written_once_promise_no_way_back():
    examples = Path(__file__).parents[2] / "examples"

    assert contract(load_rulebook(examples / "portland" / "rules")) == ()


def test_a_repeating_group_has_as_many_records_as_its_row_has_places(tmp_path: Path):
    terms = contract(load_rulebook(write_wide(tmp_path / "rules")))

    counts = {(one.canonical_table, one.limit, one.only) for one in terms if one.check is Check.MAX_RECORDS}
    assert ("participation", 3, (("role_code", "SUSPECT"),)) in counts
    sentences = [one.sentence.french for one in terms if one.limit == 3]
    assert "« suspect » : 3 au plus par fiche « case » ; la ligne de affaires n'a pas d'autre place." in sentences


def test_a_department_that_deviates_has_a_contract_of_its_own(tmp_path: Path):
    folder = write_overlay(tmp_path / "rules")

    widths = [
        {one.limit for one in contract(load_rulebook(folder, department=code)) if one.columns == ("value_raw",)}
        for code in ("31", "38")
    ]

    assert 20 in widths[0]
    assert 20 not in widths[1]


def test_every_kind_of_degradation_that_orion_knows_has_its_term(orion):
    kinds = {one.degraded for one in contract(orion, encoding="cp850")}

    assert kinds >= {kind.value for kind in Degradation}


def test_every_term_of_orion_is_worded_in_both_languages(orion):
    for term in contract(orion, encoding="cp850"):
        assert term.sentence.french
        assert term.sentence.english
        assert term.sentence.french != term.sentence.english
        assert "{" not in term.sentence.french + term.sentence.english
        assert "refuse : «" not in term.sentence.french


def test_a_cause_that_nobody_worded_is_quoted_and_not_lost():
    sentence = say_cause("the moon is full")

    assert sentence.french == "l'ancien système refuse : « the moon is full »"
    assert sentence.english == "the old system refuses: the moon is full"


def test_seconds_are_lost_as_the_contract_says(orion):
    terms = [one for one in contract(orion) if one.columns[:1] == ("occurred_from",)]

    assert any("les secondes sont perdues" in one.sentence.french for one in terms)
