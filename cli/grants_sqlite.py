"""The rights ladder of a SQLite file: it knows no accounts, so a rung is a right on a file, and the SQL put into it.

R0 files handed over, R1 reading the file, R3 triggers (journal), R4 write-back and fence. A rung includes those below
it. Runs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from banyan.departments import Closure
from cli.grants import Rung, RungPlan, without_rights
from connectors.dialects_sqlite import drop_table, drop_trigger, fence_triggers, journal_triggers
from connectors.sqlite_database import SqliteDatabase
from connectors.sqlite_fence import plan_fence
from connectors.sqlite_files import SqliteFiles
from connectors.sqlite_journal import GONE
from mappings.model import RuleBook
from mappings.several_files import split_table


def plan_sqlite_rung(rung: Rung, port: SqliteDatabase, book: RuleBook, closures: Sequence[Closure]) -> RungPlan:
    """Write what one rung needs on this file for the tables that have rules."""
    tables = sorted(book.rulesets)
    name = port.path.name
    match rung:
        case Rung.R0:
            return without_rights(tables)
        case Rung.R1:
            return RungPlan(
                rung,
                "scan, first copy, changes and deletes by looking at every row (no fence: in banyan.yaml)",
                "write-back, a switch",
                "none: the file is opened read-only",
                (f"-- the right to read {name} and to enter its folder",),
                (f"-- take the right to read {name}",),
            )
        case Rung.R2:
            return RungPlan(rung, "nothing more: a file has no log", "write-back, a switch", "none", (), ())
        case Rung.R3:
            names = [trigger.name for table in tables for trigger in journal_triggers(port.shape(table))]
            return RungPlan(
                rung,
                "changes and deletes as they were made, each with its origin, and by looking what triggers did not see",
                "write-back, a switch",
                "triggers in the file of a brigade: tell who made it, and keep this page; each row written costs an "
                "insert",
                tuple(port.plan_capture(tables)),
                (*map(drop_trigger, names), *map(drop_table, GONE)),
            )
        case Rung.R4:
            return _fence(port, closures)
    assert_never(rung)


def plan_files_rung(rung: Rung, port: SqliteFiles, book: RuleBook, closures: Sequence[Closure]) -> RungPlan:
    """Write what one rung needs on each of the files, one after the other; the statements name their file."""
    plans = {
        name: plan_sqlite_rung(rung, file, _of_file(book, name), [_in_file(found, name) for found in closures])
        for name, file in port.files.items()
    }
    first = next(iter(plans.values()))

    def told(lines_of: Callable[[RungPlan], tuple[str, ...]]) -> tuple[str, ...]:
        return tuple(
            line
            for name, plan in plans.items()
            if lines_of(plan)
            for line in (f"-- in {port.files[name].path.name}", *lines_of(plan))
        )

    return replace(first, grant=told(lambda plan: plan.grant), undo=told(lambda plan: plan.undo))


def _of_file(book: RuleBook, name: str) -> RuleBook:
    found = {split_table(table): ruleset for table, ruleset in book.rulesets.items()}
    return replace(book, rulesets={table: ruleset for (file, table), ruleset in found.items() if file == name})


def _in_file(found: Closure, name: str) -> Closure:
    tables = tuple(table for file, table in map(split_table, found.tables) if file == name)
    return replace(found, tables=tables)


def _fence(port: SqliteDatabase, closures: Sequence[Closure]) -> RungPlan:
    name = port.path.name
    grant: list[str] = [f"-- the right to write {name} and to make files in its folder"]
    undo: list[str] = []
    for found in closures:
        grant += [line for line in plan_fence(found.name, port.fence, found.tables) if line not in grant]
        if port.fence == "triggers":
            undo += [drop_trigger(trigger.name) for trigger in fence_triggers(found.name, found.tables)]
    undo += [drop_table(table) for table in ("banyan_fence", "banyan_position", "banyan_admitted")]
    is_window = port.fence == "closed_window"
    return RungPlan(
        Rung.R4,
        "write-back, a switch in a closed window and its rollback" if is_window else
        "write-back, an online switch and its rollback",
        "opening by telephone: no server there compares a code; what a program does that switches triggers off is "
        "found, and not refused" if not is_window else
        "a lease: nothing opens the window by itself; programs of other machines on the share are not seen, only their "
        "locks and what they change",
        f"the whole file is moved into a folder beside {name}, which must stand on the same disk" if is_window else
        "a trigger on each row written to a table of a closure",
        tuple(grant),
        tuple(undo),
    )  # fmt: skip
