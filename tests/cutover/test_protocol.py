"""The rules of a change of owner: each transition, each refusal, the door of the legacy fence, the controller."""

from pathlib import Path

import pytest

from banyan.departments import Phase, Side
from cutover import protocol as p
from cutover.door import Answer, Effect, Fence, Mode, admits_legacy, effect
from cutover.protocol import ControlRow, Deed, OwnerNumber, PhaseNumber, Refusal, Step

NONCE = 77
README = Path(p.__file__).parent / "README.md"


def row(phase, epoch=5, armed=1, drain_known=0):
    owner = p.phase_of(phase).owner or Side.LEGACY
    return ControlRow(phase, OwnerNumber[owner.name], epoch, drain_known, NONCE, armed)


def closed(token=5, lease_until=100):
    return Fence(Mode.CLOSED, token, lease_until, NONCE)


def ask(fence, what, token=5, clock=50, nonces=(NONCE, NONCE)):
    return effect(fence, what, token=token, clock=clock, lease=30, nonces=nonces)


PLAIN = [t for t in p.TRANSITIONS if not t.proof]
PLAIN_PAIRS = [(t, source) for t in PLAIN for source in sorted(t.sources)]


def named(value):
    return value.name if hasattr(value, "name") else str(value)


def test_numbers_and_words_of_phases_and_sides_are_the_same():
    assert [n.name for n in PhaseNumber] == [phase.name for phase in Phase]
    assert [p.phase_of(n) for n in PhaseNumber] == list(Phase)
    assert [p.number_of(phase) for phase in Phase] == list(PhaseNumber)
    assert [p.side_of(n) for n in OwnerNumber] == list(Side)


@pytest.mark.parametrize(("transition", "source"), PLAIN_PAIRS, ids=named)
def test_a_transition_starts_from_its_phase_and_its_epoch_only(transition, source):
    before = row(source)

    after = p.change(before, transition, epoch=5)

    assert after.phase == transition.target
    assert after.owner == OwnerNumber[p.phase_of(transition.target).owner.name]
    assert after.epoch == 5 + transition.epoch_step
    assert (after.nonce, after.armed) == (NONCE, 1)
    assert p.change(before, transition, epoch=4) is Refusal.EPOCH_MOVED
    assert p.change(before, transition, epoch=6) is Refusal.EPOCH_MOVED
    assert p.change(before._replace(armed=0), transition, epoch=5) is Refusal.NOT_ARMED
    for other in set(PhaseNumber) - transition.sources:
        assert p.change(row(other), transition, epoch=5) is Refusal.PHASE_MOVED


@pytest.mark.parametrize("transition", [t for t in p.TRANSITIONS if t.proof], ids=named)
def test_a_transition_that_asks_for_a_proof_is_not_committed_without_it(transition):
    with pytest.raises(ValueError, match=transition.name):
        p.change(row(next(iter(transition.sources))), transition, epoch=5)


def test_whatever_moves_the_owner_or_reopens_somebody_takes_the_next_epoch():
    for transition in p.TRANSITIONS:
        for source in transition.sources:
            changes_owner = p.phase_of(source).owner is not p.phase_of(transition.target).owner
            closes_or_reopens = p.phase_of(source).canonical_writes != p.phase_of(transition.target).canonical_writes
            if changes_owner or closes_or_reopens:
                assert transition.epoch_step == 1, transition.name


def test_every_phase_but_halt_and_the_first_can_be_left_and_reached():
    reached = {t.target for t in p.TRANSITIONS}

    assert reached == set(PhaseNumber) - {PhaseNumber.REGISTERED}
    assert all(p.allowed(phase) for phase in Phase if phase is not Phase.HALT)
    assert p.allowed(Phase.HALT) == ()
    assert {t.name for t in p.allowed(Phase.SEALING)} == {"flip", "abort", "halt"}
    assert {t.name for t in p.allowed(Phase.R_DRAINING)} == {"rolled_drained", "cancel_rollback", "halt"}


@pytest.mark.parametrize("phase", [PhaseNumber.SYNCING, PhaseNumber.READY], ids=named)
def test_a_switch_starts_with_the_next_epoch_and_no_drain_position(phase):
    before = row(phase, drain_known=1)

    after = p.start(before, 5, nonce=NONCE)

    assert after == ControlRow(PhaseNumber.FENCING, OwnerNumber.LEGACY, 6, 0, NONCE, 1)
    assert p.start(before, 5, nonce=NONCE + 1) is Refusal.OTHER_INCARNATION
    assert p.start(before, 4, nonce=NONCE) is Refusal.EPOCH_MOVED
    assert p.start(row(PhaseNumber.LOADING), 5, nonce=NONCE) is Refusal.PHASE_MOVED


def test_the_drain_position_is_known_from_its_commit_to_the_flip_or_the_abort():
    draining = p.change(row(PhaseNumber.FENCING), p.POSITION, epoch=5)
    verifying = p.change(draining, p.DRAINED, epoch=5)
    sealing = p.change(verifying, p.VERIFIED, epoch=5)

    assert [r.drain_known for r in (draining, verifying, sealing)] == [1, 1, 1]
    assert p.flip(sealing, 5, sealed_with=5).drain_known == 0
    assert p.change(sealing, p.ABORT, epoch=5).drain_known == 0


def test_the_flip_needs_its_own_acknowledged_seal_and_the_unchanged_epoch():
    sealing = row(PhaseNumber.SEALING)

    assert p.flip(sealing, 5, sealed_with=5) == ControlRow(PhaseNumber.LIVE, OwnerNumber.CANONICAL, 6, 0, NONCE, 1)
    assert p.flip(sealing, 5, sealed_with=0) is Refusal.NOT_SEALED
    assert p.flip(sealing, 5, sealed_with=4) is Refusal.NOT_SEALED
    assert p.flip(sealing, 4, sealed_with=4) is Refusal.EPOCH_MOVED
    assert p.flip(row(PhaseNumber.VERIFYING), 5, sealed_with=5) is Refusal.PHASE_MOVED
    assert p.flip(sealing._replace(armed=0), 5, sealed_with=5) is Refusal.NOT_ARMED


def test_a_restored_legacy_system_is_adopted_with_its_new_nonce():
    reloaded = p.reloaded(row(PhaseNumber.ABORTING), 5, nonce=78)
    resealed = p.resealed(row(PhaseNumber.LIVE), 5, nonce=78)

    assert (reloaded.phase, reloaded.epoch, reloaded.nonce) == (PhaseNumber.SYNCING, 6, 78)
    assert (resealed.phase, resealed.epoch, resealed.nonce) == (PhaseNumber.LIVE, 5, 78)
    assert p.reloaded(row(PhaseNumber.FENCING), 5, nonce=78) is Refusal.PHASE_MOVED
    assert p.resealed(row(PhaseNumber.R_DRAINING), 5, nonce=78) is Refusal.PHASE_MOVED


QUIET = p.Comparison(5, 0, 1, 5, 0, NONCE)


@pytest.mark.parametrize(
    ("seen", "answer"),
    [
        (QUIET, "armed"),
        (QUIET._replace(witness_epoch=6), Refusal.BEHIND_WITNESS),
        (QUIET._replace(outbox_ahead=1), Refusal.BEHIND_WITNESS),
        (QUIET._replace(legacy_token=6), Refusal.BEHIND_LEGACY),
        (QUIET._replace(reverse_ahead=1), Refusal.BEHIND_LEGACY),
        (QUIET._replace(legacy_nonce=78), Refusal.OTHER_INCARNATION),
        (p.Comparison(5, 0, 0, 99, 1, 78), "armed"),
        (p.Comparison(6, 0, 0, 5, 0, NONCE), Refusal.BEHIND_WITNESS),
    ],
)
def test_a_started_store_is_armed_only_when_nothing_shows_a_loss(seen, answer):
    started = row(PhaseNumber.LIVE, armed=0)

    armed = p.arm(started, seen)

    assert armed == (started._replace(armed=1) if answer == "armed" else answer)


def test_a_halted_slice_is_not_armed_keeps_its_owner_and_stands_above_every_token():
    halted = p.halt(row(PhaseNumber.LIVE), floor=9)

    assert halted == ControlRow(PhaseNumber.HALT, OwnerNumber.CANONICAL, 10, 0, NONCE, 0)
    assert p.halt(row(PhaseNumber.LIVE)).epoch == 6
    assert p.halt(halted) is Refusal.PHASE_MOVED
    assert p.arm(halted, QUIET) is Refusal.PHASE_MOVED


def test_a_telephone_code_exists_only_once_an_abort_or_a_flip_back_is_committed():
    codes = {phase: p.phone_token(row(phase)) for phase in PhaseNumber}

    assert {phase for phase, code in codes.items() if code == 5 and not isinstance(code, Refusal)} == {
        PhaseNumber.ABORTING,
        PhaseNumber.R_OPENING,
    }
    assert codes[PhaseNumber.SEALING] is Refusal.NO_CODE_BEFORE_ABORT
    assert p.phone_token(row(PhaseNumber.ABORTING, armed=0)) is Refusal.NOT_ARMED


def test_applications_write_on_the_new_side_by_phase_and_the_forward_applier_by_owner():
    applications = {n.name for n in PhaseNumber if p.admits_canonical(row(n), OwnerNumber.CANONICAL)}
    applier = {n.name for n in PhaseNumber if p.admits_canonical(row(n), OwnerNumber.LEGACY)}

    assert applications == {"LIVE", "COMPLETING", "RETIRED"}
    assert applier == {phase.name for phase in Phase if phase.owner is Side.LEGACY}
    for n in PhaseNumber:
        assert not p.admits_canonical(row(n, armed=0), OwnerNumber.CANONICAL)
        assert not p.admits_canonical(row(n, armed=0), OwnerNumber.LEGACY)


def test_the_reverse_applier_writes_behind_a_seal_that_no_later_token_has_replaced():
    live = row(PhaseNumber.LIVE)
    sealed = Fence(Mode.SEALED, 4, 0, NONCE)

    assert p.admits_reverse(live, sealed)
    assert p.admits_reverse(row(PhaseNumber.R_DRAINING), sealed)
    assert not p.admits_reverse(live, sealed._replace(token=6))
    assert not p.admits_reverse(live, sealed._replace(mode=Mode.CLOSED, lease_until=99))
    assert not p.admits_reverse(live, sealed._replace(nonce=78))
    assert not p.admits_reverse(live._replace(armed=0), sealed)
    assert not p.admits_reverse(row(PhaseNumber.R_OPENING), sealed)


def test_a_close_is_a_lease_on_the_legacy_clock_and_ends_by_itself():
    fence, answer = ask(Fence(Mode.OPEN, 4, 0, NONCE), Effect.CLOSE)

    assert (fence, answer) == (closed(lease_until=80), Answer.OK)
    assert not admits_legacy(fence, clock=79)
    assert admits_legacy(fence, clock=80)


def test_one_token_closes_once_and_is_spent_with_its_lease():
    held, answer = ask(closed(), Effect.CLOSE)
    spent = ask(closed(lease_until=50), Effect.CLOSE)
    after_open = ask(Fence(Mode.OPEN, 5, 0, NONCE), Effect.CLOSE)

    assert (held.lease_until, answer) == (80, Answer.OK)
    assert spent == (closed(lease_until=50), Answer.TOKEN_USED)
    assert after_open[1] is Answer.TOKEN_USED
    assert ask(closed(lease_until=50), Effect.CLOSE, token=6)[1] is Answer.OK
    assert ask(closed(), Effect.CLOSE, token=4)[1] is Answer.TOKEN_USED


def test_a_late_close_never_downgrades_a_seal():
    sealed = Fence(Mode.SEALED, 5, 0, NONCE)

    assert ask(sealed, Effect.CLOSE) == (sealed, Answer.ALREADY_SEALED)
    assert ask(sealed, Effect.CLOSE, token=4) == (sealed, Answer.TOKEN_USED)


@pytest.mark.parametrize(
    ("fence", "token", "answer"),
    [
        (closed(lease_until=51), 5, Answer.OK),
        (closed(lease_until=50), 5, Answer.LEASE_OR_TOKEN_LOST),
        (closed(), 4, Answer.LEASE_OR_TOKEN_LOST),
        (closed(), 6, Answer.LEASE_OR_TOKEN_LOST),
        (Fence(Mode.OPEN, 5, 0, NONCE), 5, Answer.LEASE_OR_TOKEN_LOST),
        (Fence(Mode.SEALED, 5, 0, NONCE), 5, Answer.OK),
    ],
)
def test_a_seal_needs_its_token_and_a_lease_that_runs(fence, token, answer):
    after, given = ask(fence, Effect.SEAL, token=token)

    assert given is answer
    assert after == (Fence(Mode.SEALED, 5, 0, NONCE) if answer is Answer.OK else fence)


def test_an_opening_needs_a_token_that_is_not_older():
    sealed = Fence(Mode.SEALED, 5, 0, NONCE)

    assert ask(sealed, Effect.OPEN, token=4) == (sealed, Answer.OLD_TOKEN)
    assert ask(sealed, Effect.OPEN) == (Fence(Mode.OPEN, 5, 0, NONCE), Answer.OK)
    assert ask(sealed, Effect.OPEN, token=6) == (Fence(Mode.OPEN, 6, 0, NONCE), Answer.OK)


@pytest.mark.parametrize("what", list(Effect), ids=named)
def test_every_effect_compares_the_nonce_and_leaves_the_new_one(what):
    fence = closed()

    refused = ask(fence, what, nonces=(1, 2))
    repeated = ask(fence, what, nonces=(1, NONCE))
    after, answer = ask(fence, what, nonces=(NONCE, 78))

    assert refused == (fence, Answer.OTHER_INCARNATION)
    assert repeated[1] is Answer.OK
    assert (after.nonce, answer) == (78, Answer.OK)


def test_a_beat_changes_the_nonce_only_and_needs_the_very_token():
    assert ask(closed(), Effect.BEAT, nonces=(NONCE, 78)) == (closed()._replace(nonce=78), Answer.OK)
    assert ask(closed(), Effect.BEAT, token=6) == (closed(), Answer.NOT_MY_TOKEN)


FIRST_DEEDS = {
    PhaseNumber.FENCING: Deed.CLOSE_LEGACY,
    PhaseNumber.DRAINING: Deed.DRAIN,
    PhaseNumber.VERIFYING: Deed.VERIFY_CHANGED,
    PhaseNumber.SEALING: Deed.SEAL_LEGACY,
    PhaseNumber.ABORTING: Deed.OPEN_LEGACY,
    PhaseNumber.R_OPENING: Deed.OPEN_LEGACY,
    PhaseNumber.R_DRAINING: Deed.DRAIN_REVERSE,
    PhaseNumber.R_VERIFYING: Deed.VERIFY_REVERSE,
}


@pytest.mark.parametrize("phase", list(PhaseNumber), ids=named)
def test_a_controller_with_empty_hands_takes_up_what_the_row_says(phase):
    step = p.next_step(row(phase))

    if phase in FIRST_DEEDS:
        assert step == Step(FIRST_DEEDS[phase], 5, NONCE, 0)
    else:
        assert step == p.REST
    assert p.next_step(row(phase, armed=0)) == p.REST


def test_a_controller_walks_from_fencing_to_live():
    control = row(PhaseNumber.FENCING)
    deeds = []

    for value in (0, 41, 0, 0, 0):
        step = p.next_step(control)
        while step.deed not in p.COMMITS:
            deeds.append(step.deed)
            step = p.after(step, Answer.OK, value=value)
            value = 41
        deeds.append(step.deed)
        control = p.commit(control, step)
        if control.phase == PhaseNumber.LIVE:
            break

    assert deeds == [
        *(Deed.CLOSE_LEGACY, Deed.READ_DRAIN_POSITION, Deed.COMMIT_POSITION, Deed.DRAIN),
        *(Deed.VERIFY_CHANGED, Deed.COMMIT_VERIFIED, Deed.SEAL_LEGACY, Deed.FLIP),
    ]
    assert control == ControlRow(PhaseNumber.LIVE, OwnerNumber.CANONICAL, 6, 0, NONCE, 1)


def test_a_controller_walks_the_way_back_from_r_draining_to_syncing():
    control = row(PhaseNumber.R_DRAINING)
    phases = []

    while control.phase != PhaseNumber.SYNCING:
        control = p.commit(control, p.after(p.next_step(control), Answer.OK))
        phases.append(PhaseNumber(control.phase).name)

    assert phases == ["R_VERIFYING", "R_OPENING", "SYNCING"]
    assert (control.owner, control.epoch) == (OwnerNumber.LEGACY, 6)


def test_the_position_read_travels_to_its_commit_and_the_seal_to_its_flip():
    position = p.after(Step(Deed.READ_DRAIN_POSITION, 5, NONCE, 0), Answer.OK, value=41)
    sealed = p.after(Step(Deed.SEAL_LEGACY, 5, NONCE, 0), Answer.OK)

    assert position == Step(Deed.COMMIT_POSITION, 5, NONCE, 41)
    assert sealed == Step(Deed.FLIP, 5, NONCE, 5)


@pytest.mark.parametrize(
    ("deed", "answer", "then"),
    [
        (Deed.CLOSE_LEGACY, Answer.TOKEN_USED, Deed.ABORT),
        (Deed.CLOSE_LEGACY, Answer.OTHER_INCARNATION, Deed.ABORT),
        (Deed.CLOSE_LEGACY, Answer.NO_FENCE, Deed.ABORT),
        (Deed.CLOSE_LEGACY, Answer.ALREADY_SEALED, Deed.REST),
        (Deed.SEAL_LEGACY, Answer.LEASE_OR_TOKEN_LOST, Deed.ABORT),
        (Deed.SEAL_LEGACY, Answer.OTHER_INCARNATION, Deed.ABORT),
        (Deed.OPEN_LEGACY, Answer.OLD_TOKEN, Deed.REST),
        (Deed.VERIFY_CHANGED, Answer.DIFFERENT, Deed.COMMIT_DIFFERS),
        (Deed.VERIFY_REVERSE, Answer.DIFFERENT, Deed.COMMIT_ROLLED_DIFFERS),
    ],
)
def test_a_refusal_is_followed_by_an_abort_or_by_reading_the_row_again(deed, answer, then):
    assert p.after(Step(deed, 5, NONCE, 0), answer).deed == then


@pytest.mark.parametrize("deed", list(Deed), ids=named)
def test_an_uncertain_answer_is_never_followed_by_another_effect(deed):
    assert p.after(Step(deed, 5, NONCE, 0), Answer.UNCERTAIN) == p.REST


@pytest.mark.parametrize("deed", list(p.COMMITS), ids=lambda deed: Deed(deed).name)
def test_a_sleeper_commits_nothing_once_the_epoch_has_moved(deed):
    transition = p.COMMITS[deed]
    control = row(min(transition.sources), epoch=7)

    assert p.commit(control, Step(deed, 5, NONCE, 5)) is Refusal.EPOCH_MOVED


def test_the_readme_shows_the_table_of_transitions_as_it_is():
    text = README.read_text(encoding="utf-8")

    for t in p.TRANSITIONS:
        sources = "any" if len(t.sources) > 10 else ", ".join(source.name for source in sorted(t.sources))
        epoch = "+1" if t.epoch_step else "same"
        assert f"| {t.name} | {sources} | {t.target.name} | {epoch} | {t.meaning} |" in text
