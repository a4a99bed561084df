"""The door of the legacy fence on every store: what the pure rules decide, the real one decides, in any order."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from connectors.mariadb_connection import ask
from connectors.postgresql_fence import install_fence, open_postgresql_fence
from connectors.sqlite_connection import place_of
from connectors.sqlite_fence import install_sqlite_fence, open_sqlite_fence
from cutover import door
from cutover.deeds import _answer_of
from cutover.door import Effect, Fence, Mode

CLOSURE = "38.cases"
TOKENS = st.integers(1, 4)
NONCES = [UUID(int=number) for number in (1, 2, 3)]
PAIRS = st.tuples(st.sampled_from(NONCES), st.sampled_from(NONCES))
LEASE = 60
STORES = [
    pytest.param("postgresql", marks=pytest.mark.server),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
    "triggers",
    "closed_window",
]
EXAMPLES = {"postgresql": 25, "mariadb": 8}


@dataclass(frozen=True)
class Place:
    """One fenced table: its door, and the hand of an administrator on the row of its fence."""

    door: Any
    table: str
    set: Callable[[str], object]
    """Writes the row of the fence: `mode = 'OPEN' where ...`."""
    past: str = "'2000-01-01'"
    has_lease: bool = True


def on_postgresql(make_database):
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
    named = url.replace("//postgres@", "//{}@")
    opened = open_postgresql_fence(
        named.format("banyan_guard"), CLOSURE, schema="orion", probe_url=named.format("orion_app")
    )
    with psycopg.connect(plain, autocommit=True) as admin:
        yield Place(opened, "t", lambda what: admin.execute(f"update banyan.fence set {what}"))
    opened.disconnect()


def on_mariadb(marel):
    marel.install_fence()
    with marel.fence() as opened, marel.connect() as admin:
        yield Place(opened, "dossier", lambda what: ask(admin, f"update banyan_{marel.schema}.fence set {what}"))


def on_a_file(path, kind):
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t (id integer primary key, label text)")
        base.execute("insert into t values (1, 'x')")
    install_sqlite_fence(path, CLOSURE, kind, ("t",))

    def write(what):
        with closing(sqlite3.connect(place_of(path))) as base, base:
            base.execute(f"update banyan_fence set {what}")

    yield Place(open_sqlite_fence(path, CLOSURE, kind), "t", write, past="1.0", has_lease=kind == "triggers")


@pytest.fixture
def place(request, store):
    """The fenced table of a store."""
    match store:
        case "postgresql":
            yield from on_postgresql(request.getfixturevalue("make_database"))
        case "mariadb":
            yield from on_mariadb(request.getfixturevalue("marel"))
        case _:
            yield from on_a_file(request.getfixturevalue("tmp_path") / "brigade.db", store)


class Door(RuleBasedStateMachine):
    """Any effects, in any order, beside a clock that may pass the lease at any moment."""

    place: Place

    @initialize()
    def begin(self):
        self.real = self.place.door
        self.real.open(99, nonce_old=self.real.read().nonce)  # a file that stands aside goes back to its place
        self.place.set(f"mode = 'OPEN', token = 0, lease_until = null, nonce = '{NONCES[0]}'")
        self.model = Fence(Mode.OPEN, 0, 0, NONCES[0].int)

    def ask(self, what, token, nonces, answer):
        said = (nonces[0].int, nonces[1].int)
        self.model, expected = door.effect(self.model, what, token=token, clock=0, lease=LEASE, nonces=said)
        assert _answer_of(what, answer) is expected, (what, token, nonces)

    @rule(token=TOKENS, nonces=PAIRS)
    def close(self, token, nonces):
        answer = self.real.close(token, lease_seconds=LEASE, nonce_old=nonces[0], nonce_new=nonces[1])
        self.ask(Effect.CLOSE, token, nonces, answer)

    @rule(token=TOKENS, nonces=PAIRS)
    def seal(self, token, nonces):
        self.ask(Effect.SEAL, token, nonces, self.real.seal(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule(token=TOKENS, nonces=PAIRS)
    def open(self, token, nonces):
        self.ask(Effect.OPEN, token, nonces, self.real.open(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule(token=TOKENS, nonces=PAIRS)
    def beat(self, token, nonces):
        self.ask(Effect.BEAT, token, nonces, self.real.beat(token, nonce_old=nonces[0], nonce_new=nonces[1]))

    @rule()
    def the_lease_ends(self):
        if not self.place.has_lease:  # nothing ends
            return
        self.place.set(f"lease_until = {self.place.past} where mode = 'CLOSED'")
        if self.model.mode == Mode.CLOSED:
            self.model = self.model._replace(lease_until=0)

    @rule()
    def somebody_writes(self):
        assert self.real.probe(self.place.table) is not door.admits_legacy(self.model, clock=0)

    @invariant()
    def both_hold_the_same(self):
        if not hasattr(self, "real"):
            return
        found = self.real.read()
        held = (self.model.token, self.model.nonce)
        assert (found.mode.value, found.token, found.nonce.int) == (Mode(self.model.mode).name, *held)
        assert found.is_shut is not door.admits_legacy(self.model, clock=0)


def run(place, *, examples, steps):
    Door.place = place
    every = list(HealthCheck)
    limits = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=every)
    run_state_machine_as_test(Door, settings=limits)


@pytest.mark.parametrize("store", STORES)
def test_the_real_door_answers_as_the_pure_one_in_any_order(place, store):
    run(place, examples=EXAMPLES.get(store, 6), steps=12)


@pytest.mark.torture
@pytest.mark.parametrize("store", STORES)
def test_the_real_door_answers_as_the_pure_one_in_very_many_orders(place, store):
    run(place, examples=300, steps=40)


class Forgetful(Door):
    """The same machine with a model that never sees a lease end."""

    def the_lease_ends(self):
        model = self.model
        super().the_lease_ends()
        self.model = model


@pytest.mark.parametrize("store", [store for store in STORES if store != "closed_window"])
def test_a_model_that_forgets_the_lease_is_told_apart(place):
    """The comparison itself is tried: what differs in one condition does not pass."""
    Door.place = place
    forgetful = Forgetful()
    forgetful.begin()
    forgetful.close(1, (NONCES[0], NONCES[0]))
    forgetful.the_lease_ends()

    with pytest.raises(AssertionError):
        forgetful.seal(1, (NONCES[0], NONCES[0]))
