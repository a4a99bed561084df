"""What the account that reads a legacy MariaDB may do, and how far the server's clock is from ours."""

from dataclasses import dataclass
from typing import Final

from banyan.clock import monotonic, now
from connectors.dialects_mariadb import home_of, named
from connectors.mariadb_connection import MariaDBConnections, ask

_POWERS: Final = {
    "SUPER": "a superuser",
    "CREATE USER": "a creator of accounts",
    "FILE": "a reader of the server's files",
    "GRANT OPTION": "a giver of rights",
}


_UNSTOPPED: Final = ("DROP", "ALTER", "TRIGGER")
EVERYWHERE: Final = " everywhere"
"""How the list of rights that no trigger stops ends where they were granted on every database."""


@dataclass(frozen=True, slots=True)
class LooseAccount:
    """An account with rights that no trigger stops: on a table of this database, on all of it, or on every one."""

    account: str
    table: str
    is_everywhere: bool
    rights: tuple[str, ...]
    """Those of DROP, ALTER and TRIGGER that it holds there, and no other."""

    @property
    def name(self) -> str:
        """Give the account as a statement names it; a role has no host."""
        user, _, host = self.account.rpartition("@")
        return f"'{user}'@'{host}'" if host else f"'{user}'"


def read_loose(account: str, table: str, told: str) -> LooseAccount:
    """Read one line of the list of rights that no trigger stops."""
    held = [right.strip().upper() for right in told.removesuffix(EVERYWHERE).split(",")]
    rights = tuple(right for right in _UNSTOPPED if right in held)
    return LooseAccount(account, table, told.endswith(EVERYWHERE), rights)


@dataclass(frozen=True, slots=True)
class AccountLook:
    """An account as found: what it may write, what it may that no reader should, and the server's clock."""

    writable: tuple[str, ...]
    powers: tuple[str, ...]
    clock_offset_seconds: float


def look_at_reader(url: str, schema: str) -> AccountLook:
    """Look at the rights of an account in a legacy database, as the server tells them to itself."""
    reader = MariaDBConnections(url)
    try:
        with reader.session("looking at the rights") as connection:
            held = [str(right) for (right,) in ask(connection, named("own_rights", schema))]
            values = {"schema": schema, "home": home_of(schema)}
            writable = [str(place) for (place,) in ask(connection, named("own_writes", schema), values)]
            began, here = monotonic(), now()
            (there,) = ask(connection, named("clock", schema))[0]
            took = monotonic() - began
    finally:
        reader.close()
    offset = float(there) - here.timestamp() - took / 2
    return AccountLook(tuple(writable), tuple(said for right, said in _POWERS.items() if right in held), offset)
