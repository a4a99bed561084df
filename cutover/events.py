"""What may happen next in the small world around the program's own rules.

The controllers take their steps from `cutover/protocol.py` and the legacy fence answers through `cutover/door.py`.
Only what surrounds them is here: legacy and canonical clients, appliers, a lease that runs at any speed, a link that
is cut, controllers that sleep and die anywhere, backups and restores of either store, and the guard.
"""

from collections.abc import Iterator
from typing import Any, Final

from cutover import door, protocol
from cutover.door import Answer, Effect, Fence, Mode
from cutover.protocol import (
    COMMITS,
    EFFECTS,
    REST,
    Comparison,
    ControlRow,
    Deed,
    PhaseNumber,
    Refusal,
    Step,
)
from cutover.world import CANONICAL, LEASE, LEGACY, Bounds, Edge, Rules, State, Values, Violation


def _keys(s: State) -> tuple[int, ...]:
    """Give the keys a client may write next; the keys are alike, so that the first one written is key 0."""
    return (0, 1) if s.spent.writes else (0,)


def _put(values: Values, key: int, value: int) -> Values:
    return (*values[:key], value, *values[key + 1 :]) if values else values


class World:
    """The events that can follow a state, under bounds and rules."""

    __slots__ = ("bounds", "rules")

    def __init__(self, bounds: Bounds, rules: Rules) -> None:
        self.bounds = bounds
        self.rules = rules

    def events(self, s: State) -> Iterator[Edge]:
        """Yield each event and the world after it, with the two controllers in their places."""
        yield from self._legacy_clients(s)
        yield from self._canonical_clients(s)
        yield from self._appliers(s)
        yield from self._link(s)
        if self.bounds.backups or self.bounds.legacy_restores or self.bounds.control_restores:
            yield from self._restores(s)
        if self.rules.happening:
            yield from self.rules.happening(s)
        if not s.control.armed:
            yield from self._arming(s)
        else:
            yield from self._guard(s)
            yield from self._people(s)
        yield from self._controller(s, "left", s.left)
        if s.right != s.left:  # two controllers that hold the same are one
            yield from self._controller(s, "right", s.right)

    def settle(self, before: State, s: State) -> State:
        """Bring the witness along, forget a drain position that no longer counts, and order the controllers."""
        if self.rules.is_witness_synchronous and s.spent.control_restores == before.spent.control_restores:
            witness = (s.control.epoch, len(s.outbox))
            if s.witness != witness and (s.control is not before.control or s.outbox is not before.outbox):
                s = s._replace(witness=witness)
        if s.drain and not s.control.drain_known:
            s = s._replace(drain=0)
        return s._replace(left=s.right, right=s.left) if s.left > s.right else s

    def is_somebody_served(self, s: State) -> bool:
        """Tell whether the owner's applications can write."""
        if s.true_owner == LEGACY:
            return door.admits_legacy(s.fence, clock=0) and not s.isolated
        return self.rules.admits_canonical(s.control, CANONICAL)

    def _legacy_clients(self, s: State) -> Iterator[Edge]:
        may_begin = s.spent.writes < self.bounds.writes and len(s.in_flight) < 2 and not s.isolated
        if may_begin and door.admits_legacy(s.fence, clock=0):
            value = s.spent.writes + 1
            spent = s.spent._replace(writes=value)
            for key in _keys(s):
                begun = s._replace(in_flight=(*s.in_flight, (key, value)), spent=spent)
                yield f"a legacy client begins to write key {key}", begun
        if s.in_flight:
            label = "the legacy client commits"
            (key, value), rest = s.in_flight[0], s.in_flight[1:]
            if s.true_owner != LEGACY:
                yield label, Violation.TWO_WRITERS
            else:
                written = s._replace(in_flight=rest, legacy=_put(s.legacy, key, value), log=(*s.log, (key, value, 0)))
                yield label, _acknowledged(written, key, value)

    def _canonical_clients(self, s: State) -> Iterator[Edge]:
        if s.spent.writes >= self.bounds.writes or not self.rules.admits_canonical(s.control, CANONICAL):
            return
        if s.true_owner != CANONICAL:
            yield "a canonical client writes", Violation.TWO_WRITERS
        elif s.harmed:
            yield "a canonical client writes", Violation.RESTORED_ACCEPTED
        else:
            value = s.spent.writes + 1
            spent = s.spent._replace(writes=value)
            for key in _keys(s):
                outbox = (*s.outbox, (key, value)) if self.rules.captures(s) else s.outbox
                written = s._replace(spent=spent, canonical=_put(s.canonical, key, value), outbox=outbox)
                yield f"a canonical client writes key {key}", _acknowledged(written, key, value)

    def _appliers(self, s: State) -> Iterator[Edge]:
        if s.cut:
            return
        may_forward = s.forward < len(s.log) and self.rules.recognises(s.control, s.fence.nonce)
        if may_forward and self.rules.admits_canonical(s.control, LEGACY):
            key, value, is_echo = s.log[s.forward]
            skipped = is_echo and self.rules.skips_echo
            canonical = s.canonical if skipped else _put(s.canonical, key, value)
            yield "the forward applier applies a change", s._replace(forward=s.forward + 1, canonical=canonical)
        if s.reverse < len(s.outbox) and self.rules.admits_reverse(s.control, s.fence):
            key, value = s.outbox[s.reverse]
            written = s._replace(reverse=s.reverse + 1, legacy=_put(s.legacy, key, value))
            yield "the reverse applier applies a change", written._replace(log=(*s.log, (key, value, 1)))

    def _link(self, s: State) -> Iterator[Edge]:
        if s.fence.mode == Mode.CLOSED and s.fence.lease_until > 0:
            yield "the lease runs", s._replace(fence=s.fence._replace(lease_until=s.fence.lease_until - 1))
        if s.cut:
            yield "the link heals", s._replace(cut=0)
        elif s.spent.cuts < self.bounds.cuts:
            yield "the link is cut", s._replace(cut=1, spent=s.spent._replace(cuts=s.spent.cuts + 1))

    def _restores(self, s: State) -> Iterator[Edge]:
        bounds, spent = self.bounds, s.spent
        if spent.backups < bounds.backups:
            saved = spent._replace(backups=spent.backups + 1)
            if bounds.legacy_restores:
                fence = s.fence._replace(lease_until=0)  # by the time it is restored, a lease is over
                backup = (s.legacy, len(s.log), s.reverse, fence)
                yield "the legacy store is backed up", s._replace(spent=saved, legacy_backup=backup)
            if bounds.control_restores:
                copy = (s.control, s.drain, s.canonical, s.forward, s.outbox)
                yield "the control store is backed up", s._replace(spent=saved, control_backup=copy)
        if spent.legacy_restores < bounds.legacy_restores:
            legacy, length, reverse, fence = s.legacy_backup
            yield (
                "the legacy store is restored",
                s._replace(
                    legacy=legacy,
                    log=s.log[:length],
                    reverse=reverse,
                    fence=fence._replace(nonce=s.fence.nonce + 1),
                    in_flight=(),
                    isolated=int(self.rules.isolates_restored),
                    or_truth=legacy if s.true_owner == LEGACY else s.or_truth,
                    spent=spent._replace(legacy_restores=spent.legacy_restores + 1),
                ),
            )
        if spent.control_restores < bounds.control_restores:
            control, drain, canonical, forward, outbox = s.control_backup
            truths = (s.truth, s.or_truth)
            if s.true_owner == CANONICAL:
                is_harm = control.owner != CANONICAL or canonical not in truths
            else:
                is_harm = control.owner != LEGACY
            is_harm = is_harm or (canonical not in truths and s.legacy not in truths)
            yield (
                "the control store is restored",
                s._replace(
                    control=control._replace(armed=0),
                    drain=drain,
                    canonical=canonical,
                    forward=forward,
                    outbox=outbox,
                    harmed=int(is_harm),
                    spent=spent._replace(control_restores=spent.control_restores + 1),
                ),
            )

    def _arming(self, s: State) -> Iterator[Edge]:
        seen = Comparison(
            witness_epoch=s.witness[0],
            outbox_ahead=int(s.witness[1] > len(s.outbox)),
            legacy_reached=1 - s.cut,
            legacy_token=s.fence.token,
            reverse_ahead=int(s.reverse > len(s.outbox)),
            legacy_nonce=s.fence.nonce,
        )
        armed = protocol.arm(s.control, seen)
        if isinstance(armed, ControlRow):
            yield "the guard arms", Violation.RESTORE_MISSED if s.harmed else s._replace(control=armed)
        else:
            halted = protocol.halt(s.control, floor=max(s.fence.token, s.witness[0]))
            if isinstance(halted, ControlRow):
                yield "the guard refuses to arm and halts", s._replace(control=halted)

    def _guard(self, s: State) -> Iterator[Edge]:
        control, fence = s.control, s.fence
        token = protocol.phone_token(control)
        recognised = self.rules.recognises(control, fence.nonce)
        if s.cut and recognised and fence.mode != Mode.OPEN and not isinstance(token, Refusal):
            opened, answer = self._effect(fence, Effect.OPEN, token, control.nonce)
            if answer is Answer.OK:
                yield "a person opens the legacy fence with the code", s._replace(fence=opened)
        if recognised or s.cut:
            return
        reloaded = protocol.reloaded(control, control.epoch, nonce=fence.nonce)
        if isinstance(reloaded, ControlRow):
            opened, answer = self._effect(fence, Effect.OPEN, reloaded.epoch, fence.nonce)
            fresh = s._replace(control=reloaded, fence=opened, isolated=0, canonical=s.legacy, forward=len(s.log))
            if answer is Answer.OK:
                yield "the restored legacy system is loaded again", fresh._replace(truth=s.legacy, or_truth=())
        resealed = protocol.resealed(control, control.epoch, nonce=fence.nonce)
        if isinstance(resealed, ControlRow):
            closed, _ = self._effect(fence, Effect.CLOSE, control.epoch, fence.nonce)
            sealed, answer = self._effect(closed, Effect.SEAL, control.epoch, fence.nonce)
            echoes = tuple((key, value, 1) for key, value in enumerate(s.canonical))
            written = s._replace(legacy=s.canonical, log=s.log + echoes, reverse=len(s.outbox), isolated=0)
            if answer is Answer.OK:
                yield "the restored legacy system is written again", written._replace(control=resealed, fence=sealed)
        if control.phase == PhaseNumber.R_OPENING:
            halted = protocol.halt(control, floor=fence.token)
            if isinstance(halted, ControlRow):
                yield "the guard meets another legacy system and halts", s._replace(control=halted)

    def _people(self, s: State) -> Iterator[Edge]:
        control, spent = s.control, s.spent
        for transition, label in _ORDERS:
            if control.phase in transition.sources:
                row = protocol.change(control, transition, epoch=control.epoch)
                if isinstance(row, ControlRow):
                    yield label, s._replace(control=row)
        may_roll_back = control.phase in protocol.ROLL_BACK.sources and spent.rollbacks < self.bounds.rollbacks
        if may_roll_back and self.rules.recognises(control, s.fence.nonce):
            row = protocol.change(control, protocol.ROLL_BACK, epoch=control.epoch)
            if isinstance(row, ControlRow):
                yield (
                    "a rollback is ordered",
                    s._replace(control=row, spent=spent._replace(rollbacks=spent.rollbacks + 1)),
                )
        if spent.attempts < self.bounds.attempts and not s.cut:
            row = self.rules.start(control, control.epoch, nonce=s.fence.nonce)
            if isinstance(row, ControlRow):
                yield (
                    "a switch is started",
                    s._replace(control=row, spent=spent._replace(attempts=spent.attempts + 1)),
                )

    def _effect(self, fence: Fence, what: Effect, token: int, nonce: int) -> tuple[Fence, Answer]:
        return self.rules.effect(fence, what, token=token, clock=0, lease=LEASE, nonces=(nonce, nonce))

    def _controller(self, s: State, hands: str, step: Step) -> Iterator[Edge]:
        if step.deed == Deed.REST:
            yield from self._take_up(s, hands)
            return
        if s.spent.crashes < self.bounds.crashes:
            spent = s.spent._replace(crashes=s.spent.crashes + 1)
            yield f"{hands} dies", _hold(s, hands, REST, spent=spent)
        what = EFFECTS.get(step.deed)
        if what is not None:
            if not s.cut:
                fence, answer = self._effect(s.fence, what, step.token, step.nonce)
                held = self.rules.after(step, answer, value=step.value)
                yield f"{hands} {_VERBS[what]}: {answer.name}", _hold(s, hands, held, fence=fence)
        elif step.deed == Deed.READ_DRAIN_POSITION:
            if not s.cut and not (s.in_flight and self.rules.waits_for_open_transactions):
                position = step.value if self.rules.takes_position_before_close else len(s.log)
                held = self.rules.after(step, Answer.OK, value=position)
                yield f"{hands} reads the drain position", _hold(s, hands, held)
        else:
            yield self._commit(s, hands, step)

    def _commit(self, s: State, hands: str, step: Step) -> Edge:
        row = self.rules.commit(s.control, step)
        name = COMMITS[step.deed].name
        if isinstance(row, Refusal):
            return f"{hands} {name}: {row.name}", _hold(s, hands, REST)
        if step.deed == Deed.COMMIT_POSITION:
            s = s._replace(drain=step.value)
        elif step.deed in (Deed.FLIP, Deed.FLIP_BACK):
            s = s._replace(true_owner=row.owner)
        return f"{hands} {name}", _hold(s, hands, REST, control=row)

    def _take_up(self, s: State, hands: str) -> Iterator[Edge]:
        step = self.rules.next_step(s.control)
        deed = step.deed
        if deed == Deed.REST:
            return
        if deed in EFFECTS:
            if self.rules.takes_position_before_close:
                step = step._replace(value=len(s.log))
            yield f"{hands} reads {PhaseNumber(s.control.phase).name}", _hold(s, hands, step)
        elif deed == Deed.DRAIN:
            if s.forward >= s.drain:
                if self.rules.reads_watermark_apart:
                    yield f"{hands} reads the watermark", _hold(s, hands, step)
                else:
                    yield self._commit(s, hands, step)
        elif not s.cut and self.rules.recognises(s.control, s.fence.nonce):
            if deed == Deed.DRAIN_REVERSE:
                if s.reverse >= len(s.outbox):
                    yield f"{hands} sees the outbox empty", _hold(s, hands, self.rules.after(step, Answer.OK))
            elif deed == Deed.VERIFY_REVERSE or s.fence.lease_until == LEASE or not self.bounds.margin:
                is_equal = not self.bounds.verify or s.legacy == s.canonical
                answer = Answer.OK if is_equal else Answer.DIFFERENT
                yield f"{hands} compares: {answer.name}", _hold(s, hands, self.rules.after(step, answer))


_ORDERS: Final = (
    (protocol.ABORT, "the switch is aborted"),
    (protocol.CANCEL_ROLLBACK, "the rollback is cancelled"),
)


_VERBS: Final = {Effect.CLOSE: "closes", Effect.SEAL: "seals", Effect.OPEN: "opens"}


def _hold(s: State, hands: str, step: Step, **changes: Any) -> State:  # noqa: ANN401
    changes[hands] = step
    return s._replace(**changes)


def _acknowledged(s: State, key: int, value: int) -> State:
    return s._replace(truth=_put(s.truth, key, value), or_truth=_put(s.or_truth, key, value))
