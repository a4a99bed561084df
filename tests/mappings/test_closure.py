from dataclasses import replace
from pathlib import Path

import pytest

from banyan.errors import RulesetError
from mappings.closure import closure, load_order
from mappings.model import FilterRule, Parent, RuleBook
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import PERSONNE, write_rules

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"


def test_the_shipped_rules_join_cases_and_vehicles_through_persons():
    closures = closure(load_rulebook(ORION), "38")

    joined, custody, documents, logbook, reference = closures
    assert (joined.name, joined.shared_tables) == ("38.cases+vehicles", ("t_personne",))
    assert joined.tables == (
        "t_adresse", "t_fait", "t_implic", "t_objet", "t_personne", "t_proc", "t_suite", "t_tel", "t_vehic",
    )  # fmt: skip
    alone = {one.name: one.tables for one in (custody, documents, logbook) if not one.shared_tables}
    assert alone == {
        "38.custody": ("t_gav", "t_mvt_scelle", "t_scelle"), "38.documents": ("t_piece",), "38.logbook": ("t_mainc",),
    }  # fmt: skip
    assert (reference.name, reference.shared_tables) == ("38.reference", ())
    assert {table for table in reference.tables if not table.startswith("r_")} == {"t_agent", "t_unite"}
    assert len(reference.tables) == 26


def test_domains_join_through_a_third_one(tmp_path: Path):
    book = load_rulebook(write_rules(tmp_path / "rules"))
    rules = book.rulesets["t_personne"]
    tables = {
        "a": _in_domains(rules, "cases", "vehicles", "vehicles"),
        "b": _in_domains(rules, "custody", "documents", "documents"),
        "c": _in_domains(rules, "vehicles", "documents", "documents"),
        "d": _in_domains(rules, "logbook", "logbook", "logbook"),
    }

    closures = closure(RuleBook("ORION", tables, {}), "2A")

    assert [one.name for one in closures] == ["2A.cases+custody+documents+vehicles", "2A.logbook"]
    assert [one.shared_tables for one in closures] == [("a", "b", "c"), ()]


def _in_domains(rules, *domains: str):
    from banyan.departments import Domain

    parts = tuple(replace(part, domain=Domain(name)) for part, name in zip(rules.parts, domains, strict=True))
    return replace(rules, parts=parts)


def test_tables_come_after_those_they_refer_to():
    order = load_order(load_rulebook(ORION))

    place = {table: number for number, table in enumerate(order)}
    assert len(order) == 40
    for child, parent in [
        ("t_agent", "t_unite"), ("t_proc", "t_agent"), ("t_fait", "t_proc"), ("t_implic", "t_proc"),
        ("t_implic", "t_personne"), ("t_suite", "t_implic"), ("t_suite", "t_fait"), ("t_adresse", "t_personne"),
    ]:  # fmt: skip
        assert place[child] > place[parent]


def test_tables_that_refer_to_each_other_in_a_circle_are_refused(tmp_path: Path):
    rules = load_rulebook(write_rules(tmp_path / "rules", PERSONNE)).rulesets["t_personne"]
    first = replace(rules, table="a", filters=(FilterRule("follows", "x", parent=Parent("b", "nom")),))
    second = replace(rules, table="b", filters=(FilterRule("follows", "x", parent=Parent("a", "nom")),))

    with pytest.raises(RulesetError, match="refer to each other in a circle"):
        load_order(RuleBook("ORION", {"a": first, "b": second}, {}))
