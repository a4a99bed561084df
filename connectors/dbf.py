"""Tables of dBase and FoxPro, as the bytes that stand in the file.

Each field is given as its bytes, decoded strictly under the encoding that is declared: padding, blank dates, dates that
cannot be and numbers full of stars arrive as they are. dbfread reads the header and says which formats exist; records
and memos are read here, because dbfread skips what it does not know and gives a cut memo without a word.

Fields that hold no text get a text that can be turned back into the same bytes: I and Y the exact number, T an instant
(`2016-09-01T08:00:00.000`), B of Visual FoxPro the shortest text of the double, everything else `0x` and hexadecimal.
A memo is given by its content, null when the record points to none.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import dbfread
import numpy as np
import numpy.typing as npt
import polars as pl
from dbfread.codepages import codepages

from banyan.errors import SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.dbf_cells import (
    RENDERERS,
    BadMemo,
    Form,
    MemoFile,
    block_number,
    hexadecimal,
    open_memo_file,
    strings_of_width,
)
from connectors.lines import checked_encoding, identity_of

RECNO = "_recno"
DELETED = "_deleted"

_FOXPRO = {0x30, 0x31, 0x32}
_VERSIONS = _FOXPRO | {0x03, 0x43, 0x63, 0x83, 0x8B, 0xCB, 0xF5}
_REFUSED = {0x02: "dBase II", 0x04: "dBase 7", 0x8C: "dBase 7 with memo", 0xFB: "FoxBASE"}
_LIVE, _DEAD = 0x20, 0x2A

Bytes = npt.NDArray[np.uint8]


class WarningKind(StrEnum):
    """What a file says about itself that a person should look at."""

    LANGUAGE_BYTE = "LANGUAGE_BYTE"
    DUPLICATE_COLUMN = "DUPLICATE_COLUMN"
    INCOMPLETE_TRANSACTION = "INCOMPLETE_TRANSACTION"


@dataclass(frozen=True, slots=True)
class FormatWarning:
    """Something odd in a header; the rows are read all the same."""

    kind: WarningKind
    sentence: str


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    form: Form
    start: int
    width: int
    null_bit: int | None = None
    length_bit: int | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    fields: tuple[_Field, ...]
    flags_at: slice
    header_bytes: int
    record_bytes: int
    memo: MemoFile | None
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DbfTable:
    """One table whose header was checked and whose records were counted; nothing is held open."""

    path: Path
    encoding: str
    columns: tuple[str, ...]
    count_declared: int
    count_deleted: int
    warnings: tuple[FormatWarning, ...]
    _layout: "_Layout" = field(repr=False)

    def read(self, batch_rows: int, *, recno: bool = False) -> Iterator[pl.DataFrame]:
        """Give every record, deleted ones too, in file order.

        The columns are those of the file and `_deleted` with the byte of the record: a star when it is deleted, a
        blank when it lives. `recno=True` adds `_recno`, the number of the record from 1, as text.
        """
        with open(self.path, "rb") as file:
            for first in range(0, self.count_declared, batch_rows):
                count = min(batch_rows, self.count_declared - first)
                file.seek(self._layout.header_bytes + first * self._layout.record_bytes)
                raw = file.read(count * self._layout.record_bytes)
                if len(raw) != count * self._layout.record_bytes:
                    self._refuse_change()
                yield self._frame(np.frombuffer(raw, np.uint8).reshape(count, -1), first, recno=recno)
        if identity_of(self.path) != self._layout.identity:
            self._refuse_change()

    def _frame(self, records: Bytes, first: int, *, recno: bool) -> pl.DataFrame:
        columns = [self._column(records, field, first).alias(field.name) for field in self._layout.fields]
        columns.append(strings_of_width(records[:, :1].tobytes().decode("ascii"), len(records), 1).alias(DELETED))
        if recno:
            numbers = pl.int_range(first + 1, first + 1 + len(records), eager=True)
            columns.append(numbers.cast(pl.String).alias(RECNO))
        return pl.DataFrame(columns)

    def _column(self, records: Bytes, field: _Field, first: int) -> pl.Series:
        cells = np.ascontiguousarray(records[:, field.start : field.start + field.width])
        if field.form is Form.TEXT and field.length_bit is None:
            series = self._text(cells, field, first)
        else:
            series = pl.Series(self._texts(records, cells, field, first), dtype=pl.String)
        if field.null_bit is None:
            return series
        is_null = pl.Series(_bit(records, self._layout.flags_at, field.null_bit))
        return pl.select(pl.when(is_null).then(None).otherwise(series)).to_series()

    def _text(self, cells: Bytes, field: _Field, first: int) -> pl.Series:
        raw = cells.tobytes()
        try:
            text = raw.decode(self.encoding)
            reversible = text.encode(self.encoding) == raw
        except UnicodeError:
            text, reversible = "", False
        if reversible and len(text) == len(raw):
            return strings_of_width(text, len(cells), field.width)
        decoded = [self._decode(bytes(cell), field, first + row) for row, cell in enumerate(cells)]
        return pl.Series(decoded, dtype=pl.String)

    def _texts(self, records: Bytes, cells: Bytes, field: _Field, first: int) -> list[str | None]:
        if field.length_bit is not None:
            shorter = _bit(records, self._layout.flags_at, field.length_bit)
            beyond = shorter & (cells[:, -1] >= field.width)
            if field.null_bit is not None:
                beyond &= ~_bit(records, self._layout.flags_at, field.null_bit)
            if beyond.any():
                self._refuse_length(field, first + int(beyond.argmax()))
            values = [
                bytes(cell[: cell[-1]]) if short else bytes(cell) for cell, short in zip(cells, shorter, strict=True)
            ]
        else:
            values = [bytes(cell) for cell in cells]
        if field.form is Form.TEXT:
            return [self._decode(value, field, first + row) for row, value in enumerate(values)]
        if field.form in (Form.MEMO, Form.BINARY_MEMO):
            return self._memos(values, field, first)
        render = RENDERERS[field.form]
        return [render(value) for value in values]

    def _memos(self, pointers: list[bytes], field: _Field, first: int) -> list[str | None]:
        assert self._layout.memo is not None  # a table with a memo field was refused at opening without its memo file
        texts: list[str | None] = []
        with open(self._layout.memo.path, "rb") as file:
            for row, pointer in enumerate(pointers, first):
                try:
                    block = block_number(pointer)
                    found = self._layout.memo.read(file, block) if block else None
                except BadMemo as error:
                    raise SourceUnreadable(
                        f"the memo of {self.path.name}, record {row + 1}, column {field.name} cannot be read: {error}; "
                        "nothing of this batch was passed on",
                        hint="ask for a fresh copy of both files, taken while nobody writes",
                        file=self.path.name,
                        record=row + 1,
                        column=field.name,
                    ) from None
                if found is None:
                    texts.append(None)
                    continue
                body, is_binary = found
                ashexadecimal = is_binary or field.form is Form.BINARY_MEMO
                texts.append(hexadecimal(body) if ashexadecimal else self._decode(body, field, row))
        return texts

    def _decode(self, raw: bytes, field: _Field, row: int) -> str:
        try:
            text = raw.decode(self.encoding)
            if text.encode(self.encoding) == raw:
                return text
            inside, problem = 0, "the encoding does not give the same bytes back"
        except UnicodeDecodeError as error:
            inside, problem = error.start, "a byte has no character"
        except UnicodeEncodeError as error:
            inside, problem = error.start, "the encoding does not give the same bytes back"
        in_memo = field.form is Form.MEMO
        offset = (
            inside if in_memo else self._layout.header_bytes + row * self._layout.record_bytes + field.start + inside
        )
        raise SourceUnreadable(
            f"{self.path.name} is not {self.encoding}: record {row + 1}, column {field.name}, byte offset {offset} of "
            f"the {'memo' if in_memo else 'file'}: {problem}; nothing of this batch was passed on",
            hint="declare the encoding that the people of this system name, then read again",
            file=self.path.name,
            record=row + 1,
            column=field.name,
            offset=offset,
            encoding=self.encoding,
        ) from None

    def _refuse_length(self, field: _Field, row: int) -> NoReturn:
        offset = self._layout.header_bytes + row * self._layout.record_bytes + field.start + field.width - 1
        raise SourceUnreadable(
            f"{self.path.name}, record {row + 1}, column {field.name}, byte offset {offset} of the file: it says that "
            f"its text is longer than the {field.width - 1} bytes it may have; nothing of this batch was passed on",
            hint="ask for a fresh copy of the table, taken while nobody writes",
            file=self.path.name,
            record=row + 1,
            column=field.name,
            offset=offset,
        )

    def _refuse_change(self) -> NoReturn:
        raise SourceDrifted(
            f"{self.path.name} changed while it was read; the batches already given must be thrown away",
            hint="take a copy of the file while nobody writes, then read the copy",
            file=self.path.name,
        )


def open_dbf(path: Path, encoding: str) -> DbfTable:
    """Check the header of a table, count its records and find its memo file; the file is not changed.

    Refused, with both numbers: a header that counts other records than the file holds. Refused as well: a format that
    is not known exactly, a cut file, a missing memo file, an encrypted table.
    """
    path, encoding = Path(path), checked_encoding(encoding)
    try:
        identity = identity_of(path)
        table = dbfread.DBF(str(path), encoding=encoding, raw=True, ignorecase=False, ignore_missing_memofile=True)
    except OSError as error:
        raise SourceUnavailable(
            f"{path.name} cannot be opened: {error.strerror}; nothing was read",
            hint="check the path and the rights of the reader",
            file=path.name,
        ) from error
    except (ValueError, struct.error, TypeError) as error:
        _refuse(path, _version_problem(path) or f"its header cannot be read ({type(error).__name__})", cause=error)
    header = table.header
    if header.dbversion not in _VERSIONS:
        _refuse(path, _version_problem(path) or "its format is not known")
    if header.encryption_flag == 1:
        _refuse(path, "it is encrypted")
    named, warnings = _distinct([part.name for part in table.fields])
    fields, flags_at, width = _lay_out(table, named)
    if width != header.recordlen:
        _refuse(path, f"its header says {header.recordlen} bytes a record, its fields make {width}")
    deleted = _count_gate(path, header, identity[0])
    memo = _open_memo(path, header.dbversion, fields)
    return DbfTable(
        path=path,
        encoding=encoding,
        columns=tuple(field.name for field in fields),
        count_declared=header.numrecords,
        count_deleted=deleted,
        warnings=(*warnings, *_header_warnings(header, encoding)),
        _layout=_Layout(fields, flags_at, header.headerlen, header.recordlen, memo, identity),
    )


def _lay_out(table: dbfread.DBF, names: list[str]) -> tuple[tuple[_Field, ...], slice, int]:
    foxpro = table.header.dbversion in _FOXPRO
    fields: list[_Field] = []
    flags_at, start, bit = slice(0, 0), 1, 0
    for part, name in zip(table.fields, names, strict=True):
        flags = part.reserved1 & 0xFF if foxpro else 0
        length_bit, null_bit = None, None
        if foxpro and part.type in "VQ":
            length_bit, bit = bit, bit + 1
        if flags & 0x02:
            null_bit, bit = bit, bit + 1
        if part.type == "0":  # null and length bits of the record; given as nulls and lengths, not as a column
            flags_at = slice(start, start + part.length)
        else:
            form = _form(part.type, foxpro=foxpro, binary=bool(flags & 0x04), width=part.length)
            fields.append(_Field(name, form, start, part.length, null_bit, length_bit))
        start += part.length
    kept = (flags_at.stop - flags_at.start) * 8
    if bit > kept:
        _refuse(Path(table.filename), f"its fields need {bit} null and length bits, its records keep {kept}")
    return tuple(fields), flags_at, start


def _form(kind: str, *, foxpro: bool, binary: bool, width: int) -> Form:
    if kind in "CVM" and binary:
        return Form.BINARY_MEMO if kind == "M" else Form.HEX
    if kind == "B" and foxpro and width == 8:
        return Form.DOUBLE
    exact = {("I", 4): Form.INTEGER, ("Y", 8): Form.CURRENCY, ("T", 8): Form.INSTANT}.get((kind, width))
    if exact is not None:
        return exact
    if kind in "CVNFDL":
        return Form.TEXT
    return {"M": Form.MEMO, "G": Form.BINARY_MEMO, "P": Form.BINARY_MEMO, "B": Form.BINARY_MEMO}.get(kind, Form.HEX)


def _distinct(names: list[str]) -> tuple[list[str], list[FormatWarning]]:
    taken: list[str] = []
    warnings = []
    for name in names:
        again, number = name, 1
        while again in taken or (number > 1 and again in names):
            number += 1
            again = f"{name}_{number}"
        if again != name:
            warnings.append(
                FormatWarning(
                    WarningKind.DUPLICATE_COLUMN,
                    f"column {name} stands several times; column {len(taken) + 1} is {again}",
                )
            )
        taken.append(again)
    return taken, warnings


def _header_warnings(header: dbfread.dbf.DBFHeader, encoding: str) -> list[FormatWarning]:
    warnings = []
    byte = header.language_driver
    if byte and byte not in codepages:
        sentence = f"language byte 0x{byte:02x} names no known encoding; {encoding} is declared"
        warnings.append(FormatWarning(WarningKind.LANGUAGE_BYTE, sentence))
    elif byte and checked_encoding(codepages[byte][0]) != encoding:
        sentence = f"language byte 0x{byte:02x} says {codepages[byte][0]}; {encoding} is declared"
        warnings.append(FormatWarning(WarningKind.LANGUAGE_BYTE, sentence))
    if header.incomplete_transaction == 1:
        sentence = "the header says that a transaction was not finished"
        warnings.append(FormatWarning(WarningKind.INCOMPLETE_TRANSACTION, sentence))
    return warnings


def _count_gate(path: Path, header: dbfread.dbf.DBFHeader, size: int) -> int:
    """Refuse a file whose header counts other records than stand in it; return how many are deleted."""
    declared, length, start = header.numrecords, header.recordlen, header.headerlen
    held = (size - start) // length if length and size > start else 0
    if held < declared:
        _refuse(path, f"its header counts {declared} records, {max(held, 0)} whole ones are there: the file is cut")
    if not declared and size <= start:
        return 0
    stored = np.memmap(path, np.uint8, mode="r", offset=0)
    flags = np.asarray(stored[start : start + declared * length : length])
    live, deleted = int((flags == _LIVE).sum()), int((flags == _DEAD).sum())
    if live + deleted != declared:
        _refuse(
            path,
            f"its header counts {declared} records, the file holds {live} live and {deleted} deleted ones and "
            f"{declared - live - deleted} with another flag",
        )
    tail = stored[start + declared * length :]
    if len(tail) and tail[0] in (_LIVE, _DEAD) and len(tail) >= length:
        _refuse(path, f"its header counts {declared} records, the file holds at least {declared + len(tail) // length}")
    return deleted


def _open_memo(path: Path, version: int, fields: tuple[_Field, ...]) -> MemoFile | None:
    if not any(part.form in (Form.MEMO, Form.BINARY_MEMO) for part in fields):
        return None
    wanted = ".fpt" if version in _FOXPRO | {0xF5} else ".dbt"
    for candidate in path.parent.iterdir():
        if candidate.stem.lower() == path.stem.lower() and candidate.suffix.lower() == wanted:
            break
    else:
        _refuse(path, f"it has memo columns and no memo file {path.stem}{wanted} stands beside it")
    try:
        return open_memo_file(candidate, version)
    except BadMemo as error:
        _refuse(path, f"its memo file {candidate.name} cannot be used: {error}")


def _bit(records: Bytes, flags_at: slice, bit: int) -> npt.NDArray[np.bool_]:
    return (records[:, flags_at.start + bit // 8] >> (bit % 8) & 1).astype(np.bool_)


def _version_problem(path: Path) -> str:
    with open(path, "rb") as file:
        version = int.from_bytes(file.read(1), "little")
    if version in _REFUSED:
        return f"it is {_REFUSED[version]} (version byte 0x{version:02x}), which is not read here"
    return "" if version in _VERSIONS else f"version byte 0x{version:02x} names no format that is read here"


def _refuse(path: Path, problem: str, *, cause: Exception | None = None) -> NoReturn:
    raise SourceUnreadable(
        f"{path.name} is refused: {problem}; nothing was read",
        hint="ask for a fresh copy of the table and its memo file, or export it as CSV",
        file=path.name,
    ) from cause
