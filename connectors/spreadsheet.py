"""Sheets of a workbook (xlsx, xls, xlsb, ods), as canonical text.

A workbook keeps numbers as doubles and dates as numbers with a format. A text cell is given verbatim; a number as the
shortest decimal text of its double, without `.0` when it is whole; a date as `2016-09-01`, an instant as
`2016-09-01T08:00:00`, a time as `08:00:00`, a duration as seconds, a boolean as TRUE or FALSE. Instants, times and
durations are exact to the millisecond. In xlsx, a date that cannot be (before the calendar, 29 February 1900, a time
that rounds to 24:00) is given as the number that stands in the cell. What a number format
shows on a screen (a leading zero, a rounding) is not in the cell and is not given. An empty cell and an empty text are
both the empty text: the reader underneath does not tell them apart. A cell in error is given as it shows (`#N/A`) in
xlsx, and as the empty text in the other formats.

The sheet is decompressed into memory once, the rows leave it in batches.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import polars as pl
import python_calamine as calamine

from banyan.errors import SourceDrifted, SourceUnavailable, SourceUnreadable, UsageError
from connectors.lines import identity_of

RECNO = "_recno"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_HINT = "correct the declaration of the sheet, or ask the department for a new export"

_DAY_MS = 86_400_000
_NO_DAY = 60
"""The number of 29 February 1900, a day that workbooks count and no calendar has."""
_ODD = re.compile(rb"""t=["']e["']|v>(?:-|60[.<]|0?\.9999999)""")
_ODD_BYTES = 16
"""More than the longest of what `_ODD` finds."""

Cell = int | float | str | bool | time | date | datetime | timedelta


@dataclass(frozen=True, slots=True)
class SheetTable:
    """One sheet whose header was checked; record 1 is the row below the header."""

    path: Path
    sheet: str
    columns: tuple[str, ...]
    header_row: int
    count_declared: None = None
    _identity: tuple[int, int] = field(default=(0, 0), repr=False)

    def read(self, batch_rows: int, *, recno: bool = False) -> Iterator[pl.DataFrame]:
        """Give the rows below the header in order; `recno=True` adds `_recno`, the record's number from 1, as text."""
        names = [*self.columns, *([RECNO] if recno else [])]
        waiting: list[list[str]] = []
        for number, cells in enumerate(_rows(self.path, self.sheet, self.header_row + 1), 1):
            if any(cell != "" for cell in cells[len(self.columns) :]):
                raise SourceDrifted(
                    f"{self.path.name}, sheet {self.sheet}, row {self.header_row + number}: cells to the right of the "
                    f"{len(self.columns)} columns of the header; nothing of this batch was passed on",
                    hint=_HINT,
                    file=self.path.name,
                    row=self.header_row + number,
                )
            row = [_text(cell) for cell in cells[: len(self.columns)]]
            row += [""] * (len(self.columns) - len(row))
            waiting.append([*row, str(number)] if recno else row)
            if len(waiting) == batch_rows:
                yield _frame(names, waiting)
                waiting = []
        if waiting:
            yield _frame(names, waiting)
        if identity_of(self.path) != self._identity:
            raise SourceDrifted(
                f"{self.path.name} changed while it was read; the batches already given must be thrown away",
                hint="take a copy of the file while nobody writes, then read the copy",
                file=self.path.name,
            )


def open_sheet(path: Path, sheet: str, *, columns: tuple[str, ...] | None = None, header_row: int = 1) -> SheetTable:
    """Check that a sheet is there and has the declared columns in its header row; the file is not changed.

    The encoding needs no declaration: a workbook states its own.
    """
    path = Path(path)
    if header_row < 1:
        raise UsageError("header_row counts from 1; nothing was read", hint="name the row of the column names")
    header = next(_rows(path, sheet, header_row), None)
    names = [_text(cell) for cell in header or ()]
    while names and names[-1] == "":
        names.pop()
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or "" in names or twice or RECNO in names:
        raise SourceDrifted(
            f"row {header_row} of sheet {sheet} in {path.name} is no header: "
            f"{f'names used twice {twice}' if twice else 'a name is missing or reserved'}; nothing was read",
            hint=_HINT,
            file=path.name,
        )
    found = tuple(names)
    if columns is not None and found != columns:
        raise SourceDrifted(
            f"sheet {sheet} of {path.name} has other columns than declared: "
            f"missing {[name for name in columns if name not in found]}, "
            f"new {[name for name in found if name not in columns]}, or in another order; nothing was read",
            hint=_HINT,
            file=path.name,
        )
    return SheetTable(path, sheet, found, header_row, _identity=identity_of(path))


def _rows(path: Path, sheet: str, first: int) -> Iterator[list[Cell]]:
    """Give the rows of a sheet from row `first` on, as its columns stand from A on."""
    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            known = book.sheet_names
            if sheet not in known:
                raise SourceDrifted(
                    f"{path.name} has no sheet {sheet}; it has {known}; nothing was read", hint=_HINT, file=path.name
                )
            opened = book.get_sheet_by_name(sheet)
            corner = opened.start
            if corner is None:
                return
            odd = _odd_cells(path, sheet)
            for number, found in enumerate(opened.iter_rows(), 1):
                cells = [*([""] * corner[1]), *found]
                for column, shown in odd.get(number, ()):
                    if isinstance(shown, str) or isinstance(cells[column], date | time):
                        cells[column] = shown
                if number >= first:
                    yield cells
    except OSError as error:
        raise SourceUnavailable(
            f"{path.name} cannot be opened: {error.strerror or 'no reason given'}; nothing was read",
            hint="check the path and the rights of the reader",
            file=path.name,
        ) from error
    except OverflowError as error:
        raise SourceUnreadable(
            f"{path.name}, sheet {sheet}: a duration is longer than 999,999,999 days; nothing of it was passed on",
            hint="correct the cell, or ask the department for a new export",
            file=path.name,
        ) from error
    except calamine.CalamineError as error:
        raise SourceUnreadable(
            f"{path.name} is no workbook that can be read ({type(error).__name__}); nothing of it was passed on",
            hint="ask for the file again, without a password",
            file=path.name,
        ) from error


def _odd_cells(path: Path, sheet: str) -> dict[int, list[tuple[int, str | float]]]:
    """Find by row and column what calamine cannot say: what cells in error show (`#N/A`), numbers that are no date."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        if "xl/workbook.xml" not in archive.namelist():
            return {}
        book = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        is_1904 = any(found.get("date1904") in ("1", "true") for found in book.iter(f"{_MAIN}workbookPr"))
        link = next((found.get(f"{_LINK}id") for found in book.iter(f"{_MAIN}sheet") if found.get("name") == sheet), "")
        links = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
        target = next((found.get("Target", "") for found in links if found.get("Id") == link), "")
        part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
        if part not in archive.namelist():
            return {}
        with archive.open(part) as body:
            if not _mentions_odd(body):
                return {}
        with archive.open(part) as body:
            return dict(_odd_rows(body, is_1904=is_1904))


def _odd_rows(body: IO[bytes], *, is_1904: bool) -> Iterator[tuple[int, list[tuple[int, str | float]]]]:
    """Walk the rows of a sheet; a row or a cell that does not say its place stands after the one before."""
    number = 0
    for _, row in ElementTree.iterparse(body):
        if row.tag != f"{_MAIN}row":
            continue
        number, column, cells = int(row.get("r", number + 1)), -1, list[tuple[int, str | float]]()
        for cell in row.iter(f"{_MAIN}c"):
            place = cell.get("r")
            column = _column(place) if place else column + 1
            if (shown := _odd(cell, is_1904=is_1904)) is not None:
                cells.append((column, shown))
        row.clear()
        if cells:
            yield number, cells


def _odd(cell: ElementTree.Element, *, is_1904: bool) -> str | float | None:
    """Give the text of a cell in error, the number of one that can be no date; None for every other cell."""
    kind, value = cell.get("t", "n"), cell.findtext(f"{_MAIN}v", "")
    if kind == "e":
        return value
    try:
        number = float(value) if kind == "n" else 1.0
    except ValueError:
        return None
    is_midnight = 0 < 1 - number < 1 and round(number * _DAY_MS) >= _DAY_MS
    is_no_day = _NO_DAY <= number < _NO_DAY + 1 and not is_1904
    return number if number < 0 or is_midnight or is_no_day else None


def _mentions_odd(body: IO[bytes]) -> bool:
    end = b""
    while block := body.read(1 << 20):
        if _ODD.search(seen := end + block):
            return True
        end = seen[-_ODD_BYTES:]
    return False


def _column(reference: str) -> int:
    column = 0
    for letter in reference.rstrip("0123456789"):
        column = column * 26 + ord(letter) - 64
    return column - 1


def _text(cell: Cell) -> str:
    match cell:
        case str():
            return cell
        case bool():
            return "TRUE" if cell else "FALSE"
        case int():
            return str(cell)
        case float():
            return f"{cell:.0f}" if cell.is_integer() and abs(cell) <= 2**53 else repr(cell)
        case timedelta():
            return _text(cell.total_seconds())
        case _:
            return cell.isoformat()


def _frame(names: list[str], rows: list[list[str]]) -> pl.DataFrame:
    columns = zip(*rows, strict=True)
    return pl.DataFrame([pl.Series(name, cells, dtype=pl.String) for name, cells in zip(names, columns, strict=True)])
