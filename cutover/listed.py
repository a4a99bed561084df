"""The lists and counts of the store as the facts of a verdict: filtered, quarantined, degraded, conserved."""

from collections.abc import Collection, Iterator
from functools import partial
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.records import PartCounts, Position
from store.postgres import raw
from store.records import find_crosswalk_by_key
from store.row_tables import CROSSWALK, DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE, RETENTION_TERM
from validation.conservation import Balances
from validation.facts import (
    DegradedWriteBack,
    FilteredRows,
    QuarantinedFields,
    QuarantinedRows,
    QuestionFact,
    TableConservation,
    Total,
)
from validation.quarantine_words import say_degraded, say_quarantine
from validation.questions import bound, load_questions
from validation.replay import Answer, LeftOut, ask_canonical, replay
from validation.retention_total import expired_total
from validation.subject import Moves, Subject
from validation.text import Text

_LONGEST_SECONDS = 300


def replay_of(connection: Connection, subject: Subject, watermark: Position | None) -> tuple[Answer, ...] | None:
    """Put the recorded questions of a closure to both sides; None when nobody recorded any for this legacy system.

    The transaction given reads only from now on.
    """
    columns = {table: ruleset.columns for table, ruleset in subject.book.rulesets.items()}
    questions = load_questions(subject.rules, columns)
    if questions is None:
        return None
    connection.execute(sa.text("set transaction read only"))
    connection.execute(sa.text(f"set local statement_timeout = '{_LONGEST_SECONDS}s'"))
    ask = ask_canonical(connection, bound(subject.department))
    moves = Moves(subject.port, watermark)
    return tuple(
        replay(
            question,
            subject.port,
            ask=ask,
            left_out=_left_out(connection, subject, question.table, moves),
            identities=partial(_identities, connection, subject, question.table),
        )
        for question in questions
        if question.concerns(subject.tables)
    )


def _left_out(connection: Connection, subject: Subject, table: str, moves: Moves) -> LeftOut:
    department, number = subject.department.code, subject.table_numbers[table]
    filtered = FILTERED_ROW.c
    kept_out = connection.scalars(
        sa.select(filtered.source_key).where(filtered.department_code == department, filtered.source_table_no == number)
    )
    held = QUARANTINE.c
    waiting: dict[str, set[str | None]] = {}
    for key, column in connection.execute(
        sa.select(held.source_key, held.column_name).where(
            held.department_code == department, held.source_table_no == number, held.state == "OPEN"
        )
    ):
        waiting.setdefault(key, set()).add(column)
    return LeftOut(frozenset(kept_out), waiting, frozenset(moves.keys(table)))


def _identities(connection: Connection, subject: Subject, table: str, keys: Collection[str]) -> dict[str, str]:
    found = find_crosswalk_by_key(raw(connection), subject.place(table), keys)
    live = found.filter(found["deleted_at"].is_null()).select("source_key", "id")
    return {key: str(UUID(bytes=held)) for key, held in live.iter_rows()}


def questions_of(answers: Collection[Answer]) -> tuple[QuestionFact, ...]:
    """Give what evidence keeps of the questions that were replayed: counts, never an answer."""
    return tuple(
        QuestionFact(
            name=each.question.name,
            sentence=each.question.sentence,
            digest=each.question.digest,
            is_absolute=each.question.is_absolute,
            legacy=each.legacy,
            explained=each.explained,
            canonical=each.canonical,
            moving=each.moving,
            different=len(each.findings),
            is_answered=not each.problem,
        )
        for each in answers
    )


def conservation_of(balances: Balances) -> tuple[TableConservation, ...]:
    """Give the two equations of each legacy table."""
    return tuple(
        TableConservation(
            balance.table,
            balance.row_counts,
            balances.last_runs[balance.table][1].parts if balance.table in balances.last_runs else PartCounts(),
        )
        for balance in balances.tables
    )


def _names(subject: Subject) -> dict[int, str]:
    return {number: table for table, number in subject.table_numbers.items() if table in subject.tables}


def filtered_of(connection: Connection, subject: Subject) -> Iterator[FilteredRows]:
    """List what named rules keep out, with their legal basis."""
    names = _names(subject)
    bases = {
        (r.table, rule.name): Text(rule.basis_fr or rule.basis, rule.basis)
        for r in subject.book.rulesets.values()
        for rule in r.filters
    }
    rows = connection.execute(
        sa.select(FILTERED_ROW.c.source_table_no, FILTERED_ROW.c.rule, sa.func.count())
        .where(FILTERED_ROW.c.department_code == subject.department.code, FILTERED_ROW.c.source_table_no.in_(names))
        .group_by(FILTERED_ROW.c.source_table_no, FILTERED_ROW.c.rule)
        .order_by(FILTERED_ROW.c.source_table_no, FILTERED_ROW.c.rule)
    )
    for number, rule, count in rows:
        table = names[number]
        yield FilteredRows(table, rule, bases.get((table, rule), Text.same(rule)), count)


def _quarantine(subject: Subject) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        QUARANTINE.c.department_code == subject.department.code,
        QUARANTINE.c.source_table_no.in_(_names(subject)),
        QUARANTINE.c.state == "OPEN",
    )


def quarantined_rows_of(connection: Connection, subject: Subject) -> Iterator[QuarantinedRows]:
    """List the rows that wait in quarantine, by cause."""
    names = _names(subject)
    rows = connection.execute(
        sa.select(QUARANTINE.c.source_table_no, QUARANTINE.c.cause, sa.func.count())
        .where(*_quarantine(subject), QUARANTINE.c.column_name.is_(None))
        .group_by(QUARANTINE.c.source_table_no, QUARANTINE.c.cause)
        .order_by(QUARANTINE.c.source_table_no, QUARANTINE.c.cause)
    )
    for number, cause, count in rows:
        command = f"banyan quarantine top {subject.department.code}"
        yield QuarantinedRows(names[number], say_quarantine(cause), count, command)


def quarantined_fields_of(connection: Connection, subject: Subject) -> Iterator[QuarantinedFields]:
    """List the fields of loaded rows that wait in quarantine, by cause."""
    names = _names(subject)
    rows = connection.execute(
        sa.select(QUARANTINE.c.source_table_no, QUARANTINE.c.column_name, QUARANTINE.c.cause, sa.func.count())
        .where(*_quarantine(subject), QUARANTINE.c.column_name.is_not(None))
        .group_by(QUARANTINE.c.source_table_no, QUARANTINE.c.column_name, QUARANTINE.c.cause)
        .order_by(QUARANTINE.c.source_table_no, QUARANTINE.c.column_name, QUARANTINE.c.cause)
    )
    for number, column, cause, count in rows:
        yield QuarantinedFields(names[number], column, say_quarantine(cause), count)


def degraded_of(connection: Connection, subject: Subject) -> Iterator[DegradedWriteBack]:
    """List the edits of the closure's own rows that the legacy system cannot say, by kind."""
    rows = connection.execute(
        sa.select(
            DEGRADED_WRITE_BACK.c.kind,
            DEGRADED_WRITE_BACK.c.canonical_table,
            DEGRADED_WRITE_BACK.c.column_name,
            sa.func.count(),
        )
        .where(
            DEGRADED_WRITE_BACK.c.department_code == subject.department.code,
            DEGRADED_WRITE_BACK.c.source_table_no.in_(_names(subject)),
            DEGRADED_WRITE_BACK.c.state == "OPEN",
        )
        .group_by(DEGRADED_WRITE_BACK.c.kind, DEGRADED_WRITE_BACK.c.canonical_table, DEGRADED_WRITE_BACK.c.column_name)
        .order_by(sa.func.count().desc())
    )
    for kind, table, column, count in rows:
        yield DegradedWriteBack(say_degraded(kind), table, column or "", count)


def expired_of(connection: Connection, subject: Subject) -> tuple[Total, ...]:
    """Count the rows past their term at the last review that are loaded all the same; nothing when none was judged."""
    term, live = RETENTION_TERM.c, CROSSWALK.c
    mine = (term.department_code == subject.department.code, term.source_table_no.in_(_names(subject)))
    if not connection.scalar(sa.select(sa.exists().where(*mine))):
        return ()
    same = (
        live.department_code == term.department_code,
        live.source_table_no == term.source_table_no,
        live.source_key == term.source_key,
        live.deleted_at.is_(None),
    )
    loaded = connection.scalar(sa.select(sa.func.count()).where(*mine, term.is_expired, sa.exists().where(*same)))
    return (expired_total(int(loaded or 0)),)
