"""Change capture on a legacy PostgreSQL: a journal of keys written by statement triggers, read by snapshots.

A Position is a snapshot (`pg_current_snapshot`) and the incarnation it belongs to. The next batch is what the last
snapshot could not see and the new one can: reading by id, by xid or up to xmin loses or inverts changes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from sys import intern
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored
from banyan.ports import Incremental
from banyan.records import ChangedKey, Operation, Origin, Position
from connectors.capture import ShapeOf
from connectors.dialects import TableShape, statement, statements
from connectors.dialects_triggers import capture_statements, uncapture_statements
from connectors.history import DECIDE, SWEEP, refuse_incarnation
from connectors.postgresql_connection import Connection, PostgreSQLConnections

Answered = psycopg.Cursor[Any]
_QUESTIONS = ("capture_defects", "position_faults", "truncated_unseen", "changes")
_AT_ONCE: WeakSet[Connection] = WeakSet()
"""Connections on which a capture stands and whose account may read the identity of the server."""
_LOCK_WAIT = "set local lock_timeout = '5s'"  # installing waits for running transactions, not for ever


@dataclass(frozen=True, slots=True)
class Head:
    """The present of a database: its incarnation and the snapshot of this moment."""

    incarnation: str
    snapshot: str

    @property
    def position(self) -> Position:
        """Give it as the opaque text callers keep."""
        return Position(json.dumps({"incarnation": self.incarnation, "snapshot": self.snapshot}, sort_keys=True))


class JournalCapture:
    """Changes found in the journal that triggers write."""

    incremental = Incremental.JOURNAL
    deletes_visible = True

    def __init__(self, reader: PostgreSQLConnections, schema: str, _: ShapeOf) -> None:
        self._reader = reader
        self._schema = schema

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database: system, database, timeline and installed capture."""
        return read_head(connection).incarnation

    def head(self, connection: Connection) -> Position:
        """Give the present Position."""
        return read_head(connection).position

    def place(self, connection: Connection) -> Position:
        """Give the present Position."""
        return read_head(connection).position

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List the keys that changed between two Positions."""
        with self._reader.session("reading changes") as connection:
            return read_changes(connection, self._schema, since, until)

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether the triggers of a table stand as they were installed."""
        row = connection.execute(statement("table_guards"), {"schema": self._schema, "table": table}).fetchone()
        if not (row and row[0]) or connection.execute(statement("capture_table")).fetchone() != (True,):
            return False
        return (table,) not in connection.execute(statement("capture_defects")).fetchall()

    def plan(self, shapes: Sequence[TableShape]) -> list[str]:
        """Write the statements that install it."""
        return plan_capture(shapes)

    def install(self, admin_url: str, shapes: Sequence[TableShape]) -> None:
        """Install it in one transaction."""
        install_capture(admin_url, shapes)

    def remove(self, admin_url: str, tables: Sequence[str] | None) -> None:
        """Remove it from some tables, or from all with the journal."""
        remove_capture(admin_url, self._schema, tables)

    def prune(self, before: Position) -> int:
        """Delete the journal up to a Position; gives the number of entries removed."""
        with self._reader.session("pruning the journal") as connection:
            return prune_journal(connection, before)

    def close(self) -> None:
        """Hold nothing open."""


def read_head(connection: Connection) -> Head:
    """Read the incarnation and the present snapshot; in one question where the connection has shown that it may."""
    if connection in _AT_ONCE:
        try:
            row = connection.execute(statement("head")).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
            _AT_ONCE.discard(connection)
            if not connection.autocommit or connection.info.transaction_status is not TransactionStatus.IDLE:
                raise
        else:
            assert row is not None
            return _head(*row)
    row = connection.execute(statement("snapshot")).fetchone()
    assert row is not None
    snapshot, database, timeline, is_captured, may_read_system = row
    installed = system = ""
    if is_captured:
        found = connection.execute(statement("installed_incarnation")).fetchone()
        installed = found[0] if found else ""
    if may_read_system or not installed:  # the identity installed with the capture can stand alone
        found = connection.execute(statement("system_identifier")).fetchone()
        system = found[0] if found else ""
    if is_captured and may_read_system:
        _AT_ONCE.add(connection)
    return _head(snapshot, database, timeline, installed, system)


def _head(snapshot: str, database: str, timeline: str, installed: str | None, system: str | None) -> Head:
    return Head("-".join(filter(None, (system, database, timeline, installed))), snapshot)


def plan_capture(shapes: Sequence[TableShape]) -> list[str]:
    """Write the statements that install the capture of these tables, in order."""
    once = list(statements("postgresql_capture").values())
    return [_LOCK_WAIT, *once, *(line for shape in shapes for line in capture_statements(shape))]


def install_capture(admin_url: str, shapes: Sequence[TableShape]) -> None:
    """Run the plan in one transaction, as an account that may create triggers."""
    with administrator(admin_url, "installing the capture") as connection:
        for line in plan_capture(shapes):
            connection.execute(sql.SQL(line))  # type: ignore[arg-type]  # written by the plan
        fed = connection.execute(statement("captured_and_fed")).fetchall()
        if fed:
            raise ConfigurationError(
                f"a subscription writes into {', '.join(name for (name,) in fed)}, and no trigger of a statement "
                "fires for what it brings; nothing was installed",
                hint="set `capture: log` or `capture: snapshot` in banyan.yaml",
            )
        found = connection.execute(statement("captured_schemas")).fetchall()
        if len(found) > 1:
            raise ConfigurationError(
                f"one database holds one captured schema, not {', '.join(name for (name,) in found)}; "
                "nothing was installed"
            )


def remove_capture(admin_url: str, schema: str, tables: Sequence[str] | None) -> None:
    """Remove the capture of some tables, or of all together with journal and incarnation."""
    with administrator(admin_url, "removing the capture") as connection:
        if connection.execute(statement("capture_table")).fetchone() != (True,):
            return
        captured = [name for (name,) in connection.execute(statement("captured_tables")).fetchall()]
        for table in captured if tables is None else tables:
            for line in uncapture_statements(schema, table):
                connection.execute(sql.SQL(line))  # type: ignore[arg-type]  # written by the dialect
        if tables is None:
            connection.execute(statement("drop_journal"))
            connection.execute(statement("drop_prune"))


def read_changes(connection: Connection, schema: str, since: Position, until: Position | None) -> list[ChangedKey]:
    """List the keys that changed between two Positions; refuses a Position that this journal cannot answer."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        head = read_head(connection)
        bounds = {
            "since": _snapshot_of(since, head.incarnation),
            "until": _snapshot_of(until, head.incarnation) if until is not None else head.snapshot,
        }
        try:
            with connection.pipeline():  # one round trip for all of them: the link may be long
                captured = connection.execute(statement("capture_table"))
                asked = [connection.execute(statement(name), bounds) for name in _QUESTIONS]
        except psycopg.errors.UndefinedTable:
            raise _no_capture(schema) from None
        _check_journal(schema, captured, *asked[:-1])
        return [  # row by row: a bulk change of a table is no list of tuples beside the list of its keys
            ChangedKey(intern(table), key, Operation(operation), Origin.PERSON if by_person else Origin.ROUTE)
            for table, key, operation, by_person in asked[-1]
        ]


def prune_journal(connection: Connection, before: Position) -> int:
    """Delete the entries every reader has passed; a later question about them is refused."""
    head = read_head(connection)
    row = connection.execute(statement("prune"), {"before": _snapshot_of(before, head.incarnation)}).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def administrator(admin_url: str, doing: str) -> Iterator[Connection]:
    """Open one transaction as an account that may install triggers; it gives up after 5 s behind a lock."""
    admin = PostgreSQLConnections(admin_url)
    try:
        with admin.transaction(doing) as connection:
            connection.execute(_LOCK_WAIT)
            yield connection
    finally:
        admin.close()


def _snapshot_of(position: Position, incarnation: str) -> str:
    try:
        read: dict[str, Any] = json.loads(position)
        named, snapshot = str(read["incarnation"]), str(read["snapshot"])
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; nothing was read from the journal") from None
    refuse_incarnation(named, incarnation)
    return snapshot


def _no_capture(schema: str) -> ConfigurationError:
    return ConfigurationError(
        f"no capture is installed beside {schema}; no change was read",
        hint="banyan source grants, then install the capture",
    )


def _check_journal(schema: str, captured: Answered, defects: Answered, faults: Answered, truncated: Answered) -> None:
    if captured.fetchone() != (True,):
        raise _no_capture(schema)
    broken = defects.fetchall()
    if broken:
        names = ", ".join(name for (name,) in broken)
        raise SourceDrifted(
            f"the capture of {names} was removed, disabled or changed: changes may be missing; nothing was read",
            hint="banyan load installs it again; banyan sync run then reads every row of these tables",
            tables=names,
        )
    is_future, is_pruned = faults.fetchone() or (False, False)
    if is_future:
        raise SourceRestored(
            "the Position is later than this database: it was restored from a backup; nothing was read",
            hint=DECIDE,
        )
    if is_pruned:
        raise SourceDrifted(
            "the journal was pruned after this Position: changes are missing; nothing was read",
            hint=SWEEP,
        )
    unlisted = truncated.fetchall()
    if unlisted:
        names = ", ".join(name for (name,) in unlisted)
        raise SourceDrifted(
            f"{names} was truncated in a transaction whose keys could not be listed; no change was read",
            hint=SWEEP,
            tables=names,
        )
