"""The doors of a SQLite file, by triggers and by a closed window: they answer as the pure rules do, in any order."""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from connectors.sqlite_connection import place_of
from connectors.sqlite_fence import install_sqlite_fence, open_sqlite_fence
from cutover import door
from cutover.deeds import _answer_of
from cutover.door import Effect, Fence, Mode

CLOSURE = "48.cases"
TOKENS = st.integers(1, 4)
NONCES = [UUID(int=number) for number in (1, 2, 3)]
PAIRS = st.tuples(st.sampled_from(NONCES), st.sampled_from(NONCES))
LEASE = 60


class Door(RuleBasedStateMachine):
    """Any effects, in any order, beside a clock that may pass the lease at any moment."""

    path: Path
    kind = "triggers"

    @initialize()
    def begin(self):
        self.sql = open_sqlite_fence(self.path, CLOSURE, self.kind)
        state = self.sql.read()
        self.sql.open(99, nonce_old=state.nonce)
        self.set("mode = 'OPEN', token = 0, lease_until = null, nonce = ?", str(NONCES[0]))
        self.model = Fence(Mode.OPEN, 0, 0, NONCES[0].int)

    def set(self, what, *values):
        with closing(sqlite3.connect(place_of(self.path))) as base, base:
            base.execute(f"update banyan_fence set {what}", values)

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
        if self.kind == "triggers":  # a window has none: nothing ends
            self.set("lease_until = 1.0 where mode = 'CLOSED'")
            if self.model.mode == Mode.CLOSED:
                self.model = self.model._replace(lease_until=0)

    @rule()
    def somebody_writes(self):
        assert self.sql.probe("t") is not door.admits_legacy(self.model, clock=0)

    @invariant()
    def both_hold_the_same(self):
        if not hasattr(self, "sql"):
            return
        found = self.sql.read()
        said = (found.mode.value, found.token, found.nonce.int)
        assert said == (Mode(self.model.mode).name, self.model.token, self.model.nonce)
        assert found.is_shut is not door.admits_legacy(self.model, clock=0)


def run(tmp_path, kind, examples, steps):
    Door.path, Door.kind = tmp_path / "brigade.db", kind
    with closing(sqlite3.connect(Door.path)) as base, base:
        base.execute("create table t (id integer primary key, label text)")
        base.execute("insert into t values (1, 'x')")
    install_sqlite_fence(Door.path, CLOSURE, kind, ("t",))
    run_state_machine_as_test(
        Door,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("kind", ["triggers", "closed_window"])
def test_the_door_of_a_file_answers_as_the_pure_one_in_any_order(tmp_path, kind):
    run(tmp_path, kind, 6, 12)


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["triggers", "closed_window"])
def test_the_door_of_a_file_answers_as_the_pure_one_in_very_many_orders(tmp_path, kind):
    run(tmp_path, kind, 300, 40)
