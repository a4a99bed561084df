"""A page in French speaks French: legal bases, causes of quarantine, kinds of degraded write-backs, positions."""

import ast
import importlib
import json
import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest
from sample_evidence import FRESHNESS, NOW, full_story, good_facts, unsigned

import mappings
import mappings.lenses
from banyan.canonical.model import TABLES
from banyan.undecoded import KEY_NOT_DECODED, NOT_DECODED
from mappings import fate_masks
from mappings.lenses.lens import Degradation
from mappings.ruleset import load_rulebook
from validation.behaviour import combine
from validation.evidence import write_bundle
from validation.facts import Positions
from validation.gate import judge
from validation.position_words import say_position
from validation.quarantine_words import say_degraded, say_quarantine
from validation.report import render_report
from validation.table_words import say_total
from validation.text import Language, Text
from validation.wording import measured

RULES = Path(mappings.__file__).parent / "rules"
SNAPSHOT = json.dumps({"incarnation": "7420011223344556677/1/main", "snapshot": "805:812:807,809"})


def causes_of_lenses():
    """Give every cause that a lens can refuse a value for, as the sources write it."""
    for package in (mappings, mappings.lenses):
        for found in pkgutil.iter_modules(package.__path__):
            if found.ispkg:
                continue
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Objection":
                    yield from _written(module, node.args[1])


def _written(module, cause):
    match cause:
        case ast.Constant():
            yield cause.value
        case ast.JoinedStr():
            yield "".join(part.value if isinstance(part, ast.Constant) else "name" for part in cause.values)
        case ast.Name() if hasattr(module, cause.id):
            yield getattr(module, cause.id)


def test_each_cause_that_a_lens_can_give_has_french_words():
    causes = set(causes_of_lenses())

    assert len(causes) >= 30
    assert [cause for cause in sorted(causes) if say_quarantine(cause).fr == cause] == []


@pytest.mark.parametrize(
    "cause",
    [
        fate_masks.KEY_MISSING,
        fate_masks.KEY_UNREADABLE,
        fate_masks.KEY_AMBIGUOUS,
        fate_masks.KEY_REPEATED,
        KEY_NOT_DECODED,
        NOT_DECODED,
    ],
)
def test_a_fault_of_the_key_has_french_words(cause):
    assert say_quarantine(cause).fr != cause


def test_a_cause_after_its_column_keeps_the_column_and_an_unknown_one_stands_for_itself():
    assert say_quarantine("ddn: not a day of the calendar") == Text(
        "ddn\u202f: n’est pas un jour du calendrier", "ddn: not a day of the calendar"
    )
    assert say_quarantine("no row of r_natinf has this key, or several have").fr == (
        "aucune ligne de r_natinf n’a cette clé, ou plusieurs l’ont"
    )
    assert say_quarantine("nobody: knows this") == Text.same("nobody: knows this")


def test_each_kind_of_degraded_write_back_is_said_in_words():
    for kind in (*Degradation, "REFUSED"):
        said = say_degraded(str(kind))
        assert len({said.fr, said.en, str(kind)}) == 3


@pytest.mark.parametrize("system", sorted(folder.name for folder in RULES.iterdir() if folder.is_dir()))
def test_each_shipped_filter_says_its_legal_basis_in_both_languages(system):
    filters = [rule for ruleset in load_rulebook(RULES / system).rulesets.values() for rule in ruleset.filters]

    assert [rule.name for rule in filters if rule.basis_fr in ("", rule.basis)] == []


def test_each_canonical_table_has_a_name_of_the_trade_and_any_other_total_its_own():
    for table in TABLES:
        said = say_total(Text.same(table))
        assert table not in (said.fr, said.en)
    assert say_total(Text.same("Objets")) == Text.same("Objets")


def test_a_position_is_said_in_words():
    assert say_position(SNAPSHOT) == Text(
        "tout ce qui précède la transaction 812, sauf 2 en cours\u202f; histoire de la base 74200112…main",
        "all that lies before transaction 812, but 2 in progress; history of the store 74200112…main",
    )
    assert say_position(json.dumps({"looked": "", "entry": 18})).fr == "écriture 18 du journal"
    assert say_position(json.dumps({"files": {"a": 1, "b": 2}})).en == "2 files"
    within = json.dumps({"incarnation": "2280de0a", "look": 42})
    assert say_position(json.dumps({"files": {"a": "", "b": ""}, "looked": within})).fr == "2 fichiers\u202f; relevé 42"


@pytest.mark.parametrize("position", ["orion:7310/0-5A20", "", "12", "[1]", "{}", '{"looked": ""}', "{"])
def test_a_position_of_another_form_is_said_as_it_is(position):
    assert say_position(position) == Text.same(position)


@pytest.mark.parametrize("language", list(Language))
def test_the_page_says_positions_in_words_and_keeps_them_whole_behind(tmp_path, language):
    facts = replace(good_facts(), positions=Positions(SNAPSHOT, SNAPSHOT))
    bundle = write_bundle(facts, tmp_path / "bundle", previous_id=None)
    judgement = judge(facts.profile, facts, unsigned(bundle.evidence_id), now=NOW, freshness=FRESHNESS)

    page = render_report(facts, judgement, bundle, full_story(), language=language.value)

    assert page.count(f">{say_position(SNAPSHOT).say(language)}<") == 2
    assert page.count("805:812:807,809") == 2, "the whole Position stands where a person points at the words"


def test_a_closure_without_the_tables_of_l5_is_told_so_in_both_languages():
    level = combine([], not_concerned=("open_work", "statistics"))

    assert measured(level, Language.FR) == "l’ensemble n’a aucune des tables que ce niveau compare"
    assert measured(level, Language.EN) == "the closure has none of the tables this level compares"
