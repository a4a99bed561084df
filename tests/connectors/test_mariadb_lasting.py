"""Rows of a MariaDB that no transaction protects: written back one by one, marked in the log, tried out on a copy."""

import time
from pathlib import Path

import polars as pl
import pymysql
import pytest
from mariadbs import CLOSURE

from banyan.errors import LeaseLost, SourceDrifted
from banyan.lasting import LastingPort, LastingSession, RowSent
from banyan.ports import WriteBack, WrittenRows
from banyan.records import Origin, Position

pytestmark = pytest.mark.mariadb

TOKEN = 7
TABLE = """create table sorti (id int unsigned auto_increment primary key, texte varchar(20), rang smallint,
  etat enum('ouvert', 'clos'), maj datetime default null on update current_timestamp) engine = {engine}"""
STAMP = "create trigger tr_sorti before update on sorti for each row set new.maj = '2001-02-03 04:05:06'"


@pytest.fixture(params=["myisam", "aria"])
def engine(request):
    return request.param


@pytest.fixture
def sorti(marel, engine):
    """A table without transactions with three rows, and one with transactions, fenced and open; gives the nonce."""
    marel.run(
        TABLE.format(engine=engine),
        "insert into sorti (texte, rang) values ('un', 1), ('deux', 2), ('trois', 3)",
        "insert into dossier (id, note) values (1, 'a')",
    )
    return marel.install_fence("sorti", "dossier")


@pytest.fixture
def sealed(marel, sorti):
    with marel.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=60, nonce_old=sorti, nonce_new=sorti).accepted
        assert fence.seal(TOKEN, nonce_old=sorti).accepted
    return sorti


@pytest.fixture
def port(marel):
    with marel.port("log") as port:
        yield port


def rows(**columns):
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def texts(marel):
    return dict(marel.run("select id, texte from sorti order by id"))


def test_rows_are_inserted_updated_let_alone_and_deleted_one_by_one(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        sent = list(session.upsert_each("sorti", rows(id=["1", "2", "9"], texte=["UN", "deux", "neuf"])))
        removed = list(session.delete_each("sorti", ["3", "77"]))
        back = session.read_back("sorti", ["1", "2", "3", "9"])

    assert isinstance(session, LastingSession) and isinstance(port, LastingPort)
    assert (port.is_lasting("sorti"), port.is_lasting("dossier")) == (True, False)
    assert sent == [RowSent("1", is_changed=True), RowSent("2", is_changed=False), RowSent("9", is_changed=True)]
    assert removed == [RowSent("3", is_changed=True), RowSent("77", is_changed=False)]
    assert back["id"].to_list() == ["1", "2", "9"]
    assert texts(marel) == {1: "UN", 2: "deux", 9: "neuf"}
    assert "9" not in repr(sent[2])


def test_what_was_sent_stays_when_the_transaction_is_lost_and_a_repeated_sending_changes_nothing(marel, port, sealed):
    wanted = rows(id=["1", "9"], texte=["UN", "neuf"], etat=["clos", None])
    with pytest.raises(ZeroDivisionError), port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1"], note=["lost"]))
        list(session.upsert_each("sorti", wanted))
        session.set_position("38:LEGACY", Position("p"))
        raise ZeroDivisionError
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        again = session.upsert("sorti", wanted)

    assert texts(marel) == {1: "UN", 2: "deux", 3: "trois", 9: "neuf"}
    assert marel.run("select note from dossier") == [("a",)]
    assert port.reverse_position("38:LEGACY") is None
    assert again == WrittenRows(0, 0, 2)


def test_a_refused_row_is_named_by_its_key_and_the_others_are_written(marel, port, sealed):
    marel.run(
        "alter table sorti add constraint ck_rang check (rang < 100)",
        "create trigger tr_non before insert on sorti for each row begin if new.texte = 'NON' then"
        " signal sqlstate '45000' set message_text = 'SECRET'; end if; end",
        "create trigger tr_apres after update on sorti for each row begin if new.texte = 'APRES' then"
        " signal sqlstate '45000' set message_text = 'SECRET'; end if; end",
    )
    frame = rows(
        id=["1", "2", "3", "8", "9"], texte=["APRES", "deux", "x" * 21, "NON", "neuf"], rang=["1", "100", "3", "8", "9"]
    )
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        sent = list(session.upsert_each("sorti", frame))

    told = {one.key: (one.is_changed, one.refusal and one.refusal.facts["code"]) for one in sent}
    assert told == {"1": (True, 1644), "2": (False, 4025), "3": (False, 1406), "8": (False, 1644), "9": (True, None)}
    assert "SECRET" not in str([one.refusal for one in sent])
    assert texts(marel) == {1: "APRES", 2: "deux", 3: "trois", 9: "neuf"}


@pytest.mark.parametrize("way", ["log", "journal"])
def test_what_the_reverse_applier_writes_there_is_captured_as_a_route_and_the_rest_as_a_persons(marel, sealed, way):
    with marel.port(way, ("dossier", "sorti")) as port:
        port.install_capture(marel.url(), ["dossier", "sorti"])
        since = port.head()
        with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
            session.upsert("dossier", rows(id=["1"], note=["b"]))
            list(session.upsert_each("sorti", rows(id=["1", "2", "9"], texte=["A", "B", "C"])))
            list(session.delete_each("sorti", ["3"]))
        with marel.fence() as fence:
            fence.open(TOKEN + 1, nonce_old=sealed)
        marel.run("update sorti set texte = 'c' where id = 2", "insert into sorti (id) values (5)", account="marel_app")

        told = {(change.table, change.key): change.origin for change in port.changes(since)}

    assert told == {
        ("dossier", "1"): Origin.ROUTE, ("sorti", "1"): Origin.ROUTE, ("sorti", "2"): Origin.PERSON,
        ("sorti", "3"): Origin.ROUTE, ("sorti", "5"): Origin.PERSON, ("sorti", "9"): Origin.ROUTE,
    }  # fmt: skip


def test_nobody_else_can_leave_the_mark_of_the_reverse_applier(marel, port, sorti):
    home = f"banyan_{marel.schema}"
    with pytest.raises(pymysql.MySQLError, match="denied"):
        marel.run(f"select {home}.pass()", account="marel_app")
    marel.run(f"select {home}.pass()", account="banyan_reverse")  # outside a session it marks nothing

    assert marel.run(f"select turn from {home}.passed") == [(0,)]


def test_two_sessions_of_one_route_wait_for_each_other_and_the_late_one_writes_nothing(marel, port, sealed):
    route = "38.MAREL:LEGACY 38.cases"
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as first:
        first.hold_position(route, None, Position("p1"))
        with (
            pytest.raises(Exception, match="1205"),
            port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as second,
        ):
            second.hold_position(route, None, Position("p1"))
        list(first.upsert_each("sorti", rows(id=["1"], texte=["first"])))
    with (
        pytest.raises(LeaseLost, match="further"),
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as late,
    ):
        late.hold_position(route, None, Position("p1"))
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as third:
        third.hold_position(route, Position("p1"), Position("p2"))

    assert texts(marel)[1] == "first"
    assert port.reverse_position(route) == "p2"


def files_of(marel):
    folder = Path(marel.server.place.data) / marel.schema
    marel.run("flush tables sorti")
    found = sorted(path for path in folder.glob("sorti.*") if path.suffix in (".MYD", ".MYI", ".MAD", ".MAI"))
    return {path.name: path.read_bytes() for path in found}


def test_a_rehearsal_writes_a_copy_and_the_table_stays_byte_for_byte(marel, port, sorti):
    marel.run(STAMP, "alter table sorti add constraint ck_rang check (rang < 100)")
    before = files_of(marel)

    with port.rehearsal_session(CLOSURE, 0, nonce=sorti) as session:
        found = session.read_back("sorti", ["1"])
        same = session.upsert("sorti", found)
        done = session.upsert("sorti", rows(id=["2", "9"], texte=["DEUX", "neuf"]))
        removed = session.delete("sorti", ["3"])
        back = session.read_back("sorti", ["1", "2", "3", "9"])
        with pytest.raises(pymysql.MySQLError, match="ck_rang"):
            session.upsert("sorti", rows(id=["2"], rang=["100"]))
        assert not session.is_lasting("sorti")

    assert found["texte"].to_list() == ["un"]
    assert (same, done, removed) == (WrittenRows(0, 0, 1), WrittenRows(1, 1, 0), 1)
    assert dict(zip(back["id"], back["texte"], strict=True)) == {"1": "un", "2": "DEUX", "9": "neuf"}
    assert set(back["maj"]) == {None} or back.filter(pl.col("maj") == "2001-02-03 04:05:06").is_empty()
    assert files_of(marel) == before
    assert len(before) == 2


@pytest.fixture(params=["+00:00", "+05:30"])
def zone(marel, request):
    """The zone of a server: that of every session that asks for no other."""
    marel.run(f"set global time_zone = '{request.param}'", "select 1")
    yield
    marel.run("set global time_zone = 'SYSTEM'", "select 1")


@pytest.mark.usefixtures("zone")
def test_keys_are_reserved_without_the_table_being_taken_for_another_one(marel, sorti):
    with marel.port("journal", ("sorti",)) as port, marel.fence() as fence:
        port.install_capture(marel.url(), ["sorti"])
        since = port.head()
        marel.run("insert into sorti (texte) values ('before')", account="marel_app")
        time.sleep(1.1)  # the catalogue tells to the second when such a table was made

        reserved = port.reserve_keys("seq_sorti", 3)
        marel.run("insert into sorti (texte) values ('after')", account="marel_app")

        assert reserved == ["5", "6", "7"]
        assert fence.check_installed(["sorti"]) == []
        assert sorted(change.key for change in port.changes(since)) == ["4", "8"]
        time.sleep(1.1)
        marel.run("truncate sorti")
        assert {defect.table for defect in fence.check_installed(["sorti"])} == {"sorti"}
        with pytest.raises(SourceDrifted, match=r"sorti.*truncated"):
            port.changes(since)


def test_the_capabilities_say_how_such_a_table_goes_back(port, sorti):
    found = port.capabilities("sorti")

    assert (found.write_back, found.fence.kind, found.fence.waits_inflight) == (WriteBack.SQL, "online", True)
    assert "one by one" in found.note


def test_a_table_that_forgets_its_rows_is_never_written_back(marel, port):
    marel.run("create table oubli (id int primary key, texte varchar(20)) engine = memory")
    nonce = marel.install_fence("oubli")
    with (
        pytest.raises(SourceDrifted, match="MEMORY"),
        port.rehearsal_session(CLOSURE, 0, nonce=nonce) as session,
    ):
        session.upsert("oubli", rows(id=["1"], texte=["x"]))

    with marel.fence() as fence:
        assert [defect.table for defect in fence.check_installed(["oubli"])] == ["oubli"]
    assert port.capabilities("oubli").write_back is WriteBack.NONE
    assert port.count("oubli") == 0


def test_asking_the_fence_writes_nothing_whatever_the_triggers_of_the_old_system_do(marel, sorti):
    marel.run(STAMP)
    before = files_of(marel)
    with marel.fence() as fence:
        opened = fence.probe("sorti")
        assert fence.close(TOKEN, lease_seconds=60, nonce_old=sorti, nonce_new=sorti).accepted
        shut = fence.probe("sorti")
        fence.open(TOKEN + 1, nonce_old=sorti)
        marel.run("drop trigger aa_banyan_update_sorti")
        assert fence.close(TOKEN + 2, lease_seconds=60, nonce_old=sorti, nonce_new=sorti).accepted
        loose = fence.probe("sorti")

    assert (opened, shut, loose) == (False, True, False)
    assert files_of(marel) == before
    assert marel.run("select count(*) from sorti where maj is not null") == [(0,)]
