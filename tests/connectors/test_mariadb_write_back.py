from uuid import uuid4

import polars as pl
import pymysql
import pytest

from banyan.errors import BanyanError, ConfigurationError, RowRefused, SourceDrifted, StoreFenced
from banyan.ports import ReverseSession, WrittenRows
from banyan.records import KEY_SEPARATOR, KeyRange, Origin, Position
from connectors.mariadb import open_mariadb

pytestmark = pytest.mark.mariadb

TOKEN = 7
CLOSURE = "38.cases"


@pytest.fixture
def sealed(marel):
    """Rows 1 to 3, the fence sealed under token 7; gives its nonce."""
    marel.run(
        "insert into dossier (id, numero, libelle, montant, note) values (1, '00001/2019', 'UN', 1.50, ''), "
        "(2, '00002/2019', 'DEUX', 2, null), (3, null, null, 0, ' ')"
    )
    nonce = marel.install_fence()
    with marel.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


@pytest.fixture
def port(marel):
    with marel.port("log") as port:
        yield port


def rows(**columns):
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def cell(marel, key, column):
    return marel.run(f"select cast({column} as char) from dossier where id = {key}")[0][0]


def test_rows_are_inserted_updated_or_left_alone_and_only_the_columns_given(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        written = session.upsert(
            "dossier",
            rows(
                id=["1", "2", "3", "4"],
                numero=["00001/2020", "00002/2019", None, "00004/2026"],
                montant=["1.50", "2.25", "0.00", "4"],
            ),
        )

    assert isinstance(session, ReverseSession)
    assert written == WrittenRows(inserted=1, updated=2, untouched=1)
    assert [cell(marel, key, "dt_maj") is None for key in (1, 2, 3, 4)] == [False, False, True, True]
    assert cell(marel, 1, "numero") == "00001/2020"
    assert cell(marel, 1, "libelle") == "UN"
    assert cell(marel, 2, "montant") == "2.25"
    assert cell(marel, 4, "numero") == "00004/2026"


def test_the_error_value_of_an_enum_stays_and_keeps_no_other_column_from_being_written(marel, port):
    marel.run("create table etat (id int primary key, statut enum('ouvert', 'clos'), note varchar(20))")
    marel.run(
        "set sql_mode = ''",
        "insert into etat values (1, 'perdu', 'un'), (2, 'ouvert', 'deux'), (3, null, 'trois')",
    )
    nonce = marel.install_fence("etat")
    with marel.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted

    with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        written = session.upsert(
            "etat", rows(id=["1", "2", "3", "4"], statut=["", "clos", None, ""], note=["UN", "deux", "trois", "neuf"])
        )

    assert written == WrittenRows(inserted=1, updated=2, untouched=1)
    assert marel.run("select id, cast(statut as char), statut + 0, note from etat order by id") == [
        (1, "", 0, "UN"), (2, "clos", 2, "deux"), (3, None, None, "trois"), (4, None, None, "neuf"),
    ]  # fmt: skip


def test_side_effects_of_legacy_triggers_are_read_back_in_the_same_text_form(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1", "4"], libelle=["Gaëlle", "neuf"]))
        back = session.read_back("dossier", ["4", "1"]).sort("id")

    assert back["libelle"].to_list() == ["GAËLLE", "neuf"]
    assert back["dt_maj"].to_list() == ["2026-01-02 03:04:05", None]
    assert back.equals(port.read_keys("dossier", ["1", "4"]).rows.sort("id"))


def test_values_that_lie_come_back_as_they_were(marel, port):
    marel.run(
        "create table fin (id int primary key, d date, ts timestamp(6) null, b varbinary(9), bi bit(9), fl float, "
        "l varchar(9) character set latin1)"
    )
    nonce = marel.install_fence("fin")
    truth = {
        "id": ["1", "2", "3"], "d": ["0000-00-00", "2019-00-00", "2019-02-31"],
        "ts": ["2024-10-27 00:30:00.500000", "2024-10-27 01:30:00.500000", "0000-00-00 00:00:00.000000"],
        "b": ["\\x00ff", "\\x", None], "bi": ["100000001", "0", None], "fl": ["16777216", "0.1", None],
        "l": ["é€Œ", "\x81", ""],
    }  # fmt: skip
    marel.run("set global time_zone = '+02:00'")
    try:
        with marel.fence() as fence, marel.port("log") as fresh:
            fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce)
            with fresh.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
                first = session.upsert("fin", rows(**truth))
                again = session.upsert("fin", rows(**truth))
                back = session.read_back("fin", ["1", "2", "3"]).sort("id")
    finally:
        marel.run("set global time_zone = 'SYSTEM'")

    assert back.to_dict(as_series=False) == truth
    assert (first, again) == (WrittenRows(3, 0, 0), WrittenRows(0, 0, 3))
    assert port.read_range("fin", KeyRange(None, None)).rows.sort("id").equals(back)


def test_a_difference_of_case_or_accent_alone_is_written(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        same = session.upsert("dossier", rows(id=["1"], numero=["00001/2019"], note=[""]))
        case = session.upsert("dossier", rows(id=["1"], note=["a"]))
        other = session.upsert("dossier", rows(id=["1"], note=["A"]))
        null = session.upsert("dossier", rows(id=["1"], note=[None]))

    assert (same.untouched, case.updated, other.updated, null.updated) == (1, 1, 1, 1)


def test_a_composite_key_is_written_deleted_and_read_back(port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("ligne", rows(id=["1", "1"], code=["A", "AB"], rang=["1", "1"], texte=["x", "y"]))
        removed = session.delete("ligne", [KEY_SEPARATOR.join(["1", "A", "1"]), KEY_SEPARATOR.join(["1", "ab", "1"])])

    assert removed == 1
    assert port.read_range("ligne", KeyRange(None, None)).rows.rows() == [("1", "AB", "1", "y")]


def test_a_row_is_marked_deleted_once(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        first = session.delete("dossier", ["1", "2"], assign={"top_supp": "O"})
        again = session.delete("dossier", ["2"], assign={"top_supp": "O"})
        none = session.delete("dossier", [])

    assert (first, again, none) == (2, 0, 0)
    assert [cell(marel, key, "top_supp") for key in (1, 2, 3)] == ["O", "O", "N"]


def test_position_and_rows_commit_together_or_not_at_all(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.set_position("38:LEGACY", Position("p1"))
    with (
        pytest.raises(SourceDrifted, match=r"libelle \(1406\)"),
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
    ):
        session.upsert("dossier", rows(id=["1"], note=["lost"]))
        session.set_position("38:LEGACY", Position("p2"))
        session.upsert("dossier", rows(id=["2"], libelle=["x" * 41]))

    assert port.reverse_position("38:LEGACY") == "p1"
    assert port.reverse_position("38:OTHER") is None
    assert cell(marel, 1, "note") == ""


def test_what_the_legacy_system_refuses_is_named_without_its_value(marel, port, sealed):
    marel.run("alter table dossier add constraint ck_montant check (montant < 1000)")

    with (
        pytest.raises(SourceDrifted, match="ck_montant") as caught,
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
    ):
        session.upsert("dossier", rows(id=["1"], montant=["1234.56"], note=["SECRET"]))

    assert "SECRET" not in f"{caught.value}{caught.value.facts}"
    assert "1234" not in f"{caught.value}{caught.value.facts}"


def test_a_row_that_is_refused_in_an_attempt_takes_back_only_that_attempt(marel, port, sealed):
    marel.run(
        "alter table dossier add constraint ck_montant check (montant < 1000)",
        "create trigger tr_non before insert on dossier for each row begin"
        " if new.note = 'OURS' then signal sqlstate '45000' set mysql_errno = 31000, message_text = 'SECRET'; end if;"
        " if new.note = 'PLAIN' then signal sqlstate '45000' set message_text = 'for key ''SECRET'''; end if; end",
        "alter table dossier modify numero char(12) not null default ''",
    )
    count = marel.run("select count(*) from dossier")[0][0]

    refused = []
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        with session.attempt("dossier"):
            session.upsert("dossier", rows(id=["91"], note=["kept"]))
        for number, bad in enumerate((
            {"montant": "1234.56"}, {"libelle": "SECRET" * 9}, {"ouvert": "SECRET"}, {"note": "OURS"},
            {"note": "PLAIN"}, {"numero": None},
        )):  # fmt: skip
            both = rows(id=["92", str(100 + number)], **{name: [None, value] for name, value in bad.items()})
            with pytest.raises(RowRefused) as found, session.attempt("dossier"):
                session.upsert("dossier", both)
            facts = found.value.facts
            refused.append((facts["code"], facts["constraint"] or facts["column"], f"{found.value}{facts}"))
        with session.attempt("dossier"):
            session.upsert("dossier", rows(id=["93"], note=["kept"]))

    assert [(code, name) for code, name, _ in refused] == [
        (4025, "ck_montant"), (1406, "libelle"), (1292, "ouvert"), (31000, ""), (1644, ""),
        (1048, "numero"),
    ]  # fmt: skip
    assert "SECRET" not in str(refused) and "1234" not in str(refused)
    assert marel.run("select id from dossier where id > 90 order by 1") == [(91,), (93,)]
    assert marel.run("select count(*) from dossier") == [(count + 2,)]


def test_a_session_is_refused_without_the_token_and_nonce_of_a_shut_fence(marel, port, sealed):
    for token, nonce, reason in ((TOKEN - 1, sealed, "another token"), (TOKEN, uuid4(), "another incarnation")):
        with pytest.raises(StoreFenced, match=reason), port.reverse_session(CLOSURE, token, nonce=nonce) as session:
            session.delete("dossier", ["1"])
    with pytest.raises(StoreFenced, match="no fence"), port.reverse_session("75.cases", TOKEN, nonce=sealed):
        pass
    with marel.fence() as fence:
        fence.open(TOKEN, nonce_old=sealed)
    with pytest.raises(StoreFenced, match="fence is open"), port.reverse_session(CLOSURE, TOKEN, nonce=sealed):
        pass

    assert port.count("dossier") == 3


def test_the_reverse_account_outside_a_session_is_refused_even_while_open(marel, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1"], note=["a"]))
    with marel.fence() as fence:
        fence.open(TOKEN + 1, nonce_old=sealed)

    with pytest.raises(pymysql.MySQLError, match="does not hold the token"):
        marel.run("delete from dossier", account="banyan_reverse")
    assert marel.run(f"select count(*) from banyan_{marel.schema}.admitted") == [(0,)]


def test_a_stalled_session_makes_the_next_effect_wait_and_never_writes_after_it(marel, port, sealed):
    with marel.fence(timeout_seconds=1) as fence:
        with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
            session.upsert("dossier", rows(id=["1"], note=["held"]))
            assert fence.wait_in_flight(1) is False
        assert fence.wait_in_flight(1) is True
        assert fence.open(TOKEN + 1, nonce_old=sealed).accepted

    with pytest.raises(StoreFenced), port.reverse_session(CLOSURE, TOKEN, nonce=sealed):
        pass
    assert cell(marel, 1, "note") == "held"


def test_a_rehearsal_shows_the_effects_and_leaves_nothing(marel, port):
    nonce = marel.install_fence()
    marel.run("insert into dossier (id, libelle) values (1, 'a')")

    with port.rehearsal_session(CLOSURE, 0, nonce=nonce) as session:
        session.upsert("dossier", rows(id=["1"], libelle=["b"]))
        session.set_position("38:LEGACY", Position("p"))
        back = session.read_back("dossier", ["1"])

    assert back["libelle"].to_list() == ["B"]
    assert cell(marel, 1, "libelle") == "a"
    assert port.reverse_position("38:LEGACY") is None


@pytest.mark.parametrize("way", ["log", "journal"])
def test_what_the_reverse_applier_writes_is_captured_as_a_route_and_a_person_prevails(marel, sealed, way):
    with marel.port(way, ("dossier", "ligne")) as port:
        port.install_capture(marel.url(), ["dossier", "ligne"])
        since = port.head()
        with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
            session.upsert("dossier", rows(id=["1", "2"], note=["a", "b"]))
        with marel.fence() as fence:
            fence.open(TOKEN + 1, nonce_old=sealed)
        marel.run("update dossier set note = 'c' where id = 2", account="marel_app")

        assert {change.key: change.origin for change in port.changes(since)} == {
            "1": Origin.ROUTE,
            "2": Origin.PERSON,
        }


def test_rows_that_cannot_be_written_are_refused_before_the_server_sees_them(port, sealed):
    wrong = [
        rows(note=["a"]),
        rows(id=["1"], absent=["a"]),
        rows(id=["1", "1"], note=["a", "b"]),
        pl.DataFrame({"id": [1], "note": ["a"]}),
    ]

    for frame in wrong:
        with (
            pytest.raises(BanyanError, match="nothing was written"),
            port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
        ):
            session.upsert("dossier", frame)


def test_many_rows_are_staged_and_written_by_one_statement(port, sealed):
    keys = [str(n) for n in range(1000, 6000)]

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        written = session.upsert("dossier", rows(id=keys, libelle=["x"] * 5000))
        back = session.read_back("dossier", keys)

    assert written == WrittenRows(5000, 0, 0)
    assert back.height == 5000


def test_keys_are_taken_from_the_legacy_counter_which_advances_first(marel, port, sealed):
    marel.run(
        "create sequence seq_fiche start with 501",
        "create table t_compte (id bigint auto_increment primary key)",
        "insert into t_compte values (41)",
        "grant select, insert on seq_fiche to banyan_reverse@'%'",
        "grant select, insert on t_compte to banyan_reverse@'%'",
    )
    since = port.head()

    assert port.reserve_keys("seq_fiche", 3) == ["501", "502", "503"]
    assert port.reserve_keys("seq_dossier", 3) == ["4", "5", "6"]
    assert port.reserve_keys("seq_compte", 2) == ["42", "43"]
    assert port.reserve_keys("dossier", 1) == ["7"]
    assert port.reserve_keys("dossier", 0) == []
    assert port.changes(since) == []
    marel.run("insert into t_compte values ()", account="marel_app")
    assert marel.run("select max(id) from t_compte") == [(44,)]
    for counter in ("code", "absent"):
        with pytest.raises(SourceDrifted, match="is no sequence"):
            port.reserve_keys(counter, 1)


def test_a_source_without_a_reverse_account_cannot_be_written(marel, sealed):
    with pytest.raises(ConfigurationError, match="no reverse_url"):
        open_mariadb(marel.url("banyan_reader"), marel.schema).reverse_session(CLOSURE, TOKEN, nonce=sealed)
