"""The golden records of MAREL and BUREAU: held by their rules, and by a second reading in pandas."""

import ast
from pathlib import Path

import bureau_in_pandas
import marel_in_pandas
import pytest
from expected_records import columns_of, frame_of, loaded, read_golden, said_by

from mappings.golden import run_golden
from mappings.ruleset import load_rulebook

RULES = Path(__file__).parents[2] / "mappings" / "rules"
READINGS = {"marel": marel_in_pandas, "bureau": bureau_in_pandas}
FILES = [(flavour, path) for flavour in READINGS for path in sorted((RULES / flavour / "golden").glob("*.yaml"))]


@pytest.mark.parametrize(("flavour", "at_least"), [("marel", 13), ("bureau", 3)])
def test_the_rules_of_a_flavour_hold_their_golden_records_there_and_back(flavour, at_least):
    run = run_golden(load_rulebook(RULES / flavour), RULES / flavour)

    assert [(one.table, one.name, one.differences) for one in run.results if not one.holds] == []
    assert (run.diagnostics, run.without) == ((), ())
    assert len(run.results) >= at_least


@pytest.mark.parametrize(("flavour", "path"), FILES, ids=[path.stem for _, path in FILES])
def test_a_second_reading_in_pandas_gives_the_same_records(flavour, path):
    document, columns = read_golden(path), columns_of(RULES / flavour / f"{path.stem.lower()}.yaml")
    compared = 0

    for name, row, expected in loaded(document):
        found = said_by(READINGS[flavour].parts_of(document["golden"], frame_of(columns, row)))

        assert (name, found) == (name, expected)
        compared += 1
    assert compared >= 1


@pytest.mark.parametrize("flavour", READINGS)
def test_the_second_reading_of_a_flavour_uses_no_code_of_the_product(flavour):
    tree = ast.parse(Path(READINGS[flavour].__file__).read_text(encoding="utf-8"))
    imported = {
        name for node in ast.walk(tree)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip

    assert imported == {"pandas", "zoneinfo"}
    assert {path.stem for kind, path in FILES if kind == flavour} <= set(READINGS[flavour].TABLES) | {
        table.lower() for table in READINGS[flavour].TABLES
    }
