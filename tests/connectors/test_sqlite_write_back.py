import sqlite3
from contextlib import closing
from uuid import uuid4

import polars as pl
import pytest
from sqlites import CLOSURE, LegacyFile, make_legacy
from traps import TRAPS

from banyan.errors import BanyanError, RowRefused, SourceDrifted, SourceUnreadable, StoreFenced
from banyan.ports import ReverseSession, WriteBack, WrittenRows
from banyan.records import KEY_SEPARATOR, KeyRange, Origin, Position
from connectors.sqlite import STORAGE, open_sqlite
from connectors.sqlite_database import open_sqlite_database
from connectors.sqlite_fence import install_sqlite_fence, open_sqlite_fence

TOKEN = 7
EVERYTHING = KeyRange(None, None)


@pytest.fixture
def file(tmp_path) -> LegacyFile:
    made = make_legacy(tmp_path)
    made.run(
        "insert into dossier (id, numero, libelle, montant, note, libre, octets) values (1, '00001/2019', 'UN', 1.5,"
        " '', 5, x'00ff'), (2, '00002/2019', 'DEUX', 'remarque', null, '5', null), (3, null, null, 0, ' ', 2.5,"
        " '0x00ff')"
    )
    made.port().install_capture(str(made.path), ("dossier", "ligne", "code", "compte"))
    return made


@pytest.fixture
def port(file):
    return file.port()


def seal(file, *tables):
    nonce = file.install_fence(*tables)
    fence = file.fence()
    assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
    assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


@pytest.fixture
def sealed(file):
    return seal(file)


def rows(**columns):
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def cell(file, key, column):
    return file.run(f"select typeof({column}), {column} from dossier where id = {key}")[0]


def test_rows_are_inserted_updated_or_left_alone_and_only_the_columns_given(file, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        written = session.upsert(
            "dossier",
            rows(
                id=["1", "2", "3", "4"],
                numero=["00001/2020", "00002/2019", None, "00004/2026"],
                montant=["1.5", "2.25", "0", "4"],
            ),
        )

    assert isinstance(session, ReverseSession)
    assert written == WrittenRows(inserted=1, updated=2, untouched=1)
    assert cell(file, 1, "numero") == ("text", "00001/2020")
    assert cell(file, 1, "libelle") == ("text", "UN")
    assert cell(file, 2, "montant") == ("real", 2.25)
    assert cell(file, 4, "montant") == ("integer", 4)
    assert cell(file, 4, "top_supp") == ("text", "N")
    assert [cell(file, key, "dt_maj")[0] for key in (1, 2, 3, 4)] == ["text", "text", "null", "null"]


def test_side_effects_of_legacy_triggers_are_read_back(port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1", "4"], libelle=["gare", "neuf"]))
        back = session.read_back("dossier", ["1", "4"]).sort("id")

    assert back["libelle"].to_list() == ["GARE", "neuf"]
    assert back["dt_maj"].to_list() == ["2026-01-02", None]
    assert back.equals(port.read_keys("dossier", ["1", "4"]).rows.sort("id"))


def test_what_is_not_touched_keeps_class_and_bytes_and_what_is_takes_the_class_of_its_column(file, port, sealed):
    before = [cell(file, key, column) for key in (1, 2, 3) for column in ("libre", "octets", "montant")]
    same = port.read_range("dossier", EVERYTHING).rows
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        untouched = session.upsert("dossier", same)

    assert untouched == WrittenRows(0, 0, 3)
    assert [cell(file, key, column) for key in (1, 2, 3) for column in ("libre", "octets", "montant")] == before
    assert cell(file, 3, "octets") == ("text", "0x00ff")

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert(
            "dossier",
            rows(id=["1", "2"], libre=["6", "6"], octets=["0x01", "0xff"], montant=["autre", "007"], numero=["1", "2"]),
        )
        back = session.read_back("dossier", ["1", "2"]).sort("id")

    # a cell without a declared class keeps the one it had
    assert (cell(file, 1, "libre"), cell(file, 2, "libre")) == (("integer", 6), ("text", "6"))
    assert (cell(file, 1, "octets"), cell(file, 2, "octets")) == (("blob", b"\x01"), ("blob", b"\xff"))
    assert (cell(file, 1, "numero"), cell(file, 2, "numero")) == (("text", "1"), ("text", "2"))
    # SQLite makes digits in a column of numbers a number: read back, it is not what was written
    assert back["montant"].to_list() == ["autre", "7"]


LIES = [trap for trap in TRAPS if trap.sqlite]


@pytest.mark.parametrize("trap", LIES, ids=lambda trap: trap.name)
@pytest.mark.parametrize("is_new", [True, pytest.param(False, marks=pytest.mark.torture)])
def test_a_value_that_lies_comes_back_with_its_class_and_its_bytes(tmp_path, trap, is_new):
    path = tmp_path / "traps.db"
    held = trap.sqlite
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(f"create table traps (id integer primary key, c {held.kind})")
        base.execute(f"insert into traps values (1, {held.literal})")
        if not is_new:
            base.execute("insert into traps values (2, 'something else')")
    table = open_sqlite(path, "traps", "utf-8")
    nonce = install_sqlite_fence(path, CLOSURE, "triggers", ("traps",))
    open_sqlite_fence(path, CLOSURE, "triggers").close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce)

    with open_sqlite_database(path, "triggers").reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        written = session.upsert("traps", rows(id=["2"], c=[held.raw]))
        back = session.read_back("traps", ["2"])

    found = next(iter(table.read(10, storage=True)))
    assert written == (WrittenRows(1, 0, 0) if is_new else WrittenRows(0, 1, 0))
    assert back["c"].to_list() == [held.raw]
    assert found[STORAGE][0] == found[STORAGE][1]


def test_texts_are_written_in_the_encoding_of_the_file_or_refused(tmp_path):
    file = make_legacy(tmp_path)
    with closing(file.connect()) as base:
        base.execute("insert into dossier (id, numero) values (1, cast(? as text))", ("é".encode("cp1252"),))
        base.execute("insert into code values (cast(? as text), 'x')", ("clé".encode("cp1252"),))
    nonce, port = seal(file, "dossier", "code"), file.port(encoding="cp1252")

    with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        session.upsert("dossier", rows(id=["1"], numero=["Œuvre €"]))
        session.upsert("code", rows(code=["clé", "été"], libelle=["y", "z"]))
        assert session.delete("code", ["clé"]) == 1
    with pytest.raises(RowRefused, match="cp1252 does not have"), \
         port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:  # fmt: skip
        session.upsert("dossier", rows(id=["1"], numero=["→"]))

    assert file.run("select cast(numero as blob) from dossier") == [("Œuvre €".encode("cp1252"),)]
    assert file.run("select cast(code as blob), libelle from code") == [("été".encode("cp1252"), "z")]


def test_a_difference_of_case_alone_is_written(port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        same = session.upsert("dossier", rows(id=["1"], note=[""]))
        case = session.upsert("dossier", rows(id=["1"], note=["a"]))
        other = session.upsert("dossier", rows(id=["1"], note=["A"]))
        null = session.upsert("dossier", rows(id=["1"], note=[None]))

    assert (same.untouched, case.updated, other.updated, null.updated) == (1, 1, 1, 1)


def test_a_composite_key_is_written_deleted_and_read_back(port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("ligne", rows(id=["1", "1"], code=["A", "AB"], rang=["1", "1"], texte=["x", "y"]))
        removed = session.delete("ligne", [KEY_SEPARATOR.join(["1", "A", "1"]), KEY_SEPARATOR.join(["1", "ab", "1"])])

    assert removed == 1
    assert port.read_range("ligne", EVERYTHING).rows.rows() == [("1", "AB", "1", "y")]


def test_a_row_is_marked_deleted_once(file, port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        assert session.delete("dossier", ["1", "99"], assign={"top_supp": "O"}) == 1
        assert session.delete("dossier", ["1"], assign={"top_supp": "O"}) == 0

    assert cell(file, 1, "top_supp") == ("text", "O")


def test_position_and_rows_commit_together_or_not_at_all(file, port, sealed):
    with pytest.raises(ValueError, match="died"), port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1"], numero=["lost"]))
        session.set_position("r", Position("p1"))
        raise ValueError("died")
    assert (port.reverse_position("r"), cell(file, 1, "numero")[1]) == (None, "00001/2019")

    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1"], numero=["kept"]))
        session.set_position("r", Position("p2"))
    assert (port.reverse_position("r"), cell(file, 1, "numero")[1]) == (Position("p2"), "kept")
    assert file.run("select count(*) from banyan_admitted") == [(0,)]


def test_what_the_file_refuses_is_named_without_its_value(file, port):
    file.run("insert into code values ('a', 'secret')")
    nonce = seal(file, "code")

    with pytest.raises(RowRefused, match="SQLITE_CONSTRAINT_UNIQUE") as found, \
         port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:  # fmt: skip
        session.upsert("code", rows(code=["b"], libelle=["secret"]))

    assert "secret" not in str(found.value)
    assert file.run("select code from code") == [("a",)]


def test_a_row_that_is_refused_in_an_attempt_takes_back_only_that_attempt(file, port):
    file.run("insert into code values ('a', 'secret')",
             "create trigger tr_non before update on dossier when new.note = 'secret'"
             " begin select raise(abort, 'secret'); end")  # fmt: skip
    nonce = seal(file, "code", "dossier")

    refused = []
    with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        with session.attempt("code"):
            session.upsert("code", rows(code=["c"], libelle=["kept"]))
        for table, bad in (("code", rows(code=["d", "b"], libelle=["lost", "secret"])),
                           ("dossier", rows(id=["2", "1"], note=["lost", "secret"])),
                           ("compte", rows(id=["x"], nom=["lost"]))):  # fmt: skip
            with pytest.raises(RowRefused) as found, session.attempt(table):
                session.upsert(table, bad)
            refused.append((found.value.facts["code"], found.value.facts["constraint"], str(found.value)))

    assert [(code, name) for code, name, _ in refused] == [
        ("SQLITE_CONSTRAINT_UNIQUE", "code.libelle"),
        ("SQLITE_CONSTRAINT_TRIGGER", ""),
        ("SQLITE_MISMATCH", ""),
    ]
    assert "secret" not in str(refused)
    assert file.run("select code, libelle from code order by 1") == [("a", "secret"), ("c", "kept")]
    assert [row[0] for row in file.run("select note from dossier order by id")] == ["", None, " "]


def test_a_file_that_ends_the_whole_transaction_over_a_row_stops_the_way_back(file, port):
    file.run("create trigger tr_fin before update on dossier when new.note = 'secret'"
             " begin select raise(rollback, 'secret'); end")  # fmt: skip
    nonce = seal(file, "dossier")

    with pytest.raises(SourceUnreadable, match="ended the whole transaction") as found, \
         port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:  # fmt: skip
        session.upsert("dossier", rows(id=["2"], note=["before"]))
        with session.attempt("dossier"):
            session.upsert("dossier", rows(id=["1"], note=["secret"]))

    assert "secret" not in f"{found.value}{found.value.facts}"
    assert [row[0] for row in file.run("select note from dossier order by id")] == ["", None, " "]


def test_a_session_is_refused_without_the_token_and_nonce_of_a_shut_fence(file, port, sealed):
    for closure, token, nonce, why in (
        (CLOSURE, TOKEN + 1, sealed, "another token"),
        (CLOSURE, TOKEN, uuid4(), "another incarnation"),
        ("48.other", TOKEN, sealed, "no fence"),
    ):
        with pytest.raises(StoreFenced, match=why), port.reverse_session(closure, token, nonce=nonce):
            pass
    file.fence().open(TOKEN + 1, nonce_old=sealed)
    with pytest.raises(StoreFenced, match="is open"), port.reverse_session(CLOSURE, TOKEN + 1, nonce=sealed):
        pass
    assert file.path.stat().st_size > 0


def test_a_stalled_session_makes_the_next_effect_wait_and_never_writes_after_it(file, port, sealed):
    fence = file.fence(timeout_seconds=0.2)
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1"], numero=["in time"]))
        with pytest.raises(BanyanError, match="another program is at work"):
            fence.open(TOKEN + 1, nonce_old=sealed)
    assert fence.open(TOKEN + 1, nonce_old=sealed).accepted

    assert cell(file, 1, "numero")[1] == "in time"


def test_a_rehearsal_shows_the_effects_and_leaves_nothing(file, port):
    nonce = file.install_fence()
    since = port.head()
    with port.rehearsal_session(CLOSURE, 0, nonce=nonce) as session:
        session.upsert("dossier", rows(id=["1"], libelle=["tried"]))
        assert session.read_back("dossier", ["1"])["libelle"].to_list() == ["TRIED"]
        session.set_position("r", Position("p"))

    assert (cell(file, 1, "libelle")[1], port.reverse_position("r")) == ("UN", None)
    assert port.changes(since) == []


def test_what_the_reverse_applier_writes_is_a_route_and_a_person_prevails(file, port, sealed):
    since = port.head()
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        session.upsert("dossier", rows(id=["1", "2"], libelle=["a", "b"]))
    echoes = port.changes(since)
    file.fence().open(TOKEN + 1, nonce_old=sealed)
    file.run("update dossier set numero = 'p' where id = 2")

    assert {(one.key, one.origin) for one in echoes} == {("1", Origin.ROUTE), ("2", Origin.ROUTE)}
    assert {(one.key, one.origin) for one in port.changes(since)} == {("1", Origin.ROUTE), ("2", Origin.PERSON)}


def test_rows_that_cannot_be_written_are_refused_before_the_file_sees_them(port, sealed):
    with port.reverse_session(CLOSURE, TOKEN, nonce=sealed) as session:
        for wrong in (
            rows(numero=["1"]),
            rows(id=["1"], nulle_part=["1"]),
            rows(id=["1", "1"], numero=["a", "b"]),
            pl.DataFrame({"id": [1]}),
        ):
            with pytest.raises(BanyanError, match="nothing was written"):
                session.upsert("dossier", wrong)
    assert port.capabilities("dossier").write_back is WriteBack.SQL


def test_keys_are_taken_from_the_counter_of_the_file_which_advances_first(file, port, sealed):
    file.run("insert into compte (nom) values ('x'), ('y'), ('z')", "delete from compte where id = 3")

    assert port.reserve_keys("seq_compte", 2) == ["4", "5"]
    file.run("insert into compte (nom) values ('by hand')")

    assert file.run("select max(id) from compte") == [(6,)]
    assert port.reserve_keys("seq_compte", 1) == ["7"]


def test_a_table_without_a_counter_gives_numbers_above_its_highest_and_never_twice(port, sealed):
    assert port.reserve_keys("seq_DOSSIER", 2) == ["4", "5"]
    assert port.reserve_keys("seq_dossier", 1) == ["6"]
    assert port.reserve_keys("seq_dossier", 0) == []
    for counter in ("seq_ligne", "seq_code", "seq_nothing"):
        with pytest.raises(SourceDrifted, match="counts no table"):
            port.reserve_keys(counter, 1)
