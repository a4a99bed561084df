"""The deeds of a controller on the real stores: what it asks of the legacy fence, what it waits for, what it compares.

Each gives the protocol's Answer. A failure that is certain raises `DeedFailed` or a BanyanError of another kind; an
effect whose outcome is not known raises SwitchUncertain, and is never tried again by a machine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from banyan.clock import now
from banyan.departments import Actor, Closure, Side
from banyan.errors import BanyanError, LeaseLost, StoreUnavailable, SwitchRefused
from banyan.lasting import LastingPort
from banyan.ports import FenceAnswer, FenceMode
from banyan.records import Origin, Position
from connectors.database import DatabaseFence
from cutover.control import Control, Writing, committed, held, next_nonce, write_move
from cutover.door import Answer, Effect
from cutover.journal import Account, read_account
from cutover.protocol import EFFECTS, ControlRow, Refusal, Step, commit
from cutover.verify import Compared, compare_ahead, compare_carried_back, compare_changed
from store.postgres import transaction
from store.runs import RunKind
from store.tables import EVIDENCE, WATERMARK
from sync.assembly import Rig
from sync.lane import Step as ChunkStep

_PAUSE_SECONDS: Final = 0.02
_REASONS: Final[dict[str, Answer]] = {
    "no fence for this closure": Answer.NO_FENCE,
    "another incarnation": Answer.OTHER_INCARNATION,
    "token used": Answer.TOKEN_USED,
    "lease or token lost": Answer.LEASE_OR_TOKEN_LOST,
    "already sealed": Answer.ALREADY_SEALED,
    "another token": Answer.NOT_MY_TOKEN,
}


class DeedFailed(SwitchRefused):
    """A deed did not succeed, for certain: what was begun is given up, nothing else was changed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds."""

    lease_seconds: float = 30.0
    budget_seconds: float = 10.0
    rollback_seconds: float = 120.0
    in_flight_seconds: float = 5.0


LIMITS: Final = Limits()


@dataclass(slots=True)
class Deeds:
    """The deeds of one controller for one closure; what it holds in its hands is lost when it dies."""

    rig: Rig
    closure: Closure
    actor: Actor
    limits: Limits
    is_over: Callable[[], bool]
    fence: DatabaseFence = field(repr=False)
    drain_position: Position | None = field(default=None, repr=False)
    closed_at: datetime | None = None
    opened_at: datetime | None = None
    compared: Compared | None = None
    equal_until: Position | None = field(default=None, repr=False)  # compared ahead, by this very controller

    def warm(self) -> None:
        """Open both connections to the fence and look up what a probe needs, before it counts; changes nothing."""
        self.fence.read()
        self.fence.find_open(self.closure.tables)

    def compare_ahead(self, since: Position) -> None:
        """Compare while people work, so that only what moves later is left for the fence; forgotten at its death.

        Where it finds a difference, what was equal before stays so, and the fence is told the rest.
        """
        self.equal_until = compare_ahead(self.rig, self.closure, since=since) or self.equal_until

    def effect(self, step: Step) -> Answer:
        """Ask the legacy fence for the effect of a step, with the token and nonce of the row it was taken from."""
        known = UUID(int=step.nonce)
        what = EFFECTS[step.deed]
        match what:
            case Effect.CLOSE:
                return self._close(step, known)
            case Effect.SEAL:
                answer = self.fence.seal(step.token, nonce_old=known)
                if answer.accepted:  # a table made anew since the close has no fence: what was proved is proved again
                    self._prove_fence()
            case Effect.OPEN:
                answer = self.fence.open(step.token, nonce_old=known, nonce_new=next_nonce(known))
                self.opened_at = now()
            case _:
                raise AssertionError(f"no deed asks for {what.name}")
        return _answer_of(what, answer)

    def _close(self, step: Step, known: UUID) -> Answer:
        before = self.fence.read()
        answer = self.fence.close(
            step.token, lease_seconds=self.limits.lease_seconds, nonce_old=known, nonce_new=next_nonce(known)
        )
        self.closed_at = now()
        if before.token == step.token and before.mode is FenceMode.CLOSED and before.lease_seconds is not None:
            # closed by a controller that has died: since then nobody could write
            self.closed_at -= timedelta(seconds=max(0.0, self.limits.lease_seconds - before.lease_seconds))
        return _answer_of(Effect.CLOSE, answer)

    def read_drain_position(self) -> Answer:
        """Prove the fence on every table, wait for transactions in flight, and only then read the position."""
        self._prove_fence()
        if not self.fence.wait_in_flight(self.limits.in_flight_seconds):
            raise DeedFailed("a transaction of the old system has not ended in time")
        port = self.rig.port
        if isinstance(port, LastingPort):  # or keys from before the close are told again once the new side owns them
            self.drain_position = port.head_at_rest(self.closure.tables)
        else:
            self.drain_position = port.head()
        return Answer.OK

    def _prove_fence(self) -> None:
        unfenced = self.fence.find_open(self.closure.tables)
        if unfenced:
            told = f"the closed fence does not refuse a write on {', '.join(unfenced)}"
            raise DeedFailed(told, table=unfenced[0])

    def drain(self, step: Step, writing: Writing) -> ControlRow | Refusal:
        """Carry everything up to the drain position; commit DRAINED where the watermark is read under a lock."""
        lane = self.rig.forward()
        engine = self.rig.forward_engine(checkpoint=self._give_up_when_over)
        while True:
            found = self._commit_drained(step, writing)
            if found is not None:
                return found
            self._give_up_when_over(ChunkStep.LEASED)
            try:
                carried = engine.advance(lane)
            except (LeaseLost, StoreUnavailable) as error:
                if isinstance(error, StoreUnavailable) and not error.facts.get("sqlstate"):
                    raise
                carried = None  # another process carries the same rows: they arrive all the same
            if carried is None:
                time.sleep(_PAUSE_SECONDS)

    def _commit_drained(self, step: Step, writing: Writing) -> ControlRow | Refusal | None:
        """Commit DRAINED when nothing is left before the drain position; None when something is.

        The watermark is locked by the role that may, and read while this transaction holds the slices: a store that
        was restored in between would have ended both.
        """
        source = self.rig.source
        with (
            committed(f"the move of {self.closure.name}"),
            transaction(self.rig.workspace.engine("banyan_forward")) as locking,
            transaction(self.rig.workspace.engine("banyan_guard")) as connection,
            held(connection, self.closure.name) as control,
        ):
            found = commit(control.numbers, step)
            if isinstance(found, Refusal):
                return found
            position = locking.scalar(
                WATERMARK.select()
                .with_only_columns(WATERMARK.c.position)
                .where(
                    WATERMARK.c.department_code == source.department_code,
                    WATERMARK.c.system_code == source.system_code,
                    WATERMARK.c.to_side == Side.CANONICAL.value,
                )
                .with_for_update()
            )
            until = control.row.drain_position
            if position is None or until is None:
                raise DeedFailed("there is no position to drain to")
            if self._is_something_left(Position(position), Position(until)):
                return None
            write_move(connection, control, found, actor=self.actor, writing=writing)
            return found

    def _is_something_left(self, since: Position, until: Position) -> bool:
        return any(
            change.origin is Origin.PERSON and change.table in self.rig.book.rulesets
            for change in self.rig.port.changes(since, until)
        )

    def _give_up_when_over(self, _: ChunkStep) -> None:
        if self.is_over():
            raise DeedFailed("the time given to it was over, or it was stopped")

    def verify_changed(self, control: Control) -> Answer:
        """Compare the rows that changed since the evidence; both sides are closed."""
        since = self.equal_until or self._evidence_position(control)
        if not since:
            raise DeedFailed("the evidence does not say from which position to compare")
        # up to the present, not up to the drain position: a position taken too early must be found out here
        self.compared = compare_changed(self.rig, self.closure, since=Position(since))
        return Answer.OK if self.compared.is_equal else Answer.DIFFERENT

    def _evidence_position(self, control: Control) -> str | None:
        query = sa.select(EVIDENCE.c.legacy_position).where(EVIDENCE.c.evidence_id == control.row.evidence_id)
        with transaction(self.rig.workspace.engine("banyan_guard")) as connection:
            return connection.scalar(query)

    def drain_reverse(self) -> Answer:
        """Carry back everything people did in the new system; both sides are closed."""
        lane = self.rig.reverse(self.closure.name)
        engine = self.rig.reverse_engine(checkpoint=self._give_up_when_over)
        while lane.queue():
            self._give_up_when_over(ChunkStep.LEASED)
            try:
                engine.advance(lane, RunKind.REVERSE)
            except LeaseLost:
                time.sleep(_PAUSE_SECONDS)  # another process carries the same records
        return Answer.OK

    def verify_reverse(self) -> Answer:
        """Compare what changed on either side since the flip."""
        flip = self.account().find_flip()
        if flip is None:
            raise DeedFailed("the journal does not say where the flip took place")
        self.compared = compare_carried_back(
            self.rig, self.closure, legacy_since=flip.legacy_position, outbox_since=flip.canonical_position
        )
        return Answer.OK if self.compared.is_equal else Answer.DIFFERENT

    def pass_echoes(self) -> bool:
        """Move the forward watermark past what the way back wrote; tells whether it moved.

        Only when nothing of a person is in between: other closures share the watermark. Without it nothing is carried
        twice, echoes are only read in vain.
        """
        head = self.rig.port.head()
        source = self.rig.source
        mine = (
            WATERMARK.c.department_code == source.department_code,
            WATERMARK.c.system_code == source.system_code,
            WATERMARK.c.to_side == Side.CANONICAL.value,
        )
        with transaction(self.rig.workspace.engine("banyan_forward")) as connection:
            query = WATERMARK.select().with_only_columns(WATERMARK.c.position).where(*mine).with_for_update()
            position = connection.scalar(query)
            if position is None or self._is_something_left(Position(position), head):
                return False
            connection.execute(WATERMARK.update().where(*mine).values(position=head, updated_at=now()))
        return True

    def account(self) -> Account:
        """Read the journal of the closure."""
        with transaction(self.rig.workspace.engine("banyan_guard")) as connection:
            return read_account(connection, self.closure.name)


def _answer_of(what: Effect, answer: FenceAnswer) -> Answer:
    if answer.accepted:
        return Answer.ALREADY_SEALED if answer.reason == "already sealed" else Answer.OK
    if answer.reason == "old token":  # the door tells apart what the protocol answers with one word
        return Answer.TOKEN_USED if what is Effect.CLOSE else Answer.OLD_TOKEN
    found = _REASONS.get(answer.reason)
    if found is None:
        raise BanyanError(f"the legacy fence answered a word that the protocol does not know: {answer.reason}")
    return found
