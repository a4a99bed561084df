"""The rights ladder of a legacy PostgreSQL: the exact SQL of each rung, and the SQL that undoes it; runs nothing.

R0 files handed over, R1 SELECT, R2 log, R3 triggers (capture), R4 fence. A rung includes those below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from psycopg import sql

from banyan.ports import Incremental
from connectors.dialects import statement
from connectors.dialects_triggers import uncapture_statements, unfence_statements
from connectors.postgresql import PostgreSQLPort
from connectors.postgresql_capture import plan_capture
from connectors.postgresql_fence import plan_fence
from connectors.postgresql_log_setup import plan_log, undo_log
from mappings.closure import closure
from mappings.model import RuleBook

_READER, _REVERSE, _GUARD = "banyan_reader", "banyan_reverse", "banyan_guard"
_NO_SCHEMA = (
    "do $$ begin drop schema if exists banyan; exception when dependent_objects_still_exist then null; end $$"
    "   -- it stays while another rung needs it"
)


class Rung(StrEnum):
    """How far a department lets banyan into a legacy system."""

    R0 = "R0"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"


@dataclass(frozen=True, slots=True)
class RungPlan:
    """One rung: what works with it, what cannot, the statements that grant it and those that undo it."""

    rung: Rung
    works: str
    cannot: str
    risk: str
    grant: tuple[str, ...]
    undo: tuple[str, ...]


def plan_rung(rung: Rung, port: PostgreSQLPort, book: RuleBook, department_code: str) -> RungPlan:
    """Write what one rung needs on this source for the tables that have rules."""
    tables = sorted(book.rulesets)
    match rung:
        case Rung.R0:
            return without_rights(tables)
        case Rung.R1:
            return RungPlan(
                rung,
                "scan, first copy, changes and deletes by looking at every row (capture: snapshot), changes without "
                "deletes by who wrote a row last (capture: row_version), comparison of both sides",
                "write-back, a switch and its rollback; changes of tables without a primary key",
                "none: reading only; pg_read_all_stats shows what other sessions run",
                (*_reading(port.schema, tables), *_past_policies(port, tables, _READER), _statistics(port)),
                _no_reading(port.schema, tables),
            )
        case Rung.R2:
            return RungPlan(
                rung,
                "changes and deletes as they happen, from the log of the server (capture: log)",
                "write-back, an online switch",
                "the server keeps its log for us up to max_slot_wal_keep_size, and needs wal_level = logical; the "
                "account may also copy the whole server",
                (
                    "-- in postgresql.conf: wal_level = logical, max_slot_wal_keep_size = a size the disk can spare",
                    *plan_log([port.shape(name) for name in tables], port.slot, lists_columns=True),
                ),
                (
                    *undo_log(port.slot),
                    "drop table if exists banyan.position   -- after the undo of R4, when that one was granted",
                    _NO_SCHEMA,
                ),
            )
        case Rung.R3:
            return RungPlan(
                rung,
                "changes and deletes as they happen, from a journal of keys",
                "write-back, an online switch",
                "triggers in a vendor's schema: tell the vendor before, and keep this page",
                tuple(plan_capture([port.shape(name) for name in tables])),
                _no_capture(port.schema, tables),
            )
        case Rung.R4:
            return _fence(port, book, department_code)
    assert_never(rung)


def without_rights(tables: list[str]) -> RungPlan:
    """Write what stands below the first right: nothing is granted, files are handed over."""
    return RungPlan(
        Rung.R0,
        "scan and first copy, from files that nobody writes again (medium: csv, dbf or xlsx, write_once: true)",
        "changes: each delivery is another first copy; a CSV may not tell an empty text from nothing",
        "none for the server; the files are personal data from the moment they are written",
        (
            f"-- nothing is granted: the department hands over one file a table: {', '.join(tables)}",
            "-- with the count of rows and the SHA-256 of each file, by a way agreed with its security officer",
        ),
        ("-- nothing was granted: destroy the files once the copy is proved, and write down who did",),
    )


def _reading(schema: str, tables: list[str]) -> tuple[str, ...]:
    home = sql.Identifier(schema).as_string()
    listed = ", ".join(sql.Identifier(schema, table).as_string() for table in tables)
    return (
        f"create role {_READER} login",
        f"-- give {_READER} its password yourself: \\password {_READER}",
        f"grant usage on schema {home} to {_READER}",
        f"grant select on {listed} to {_READER}",
    )


def _past_policies(port: PostgreSQLPort, tables: Sequence[str], role: str) -> tuple[str, ...]:
    """Write the right to see rows that policies hide, where there are policies: a superuser alone may give it."""
    hidden = port.find_hidden(tables)
    return (f"alter role {role} bypassrls   -- policies hide rows of {', '.join(hidden)}",) if hidden else ()


def _statistics(port: PostgreSQLPort) -> str:
    """Write the right that proves how long transactions are open: granted where changes are found by it."""
    grant = f"grant pg_read_all_stats to {_READER}"
    if port.changes_by is Incremental.WATERMARK:
        return f"{grant}   -- without it no overlap of two looks can be proved"
    return f"-- only for sync throttle --most-active and the sessions of source scan: {grant}"


def _no_reading(schema: str, tables: list[str]) -> tuple[str, ...]:
    home = sql.Identifier(schema).as_string()
    named = [sql.Identifier(schema, table) for table in tables]
    return (
        sql.SQL("revoke select on {} from {}").format(sql.SQL(", ").join(named), sql.Identifier(_READER)).as_string(),
        f"revoke usage on schema {home} from {_READER}",
        f"drop role {_READER}",
    )


def _no_capture(schema: str, tables: list[str]) -> tuple[str, ...]:
    lines = [line for table in tables for line in uncapture_statements(schema, table)]
    return (
        *lines,
        statement("drop_journal").as_string(),
        statement("drop_prune").as_string(),
        _NO_SCHEMA,
    )


def _fence(port: PostgreSQLPort, book: RuleBook, department_code: str) -> RungPlan:
    home = sql.Identifier(port.schema).as_string()
    closures = closure(book, department_code)
    grant = [
        f"create role {_REVERSE} login",
        f"create role {_GUARD} login",
        f"grant usage on schema {home} to {_REVERSE}",
        *_past_policies(port, [table for found in closures for table in found.tables], _REVERSE),
    ]
    undo: list[str] = []
    for found in closures:
        children = {table: port.shape(table).children for table in found.tables}
        plan = plan_fence(found.name, found.tables, schema=port.schema, children=children)
        grant += [line for line in plan if line not in grant]
        for table in found.tables:
            revoke = sql.SQL("revoke select on {} from {}").format(
                sql.Identifier(port.schema, table), sql.Identifier(_REVERSE)
            )
            undo += [*unfence_statements(port.schema, table, children[table]), revoke.as_string()]
    undo += [
        f"revoke usage on all sequences in schema {home} from {_REVERSE}",
        f"revoke usage on schema {home} from {_REVERSE}",
        "drop function banyan.check_fence(), banyan.admit_reverse(text, bigint, uuid, boolean)",
        "drop function banyan.effect(text, text, bigint, double precision, uuid, uuid), banyan.wait_in_flight(text)",
        "drop function banyan.open_by_code(text, text)",
        "drop table banyan.fence_code, banyan.fence, banyan.fenced, banyan.position",
        f"revoke usage on schema banyan from {_GUARD}, {_REVERSE}",
        _NO_SCHEMA,
        f"drop role {_GUARD}",
        f"drop role {_REVERSE}",
    ]
    return RungPlan(
        Rung.R4,
        "write-back, an online switch and its rollback",
        "nothing of the protocol; without it a department is loaded, followed and compared, and never switched",
        "a statement trigger on each table of a closure; it waits 5 s for running transactions when installed",
        tuple(grant),
        tuple(undo),
    )
