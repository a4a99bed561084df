"""The rights ladder of a legacy MariaDB: the exact SQL of each rung, and the SQL that undoes it; runs nothing.

R0 files handed over, R1 SELECT, R2 log, R3 triggers (journal), R4 fence. A rung includes those below it. The text is
for the client `mariadb`, which needs another delimiter around a routine.
"""

import re
from collections.abc import Sequence
from typing import Final, assert_never

from cli.grants import Rung, RungPlan, without_rights
from connectors.dialects_mariadb import home_of, quoted, shipped
from connectors.mariadb import MariaDBPort
from connectors.mariadb_capture import Watched
from connectors.mariadb_fence_plan import fence_triggers, parent_triggers, plan_fence
from connectors.mariadb_journal import MariaDBJournal, cascade_triggers
from connectors.mariadb_log import MariaDBLog
from connectors.mariadb_objects import plan_removal
from connectors.mariadb_rights import LooseAccount
from connectors.mariadb_shapes import find_sequences
from mappings.closure import closure
from mappings.model import RuleBook

_ACCOUNTS: Final = ("banyan_reader@'%'", "banyan_reverse@'%'", "banyan_guard@'%'")
_UNSEEN: Final = "who has SUPER may write unseen (sql_log_bin = 0): only the comparison of counts and rows finds it"
_ROUTINE: Final = re.compile(r"\bdefiner\b.*\b(procedure|function|trigger)\b", re.IGNORECASE)
_MADE: Final = re.compile(
    r"create (?:or replace )?(?:definer = \S+ )?(table|procedure|function) (?:if not exists )?(\S+?)[ (]"
)


def plan_mariadb_rung(rung: Rung, port: MariaDBPort, book: RuleBook, department_code: str) -> RungPlan:
    """Write what one rung needs on this source for the tables that have rules."""
    tables = sorted(book.rulesets)
    reader = _ACCOUNTS[0]
    match rung:
        case Rung.R0:
            return without_rights(tables)
        case Rung.R1:
            return RungPlan(
                rung,
                "scan, first copy, changes and deletes by looking at every row (capture: snapshot), comparison of both "
                "sides",
                "write-back, a switch and its rollback; changes of tables without a primary key",
                "none: reading only",
                (
                    *_account(reader),
                    *(f"grant select on {place} to {reader}" for place in _places(port, tables)),
                    "-- only for locks of whole tables in sync throttle --most-lock-waits and the sessions of source "
                    f"scan: grant process on *.* to {reader}",
                ),
                (f"drop user {reader}",),
            )
        case Rung.R2:
            watched = _watched(port, tables)
            names = [trigger.name for trigger in cascade_triggers(watched, tables)]
            return RungPlan(
                rung,
                "changes and deletes as they happen, from the binary log (capture: log)",
                f"write-back, an online switch; {_UNSEEN}",
                "binlog_format = ROW and binlog_row_image = FULL must be set, and log_bin, which needs a restart; a "
                "trigger on each table from which a foreign key cascades, since the log holds no cascade",
                _for_client(MariaDBLog(port.reader, port.schema).plan(watched)),
                (
                    f"revoke replication slave, binlog monitor on *.* from {reader}",
                    *_no_triggers(port.schema, names),
                    *_no_home(port.schema),
                ),
            )
        case Rung.R3:
            watched = _watched(port, tables)
            names = [trigger.name for trigger in MariaDBJournal.triggers(watched, tables)]
            return RungPlan(
                rung,
                "changes and deletes as they happen, from a journal of keys (capture: journal)",
                "write-back, an online switch; the keys of a TRUNCATE: it is found, and stops the reading",
                "triggers in a vendor's database: tell the vendor before, and keep this page; each row written costs "
                "an insert",
                _for_client(MariaDBJournal(port.reader, port.schema).plan(watched)),
                (*_no_triggers(port.schema, names), *_no_home(port.schema)),
            )
        case Rung.R4:
            return _fence(port, book, department_code)
    assert_never(rung)


def _fence(port: MariaDBPort, book: RuleBook, department_code: str) -> RungPlan:
    schema, keys = port.schema, port.foreign_keys()
    grant: list[str] = [line for account in _ACCOUNTS for line in _account(account)]
    undo: list[str] = []
    fenced: set[str] = set()
    for found in closure(book, department_code):
        fenced.update(found.tables)
        lasting = [table for table in found.tables if port.shape(table).is_lasting]
        counters = find_sequences(port.reader, schema, found.tables)
        plan = plan_fence(found.name, found.tables, schema=schema, keys=keys, lasting=lasting, counters=counters)
        grant += [line for line in plan if line not in grant]
        triggers = [
            *fence_triggers(found.name, schema, found.tables),
            *parent_triggers(found.name, schema, found.tables, keys),
        ]
        undo += plan_removal(schema, [trigger.name for trigger in triggers])
    grant.append(
        "-- a sequence that counts keys is seen by whoever may read it: where seq_X counts those of X or t_X and is "
        f"not granted above, grant select, insert on it to {_ACCOUNTS[1]}"
    )
    for loose in port.loose_accounts():
        if not loose.table or loose.table in fenced:
            taken, given_back = _tightened(schema, loose)
            grant += taken
            undo += given_back
    undo += [f"drop user {account}" for account in _ACCOUNTS[1:]]
    undo += [f"drop {kind} if exists {name}" for kind, name in _made(schema)]
    return RungPlan(
        Rung.R4,
        "write-back, an online switch and its rollback",
        "tables of engines that forget their rows or keep no key (MEMORY, CSV, ARCHIVE): nothing is written back to "
        "them, and a switch refuses their closure",
        "a trigger on each row written to a table of a closure; an account that may TRUNCATE, DROP or ALTER loses it; "
        "installing waits 5 s for running transactions; writers of a table without transactions (MyISAM, Aria) are "
        "refused, and not kept waiting, while a fence closes; keys reserved there copy the table",
        _for_client(grant),
        tuple(undo),
    )


def _tightened(schema: str, loose: LooseAccount) -> tuple[list[str], list[str]]:
    """Write how an account loses the rights that no trigger stops, these alone, and how it has them back."""
    rights, where, why = ", ".join(loose.rights).lower(), f"{quoted(schema)}.*", []
    if loose.is_everywhere:
        where, why = "*.*", ["-- granted on every database of this server, and taken there"]
    elif loose.table:
        where, why = f"{quoted(schema)}.{quoted(loose.table)}", ["-- granted on this table alone, and taken there"]
    return (
        ["-- no trigger fires for TRUNCATE, DROP and ALTER", *why, f"revoke {rights} on {where} from {loose.name}"],
        [
            "-- as the account had it; its other rights and its right to grant were left",
            f"grant {rights} on {where} to {loose.name}",
        ],
    )


def _made(schema: str) -> list[tuple[str, str]]:
    """Name what the fence makes in banyan's own database, the last first."""
    found = [_MADE.match(" ".join(line.split())) for line in shipped("mariadb_fence", schema).values()]
    return [(one.group(1), one.group(2).rstrip("(")) for one in reversed(found) if one is not None]


def _account(account: str) -> tuple[str, ...]:
    return (
        f"-- choose the password of {account} yourself: alter user {account} identified by ...",
        f"create user if not exists {account}",
    )


def _places(port: MariaDBPort, tables: Sequence[str]) -> list[str]:
    return [f"{quoted(port.schema)}.{quoted(table)}" for table in tables]


def _watched(port: MariaDBPort, tables: Sequence[str]) -> Watched:
    return Watched(port.schema, {table: port.shape(table) for table in tables}, port.foreign_keys())


def _no_triggers(schema: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"drop trigger if exists {quoted(schema)}.{quoted(name)}" for name in names)


def _no_home(schema: str) -> tuple[str, ...]:
    return (
        "-- after the undo of R4, when that one was granted",
        f"drop database if exists {quoted(home_of(schema))}",
        "-- and when no other database of this server uses it: drop user banyan_owner@localhost",
    )


def _for_client(lines: Sequence[str]) -> tuple[str, ...]:
    """Put another delimiter around what holds statements of its own."""
    return tuple(
        f"-- {line.splitlines()[0]}\ndelimiter //\n{line} //\ndelimiter ;" if _ROUTINE.search(line) else line
        for line in lines
    )
