"""The door of the legacy fence: what the pure rules decide is what the SQL on a real server decides, in any order."""

from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from connectors.postgresql_fence import install_fence, open_postgresql_fence
from cutover import door
from cutover.deeds import _answer_of
from cutover.door import Effect, Fence, Mode

pytestmark = pytest.mark.server

CLOSURE = "38.cases"
TOKENS = st.integers(1, 4)
NONCES = [UUID(int=number) for number in (1, 2, 3)]
PAIRS = st.tuples(st.sampled_from(NONCES), st.sampled_from(NONCES))
LEASE = 60


@pytest.fixture(scope="module")
def fenced(make_database):
    """A legacy database with one fenced table and an ordinary account."""
    url = make_database()
    plain = url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        for role in ("banyan_reader", "banyan_reverse", "banyan_guard", "orion_app"):
            if connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone() is None:
                connection.execute(f"create role {role} login noinherit")
        connection.execute("create schema orion")
        connection.execute("create table orion.t (id int primary key, label text)")
        connection.execute("insert into orion.t values (1, 'x')")
        connection.execute("grant usage on schema orion to orion_app; grant select, update on orion.t to orion_app")
    install_fence(url, CLOSURE, ("t",), schema="orion")
    yield url
    if Door._open is not None:
        Door._open[0].close()
        Door._open[1].disconnect()
        Door._open = None


class Door(RuleBasedStateMachine):
    """Any effects, in any order, beside a clock that may pass the lease at any moment."""

    url = ""
    _open: tuple | None = None  # one set of connections for all runs

    @initialize()
    def begin(self):
        if Door._open is None:
            place = self.url.replace("//postgres@", "//{}@")
            Door._open = (
                psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True),
                open_postgresql_fence(
                    place.format("banyan_guard"), CLOSURE, schema="orion", probe_url=place.format("orion_app")
                ),
            )
        self.admin, self.sql = Door._open
        self.admin.execute(
            "update banyan.fence set mode = 'OPEN', token = 0, lease_until = null, nonce = %s where closure = %s",
            (NONCES[0], CLOSURE),
        )
        self.model = Fence(Mode.OPEN, 0, 0, NONCES[0].int)

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
        self.admin.execute(
            "update banyan.fence set lease_until = clock_timestamp() - interval '1 s' where mode = 'CLOSED'"
        )
        if self.model.mode == Mode.CLOSED:
            self.model = self.model._replace(lease_until=0)

    @rule()
    def an_officer_writes(self):
        refused = self.sql.probe("t")
        assert refused is not door.admits_legacy(self.model, clock=0)

    @invariant()
    def both_hold_the_same(self):
        if not hasattr(self, "sql"):
            return
        found = self.sql.read()
        assert (found.mode.value, found.token, found.nonce.int) == (
            Mode(self.model.mode).name,
            self.model.token,
            self.model.nonce,
        )
        assert found.is_shut is not door.admits_legacy(self.model, clock=0)


def test_the_sql_door_answers_as_the_pure_one_in_any_order(fenced):
    Door.url = fenced
    run_state_machine_as_test(
        Door,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.torture
def test_the_sql_door_answers_as_the_pure_one_in_very_many_orders(fenced):
    Door.url = fenced
    run_state_machine_as_test(
        Door,
        settings=settings(
            max_examples=600, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


class Forgetful(Door):
    """The same machine with a model that never sees a lease end."""

    def the_lease_ends(self):
        model = self.model
        super().the_lease_ends()
        self.model = model


def test_a_model_that_forgets_the_lease_is_told_apart(fenced):
    """The comparison itself is tried: what differs in one condition does not pass."""
    Door.url = fenced
    forgetful = Forgetful()
    forgetful.begin()
    forgetful.close(1, (NONCES[0], NONCES[0]))
    forgetful.the_lease_ends()

    with pytest.raises(AssertionError):
        forgetful.seal(1, (NONCES[0], NONCES[0]))
