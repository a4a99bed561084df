"""The door of the fence of a legacy MariaDB: it answers as the pure rules do, in any order of effects."""

from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cutover import door
from cutover.deeds import _answer_of
from cutover.door import Effect, Fence, Mode

pytestmark = pytest.mark.mariadb

TOKENS = st.integers(1, 4)
NONCES = [UUID(int=number) for number in (1, 2, 3)]
PAIRS = st.tuples(st.sampled_from(NONCES), st.sampled_from(NONCES))
LEASE = 60


class Door(RuleBasedStateMachine):
    """Any effects, in any order, beside a clock that may pass the lease at any moment."""

    place: tuple  # the legacy database, and its fence

    @initialize()
    def begin(self):
        self.legacy, self.sql = self.place
        self.set(f"mode = 'OPEN', token = 0, lease_until = null, nonce = '{NONCES[0]}'")
        self.model = Fence(Mode.OPEN, 0, 0, NONCES[0].int)

    def set(self, what, where="true"):
        self.legacy.run(f"update banyan_{self.legacy.schema}.fence set {what} where {where}")

    def ask(self, what, token, nonces, answer):
        said = (nonces[0].int, nonces[1].int)
        self.model, expected = door.effect(self.model, what, token=token, clock=0, lease=LEASE, nonces=said)
        assert _answer_of(what, answer) is expected, (what, token, nonces)

    @rule(token=TOKENS, nonces=PAIRS)
    def close(self, token, nonces):
        answer = self.sql.close(token, lease_seconds=LEASE, nonce_old=nonces[0], nonce_new=nonces[1])
        self.ask(Effect.CLOSE, token, nonces, answer)

    @rule(token=TOKENS, nonces=PAIRS)
    def seal(self, token, nonces):
        self.ask(Effect.SEAL, token, nonces, self.sql.seal(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule(token=TOKENS, nonces=PAIRS)
    def open(self, token, nonces):
        self.ask(Effect.OPEN, token, nonces, self.sql.open(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule(token=TOKENS, nonces=PAIRS)
    def beat(self, token, nonces):
        self.ask(Effect.BEAT, token, nonces, self.sql.beat(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule()
    def the_lease_ends(self):
        self.set("lease_until = '2000-01-01'", "mode = 'CLOSED'")
        if self.model.mode == Mode.CLOSED:
            self.model = self.model._replace(lease_until=0)

    @rule()
    def an_officer_writes(self):
        assert self.sql.probe("dossier") is not door.admits_legacy(self.model, clock=0)

    @invariant()
    def both_hold_the_same(self):
        if not hasattr(self, "sql"):
            return
        found = self.sql.read()
        held = (self.model.token, self.model.nonce)
        assert (found.mode.value, found.token, found.nonce.int) == (Mode(self.model.mode).name, *held)
        assert found.is_shut is not door.admits_legacy(self.model, clock=0)


def run(marel, *, examples: int, steps: int) -> None:
    marel.install_fence()
    with marel.fence() as fence:
        Door.place = (marel, fence)
        every = list(HealthCheck)
        run_state_machine_as_test(
            Door,
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=every
            ),
        )


def test_the_door_of_a_mariadb_answers_as_the_pure_one_in_any_order(marel):
    run(marel, examples=15, steps=12)


@pytest.mark.torture
def test_the_door_of_a_mariadb_answers_as_the_pure_one_in_very_many_orders(marel):
    run(marel, examples=300, steps=40)
