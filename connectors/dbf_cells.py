"""Cells of a DBF table that are more than text: memos, numbers and instants kept as bytes.

Every form here is a text that can be turned back into the same bytes.
"""

import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
import pyarrow as pa

_JULIAN_OF_ORDINAL_ZERO = 1_721_425
_DAY_MS = 86_400_000


class Form(Enum):
    """How the bytes of a field become text."""

    TEXT = "text"
    INTEGER = "integer"
    CURRENCY = "currency"
    INSTANT = "instant"
    DOUBLE = "double"
    MEMO = "memo"
    BINARY_MEMO = "binary memo"
    HEX = "hexadecimal"


# Memos: dBase III ends a memo with 0x1A, dBase IV and FoxPro write its length before it.


class BadMemo(Exception):
    """Why a memo cannot be read; the reader of the table says where."""


@dataclass(frozen=True, slots=True)
class MemoFile:
    """A file of memos in one of its three formats."""

    path: Path
    block_bytes: int
    read_body: Callable[[BinaryIO], tuple[bytes, bool]]

    def read(self, file: BinaryIO, block: int) -> tuple[bytes, bool]:
        """Read the memo that starts at a block: its bytes, and whether they are not text."""
        file.seek(block * self.block_bytes)
        return self.read_body(file)


def open_memo_file(path: Path, version: int) -> MemoFile:
    """Read the header of a memo file that belongs to a table of this version."""
    with open(path, "rb") as file:
        header = file.read(512)
    if path.suffix.lower() == ".fpt":
        block_bytes, read_body = int.from_bytes(header[6:8], "big"), _read_fpt
    elif version in (0x83, 0x03):
        block_bytes, read_body = 512, _read_dbt3
    else:
        block_bytes, read_body = int.from_bytes(header[20:22], "little") or 512, _read_dbt4
    if not block_bytes:
        raise BadMemo("it has no size of blocks")
    return MemoFile(path, block_bytes, read_body)


def _read_fpt(file: BinaryIO) -> tuple[bytes, bool]:
    head = file.read(8)
    if len(head) < 8:
        raise BadMemo("the record points behind the end of the memo file")
    kind, length = struct.unpack(">LL", head)
    return _exactly(file, length), kind != 1


def _read_dbt4(file: BinaryIO) -> tuple[bytes, bool]:
    head = file.read(8)
    if len(head) < 8 or head[:2] != b"\xff\xff":
        raise BadMemo("the record points to no memo")
    (length,) = struct.unpack("<L", head[4:])  # counts its own eight bytes
    return _exactly(file, length - 8), False


def _read_dbt3(file: BinaryIO) -> tuple[bytes, bool]:
    body = b""
    while block := file.read(512):
        end = block.find(b"\x1a")
        if end >= 0:
            return body + block[:end], False
        body += block
    raise BadMemo("the memo file ends inside the memo")


def _exactly(file: BinaryIO, length: int) -> bytes:
    if length < 0 or length > os.fstat(file.fileno()).st_size:
        raise BadMemo("its length is not possible")
    body = file.read(length)
    if len(body) != length:
        raise BadMemo("the memo file ends inside the memo")
    return body


def block_number(pointer: bytes) -> int:
    """Read the block a record points to; 0 when it points to none."""
    if len(pointer) == 4:
        return int.from_bytes(pointer, "little")
    digits = pointer.strip(b" \x00")
    if not digits:
        return 0
    if not digits.isdigit():
        raise BadMemo("the pointer of the record is not a number")
    return int(digits)


# Fields without text.


def hexadecimal(raw: bytes) -> str:
    """Write bytes as `0x` and two digits each."""
    return "0x" + raw.hex()


def _integer(raw: bytes) -> str:
    return str(int.from_bytes(raw, "little", signed=True))


def _currency(raw: bytes) -> str:
    amount = int.from_bytes(raw, "little", signed=True)
    return f"{'-' if amount < 0 else ''}{abs(amount) // 10_000}.{abs(amount) % 10_000:04d}"


def _double(raw: bytes) -> str:
    (value,) = struct.unpack("<d", raw)
    return repr(value) if math.isfinite(value) else hexadecimal(raw)


def _instant(raw: bytes) -> str:
    day, millisecond = struct.unpack("<LL", raw)
    ordinal = day - _JULIAN_OF_ORDINAL_ZERO
    if not 1 <= ordinal <= date.max.toordinal() or millisecond >= _DAY_MS:
        return hexadecimal(raw)
    seconds, thousandth = divmod(millisecond, 1000)
    clock = time(seconds // 3600, seconds // 60 % 60, seconds % 60, thousandth * 1000)
    return f"{date.fromordinal(ordinal)}T{clock.isoformat('milliseconds')}"


RENDERERS: dict[Form, Callable[[bytes], str]] = {
    Form.HEX: hexadecimal,
    Form.INTEGER: _integer,
    Form.CURRENCY: _currency,
    Form.DOUBLE: _double,
    Form.INSTANT: _instant,
}


def strings_of_width(text: str, count: int, width: int) -> pl.Series:
    """Cut a text of count x width characters into a column, without a loop over its rows."""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    sizes = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    offsets = np.concatenate(([0], sizes.reshape(count, width).sum(axis=1).cumsum())).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text.encode())]
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.large_string(), count, buffers)))
