"""The binary log of a MariaDB server, read over its own protocol: where events are, and the cells asked for.

Only the cells asked for are decoded; all others are stepped over by their length, so that a value nobody can read does
not stop the reading. A kind of event that is not known is an error: nothing is skipped in silence.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from banyan.errors import SourceUnreadable
from wire.binlog_cells import Cell, TableMap, read_cells, read_number

_HEADER = struct.Struct("<IBIIIH")
_DUMP, _NON_BLOCK, _ANONYMOUS = 0x12, 0x01, 0  # server id 0: as mysqlbinlog, it displaces no replica
_IGNORED = frozenset((3, 5, 13, 14, 27, 160, 161, 163, 164))
# stop, intvar, rand, user variable, heartbeat, annotate rows, checkpoint, list of GTIDs, start of encryption
_ROTATE, _FORMAT, _TABLE_MAP = 4, 15, 19
_ROWS = {23: "I", 24: "U", 25: "D", 30: "I", 31: "U", 32: "D"}
_COLUMN_NAMES = 4
_METADATA_BYTES = {4: 1, 5: 1, 15: 2, 16: 2, 17: 1, 18: 1, 19: 1, 140: 1, 141: 2, 245: 1, 246: 2, 247: 2, 248: 2}
_METADATA_BYTES |= dict.fromkeys((249, 250, 251, 252, 255), 1) | {253: 2, 254: 2}


class Dump(Protocol):
    """What a connection must do to serve the binary log."""

    def _execute_command(self, command: int, payload: bytes) -> None: ...

    def _read_packet(self) -> object: ...


@dataclass(frozen=True, slots=True)
class FileStart:
    """The log goes on in a file, which was born at this second of the server's clock."""

    file: str
    born: int


@dataclass(frozen=True, slots=True)
class GroupStart:
    """A transaction begins; its GTID."""

    gtid: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement stands in the log as text: DDL, or the end of a transaction without XID."""

    schema: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction has ended with a commit."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of a transaction in two phases stand above; it commits later, if at all."""

    name: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table that were written, changed or deleted; their cells are read when asked for."""

    table: TableMap
    operation: str
    body: bytes = field(repr=False)

    def cells(self, wanted: Sequence[Cell]) -> Iterator[tuple[tuple[str | None, ...], ...]]:
        """Give the text of some cells of each row: once, or before and after the change."""
        return read_cells(self.table, self.operation, self.body, wanted)


Event = FileStart | GroupStart | Statement | Committed | Prepared | Rows
"""What the log says, in its order."""


def read_binlog(connection: Dump, file: str, position: int) -> Iterator[tuple[int, Event]]:
    """Read the events after a place to the present end of the log, each with the position where it ends."""
    payload = struct.pack("<IHI", position, _NON_BLOCK, _ANONYMOUS) + file.encode()
    connection._execute_command(_DUMP, payload)
    tables: dict[int, TableMap] = {}
    described: dict[bytes, TableMap] = {}  # each transaction describes its tables anew, in the same words
    checksum = 0
    current = file
    while True:
        packet = connection._read_packet()
        if packet.is_eof_packet():  # type: ignore[attr-defined]
            return
        raw: bytes = packet.get_all_data()[1:]  # type: ignore[attr-defined]
        _, kind, _, _, end, _ = _HEADER.unpack_from(raw)
        if kind == _FORMAT:
            # the last byte before the checksum says which checksum the events of this file carry
            checksum = 4 if raw[-5] == 1 else 0
        if checksum and kind != _ROTATE and not _is_sound(raw):
            raise SourceUnreadable(f"the binary log {current} is damaged near {end}; nothing after it was read")
        body = raw[19 : len(raw) - checksum] if checksum else raw[19:]
        if kind == _ROTATE:
            current = _rotated(raw)
            tables.clear()
            described.clear()
        elif kind == _TABLE_MAP:
            if body not in described:
                described[body] = _table_map(body)
            tables[int.from_bytes(body[:6], "little")] = described[body]
        else:
            event = _event(kind, raw, body, tables)
            if isinstance(event, FileStart):
                event = FileStart(current, event.born)
            if event is not None:
                yield end, event


def _is_sound(raw: bytes) -> bool:
    return int.from_bytes(raw[-4:], "little") == zlib.crc32(raw[:-4])


def _rotated(raw: bytes) -> str:
    # the first rotation comes before anything says whether events carry a checksum
    return (raw[27:-4] if _is_sound(raw) else raw[27:]).decode()


def _event(kind: int, raw: bytes, body: bytes, tables: dict[int, TableMap]) -> Event | None:
    if kind in _ROWS:
        table = tables.get(int.from_bytes(body[:6], "little"))
        if table is None:
            raise SourceUnreadable("the binary log names a table it has not described; nothing after it was read")
        start = 8 if kind < 30 else 8 + int.from_bytes(body[8:10], "little")
        return Rows(table, _ROWS[kind], body[start:])
    match kind:
        case 2:
            return _statement(body)
        case 15:
            return FileStart("", int.from_bytes(raw[:4], "little"))
        case 16:
            return Committed()
        case 38:
            return Prepared(_xa_name(body))
        case 162:
            sequence, domain = struct.unpack_from("<QI", body)
            return GroupStart(f"{domain}-{int.from_bytes(raw[5:9], 'little')}-{sequence}")
        case kind if kind in _IGNORED:
            return None
    raise SourceUnreadable(
        f"the binary log holds an event of kind {kind}, which cannot be read; nothing after it was read",
        hint="set log_bin_compress = OFF on the legacy server, or capture: journal",
        kind=kind,
    )


def _statement(body: bytes) -> Statement:
    schema_length, status_length = body[8], int.from_bytes(body[11:13], "little")
    start = 13 + status_length
    schema = body[start : start + schema_length].decode(errors="replace")
    return Statement(schema, body[start + schema_length + 1 :].decode(errors="replace"))


def _xa_name(body: bytes) -> str:
    """Give the name as the later `XA COMMIT` writes it: gtrid, bqual, format."""
    form, first, second = struct.unpack_from("<III", body, 1)
    text = body[13:]
    return f"X'{text[:first].hex()}',X'{text[first : first + second].hex()}',{form}"


def _table_map(body: bytes) -> TableMap:
    at = 8
    texts = []
    for _ in range(2):
        length = body[at]
        texts.append(body[at + 1 : at + 1 + length].decode())
        at += length + 2
    count, at = read_number(body, at)
    types = body[at : at + count]
    length, at = read_number(body, at + count)
    metadata = _metadata(types, body[at : at + length])
    at += length + (count + 7) // 8
    names: list[str] = []
    while at < len(body):
        kind = body[at]
        length, at = read_number(body, at + 1)
        if kind == _COLUMN_NAMES:
            place = at
            while place < at + length:
                size, place = read_number(body, place)
                names.append(body[place : place + size].decode())
                place += size
        at += length
    return TableMap(texts[0], texts[1], types, metadata, tuple(names))


def _metadata(types: bytes, raw: bytes) -> tuple[int, ...]:
    found, at = [], 0
    for kind in types:
        size = _METADATA_BYTES.get(kind, 0)
        # strings, enumerations and decimals write their two bytes in the order of reading
        order = "big" if kind in (246, 247, 248, 254) else "little"
        found.append(int.from_bytes(raw[at : at + size], order))  # type: ignore[arg-type]
        at += size
    return tuple(found)
