"""Changes of a legacy MariaDB from a journal of keys that triggers write; read in batches that a stamp closes.

A number is given before a commit and an entry is seen after it, so reading by number would lose what commits late.
Each reading stamps what is committed and not yet stamped with the next batch: a Position is a batch, and its mark.
What a table without transactions keeps after a rollback keeps its entry too, which is told twice: again a second later,
or before a switch reads its last Position, when no statement is left that could show the row after its entry.
"""

# ruff: noqa: S608 - trigger bodies from quoted identifiers

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored
from banyan.ports import Incremental
from banyan.records import ChangedKey, Position
from connectors.dialects_mariadb import (
    INTEGER_TYPES,
    TEXT_TYPES,
    MariaDBShape,
    home_of,
    key_text,
    literal,
    named,
    quoted,
    shipped,
)
from connectors.history import DECIDE, SWEEP, refuse_incarnation
from connectors.mariadb_capture import Entry, Watched, fold
from connectors.mariadb_cascades import cascade_body, origin_text
from connectors.mariadb_connection import Connection, MariaDBConnections, ask
from connectors.mariadb_objects import (
    CAPTURE,
    Trigger,
    inspect_triggers,
    is_fed_unseen,
    is_installed,
    plan_base,
    plan_removal,
    plan_trigger,
    trigger_name,
)

_KEY_TYPES = frozenset((*TEXT_TYPES, *INTEGER_TYPES, "decimal", "date", "datetime", "time", "year", "uuid", "binary"))
_KEY_TYPES |= {"varbinary"}


@contextmanager
def at_rest(connection: Connection, tables: Sequence[str]) -> Iterator[None]:
    """Say for this only that nobody writes these tables any more, and that every statement on them has ended."""
    ask(connection, "set @banyan_at_rest = %s", (",".join(tables),))
    try:
        yield
    finally:
        ask(connection, "set @banyan_at_rest = null")


class MariaDBJournal:
    """The way by triggers: needs the right to create them, sees what no log shows, costs each write an insert."""

    incremental = Incremental.JOURNAL

    def __init__(self, reader: MariaDBConnections, schema: str) -> None:
        self._reader = reader
        self._schema = schema

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database: its server and the journal installed beside it."""
        (server,) = ask(connection, named("server", self._schema))[0]
        if not is_installed(connection, self._schema, "incarnation"):
            return str(server)
        return f"{server}-{ask(connection, named('installed_incarnation', self._schema))[0][0]}"

    def head(self, connection: Connection) -> Position:
        """Close a batch over everything committed, and give it; without a journal there is nothing to stamp."""
        incarnation = self.incarnation(connection)
        batch, mark = 0, ""
        if is_installed(connection, self._schema, "batch"):
            batch, mark = ask(connection, named("stamp", self._schema))[0]
        return Position(json.dumps({"incarnation": incarnation, "batch": batch, "mark": mark}, sort_keys=True))

    def place(self, connection: Connection) -> Position:
        """Give the present Position."""
        return self.head(connection)

    def changes(self, since: Position, until: Position | None, watched: Watched) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; refuses a journal that may have missed any."""
        with self._reader.session("reading changes") as connection:
            if not is_installed(connection, self._schema, "journal"):
                raise ConfigurationError(
                    f"no capture is installed beside {self._schema}; no change was read",
                    hint="banyan source grants, then install the capture",
                )
            self._refuse_damage(connection, watched)
            last = self._batch_of(connection, until if until is not None else self.head(connection))
            first = self._batch_of(connection, since)
            (pruned,) = ask(connection, named("pruned", self._schema))[0]
            if first < pruned:
                raise SourceDrifted(
                    "the journal was pruned after this Position: changes are missing; nothing was read",
                    hint=SWEEP,
                )
            rows = ask(connection, named("changes", self._schema), {"since": first, "until": last})
        return fold(Entry(table, key, op, origin == "PERSON") for table, key, op, origin in rows)

    def is_followed(self, connection: Connection, table: str, watched: Watched) -> bool:
        """Tell whether the triggers of a table and of the parents of its cascades are in place."""
        shape = watched.shapes[table]
        if not _is_journalled(shape) or table in watched.cascades.lost:
            return False
        if is_fed_unseen(connection, self._schema):
            return False
        sound = {found.trigger for found in inspect_triggers(connection, self._schema) if not found.problem}
        return {trigger.name for trigger in _triggers(watched, (table,))} <= sound

    def incremental_of(self, connection: Connection, table: str, watched: Watched) -> Incremental:
        """Tell how the changes of a table are found today; `none` where they are not."""
        return self.incremental if self.is_followed(connection, table, watched) else Incremental.NONE

    def unfollowable(self, watched: Watched) -> frozenset[str]:
        """Name the tables that this way could not follow whatever was installed."""
        return watched.cascades.lost | {name for name, shape in watched.shapes.items() if not _is_journalled(shape)}

    def plan(self, watched: Watched) -> list[str]:
        """Write the statements that install the journal, its triggers and those on the parents of cascades."""
        tables = tuple(name for name, shape in watched.shapes.items() if _is_journalled(shape))
        home = quoted(home_of(self._schema))
        return [
            *plan_base(self._schema),
            *shipped("mariadb_journal", self._schema).values(),
            *(line for trigger in _triggers(watched, tables) for line in plan_trigger(self._schema, trigger)),
            *(f"insert ignore into {home}.captured (table_name) values ({literal(name)})" for name in tables),
        ]

    @staticmethod
    def triggers(watched: Watched, tables: Sequence[str]) -> list[Trigger]:
        """Write the triggers that the journal of these tables consists of."""
        return _triggers(watched, tuple(name for name in tables if _is_journalled(watched.shapes[name])))

    def removal(self, connection: Connection, tables: Sequence[str] | None) -> list[str]:
        """Write the statements that remove the triggers of some tables, or all with the journal and incarnation."""
        if not is_installed(connection, self._schema, "journal"):
            return []
        found = ask(connection, named("capture_triggers", self._schema))
        names = [name for name, table in found if tables is None or table in tables]
        lines = plan_removal(self._schema, names)
        home = quoted(home_of(self._schema))
        if tables is not None:
            listed = ", ".join(literal(table) for table in tables)
            return [*lines, f"delete from {home}.captured where table_name in ({listed})"]
        gone = ("journal", "lasting", "batch", "counter", "pruned", "captured", "incarnation")
        return [*lines, *(f"drop table {home}.{quoted(name)}" for name in gone)]

    def prune(self, before: Position) -> int:
        """Delete the entries every reader has passed; a later question about them is refused."""
        with self._reader.session("pruning the journal") as connection:
            batch = self._batch_of(connection, before)
            return int(ask(connection, named("prune", self._schema), {"before": batch})[0][0])

    def _batch_of(self, connection: Connection, position: Position) -> int:
        try:
            read: dict[str, Any] = json.loads(position)
            named_one, batch, mark = str(read["incarnation"]), int(read["batch"]), str(read["mark"])
        except (ValueError, KeyError, TypeError):
            raise SourceDrifted("a Position of this source cannot be read; nothing was read from the journal") from None
        refuse_incarnation(named_one, self.incarnation(connection))
        (pruned,) = ask(connection, named("pruned", self._schema))[0]
        found = ask(connection, named("batch_mark", self._schema), {"batch": batch})
        if batch >= pruned and (not found or found[0][0] != mark):
            raise SourceRestored(
                "the Position is later than this database: it was restored from a backup; nothing was read",
                hint=DECIDE,
            )
        return batch

    def _refuse_damage(self, connection: Connection, watched: Watched) -> None:
        if is_fed_unseen(connection, self._schema):
            raise SourceDrifted(
                "replication writes to this server, and what it applies fires no trigger: changes are missing; nothing "
                "was read",
                hint="capture: log with log_slave_updates = ON, capture: snapshot, or read the server it comes from",
            )
        captured = {name for (name,) in ask(connection, named("captured_tables", self._schema))}
        broken = {
            found.table
            for found in inspect_triggers(connection, self._schema)
            if found.kind == CAPTURE and found.problem
        }
        broken |= captured & set(watched.gone)
        if broken:
            names = ", ".join(sorted(broken))
            raise SourceDrifted(
                f"the capture of {names} was removed or changed, or the table was truncated, rebuilt or made anew: "
                "changes may be missing; nothing was read",
                hint="banyan load installs it again; banyan sync run then reads every row of these tables",
                tables=names,
            )


def cascade_triggers(watched: Watched, tables: Sequence[str]) -> list[Trigger]:
    """Write the triggers on the parents from which a cascade reaches one of these tables."""
    triggers = []
    followed = [cascade for cascade in watched.cascades.followed if cascade.child in watched.shapes]
    meant = {cascade.parent for cascade in followed if cascade.child in tables}
    for parent in sorted(meant):
        for is_update, event in ((False, "delete"), (True, "update")):
            mine = [c for c in followed if c.parent == parent and c.is_update == is_update]
            if mine:
                body = cascade_body(mine, watched.shapes, watched.schema)
                name = trigger_name("zy_banyan_cascade", parent, f"_{event}")
                triggers.append(Trigger(name, parent, f"before {event}", body))
    return triggers


def _is_journalled(shape: MariaDBShape) -> bool:
    """Tell whether a journal is true to a table: a key whose text needs no setting, and rows that outlast a restart."""
    is_kept = shape.is_transactional or shape.is_lasting
    return bool(shape.key) and is_kept and all(shape.types[name].name in _KEY_TYPES for name in shape.key)


def _triggers(watched: Watched, tables: Sequence[str]) -> list[Trigger]:
    own = [trigger for table in tables for trigger in _own_triggers(watched.shapes[table])]
    return [*own, *cascade_triggers(watched, tables)]


def _own_triggers(shape: MariaDBShape) -> list[Trigger]:
    # an entry is rolled back exactly when its row is
    entries = "journal" if shape.is_transactional else "lasting"
    into = f"insert into {quoted(home_of(shape.schema))}.{entries} (table_name, op, entry_key, origin) values"
    name, who = literal(shape.name), origin_text(shape.schema)
    new, old = key_text(shape, "new"), key_text(shape, "old")

    def entry(operation: str, key: str) -> str:
        return f"({name}, '{operation}', {key}, {who})"

    bodies = {
        "insert": f"{into} {entry('I', new)}",
        "delete": f"{into} {entry('D', old)}",
        # a changed key leaves both: the old one is gone, the new one has come
        "update": (
            f"if binary convert({new} using utf8mb4) = binary convert({old} using utf8mb4) then\n"
            f"{into} {entry('U', new)};\nelse\n{into} {entry('D', old)}, {entry('I', new)};\nend if"
        ),
    }
    return [
        Trigger(trigger_name(f"zz_banyan_{event}", shape.name), shape.name, f"after {event}", body)
        for event, body in bodies.items()
    ]
