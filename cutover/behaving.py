"""Live work and statistics of a closure, compared while people may still write: asked again until nothing moves.

The old system is read as it stands, the new one as far as it has come. What differs and was touched since is neither
right nor wrong: it is asked again once the new system has come as far, and left as moving when it does not.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.findings import LevelResult, LevelState
from banyan.records import Origin, Position
from mappings.several_files import split_table
from store.postgres import raw, transaction
from store.records import find_crosswalk_by_key, find_links
from store.row_tables import DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE, RECORD_LINK
from validation.behaviour_documents import load_behaviour
from validation.declared_behaviour import FACTS, Behaviour, StatisticFacts, required_lists
from validation.open_work import (
    Keys,
    Parity,
    compare_list,
    list_legacy,
    nothing_listed,
    open_work_level,
    read_canonical,
)
from validation.rechecking import Patience, wait_until_applied
from validation.statistics import (
    LeftOut,
    StatisticLine,
    compare_statistics,
    count_canonical,
    count_legacy,
    read_canonical_facts,
    read_facts,
    statistics_level,
    undeclared_statistics,
)
from validation.subject import Subject

ROUNDS = 4
"""How often what moves is asked again: a name that moved each time is told as moving."""


def behaviour_of(subject: Subject) -> Behaviour | None:
    """Read what the legacy system of a closure declares for L5; None when it declares nothing."""
    columns = {table: ruleset.columns for table, ruleset in subject.book.rulesets.items()}
    return load_behaviour(subject.rules, columns, department=subject.department.code)


def files_of(subject: Subject, table: str) -> tuple[str, ...]:
    """Give the files of the closure in which a declared table stands; the empty name where there is one place."""
    placed = (split_table(name) for name in subject.tables)
    return tuple(file for file, name in placed if name == table)


@dataclass(slots=True)
class _Moved:
    """What people changed on the legacy side after a watermark, asked once, when it is first needed."""

    subject: Subject = field(repr=False)
    watermark: Position | None
    _keys: dict[str, set[str]] | None = None

    def keys(self) -> Keys:
        if self._keys is None:
            self._keys = {}
            changes = () if self.watermark is None else self.subject.port.changes(self.watermark)
            for change in changes:
                if change.origin is Origin.PERSON:
                    self._keys.setdefault(change.table, set()).add(change.key)
        return self._keys


@dataclass(frozen=True, slots=True)
class _Look:
    """One comparison of both sides, and what could not be decided in it."""

    level: LevelResult
    moving: frozenset[str]
    lines: tuple[StatisticLine, ...] = ()


def open_work_of(subject: Subject, watermark: Position | None, patience: Patience | None = None) -> LevelResult | None:
    """Compare the lists of live work of both sides by name; None where the closure holds nothing that is listed."""
    wanted = required_lists(subject.canonical_tables)
    if not wanted:
        return None
    behaviour = behaviour_of(subject)
    return _settled(partial(_open_work, subject, behaviour, wanted), subject, watermark, patience).level


def statistics_of(
    subject: Subject, watermark: Position | None, patience: Patience | None = None
) -> tuple[LevelResult, tuple[StatisticLine, ...]] | None:
    """Compare the statistics of both sides; None where the closure holds nothing that is counted."""
    if FACTS not in subject.canonical_tables:
        return None
    behaviour = behaviour_of(subject)
    counted = None if behaviour is None else behaviour.statistics
    if behaviour is None or counted is None or not files_of(subject, counted.rows.table):
        return undeclared_statistics(_rules_name(subject)), ()
    look = _settled(partial(_statistics, subject, behaviour, counted), subject, watermark, patience)
    return look.level, look.lines


def _settled(
    look: Callable[[_Moved], _Look], subject: Subject, watermark: Position | None, patience: Patience | None
) -> _Look:
    """Compare until nothing moves any more: what was decided once is decided, what moved each time is told."""
    undecided: frozenset[str] | None = None
    found = look(_Moved(subject, watermark))
    for left in range(ROUNDS - 1, -1, -1):
        undecided = found.moving if undecided is None else undecided & found.moving
        if not undecided or found.level.state is not LevelState.PASS or patience is None or not left:
            break
        if not wait_until_applied(subject.port, subject.port.head(), patience, meanwhile=lambda: None):
            break
        found = look(_Moved(subject, patience.applied()))
    figures = {**found.level.figures, "moving": len(undecided or ())}
    return replace(found, level=replace(found.level, figures=figures))


def _open_work(subject: Subject, behaviour: Behaviour | None, wanted: Collection[str], moved: _Moved) -> _Look:
    if behaviour is None:
        return _Look(open_work_level((), undeclared=wanted, rules=_rules_name(subject)), frozenset())
    parities: list[Parity] = []
    undeclared: list[str] = []
    with transaction(subject.engine) as connection:
        for name in wanted:
            each = behaviour.find_list(name)
            if each is None and name not in behaviour.nowhere:
                undeclared.append(name)
                continue
            if each is None:
                listed, unsaid = nothing_listed(name), partial(_not_writable_back, connection, subject)
            elif not (files := files_of(subject, each.rows.table)):
                continue  # its rows are of another closure, which is asked for them
            else:
                filtered = _filtered(connection, subject, behaviour.tables_of(each.rows, each.named_by), files)
                listed = list_legacy(subject.port, behaviour, each, filtered, in_files=files)
                unsaid = None
            parities.append(
                compare_list(
                    listed,
                    read_canonical(connection, name, subject.department.code),
                    moved=moved.keys,
                    identities=partial(_identities, connection, subject),
                    unsaid=unsaid,
                )
            )
    level = open_work_level(parities, undeclared=undeclared, rules=_rules_name(subject))
    return _Look(level, frozenset(f"{each.name}: {key}" for each in parities for key in each.moving))


def _statistics(subject: Subject, behaviour: Behaviour, counted: StatisticFacts, moved: _Moved) -> _Look:
    table, zone = counted.rows.table, subject.department.time_zone
    files = files_of(subject, table)
    facts = read_facts(subject.port, behaviour, counted, in_files=files)
    tables = behaviour.tables_of(counted.rows, [counted.unit] if counted.unit else [])
    with transaction(subject.engine) as connection:
        left_out = _left_out(connection, subject, tables, files)
        records = read_canonical_facts(connection, subject.department.code, zone)
        with_unit = counted.unit is not None
        legacy = count_legacy(facts, left_out, time_zone=zone)
        lines = tuple(compare_statistics(legacy, count_canonical(records, with_unit=with_unit)))
        moving: frozenset[str] = frozenset()
        if any(line.difference for line in lines) and (keys := moved.keys()):
            touched = facts.led(keys)
            own = {place: set(keys.get(place, ())) for place in _placed(table, files)}
            for file, key in facts.rows.loc[touched, ["file", "key"]].itertuples(index=False):
                own[_place(file, table)].add(key)
            ids = [each for place, found in own.items() for each in _identities(connection, subject, place, found)]
            legacy = count_legacy(facts, left_out, time_zone=zone, without=touched)
            lines = tuple(compare_statistics(legacy, count_canonical(records, with_unit=with_unit, without=ids)))
            moving = frozenset(f"{place} {key}" for place, found in own.items() for key in found)
    return _Look(statistics_level(lines, moving=len(moving)), moving, lines)


def _place(file: str, table: str) -> str:
    return f"{file}/{table}" if file else table


def _placed(table: str, files: Collection[str]) -> list[str]:
    return [_place(file, table) for file in files]


def _rules_name(subject: Subject) -> str:
    return "" if subject.rules is None else f"rules/{subject.rules.name}"


def _filtered(
    connection: Connection, subject: Subject, tables: Collection[str], files: Collection[str]
) -> dict[str, set[str]]:
    numbers = {subject.table_numbers[place]: place for table in tables for place in _placed(table, files)}
    held = FILTERED_ROW.c
    rows = connection.execute(
        sa.select(held.source_table_no, held.source_key).where(
            held.department_code == subject.department.code, held.source_table_no.in_(numbers)
        )
    )
    found: dict[str, set[str]] = {}
    for number, key in rows:
        found.setdefault(numbers[number], set()).add(key)
    return found


def _left_out(connection: Connection, subject: Subject, tables: Collection[str], files: Collection[str]) -> LeftOut:
    """List what a named rule keeps out or waits in quarantine, by table and key: columns, None for the whole row."""
    found: dict[str, dict[str, set[str | None]]] = {}
    for table, keys in _filtered(connection, subject, tables, files).items():
        found[table] = {key: {None} for key in keys}
    numbers = {subject.table_numbers[place]: place for table in tables for place in _placed(table, files)}
    held = QUARANTINE.c
    waiting = connection.execute(
        sa.select(held.source_table_no, held.source_key, held.column_name).where(
            held.department_code == subject.department.code,
            held.source_table_no.in_(numbers),
            held.state == "OPEN",
        )
    )
    for number, key, column in waiting:
        found.setdefault(numbers[number], {}).setdefault(key, set()).add(column)
    return found


def _identities(connection: Connection, subject: Subject, table: str, keys: Collection[str]) -> list[str]:
    """Find the identifiers of all records that legacy rows emit."""
    if not keys:
        return []
    mains = find_crosswalk_by_key(raw(connection), subject.place(table), keys)["id"]
    linked = find_links(raw(connection), subject.department.code, mains)["canonical_id"]
    return [str(UUID(bytes=held)) for held in pl.concat([mains, linked]).to_list()]


def _not_writable_back(connection: Connection, subject: Subject, ids: Collection[str]) -> list[str]:
    """Find which records stand, themselves or by their row, in the list of what cannot be written back."""
    degraded, link = DEGRADED_WRITE_BACK.c, RECORD_LINK.c
    here = (degraded.department_code == subject.department.code, degraded.state == "OPEN")
    wanted = [UUID(each) for each in ids]
    told = sa.select(degraded.main_id).where(*here, degraded.main_id.in_(wanted))
    through = sa.select(link.canonical_id).where(
        link.department_code == subject.department.code,
        link.canonical_id.in_(wanted),
        link.id.in_(sa.select(degraded.main_id).where(*here)),
    )
    return [str(each) for each in connection.scalars(told.union(through))]
