"""What banyan installs beside a legacy MariaDB: its own database, and triggers on legacy tables that can be checked."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from connectors.dialects_mariadb import home_of, literal, named, quoted, shipped
from connectors.mariadb_connection import Connection, MariaDBConnections, ask

CAPTURE: Final = "CAPTURE"
FENCE: Final = "FENCE"
LOCK_WAIT: Final = ("set session lock_wait_timeout = 5", "set session innodb_lock_wait_timeout = 5")
"""Installing waits for running transactions, not for ever."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger of ours on a legacy table."""

    name: str
    table: str
    when: str
    body: str = field(repr=False)
    kind: str = CAPTURE
    closure: str = ""
    is_member: bool = True

    @property
    def digest(self) -> str:
        """Give the digest of the body as the server keeps it."""
        return hashlib.md5(as_shown(self.body).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Installed:
    """A trigger that was installed, as it is found today."""

    trigger: str
    table: str
    kind: str
    closure: str
    is_same_table: bool
    is_present: bool
    is_as_installed: bool

    @property
    def problem(self) -> str:
        """Say what is wrong with it; empty when nothing is."""
        if not self.is_present:
            return f"the trigger {self.trigger} is missing"
        if not self.is_as_installed:
            return f"the trigger {self.trigger} is not the one that was installed"
        if not self.is_same_table:
            return "the table was truncated, rebuilt or made anew since its triggers were installed"
        return ""


def as_shown(body: str) -> str:
    """Give a stored body as the catalogue shows it: without the character sets of its literals."""
    return body.replace("_utf8mb4 X'", " X'")


def trigger_name(prefix: str, table: str, suffix: str = "") -> str:
    """Name a trigger of a table, within the 64 characters of an identifier; unique in its schema."""
    name = f"{prefix}_{table}{suffix}"
    return name if len(name) <= 64 else f"{prefix}_{hashlib.sha256((table + suffix).encode()).hexdigest()[:16]}"


def plan_base(schema: str) -> list[str]:
    """Write the statements that make banyan's own database beside a schema."""
    return list(shipped("mariadb_base", schema).values())


def plan_trigger(schema: str, trigger: Trigger) -> list[str]:
    """Write the statements that install one trigger and remember it; running them again changes nothing."""
    table = f"{quoted(schema)}.{quoted(trigger.table)}"
    texts = [literal(text) for text in (trigger.name, trigger.table, trigger.kind, trigger.closure)]
    member = "true" if trigger.is_member else "false"
    home = quoted(home_of(schema))
    return [
        f"create or replace definer = banyan_owner@localhost trigger {quoted(schema)}.{quoted(trigger.name)}\n"
        f"{trigger.when} on {table} for each row\n{trigger.body}",
        f"replace into {home}.installed (trigger_name, table_name, kind, closure, is_member, table_identity, digest)\n"
        f"values ({', '.join(texts)}, {member}, {home}.identity({texts[1]}), '{trigger.digest}')",
    ]


def plan_removal(schema: str, names: Sequence[str]) -> list[str]:
    """Write the statements that take triggers away."""
    home = quoted(home_of(schema))
    return [
        line
        for name in names
        for line in (
            f"drop trigger if exists {quoted(schema)}.{quoted(name)}",
            f"delete from {home}.installed where trigger_name = {literal(name)}",  # noqa: S608 - literal in hexadecimal
        )
    ]


@contextmanager
def administrator(admin_url: str, doing: str) -> Iterator[Connection]:
    """Open a connection of an account that may install; every statement commits alone, as DDL does here."""
    admin = MariaDBConnections(admin_url)
    try:
        with admin.session(doing) as connection:
            for line in LOCK_WAIT:
                ask(connection, line)
            yield connection
    finally:
        admin.close()


def run(connection: Connection, lines: Sequence[str]) -> None:
    """Run statements one after another."""
    for line in lines:
        ask(connection, line)


def is_installed(connection: Connection, schema: str, table: str) -> bool:
    """Tell whether a table of banyan's own database is there and may be read."""
    values = {"home": home_of(schema), "table": table}
    return bool(ask(connection, named("is_installed", schema), values)[0][0])


def is_fed_unseen(connection: Connection, schema: str) -> bool:
    """Tell whether replication writes to this server past its triggers."""
    is_fed, _, fires_triggers = ask(connection, named("fed", schema))[0]
    return bool(is_fed) and not fires_triggers


def inspect_triggers(connection: Connection, schema: str) -> list[Installed]:
    """Compare every trigger that was installed with what is there now."""
    if not is_installed(connection, schema, "installed"):
        return []
    rows = ask(connection, named("inspect_triggers", schema))
    return [Installed(n, t, k, c, bool(same), bool(there), bool(sound)) for n, t, k, c, same, there, sound in rows]
