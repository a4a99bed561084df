"""Ownership: the slices of a closure, read together and moved together, by compare-and-set in one transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Actor, Phase, Side
from banyan.errors import SwitchRefused, UsageError
from store.journal import JournalEntry, append_journal
from store.tables import SLICE

OWNERSHIP_CHANNEL = "banyan_ownership"
"""The channel on which each change of a slice is announced (LISTEN/NOTIFY); see docs/for-application-teams.md."""
_IS_ARMED = sa.func.coalesce(SLICE.c.armed_boot == sa.func.pg_postmaster_start_time(), sa.false()).label("is_armed")
_OF_CLOSURE = SLICE.c.closure == sa.bindparam("of")
_READ_ALL = sa.select(SLICE, _IS_ARMED).order_by(SLICE.c.department_code, SLICE.c.domain_code)
_READ = _READ_ALL.where(_OF_CLOSURE)
_READ_LOCKED = _READ.with_for_update(key_share=True)
_LOCK = (
    sa.select(SLICE.c.domain_code, SLICE.c.phase, SLICE.c.epoch)
    .where(_OF_CLOSURE)
    .order_by(SLICE.c.department_code, SLICE.c.domain_code)
    .with_for_update(key_share=True)
)


class Keep(Enum):
    """Says that a field of a slice stays as it is."""

    KEEP = "KEEP"


KEEP = Keep.KEEP


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice: department x domain, its one owner and its phase."""

    department_code: str
    domain_code: str
    closure: str
    owner: Side
    phase: Phase
    epoch: int
    is_armed: bool
    nonce: UUID
    drain_position: str | None
    deadline: datetime | None
    evidence_id: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """What a controller saw before it acts: nothing is changed when any slice of the closure differs."""

    phase: Phase
    epoch: int


@dataclass(frozen=True, slots=True)
class Target:
    """What every slice of the closure becomes. The owner follows from the phase; HALT keeps it."""

    phase: Phase
    epoch: int
    drain_position: str | Keep | None = KEEP
    deadline: datetime | Keep | None = KEEP
    evidence_id: str | Keep | None = KEEP
    nonce: UUID | Keep = KEEP


def read_closure(connection: Connection, closure: str, *, is_locked: bool = False) -> tuple[SliceRow, ...]:
    """Read the slices of a closure in key order; locked, they stay as read to the end of the transaction."""
    rows = connection.execute(_READ_LOCKED if is_locked else _READ, {"of": closure}).fetchall()
    if not rows:
        raise UsageError(f"there is no closure {closure}; nothing was read", hint="banyan map closure")
    _refuse_part(closure, [row.domain_code for row in rows])
    return tuple(_slice(row) for row in rows)


def read_slices(connection: Connection) -> tuple[SliceRow, ...]:
    """Read every slice in key order."""
    return tuple(_slice(row) for row in connection.execute(_READ_ALL))


def transition(connection: Connection, closure: str, expected: Expected, target: Target, *, actor: Actor) -> int:
    """Move every slice of a closure and write the journal, in the caller's transaction; gives the entry's number.

    Waits for writers in flight (set lock_timeout before). Refuses when a slice is not as expected: nothing is changed.
    """
    rows = _lock(connection, closure)
    _refuse_part(closure, [row.domain_code for row in rows])
    strangers = [row for row in rows if (row.phase, row.epoch) != (expected.phase.value, expected.epoch)]
    if not rows or strangers:
        found = ", ".join(f"{row.domain_code}: {row.phase} {row.epoch}" for row in strangers) or "no slice"
        raise SwitchRefused(
            f"closure {closure} is not {expected.phase.value} with epoch {expected.epoch} ({found}); "
            "nothing was changed",
            hint="banyan switch status",
            closure=closure,
        )
    values: dict[str, object] = {"phase": target.phase.value, "epoch": target.epoch, "updated_at": sa.func.now()}
    if target.phase.owner is not None:
        values["owner"] = target.phase.owner.value
    for name in ("drain_position", "deadline", "evidence_id", "nonce"):
        value = getattr(target, name)
        if value is not KEEP:
            values[name] = value
    done = connection.execute(
        sa.update(SLICE)
        .where(SLICE.c.closure == closure, SLICE.c.phase == expected.phase.value, SLICE.c.epoch == expected.epoch)
        .values(values)
    )
    if done.rowcount != len(rows):
        raise SwitchRefused(f"closure {closure} changed while it was moved; nothing was changed", closure=closure)
    _announce(connection, closure, target.phase, target.epoch)
    facts = {"slices": len(rows), "from_epoch": expected.epoch}
    entry = JournalEntry(actor, "TRANSITION", closure, expected.phase, target.phase, target.epoch, facts)
    return append_journal(connection, entry)


def arm(connection: Connection, closure: str, *, actor: Actor) -> int:
    """Open the boot latch of a closure after the store's start was compared with the witness; gives the entry's number.

    Until then every write to its slices is refused: after a restart, a promotion or a restored copy.
    """
    rows = _lock(connection, closure)
    if not rows:
        raise UsageError(f"there is no closure {closure}; nothing was armed", hint="banyan map closure")
    _refuse_part(closure, [row.domain_code for row in rows])
    boot = sa.func.pg_postmaster_start_time()
    connection.execute(
        sa.update(SLICE).where(SLICE.c.closure == closure).values(armed_boot=boot, updated_at=sa.func.now())
    )
    facts = {"boot": str(connection.scalar(sa.select(sa.cast(boot, sa.Text()))))}
    phase = Phase(rows[0].phase)
    _announce(connection, closure, phase, rows[0].epoch)
    return append_journal(connection, JournalEntry(actor, "ARM", closure, phase, phase, rows[0].epoch, facts))


def _refuse_part(closure: str, domains: Sequence[str]) -> None:
    """Refuse a closure of which the store holds a part under this name: rules tied domains after they were registered.

    A slice keeps the closure it was registered under once its copy has begun; before that it takes the new name.
    """
    code, _, named = closure.partition(".")
    apart = sorted(set(named.split("+")) - set(domains))
    if domains and apart:
        raise SwitchRefused(
            f"the store holds {', '.join(apart)} of {closure} under another closure: the rules tied them together "
            "after they were registered; nothing was changed",
            hint=f"banyan map closure {code} names the tables they share: undo that rule, or load {code} anew",
            closure=closure,
        )


def _announce(connection: Connection, closure: str, phase: Phase, epoch: int) -> None:
    """Tell listeners of the ownership channel; they hear it when the transaction commits, and never otherwise."""
    told = json.dumps({"closure": closure, "phase": phase.value, "epoch": epoch}, sort_keys=True)
    connection.execute(sa.select(sa.func.pg_notify(OWNERSHIP_CHANNEL, told)))


def _lock(connection: Connection, closure: str) -> list[sa.Row[*tuple[Any, ...]]]:
    return list(connection.execute(_LOCK, {"of": closure}).fetchall())


def _slice(row: sa.Row[Any]) -> SliceRow:
    return SliceRow(
        department_code=row.department_code,
        domain_code=row.domain_code,
        closure=row.closure,
        owner=Side(row.owner),
        phase=Phase(row.phase),
        epoch=row.epoch,
        is_armed=row.is_armed,
        nonce=row.nonce,
        drain_position=row.drain_position,
        deadline=row.deadline,
        evidence_id=row.evidence_id,
    )
