"""Writing the files of brigades: one SQLite file each, every value in the storage class its text asks for."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from banyan.errors import UsageError
from estate.bureau import TABLES, brigades_of
from estate.orion import Estate

_NUMBERS = re.compile(r"^(ID|ID_AFF|NUMERO|OUV_LE|CLO_LE|FAIT_LE|SCELLE_LE|NATINF|INDEX_4001|TENTATIVE|CONFID)$"
                      r"|_(DDN|MINEUR|PLAINTE)$")  # fmt: skip
_WHOLE, _PART = re.compile(r"^-?[0-9]+$"), re.compile(r"^-?[0-9]+\.[0-9]+$")


def write_bureau(estate: Estate, folder: Path) -> tuple[Path, ...]:
    """Write one file a brigade into a folder of its own; refuses files in place. Gives their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{brigade}.db" for brigade in brigades_of(estate))
    there = [path.name for path in paths if path.exists()]
    if there:
        raise UsageError(f"{folder} already holds {there[0]}; nothing was written", hint="name an empty folder")
    for path in paths:
        with closing(sqlite3.connect(path)) as connection, connection:
            for table, columns in TABLES.items():
                declared = ", ".join(f'"{column}" {_kind(column)}' for column in columns)
                connection.execute(f'create table "{table}" ({declared})')
                rows = estate.tables[f"{path.stem}/{table}"].rows(named=True)
                places = ", ".join("?" * len(columns))
                connection.executemany(
                    f'insert into "{table}" values ({places})',  # noqa: S608 - our own names
                    [[_stored(column, row[column]) for column in columns] for row in rows],
                )
    return paths


def _kind(column: str) -> str:
    """Give the type the maker of the base declared."""
    if column == "ID":
        return "integer primary key"
    return "numeric" if _NUMBERS.search(column) else "text"


def _stored(column: str, text: str | None) -> str | int | float | None:
    """Give a value the class a typist's entry takes: a number where the column is one and the text is too."""
    if text is None or not _NUMBERS.search(column):
        return text
    if _WHOLE.match(text):
        return int(text)
    return float(text) if _PART.match(text) else text
