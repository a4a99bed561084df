"""Changes of a SQLite file from a journal of keys that triggers write in the file itself.

A file has one writer at a time, so entries are numbered in the order of their commits: a Position is the last entry,
and the mark that stands in it, by which a restored copy of the file is recognised. A writer that switches triggers off
leaves no entry; the looks of the port find what it did.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored
from banyan.records import ChangedKey, Operation, Origin, Position
from connectors.dialects_sqlite import (
    SqliteShape,
    Trigger,
    drop_table,
    drop_trigger,
    journal_triggers,
    named,
)
from connectors.history import DECIDE, SWEEP
from connectors.sqlite import SqliteTable
from connectors.sqlite_cells import key_of, read_shape
from connectors.sqlite_connection import Connection

_BASE = ("incarnation", "new_incarnation", "journal", "pruned", "nothing_pruned", "captured", "admitted", "position",
         "reserved")  # fmt: skip
GONE = ("banyan_journal", "banyan_pruned", "banyan_captured", "banyan_incarnation", "banyan_reserved")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the history of a file: the last entry of its journal, and what the last look saw."""

    incarnation: str
    entry: int
    mark: str
    looked: str = ""

    @property
    def position(self) -> Position:
        """Give it as the opaque text callers keep."""
        told = {"entry": self.entry, "incarnation": self.incarnation, "looked": self.looked, "mark": self.mark}
        return Position(json.dumps(told, sort_keys=True))


def read_place(position: Position, incarnation: str) -> Place:
    """Read a Position; refuses one of another file."""
    try:
        read: dict[str, Any] = json.loads(position)
        place = Place(str(read["incarnation"]), int(read["entry"]), str(read["mark"]), str(read["looked"]))
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; nothing was read from the journal") from None
    if place.incarnation != incarnation:
        raise SourceRestored(
            "the Position belongs to another incarnation of this file (put in its place, or captured anew); "
            "nothing was read",
            hint=DECIDE,
        )
    return place


def plan_base() -> list[str]:
    """Write the statements that make banyan's own tables in a file."""
    return [named(name) for name in _BASE]


def plan_triggers(connection: Connection, triggers: Sequence[Trigger]) -> list[str]:
    """Write the statements that bring triggers to what they must be; none for those that are."""
    there = read_triggers(connection)
    lines = []
    for trigger in triggers:
        if there.get(trigger.name) == trigger.text:
            continue
        if trigger.name in there:
            lines.append(drop_trigger(trigger.name))
        lines.append(trigger.text)
    return lines


def install_journal(connection: Connection, tables: Sequence[str]) -> None:
    """Install the journal of these tables in the transaction of the caller; what is sound already stays."""
    for line in plan_base():
        connection.execute(line)
    shapes = [read_shape(connection, table) for table in tables]
    triggers = [trigger for shape in shapes for trigger in journal_triggers(shape)]
    for name in read_triggers(connection):  # of an index that is gone since
        if name.startswith(tuple(f"banyan_journal_{word}_" for word in ("replace", "displace"))):
            table = name.split("_", 3)[3]
            if table in tables and name not in {trigger.name for trigger in triggers}:
                connection.execute(drop_trigger(name))
    for line in plan_triggers(connection, triggers):
        connection.execute(line)
    for table in tables:
        connection.execute(named("capture_table"), (table,))


def remove_journal(connection: Connection, tables: Sequence[str] | None) -> None:
    """Remove the journal of some tables, or all of it with the incarnation, in the transaction of the caller."""
    captured = captured_tables(connection)
    for table in captured if tables is None else tables:
        for name in read_triggers(connection):
            if name.startswith("banyan_journal_") and name.split("_", 3)[3] == table:
                connection.execute(drop_trigger(name))
        if captured:
            connection.execute(named("release_table"), (table,))
    if tables is None:
        for name in GONE:
            connection.execute(drop_table(name))


def read_triggers(connection: Connection) -> dict[str, str]:
    """Give the text of each trigger of ours that stands in a file."""
    return {bytes(name).decode(): bytes(text).decode() for name, text in connection.execute(named("triggers"))}


def captured_tables(connection: Connection) -> list[str]:
    """Name the tables whose changes the journal of a file was asked to note."""
    if not is_there(connection, "banyan_captured"):
        return []
    return sorted(bytes(name).decode() for (name,) in connection.execute(named("captured_tables")))


def is_there(connection: Connection, table: str) -> bool:
    """Tell whether one of our tables stands in a file."""
    return bool(connection.execute(named("is_there"), (table,)).fetchone()[0])


def is_followed(connection: Connection, shape: SqliteShape) -> bool:
    """Tell whether the triggers of a table are those that were installed."""
    there = read_triggers(connection)
    wanted = journal_triggers(shape) if shape.is_journalled else []
    return bool(wanted) and all(there.get(trigger.name) == trigger.text for trigger in wanted)


def installed_identity(connection: Connection) -> str:
    """Give the name that the installed journal gave to this file; empty without a journal."""
    if not is_there(connection, "banyan_incarnation"):
        return ""
    ((identity,),) = connection.execute(named("identity")).fetchall()
    return bytes(identity).decode()


def last_entry(connection: Connection) -> tuple[int, str]:
    """Give the last entry of the journal and its mark; 0 before the first."""
    if not is_there(connection, "banyan_journal"):
        return 0, ""
    found = connection.execute(named("head")).fetchone()
    return (0, "") if found is None else (int(found[0]), bytes(found[1]).decode())


def check_place(connection: Connection, place: Place) -> None:
    """Refuse a place that this journal cannot answer: pruned since, or later than a restored file."""
    ((pruned,),) = connection.execute(named("pruned_to")).fetchall()
    if place.entry < pruned:
        raise SourceDrifted(
            "the journal was pruned after this Position: changes are missing; nothing was read",
            hint=SWEEP,
        )
    if not place.entry:
        return
    found = connection.execute(named("mark"), (place.entry,)).fetchone()
    if found is None or bytes(found[0]).decode() != place.mark:
        raise SourceRestored(
            "the Position is later than this file: it was restored from a backup; nothing was read",
            hint=DECIDE,
        )


def read_entries(
    connection: Connection, since: int, until: int, tables: Mapping[str, tuple[SqliteShape, SqliteTable]]
) -> list[ChangedKey]:
    """List each key noted between two entries, once, with its last operation; a person's when any of its changes is."""
    last: dict[tuple[str, str], ChangedKey] = {}
    for name, operation, origin, *cells in connection.execute(named("changes"), (since, until)):
        table = bytes(name).decode()
        if table not in tables:
            continue
        shape, opened = tables[table]
        key = key_of(opened, cells[: len(shape.key)])
        if key is None:  # a row without a whole key cannot be followed
            continue
        before = last.pop((table, key), None)
        by_person = bytes(origin) == b"PERSON" or (before is not None and before.origin is Origin.PERSON)
        whose = Origin.PERSON if by_person else Origin.ROUTE
        last[table, key] = ChangedKey(table, key, Operation(bytes(operation).decode()), whose)
    return list(last.values())


def refuse_damage(connection: Connection, tables: Mapping[str, tuple[SqliteShape, SqliteTable]]) -> None:
    """Refuse a journal whose triggers are not those that were installed."""
    if not is_there(connection, "banyan_journal"):
        raise ConfigurationError(
            "no journal is installed in this file; no change was read",
            hint="banyan source grants, then install the capture: banyan load",
        )
    captured = captured_tables(connection)
    broken = [name for name in captured if name not in tables or not is_followed(connection, tables[name][0])]
    if broken:
        names = ", ".join(sorted(broken))
        raise SourceDrifted(
            f"the journal of {names} was removed or changed, or the table was made anew: changes may be missing; "
            "nothing was read",
            hint="install the capture again (banyan load); the next look finds what was written meanwhile",
            tables=names,
        )
