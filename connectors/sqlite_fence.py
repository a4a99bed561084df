"""The fence of a SQLite file by triggers: they refuse writers of one closure, and ask one row of the file.

Every effect is one transaction that holds the file's one place for a writer: it waits for the writer in flight, reads
row and clock, and decides (connectors/sqlite_door.py). What no trigger sees is found by the looks and by
`check_installed`: triggers dropped, a table made anew, triggers switched off by a program.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never
from uuid import UUID, uuid4

from banyan.errors import SourceUnavailable, StoreFenced, SwitchRefused
from banyan.ports import FenceAnswer, FenceDefect, FenceMode, FenceState
from connectors.dialects_sqlite import (
    EVENTS,
    drop_trigger,
    fence_triggers,
    named,
    touch_one,
)
from connectors.postgresql_writers import Writer
from connectors.sqlite_cells import read_shape
from connectors.sqlite_connection import Connection, is_busy, place_of, reading, undone, writing
from connectors.sqlite_door import Effect, FenceRow, Kind, check_row, decide, missing, read_clock, read_row, write_row
from connectors.sqlite_holders import SUFFIXES, look_for_holders, share_of
from connectors.sqlite_journal import is_there, plan_base, plan_triggers, read_triggers
from connectors.sqlite_window import SqliteWindow

_OURSELVES: Final = "banyan"


class SqliteFence:
    """The fence of one closure by triggers; a file knows no accounts, so it is probed as anybody."""

    def __init__(self, path: Path, closure: str, *, timeout_seconds: float = 5.0) -> None:
        self.closure = closure
        self._path = path
        self._timeout_seconds = timeout_seconds

    def disconnect(self) -> None:
        """Hold nothing open."""

    def close(self, token: int, *, lease_seconds: float, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Refuse writers until the lease ends; waits for the writer in flight. One close for each token."""
        return self._effect("close", token, lease_seconds, (nonce_old, nonce_new))

    def seal(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Refuse writers until opened; accepted only while the lease of the same token holds."""
        return self._effect("seal", token, 0, (nonce_old, nonce_new or nonce_old))

    def open(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Let writers in; an old token is refused."""
        return self._effect("open", token, 0, (nonce_old, nonce_new or nonce_old))

    def beat(self, token: int, *, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Renew the nonce, so that a copy restored from before is recognised."""
        return self._effect("beat", token, 0, (nonce_old, nonce_new))

    def read(self) -> FenceState:
        """Read the state of the fence, with what is left of its lease on the clock of this machine."""
        with reading(self._path) as connection:
            row = self._row(connection)
            left = None if row.lease_until is None else row.lease_until - read_clock(connection)
        return FenceState(self.closure, row.token, row.mode, left, UUID(row.nonce))

    def probe(self, table: str) -> bool:
        """Tell whether a write by anybody who has the file open is refused by the fence; changes nothing.

        A trigger fires for rows only: one row is written as it is. Of an empty table its fence row is asked instead.
        """
        doing = "probing the fence"
        try:
            with undone(self._path, doing, timeout_seconds=self._timeout_seconds) as connection:
                touched = connection.execute(touch_one(read_shape(connection, table))).rowcount
                guarded = {trigger.name for trigger in fence_triggers(self.closure, (table,))}
                is_guarded = guarded <= set(read_triggers(connection))
        except StoreFenced:
            return True
        return touched == 0 and is_guarded and self.read().is_shut

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which anybody can write; changes nothing."""
        return tuple(table for table in tables if not self.probe(table))

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait for the one transaction that may be writing; tell whether none is left."""
        try:
            with undone(self._path, "waiting for writers in flight", timeout_seconds=timeout_seconds):
                return True
        except SourceUnavailable as error:
            if is_busy(error):
                return False
            raise

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the fence on each table with what is to be installed; an empty list is a sound fence."""
        defects = check_row(self._path, self.closure, "triggers", tables)
        with reading(self._path) as connection:
            there = read_triggers(connection)
        for trigger in fence_triggers(self.closure, tables):
            if there.get(trigger.name) != trigger.text:
                what = "is not the one that was installed" if trigger.name in there else "is missing"
                defects.append(FenceDefect(trigger.table, f"the trigger {trigger.name} {what}"))
        share = share_of(self._path)
        if share:
            told = f"the file stands on a share ({share}) that other machines lock and time by themselves"
            defects.append(FenceDefect("", f"{told}: set fence: closed_window"))
        return defects

    def _effect(self, what: Effect, token: int, seconds: float, nonces: tuple[UUID, UUID]) -> FenceAnswer:
        doing = f"{what} of the fence of {self.closure}"
        with writing(self._path, doing, timeout_seconds=self._timeout_seconds) as connection:
            row = self._row(connection)  # the place of the one writer is ours: nobody is between the row and the clock
            clock = read_clock(connection)
            after, answer = decide(row, what, token=token, lease_seconds=seconds, clock=clock, nonces=nonces)
            if after != row:
                write_row(connection, after)
        return answer

    def _row(self, connection: Connection) -> FenceRow:
        row = read_row(connection, self.closure) if is_there(connection, "banyan_fence") else None
        if row is None:
            raise missing(self.closure)
        return row


def plan_fence(closure: str, kind: Kind, tables: Sequence[str]) -> list[str]:
    """Write the statements that install the fence of a closure; a closed window has no trigger."""
    triggers = fence_triggers(closure, tables) if kind == "triggers" else []
    return [*plan_base(), named("fence"), *(trigger.text for trigger in triggers)]


def install_sqlite_fence(
    path: Path, closure: str, kind: Kind, tables: Sequence[str], *, nonce: UUID | None = None
) -> UUID:
    """Install the fence of a closure, open; installed again it keeps its state. Gives its nonce.

    A fence of the other kind is replaced only while it is open. `nonce` is that of a new one, when others share it.
    """
    with writing(path, f"installing the fence of {closure}") as connection:
        for line in (*plan_base(), named("fence")):
            connection.execute(line)
        row = read_row(connection, closure)
        if row is not None and row.kind != kind:
            if row.mode is not FenceMode.OPEN:
                raise SwitchRefused(
                    f"the fence of {closure} is {row.mode.value} as {row.kind}; it was not made {kind}",
                    hint=f"banyan switch status {closure}",
                    closure=closure,
                )
            connection.execute(named("drop_fence"), (closure,))
        nonce = (nonce or uuid4()) if row is None else UUID(row.nonce)
        if row is None or row.kind != kind:
            connection.execute(named("new_fence"), (closure, kind, str(nonce)))
        wanted = fence_triggers(closure, tables) if kind == "triggers" else []
        _drop_others(connection, tables, {trigger.name for trigger in wanted})
        for line in plan_triggers(connection, wanted):
            connection.execute(line)
    return nonce


def remove_sqlite_fence(path: Path, closure: str, tables: Sequence[str]) -> None:
    """Remove the fence of a closure; refused while it is not open."""
    with writing(path, f"removing the fence of {closure}") as connection:
        row = read_row(connection, closure) if is_there(connection, "banyan_fence") else None
        if row is None:
            return
        if row.mode is not FenceMode.OPEN:
            raise SwitchRefused(
                f"the fence of {closure} is {row.mode.value}; nothing was removed",
                hint=f"banyan switch status {closure}",
                closure=closure,
            )
        _drop_others(connection, tables, set())
        connection.execute(named("drop_fence"), (closure,))


def open_sqlite_fence(
    path: Path, closure: str, kind: Kind, *, timeout_seconds: float = 5.0
) -> SqliteFence | SqliteWindow:
    """Open the door to the fence of a closure; nothing is opened before the first question."""
    match kind:
        case "triggers":
            return SqliteFence(path, closure, timeout_seconds=timeout_seconds)
        case "closed_window":
            return SqliteWindow(path, closure, timeout_seconds=timeout_seconds)
    assert_never(kind)


def find_sqlite_writers(path: Path, tables: Sequence[str]) -> list[Writer]:
    """Look once at who has the file open on this machine: whoever has may write in every table of it.

    The command line of banyan itself is left out.
    """
    place = place_of(path)
    looked = look_for_holders([place, *(place.with_name(place.name + suffix) for suffix in SUFFIXES)])
    strangers = [holder for holder in looked.holders if holder.program != _OURSELVES]
    found = {Writer(holder.account, table, holder.program) for holder in strangers for table in tables}
    return sorted(found, key=lambda writer: (writer.account, writer.table))


def _drop_others(connection: Connection, tables: Sequence[str], wanted: set[str]) -> None:
    for table in tables:
        for event in EVENTS:
            name = f"banyan_fence_{event}_{table}"
            if name not in wanted:
                connection.execute(drop_trigger(name))
