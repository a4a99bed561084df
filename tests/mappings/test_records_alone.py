"""Records asked for alone need no column that only residue is made of, in every rule that is shipped."""

import random
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import SourceDrifted
from mappings.engine import Wanted, apply_forward, compile_ruleset
from mappings.lookups import find_lookups
from mappings.ruleset import load_rulebook
from tests.mappings.hand_rules import CONTEXT
from tests.mappings.lens_bench import DIRTY

RULES = Path(__file__).parents[2] / "mappings" / "rules"
BOOKS = {name: load_rulebook(RULES / name) for name in ("orion", "marel", "bureau")}
SHIPPED = [(name, table) for name, book in BOOKS.items() for table in book.rulesets]
FREQUENT = ["O", "N", "M ", "F ", "19800203", "18991231", "TOTO", "1", "2"] * 3


def dirty_rows(ruleset, height):
    chance = random.Random(11)
    cells = {
        column: [str(n) if column in ruleset.key else chance.choice([*DIRTY, *FREQUENT]) for n in range(height)]
        for column in ruleset.columns
    }
    return pl.DataFrame(cells, schema=dict.fromkeys(ruleset.columns, pl.String))


@pytest.mark.parametrize("height", [0, 40, 600])
@pytest.mark.parametrize(("system", "table"), SHIPPED, ids=lambda name: name)
def test_records_are_the_same_without_the_columns_that_only_residue_is_made_of(system, table, height):
    ruleset = BOOKS[system].rulesets[table]
    known = pl.DataFrame({"key": ["1", "2"], "value": ["A", None]}, schema={"key": pl.String, "value": pl.String})
    context = replace(CONTEXT, looked_up={one.target: known for one in find_lookups(ruleset)})
    compiled = compile_ruleset(ruleset, BOOKS[system], context)
    rows = dirty_rows(ruleset, height)

    whole = apply_forward(compiled, rows, context)
    alone = apply_forward(compiled, rows.select(compiled.telling), context, wanted=Wanted.RECORDS)

    assert height == 0 or any(part.height for part in whole.parts.values()) or whole.rejected.height
    for name, part in whole.parts.items():
        assert alone.parts[name].equals(part), name
        assert alone.parts[name].schema == part.schema, name
    for fate in ("links", "deleted", "filtered", "rejected", "rejected_fields", "warned_fields"):
        assert getattr(alone, fate).equals(getattr(whole, fate)), fate


def test_a_column_that_records_follow_from_is_missed_and_one_of_residue_alone_only_by_the_whole():
    book = BOOKS["orion"]
    compiled = compile_ruleset(book.rulesets["t_proc"], book, CONTEXT)
    rows = dirty_rows(compiled.ruleset, 3)

    assert set(compiled.hashed) - set(compiled.telling) == {"flag3", "dt_maj"}
    with pytest.raises(SourceDrifted) as whole:
        apply_forward(compiled, rows.drop("flag3"), CONTEXT)
    with pytest.raises(SourceDrifted) as alone:
        apply_forward(compiled, rows.drop("flag3", "num_proc"), CONTEXT, wanted=Wanted.RECORDS)

    assert (whole.value.facts["missing"], alone.value.facts["missing"]) == (["flag3"], ["num_proc"])
