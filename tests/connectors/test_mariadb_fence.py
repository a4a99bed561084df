import threading
import time
from uuid import uuid4

import pymysql
import pytest
from mariadbs import CLOSURE

from banyan.config import SourceConfig
from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SwitchRefused, SwitchUncertain
from banyan.ports import FenceKind, FenceMode, Incremental, LegacyFence, LegacyPort
from connectors.fence_code import code_key, fence_code
from connectors.mariadb_connection import FENCED, ask
from connectors.mariadb_fence import find_mariadb_writers
from connectors.mariadb_fence_plan import keep_code_key, plan_fence, remove_fence
from connectors.open import open_fence, open_source

pytestmark = pytest.mark.mariadb

WRITES = (
    "insert into dossier (id) values (99)",
    "update dossier set note = 'z'",
    "delete from dossier",
    "insert into dossier (id) values (1) on duplicate key update note = 'z'",
    "replace into dossier (id) values (1)",
    "insert into dossier (id) select 98",
    "update dossier d join ligne l on l.id = d.id set d.note = 'z'",
    "delete d, l from dossier d join ligne l on l.id = d.id",
    "insert ignore into dossier (id) values (97)",
    "set statement foreign_key_checks = 0 for delete from ligne",
)


@pytest.fixture
def nonce(marel):
    marel.run("insert into dossier (id, note) values (1, 'a'), (2, 'b')", "insert into ligne values (1, 'A', 1, 'x')")
    return marel.install_fence()


@pytest.fixture
def fence(marel, nonce):
    with marel.fence(timeout_seconds=2) as fence:
        yield fence


def shut(fence, nonce, token=5, seconds=30):
    answer = fence.close(token, lease_seconds=seconds, nonce_old=nonce, nonce_new=nonce)
    assert answer.accepted, answer.reason
    return answer


def refused(marel, statement, *before, account="marel_app"):
    """Tell whether the fence refuses a statement; anything else is an error of the test."""
    with marel.connect(account, autocommit=False) as connection:
        for line in before:
            ask(connection, line)
        try:
            ask(connection, statement)
        except pymysql.MySQLError as error:
            assert error.args[0] == FENCED, error
            return True
        connection.rollback()
        return False


def waiting_in(marel, statement, *, seconds):
    """Wait until a connection has stood in a statement for a while; gives the numbers of those that do."""
    waiting = f"info like '%{marel.schema}%{statement}%' and time_ms > 300 and command = 'Query'"
    until = time.monotonic() + seconds
    found = []
    while not found and time.monotonic() < until:
        time.sleep(0.05)
        found = marel.run(f"select id from information_schema.processlist where {waiting} and id <> connection_id()")
    return [number for (number,) in found]


def test_a_new_fence_is_open_and_lets_everybody_write(marel, fence, nonce):
    assert [refused(marel, write) for write in WRITES] == [False] * len(WRITES)

    state = fence.read()
    assert (state.mode, state.token, state.nonce, state.lease_seconds) == (FenceMode.OPEN, 0, nonce, None)
    assert not state.is_shut
    assert fence.probe("dossier") is False
    assert fence.check_installed(["dossier", "ligne"]) == []
    with marel.port("journal") as port:
        assert port.capabilities("dossier").fence.kind is FenceKind.ONLINE
        assert port.capabilities("code").fence.kind is FenceKind.NONE


@pytest.mark.parametrize("is_sealed", [False, True], ids=["closed", "sealed"])
def test_a_shut_fence_refuses_every_kind_of_write_by_everybody(marel, fence, nonce, is_sealed):
    shut(fence, nonce)
    if is_sealed:
        assert fence.seal(5, nonce_old=nonce).accepted

    for account in ("marel_app", "root"):
        assert [refused(marel, write, account=account) for write in WRITES] == [True] * len(WRITES)
    hostile = (
        "set time_zone = '+13:00'", "set timestamp = 4102444800", "set sql_mode = ''", "set sql_mode = 'ORACLE'",
        "set foreign_key_checks = 0", "set session transaction isolation level read uncommitted",
        "set @banyan = 'x'", "create temporary table fence (closure text)", "use information_schema",
        "set autocommit = 1", "set session transaction isolation level serializable", "set names latin1",
    )  # fmt: skip
    marel.run(f"grant create temporary tables on {marel.schema}.* to marel_app@'%'")
    for line in hostile:
        assert refused(marel, f"delete from {marel.schema}.dossier", line), line
    assert marel.run("select id, note from dossier order by 1") == [(1, "a"), (2, "b")]
    assert fence.probe("dossier") is True
    assert fence.probe("ligne") is True
    assert fence.read().is_shut


def test_a_renamed_table_takes_its_fence_along_and_one_in_its_place_is_found(marel, fence, nonce):
    shut(fence, nonce)
    marel.run("rename table ligne to autre", "create table ligne like autre")
    marel.run("grant insert, delete on autre to marel_app@'%'")

    assert refused(marel, "delete from autre")
    assert {defect.table for defect in fence.check_installed(["dossier", "ligne"])} == {"ligne"}
    assert fence.probe("ligne") is False


def test_a_closed_fence_leaves_other_tables_alone(marel, fence, nonce):
    shut(fence, nonce)

    marel.run("insert into code values ('x', null)", account="marel_app")

    assert fence.probe("code") is False
    assert fence.probe("personne") is False


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


def test_a_lease_that_ended_lets_writers_in_and_can_be_neither_sealed_nor_renewed(marel, fence, nonce):
    shut(fence, nonce, seconds=1.5)
    assert refused(marel, WRITES[0])
    time.sleep(1.6)

    assert not refused(marel, WRITES[0])
    assert not fence.read().is_shut
    assert fence.probe("dossier") is False
    assert fence.seal(5, nonce_old=nonce).reason == "lease or token lost"
    assert fence.close(5, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).reason == "token used"
    assert fence.close(6, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted


def test_a_seal_that_waited_behind_a_writer_judges_the_lease_after_the_wait(marel, nonce):
    """A writer that entered after the lease ended holds the row: a conditional update would seal over its write."""
    with marel.fence(timeout_seconds=5) as fence:
        shut(fence, nonce, seconds=0.5)
        time.sleep(0.6)
        with marel.connect("marel_app", autocommit=False) as writer:
            ask(writer, WRITES[0])
            answers = []
            sealing = threading.Thread(target=lambda: answers.append(fence.seal(5, nonce_old=nonce)))
            sealing.start()
            time.sleep(0.3)
            waited = sealing.is_alive()
            writer.commit()
            sealing.join()

    assert waited
    assert answers[0].reason == "lease or token lost"


def test_a_close_waits_for_a_writer_in_flight_and_later_writers_are_refused(marel, nonce):
    with marel.fence(timeout_seconds=5) as fence, marel.connect("marel_app", autocommit=False) as writer:
        ask(writer, WRITES[0])
        closing = threading.Thread(target=shut, args=(fence, nonce))
        closing.start()
        waited = bool(waiting_in(marel, "for update", seconds=4))
        late = []
        arriving = threading.Thread(target=lambda: late.append(refused(marel, "delete from dossier")))
        arriving.start()
        time.sleep(0.2)
        writer.commit()
        closing.join()
        arriving.join()

        assert waited
        assert late == [True]
        assert fence.wait_in_flight(1) is True
        assert marel.run("select count(*) from dossier where id = 99") == [(1,)]


def test_a_close_behind_a_long_writer_gives_up_and_changes_nothing(marel, nonce):
    with marel.fence(timeout_seconds=1) as fence, marel.connect("marel_app", autocommit=False) as writer:
        ask(writer, WRITES[0])
        with pytest.raises(SourceUnavailable, match="1205"):
            shut(fence, nonce)
        in_flight = fence.wait_in_flight(1)
        writer.rollback()

        assert in_flight is False
        assert fence.read().mode is FenceMode.OPEN


def test_an_effect_whose_link_is_cut_is_uncertain_and_may_be_asked_again(marel, nonce):
    outcome = []

    def close(fence):
        try:
            shut(fence, nonce)
        except SwitchUncertain as error:
            outcome.append(error.facts)

    with marel.fence() as fence, marel.connect("marel_app", autocommit=False) as writer:
        ask(writer, WRITES[0])
        closing = threading.Thread(target=close, args=(fence,))
        closing.start()
        marel.run(*(f"kill {number}" for number in waiting_in(marel, "for update", seconds=4)))
        closing.join()
        writer.rollback()

        assert outcome == [{"closure": "38.cases", "token": 5}]
        assert shut(fence, nonce).reason == "closed"


def test_a_transaction_in_two_phases_counts_as_a_writer_in_flight(marel, fence, nonce):
    with marel.connect("marel_app") as writer:
        for line in ("xa start 'orphan'", WRITES[0], "xa end 'orphan'", "xa prepare 'orphan'"):
            ask(writer, line)
    in_flight = fence.wait_in_flight(1)
    marel.run("xa commit 'orphan'")

    assert in_flight is False
    assert fence.wait_in_flight(1) is True


@pytest.mark.parametrize("isolation", ["read uncommitted", "read committed", "repeatable read", "serializable"])
def test_a_writer_with_a_snapshot_from_before_the_close_is_refused(marel, fence, nonce, isolation):
    with marel.connect("marel_app", autocommit=False) as late:
        ask(late, f"set session transaction isolation level {isolation}")
        ask(late, "select count(*) from code")
        shut(fence, nonce)
        with pytest.raises(pymysql.MySQLError) as caught:
            ask(late, WRITES[0])

    assert caught.value.args[0] == FENCED


def test_a_nonce_is_renewed_and_the_old_one_no_longer_opens(fence, nonce):
    fresh = uuid4()
    shut(fence, nonce)

    assert fence.beat(5, nonce_old=nonce, nonce_new=fresh).accepted
    assert fence.beat(5, nonce_old=nonce, nonce_new=fresh).accepted
    assert fence.open(6, nonce_old=nonce).reason == "another incarnation"
    assert fence.read().nonce == fresh
    assert fence.read().mode is FenceMode.CLOSED


def test_only_the_guard_reaches_the_door_and_nobody_the_row(marel, nonce):
    home = f"banyan_{marel.schema}"
    effect = f"call {home}.effect('open', '38.cases', 9, 0, '{nonce}', '{nonce}')"
    admission = f"call {home}.admit_reverse('38.cases', 0, '{nonce}', true)"
    opening = f"update {home}.fence set mode = 'OPEN'"
    forged = f"insert into {home}.admitted values (connection_id(), '38.cases', 0, '{nonce}', true)"
    attempts = {
        "marel_app": [
            effect, admission, opening, forged, f"select * from {home}.fence", "drop trigger aa_banyan_insert_ligne"
        ],
        "banyan_reverse": [effect, f"delete from {home}.fence", forged, "truncate dossier"],
        "banyan_reader": [f"call {home}.wait_in_flight('38.cases')", opening],
        "banyan_guard": [opening, admission, forged],
    }  # fmt: skip
    for account, statements in attempts.items():
        for statement in statements:
            with (
                pytest.raises(pymysql.MySQLError) as caught,
                pymysql.connect(host="127.0.0.1", port=marel.server.port, user=account) as connection,
            ):
                ask(connection, statement.replace(" dossier", f" {marel.schema}.dossier").replace(
                    "trigger aa", f"trigger {marel.schema}.aa"))  # fmt: skip
            assert caught.value.args[0] in (1142, 1143, 1227, 1370, 1419), statement
    with (
        pytest.raises(pymysql.MySQLError) as caught,
        pymysql.connect(host="127.0.0.1", port=marel.server.port, user="banyan_owner"),
    ):
        pass
    assert caught.value.args[0] in (1045, 1698, 4151)


def test_parents_of_cascades_outside_the_closure_are_fenced_for_what_would_cascade(marel):
    marel.run("insert into chef values (1, 'a'), (2, 'b')", "insert into personne values (10, 'x', 1)")
    nonce = marel.install_fence("personne")
    with marel.fence() as fence:
        shut(fence, nonce)

        assert refused(marel, "delete from chef where id = 1")
        assert refused(marel, "update chef set id = 7 where id = 1")
        assert not refused(marel, "update chef set nom = 'z' where id = 1")
        assert not refused(marel, "insert into chef values (3, 'c')")
        assert fence.check_installed(["personne"]) == []
        marel.run("drop trigger `ab_banyan_delete_chef_38.cases`")
        assert {defect.table for defect in fence.check_installed(["personne"])} == {"chef"}


def test_a_cascade_that_came_after_the_fence_is_listed(marel, fence, nonce):
    marel.run(
        "create table parent (id int unsigned primary key)", "insert into parent values (1), (2)",
        "alter table dossier add constraint fk foreign key (id) references parent (id) on delete cascade",
    )  # fmt: skip

    problems = {defect.table: defect.problem for defect in fence.check_installed(["dossier", "ligne"])}

    assert "its cascades reach the closure" in problems["parent"]


def test_rights_that_no_trigger_stops_are_listed(marel, fence):
    marel.run(f"grant drop, alter on {marel.schema}.* to marel_app@'%'")

    problems = [defect.problem for defect in fence.check_installed(["dossier"])]

    assert problems == ["marel_app@% holds DROP, ALTER: no trigger fires for TRUNCATE, DROP and ALTER"]
    marel.run(f"revoke drop, alter on {marel.schema}.* from marel_app@'%'")


def test_rights_on_every_database_are_listed_and_their_accounts_seen_as_writers(marel, fence):
    marel.run("create user vendeur@'%'", "grant all on *.* to vendeur@'%'", "create user lecteur@'%'",
              "grant select, process on *.* to lecteur@'%'")  # fmt: skip
    try:
        problems = [defect.problem for defect in fence.check_installed(["dossier"])]
        with marel.connect("vendeur"), marel.connect("lecteur"):
            found = find_mariadb_writers(marel.url("banyan_guard"), ["dossier"], schema=marel.schema)
    finally:
        marel.run("drop user vendeur@'%', lecteur@'%'")

    assert problems == [
        "vendeur@% holds DROP, ALTER, TRIGGER everywhere: no trigger fires for TRUNCATE, DROP and ALTER"
    ]
    assert [(writer.account, writer.table) for writer in found] == [("vendeur", "dossier")]
    assert fence.check_installed(["dossier"]) == []


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        ("drop trigger aa_banyan_insert_ligne", "is missing"),
        ("create or replace trigger aa_banyan_update_ligne before update on ligne for each row set @x = 1",
         "is not the one"),
        ("truncate ligne", "truncated, rebuilt or made anew"),
        ("create or replace definer = banyan_owner@localhost procedure HOME.check_fence(c varchar(120)) sql security "
         "definer\nbegin end", "the routine check_fence"),
    ],
)  # fmt: skip
def test_a_fence_that_was_tampered_with_is_found_and_repaired_by_installing_it_again(marel, fence, sabotage, problem):
    marel.run(sabotage.replace("HOME", f"banyan_{marel.schema}"))
    found = fence.check_installed(["dossier", "ligne"])
    marel.install_fence()

    assert any(problem in defect.problem for defect in found), found
    assert fence.check_installed(["dossier", "ligne"]) == []


def test_a_table_without_transactions_is_refused_too(marel):
    marel.run("insert into vieux values (1, 'a')")
    nonce = marel.install_fence("vieux")
    with marel.fence() as fence, marel.port() as port:
        shut(fence, nonce)

        assert refused(marel, "insert into vieux values (2, 'b')")
        assert refused(marel, "update vieux set texte = 'z'")
        assert port.capabilities("vieux").fence.kind is FenceKind.ONLINE
    assert marel.run("select * from vieux") == [(1, "a")]


def test_an_empty_table_is_proved_by_its_triggers_and_its_fence(marel, fence, nonce):
    marel.run("delete from ligne")

    assert fence.probe("ligne") is False
    shut(fence, nonce)
    assert fence.probe("ligne") is True
    marel.run("drop trigger aa_banyan_insert_ligne")
    assert fence.probe("ligne") is False


def test_installing_again_keeps_the_state_and_another_closure_is_refused(marel, fence, nonce):
    shut(fence, nonce)

    assert marel.install_fence() == nonce
    assert fence.read().mode is FenceMode.CLOSED
    with pytest.raises(ConfigurationError, match=r"ligne already belongs to the closure 38\.cases"):
        marel.install_fence("ligne", closure="38.others")


def test_the_plan_shows_every_statement_and_changes_nothing(marel):
    plan = plan_fence("38.cases", ["dossier"], schema=marel.schema, keys=())

    assert sum("trigger" in line and "before" in line for line in plan) == 3
    assert marel.run(f"show databases like 'banyan_{marel.schema}'") == []


def test_the_sequences_that_count_keys_of_a_closure_are_granted_to_who_writes_back_and_no_others(marel):
    marel.run("create sequence seq_dossier start with 501", "create sequence seq_other start with 601")
    marel.install_fence()

    with marel.port() as port:
        assert port.reserve_keys("seq_dossier", 2) == ["501", "502"]
        with pytest.raises(SourceDrifted, match="no sequence that this account may use"):
            port.reserve_keys("seq_other", 1)


def test_a_fence_is_removed_only_while_open(marel, fence, nonce):
    shut(fence, nonce)
    with pytest.raises(SwitchRefused, match="is CLOSED"):
        remove_fence(marel.url(), "38.cases", schema=marel.schema)
    fence.open(6, nonce_old=nonce)

    remove_fence(marel.url(), "38.cases", schema=marel.schema)

    assert [row[0] for row in marel.run("show triggers")] == ["tr_maj"]
    with pytest.raises(ConfigurationError, match="no fence is installed"):
        fence.read()
    assert fence.close(7, lease_seconds=9, nonce_old=nonce, nonce_new=nonce).reason == "no fence for this closure"


def test_a_source_and_its_fence_are_opened_from_the_configuration(marel, nonce):
    source = SourceConfig(
        medium="mariadb",
        url=marel.url("banyan_reader"),
        schema=marel.schema,
        rules="rules",
        capture="log",
        fence_url=marel.url("banyan_guard"),
        admin_url=marel.url("marel_app"),
    )

    port, fence = open_source(source), open_fence(source, CLOSURE)

    assert isinstance(port, LegacyPort)
    assert isinstance(fence, LegacyFence)
    assert port.capabilities("dossier").incremental is Incremental.LOG
    assert (fence.read().token, fence.probe("dossier")) == (0, False)
    with pytest.raises(ConfigurationError, match="capture: snapshot, which remembers rows in a store"):
        open_source(source.model_copy(update={"capture": "snapshot"}))


def test_a_code_read_over_the_telephone_opens_the_fence_once(marel, fence, nonce):
    shut(fence, nonce)
    key = code_key(b"secret of the project", CLOSURE)
    keep_code_key(marel.url(), CLOSURE, key, schema=marel.schema)
    call = f"call banyan_{marel.schema}.open_by_code('{CLOSURE}', '{{}}')"
    right, old = fence_code(key, CLOSURE, 6, nonce), fence_code(key, CLOSURE, 5, nonce)

    wrong = marel.run(call.format(right[:-1] + ("0" if right[-1] != "0" else "1")))
    opened = marel.run(call.format(right.upper()))
    late = marel.run(call.format(old))

    assert (wrong, opened) == ([("refused: this is no code of this closure",)], [("opened",)])
    assert late == [("refused: this code is old",)]
    assert (fence.read().mode, fence.read().token) == (FenceMode.OPEN, 6)
    with pytest.raises(pymysql.MySQLError):
        marel.run(call.format(right), account="marel_app")


def test_accounts_that_are_connected_and_may_write_are_seen(marel, nonce):
    with marel.connect("marel_app"):
        found = find_mariadb_writers(marel.url("banyan_guard"), ["dossier", "ligne"], schema=marel.schema)

    assert [(writer.account, writer.table) for writer in found] == [("marel_app", "dossier"), ("marel_app", "ligne")]
