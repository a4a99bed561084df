"""Changes of a legacy PostgreSQL found in its log: keys only, through a slot and a publication of the keys.

A Position is a snapshot with the place of the log taken just after it. The log is read up to that place into the key
log of the store, where place and keys commit together; the slot is confirmed only then. What a Position answers is
decided by the snapshot, as for the journal: a transaction stands in the log a moment before readers see its rows, so
that the place alone would lose what commits in between.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock, Timer
from time import sleep
from weakref import WeakKeyDictionary

import psycopg

from banyan.clock import monotonic
from banyan.errors import ConfigurationError, SourceDrifted, SourceRestored
from banyan.ports import Incremental, KeyLog
from banyan.records import ChangedKey, LoggedKey, LogPlace, Position
from connectors.capture import OpenCapture
from connectors.dialects import TableShape, statement
from connectors.history import DECIDE, SWEEP, refuse_incarnation
from connectors.postgresql_connection import Connection, PostgreSQLConnections
from connectors.postgresql_log_keys import KeyReader
from connectors.postgresql_log_setup import (
    has_its_children,
    install_log,
    log_statement,
    plan_log,
    read_published,
    read_slot,
    remove_log,
    slot_name,
)
from connectors.postgresql_log_stream import LogStream, StreamBusy

_MESSAGES_A_BATCH = 100_000
_BUSY_SECONDS = 15.0
_IDLE_SECONDS = 3.0  # another process may need the slot; opening it again reads anew from the oldest open transaction


@dataclass(frozen=True, slots=True)
class LogHead:
    """The present of a database: incarnation, snapshot, and the place of the log just after it."""

    incarnation: str
    snapshot: str
    place: int

    @property
    def position(self) -> Position:
        """Give it as the opaque text callers keep."""
        told = {"incarnation": self.incarnation, "log": self.place, "snapshot": self.snapshot}
        return Position(json.dumps(told, sort_keys=True))


def open_log(keys: KeyLog) -> OpenCapture:
    """Give the way of capture that reads the log into a key log."""
    return lambda reader, schema, _: LogCapture(reader, schema, keys)


class LogCapture:
    """Changes found in the log of the server."""

    incremental = Incremental.LOG
    deletes_visible = True

    def __init__(self, reader: PostgreSQLConnections, schema: str, keys: KeyLog) -> None:
        self._reader = reader
        self._schema = schema
        self._keys = keys
        self.slot = slot_name(str(reader.url.database), schema)
        self._stream: LogStream | None = None
        self._key_reader = KeyReader({})
        self._lock = Lock()
        self._idle: Timer | None = None

    def incarnation(self, connection: Connection) -> str:
        """Name the history of this database: system, database, timeline and installed capture."""
        return read_log_head(connection).incarnation

    def head(self, connection: Connection) -> Position:
        """Give the present Position."""
        return read_log_head(connection).position

    def place(self, connection: Connection) -> Position:
        """Give the present Position."""
        return read_log_head(connection).position

    def changes(self, since: Position, until: Position | None) -> list[ChangedKey]:
        """List the keys that changed between two Positions; the log is read as far as that needs."""
        with self._lock:
            self._keep_awake()
            try:
                with self._reader.session("reading the log") as connection:
                    here = read_log_head(connection)
                    low = _read_position(since, here.incarnation)
                    high = here if until is None else _read_position(until, here.incarnation)
                    place = self._drain(connection, here, max(low.place, high.place))
                if low.place < place.started:
                    raise SourceDrifted(
                        "the keys behind this Position were forgotten: changes are missing; nothing was read",
                        hint=SWEEP,
                    )
                return self._keys.read(low.snapshot, high.snapshot)
            finally:
                self._sleep_soon()

    def is_installed(self, connection: Connection, table: str) -> bool:
        """Tell whether the slot stands and a table is published."""
        found = read_slot(connection, self.slot)
        sound = found is not None and found.wal_status != "lost"
        is_told = sound and (self._schema, table) in read_published(connection, self.slot)
        return is_told and has_its_children(connection, self._schema, table)

    def plan(self, shapes: Sequence[TableShape]) -> list[str]:
        """Write the statements that install it."""
        return plan_log(shapes, self.slot, lists_columns=True)

    def install(self, admin_url: str, shapes: Sequence[TableShape]) -> None:
        """Install publication and slot, and begin the key log where the slot begins."""
        install_log(admin_url, shapes, self.slot)
        with self._reader.session("beginning the key log") as connection:
            self._begin(connection)

    def remove(self, admin_url: str, tables: Sequence[str] | None) -> None:
        """Remove some tables from the publication, or publication and slot: the server keeps its log no more for us."""
        self.close()
        remove_log(admin_url, self.slot, self._schema, tables)

    def prune(self, before: Position) -> int:
        """Forget the keys behind a Position nobody needs any more; gives how many."""
        with self._reader.session("reading the incarnation") as connection:
            at = _read_position(before, read_log_head(connection).incarnation)
        return self._keys.prune(at.snapshot, started=at.place)

    def close(self) -> None:
        """Let go of the slot; the next question takes it again."""
        with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._let_go()

    def _drain(self, connection: Connection, here: LogHead, until: int) -> LogPlace:
        """Read the log into the key log up to a place, or wait for another process that does."""
        place = self._check(connection)
        deadline = monotonic() + _BUSY_SECONDS
        while place.reached < until:
            try:
                stream = self._stream_at(connection, here, place)
            except StreamBusy:
                if monotonic() > deadline:
                    raise
                sleep(0.1)
                place = self._check(connection)
                continue
            place = self._keep(connection, stream, place, until)
        return place

    def _keep(self, connection: Connection, stream: LogStream, place: LogPlace, until: int) -> LogPlace:
        """Keep one batch of whole transactions; on any failure the stream is given up and read again from the store."""
        counted = [0]

        def keys() -> Iterator[LoggedKey]:
            for message in stream.read(until, most_messages=_MESSAGES_A_BATCH):
                for key in self._key_reader.read(message):
                    counted[0] += 1
                    yield key

        def reached() -> LogPlace:
            following = replace(place, reached=stream.reached)
            if counted[0]:  # a copy restored from before this moment has an older mark
                following = replace(following, mark=str(uuid.uuid4()))
                connection.execute(log_statement("leave_mark"), {"mark": following.mark, "previous": place.mark})
            return following

        try:
            kept = self._keys.append(keys(), after=place, reached=reached)
            stream.confirm(kept.reached)
        except BaseException:
            self._let_go()
            raise
        return kept

    def _stream_at(self, connection: Connection, here: LogHead, place: LogPlace) -> LogStream:
        if self._stream is not None and self._stream.reached == place.reached:
            return self._stream
        self._let_go()
        published = read_published(connection, self.slot)
        keys = {name: _key_of(connection, *name) for name in published}
        self._stream = LogStream(self._reader.arguments(), self.slot, place.reached, alphabet=self._reader.alphabet)
        self._key_reader = KeyReader(keys, alphabet=self._reader.alphabet)
        self._key_reader.newest_transaction = int(here.snapshot.split(":")[1])
        return self._stream

    def _check(self, connection: Connection) -> LogPlace:
        """Refuse a log that is not the one whose place the store knows; begin when the store knows none."""
        place = self._keys.read_place()
        while True:  # other processes may come further meanwhile: judge what belongs together
            state = connection.execute(log_statement("capture_state")).fetchone()
            slot = read_slot(connection, self.slot)
            here = read_log_head(connection)
            before, place = place, self._keys.read_place()
            if place == before:
                break
        if state is None or slot is None or slot.wal_status == "lost":
            raise SourceDrifted(
                f"the slot {self.slot} was dropped, or was away for longer than the server keeps its log: changes are "
                "missing; nothing was read",
                hint=SWEEP,
                slot=self.slot,
            )
        identity, *marks = state
        if place is None or place.capture != identity:
            return self._begin(connection)
        if here.place < place.reached or place.mark not in marks:
            raise SourceRestored(
                "this database is behind what was read from it: it was restored from a backup; nothing was read",
                hint=DECIDE,
            )
        if slot.confirmed > place.reached:
            raise SourceDrifted(
                f"the slot {self.slot} was read by somebody else, or the store is older than the slot: changes are "
                "missing; nothing was read",
                hint=SWEEP,
                slot=self.slot,
            )
        return place

    def _begin(self, connection: Connection) -> LogPlace:
        slot = read_slot(connection, self.slot)
        state = connection.execute(log_statement("capture_state")).fetchone()
        assert slot is not None
        assert state is not None
        return self._keys.begin(LogPlace(state[0], slot.confirmed, slot.confirmed, state[1]))

    def _keep_awake(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _sleep_soon(self) -> None:
        if self._stream is not None:
            self._idle = Timer(_IDLE_SECONDS, self.close)
            self._idle.daemon = True
            self._idle.start()

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@dataclass(frozen=True, slots=True)
class _Server:
    """What a connection is told once and never otherwise: server, database, and the sizes of the pieces of its log."""

    system: str
    database: str
    block_bytes: int
    segment_bytes: int


_SERVERS: WeakKeyDictionary[Connection, _Server] = WeakKeyDictionary()


def read_log_head(connection: Connection) -> LogHead:
    """Read the incarnation, the present snapshot and the place of the log just after it."""
    server = _SERVERS.get(connection)
    if server is None:
        return _first_head(connection)
    try:
        row = connection.execute(log_statement("head_known")).fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None or not row[1]:
        return _first_head(connection)  # it says what became of the capture, or of the server
    snapshot, timeline, place, capture = row
    parts = (server.system, server.database, timeline, capture)
    place = _without_header(place, server.block_bytes, server.segment_bytes)
    return LogHead("-".join(filter(None, parts)), snapshot, place)


def _first_head(connection: Connection) -> LogHead:
    row = connection.execute(log_statement("head")).fetchone()
    assert row is not None
    snapshot, database, timeline, is_captured, may_read_system, place, block_bytes, segment_bytes = row
    if not timeline:
        raise ConfigurationError(
            "this server is a standby: its log is read on the primary; nothing was read",
            hint="name the primary in banyan.yaml",
        )
    if not is_captured:
        raise ConfigurationError(
            "the reading of the log is not installed in this database; no change was read",
            hint="banyan source grants --level R2, then install the capture",
        )
    state = connection.execute(log_statement("capture_state")).fetchone()
    system = connection.execute(statement("system_identifier")).fetchone() if may_read_system else None
    server = _Server(system[0] if system else "", database, block_bytes, segment_bytes)
    _SERVERS[connection] = server
    parts = (server.system, database, timeline, state[0] if state else "")
    return LogHead("-".join(filter(None, parts)), snapshot, _without_header(place, block_bytes, segment_bytes))


def _without_header(place: int, block_bytes: int, segment_bytes: int) -> int:
    """Step back over the header of a page that holds no record yet: an idle server would never come past it."""
    if place % segment_bytes == 40:
        return place - 40
    return place - 24 if place % block_bytes == 24 else place


def _key_of(connection: Connection, schema: str, table: str) -> tuple[str, ...]:
    rows = connection.execute(log_statement("key_columns"), {"schema": schema, "table": table}).fetchall()
    return tuple(name for (name,) in rows)


def _read_position(position: Position, incarnation: str) -> LogHead:
    try:
        read = json.loads(position)
        found = LogHead(str(read["incarnation"]), str(read["snapshot"]), int(read["log"]))
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; nothing was read from the log") from None
    refuse_incarnation(found.incarnation, incarnation)
    return found
