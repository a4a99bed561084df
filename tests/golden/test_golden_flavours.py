"""The golden records of MAREL and BUREAU, held by their rules there and back."""

from pathlib import Path

import pytest

from mappings.golden import run_golden
from mappings.ruleset import load_rulebook

RULES = Path(__file__).parents[2] / "mappings" / "rules"


@pytest.mark.parametrize(("flavour", "at_least"), [("marel", 13), ("bureau", 3)])
def test_the_rules_of_a_flavour_hold_their_golden_records_there_and_back(flavour, at_least):
    run = run_golden(load_rulebook(RULES / flavour), RULES / flavour)

    assert [(one.table, one.name, one.differences) for one in run.results if not one.holds] == []
    assert (run.diagnostics, run.without) == ((), ())
    assert len(run.results) >= at_least
