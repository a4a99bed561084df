"""Which entries of the list of degraded write-backs the old row makes right when it is read again."""

from pathlib import Path

import pytest

import mappings
from cutover.settle import _follows
from mappings.ruleset import load_rulebook

RULES = Path(mappings.__file__).parent / "rules"


@pytest.mark.parametrize(
    ("table", "column", "follows"),
    [
        ("case_file", "note_text", True),
        ("person_identity", "surname", True),
        ("participation", "role_code", True),
        ("participation", None, True),
        ("case_file", "legal_framework_code", False),
        ("participation", "complaint_filed", False),  # of victims only: a suspect's stays on the list
        ("participation", "minor_at_facts", False),
        ("detention", "started_at", False),
    ],
)
def test_an_entry_follows_when_every_part_that_may_be_meant_fills_its_column(table, column, follows):
    ruleset = load_rulebook(RULES / "bureau", department="48").rulesets["AFFAIRES"]

    assert _follows(ruleset, table, column) is follows
