"""The journal of the switch and the processing log of LED art. 25: append only, hash chained, checked offline.

The server numbers, dates and chains each entry; here the chain is computed a second time, from the text of the entries.
An entry's text is each field as its length in bytes, a colon and the field, or `-` when it is empty.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Actor, Phase
from store.tables import CHAIN, JOURNAL, PROCESSING_LOG

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One deed: who did what to which closure; facts are identifiers and figures, never a value of a record."""

    actor: Actor
    kind: str
    closure: str | None = None
    from_phase: Phase | None = None
    to_phase: Phase | None = None
    epoch: int | None = None
    facts: Mapping[str, str | int | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessingEntry:
    """One processing of personal data: operation, reason, and references to the records, never their values."""

    actor: Actor
    department_code: str
    operation: str
    reason: str
    record_refs: tuple[str, ...]
    recipient: str | None = None
    run_no: int | None = None


@dataclass(frozen=True, slots=True)
class ChainState:
    """What a chain looks like when computed again: its length and head, and the first entry that does not follow."""

    length: int
    head_hash: bytes
    broken_at: int | None

    @property
    def is_whole(self) -> bool:
        """Tell whether each entry follows from the one before it and the head is the last one."""
        return self.broken_at is None


def append_journal(connection: Connection, entry: JournalEntry) -> int:
    """Append one entry in the caller's transaction; gives its number. Holds the head of the chain until the commit."""
    row = sa.insert(JOURNAL).values(
        actor=entry.actor.name,
        role=entry.actor.role,
        authenticated_by=entry.actor.authenticated_by,
        kind=entry.kind,
        closure=entry.closure,
        from_phase=entry.from_phase.value if entry.from_phase else None,
        to_phase=entry.to_phase.value if entry.to_phase else None,
        epoch=entry.epoch,
        facts=dict(sorted(entry.facts.items())),
    )
    return int(connection.execute(row.returning(JOURNAL.c.sequence)).scalar_one())


def append_processing(connection: Connection, entry: ProcessingEntry) -> None:
    """Append one entry to a department's processing log in the caller's transaction."""
    connection.execute(
        sa.insert(PROCESSING_LOG)
        .inline()
        .values(
            department_code=entry.department_code,
            actor=entry.actor.name,
            role=entry.actor.role,
            authenticated_by=entry.actor.authenticated_by,
            operation=entry.operation,
            reason=entry.reason,
            recipient=entry.recipient,
            record_refs=list(entry.record_refs),
            run_no=entry.run_no,
        )
    )


def verify_journal(connection: Connection) -> ChainState:
    """Compute the journal's chain again from its entries and compare it with what is stored."""
    return _verify(connection, "journal", _journal_texts(connection))


def verify_processing(connection: Connection, department_code: str) -> ChainState:
    """Compute the chain of a department's processing log again and compare it with what is stored."""
    return _verify(connection, f"processing.{department_code}", _processing_texts(connection, department_code))


def read_journal(connection: Connection, *, closure: str | None = None) -> list[dict[str, object]]:
    """Read the entries in order, of one closure or of all."""
    query = sa.select(JOURNAL).order_by(JOURNAL.c.sequence)
    if closure is not None:
        query = query.where(JOURNAL.c.closure == closure)
    return [dict(row) for row in connection.execute(query).mappings()]


def link_hash(previous_hash: bytes, fields: tuple[str | None, ...]) -> bytes:
    """Give the hash of an entry that follows `previous_hash`."""
    return hashlib.sha256(previous_hash + "".join(map(_chain_field, fields)).encode()).digest()


def chain_instant(at: datetime) -> str:
    """Give an instant as the chain writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _chain_field(value: str | None) -> str:
    return "-" if value is None else f"{len(value.encode())}:{value}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_Link = tuple[int, bytes, bytes, tuple[str | None, ...]]


def _journal_texts(connection: Connection) -> Iterator[_Link]:
    columns = [column for column in JOURNAL.c if column is not JOURNAL.c.facts]
    query = sa.select(*columns, sa.cast(JOURNAL.c.facts, sa.Text()).label("facts_text")).order_by(JOURNAL.c.sequence)
    for row in connection.execute(query):
        fields = (
            str(row.sequence), chain_instant(row.at), row.actor, row.role, row.authenticated_by, row.kind, row.closure,
            row.from_phase, row.to_phase, _text(row.epoch), row.facts_text,
        )  # fmt: skip
        yield row.sequence, row.previous_hash, row.entry_hash, fields


def _processing_texts(connection: Connection, department_code: str) -> Iterator[_Link]:
    log = PROCESSING_LOG.c
    query = sa.select(PROCESSING_LOG).where(log.department_code == department_code).order_by(log.sequence)
    for row in connection.execute(query):
        fields = (
            row.department_code, str(row.sequence), chain_instant(row.at), row.actor, row.role, row.authenticated_by,
            row.operation, row.reason, row.recipient, _text(row.run_no), *row.record_refs,
        )  # fmt: skip
        yield row.sequence, row.previous_hash, row.entry_hash, fields


def _verify(connection: Connection, chain: str, links: Iterator[_Link]) -> ChainState:
    length, head, broken_at = 0, GENESIS, None
    for sequence, previous_hash, entry_hash, fields in links:
        if sequence != length + 1 or previous_hash != head or link_hash(previous_hash, fields) != entry_hash:
            broken_at = length + 1
            break
        length, head = sequence, entry_hash
    stored = connection.execute(sa.select(CHAIN.c.length, CHAIN.c.head_hash).where(CHAIN.c.chain == chain)).first()
    known = (stored.length, stored.head_hash) if stored else (0, GENESIS)
    if broken_at is None and known != (length, head):
        broken_at = min(length, known[0]) + 1  # the tail was cut, or the head rewritten
    return ChainState(length, head, broken_at)
