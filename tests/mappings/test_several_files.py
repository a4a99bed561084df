"""The rules of a system that stands in several files: once for each file, and a reference never leaves its file."""

from pathlib import Path

import pytest

import mappings
from mappings.catalogue import bind_parameters
from mappings.closure import closure, find_references, load_order
from mappings.ruleset import load_rulebook
from mappings.several_files import split_table, spread

RULES = Path(mappings.__file__).parent / "rules"


@pytest.fixture(scope="module")
def book():
    return load_rulebook(RULES / "bureau", department="48")


def test_each_file_has_every_rule_under_names_and_digests_of_its_own(book):
    found = spread(book, ["480001", "480010"])

    assert list(found.rulesets) == ["480001/AFFAIRES", "480001/SCELLES", "480010/AFFAIRES", "480010/SCELLES"]
    assert [one.rule_id for one in found.rulesets.values()] == [one.rule_id for one in book.rulesets.values()] * 2
    assert len({one.digest for one in found.rulesets.values()} | {one.digest for one in book.rulesets.values()}) == 6
    assert found.digest != book.digest


def test_a_reference_stays_in_its_file(book):
    found = spread(book, ["480001", "480010"])

    for table, ruleset in found.rulesets.items():
        named = {
            str(bind_parameters(rule.lens)["target"])
            for part in ruleset.parts
            for rule in part.fields
            if rule.lens is not None and rule.lens.name == "ref"
        }
        assert named == ({f"{split_table(table)[0]}/AFFAIRES.case"} if table.endswith("SCELLES") else set())
    assert find_references(found.rulesets["480010/SCELLES"]) == {"480010/AFFAIRES"}
    order = load_order(found)
    assert all(order.index(f"{file}/AFFAIRES") < order.index(f"{file}/SCELLES") for file in ("480001", "480010"))


def test_look_ups_and_parents_of_filters_stay_in_their_file():
    found = spread(load_rulebook(RULES / "marel"), ["a", "b"])

    parents = {
        (split_table(table)[0], split_table(one.parent.table)[0])
        for table, ruleset in found.rulesets.items()
        for one in ruleset.filters
        if one.parent is not None
    }
    assert parents == {("a", "a"), ("b", "b")}
    assert all(split_table(other)[0] == split_table(table)[0]
               for table, ruleset in found.rulesets.items() for other in find_references(ruleset))  # fmt: skip


def test_the_domains_of_all_files_move_together(book):
    (cases, custody) = closure(spread(book, ["480001", "480010"]), "48")

    assert cases.name == "48.cases+vehicles"
    assert cases.tables == ("480001/AFFAIRES", "480010/AFFAIRES")
    assert custody.tables == ("480001/SCELLES", "480010/SCELLES")


def test_rules_of_one_place_are_as_they_were(book):
    assert spread(book, []) is book
