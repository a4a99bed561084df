"""The cells of a row in a binary log: those asked for become text, all others are stepped over by their length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from banyan.errors import SourceUnreadable
from banyan.undecoded import read_text

_FIXED = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 0, 7: 4, 8: 8, 9: 3, 10: 3, 11: 3, 12: 8, 13: 1, 14: 3}
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


class Reading(StrEnum):
    """How a cell becomes text."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    DECIMAL = "decimal"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Cell:
    """One column to read: where it stands, how it is read, its encoding, the width it is filled to with zeros."""

    ordinal: int
    reading: Reading
    encoding: str = "utf-8"
    width: int = 0


@dataclass(frozen=True, slots=True)
class TableMap:
    """A table as the log describes it; names only where the server writes them."""

    schema: str
    table: str
    types: bytes = field(repr=False)
    metadata: tuple[int, ...] = field(repr=False)
    names: tuple[str, ...]


def read_cells(
    table: TableMap, operation: str, body: bytes, wanted: Sequence[Cell]
) -> Iterator[tuple[tuple[str | None, ...], ...]]:
    """Give the text of some cells of each row: once, or before and after the change."""
    count, at = read_number(body, 0)
    width = (count + 7) // 8
    images = 2 if operation == "U" else 1
    present = [body[at + width * image : at + width * (image + 1)] for image in range(images)]
    at += width * images
    while at < len(body):
        found = []
        for image in range(images):
            cells, at = _read_image(body, at, table, present[image], wanted)
            found.append(cells)
        yield tuple(found)


def _read_image(
    body: bytes, at: int, table: TableMap, present: bytes, wanted: Sequence[Cell]
) -> tuple[tuple[str | None, ...], int]:
    ordinals = [number for number in range(len(table.types)) if present[number // 8] >> number % 8 & 1]
    nulls = body[at : at + (len(ordinals) + 7) // 8]
    at += len(nulls)
    readers = {cell.ordinal: cell for cell in wanted}
    found: dict[int, str | None] = {}
    for place, ordinal in enumerate(ordinals):
        if nulls[place // 8] >> place % 8 & 1:
            found[ordinal] = None
            continue
        kind, metadata = table.types[ordinal], table.metadata[ordinal]
        start, end = _extent(body, at, kind, metadata)
        if ordinal in readers:
            found[ordinal] = _text(body[start:end], kind, metadata, readers[ordinal])
        at = end
    missing = [cell.ordinal for cell in wanted if cell.ordinal not in found]
    if missing:
        raise SourceUnreadable(
            f"the binary log does not hold the key of {table.table}; nothing after it was read",
            hint="set binlog_row_image = FULL on the legacy server",
            table=table.table,
        )
    return tuple(found[cell.ordinal] for cell in wanted), at


def _extent(body: bytes, at: int, kind: int, metadata: int) -> tuple[int, int]:
    """Tell from where to where a cell stands, its length left out."""
    prefix = size = 0
    match kind:
        case kind if kind in _FIXED:
            size = _FIXED[kind]
        case 17 | 18 | 19:
            size = {17: 4, 18: 5, 19: 3}[kind] + (metadata + 1) // 2
        case 15 | 141 | 253:
            prefix = 2 if metadata > 255 else 1
        case 140 | 245 | 249 | 250 | 251 | 252 | 255:
            prefix = metadata
        case 16:
            size = (metadata >> 8) + bool(metadata & 255)
        case 246:
            size = _decimal_bytes(metadata >> 8, metadata & 255)
        case 247 | 248 | 254:
            prefix, size = _string_extent(metadata)
        case _:
            raise SourceUnreadable(f"the binary log holds a column of type {kind}, which cannot be read")
    if prefix:
        size = int.from_bytes(body[at : at + prefix], "little")
    return at + prefix, at + prefix + size


def _string_extent(metadata: int) -> tuple[int, int]:
    first, second = metadata >> 8, metadata & 255
    real = first if first & 0x30 == 0x30 else first | 0x30
    if real in (247, 248):
        return 0, second
    length = second | ((first & 0x30) ^ 0x30) << 4
    return (2 if length > 255 else 1), 0


def _text(raw: bytes, kind: int, metadata: int, cell: Cell) -> str:
    match cell.reading:
        case Reading.SIGNED:
            text = str(int.from_bytes(raw, "little", signed=True))
        case Reading.UNSIGNED:
            text = str(int.from_bytes(raw, "little"))
        case Reading.DECIMAL:
            text = f"{_decimal(raw, metadata >> 8, metadata & 255):f}"
        case Reading.TEXT:
            text = _decoded(raw, cell.encoding)
        case Reading.DATE:
            number = int.from_bytes(raw, "little")
            text = f"{number >> 9:04}-{number >> 5 & 15:02}-{number & 31:02}"
        case Reading.DATETIME:
            text = _instant(raw, metadata)
        case Reading.YEAR:
            text = f"{raw[0] + 1900 if raw[0] else 0:04}"
    return text.zfill(cell.width)


def _decoded(raw: bytes, encoding: str) -> str:
    if encoding in _WITH_GAPS:
        return read_text(raw, encoding)
    if encoding != "latin1":
        return raw.decode(encoding)
    # the server's latin1 is cp1252, with the five bytes that cp1252 leaves out as control characters
    return "".join(bytes((byte,)).decode("cp1252" if byte not in _HOLES else "latin-1") for byte in raw)


_WITH_GAPS = frozenset(("ascii", "cp1250", "cp1251"))
"""Encodings of single bytes that leave some out, in Python those that the server leaves out too."""
_HOLES = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def _instant(raw: bytes, digits: int) -> str:
    number = int.from_bytes(raw[:5], "big") - 0x8000000000
    months, day = number >> 22, number >> 17 & 31
    hour, minute, second = number >> 12 & 31, number >> 6 & 63, number & 63
    text = f"{months // 13:04}-{months % 13:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
    if not digits:
        return text
    size = (digits + 1) // 2
    fraction = f"{int.from_bytes(raw[5:], 'big'):0{size * 2}}"
    return f"{text}.{fraction[:digits]}"


def _decimal_bytes(precision: int, scale: int) -> int:
    whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


def _decimal(raw: bytes, precision: int, scale: int) -> Decimal:
    is_negative = not raw[0] & 0x80
    bare = bytes((raw[0] ^ 0x80, *raw[1:]))
    if is_negative:
        bare = bytes((raw[0] ^ 0x7F, *(byte ^ 0xFF for byte in raw[1:])))
    whole = precision - scale
    groups = [whole % 9, *[9] * (whole // 9), 0, *[9] * (scale // 9), scale % 9]
    digits, at = "", 0
    for size in groups:
        width = _DIGIT_BYTES[size]
        if size:
            digits += f"{int.from_bytes(bare[at : at + width], 'big'):0{size}}"
        at += width
    number = Decimal(int(digits or "0")).scaleb(-scale)
    return -number if is_negative else number


def read_number(body: bytes, at: int) -> tuple[int, int]:
    """Read a length-encoded number; gives it and where it ends."""
    first = body[at]
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size:
        return first, at + 1
    return int.from_bytes(body[at + 1 : at + 1 + size], "little"), at + 1 + size
