"""Single files of every medium behind one face: opened as declared, read in batches, checked to the end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

import polars as pl

from banyan.errors import UsageError
from banyan.records import KEY_SEPARATOR
from connectors.dbf import open_dbf
from connectors.delimited import DelimitedFormat, Malformed, RejectedLine, open_delimited
from connectors.spreadsheet import open_sheet
from connectors.sqlite import open_sqlite

_BATCH_ROWS = 50_000
_SUFFIXES = {
    ".dbf": "dbf", ".csv": "csv", ".txt": "csv", ".tsv": "csv", ".xlsx": "xlsx", ".xls": "xlsx", ".xlsb": "xlsx",
    ".ods": "xlsx", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".db": "sqlite",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """What a person says about a file; nothing of it is guessed."""

    path: Path
    encoding: str = ""
    separator: str = ";"
    sheet: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file whose header was checked."""

    medium: str
    columns: tuple[str, ...]
    count_declared: int | None
    read: Callable[[int], Iterator[pl.DataFrame]] = field(repr=False)
    facts: dict[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    rejected: list[RejectedLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What reading a file to its end has shown: places and counts, never a value."""

    rows: int
    rejected: tuple[str, ...]
    duplicates: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Give everything that stands in the way of a load."""
        return (*self.rejected, *self.duplicates)

    def document(self) -> dict[str, object]:
        """Give the check for machines."""
        return {
            "rows": self.rows, "rejected": self.rejected, "duplicates": self.duplicates, "warnings": self.warnings,
            "is_clean": not self.problems,
        }  # fmt: skip


def open_medium(declared: Declared) -> OpenedFile:
    """Open a file by its ending; refuse one whose encoding, sheet or table is asked for and not declared."""
    path = declared.path
    medium = _SUFFIXES.get(path.suffix.lower())
    match medium:
        case "dbf":
            table = open_dbf(path, _declared_encoding(declared))
            return OpenedFile(
                medium, table.columns, table.count_declared, lambda rows: table.read(rows),
                {"encoding": table.encoding, "deleted": table.count_deleted},
                tuple(warning.sentence for warning in table.warnings),
            )  # fmt: skip
        case "csv":
            form = DelimitedFormat(_declared_encoding(declared), declared.separator, has_bom=_has_bom(path))
            text = open_delimited(path, form, on_malformed=Malformed.REJECT)
            return OpenedFile(
                medium, text.columns, None, lambda rows: text.read(rows),
                {"encoding": text.form.encoding, "byte order mark": text.form.has_bom}, rejected=text.rejected,
            )  # fmt: skip
        case "xlsx":
            sheet = open_sheet(path, declared.sheet)  # without a name the refusal lists the sheets
            return OpenedFile(medium, sheet.columns, None, lambda rows: sheet.read(rows), {"sheet": sheet.sheet})
        case "sqlite":
            return _open_sqlite(declared)
        case None:
            known = ", ".join(_SUFFIXES)
            raise UsageError(f"{path.name} ends with none of {known}; nothing was read", hint="banyan file --help")
        case _:
            assert_never(medium)  # type: ignore[arg-type]


def check_medium(declared: Declared, key: tuple[str, ...]) -> FileCheck:
    """Read a file to its end; count rows, list lines that cannot be read and keys that stand several times."""
    opened = open_medium(declared)
    missing = [name for name in key if name not in opened.columns]
    if missing:
        raise UsageError(
            f"{declared.path.name} has no column {', '.join(missing)}; it has {', '.join(opened.columns)}; "
            "nothing was read",
            hint="name the columns of the key as the file does",
        )
    rows, keys = 0, []
    for frame in opened.read(_BATCH_ROWS):
        rows += frame.height
        if key:
            keys.append(frame.select(pl.concat_str(key, separator=KEY_SEPARATOR).hash().alias("key")))
    duplicates: tuple[str, ...] = ()
    if keys:
        twice = pl.concat(keys).filter(pl.col("key").is_duplicated())
        if twice.height:
            duplicates = (f"{twice.height} rows share {twice.n_unique()} keys of {', '.join(key)}: one key, one row",)
    rejected = tuple(
        f"{line.file}:{line.line}{f', column {line.column}' if line.column else ''}: {line.cause}"
        for line in opened.rejected
    )
    return FileCheck(rows, rejected, duplicates, opened.warnings)


def _open_sqlite(declared: Declared) -> OpenedFile:
    encoding = _declared_encoding(declared)
    if not declared.table:
        catalogue = open_sqlite(declared.path, "sqlite_master", "utf-8")
        named = [row for frame in catalogue.read(_BATCH_ROWS) for row in frame.rows(named=True)]
        known = ", ".join(row["name"] for row in named if row["type"] == "table") or "none"
        raise UsageError(
            f"{declared.path.name} holds several tables and none was named; it has {known}; nothing was read",
            hint="add --table NAME",
        )
    table = open_sqlite(declared.path, declared.table, encoding)
    facts: dict[str, object] = {"encoding": table.encoding, "table": table.table}
    return OpenedFile("sqlite", table.columns, table.count_declared, lambda rows: table.read(rows), facts)


def _declared_encoding(declared: Declared) -> str:
    if not declared.encoding:
        raise UsageError(
            f"{declared.path.name} does not say its encoding and banyan never guesses one; nothing was read",
            hint="add --encoding, such as cp850, cp1252 or utf-8: ask the people of this system",
        )
    return declared.encoding


def _has_bom(path: Path) -> bool:
    """Tell whether a file starts with a byte order mark: this one mark is a statement of the file, not a guess."""
    try:
        with open(path, "rb") as file:
            return file.read(3) == b"\xef\xbb\xbf"
    except OSError:
        return False  # said in full when the file is opened
