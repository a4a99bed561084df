from uuid import uuid4

import polars as pl
import psycopg
import pytest

from banyan.errors import BanyanError, ConfigurationError, SourceDrifted, StoreFenced
from banyan.ports import ReverseSession, WrittenRows
from banyan.records import KEY_SEPARATOR, KeyRange, Origin, Position
from connectors.postgresql import open_postgresql

pytestmark = pytest.mark.server

TOKEN = 7
CLOSURE = "38.cases"


@pytest.fixture
def sealed(legacy):
    """Rows 1 to 3, the fence sealed under token 7; gives its nonce."""
    legacy.run(
        "insert into orion.t_dossier (id_dossier, numero, libelle, montant, libre, note) values "
        "(1, '00001/2019', 'UN', 1.50, 1.500, ''), (2, '00002/2019', 'DEUX', 2, null, null), (3, null, null, 0, 0, ' ')"
    )
    nonce = legacy.install_fence()
    with legacy.fence() as fence:
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


def rows(**columns):
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def dossier(legacy, key, column):
    return legacy.run(f"select concat({column}) from orion.t_dossier where id_dossier = {key}")[0][0]


def test_rows_are_inserted_updated_or_left_alone_and_only_the_columns_given(legacy, port, sealed):
    before = dossier(legacy, 3, "xmin::text")

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        written = session.upsert(
            "t_dossier",
            rows(
                id_dossier=["1", "2", "3", "4"],
                numero=["00001/2020  ", "00002/2019  ", None, "00004/2026  "],
                montant=["1.50", "2.25", "0.00", "4"],
            ),
        )

    assert isinstance(session, ReverseSession)
    assert written == WrittenRows(inserted=1, updated=2, untouched=1)
    assert dossier(legacy, 3, "xmin::text") == before
    assert dossier(legacy, 1, "numero") == "00001/2020  "
    assert dossier(legacy, 1, "libelle") == "UN"
    assert dossier(legacy, 2, "montant") == "2.25"
    assert dossier(legacy, 4, "numero") == "00004/2026  "


def test_side_effects_of_legacy_triggers_are_read_back_in_the_same_text_form(legacy, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("t_dossier", rows(id_dossier=["1", "4"], libelle=["Gaëlle", "neuf"]))
        back = session.read_back("t_dossier", ["4", "1"]).sort("id_dossier")

    assert back["libelle"].to_list() == ["GAËLLE", "neuf"]
    assert back["dt_maj"].to_list() == ["2026-01-02 03:04:05", None]
    assert back["numero"].to_list() == ["00001/2019  ", None]
    assert back.equals(port.read_keys("t_dossier", ["1", "4"]).rows.sort("id_dossier"))


def test_a_difference_of_scale_or_case_alone_is_written(legacy, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        same = session.upsert("t_dossier", rows(id_dossier=["1"], libre=["1.500"], note=[""]))
        scale = session.upsert("t_dossier", rows(id_dossier=["1"], libre=["1.5"]))
        null = session.upsert("t_dossier", rows(id_dossier=["1"], note=[None]))

    assert (same.untouched, scale.updated, null.updated) == (1, 1, 1)
    assert dossier(legacy, 1, "libre") == "1.5"


def test_a_composite_key_is_written_deleted_and_read_back(legacy, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("t_ligne", rows(id_dossier=["1", "1"], code=["A   ", "AB  "], rang=["1", "1"], texte=["x", "y"]))
        removed = session.delete("t_ligne", [KEY_SEPARATOR.join(["1", "A   ", "1"])])

    left = port.read_range("t_ligne", KeyRange(None, None)).rows
    assert removed == 1
    assert left.rows() == [("1", "AB  ", "1", "y")]


def test_a_row_is_marked_deleted_once(legacy, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        first = session.delete("t_dossier", ["1", "2"], assign={"top_supp": "O"})
        again = session.delete("t_dossier", ["2"], assign={"top_supp": "O"})
        none = session.delete("t_dossier", [])

    assert (first, again, none) == (2, 0, 0)
    assert [dossier(legacy, key, "top_supp") for key in (1, 2, 3)] == ["O", "O", "N"]


def test_position_and_rows_commit_together_or_not_at_all(legacy, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.set_position("38:LEGACY", Position("p1"))
    with (
        pytest.raises(SourceDrifted, match="22001"),
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
    ):
        session.upsert("t_dossier", rows(id_dossier=["1"], note=["lost"]))
        session.set_position("38:LEGACY", Position("p2"))
        session.upsert("t_dossier", rows(id_dossier=["2"], libelle=["x" * 41]))

    assert port.reverse_position("38:LEGACY") == "p1"
    assert port.reverse_position("38:OTHER") is None
    assert dossier(legacy, 1, "note") == ""


def test_what_the_legacy_system_refuses_is_named_without_its_value(legacy, port, sealed):
    legacy.run("alter table orion.t_dossier add constraint ck_montant check (montant < 1000)")

    with (
        pytest.raises(SourceDrifted, match="ck_montant") as caught,
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
    ):
        session.upsert("t_dossier", rows(id_dossier=["1"], montant=["1234.56"], note=["SECRET"]))

    assert "SECRET" not in f"{caught.value}{caught.value.facts}"
    assert "1234" not in f"{caught.value}{caught.value.facts}"
    assert caught.value.facts["constraint"] == "ck_montant"


def test_a_session_is_refused_without_the_token_and_nonce_of_a_shut_fence(legacy, port, sealed):
    for token, nonce, reason in ((TOKEN - 1, sealed, "another token"), (TOKEN, uuid4(), "another incarnation")):
        with (
            pytest.raises(StoreFenced, match=reason),
            port.reverse_session(CLOSURE, token, nonce=nonce) as session,
        ):
            session.delete("t_dossier", ["1"])
    with pytest.raises(StoreFenced, match="no fence"), port.reverse_session("75.cases", TOKEN, nonce=sealed):
        pass
    with legacy.fence() as fence:
        fence.open(TOKEN, nonce_old=sealed)
    with pytest.raises(StoreFenced, match="fence is open"), port.reverse_session(CLOSURE, TOKEN, nonce=sealed):
        pass

    assert port.count("t_dossier") == 3


def test_a_lease_that_ended_admits_no_reverse_applier(legacy, port):
    nonce = legacy.install_fence()
    with legacy.fence() as fence:
        fence.close(TOKEN, lease_seconds=2, nonce_old=nonce, nonce_new=nonce)
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            session.upsert("t_ligne", rows(id_dossier=["1"], code=["A"], rang=["1"]))
        legacy.run("select pg_sleep(2.1)")
        with pytest.raises(StoreFenced, match="fence is open"), port.reverse_session(CLOSURE, TOKEN, nonce=nonce):
            pass

    assert port.count("t_ligne") == 1


def test_the_reverse_account_outside_a_session_is_refused_even_while_sealed(legacy, sealed):
    with pytest.raises(psycopg.errors.ObjectInUse):
        legacy.run("delete from orion.t_dossier", role="banyan_reverse")
    with pytest.raises(psycopg.errors.ObjectInUse):
        legacy.run("delete from orion.t_ligne", role="banyan_reverse")


def test_a_stalled_session_makes_the_next_effect_wait_and_never_writes_after_it(legacy, port, sealed):
    with legacy.fence(timeout_seconds=0.3) as fence:
        with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
            session.upsert("t_dossier", rows(id_dossier=["1"], note=["held"]))
            assert fence.wait_in_flight(0.2) is False
        assert fence.wait_in_flight(0.2) is True
        assert fence.open(TOKEN + 1, nonce_old=sealed).accepted

    with pytest.raises(StoreFenced), port.reverse_session(CLOSURE, TOKEN, nonce=sealed):
        pass
    assert dossier(legacy, 1, "note") == "held"


def test_a_rehearsal_shows_the_effects_and_leaves_nothing(legacy, port):
    nonce = legacy.install_fence()
    legacy.run("insert into orion.t_dossier (id_dossier, libelle) values (1, 'a')")

    with port.rehearsal_session(CLOSURE, 0, nonce=nonce) as session:
        session.upsert("t_dossier", rows(id_dossier=["1"], libelle=["b"]))
        session.set_position("38:LEGACY", Position("p"))
        back = session.read_back("t_dossier", ["1"])

    assert back["libelle"].to_list() == ["B"]
    assert dossier(legacy, 1, "libelle") == "a"
    assert port.reverse_position("38:LEGACY") is None


def test_what_the_reverse_applier_writes_is_captured_as_a_route(legacy, port, sealed):
    port.install_capture(legacy.url(), ["t_dossier"])
    since = port.head()

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("t_dossier", rows(id_dossier=["1", "2"], note=["a", "b"]))

    assert {(change.key, change.origin) for change in port.changes(since)} == {
        ("1", Origin.ROUTE),
        ("2", Origin.ROUTE),
    }


def test_legacy_triggers_see_the_settings_of_their_own_server(legacy, port, sealed):
    legacy.run("alter role banyan_reverse set timezone = 'Europe/Paris'")
    legacy.run(
        "create or replace function orion.f_maj() returns trigger language plpgsql as "
        "$$ begin new.libelle := current_setting('TimeZone'); return new; end $$"
    )
    try:
        with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
            session.read_back("t_dossier", ["1"])
            session.upsert("t_dossier", rows(id_dossier=["1"], note=["a"]))
    finally:
        legacy.run("alter role banyan_reverse reset all")

    assert dossier(legacy, 1, "libelle") == "Europe/Paris"


def test_rows_that_cannot_be_written_are_refused_before_the_server_sees_them(port, sealed):
    wrong = [
        rows(note=["a"]),
        rows(id_dossier=["1"], absent=["a"]),
        rows(id_dossier=["1", "1"], note=["a", "b"]),
        pl.DataFrame({"id_dossier": [1], "note": ["a"]}),
    ]

    for frame in wrong:
        with (
            pytest.raises(BanyanError, match="nothing was written"),
            port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session,
        ):
            session.upsert("t_dossier", frame)


def test_many_rows_are_written_by_one_statement(legacy, port, sealed):
    legacy.run(
        "create table orion.t_compte (n int); grant insert on orion.t_compte to banyan_reverse; "
        "create function orion.f_compte() returns trigger language plpgsql security definer as "
        "$$ begin insert into orion.t_compte values (1); return null; end $$; "
        "create trigger tr_compte after insert on orion.t_dossier for each statement execute function orion.f_compte()"
    )
    keys = [str(n) for n in range(1000, 4000)]

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        written = session.upsert("t_dossier", rows(id_dossier=keys, libelle=["x"] * 3000))
        back = session.read_back("t_dossier", keys)

    assert written == WrittenRows(3000, 0, 0)
    assert back.height == 3000
    assert legacy.run("select count(*) from orion.t_compte") == [(1,)]


def test_keys_are_taken_from_the_legacy_counter_which_advances_first(legacy, port, sealed):
    legacy.run("create table orion.t_serie (id bigint generated by default as identity primary key)")
    legacy.run("grant usage on all sequences in schema orion to banyan_reverse")

    taken = port.reserve_keys("seq_dossier", 3)
    serie = port.reserve_keys("t_serie", 2)

    assert taken == ["501", "502", "503"]
    assert legacy.run("select nextval('orion.seq_dossier')", role="orion_app") == [(504,)]
    assert serie == ["1", "2"]
    assert port.reserve_keys("seq_dossier", 0) == []
    for counter in ("t_code", "absent"):
        with pytest.raises(SourceDrifted, match="is no sequence and owns none"):
            port.reserve_keys(counter, 1)


def test_a_source_without_a_reverse_account_cannot_be_written(legacy, sealed):
    port = open_postgresql(legacy.url("banyan_reader"), "orion")

    with pytest.raises(ConfigurationError, match="no reverse_url"):
        port.reverse_session(CLOSURE, TOKEN, nonce=sealed)
