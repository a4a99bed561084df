"""The messages of pgoutput (protocol version 1), from bytes to values; pure, no connection.

Reference: PostgreSQL documentation, "Logical Replication Message Formats". Cells stay bytes: the caller decodes the
few it needs, and no value of another column is ever turned into text.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from banyan.errors import SourceUnreadable


class Absent(Enum):
    """Why a cell has no bytes: null, or a large value that did not change and was not sent."""

    NULL = "null"
    UNCHANGED = "unchanged"


Cell = bytes | Absent
Cells = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction begins; it was committed at this place of the log."""

    commit_place: int
    transaction: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A transaction is complete; the log continues at this place."""

    end_place: int


@dataclass(frozen=True, slots=True)
class OriginNamed:
    """The transaction was replayed from another server, under this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as the following messages mean it; told again whenever it changed."""

    number: int
    schema: str
    name: str
    identity: str
    columns: tuple[str, ...]
    identifying: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Inserted:
    """A row came."""

    relation: int
    new: Cells = field(repr=False)


@dataclass(frozen=True, slots=True)
class Updated:
    """A row changed; `old` is sent when its identity changed, or is too large to stand in the new row."""

    relation: int
    new: Cells = field(repr=False)
    old: Cells | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A row is gone; only its identity is told."""

    relation: int
    old: Cells = field(repr=False)


@dataclass(frozen=True, slots=True)
class Truncated:
    """Tables were emptied; no key is told."""

    relations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that carries no key: a type, a message of an application."""


Message = Begin | Commit | OriginNamed | Relation | Inserted | Updated | Deleted | Truncated | Aside


def decode(payload: bytes, read_name: Callable[[bytes], str] = bytes.decode) -> Message:
    """Decode one message, names by `read_name`; refuses what this version of the protocol does not know."""
    reader = _Reader(payload, read_name)
    try:
        return _decode(reader)
    except (struct.error, IndexError, ValueError):
        raise SourceUnreadable(
            "the log of the legacy system sends what pgoutput version 1 does not say; nothing of it was kept",
            hint="banyan doctor",
            letter=chr(payload[0]) if payload else "",
        ) from None


def _decode(reader: "_Reader") -> Message:
    kind = reader.letter()
    match kind:
        case "B":
            place, _, number = reader.numbers("!QqI")
            return Begin(place, number)
        case "C":
            _, _, end, _ = reader.numbers("!BQQq")
            return Commit(end)
        case "O":
            reader.numbers("!Q")
            return OriginNamed(reader.text())
        case "R":
            return _relation(reader)
        case "I":
            number = reader.number("!I")
            reader.letter()
            return Inserted(number, reader.cells())
        case "U":
            number = reader.number("!I")
            old = reader.cells() if reader.letter() in "KO" else None
            if old is not None:
                reader.letter()
            return Updated(number, reader.cells(), old)
        case "D":
            number = reader.number("!I")
            reader.letter()
            return Deleted(number, reader.cells())
        case "T":
            count, _ = reader.numbers("!IB")
            return Truncated(tuple(reader.number("!I") for _ in range(count)))
        case "Y" | "M":
            return Aside()
        case _:
            raise ValueError(kind)


def _relation(reader: "_Reader") -> Relation:
    number = reader.number("!I")
    schema, name, identity = reader.text() or "pg_catalog", reader.text(), reader.letter()
    flags, columns = [], []
    for _ in range(reader.number("!H")):
        flags.append(bool(reader.number("!B")))
        columns.append(reader.text())
        reader.numbers("!Ii")  # type and its modifier
    return Relation(number, schema, name, identity, tuple(columns), tuple(flags))


class _Reader:
    """A place in the bytes of one message."""

    __slots__ = ("_at", "_bytes", "_read_name")

    def __init__(self, payload: bytes, read_name: Callable[[bytes], str]) -> None:
        self._bytes = payload
        self._read_name = read_name
        self._at = 0

    def letter(self) -> str:
        self._at += 1
        return chr(self._bytes[self._at - 1])

    def numbers(self, form: str) -> Sequence[int]:
        found: Sequence[int] = struct.unpack_from(form, self._bytes, self._at)
        self._at += struct.calcsize(form)
        return found

    def number(self, form: str) -> int:
        return self.numbers(form)[0]

    def text(self) -> str:
        end = self._bytes.index(0, self._at)
        found = self._read_name(self._bytes[self._at : end])
        self._at = end + 1
        return found

    def cells(self) -> Cells:
        return tuple(self._cell() for _ in range(self.number("!H")))

    def _cell(self) -> Cell:
        match self.letter():
            case "n":
                return Absent.NULL
            case "u":
                return Absent.UNCHANGED
            case "t":
                length = self.number("!I")
                found = self._bytes[self._at : self._at + length]
                if len(found) != length:
                    raise ValueError(length)
                self._at += length
                return found
            case other:
                raise ValueError(other)
