"""How changes of a legacy MariaDB are found, whatever the way: its face, what is folded, what is refused."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from banyan.ports import Incremental
from banyan.records import ChangedKey, Operation, Origin, Position
from connectors.dialects_mariadb import ForeignKey, MariaDBShape
from connectors.mariadb_cascades import Cascades, find_cascades
from connectors.mariadb_connection import Connection, MariaDBConnections


@dataclass(frozen=True, slots=True)
class Watched:
    """The tables whose changes are asked for, as the catalogue describes them today."""

    schema: str
    shapes: Mapping[str, MariaDBShape] = field(repr=False)
    keys: tuple[ForeignKey, ...] = field(repr=False)
    gone: tuple[str, ...] = ()

    @property
    def cascades(self) -> Cascades:
        """Give how foreign keys reach these tables."""
        return find_cascades(self.keys, tuple(self.shapes))


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one key, as a log or journal tells it."""

    table: str
    key: str = field(repr=False)
    operation: str
    by_person: bool


class MariaDBCapture(Protocol):
    """One way of finding what changed in the tables of a schema."""

    @property
    def incremental(self) -> Incremental:
        """Name this way."""
        ...

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database."""
        ...

    def head(self, connection: Connection) -> Position:
        """Give the present Position: all that a later reading does not show is behind it."""
        ...

    def place(self, connection: Connection) -> Position:
        """Give the Position beside which rows are read at this moment."""
        ...

    def changes(self, since: Position, until: Position | None, watched: Watched) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; refuses a Position it cannot answer."""
        ...

    def is_followed(self, connection: Connection, table: str, watched: Watched) -> bool:
        """Tell whether every change of a table is found today."""
        ...

    def incremental_of(self, connection: Connection, table: str, watched: Watched) -> Incremental:
        """Tell how the changes of a table are found today; `none` where they are not."""
        ...

    def unfollowable(self, watched: Watched) -> frozenset[str]:
        """Name the tables that this way could not follow whatever was installed."""
        ...

    def plan(self, watched: Watched) -> list[str]:
        """Write the statements that install it on the legacy side; runs none of them."""
        ...

    def removal(self, connection: Connection, tables: Sequence[str] | None) -> list[str]:
        """Write the statements that remove it from some tables, or from all."""
        ...

    def prune(self, before: Position) -> int:
        """Forget what every reader has passed; gives how many entries."""
        ...


OpenMariaDBCapture = Callable[[MariaDBConnections, str], MariaDBCapture]
"""Opens a way of capture on the connections and the schema of a port."""


def fold(entries: Iterable[Entry]) -> list[ChangedKey]:
    """Keep one entry for each key, with its last operation; a person's when any of its changes is."""
    last: dict[tuple[str, str], ChangedKey] = {}
    for entry in entries:
        place = (entry.table, entry.key)
        before = last.pop(place, None)
        by_person = entry.by_person or (before is not None and before.origin is Origin.PERSON)
        origin = Origin.PERSON if by_person else Origin.ROUTE
        last[place] = ChangedKey(entry.table, entry.key, Operation(entry.operation), origin)
    return list(last.values())
