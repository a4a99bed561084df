"""What stands around the tables of a legacy system: who connects, who may write, triggers, views, routines, jobs.

Read from the catalogue of the server by the reading account; what it may not see is said, never taken for nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from psycopg import sql

from connectors.dialects import statements
from connectors.postgresql_connection import PostgreSQLConnections


@dataclass(frozen=True, slots=True)
class Caller:
    """An account seen connected: its program and address where the server knows them, and how many sessions."""

    account: str
    program: str
    address: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that refers to the key of another table."""

    table: str
    column: str
    parent: str
    parent_column: str


@dataclass(frozen=True, slots=True)
class Activity:
    """How large a table is, and how many rows were written since the server counts; None where it does not."""

    size_bytes: int
    inserted: int | None = None
    updated: int | None = None
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around the tables of one schema, by table where it belongs to one."""

    encoding: str = ""
    callers: tuple[Caller, ...] = ()
    writers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    triggers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    jobs: tuple[tuple[str, str], ...] = ()
    references: tuple[Reference, ...] = ()
    activity: Mapping[str, Activity] = field(default_factory=dict)
    counted_since: datetime | None = None
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and what would let us."""
    hidden: tuple[str, ...] = ()
    """Of which no table could be told anything: writers, triggers, views, routines. That is not none."""


_SEEN_WITH: Final = {
    "writers": ("accounts", "accounts that may write: an account that reads mysql.* sees them; ask for SHOW GRANTS"),
    "triggers": ("trigger", "triggers: an account with TRIGGER sees them; ask an administrator for SHOW TRIGGERS"),
    "views": ("show view", "views: grant show view on the tables' database to banyan_reader"),
    "routines": ("accounts", "routines: an account that reads mysql.proc sees them; ask an administrator for them"),
    "jobs": ("event", "events: an account with EVENT sees them; ask an administrator for SHOW EVENTS"),
}
"""What a MariaDB shows only to who may more than read: the right, and what to ask for."""


def look_around_postgresql(url: str, schema: str) -> Surroundings:
    """Look at the catalogue and the sessions of a legacy PostgreSQL; changes nothing."""
    reader = PostgreSQLConnections(url)
    try:
        with reader.session("looking around") as connection:

            def ask(name: str) -> list[tuple[Any, ...]]:
                query = sql.SQL(statements("surroundings_postgresql")[name])  # type: ignore[arg-type]  # our own file
                return connection.execute(query, {"schema": schema}).fetchall()

            unseen = []
            if not ask("sees_others")[0][0]:
                unseen.append("programs and addresses of other accounts: grant pg_read_all_stats to banyan_reader")
            has_jobs = bool(ask("has_jobs")[0][0])
            if not has_jobs:
                unseen.append("jobs: this account sees no scheduler in the database; ask for the crontab of its host")
            return Surroundings(
                encoding=str(ask("encoding")[0][0]),
                callers=tuple(Caller(*row) for row in ask("sessions")),
                writers=_by_table(ask("writers")),
                triggers=_by_table(ask("triggers")),
                views=_by_table(ask("views")),
                routines=_by_table(ask("routines")),
                jobs=tuple((str(name), str(when)) for name, when in ask("jobs")) if has_jobs else (),
                references=tuple(Reference(*row) for row in ask("references")),
                activity={row[0]: Activity(*row[1:]) for row in ask("activity")},
                counted_since=ask("counted_since")[0][0],
                unseen=tuple(unseen),
            )
    finally:
        reader.close()


def look_around_mariadb(url: str, schema: str) -> Surroundings:
    """Look at the catalogue and the sessions of a legacy MariaDB; changes nothing."""
    from connectors.mariadb_connection import MariaDBConnections  # its driver is an extra of the installation
    from connectors.mariadb_connection import ask as ask_mariadb

    reader = MariaDBConnections(url)
    try:
        with reader.session("looking around") as connection:

            def ask(name: str) -> list[tuple[Any, ...]]:
                return ask_mariadb(connection, statements("surroundings_mariadb")[name], {"schema": schema})

            unseen = ["programs of accounts: MariaDB does not know them", "rows written: MariaDB does not count them"]
            if not ask("sees_others")[0][0]:
                unseen.append("sessions of other accounts: grant process on *.* to banyan_reader")
            rights = {right for (right,) in ask("rights")}
            found = {kind: ask(kind) for kind in _SEEN_WITH}
            hidden = [kind for kind, (right, _) in _SEEN_WITH.items() if right not in rights and not found[kind]]
            unseen += [_SEEN_WITH[kind][1] for kind in hidden]
            return Surroundings(
                encoding=str(ask("encoding")[0][0]),
                callers=tuple(Caller(str(a), str(p), str(h), int(n)) for a, p, h, n in ask("sessions")),
                writers=_by_table(found["writers"]),
                triggers=_by_table(found["triggers"]),
                views=_by_table(found["views"]),
                routines=_by_table(found["routines"]),
                jobs=tuple((str(name), str(when).strip()) for name, when in found["jobs"]),
                hidden=tuple(hidden),
                references=tuple(Reference(*row) for row in ask("references")),
                activity={row[0]: Activity(int(row[1])) for row in ask("activity")},
                unseen=tuple(unseen),
            )
    finally:
        reader.close()


def _by_table(rows: Sequence[tuple[Any, ...]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for table, name in rows:
        found.setdefault(str(table), []).append(str(name))
    return {table: tuple(names) for table, names in found.items()}
