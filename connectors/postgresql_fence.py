"""The fence of a legacy PostgreSQL: what refuses writers of one closure, and the only door to it.

Decisions are taken on the legacy server: the door locks the row first, reads the clock second, then compares nonce,
token and lease (see connectors/sql/postgresql_fence.sql).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg import sql

from banyan.errors import BanyanError, ConfigurationError, SwitchRefused, SwitchUncertain
from banyan.ports import FenceAnswer, FenceDefect, FenceMode, FenceState
from connectors.dialects import RAW_SETTINGS, statement, statements
from connectors.dialects_probe import PROBED, probe_tables
from connectors.dialects_triggers import fence_statements, unfence_statements
from connectors.postgresql_capture import administrator
from connectors.postgresql_connection import Connection, PostgreSQLConnections, read_children
from wire.encoded import respelled

_TRIGGER_TYPE = 2 | 4 | 8 | 16 | 32  # before (2), insert, delete, update, truncate; no row bit: per statement
_FUNCTIONS = ("check_fence", "effect", "admit_reverse", "wait_in_flight", "open_by_code")
_PINNED = ["search_path=pg_catalog, pg_temp"]


@dataclass(frozen=True, slots=True)
class Master:
    """An account against which triggers are not enough: it can disable or drop them."""

    account: str
    is_superuser: bool
    owned: tuple[str, ...]
    """The fenced tables it owns, itself or by a role it may take."""


class PostgreSQLFence:
    """The fence of one closure, worked as `banyan_guard` and probed as an ordinary application account."""

    def __init__(
        self,
        guard: PostgreSQLConnections,
        closure: str,
        *,
        schema: str,
        probe: PostgreSQLConnections | None = None,
        timeout_seconds: float = 5.0,
    ) -> None:
        self.closure = closure
        self.schema = schema
        self._guard = guard
        self._probe = probe
        self._timeout_seconds = timeout_seconds
        self._columns: dict[str, str] = {}

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
            row = connection.execute(statement("read_fence"), {"closure": self.closure}).fetchone()
        if row is None:
            raise self._missing()
        token, mode, lease_seconds, nonce = row
        return FenceState(self.closure, token, FenceMode(mode), lease_seconds, nonce)

    def probe(self, table: str) -> bool:
        """Tell whether a write by an ordinary application account is refused by the fence; changes nothing."""
        return not self.find_open((table,))

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which an ordinary application account can write, asked at once; changes nothing.

        Columns are looked up the first time only: asked once before a fence is closed, it is one question afterwards.
        """
        with self._probing().session("probing the fence") as connection:
            for table in tables:
                if table not in self._columns:
                    self._columns[table] = self._plain_column(connection, table)
            columns = {table: self._columns[table] for table in tables}
            question = probe_tables(self.schema, columns, max(1, round(self._timeout_seconds * 1000)))
            try:
                connection.execute(question)
            except psycopg.DatabaseError as error:
                if error.sqlstate != PROBED:
                    raise
                return tuple(filter(None, respelled(connection, error.diag.message_detail or "").split(",")))
        raise AssertionError("a probe ends in an error, whatever it finds")

    def _probing(self) -> PostgreSQLConnections:
        if self._probe is None:
            raise ConfigurationError(
                "the fence cannot be proved without an ordinary application account; nothing was probed",
                hint="give the URL of such an account to the source in banyan.yaml",
            )
        return self._probe

    def _plain_column(self, connection: Connection, table: str) -> str:
        found = connection.execute(statement("plain_column"), {"schema": self.schema, "table": table}).fetchone()
        if found is None:
            raise ConfigurationError(
                f"{self.schema}.{table} is not seen by the probing account; nothing was probed",
                hint="banyan source grants",
                table=table,
            )
        return str(found[0])

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait for every transaction that wrote before the fence closed; tell whether none is left."""
        milliseconds = str(max(1, round(timeout_seconds * 1000)))
        with self._guard.session("waiting for writers in flight") as connection:
            cursor = psycopg.ClientCursor(connection)
            try:  # two statements, one transaction, one round trip
                cursor.execute(statement("wait_in_flight"), {"closure": self.closure, "milliseconds": milliseconds})
                cursor.nextset()
                row = cursor.fetchone()
            except psycopg.errors.LockNotAvailable:
                return False
        if row != (True,):
            raise self._missing()
        return True

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the fence on each table, by name, with what was installed; an empty list is a sound fence."""
        defects: list[FenceDefect] = []
        with self._guard.session("checking the fence") as connection:
            for table in tables:
                values = {
                    "schema": self.schema,
                    "table": table,
                    "closure": self.closure,
                    "trigger_type": _TRIGGER_TYPE,
                }
                row = connection.execute(statement("fence_on_table"), values).fetchone()
                defects += [FenceDefect(table, problem) for problem in _table_problems(row)]
            asked = {"schema": self.schema, "tables": list(tables)}
            for table, name in connection.execute(statement("fence_subscribed"), asked).fetchall():
                told = f"the subscription {name} writes into it, and no trigger of a statement fires for what it brings"
                defects.append(FenceDefect(table, told))
            found = connection.execute(statement("fence_functions")).fetchall()
            defects += [FenceDefect("", problem) for problem in _function_problems(found)]
        return defects

    def find_masters(self, tables: Sequence[str]) -> list[Master]:
        """List the accounts that can take the triggers away: owners of these tables, and further superusers."""
        found: dict[tuple[str, bool], list[str]] = {}
        with self._guard.session("looking for those who can take triggers away") as connection:
            asked = {"schema": self.schema, "tables": list(tables)}
            for account, table, why in connection.execute(statement("fence_masters"), asked).fetchall():
                found.setdefault((account, why == "superuser"), []).extend([table] if table else [])
        return [Master(account, is_super, tuple(owned)) for (account, is_super), owned in found.items()]

    def _effect(self, what: str, token: int, seconds: float, nonces: tuple[UUID, UUID]) -> FenceAnswer:
        values = {
            "what": what,
            "closure": self.closure,
            "token": token,
            "seconds": seconds,
            "nonce_old": nonces[0],
            "nonce_new": nonces[1],
        }
        with self._guard.session(f"{what} of the fence of {self.closure}") as connection:
            try:  # one statement, one commit, one round trip; the connection gives up behind a lock by itself
                row = connection.execute(statement("effect"), values).fetchone()
            except psycopg.OperationalError as error:
                if error.sqlstate is None or error.sqlstate.startswith("57P"):
                    raise SwitchUncertain(
                        f"the link ended during {what} of the fence of {self.closure}: it may have taken place",
                        hint="banyan switch status, which reads the fence",
                        closure=self.closure,
                        token=token,
                    ) from None
                raise
        assert row is not None
        accepted, reason, lease_seconds = row
        return FenceAnswer(accepted, reason, lease_seconds)

    def _missing(self) -> BanyanError:
        return ConfigurationError(
            f"no fence is installed for {self.closure}; nothing was changed",
            hint="banyan source grants, then install the fence days before the switch",
            closure=self.closure,
        )


def open_postgresql_fence(
    guard_url: str, closure: str, *, schema: str, probe_url: str = "", timeout_seconds: float = 5.0
) -> PostgreSQLFence:
    """Open the door to the fence of a closure; an effect gives up after `timeout_seconds` behind writers in flight.

    Nothing is connected before the first question.
    """
    probe = PostgreSQLConnections(probe_url, settings=RAW_SETTINGS) if probe_url else None
    lock_timeout = f"{max(1, round(timeout_seconds * 1000))}ms"
    guard = PostgreSQLConnections(guard_url, settings={**RAW_SETTINGS, "lock_timeout": lock_timeout})
    return PostgreSQLFence(guard, closure, schema=schema, probe=probe, timeout_seconds=timeout_seconds)


def plan_fence(
    closure: str, tables: Sequence[str], *, schema: str, children: Mapping[str, Sequence[tuple[str, str]]]
) -> list[str]:
    """Write the statements that install the fence of a closure and of what holds rows of its tables; runs none."""
    per_table = [line for table in tables for line in fence_statements(schema, closure, table, children[table])]
    reserve = sql.SQL("grant usage on all sequences in schema {} to banyan_reverse").format(sql.Identifier(schema))
    row = sql.SQL(
        "insert into banyan.fence (closure, nonce) values ({}, gen_random_uuid()) on conflict (closure) do nothing"
    ).format(sql.Literal(closure))
    return [*statements("postgresql_fence").values(), row.as_string(), *per_table, reserve.as_string()]


def install_fence(admin_url: str, closure: str, tables: Sequence[str], *, schema: str) -> UUID:
    """Install the fence, open, in one transaction; installed again it keeps its state. Gives its nonce.

    A trigger waits for running transactions of its table (5 s): install days before the switch.
    """
    with administrator(admin_url, f"installing the fence of {closure}") as connection:
        children = {table: read_children(connection, schema, table) for table in tables}
        for line in plan_fence(closure, tables, schema=schema, children=children):
            connection.execute(sql.SQL(line))  # type: ignore[arg-type]  # written by the plan
        values = {"schema": schema, "tables": list(tables), "closure": closure}
        strangers = connection.execute(statement("fence_strangers"), values).fetchall()
        if strangers:
            raise ConfigurationError(
                f"{', '.join(name for name, _ in strangers)} already belongs to the closure {strangers[0][1]}; "
                "nothing was installed",
                hint="banyan map closure",
            )
        row = connection.execute(statement("lock_fence"), values).fetchone()
    assert row is not None
    nonce: UUID = row[1]
    return nonce


def keep_code_key(admin_url: str, closure: str, key: bytes) -> None:
    """Leave with the fence the key of its telephone codes; nobody but the owner of the fence can read it."""
    with administrator(admin_url, f"leaving the key of the codes of {closure}") as connection:
        connection.execute(statement("keep_code_key"), {"closure": closure, "key": key})


def remove_fence(admin_url: str, closure: str) -> None:
    """Take the triggers and the row of a closure away, only while its fence is open."""
    with administrator(admin_url, f"removing the fence of {closure}") as connection:
        values = {"closure": closure}
        row = connection.execute(statement("lock_fence"), values).fetchone()
        if row is not None and row[0] != FenceMode.OPEN:
            raise SwitchRefused(
                f"the fence of {closure} is {row[0]}: removing it would let writers in; nothing was removed",
                hint="banyan switch status",
            )
        fenced = connection.execute(statement("fenced_tables"), values).fetchall()
        for schema_name, table in fenced:
            for line in unfence_statements(schema_name, table, read_children(connection, schema_name, table)):
                connection.execute(sql.SQL(line))  # type: ignore[arg-type]  # written by the dialect
        connection.execute(statement("forget_fenced"), values)
        connection.execute(statement("forget_code"), values)
        connection.execute(statement("forget_fence"), values)


def _table_problems(row: tuple[bool | None, ...] | None) -> list[str]:
    if row is None:
        return ["there is no table of this name"]
    is_same_table, has_trigger, is_always_on, is_as_installed, has_open_children = row
    problems = {
        "another table stands under this name, or it was never fenced": is_same_table,
        "the trigger aa_banyan is missing": has_trigger,
        "the trigger is disabled, or not enabled for every session": is_always_on or not has_trigger,
        "the trigger is not the one that was installed": is_as_installed or not has_trigger,
        "a partition or child table has no trigger of its own": not has_open_children,
    }
    return [problem for problem, is_well in problems.items() if not is_well]


def _function_problems(found: Sequence[tuple[str, str, bool, list[str] | None]]) -> list[str]:
    shipped = statements("postgresql_fence")
    bodies = {name: shipped[name].split("$banyan$")[1] for name in _FUNCTIONS}
    sound = {
        name
        for name, body, is_definer, settings in found
        if is_definer and settings == _PINNED and body == bodies[name]
    }
    return [f"the function banyan.{name} is not the one that was installed" for name in _FUNCTIONS if name not in sound]
