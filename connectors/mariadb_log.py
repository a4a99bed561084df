"""Changes of a legacy MariaDB from its binary log, in row format: keys only, up to the end of a transaction.

A Position is a place in the log that the engine has committed up to (a reader sees everything before it), with the
GTID there and the second in which its file was born: a purged log, a restored backup, a log begun anew do not agree.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored, SourceUnavailable
from banyan.ports import Incremental, KnownKeys
from banyan.records import ChangedKey, Position
from connectors.dialects_mariadb import named, shipped
from connectors.history import DECIDE, SWEEP, refuse_incarnation
from connectors.mariadb_capture import Entry, OpenMariaDBCapture, Watched, fold
from connectors.mariadb_connection import Connection, MariaDBConnections, ask
from connectors.mariadb_journal import cascade_triggers
from connectors.mariadb_log_rows import RowReader, is_loggable
from connectors.mariadb_objects import inspect_triggers, is_installed, plan_base, plan_removal, plan_trigger
from connectors.mariadb_sweep import compare_keys, read_keys
from wire.binlog import Committed, Event, FileStart, GroupStart, Prepared, Rows, Statement, read_binlog

_ENDS: Final = re.compile(r"\s*(commit|rollback)\b", re.IGNORECASE)
_HARMLESS: Final = re.compile(
    r"\s*(begin|savepoint|rollback\s+to|set(?!\s+statement\b)|create\s+(or\s+replace\s+)?(definer\s*=\s*\S+\s+)?"
    r"(temporary|trigger|index|unique|procedure|function|view|user|database|event)"
    r"|drop\s+(temporary|trigger|procedure|function|view|user|event)"
    r"|grant|revoke|analyze|flush|xa\s+(start|end|rollback)|alter\s+table\s+\S+\s+auto_increment\s*=\s*\d+\s*$)\b",
    re.IGNORECASE,
)
_HARMLESS_ALTER: Final = re.compile(
    r"\s*alter\s+table\s+\S+\s+((dis|en)able\s+keys|add\s+(unique\s+)?(index|key)\s+\S+\s*\([^()]*\))\s*$",
    re.IGNORECASE,
)
_OF_A_TABLE: Final = re.compile(r"\s*(alter|truncate|rename|create|drop|optimize|repair)\b", re.IGNORECASE)
"""What changes a table and not, by its foreign keys, the rows of others."""
_XA_COMMIT: Final = re.compile(r"\s*xa\s+commit\s+(.*?)\s*$", re.IGNORECASE | re.DOTALL)
_TRIES: Final = 3
_SHORT: Final = 16 << 20
"""So many bytes of a log the server reads sooner than it answers more questions."""
_REMEMBERED: Final = 16
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the log."""

    file: str
    position: int
    gtid: str
    born: int

    @property
    def order(self) -> tuple[int, int]:
        """Give what tells which of two places is later."""
        return int(self.file.rsplit(".", 1)[-1]), self.position


@dataclass(slots=True)
class _Group:
    """What one transaction in the log has said so far."""

    entries: list[Entry] = field(default_factory=list)
    is_route: bool = False

    def close(self) -> list[Entry]:
        """Give its entries with their origin, and begin anew."""
        done = [Entry(e.table, e.key, e.operation, e.by_person and not self.is_route) for e in self.entries]
        self.entries, self.is_route = [], False
        return done


def open_mariadb_log(known: KnownKeys) -> OpenMariaDBCapture:
    """Give the way of capture by the log that sweeps a table whose changes the log does not name by row."""
    return lambda reader, schema: MariaDBLog(reader, schema, known)


class MariaDBLog:
    """The way by the binary log: nothing is installed but the marks of the way back, nothing costs the writers.

    A TRUNCATE, an ALTER, a write logged as a statement name no rows: with the keys we know such a table is swept, each
    of its keys being read again; without them the log refuses.
    """

    incremental = Incremental.LOG

    def __init__(self, reader: MariaDBConnections, schema: str, known: KnownKeys | None = None) -> None:
        self._known = known
        self._reader = reader
        self._schema = schema
        # a server that was put back from a backup has ended every connection it had: what each was told still holds
        self._births: WeakKeyDictionary[Connection, dict[str, int]] = WeakKeyDictionary()
        self._places: WeakKeyDictionary[Connection, deque[_Place]] = WeakKeyDictionary()

    def incarnation(self, connection: Connection) -> str:
        """Name the server; its history is compared place by place."""
        return f"log-{ask(connection, named('server', self._schema))[0][0]}"

    def head(self, connection: Connection) -> Position:
        """Give the place up to which the engine has committed: what stands before it is seen by any later reading."""
        self._refuse_settings(connection)
        file, position, gtid = self._committed(connection)
        born = self._birth(connection, file)
        if gtid is not None:
            self._places.setdefault(connection, deque(maxlen=_REMEMBERED)).append(_Place(file, position, gtid, born))
        place = {"file": file, "position": position, "gtid": gtid, "born": born}
        return Position(json.dumps({"incarnation": self.incarnation(connection), "log": place}, sort_keys=True))

    def place(self, connection: Connection) -> Position:
        """Give the present Position."""
        return self.head(connection)

    def changes(self, since: Position, until: Position | None, watched: Watched) -> list[ChangedKey]:
        """List each key that changed between two Positions, once; refuses a log that no longer tells all."""
        with self._reader.session("reading changes") as connection:
            incarnation = self.incarnation(connection)
            first = _place_of(since, incarnation)
            last = _place_of(until if until is not None else self.head(connection), incarnation)
            # what this connection was told of a place still holds while the log goes on in the same file
            is_known = first in self._places.get(connection, ()) and (last == first or last.order > first.order)
            if not is_known:
                self._refuse_another(connection, first)
            if last.file == first.file and last.born != first.born:  # restored, and written on to the same place
                raise _lost_log()
            if last.order <= first.order:
                return []
            is_guarded = self._has_cascade_triggers(connection, watched)
        stream = self._reader.open_stream("reading the log")
        rows = RowReader(watched, is_guarded=is_guarded, may_sweep=self._known is not None)
        try:
            told = fold(self._entries(stream, (first, last), rows))
            return [one for one in told if one.table not in rows.swept] + self._sweep(rows.swept, watched)
        except SourceDrifted:
            if is_known:  # purged or begun anew since: that is what is to be said
                with self._reader.session("reading changes") as connection:
                    self._refuse_another(connection, first)
            raise
        finally:
            stream.close()

    def _sweep(self, tables: Iterable[str], watched: Watched) -> list[ChangedKey]:
        """List every key of tables whose changes the log does not name by row: all that stand there, all we know."""
        if not tables or self._known is None:
            return []
        found: list[ChangedKey] = []
        for table in sorted(tables):
            shape = watched.shapes[table]
            known = frozenset(self._known.find(table, shape.key))
            with self._reader.session("reading every key", table=table) as connection:
                found += compare_keys(table, known, read_keys(connection, shape))
        return found

    def is_followed(self, connection: Connection, table: str, watched: Watched) -> bool:
        """Tell whether the log names every change of a table by its key; cascades only when their triggers stand."""
        if self._missing_settings(connection):
            return False
        if not ask(connection, named("log_rights", self._schema))[0][0] or not is_loggable(watched.shapes[table]):
            return False
        cascades = watched.cascades
        if table in cascades.lost:
            return False
        return not cascades.reaching(table) or self._has_cascade_triggers(connection, watched, table)

    def incremental_of(self, connection: Connection, table: str, watched: Watched) -> Incremental:
        """Tell how the changes of a table are found today; `none` where they are not."""
        return self.incremental if self.is_followed(connection, table, watched) else Incremental.NONE

    def unfollowable(self, watched: Watched) -> frozenset[str]:
        """Name the tables that this way could not follow whatever was installed."""
        return watched.cascades.lost | {name for name, shape in watched.shapes.items() if not is_loggable(shape)}

    def plan(self, watched: Watched) -> list[str]:
        """Write the statements that let the log be read, and the triggers on the parents of cascades, if any."""
        lines = [
            "grant replication slave, binlog monitor on *.* to banyan_reader@'%'",
            *plan_base(self._schema),
        ]
        triggers = cascade_triggers(watched, tuple(watched.shapes))
        if triggers:
            lines += shipped("mariadb_journal", self._schema).values()
            lines += [line for trigger in triggers for line in plan_trigger(self._schema, trigger)]
        return lines

    def removal(self, connection: Connection, tables: object) -> list[str]:
        """Write the statements that remove the triggers on parents of cascades."""
        if not is_installed(connection, self._schema, "installed"):
            return []
        found = ask(connection, named("capture_triggers", self._schema))
        return plan_removal(self._schema, [name for name, table in found if tables is None or table in tables])  # type: ignore[operator]

    def prune(self, before: Position) -> int:
        """Delete keys that cascades left in the journal a day ago: the log holds them; the log itself is not ours."""
        with self._reader.session("pruning the journal") as connection:
            if not is_installed(connection, self._schema, "journal"):
                return 0
            return int(ask(connection, named("prune_log", self._schema), {"hours": 24})[0][0])

    def _entries(self, stream: Connection, span: tuple[_Place, _Place], rows: RowReader) -> Iterator[Entry]:
        first, last = span
        current, group = first, _Group()
        prepared: dict[str, list[Entry]] = {}
        for end, event in self._events(stream, first):
            if isinstance(event, FileStart):
                if event.file == first.file and event.born != first.born:
                    raise _lost_log()
                current = _Place(event.file, end, "", event.born)
                continue
            # a transaction never spans two files, and a Position stands between two transactions
            if (int(current.file.rsplit(".", 1)[-1]), end) > last.order:
                return
            yield from self._told(event, group, rows, prepared)

    def _told(self, event: Event, group: _Group, rows: RowReader, prepared: dict[str, list[Entry]]) -> Iterator[Entry]:
        match event:
            case GroupStart():
                group.close()
            case Rows():
                group.is_route = group.is_route or rows.is_admission(event)
                group.entries += rows.entries(event)
            case Committed():
                yield from group.close()
            case Prepared(name=name):
                prepared[name] = group.close()
                yield from prepared[name]
            case Statement(text=text) if _ENDS.match(text):
                # what a table without transactions keeps stands in the log even before a rollback
                yield from group.close()
            case Statement(text=text) if _XA_COMMIT.match(text):
                yield from self._completed(text, rows, prepared)
            case Statement(schema=schema, text=text):
                self._take_statement(schema, text, rows)
            case FileStart():
                pass

    def _completed(self, text: str, rows: RowReader, prepared: dict[str, list[Entry]]) -> list[Entry]:
        """Give the keys of a prepared transaction again now that it is seen; one prepared before `since` sweeps all."""
        found = _XA_COMMIT.match(text)
        name = found.group(1) if found else ""
        if name in prepared:
            return prepared.pop(name)
        unlisted = SourceDrifted(
            "a transaction in two phases that was prepared before this Position has committed: its keys cannot be "
            "listed; no change was read",
            hint="banyan sync run, in the project of this source: what the log does not name is swept there",
        )
        rows.sweep(rows.keyed, unlisted)
        return []

    def _take_statement(self, schema: str, text: str, rows: RowReader) -> None:
        """Leave the tables that a statement changed without naming their rows to a sweep, or refuse."""
        if _HARMLESS.match(text) or _HARMLESS_ALTER.match(text):
            return
        changed = sorted(table for table in rows.names if _may_name(table).search(text))
        is_here = schema.lower() == self._schema.lower() or _may_name(self._schema).search(text)
        if not changed or not is_here:
            return
        unnamed = SourceDrifted(
            f"{', '.join(changed)} was truncated, altered or written by a statement whose rows the log does not hold; "
            "no change was read",
            hint="banyan sync run, in the project of this source: what the log does not name is swept there",
            tables=", ".join(changed),
        )
        meant = rows.meant(changed)
        rows.sweep(meant if _OF_A_TABLE.match(text) else meant | rows.reached_from(changed), unnamed)

    def _events(self, stream: Connection, place: _Place) -> Iterator[tuple[int, Event]]:
        ask(stream, "set @master_binlog_checksum = @@global.binlog_checksum")
        ask(stream, "set @mariadb_slave_capability = 4")
        with self._reader.explained("reading the log"):
            yield from read_binlog(stream, place.file, place.position)

    def _birth(self, connection: Connection, file: str) -> int:
        known = self._births.setdefault(connection, {})
        if file not in known:
            stream = self._reader.open_stream("reading the log")
            try:
                for _, event in self._events(stream, _Place(file, 4, "", 0)):
                    if isinstance(event, FileStart):
                        known[file] = event.born
                        break
            finally:
                stream.close()
        if file not in known:
            raise SourceUnavailable(
                f"the log {file} does not begin; nothing was read", hint="run the same command again"
            )
        return known[file]

    def _committed(self, connection: Connection) -> tuple[str, int, str | None]:
        """Give the place up to which the engine has committed, with the GTID there.

        The server finds the GTID of a place by reading the file of its log from the beginning, and knows that of the
        end by heart: the same one where nothing was written on meanwhile. Its end is told only between two writes, so
        that whatever had a GTID before it was asked stands before that end.
        """
        for _ in range(_TRIES):
            ask(connection, "start transaction with consistent snapshot, read only")
            found = {str(name).lower(): value for name, value in ask(connection, named("log_place", self._schema))}
            ask(connection, "rollback")
            file, position = str(found["binlog_snapshot_file"]), int(found["binlog_snapshot_position"])
            if position < _SHORT:
                break
            gtid = str(ask(connection, named("gtid_of_the_end", self._schema))[0][0])
            end = ask(connection, named("log_end", self._schema))[0]
            is_one_domain = "," not in gtid  # those of several are listed in no certain order
            if (str(end[0]), int(end[1])) == (file, position) and is_one_domain:
                return file, position, gtid
        return file, position, self._gtid(connection, file, position)

    def _refuse_another(self, connection: Connection, place: _Place) -> None:
        """Refuse a log that holds something else at this place, or nothing any more."""
        found = self._gtid(connection, place.file, place.position)
        if found == place.gtid:
            return
        oldest = str(ask(connection, named("log_files", self._schema))[0][0])
        if found is None and int(oldest.rsplit(".", 1)[-1]) > place.order[0]:
            raise SourceDrifted(
                "the log after this Position was purged: changes are missing; nothing was read",
                hint=SWEEP,
            )
        raise _lost_log()

    def _gtid(self, connection: Connection, file: str, position: int) -> str | None:
        (found,) = ask(connection, named("gtid_at", self._schema), {"file": file, "position": position})[0]
        return None if found is None else str(found)

    def _has_cascade_triggers(self, connection: Connection, watched: Watched, table: str = "") -> bool:
        needed = {t.name for t in cascade_triggers(watched, (table,) if table else tuple(watched.shapes))}
        return needed <= {f.trigger for f in inspect_triggers(connection, self._schema) if not f.problem}

    def _missing_settings(self, connection: Connection) -> list[str]:
        on, form, image, compressed, _ = ask(connection, named("log_settings", self._schema))[0]
        is_fed, is_fed_in_log, _ = ask(connection, named("fed", self._schema))[0]
        return [
            said
            for is_wrong, said in (
                (not on, "log_bin is OFF"),
                (form != "ROW", f"binlog_format is {form}"),
                (image != "FULL", f"binlog_row_image is {image}"),
                (bool(compressed), "log_bin_compress is ON"),
                (is_fed and not is_fed_in_log, "replication writes here and log_slave_updates is OFF"),
            )
            if is_wrong
        ]

    def _refuse_settings(self, connection: Connection) -> None:
        wrong = self._missing_settings(connection)
        if wrong:
            raise ConfigurationError(
                f"the binary log of {self._reader.place} does not tell every row: {', '.join(wrong)}; nothing was read",
                hint="ask for log_bin, log_slave_updates where replication writes, binlog_format = ROW, "
                "binlog_row_image = FULL; or capture: journal",
            )


def _place_of(position: Position, incarnation: str) -> _Place:
    try:
        read: dict[str, Any] = json.loads(position)
        named_one, log = str(read["incarnation"]), read["log"]
        place = _Place(str(log["file"]), int(log["position"]), str(log["gtid"]), int(log["born"]))
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; nothing was read from the log") from None
    refuse_incarnation(named_one, incarnation)
    return place


@cache
def _may_name(name: str) -> re.Pattern[str]:
    """Find a name in a statement, quoted or not; letters beyond ASCII stand there in the encoding of its client."""
    spelled = {re.escape(one) for one in (name, name.replace("`", "``"), name.replace('"', '""'))}
    any_letters = "|".join(sorted(_BEYOND_ASCII.sub(r"[^\\x00-\\x7f]+", one) for one in spelled))
    return re.compile(rf"(?<![\w$])(?:{any_letters})(?![\w$])", re.IGNORECASE)


def _lost_log() -> SourceRestored:
    return SourceRestored(
        "the log after this Position is another one (begun anew, or the database was restored from a backup): changes "
        "are missing; nothing was read",
        hint=DECIDE,
    )
