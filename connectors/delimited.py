"""Delimited text (CSV): every column is text, every refusal names its line.

A quote has a meaning only when it opens a field; inside, it is doubled. A record ends with LF or CRLF and may hold line
ends between quotes. An empty field and a quoted empty field are both the empty text: the medium has no null. Nothing is
detected: encoding, separator, quote, byte order mark and header are declared and then checked, byte by byte.

Blocks without any quote, in which each line has the right number of separators, are cut by Arrow; every other
block goes through the csv module. Both ways give the same rows; the tests compare them.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.lines import DAMAGE, HINT, MAX_LINE_BYTES, Lines, checked_encoding, identity_of

RECNO = "_recno"
LINE = "_line"

_MAX_REJECTED = 10_000
csv.field_size_limit(MAX_LINE_BYTES)  # of the process; a text of a report is longer than the limit of the module
_BOM = codecs.BOM_UTF8
_RETURN = "a carriage return inside an unquoted field"


class Malformed(Enum):
    """What a line that cannot be a record does: stop the reading, or stand in the list of rejected lines."""

    STOP = "stop"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class DelimitedFormat:
    """What is declared about a file; `columns` are those of its header, or their names when it has none."""

    encoding: str
    separator: str
    columns: tuple[str, ...] | None = None
    quote: str | None = '"'
    has_header: bool = True
    has_bom: bool = False


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """One record that was not passed on: lines `line` to `last_line` of the file, counted from 1."""

    file: str
    line: int
    last_line: int
    cause: str
    column: str | None = None
    byte_offset: int | None = None


def open_delimited(path: Path, form: DelimitedFormat, *, on_malformed: Malformed = Malformed.STOP) -> "DelimitedFile":
    """Check what is declared against the first bytes of a file; the file is not changed."""
    path = Path(path)
    form = _checked(form)
    try:
        with open(path, "rb") as file:
            start = file.read(len(_BOM))
    except OSError as error:
        raise SourceUnavailable(
            f"{path.name} cannot be opened: {error.strerror}; nothing was read",
            hint="check the path and the rights of the reader",
            file=path.name,
        ) from error
    if (start == _BOM) != form.has_bom:
        said = "is declared and missing" if form.has_bom else "starts the file and is not declared"
        raise SourceDrifted(f"{path.name}: a byte order mark {said}; nothing was read", hint=HINT, file=path.name)
    opened = DelimitedFile(path, form, form.columns or (), on_malformed)
    if not form.has_header:
        return opened
    header = opened._read_header()
    if form.columns is not None and header != form.columns:
        raise SourceDrifted(
            f"{path.name} has other columns than declared: missing {_names(form.columns, header)}, "
            f"new {_names(header, form.columns)}, or in another order; nothing was read",
            hint=HINT,
            file=path.name,
        )
    return DelimitedFile(path, form, header, on_malformed)


@dataclass(frozen=True, slots=True)
class DelimitedFile:
    """One file whose header was checked; `rejected` grows while it is read and starts anew with each reading."""

    path: Path
    form: DelimitedFormat
    columns: tuple[str, ...]
    on_malformed: Malformed
    count_declared: None = None
    rejected: list[RejectedLine] = field(default_factory=list, compare=False, repr=False)

    def read(self, batch_rows: int, *, recno: bool = False, line: bool = False) -> Iterator[pl.DataFrame]:
        """Give the records in file order, with bounded memory.

        `recno=True` adds `_recno`, the number of the record from 1, rejected ones counted; `line=True` adds `_line`,
        the line where the record starts. Both are text.
        """
        self.rejected.clear()
        before = identity_of(self.path)
        kept = [*self.columns, *([RECNO] if recno else []), *([LINE] if line else [])]
        yield from _in_batches((frame.select(kept) for frame in self._frames()), batch_rows)
        if identity_of(self.path) != before:
            raise SourceDrifted(
                f"{self.path.name} changed while it was read; the batches already given must be thrown away",
                hint="take a copy of the file while nobody writes, then read the copy",
                file=self.path.name,
            )

    def _read_header(self) -> tuple[str, ...]:
        with open(self.path, "rb") as file:
            lines = Lines(file, self.form.encoding, len(_BOM) * self.form.has_bom, self.path.name)
            row = next(self._records(lines), None)
        if row is None:
            raise SourceDrifted(f"{self.path.name} is empty: no header; nothing was read", hint=HINT)
        names = tuple(row.cells)
        problem = self._problem(row, lines, len(names))
        twice = sorted({name for name in names if names.count(name) > 1})
        taken = sorted({RECNO, LINE} & set(names))
        if problem or twice or taken or "" in names:
            raise SourceDrifted(
                f"the header of {self.path.name} cannot be used: "
                f"{problem.cause if problem else f'names used twice or reserved {twice + taken} or empty'}; "
                "nothing was read",
                hint=HINT,
                file=self.path.name,
            )
        return names

    def _frames(self) -> Iterator[pl.DataFrame]:
        with open(self.path, "rb") as file:
            lines = Lines(file, self.form.encoding, len(_BOM) * self.form.has_bom, self.path.name)
            records = self._records(lines)
            if self.form.has_header:
                next(records)
            number = 0
            while lines.fill():
                block = lines.whole_block()
                frame = self._cut(block, lines.line + 1) if block is not None else None
                if frame is None:
                    frame, read = self._parsed(lines, records, number)
                else:
                    lines.take_block()
                    frame, read = frame.with_columns(_numbers(number + 1, len(frame)).alias(RECNO)), len(frame)
                yield frame
                number += read

    def _cut(self, block: str, first_line: int) -> pl.DataFrame | None:
        """Cut a block in one go, or give None when it is not plain enough for that."""
        width, separator, quote = len(self.columns), self.form.separator, self.form.quote
        if width < 2 or not separator.isascii() or (quote and quote in block) or "\0" in block:
            return None
        raw = (block if block.endswith("\n") else block + "\n").encode()
        if raw.startswith(_BOM):
            return None  # Arrow takes it for a mark of the file, and it is the first letter of a cell
        stored = np.frombuffer(raw, np.uint8)
        ends = np.flatnonzero(stored == 0x0A)
        returns = np.flatnonzero(stored == 0x0D)
        if not np.isin(returns + 1, ends).all():
            return None
        marks = np.flatnonzero(stored == ord(separator))
        each = np.diff(np.searchsorted(marks, ends), prepend=0)
        if not (each == width - 1).all():
            return None
        table = pa.csv.read_csv(
            io.BytesIO(raw),
            read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(raw) + 1, column_names=self.columns),
            parse_options=pa.csv.ParseOptions(delimiter=separator, quote_char=False, ignore_empty_lines=False),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        frame = pl.DataFrame(pl.from_arrow(table))
        if len(frame) != len(ends):
            return None
        return frame.with_columns(_numbers(first_line, len(frame)).alias(LINE))

    def _parsed(self, lines: Lines, records: "Iterator[_Record]", number: int) -> tuple[pl.DataFrame, int]:
        """Read the records that start in the current block with the csv module."""
        good: list[list[str]] = []
        numbers: list[int] = []
        starts: list[int] = []
        read = 0
        while lines.has_lines:
            row = next(records)
            read += 1
            problem = self._problem(row, lines, len(self.columns))
            if problem is None:
                good.append(row.cells)
                numbers.append(number + read)
                starts.append(row.line)
            else:
                self._reject(problem)
        names = [*self.columns, RECNO, LINE]
        columns = [*zip(*good, strict=True)] if good else [()] * len(self.columns)
        series = [*columns, [str(value) for value in numbers], [str(value) for value in starts]]
        frame = pl.DataFrame(
            [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, series, strict=True)]
        )
        return frame, read

    def _records(self, lines: Lines) -> "Iterator[_Record]":
        form = self.form
        reader = csv.reader(
            lines,
            delimiter=form.separator,
            quotechar=form.quote,
            quoting=csv.QUOTE_MINIMAL if form.quote else csv.QUOTE_NONE,
            doublequote=True,
            strict=True,
        )
        while True:
            lines.start_record()
            first = lines.line + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield _Record([], first, lines.line, _csv_cause(str(error)))
                continue
            yield _Record(cells, first, lines.line, None)

    def _problem(self, row: "_Record", lines: Lines, width: int) -> RejectedLine | None:
        cause, column, offset = row.cause, None, None
        if lines.first_damage is not None:
            cause, offset = f"a byte has no character in {self.form.encoding}", lines.first_damage
            place = next((place for place, cell in enumerate(row.cells) if DAMAGE.search(cell)), None)
            column = self._name(place) if place is not None else None
        if cause is None and lines.is_returned_twice:
            cause = _RETURN
        if cause is None:
            place = next((place for place, cell in enumerate(row.cells) if "\0" in cell), None)
            if place is not None:
                cause, column = "a NUL character", self._name(place)
            elif not row.cells:
                cause = "an empty line"
            elif len(row.cells) != width:
                cause = f"{len(row.cells)} columns where {width} are expected"
        if cause is None:
            return None
        return RejectedLine(self.path.name, row.line, row.last_line, cause, column, offset)

    def _name(self, place: int) -> str:
        return self.columns[place] if place < len(self.columns) else f"number {place + 1}"

    def _reject(self, problem: RejectedLine) -> None:
        self.rejected.append(problem)
        if self.on_malformed is Malformed.REJECT and len(self.rejected) <= _MAX_REJECTED:
            return
        where = f"{problem.file}:{problem.line}"
        column = f", column {problem.column}" if problem.column else ""
        offset = f", byte offset {problem.byte_offset}" if problem.byte_offset is not None else ""
        many = f" (more than {_MAX_REJECTED} lines rejected)" if len(self.rejected) > _MAX_REJECTED else ""
        raise SourceUnreadable(
            f"{where}{column}{offset}: {problem.cause}{many}; nothing of this block was passed on",
            hint=HINT,
            file=problem.file,
            line=problem.line,
            column=problem.column,
            offset=problem.byte_offset,
        )


@dataclass(frozen=True, slots=True)
class _Record:
    cells: list[str] = field(repr=False)
    line: int
    last_line: int
    cause: str | None


def _checked(form: DelimitedFormat) -> DelimitedFormat:
    encoding = checked_encoding(form.encoding)
    plain = bytes(range(128))
    problem = ""
    if plain.decode(encoding, "replace") != plain.decode("ascii") or encoding == "utf-8-sig":
        problem = f"{encoding} is not read here (declare utf-8 and a byte order mark; convert UTF-16 first)"
    elif len(form.separator) != 1 or form.separator in "\r\n\0":
        problem = "the separator must be one character and no line end"
    elif form.quote is not None and (len(form.quote) != 1 or form.quote in "\r\n\0" + form.separator):
        problem = "the quote must be one character, no line end, and not the separator"
    elif form.has_bom and encoding != "utf-8":
        problem = f"a byte order mark is declared and the encoding is {encoding}"
    elif not form.has_header and not form.columns:
        problem = "a file without a header needs the names of its columns"
    elif form.columns and len(set(form.columns) | {RECNO, LINE}) != len(form.columns) + 2:
        problem = "a column is named twice or has a reserved name"
    if problem:
        raise ConfigurationError(f"the declared format cannot be used: {problem}; nothing was read", hint=HINT)
    return replace(form, encoding=encoding)


def _csv_cause(message: str) -> str:
    causes = {
        "new-line character": _RETURN,
        "unexpected end": "the file ends inside a quoted field",
        "field larger": f"a field of more than {csv.field_size_limit()} characters, or a quote that is not closed",
    }
    return next((cause for start, cause in causes.items() if message.startswith(start)), "text after a closing quote")


def _in_batches(frames: Iterator[pl.DataFrame], batch_rows: int) -> Iterator[pl.DataFrame]:
    waiting: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        waiting.append(frame)
        height += len(frame)
        if height < batch_rows:
            continue
        whole = pl.concat(waiting)
        full = height - height % batch_rows
        yield from (whole.slice(first, batch_rows) for first in range(0, full, batch_rows))
        waiting, height = [whole.slice(full)], height - full
    if height:
        yield pl.concat(waiting)


def _numbers(first: int, count: int) -> pl.Series:
    return pl.int_range(first, first + count, eager=True).cast(pl.String)


def _names(some: tuple[str, ...], without: tuple[str, ...]) -> list[str]:
    return [name for name in some if name not in without]
