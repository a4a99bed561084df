"""The fence of a legacy MariaDB: what refuses writers of one closure, and the only door to it.

Decisions are taken on the legacy server: the door locks the row first, reads the clock second, then compares nonce,
token and lease (see connectors/sql/mariadb_fence.sql). What no trigger sees is listed by `check_installed`: TRUNCATE,
DROP and ALTER by an account that may, and cascades from a table outside the closure that has no trigger.
"""

import math
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import pymysql

from banyan.errors import BanyanError, ConfigurationError, SwitchUncertain
from banyan.ports import FenceAnswer, FenceDefect, FenceMode, FenceState
from connectors.dialects_mariadb import named, shipped, touch_one
from connectors.mariadb_connection import FENCED, LET_IN, Connection, MariaDBConnections, ask, count_touched
from connectors.mariadb_fence_plan import EVENTS, fence_triggers, parent_triggers
from connectors.mariadb_objects import FENCE, as_shown, inspect_triggers, is_fed_unseen
from connectors.mariadb_shapes import read_reaching_keys, read_shape
from connectors.postgresql_writers import Writer

_ROUTINES: Final = {
    "mariadb_fence": (
        "check_fence",
        "check_fence_soon",
        "effect",
        "admit_reverse",
        "dismiss",
        "pass",
        "wait_in_flight",
    ),
    "mariadb_base": ("clock", "identity", "inspect_triggers"),
}
_ASKING: Final = "set @banyan_probe = 1"
_NOT_ASKING: Final = "set @banyan_probe = null"
_LOCK_WAIT: Final = 1205
_PAUSE_SECONDS: Final = 0.05
_MICROSECONDS: Final = 1_000_000


class MariaDBFence:
    """The fence of one closure, worked as `banyan_guard` and probed as an ordinary application account."""

    def __init__(
        self,
        guard: MariaDBConnections,
        closure: str,
        *,
        schema: str,
        probe: MariaDBConnections | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self.closure = closure
        self.schema = schema
        self._guard = guard
        self._probe = probe
        self._timeout_seconds = timeout_seconds

    def disconnect(self) -> None:
        """Close the connections; the fence stays as it is."""
        self._guard.close()
        if self._probe is not None:
            self._probe.close()

    def close(self, token: int, *, lease_seconds: float, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Refuse writers until the lease ends; waits for every writer in flight. One close for each token."""
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
        """Read the state of the fence, with what is left of its lease on the legacy clock."""
        with self._guard.session("reading the fence") as connection:
            try:
                rows = ask(connection, named("read_fence", self.schema), {"closure": self.closure})
            except pymysql.MySQLError as error:
                raise self._missing_or(error) from None
        if not rows:
            raise self._missing()
        token, mode, microseconds, nonce = rows[0]
        left = None if microseconds is None else int(microseconds) / _MICROSECONDS
        return FenceState(self.closure, int(token), FenceMode(mode), left, UUID(nonce))

    def probe(self, table: str) -> bool:
        """Tell whether a write by an ordinary application account is refused by the fence; changes nothing.

        One row is written as it is, by a session that says it only asks: the fence ends that write by an error either
        way, and says by its number whether it would have passed. Of an empty table, where no trigger fires, its fence
        row and triggers are asked instead; a table without transactions is not touched while its triggers are not
        those of the fence.
        """
        if self._probe is None:
            raise ConfigurationError(
                "the fence cannot be proved without an ordinary application account; nothing was probed",
                hint="give the URL of such an account to the source in banyan.yaml",
            )
        shape = read_shape(self._probe, self.schema, table)
        if not shape.is_transactional and not self._is_guarded(table):
            return False
        plain = next((c.name for c in shape.columns if c.name not in shape.key), shape.columns[0].name)
        with self._probe.session("probing the fence", table=table) as connection:
            self._limit_lock_wait(connection, self._timeout_seconds)
            connection.begin()
            try:
                ask(connection, _ASKING)
                touched = count_touched(connection, touch_one(shape, plain))
            except pymysql.MySQLError as error:
                if error.args and error.args[0] in (FENCED, LET_IN):
                    return bool(error.args[0] == FENCED)
                raise
            finally:
                connection.rollback()
                ask(connection, _NOT_ASKING)
        return touched == 0 and self.read().is_shut and self._is_guarded(table)

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which an ordinary application account can write; changes nothing."""
        return tuple(table for table in tables if not self.probe(table))

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait for every transaction that wrote before the fence closed; tell whether none is left."""
        with self._guard.session("waiting for writers in flight") as connection:
            self._limit_lock_wait(connection, timeout_seconds)
            connection.begin()
            try:
                rows = ask(connection, named("wait_in_flight", self.schema), {"closure": self.closure})
            except pymysql.MySQLError as error:
                if error.args and error.args[0] == _LOCK_WAIT:
                    return False
                raise
            finally:
                connection.rollback()
            if rows[0][0] != 1:
                raise self._missing()
            return self._wait_for_prepared(connection, timeout_seconds)

    def _wait_for_prepared(self, connection: Connection, timeout_seconds: float) -> bool:
        """Wait for transactions in two phases: once prepared they hold no share lock any more, and may yet commit."""
        deadline = time.monotonic() + timeout_seconds
        while ask(connection, named("prepared", self.schema)):
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the fence on each table, by name, with what was installed; an empty list is a sound fence."""
        keys = read_reaching_keys(self._guard, self.schema)
        with self._guard.session("checking the fence") as connection:
            found = [one for one in inspect_triggers(connection, self.schema) if one.kind == FENCE]
            routines = ask(connection, named("routines", self.schema))
            loose = ask(connection, named("loose_rights", self.schema))
            is_fed, frozen = is_fed_unseen(connection, self.schema), self._frozen(connection)
        mine = [one for one in found if one.closure == self.closure]
        defects = [FenceDefect(one.table, one.problem) for one in mine if one.problem and one.table in tables]
        expected = {t.name: t for t in fence_triggers(self.closure, self.schema, tables)}
        there = {one.trigger for one in mine}
        defects += [
            FenceDefect(trigger.table, f"the trigger {name} was never installed")
            for name, trigger in expected.items()
            if name not in there
        ]
        for trigger in parent_triggers(self.closure, self.schema, tables, keys):
            sound = {one.trigger for one in mine if not one.problem}
            if trigger.name not in sound:
                problem = f"its cascades reach the closure and the trigger {trigger.name} is not in place"
                defects.append(FenceDefect(trigger.table, problem))
        for account, table, rights in loose:
            if not account and table in tables:
                told = f"{rights} forgets its rows or keeps no key: nothing is written back to it"
                defects.append(FenceDefect(table, told))
            elif account and (not table or table in tables):
                told = f"{account} holds {rights}: no trigger fires for TRUNCATE, DROP and ALTER"
                defects.append(FenceDefect(table, told))
        if is_fed:
            defects.append(FenceDefect("", "replication writes to this server, and what it applies fires no trigger"))
        if frozen:
            defects.append(FenceDefect("", "the server runs with sysdate-is-now: a client could stop the clock"))
        return defects + _routine_problems(self.schema, routines)

    def _frozen(self, connection: Connection) -> bool:
        """Tell whether a client can stop the clock of the lease for its own session."""
        ask(connection, "set timestamp = 1")
        try:
            return not ask(connection, named("clock_of_a_frozen_session", self.schema))[0][0]
        finally:
            ask(connection, "set timestamp = default")

    def _is_guarded(self, table: str) -> bool:
        with self._guard.session("checking the fence") as connection:
            found = inspect_triggers(connection, self.schema)
        mine = [one for one in found if one.closure == self.closure and one.table == table and not one.problem]
        return len(mine) >= len(EVENTS)

    def _effect(self, what: str, token: int, seconds: float, nonces: tuple[UUID, UUID]) -> FenceAnswer:
        values = {
            "what": what,
            "closure": self.closure,
            "token": token,
            "seconds": seconds,
            "nonce_old": str(nonces[0]),
            "nonce_new": str(nonces[1]),
        }
        with self._guard.session(f"{what} of the fence of {self.closure}") as connection:
            self._limit_lock_wait(connection, self._timeout_seconds)
            connection.begin()
            try:
                rows = ask(connection, named("effect", self.schema), values)
                connection.commit()
            except pymysql.MySQLError as error:
                if error.args and isinstance(error.args[0], int) and _is_cut(error.args[0]):
                    raise SwitchUncertain(
                        f"the link ended during {what} of the fence of {self.closure}: it may have taken place",
                        hint="banyan switch status, which reads the fence",
                        closure=self.closure,
                        token=token,
                    ) from None
                connection.rollback()
                raise
        accepted, reason, microseconds = rows[0]
        left = None if microseconds is None else int(microseconds) / _MICROSECONDS
        return FenceAnswer(bool(accepted), str(reason), left)

    def _limit_lock_wait(self, connection: Connection, seconds: float) -> None:
        for wait in ("innodb_lock_wait_timeout", "lock_wait_timeout"):  # rows, and whole tables
            ask(connection, f"set session {wait} = {max(1, math.ceil(seconds))}")

    def _missing_or(self, error: pymysql.MySQLError) -> BaseException:
        return self._missing() if error.args and error.args[0] in (1142, 1146, 1370) else error

    def _missing(self) -> BanyanError:
        return ConfigurationError(
            f"no fence is installed for {self.closure}; nothing was changed",
            hint="banyan source grants, then install the fence days before the switch",
            closure=self.closure,
        )


def open_mariadb_fence(
    guard_url: str, closure: str, *, schema: str, probe_url: str = "", timeout_seconds: float = 5.0
) -> MariaDBFence:
    """Open the door to the fence of a closure; an effect gives up after `timeout_seconds` behind writers in flight.

    The server counts whole seconds. Nothing is connected before the first question.
    """
    probe = MariaDBConnections(probe_url) if probe_url else None
    guard = MariaDBConnections(guard_url)
    return MariaDBFence(guard, closure, schema=schema, probe=probe, timeout_seconds=timeout_seconds)


def find_mariadb_writers(guard_url: str, tables: Sequence[str], *, schema: str) -> list[Writer]:
    """Look once at the accounts that are connected and may write in these tables; banyan's own are left out."""
    guard = MariaDBConnections(guard_url)
    try:
        with guard.session("looking who writes") as connection:
            rows = ask(connection, named("writers", schema))
    finally:
        guard.close()
    found = {
        Writer(account, table, "")
        for account, named_table, is_connected in rows
        if is_connected
        for table in tables
        if named_table in ("", table)
    }
    return sorted(found, key=lambda writer: (writer.account, writer.table))


def _is_cut(code: int) -> bool:
    """Tell whether a link ended with an effect under way: whether it took place is not known."""
    return code == 0 or code in (1053, 1158, 1159, 1160, 1161, 1317, 1927) or 2000 <= code < 3000


def _routine_problems(schema: str, found: Sequence[tuple[str, str, str, str]]) -> list[FenceDefect]:
    """Compare the routines of the fence with those that are shipped."""
    sound = {
        name: body for name, body, security, owner in found
        if security == "DEFINER" and owner == "banyan_owner@localhost"
    }  # fmt: skip
    problems = []
    for file, names in _ROUTINES.items():
        texts = shipped(file, schema)
        for name in names:
            body = texts[name][texts[name].index("\nbegin\n") + 1 :]
            if sound.get(name) != as_shown(body):
                problems.append(FenceDefect("", f"the routine {name} is not the one that was installed"))
    return problems
