"""The control row of a closure in the store: read as the protocol's ControlRow, and moved by what the protocol decided.

Every move is one transaction: the slices are locked, the protocol decides on what they say, and compare-and-set,
journal and words commit together. The legacy nonce turns at each close and each opening, so that a copy of the legacy
system restored from before is recognised; until a move commits it, a fence may hold the present nonce or the next.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from banyan.departments import Actor, Phase
from banyan.errors import StoreUnavailable, SwitchUncertain
from cutover.journal import Facts, Word, note
from cutover.protocol import ControlRow, OwnerNumber, PhaseNumber, Refusal, number_of, phase_of
from store.postgres import asking, transaction
from store.slices import KEEP, Expected, Keep, SliceRow, Target, read_closure
from store.slices import transition as move_slices
from store.tables import SLICE

LOCK_SECONDS = 3.0
Decide = Callable[[ControlRow], ControlRow | Refusal]


@dataclass(frozen=True, slots=True)
class Writing:
    """What a move writes beside phase, owner and epoch; words are computed inside its transaction."""

    drain_position: str | Keep | None = KEEP
    deadline: datetime | Keep | None = KEEP
    evidence_id: str | Keep | None = KEEP
    nonce: UUID | Keep = KEEP
    words: Callable[[Connection], dict[Word, Facts]] = field(default=lambda _: {})


NOTHING_MORE = Writing()


@dataclass(frozen=True, slots=True)
class Control:
    """The slices of a closure as one row, and the same as the protocol sees it."""

    row: SliceRow
    numbers: ControlRow

    @property
    def phase(self) -> Phase:
        """Give the phase."""
        return self.row.phase


def control_of(rows: tuple[SliceRow, ...]) -> Control:
    """Read the slices of a closure as one control row; they always move together."""
    first = rows[0]
    same = {(row.phase, row.owner, row.epoch, row.nonce, row.drain_position, row.is_armed) for row in rows}
    if len(same) != 1:
        raise SwitchUncertain(
            f"the slices of {first.closure} do not say the same: another hand changed them; nothing was touched",
            hint="banyan switch status, and two people",
            closure=first.closure,
        )
    numbers = ControlRow(
        phase=number_of(first.phase),
        owner=OwnerNumber[first.owner.name],
        epoch=first.epoch,
        drain_known=int(first.drain_position is not None),
        nonce=first.nonce.int,
        armed=int(first.is_armed),
    )
    return Control(first, numbers)


def next_nonce(nonce: UUID) -> UUID:
    """Give the nonce that the next close or opening leaves in the legacy store."""
    return uuid5(nonce, "next")


def read_control(engine: Engine, closure: str) -> Control:
    """Read the control row of a closure."""
    with asking(engine) as connection:
        return control_of(read_closure(connection, closure))


@contextmanager
def held(connection: Connection, closure: str, *, lock_seconds: float = LOCK_SECONDS) -> Iterator[Control]:
    """Lock the slices of a closure to the end of the caller's transaction; waits for writers in flight."""
    limit = sa.func.set_config("lock_timeout", f"{round(lock_seconds * 1000)}ms", sa.true())
    connection.execute(sa.select(limit))
    yield control_of(read_closure(connection, closure, is_locked=True))


def move(
    engine: Engine, closure: str, decide: Decide, *, actor: Actor, writing: Writing = NOTHING_MORE
) -> ControlRow | Refusal:
    """Move a closure as the protocol decides on the row read under its lock; a refusal changes nothing."""
    with committed(f"the move of {closure}"), transaction(engine) as connection, held(connection, closure) as control:
        found = decide(control.numbers)
        if not isinstance(found, Refusal):
            write_move(connection, control, found, actor=actor, writing=writing)
        return found


def write_move(connection: Connection, control: Control, found: ControlRow, *, actor: Actor, writing: Writing) -> None:
    """Write a decided move in the caller's transaction, which holds the slices."""
    drain = None if not found.drain_known else writing.drain_position
    move_slices(
        connection,
        control.row.closure,
        Expected(control.row.phase, control.row.epoch),
        Target(
            phase_of(found.phase),
            found.epoch,
            drain_position=drain,
            deadline=writing.deadline,
            evidence_id=writing.evidence_id,
            nonce=writing.nonce,
        ),
        actor=actor,
    )
    if found.phase == PhaseNumber.HALT:  # nobody is armed, so that even a fence that ignored phases stays shut
        connection.execute(sa.update(SLICE).where(SLICE.c.closure == control.row.closure).values(armed_boot=None))
    after = replace(control.row, phase=phase_of(found.phase), epoch=found.epoch)
    for word, facts in writing.words(connection).items():
        note(connection, word, after, actor=actor, facts=facts)


@contextmanager
def committed(what: str) -> Iterator[None]:
    """Say so when the store was lost in the middle: whether the move took place is then not known to this machine.

    An error that carries an SQLSTATE was an answer of the server: the transaction is rolled back for certain.
    """
    try:
        yield
    except StoreUnavailable as error:
        if error.facts.get("sqlstate"):
            raise
        raise SwitchUncertain(
            f"the connection to the store was lost during {what}: it may have taken place. Nothing will be retried",
            hint="call the duty engineer, then: banyan switch status",
        ) from None
