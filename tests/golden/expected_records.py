"""Golden records as a second reading meets them: read with PyYAML alone, told as a pandas reading tells its own."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml


def read_golden(path: Path):
    """Read a file of golden records with PyYAML alone: every scalar is the text that stands there."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def columns_of(path: Path) -> list[str]:
    """Give the source columns that a rule file declares, read with PyYAML alone."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["columns"]


def frame_of(columns: list[str], row: Mapping[str, str]) -> pd.DataFrame:
    """Make one raw row; a column left out is null, and the word null too."""
    values = {column: None if row.get(column) in (None, "null") else row[column] for column in columns}
    return pd.DataFrame([values], dtype="string")


def told(value) -> str | None:
    """Say an expected value as a pandas reading says it."""
    if not isinstance(value, dict):
        return None if value == "null" else value
    return f"part/{value['part']}" if "part" in value else f"{value['ref']}/{value['key']}"


def loaded(document) -> list[tuple[str, Mapping[str, str], dict[str, dict[str, str | None]]]]:
    """Give the name, the row and the expected records of each golden record that is loaded."""
    return [
        (
            record["name"],
            record["row"],
            {part: {name: told(value) for name, value in (said or {}).items()}
             for part, said in record.get("records", {}).items()},
        )
        for record in document["records"]
        if record.get("fate", "LOADED") == "LOADED"
    ]  # fmt: skip


def said_by(parts: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, str]]:
    """Give what a pandas reading says of one row: the values that are there, of the records that are there."""
    return {
        part: {name: value for name, value in rows.iloc[0].items() if not pd.isna(value)}
        for part, rows in parts.items() if len(rows)
    }  # fmt: skip
