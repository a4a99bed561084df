import threading
import time
from uuid import uuid4

import psycopg
import pytest

from banyan.errors import ConfigurationError, SourceUnavailable, SwitchRefused, SwitchUncertain
from banyan.ports import FenceMode
from connectors.postgresql_fence import plan_fence, remove_fence

pytestmark = pytest.mark.server

REFUSED = psycopg.errors.ObjectInUse
WRITES = (
    "insert into orion.t_dossier (id_dossier) values (99)",
    "update orion.t_dossier set note = 'z'",
    "update orion.t_dossier set note = 'z' where false",
    "delete from orion.t_dossier",
    "insert into orion.t_dossier (id_dossier) values (1) on conflict (id_dossier) do update set note = 'z'",
    "truncate orion.t_dossier",
    "merge into orion.t_dossier t using (values (1)) s (k) on t.id_dossier = s.k when matched then delete",
    "with gone as (delete from orion.t_dossier returning *) "
    "insert into orion.t_ligne select id_dossier, 'A', 1 from gone",
)


@pytest.fixture
def nonce(legacy):
    legacy.run("insert into orion.t_dossier (id_dossier, note) values (1, 'a'), (2, 'b')")
    return legacy.install_fence()


@pytest.fixture
def fence(legacy, nonce):
    with legacy.fence(timeout_seconds=2) as fence:
        yield fence


def shut(fence, nonce, token=5, seconds=30):
    answer = fence.close(token, lease_seconds=seconds, nonce_old=nonce, nonce_new=nonce)
    assert answer.accepted, answer.reason
    return answer


def test_a_new_fence_is_open_and_lets_everybody_write(legacy, fence, nonce):
    for write in WRITES:
        with legacy.connect("orion_app", autocommit=False) as connection:
            connection.execute(write)
            connection.rollback()

    state = fence.read()
    assert (state.mode, state.token, state.nonce, state.lease_seconds) == (FenceMode.OPEN, 0, nonce, None)
    assert not state.is_shut
    assert fence.probe("t_dossier") is False
    assert fence.check_installed(["t_dossier", "t_ligne"]) == []


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_a_shut_fence_refuses_every_kind_of_write_by_everybody(legacy, fence, nonce, is_sealed):
    shut(fence, nonce)
    if is_sealed:
        assert fence.seal(5, nonce_old=nonce).accepted

    for role in ("orion_app", "postgres"):
        for write in WRITES:
            with pytest.raises(REFUSED):
                legacy.run(write, role=role)
    with legacy.connect() as connection:
        connection.execute("set session_replication_role = replica")
        with pytest.raises(REFUSED):
            connection.execute(WRITES[0])
    with legacy.connect() as connection:
        connection.execute("set role banyan_reverse")
        with pytest.raises(REFUSED):
            connection.execute("update orion.t_ligne set texte = 'z'")
    with (
        legacy.connect("orion_app") as connection,
        pytest.raises(REFUSED),
        connection.cursor().copy("copy orion.t_dossier (id_dossier) from stdin") as copy,
    ):
        copy.write_row(("77",))
    with legacy.connect("orion_app") as connection:
        connection.execute("set banyan.closure = '38.cases'")
        connection.execute("set banyan.token = '5'")
        connection.execute(f"set banyan.nonce = '{nonce}'")
        connection.execute("create temp table fence (closure text, mode text)")
        connection.execute("set search_path = pg_temp, orion")
        with pytest.raises(REFUSED):
            connection.execute("delete from orion.t_dossier")

    assert legacy.run("select id_dossier::int, note from orion.t_dossier order by 1") == [(1, "a"), (2, "b")]
    assert fence.probe("t_dossier") is True
    assert fence.read().is_shut


def test_a_closed_fence_leaves_other_tables_alone(legacy, fence, nonce):
    shut(fence, nonce)

    legacy.run("insert into orion.t_code values ('x', null)", role="orion_app")

    assert fence.probe("t_code") is False


def test_the_answers_of_the_door_to_old_and_repeated_effects(fence, nonce):
    other = uuid4()
    assert shut(fence, nonce, 5).lease_seconds == pytest.approx(30, abs=10)

    answers = [
        fence.seal(4, nonce_old=nonce),
        fence.close(4, lease_seconds=30, nonce_old=nonce, nonce_new=nonce),
        fence.close(5, lease_seconds=60, nonce_old=nonce, nonce_new=nonce),
        fence.seal(5, nonce_old=other),
        fence.seal(5, nonce_old=nonce),
        fence.seal(5, nonce_old=nonce),
        fence.close(5, lease_seconds=1, nonce_old=nonce, nonce_new=nonce),
        fence.open(4, nonce_old=nonce),
        fence.open(5, nonce_old=other),
        fence.beat(4, nonce_old=nonce, nonce_new=nonce),
        fence.open(6, nonce_old=nonce),
        fence.close(5, lease_seconds=30, nonce_old=nonce, nonce_new=nonce),
        fence.seal(6, nonce_old=nonce),
        fence.close(6, lease_seconds=30, nonce_old=nonce, nonce_new=nonce),
    ]

    assert [(answer.accepted, answer.reason) for answer in answers] == [
        (False, "lease or token lost"),
        (False, "old token"),
        (True, "closed"),
        (False, "another incarnation"),
        (True, "sealed"),
        (True, "sealed"),
        (True, "already sealed"),
        (False, "old token"),
        (False, "another incarnation"),
        (False, "another token"),
        (True, "opened"),
        (False, "old token"),
        (False, "lease or token lost"),
        (False, "token used"),
    ]
    assert answers[2].lease_seconds == pytest.approx(60, abs=10)
    assert (fence.read().mode, fence.read().token) == (FenceMode.OPEN, 6)


def test_a_seal_is_never_downgraded_by_a_late_close(legacy, fence, nonce):
    shut(fence, nonce)
    fence.seal(5, nonce_old=nonce)

    fence.close(5, lease_seconds=0.1, nonce_old=nonce, nonce_new=nonce)
    time.sleep(0.2)

    assert fence.read().mode is FenceMode.SEALED
    with pytest.raises(REFUSED):
        legacy.run(WRITES[0], role="orion_app")


def test_a_lease_that_ended_lets_writers_in_and_can_be_neither_sealed_nor_renewed(legacy, fence, nonce):
    shut(fence, nonce, seconds=2)
    with pytest.raises(REFUSED):
        legacy.run(WRITES[0], role="orion_app")
    time.sleep(2.1)

    legacy.run(WRITES[0], role="orion_app")

    assert not fence.read().is_shut
    assert fence.probe("t_dossier") is False
    assert fence.seal(5, nonce_old=nonce).reason == "lease or token lost"
    assert fence.close(5, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).reason == "token used"
    assert fence.close(6, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted


def test_a_seal_that_waited_behind_a_writer_judges_the_lease_after_the_wait(legacy, nonce):
    """A writer that entered after the lease ended holds the row: a conditional update would seal over its write."""
    with legacy.fence(timeout_seconds=5) as fence:
        shut(fence, nonce, seconds=0.5)
        time.sleep(0.6)
        with legacy.connect("orion_app", autocommit=False) as writer:
            writer.execute(WRITES[0])
            answers = []
            sealing = threading.Thread(target=lambda: answers.append(fence.seal(5, nonce_old=nonce)))
            sealing.start()
            time.sleep(0.3)
            waited = sealing.is_alive()
            writer.commit()
            sealing.join()

    assert waited
    assert answers[0].reason == "lease or token lost"


def test_a_seal_asked_in_time_is_refused_when_its_wait_outlasts_the_lease(legacy, nonce):
    with legacy.fence(timeout_seconds=5) as fence:
        shut(fence, nonce, seconds=0.6)
        with legacy.connect(autocommit=False) as holder:
            holder.execute("select 1 from banyan.fence for share")
            answers = []
            sealing = threading.Thread(target=lambda: answers.append(fence.seal(5, nonce_old=nonce)))
            sealing.start()
            time.sleep(0.9)
            holder.commit()
            sealing.join()

    assert answers[0].accepted is False


def test_a_close_waits_for_a_writer_in_flight_and_later_writers_are_refused(legacy, nonce):
    with legacy.fence(timeout_seconds=5) as fence, legacy.connect("orion_app", autocommit=False) as writer:
        writer.execute(WRITES[0])
        closing = threading.Thread(target=shut, args=(fence, nonce))
        closing.start()
        time.sleep(0.3)
        waited = closing.is_alive()
        writer.commit()
        closing.join()
        with pytest.raises(REFUSED):
            legacy.run("delete from orion.t_dossier", role="orion_app")

        assert waited
        assert fence.wait_in_flight(1) is True
        assert legacy.run("select count(*) from orion.t_dossier where id_dossier = 99") == [(1,)]


def test_a_close_behind_a_long_writer_gives_up_and_changes_nothing(legacy, nonce):
    with legacy.fence(timeout_seconds=0.2) as fence, legacy.connect("orion_app", autocommit=False) as writer:
        writer.execute(WRITES[0])
        with pytest.raises(SourceUnavailable, match="55P03"):
            shut(fence, nonce)
        in_flight = fence.wait_in_flight(0.1)
        writer.rollback()

        assert in_flight is False
        assert fence.read().mode is FenceMode.OPEN


def test_an_effect_whose_link_is_cut_is_uncertain_and_may_be_asked_again(legacy, nonce):
    outcome = []

    def close(fence):
        try:
            shut(fence, nonce)
        except SwitchUncertain as error:
            outcome.append(error.facts)

    with legacy.fence() as fence, legacy.connect("orion_app", autocommit=False) as writer:
        writer.execute(WRITES[0])
        closing = threading.Thread(target=close, args=(fence,))
        closing.start()
        legacy.cut_when_waiting("banyan_guard")
        closing.join()
        writer.rollback()

        assert outcome == [{"closure": "38.cases", "token": 5}]
        assert shut(fence, nonce).reason == "closed"


def test_a_prepared_transaction_counts_as_a_writer_in_flight(legacy, fence, nonce):
    with legacy.connect("orion_app", autocommit=False) as writer:
        writer.execute(WRITES[0])
        writer.execute("prepare transaction 'orphan'")
        in_flight = fence.wait_in_flight(0.1)
    legacy.run("commit prepared 'orphan'")

    assert in_flight is False
    assert fence.wait_in_flight(0.5) is True


@pytest.mark.parametrize(
    ("isolation", "error"),
    [
        ("read committed", REFUSED),
        ("repeatable read", psycopg.errors.SerializationFailure),
        ("serializable", psycopg.errors.SerializationFailure),
    ],
)
def test_a_writer_with_a_snapshot_from_before_the_close_is_refused(legacy, fence, nonce, isolation, error):
    with legacy.connect("orion_app", autocommit=False) as late:
        late.execute(f"set transaction isolation level {isolation}")
        late.execute("select count(*) from orion.t_dossier")
        shut(fence, nonce)
        with pytest.raises(error):
            late.execute(WRITES[0])


def test_a_writer_that_arrives_while_a_close_commits_waits_and_is_refused(legacy, fence, nonce):
    outcome = []

    def write():
        try:
            legacy.run(WRITES[0], role="orion_app")
        except psycopg.Error as error:
            outcome.append(type(error))

    with legacy.connect("banyan_guard", autocommit=False) as guard:
        guard.execute("select banyan.effect('close', '38.cases', 5, 30, %s, %s)", (nonce, nonce))
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(0.2)
        waited = writer.is_alive()
        guard.commit()
        writer.join()

    assert waited
    assert outcome == [REFUSED]


def test_a_nonce_is_renewed_and_the_old_one_no_longer_opens(fence, nonce):
    fresh = uuid4()
    shut(fence, nonce)

    assert fence.beat(5, nonce_old=nonce, nonce_new=fresh).accepted
    assert fence.beat(5, nonce_old=nonce, nonce_new=fresh).accepted
    assert fence.open(6, nonce_old=nonce).reason == "another incarnation"
    assert fence.read().nonce == fresh
    assert fence.read().mode is FenceMode.CLOSED


def test_only_the_guard_reaches_the_door_and_nobody_the_row(legacy, nonce):
    effect = "select banyan.effect('open', '38.cases', 9, 0, null, null)"
    admission = "select banyan.admit_reverse('38.cases', 0, null, true)"
    opening = "update banyan.fence set mode = 'OPEN'"
    attempts = {
        "orion_app": [effect, admission, opening, "select * from banyan.fence"],
        "banyan_reverse": [effect, "delete from banyan.fence", "truncate orion.t_dossier"],
        "banyan_reader": ["select banyan.wait_in_flight('38.cases')", opening],
        "banyan_guard": [opening, admission, "delete from banyan.fenced", "select * from orion.t_dossier"],
    }

    for role, statements in attempts.items():
        for attempt in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                legacy.run(attempt, role=role)


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        ("alter table orion.t_ligne disable trigger aa_banyan", "disabled"),
        ("alter table orion.t_ligne enable trigger aa_banyan", "not enabled for every session"),
        ("drop trigger aa_banyan on orion.t_ligne", "missing"),
        ("alter table orion.t_ligne rename to t_a; create table orion.t_ligne (like orion.t_a)", "another table"),
        ("drop table orion.t_ligne", "no table of this name"),
        (
            "create or replace trigger aa_banyan before insert on orion.t_ligne "
            "for each statement execute function banyan.check_fence('38.cases'); "
            "alter table orion.t_ligne enable always trigger aa_banyan",
            "not the one that was installed",
        ),
        (
            "create or replace trigger aa_banyan before insert or update or delete or truncate on orion.t_ligne "
            "for each statement execute function banyan.check_fence('75.cases'); "
            "alter table orion.t_ligne enable always trigger aa_banyan",
            "not the one that was installed",
        ),
        (
            "create or replace function banyan.check_fence() returns trigger language plpgsql security definer "
            "set search_path = pg_catalog, pg_temp as 'begin return null; end'",
            "check_fence is not the one",
        ),
        ("alter function banyan.effect security invoker", "effect is not"),
        ("create table orion.t_fille () inherits (orion.t_ligne)", "child table has no trigger"),
    ],
)
def test_a_fence_that_was_tampered_with_is_found(legacy, fence, sabotage, problem):
    assert fence.check_installed(["t_dossier", "t_ligne"]) == []

    legacy.run(sabotage)

    found = fence.check_installed(["t_dossier", "t_ligne"])
    assert any(problem in defect.problem for defect in found), found
    assert {defect.table for defect in found} <= {"t_ligne", ""}


def test_installing_again_repairs_and_keeps_the_state(legacy, fence, nonce):
    shut(fence, nonce)
    legacy.run("drop trigger aa_banyan on orion.t_ligne")

    again = legacy.install_fence()

    assert again == nonce
    assert fence.check_installed(["t_dossier", "t_ligne"]) == []
    assert fence.read().is_shut
    assert fence.probe("t_ligne") is True


def test_a_table_belongs_to_one_closure(legacy, fence, nonce):
    with pytest.raises(ConfigurationError, match=r"t_ligne already belongs to the closure 38\.cases"):
        legacy.install_fence("t_ligne", closure="38.vehicles")

    assert fence.check_installed(["t_dossier", "t_ligne"]) == []
    assert legacy.run("select closure from banyan.fence") == [("38.cases",)]


def test_installing_waits_for_running_writers_only_so_long(legacy):
    with legacy.connect("orion_app", autocommit=False) as writer:
        writer.execute(WRITES[0])
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="55P03"):
            legacy.install_fence()

    assert 4 < time.monotonic() - started < 30
    assert legacy.run("select to_regnamespace('banyan')") == [(None,)]


def test_a_database_whose_strings_are_those_of_thirty_years_ago_has_a_sound_fence(legacy):
    legacy.run(f"alter database {legacy.address.database} set standard_conforming_strings = off")
    nonce = legacy.install_fence()

    with legacy.fence() as fence:
        assert fence.check_installed(["t_dossier", "t_ligne"]) == []
        assert fence.close(5, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted


def test_the_plan_shows_every_statement_and_changes_nothing(legacy):
    plan = plan_fence("38.cases", ["t_dossier"], schema="orion", children={"t_dossier": [("orion", "t_un")]})

    assert any("before insert or update or delete or truncate" in line for line in plan)
    assert [line for line in plan if "enable always trigger aa_banyan" in line] == [
        'alter table "orion"."t_dossier" enable always trigger aa_banyan',
        'alter table "orion"."t_un" enable always trigger aa_banyan',
    ]
    assert legacy.run("select to_regnamespace('banyan')") == [(None,)]


def test_a_fence_is_removed_only_while_open(legacy, fence, nonce):
    shut(fence, nonce)
    with pytest.raises(SwitchRefused, match="is CLOSED"):
        remove_fence(legacy.url(), "38.cases")
    fence.open(6, nonce_old=nonce)

    remove_fence(legacy.url(), "38.cases")

    assert legacy.run("select count(*) from pg_trigger where tgname = 'aa_banyan'") == [(0,)]
    with pytest.raises(ConfigurationError, match="no fence is installed"):
        fence.read()
    assert fence.close(7, lease_seconds=9, nonce_old=nonce, nonce_new=nonce).reason == "no fence for this closure"


def test_a_probe_that_proves_nothing_is_not_a_refusal(legacy, fence, nonce):
    shut(fence, nonce)
    legacy.run("revoke update on orion.t_ligne from orion_app")

    with pytest.raises(ConfigurationError, match="lacks a right"):
        fence.probe("t_ligne")
    with pytest.raises(ConfigurationError, match="not seen by the probing account"):
        fence.probe("t_absent")
