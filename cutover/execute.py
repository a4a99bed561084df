"""The executor of a switch and of a rollback: takes the next step of the protocol, does it, commits, and looks again.

There is no second copy of the rules: what comes next is `protocol.next_step` and `protocol.after`, what a commit may
do is `protocol.commit`, `start` and `change`. Killed at any point, the same command takes up from the row. A deed that
fails for certain is given up (abort, or cancel of the rollback); one whose outcome is unknown stops the machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy.engine import Connection

from banyan.clock import monotonic, now
from banyan.departments import Actor, Closure, Phase
from banyan.errors import BanyanError, SourceUnavailable, SwitchUncertain
from banyan.ports import FenceState
from banyan.records import Position
from cutover import protocol
from cutover.control import Control, Writing, held, move, next_nonce, read_control
from cutover.deeds import LIMITS, DeedFailed, Deeds, Limits
from cutover.door import Answer
from cutover.journal import Facts, Word, note
from cutover.plan import StepName
from cutover.protocol import ABORT, CANCEL_ROLLBACK, EFFECTS, OPENED, REST, ControlRow, Deed, Refusal, Step
from store.outbox import head
from store.postgres import transaction
from store.slices import KEEP
from sync.assembly import Rig

Checkpoint = Callable[[str], None]
"""Called before and after every deed with its name: `before FLIP`, `after FLIP`; does nothing in production."""


def pass_by(_: str) -> None:
    """Do nothing at a named point."""


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass(frozen=True, slots=True)
class StepReport:
    """A step that is done: how long it took and what was seen."""

    name: StepName
    milliseconds: int
    remark: str = ""


Watcher = Callable[[StepReport], None]


def watch_nothing(_: StepReport) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who orders a change of owner, and how it is carried out; the defaults are those of production."""

    actor: Actor
    limits: Limits = LIMITS
    watcher: Watcher = watch_nothing
    checkpoint: Checkpoint = field(default=pass_by, repr=False)
    is_stopped: Callable[[], bool] = field(default=never, repr=False)


_OF_STEP: Final[dict[Deed, StepName]] = {
    Deed.CLOSE_LEGACY: StepName.CLOSE,
    Deed.READ_DRAIN_POSITION: StepName.CLOSE,
    Deed.COMMIT_POSITION: StepName.CLOSE,
    Deed.DRAIN: StepName.DRAIN,
    Deed.VERIFY_CHANGED: StepName.VERIFY,
    Deed.COMMIT_VERIFIED: StepName.VERIFY,
    Deed.SEAL_LEGACY: StepName.SEAL,
    Deed.FLIP: StepName.FLIP,
    Deed.DRAIN_REVERSE: StepName.DRAIN,
    Deed.COMMIT_ROLLED_DRAINED: StepName.DRAIN,
    Deed.VERIFY_REVERSE: StepName.VERIFY,
    Deed.FLIP_BACK: StepName.FLIP,
    Deed.OPEN_LEGACY: StepName.OPEN,
    Deed.COMMIT_OPENED: StepName.OPEN,
}
_LAST_OF_STEP: Final = frozenset(
    (
        *(Deed.COMMIT_POSITION, Deed.DRAIN, Deed.COMMIT_VERIFIED, Deed.SEAL_LEGACY, Deed.FLIP),
        *(Deed.COMMIT_ROLLED_DRAINED, Deed.VERIFY_REVERSE, Deed.FLIP_BACK, Deed.COMMIT_OPENED),
    )
)
_GIVEN_UP_FROM: Final = ABORT.sources | CANCEL_ROLLBACK.sources
_NO_PROGRESS: Final = 50
"""Readings of the same row, one after the other, after which something is wrong that waiting does not mend."""


@dataclass(slots=True)
class Controller:
    """One controller at work on one closure."""

    rig: Rig
    closure: Closure
    order: Order
    failure: BanyanError | None = None
    reports: list[StepReport] = field(default_factory=list)
    outage_ms: int | None = None
    _deeds: Deeds = field(init=False, repr=False)
    _control: Control | None = field(default=None, init=False, repr=False)
    _elapsed: dict[StepName, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        fence = self.rig.fence(self.closure.name)
        self._deeds = Deeds(self.rig, self.closure, self.actor, self.order.limits, self.is_over, fence)

    @property
    def actor(self) -> Actor:
        """Give who ordered it."""
        return self.order.actor

    def disconnect(self) -> None:
        """Close the connections to the legacy fence; nothing else changes."""
        self._deeds.fence.disconnect()

    def warm(self) -> None:
        """Open what will be needed while nobody can write; changes nothing."""
        self._deeds.warm()

    def read_fence(self) -> FenceState:
        """Read the state of the legacy fence."""
        return self._deeds.fence.read()

    def compare_ahead(self, since: Position) -> None:
        """Compare while people work what would have to be compared in the fence."""
        self._deeds.compare_ahead(since)

    def compare_again(self) -> bool:
        """Compare what changed since the last comparison ahead; tells whether there was one to go on from."""
        if self._deeds.equal_until is None:
            return False
        self._deeds.compare_ahead(self._deeds.equal_until)
        return True

    def read(self) -> Control:
        """Read the control row."""
        self._control = read_control(self.rig.workspace.engine("banyan_guard"), self.closure.name)
        return self._control

    def read_reason(self) -> str:
        """Read why the last attempt was given up, by whomever."""
        return self._deeds.account().find_reason() or "another hand moved it"

    def is_over(self) -> bool:
        """Tell whether the deadline of the row is past, or somebody asked to stop."""
        deadline = self._control.row.deadline if self._control else None
        return self.order.is_stopped() or (deadline is not None and now() > deadline)

    def drive(self) -> Control:
        """Do what the row asks for until it asks for nothing more of a machine; gives the row then."""
        seen: tuple[ControlRow, int] | None = None
        while True:
            control = self.read()
            step = protocol.next_step(control.numbers)
            if step.deed == Deed.REST:
                return control
            seen = (control.numbers, seen[1] + 1 if seen and seen[0] == control.numbers else 1)
            if seen[1] > _NO_PROGRESS:
                raise SwitchUncertain(
                    f"{self.closure.name} stays {control.phase.value} whatever is done; nothing more will be tried",
                    hint=f"call the duty engineer, then: banyan switch status {self.closure.name}",
                )
            if control.numbers.phase in _GIVEN_UP_FROM and self.is_over():
                self._give_up(control, DeedFailed("the time given to it was over, or it was stopped"))
                continue
            try:
                self._take_up(control, step)
            except SwitchUncertain as error:
                self._note_uncertain(error)
                raise
            except BanyanError as error:
                if control.numbers.phase not in _GIVEN_UP_FROM:
                    raise self._half_open(control, error) from error
                self._give_up(control, error)

    def _take_up(self, control: Control, step: Step) -> None:
        """Do a step and those that follow from its answers, until the hands are empty."""
        while step.deed != Deed.REST:
            if step.deed in (Deed.FLIP, Deed.FLIP_BACK) and self.is_over():
                return  # the last moment to give up: the row is read again, and given up there
            name = Deed(step.deed).name
            began = monotonic()
            self.order.checkpoint(f"before {name}")
            step_after = self._do(control, step)
            self.order.checkpoint(f"after {name}")
            self._time(Deed(step.deed), monotonic() - began, is_refused=step_after is None)
            step = step_after or REST

    def _do(self, control: Control, step: Step) -> Step | None:
        """Do one deed; gives the step that follows, None when the row was moved by another hand."""
        deeds = self._deeds
        if step.deed in EFFECTS:
            answer = deeds.effect(step)
            following = protocol.after(step, answer)
            if following.deed == Deed.REST and answer is not Answer.ALREADY_SEALED:
                raise SwitchUncertain(
                    f"the old system refused to {EFFECTS[step.deed].name.lower()} the fence of {self.closure.name}: "
                    f"{answer.name.lower().replace('_', ' ')}. Nothing will be retried",
                    hint=f"call the duty engineer, then: banyan switch status {self.closure.name}",
                )
            if following.deed == Deed.ABORT:
                self.failure = DeedFailed(f"the old system answered {answer.name.lower().replace('_', ' ')}")
            return following
        match step.deed:
            case Deed.READ_DRAIN_POSITION:
                return protocol.after(step, deeds.read_drain_position(), value=1)
            case Deed.VERIFY_CHANGED:
                return protocol.after(step, self._judged(deeds.verify_changed(control)))
            case Deed.DRAIN_REVERSE:
                return protocol.after(step, deeds.drain_reverse())
            case Deed.VERIFY_REVERSE:
                return protocol.after(step, self._judged(deeds.verify_reverse()))
            case Deed.DRAIN:
                return None if isinstance(deeds.drain(step, Writing()), Refusal) else REST
            case _:
                return self._commit(control, step)

    def _judged(self, answer: Answer) -> Answer:
        compared = self._deeds.compared
        if answer is Answer.DIFFERENT and compared is not None:
            self.failure = DeedFailed(
                f"{compared.differences} differences in {compared.rows} changed rows", reasons=list(compared.causes)
            )
        return answer

    def _commit(self, control: Control, step: Step) -> Step | None:
        if step.deed == Deed.FLIP_BACK:
            self._deeds.pass_echoes()
        found = move(
            self.rig.workspace.engine("banyan_guard"),
            self.closure.name,
            lambda row: protocol.commit(row, step),
            actor=self.actor,
            writing=self._writing(control, step),
        )
        if isinstance(found, Refusal):
            return None
        if step.deed in (Deed.FLIP, Deed.COMMIT_OPENED):
            self._note_outage(control, step)
        return REST

    def _writing(self, control: Control, step: Step) -> Writing:
        """Say what a commit writes beside the row: positions, the turned nonce, the words of the journal."""
        turned = next_nonce(UUID(int=step.nonce))
        match step.deed:
            case Deed.COMMIT_POSITION:
                closed_at = self._deeds.closed_at or now()
                closed: dict[Word, Facts] = {Word.CLOSED: {"closed_at": closed_at.isoformat()}}
                return Writing(drain_position=self._deeds.drain_position, nonce=turned, words=lambda _: closed)
            case Deed.COMMIT_VERIFIED:
                return Writing(words=lambda _: self._compared_words())
            case Deed.COMMIT_DIFFERS | Deed.ABORT:
                return Writing(words=lambda _: self._compared_words() | self._given_up_words(control))
            case Deed.COMMIT_ROLLED_DIFFERS:
                words = self._compared_words() | self._given_up_words(control)
                return Writing(deadline=None, words=lambda _: words)
            case Deed.FLIP:
                return Writing(deadline=None, words=lambda connection: self._flip_words(connection, control))
            case Deed.FLIP_BACK:
                return Writing(deadline=None, words=lambda _: self._compared_words())
            case Deed.COMMIT_OPENED:
                return Writing(deadline=None, nonce=turned)
            case _:
                return Writing(deadline=KEEP)

    def _compared_words(self) -> dict[Word, Facts]:
        compared = self._deeds.compared
        if compared is None:
            return {}
        facts = {"rows": compared.rows, "differences": compared.differences, "explained": compared.explained}
        return {Word.COMPARED: facts}

    def _given_up_words(self, control: Control) -> dict[Word, Facts]:
        reason = self.failure.message if self.failure else ""
        return {Word.GIVEN_UP: {"reason": reason, "from": control.phase.value}}

    def _flip_words(self, connection: Connection, control: Control) -> dict[Word, Facts]:
        return {
            Word.FLIPPED: {
                "evidence_id": control.row.evidence_id,
                "drain_position": control.row.drain_position,
                "outbox_position": head(connection),
            }
        }

    def _note_outage(self, control: Control, step: Step) -> None:
        """Measure how long nobody could write, right after the commit; of an abort too, without a word in the journal.

        A controller that dies in between leaves the closing and the flip in the journal: nothing is lost but this sum.
        """
        ended = self._deeds.opened_at if step.deed == Deed.COMMIT_OPENED and self._deeds.opened_at else now()
        closed_at = self._deeds.account().find_closed_at()
        if closed_at is not None and control.phase is not Phase.ABORTING:
            self.outage_ms = max(0, round((ended - closed_at) / timedelta(milliseconds=1)))

    def _time(self, deed: Deed, seconds: float, *, is_refused: bool) -> None:
        name = _OF_STEP.get(deed)
        if name is None:
            return
        self._elapsed[name] = self._elapsed.get(name, 0.0) + seconds
        if deed in _LAST_OF_STEP and not is_refused and self.failure is None:
            self.report(name, round(self._elapsed.pop(name) * 1000), self._remark(deed))

    def report(self, name: StepName, milliseconds: int, remark: str = "") -> None:
        """Tell that a step is done."""
        done = StepReport(name, milliseconds, remark)
        self.reports.append(done)
        self.order.watcher(done)

    def _remark(self, deed: Deed) -> str:
        compared = self._deeds.compared
        match deed:
            case Deed.COMMIT_POSITION:
                return "probe write refused, 0 transactions open"
            case Deed.DRAIN:
                return "position reached"
            case Deed.COMMIT_ROLLED_DRAINED:
                return "outbox empty"
            case Deed.COMMIT_VERIFIED | Deed.VERIFY_REVERSE if compared is not None:
                return f"{compared.rows} rows, {compared.differences} different"
            case Deed.FLIP | Deed.FLIP_BACK:
                row = self.read().row
                return f"owner {row.owner.value}, epoch {row.epoch}"
            case _:
                return ""

    def _give_up(self, control: Control, error: BanyanError) -> None:
        """Commit the abort, or the cancel of a rollback, of the row just read; the reason goes into the journal."""
        self.failure = self.failure or error
        transition = ABORT if control.numbers.phase in ABORT.sources else CANCEL_ROLLBACK
        self.order.checkpoint(f"before {transition.name.upper()}")
        give_up(self.rig, control, self.actor, reason=self.failure.message)
        self.order.checkpoint(f"after {transition.name.upper()}")

    def _half_open(self, control: Control, error: BanyanError) -> BanyanError:
        """Say that the old side owns and has not acknowledged its opening; the guard goes on trying."""
        if control.numbers.phase not in OPENED.sources or not isinstance(error, SourceUnavailable):
            return error
        why = f" ({self.failure.message})" if self.failure else ""
        return SourceUnavailable(
            f"{self.closure.name} goes back to the old side{why}, which has not acknowledged its opening: "
            f"{error.message}",
            hint="banyan guard --once",
            closure=self.closure.name,
        )

    def _note_uncertain(self, error: SwitchUncertain) -> None:
        """Leave a word in the journal when the store still answers; what is uncertain stays so either way."""
        try:
            with (
                transaction(self.rig.workspace.engine("banyan_guard")) as connection,
                held(connection, self.closure.name) as control,
            ):
                note(connection, Word.UNCERTAIN, control.row, actor=self.actor, facts={"what": error.message})
        except BanyanError as second:
            error.add_note(f"and the journal could not be written: {type(second).__name__}")


def give_up(rig: Rig, control: Control, actor: Actor, *, reason: str) -> ControlRow | Refusal:
    """Commit an abort before the flip, or the cancel of a rollback: the epoch rises before anything is opened."""
    transition = ABORT if control.numbers.phase in ABORT.sources else CANCEL_ROLLBACK
    words: dict[Word, Facts] = {Word.GIVEN_UP: {"reason": reason, "from": control.phase.value}}
    return move(
        rig.workspace.engine("banyan_guard"),
        control.row.closure,
        lambda row: protocol.change(row, transition, epoch=control.row.epoch),
        actor=actor,
        writing=Writing(deadline=None if transition is CANCEL_ROLLBACK else KEEP, words=lambda _: words),
    )
