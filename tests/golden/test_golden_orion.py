"""The golden records of ORION: held by the rules, and by a second reading in pandas that shares no code with them."""

import ast
from pathlib import Path

import orion_in_pandas
import pandas as pd
import pytest
import yaml
from orion_in_pandas import parts_of

from estate.schema import legacy_tables
from mappings.golden import run_golden
from mappings.ruleset import load_rulebook

ORION = Path(__file__).parents[2] / "mappings" / "rules" / "orion"
FILES = sorted((ORION / "golden").glob("*.yaml"))


def read(path: Path):
    """Read a file of golden records with PyYAML alone: every scalar is the text that stands there."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def frame_of(table: str, row: dict) -> pd.DataFrame:
    """Make one raw row; a column left out is null, and the word null too."""
    columns = [column.name for column in legacy_tables()[table]]
    values = {column: None if row.get(column) in (None, "null") else row[column] for column in columns}
    return pd.DataFrame([values], dtype="string")


def told(value) -> str | None:
    """Say an expected value as the pandas reading says it."""
    if not isinstance(value, dict):
        return None if value == "null" else value
    return f"part/{value['part']}" if "part" in value else f"{value['ref']}/{value['key']}"


def test_the_rules_hold_every_golden_record_there_and_back():
    run = run_golden(load_rulebook(ORION), ORION)

    assert [(one.table, one.name, one.differences) for one in run.results if not one.holds] == []
    assert run.diagnostics == ()


def test_every_table_has_golden_records():
    assert {path.stem for path in FILES} == set(legacy_tables())
    assert sum(len(read(path)["records"]) for path in FILES) >= 90


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_second_reading_in_pandas_gives_the_same_records(path: Path):
    document = read(path)
    compared = 0
    for record in document["records"]:
        if record.get("fate", "LOADED") != "LOADED":
            continue
        expected = {part: {name: told(value) for name, value in (said or {}).items()}
                    for part, said in record.get("records", {}).items()}  # fmt: skip

        parts = parts_of(document["golden"], frame_of(document["golden"], record["row"]))

        found = {
            part: {name: value for name, value in rows.iloc[0].items() if not pd.isna(value)}
            for part, rows in parts.items() if len(rows)
        }  # fmt: skip
        assert (record["name"], found) == (record["name"], expected)
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
