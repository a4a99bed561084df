"""The control totals of a closure: the old system read anew, the store asked as it stood before that reading."""

from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection

from banyan.errors import BanyanError
from banyan.records import Position
from mappings.several_files import split_table
from store.postgres import Isolation, raw, transaction
from store.records import find_crosswalk_by_key
from store.row_tables import CROSSWALK, DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE
from validation.control_totals import LegacyRows, ask_store, compare, not_asked, read_rows, together
from validation.counted import Coverage, coverage_of
from validation.declared_totals import DeclaredTotal, DeclaredTotals, load_totals
from validation.facts import Total
from validation.questions import bound
from validation.subject import Moves, Subject


def totals_of(subject: Subject, watermark: Position | None) -> tuple[Total, ...]:
    """Count the declared control totals of a closure on both sides; changes nothing.

    The store is held as it stood before the old system is read: a row that no journal names since the watermark is
    then the same on both sides, and the others are left out.
    """
    asked = [total for total in _declared(subject).totals if _places(subject, total.table)]
    found: dict[str, tuple[Total, ...]] = {}
    for table, of_table in groupby(sorted(asked, key=lambda total: total.table), key=lambda total: total.table):
        found |= _of_table(subject, _places(subject, table), list(of_table), watermark)
    return tuple(line for total in asked for line in found[total.name])


def totals_coverage(subject: Subject) -> Coverage:
    """Tell which facts and amounts of a closure are counted by a declared total."""
    legacy_tables = {split_table(place)[1] for place in subject.tables}
    return coverage_of(_declared(subject), legacy_tables, subject.canonical_tables)


def _declared(subject: Subject) -> DeclaredTotals:
    columns = {split_table(table)[1]: ruleset.columns for table, ruleset in subject.book.rulesets.items()}
    return load_totals(subject.rules, columns)


def _places(subject: Subject, table: str) -> list[str]:
    """Give the tables of the closure that a declared one stands for: itself, or one in each file of the system."""
    return [place for place in subject.tables if split_table(place)[1] == table]


@dataclass(frozen=True, slots=True)
class _Place:
    """One legacy table as it was read: the rows of each total, the rows that lists explain, those that moved."""

    table: str
    rows: dict[str, LegacyRows] = field(repr=False)
    filtered: set[str] = field(repr=False)
    waiting: dict[str, set[str | None]] = field(repr=False)
    moved: set[str] = field(repr=False)

    def left_alone(self, total: DeclaredTotal) -> set[str]:
        """Give the keys that may have a record and are left out of a total all the same."""
        rests_on = {None, *total.reads}
        return {key for key, columns in self.waiting.items() if columns & rests_on} | self.moved


def _of_table(
    subject: Subject, places: list[str], asked: list[DeclaredTotal], watermark: Position | None
) -> dict[str, tuple[Total, ...]]:
    with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
        connection.execute(sa.text("set transaction read only"))
        listed = [(place, *_listed(connection, subject, place)) for place in places]  # the snapshot is taken here
        moves = Moves(subject.port, watermark)
        try:
            read = [
                _Place(place, _read(subject, place, asked), filtered, waiting, set(moves.keys(place)))
                for place, filtered, waiting in listed
            ]
        except BanyanError:
            return {total.name: (not_asked(total),) for total in asked}
        return {total.name: _lines(connection, subject, total, read) for total in asked}


def _read(subject: Subject, place: str, asked: list[DeclaredTotal]) -> dict[str, LegacyRows]:
    key, zone = subject.book.rulesets[place].key, subject.department.time_zone
    return read_rows(subject.port, place, asked, key=key, time_zone=zone)


def _lines(connection: Connection, subject: Subject, total: DeclaredTotal, places: list[_Place]) -> tuple[Total, ...]:
    ids = [str(one) for one in _not_written_back(connection, subject)]
    sides, unread = [], 0
    for place in places:
        alone = place.left_alone(total) | _keys_of(connection, subject, place.table, ids)
        if alone:
            held = find_crosswalk_by_key(raw(connection), subject.place(place.table), sorted(alone))
            ids += [str(UUID(bytes=one)) for one in held["id"]]
        rows, left_out = place.rows[total.name], alone | place.filtered
        sides.append(rows.counted(left_out))
        unread += rows.count_unread(left_out)
    try:
        canonical = ask_store(connection, total, bound(subject.department), ids)
    except BanyanError:
        return (not_asked(total),)
    return compare(total, together(sides), canonical, unread=unread)


def _not_written_back(connection: Connection, subject: Subject) -> list[UUID]:
    """Give the main records of rows of which the old system could not take an edit: listed, and no difference."""
    listed = DEGRADED_WRITE_BACK.c
    asked = sa.select(listed.main_id).where(
        listed.department_code == subject.department.code, listed.state == "OPEN", listed.main_id.is_not(None)
    )
    return list(connection.scalars(asked.distinct()))


def _keys_of(connection: Connection, subject: Subject, table: str, ids: list[str]) -> set[str]:
    """Give the legacy keys of one table whose main records these are."""
    known = CROSSWALK.c
    asked = sa.select(known.source_key).where(
        known.department_code == subject.department.code,
        known.source_table_no == subject.table_numbers[table],
        known.id == sa.any_(sa.cast(sa.literal(ids, ARRAY(sa.Text)), ARRAY(sa.Uuid))),
    )
    return set(connection.scalars(asked)) if ids else set()


def _listed(connection: Connection, subject: Subject, table: str) -> tuple[set[str], dict[str, set[str | None]]]:
    """Give the keys that named rules keep out, and those in quarantine with their columns; None for the whole row."""
    department, number = subject.department.code, subject.table_numbers[table]
    out, held = FILTERED_ROW.c, QUARANTINE.c
    filtered = set(
        connection.scalars(
            sa.select(out.source_key).where(out.department_code == department, out.source_table_no == number)
        )
    )
    waiting: dict[str, set[str | None]] = {}
    for key, column in connection.execute(
        sa.select(held.source_key, held.column_name).where(
            held.department_code == department, held.source_table_no == number, held.state == "OPEN"
        )
    ):
        waiting.setdefault(key, set()).add(column)
    return filtered, waiting
