"""How changes of a legacy PostgreSQL are found: one of several ways, chosen in the project, behind the same port."""

from collections.abc import Callable, Sequence
from typing import Protocol

from banyan.ports import Incremental
from banyan.records import ChangedKey, Position
from connectors.dialects import TableShape
from connectors.postgresql_connection import Connection, PostgreSQLConnections


class Capture(Protocol):
    """One way of finding what changed in the tables of a schema."""

    @property
    def incremental(self) -> Incremental:
        """Name this way."""
        ...

    @property
    def deletes_visible(self) -> bool:
        """Tell whether a deleted row is found."""
        ...

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database, with the capture installed in it."""
        ...

    def head(self, connection: Connection) -> Position:
        """Give the present Position: all that a later reading does not show is behind it."""
        ...

    def place(self, connection: Connection) -> Position:
        """Give the Position beside which rows are read at this moment; costs next to nothing."""
        ...

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; refuses a Position it cannot answer."""
        ...

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether changes of a table are found today."""
        ...

    def plan(self, shapes: Sequence[TableShape]) -> list[str]:
        """Write the statements that install it on the legacy side; runs none of them."""
        ...

    def install(self, admin_url: str, shapes: Sequence[TableShape]) -> None:
        """Install it; what is installed and sound stays."""
        ...

    def remove(self, admin_url: str, tables: Sequence[str] | None) -> None:
        """Remove it from some tables, or from all; Positions taken before become void with the last one."""
        ...

    def prune(self, before: Position) -> int:
        """Forget what every reader has passed; gives how many entries."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...


ShapeOf = Callable[[str], TableShape]
"""Gives the shape of a table that has a key; refuses any other."""

OpenCapture = Callable[[PostgreSQLConnections, str, ShapeOf], Capture]
"""Opens a way of capture on the connections and the schema of a port."""
