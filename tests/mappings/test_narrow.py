"""A narrowed ruleset writes the texts of its columns as the whole ruleset does, and nothing else."""

from pathlib import Path

import polars as pl
import pytest

import mappings
from mappings.engine import Lookups, apply_forward, compile_ruleset, write_back, write_texts
from mappings.narrow import narrow
from mappings.ruleset import load_rulebook
from tests.mappings.hand_rules import CONTEXT, OFFENCE, PERSON, SEAL, compiled, current_parts, lookups_of
from tests.mappings.test_apply import dirty_frame

RULES = Path(mappings.__file__).parent / "rules"
BY_HAND = {one.rule_id: compiled(one) for one in (PERSON, OFFENCE, SEAL)}
SHIPPED = {
    f"{system} {table}": compile_ruleset(book.rulesets[table], book, CONTEXT)
    for system, tables in (
        ("orion", ("t_personne", "t_objet")),
        ("marel", ("personnes", "objets")),
        ("bureau", ("AFFAIRES", "SCELLES")),
    )
    for book in [load_rulebook(RULES / system)]
    for table in tables
}


def edited(parts):
    """People edit: texts move to the next record, and of every fifth row each other part is gone."""
    return {
        name: frame.with_columns(pl.col(pl.String).exclude("source_key").shift(1))
        if name == next(iter(parts))
        else frame.gather_every(5)
        for name, frame in parts.items()
    }


CASES = {f"{name}, {edit.__name__}": (plans, edit) for name, plans in BY_HAND.items() for edit in (dict, edited)} | {
    name: (plans, edited) for name, plans in SHIPPED.items()
}


@pytest.mark.parametrize(("plans", "edit"), CASES.values(), ids=CASES)
def test_each_column_alone_is_written_as_the_whole_row_writes_it(plans, edit):
    rows = dirty_frame(plans.ruleset, 150)
    mapped = apply_forward(plans, rows, CONTEXT)
    parts = edit(current_parts(plans, mapped))
    known = Lookups(lookups_of(plans, mapped, rows).keys_by_id)
    whole = write_back(plans, parts, mapped.crosswalk, known).rows

    assert whole.height > 5
    for column in set(plans.written) - set(plans.ruleset.key):
        narrowed = narrow(plans, [column])
        asked = {part.rule.name: parts[part.rule.name] for part in narrowed.parts}
        told = write_texts(narrowed, asked, mapped.crosswalk, known)
        assert column in told.columns
        assert told.equals(whole.select(told.columns)), column


def test_what_a_column_does_not_need_is_left_aside():
    plans = BY_HAND[PERSON.rule_id]

    narrowed = narrow(plans, ["name", "born"])

    assert [part.rule.name for part in narrowed.parts] == ["identity"]
    assert narrowed.written == ("id", "name", "born")
    assert set(narrowed.main.dtypes) == {
        "surname", "surname_use", "birth_date", "birth_date_precision_code", "birth_date_text",
    }  # fmt: skip
    assert narrowed.carried == ()


def test_a_part_comes_with_the_column_that_says_whether_it_is_there():
    plans = SHIPPED["bureau AFFAIRES"]

    narrowed = narrow(plans, ["MEC1_MINEUR"])

    assert {"MEC1_NOM", "MEC1_MINEUR"} <= set(narrowed.written)
    assert "VIC1_NOM" not in narrowed.written


def test_a_column_that_lives_only_as_residue_needs_no_part_but_the_main_one():
    narrowed = narrow(SHIPPED["marel personnes"], ["cree_le"])

    assert [(part.rule.name, part.fields) for part in narrowed.parts] == [("identity", ())]
    assert narrowed.written == ("id_personne", "cree_le")
