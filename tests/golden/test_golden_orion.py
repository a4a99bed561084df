"""The golden records of ORION: held by the rules, and by a second reading in pandas that shares no code with them."""

import ast
from pathlib import Path

import orion_in_pandas
import pytest
from expected_records import frame_of, loaded, read_golden, said_by
from orion_in_pandas import parts_of

from estate.schema import legacy_tables
from mappings.golden import run_golden
from mappings.ruleset import load_rulebook

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
FILES = sorted((ORION / "golden").glob("*.yaml"))


def test_the_rules_hold_every_golden_record_there_and_back():
    run = run_golden(load_rulebook(ORION), ORION)

    assert [(one.table, one.name, one.differences) for one in run.results if not one.holds] == []
    assert run.diagnostics == ()


def test_every_table_has_golden_records():
    assert {path.stem for path in FILES} == set(legacy_tables())
    assert sum(len(read_golden(path)["records"]) for path in FILES) >= 90


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_second_reading_in_pandas_gives_the_same_records(path: Path):
    document = read_golden(path)
    columns = [column.name for column in legacy_tables()[document["golden"]]]
    compared = 0

    for name, row, expected in loaded(document):
        found = said_by(parts_of(document["golden"], frame_of(columns, row)))

        assert (name, found) == (name, expected)
        compared += 1
    assert compared >= 1


def test_the_second_reading_uses_no_code_of_the_product():
    tree = ast.parse(Path(orion_in_pandas.__file__).read_text(encoding="utf-8"))
    imported = {
        name for node in ast.walk(tree)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip

    assert imported == {"pandas", "zoneinfo"}
