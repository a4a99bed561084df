"""From the messages of the log to keys: only the columns of the primary key are ever decoded."""

from collections.abc import Iterator, Mapping
from typing import assert_never

from banyan.errors import SourceDrifted
from banyan.records import KEY_SEPARATOR, LoggedKey
from connectors.postgresql_log_messages import (
    Absent,
    Aside,
    Begin,
    Cells,
    Commit,
    Deleted,
    Inserted,
    Message,
    OriginNamed,
    Relation,
    Truncated,
    Updated,
)
from wire.alphabet import Alphabet

ROUTE_TABLE = ("banyan", "position")
"""The reverse applier writes its Position in each of its transactions, and nobody else may: such a one is a route's."""

_HALF = 1 << 31


class KeyReader:
    """Turns one stream of messages into keys; knows the tables as the stream has told them."""

    def __init__(self, keys: Mapping[tuple[str, str], tuple[str, ...]], *, alphabet: Alphabet | None = None) -> None:
        self._keys = keys
        self._read = bytes.decode if alphabet is None else alphabet.read
        self._relations: dict[int, Relation] = {}
        self._places: dict[int, tuple[int, ...]] = {}
        self._transaction = 0
        self.newest_transaction = 0  # sixty-four bits, to tell which turn of the counter a number of 32 belongs to

    def read(self, message: Message) -> Iterator[LoggedKey]:
        """Give the keys that a message names."""
        match message:
            case Begin(transaction=number):
                self._transaction = self._widened(number)
            case Relation():
                self._relations[message.number] = message
                self._places.pop(message.number, None)
            case Inserted(relation, new):
                yield self._logged(relation, "I", new, None)
            case Updated(relation, new, old):
                yield from self._updated(relation, new, old)
            case Deleted(relation, old):
                yield self._logged(relation, "D", old, None)
            case Truncated(relations):
                for number in relations:
                    table = self._relations[number]
                    if (table.schema, table.name) in self._keys:
                        yield LoggedKey(self._transaction, table.name, "T", "")
            case Commit() | OriginNamed() | Aside():  # what another server replayed is a change of this system too
                pass
            case _:
                assert_never(message)

    def _updated(self, relation: int, new: Cells, old: Cells | None) -> Iterator[LoggedKey]:
        now = self._logged(relation, "U", new, old)
        if old is None or now.operation == "R":
            yield now
            return
        before = self._logged(relation, "D", old, None)
        if before.key == now.key:
            yield now
            return
        yield before
        yield LoggedKey(now.transaction, now.table, "I", now.key)

    def _logged(self, relation: int, operation: str, cells: Cells, instead: Cells | None) -> LoggedKey:
        table = self._relations[relation]
        if (table.schema, table.name) == ROUTE_TABLE:
            return LoggedKey(self._transaction, "", "R", "")
        parts = []
        for place in self._key_places(table):
            cell = cells[place]
            if cell is Absent.UNCHANGED and instead is not None:
                cell = instead[place]
            if isinstance(cell, Absent):
                raise SourceDrifted(
                    f"the log does not tell the key of a row of {table.name} ({cell.value}); nothing of it was kept",
                    hint="name a key the log tells, or set `capture: snapshot` in banyan.yaml",
                    table=table.name,
                )
            parts.append(self._read(cell))
        return LoggedKey(self._transaction, table.name, operation, KEY_SEPARATOR.join(parts))

    def _key_places(self, table: Relation) -> tuple[int, ...]:
        found = self._places.get(table.number)
        if found is not None:
            return found
        key = self._keys.get((table.schema, table.name), ())
        told = [name for name, is_told in zip(table.columns, table.identifying, strict=True) if is_told]
        missing = [name for name in key if name not in told]
        if missing or not key:
            raise SourceDrifted(
                f"the log tells {table.schema}.{table.name} without {', '.join(missing) or 'a known key'}: its key or "
                "its replica identity was changed; nothing of it was kept",
                hint="banyan source scan, then change the rule",
                table=table.name,
            )
        self._places[table.number] = tuple(table.columns.index(name) for name in key)
        return self._places[table.number]

    def _widened(self, number: int) -> int:
        """Give the 64 bits of a transaction number: the turn of the counter nearest to the newest one known."""
        distance = (self.newest_transaction - number) & 0xFFFFFFFF
        return self.newest_transaction - (distance if distance < _HALF else distance - (1 << 32))
