"""A legacy PostgreSQL without encoding (SQL_ASCII): each byte is read as declared, and written back the same."""

import uuid
from dataclasses import fields, replace

import polars as pl
import pytest
import yaml
from logged import Logged
from sqlalchemy.engine import make_url
from stores import make_store, store_template
from without_encoding import BytesDatabase, make_bytes_database, make_bytes_template

from banyan.config import PROJECT_FILE, SourceConfig, load_project
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, RowRefused, SourceUnreadable
from banyan.records import KEY_SEPARATOR, KeyRange, Operation
from banyan.undecoded import MARK, find_bytes
from connectors.open import open_fence, open_source
from connectors.postgresql import open_postgresql
from connectors.postgresql_connection import PostgreSQLConnections
from connectors.postgresql_encoding import with_encoding
from connectors.row_version import open_row_version
from connectors.snapshot_diff import open_snapshot_diff
from connectors.surroundings import look_around_postgresql
from store.row_marks import StoreRowMarks
from sync.workspace import Workspace
from wire.alphabet import alphabet_named
from wire.duplicate import copy_database

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
EVERYTHING = KeyRange(None, None)
ALPHABETS = ("cp850", "utf-8")
EVERY_BYTE = bytes(range(1, 256))
TOKEN = 3
CLOSURE = "38.cases"
MIXED = (
    "Gaëlle".encode("latin-1"), "Œuvre à 3 €".encode("cp1252"), "Forêt".encode("cp850"), "Noël".encode(),
    "Hélène".encode().decode("latin-1").encode(), b"plain", b"", None, EVERY_BYTE,
)  # fmt: skip
"""What one column holds after thirty years: four encodings, one text encoded twice, and bytes of no encoding."""


@pytest.fixture(scope="session")
def bytes_template(cluster) -> BytesDatabase:
    return make_bytes_template(cluster)


@pytest.fixture
def make_place(bytes_template):
    def make(encoding: str) -> BytesDatabase:
        return make_bytes_database(bytes_template, f"bytes_{uuid.uuid4().hex[:8]}", encoding)

    return make


@pytest.fixture(params=ALPHABETS)
def place(request, make_place) -> BytesDatabase:
    return make_place(request.param)


def spelled(place: BytesDatabase, *texts: str) -> list[bytes]:
    return [text.encode(place.encoding) for text in texts]


def opened_fence(place: BytesDatabase):
    nonce = place.install_fence("t_dossier", "t_ligne", "t_code")
    with place.fence() as fence:
        assert fence.find_open(("t_code",)) == ("t_code",)
        assert fence.close(TOKEN, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
        assert fence.check_installed(["t_dossier", "t_ligne", "t_code"]) == []
        assert fence.find_open(("t_code",)) == ()
    return nonce


@pytest.mark.parametrize("encoding", ["cp1252", "cp850"])
def test_every_byte_is_one_letter_and_goes_back_as_the_same_byte(make_place, encoding):
    place = make_place(encoding)
    place.keep("t_vrac", *[(bytes([code]),) for code in EVERY_BYTE], (EVERY_BYTE,))
    place.keep("t_code", *[(f"{number}", cell) for number, cell in enumerate((EVERY_BYTE[:40], EVERY_BYTE[-40:]))])
    nonce = opened_fence(place)

    with place.port() as port:
        texts = port.read_range("t_vrac", EVERYTHING).rows["quoi"].to_list()
        rows = port.read_keys("t_code", ["0", "1"]).rows.sort("code")
        others = rows.with_columns(code=pl.Series(["8", "9"]))
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            again, written = session.upsert("t_code", rows), session.upsert("t_code", others)

    assert len(set(texts)) == 256
    assert texts[-1] == "".join(texts[:-1])
    assert [len(text) for text in texts[:-1]] == [1] * 255
    known = [(code, text) for code, text in zip(EVERY_BYTE, texts, strict=False) if text.isprintable()]
    assert all(text.encode(encoding) == bytes([code]) for code, text in known)
    assert (again.untouched, written.inserted) == (2, 2)
    assert place.kept("select libelle from orion.t_code order by code")[2:] == [(EVERY_BYTE[:40],), (EVERY_BYTE[-40:],)]


@pytest.mark.parametrize("encoding", ["cp1252"])
def test_a_column_of_mixed_encodings_is_carried_byte_for_byte(make_place, encoding):
    place = make_place(encoding)
    place.run("alter table orion.t_code alter libelle type text")
    place.keep("t_code", *[(f"k{number}", cell) for number, cell in enumerate(MIXED)])
    nonce = opened_fence(place)

    with place.port() as port:
        rows = port.read_range("t_code", EVERYTHING).rows
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            assert session.delete("t_code", rows["code"].to_list()) == len(MIXED)
            session.upsert("t_code", rows)
            back = session.read_back("t_code", rows["code"].to_list())

    assert [row[0] for row in place.kept("select libelle from orion.t_code order by code")] == list(MIXED)
    assert back.sort("code").equals(rows.sort("code"))


def test_cells_that_are_no_utf8_are_carried_as_their_bytes_and_go_back_the_same(make_place):
    place = make_place("utf-8")
    cells = ("Noël".encode(), "Secret é".encode("latin-1"), None, b"", MARK.encode() + b"eb", EVERY_BYTE)
    place.run("alter table orion.t_code alter libelle type text")
    place.keep("t_code", *[(f"k{number}", cell) for number, cell in enumerate(cells)])
    nonce = opened_fence(place)

    with place.port() as port:
        rows = port.read_range("t_code", EVERYTHING).rows.sort("code")
        few = port.read_keys("t_code", rows["code"].to_list()).rows.sort("code")
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            assert session.delete("t_code", rows["code"].to_list()) == len(cells)
            session.upsert("t_code", rows)
            again = session.upsert("t_code", rows)
            back = session.read_back("t_code", rows["code"].to_list()).sort("code")

    assert [text if text is None else find_bytes(text) for text in rows["libelle"]] == [
        None,
        cells[1],
        None,
        None,
        *cells[4:],
    ]
    assert rows["libelle"].to_list()[:4] == ["Noël", f"{MARK}{cells[1].hex()}", None, ""]
    assert few.equals(rows) and back.equals(rows)
    assert again.untouched == len(cells)
    assert [row[0] for row in place.kept("select libelle from orion.t_code order by code")] == list(cells)


def test_rows_whose_key_is_no_utf8_stand_in_one_range_each_and_are_found_changed_and_written_by_it(make_place):
    place = make_place("utf-8")
    keys = [b"Ga\xeb", b"Zo\xe9", "Noë".encode(), b"plai", b"\x81", b"Ga", b"\xff\xfe"]
    place.keep("t_ligne", *[(1, key, number, b"x") for number, key in enumerate(keys)])
    place.keep("t_code", *[(key, b"x") for key in keys])
    nonce = opened_fence(place)

    with place.port() as port:
        ranges = {table: port.plan_ranges(table, 2) for table in ("t_ligne", "t_code")}
        read = {table: [port.read_range(table, one).rows for one in ranges[table]] for table in ranges}
        lines, codes = pl.concat(read["t_ligne"]), pl.concat(read["t_code"])
        named = lines.select(pl.concat_str(lines.columns[:3], separator=KEY_SEPARATOR)).to_series().to_list()
        again = port.read_keys("t_ligne", named).rows
        cut = port.find_cut("t_code", EVERYTHING, 1)
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            session.upsert("t_ligne", lines.with_columns(texte=pl.lit("y")))
            session.delete("t_code", sorted(codes["code"], key=spelled_bytes)[:3])

    assert [[rows.height for rows in found] for found in read.values()] == [[2, 2, 2, 1]] * 2
    assert sorted(again["rang"]) == sorted(lines["rang"]) == [str(number) for number in range(7)]
    assert [min(map(spelled_bytes, rows["code"])) for rows in read["t_code"]] == sorted(keys)[::2]
    assert spelled_bytes(cut) == min(keys)
    assert place.kept("select count(*), count(distinct code) from orion.t_ligne where texte = 'y'") == [(7, 7)]
    assert [row[0] for row in place.kept("select code from orion.t_code order by code")] == sorted(keys)[3:]


def spelled_bytes(text: str) -> bytes:
    return find_bytes(text) or text.encode()


@pytest.mark.parametrize("way", ["journal", "log", "looks", "stamps"])
def test_each_way_tells_a_key_that_is_no_utf8_as_the_row_has_it(make_place, make_store, way):
    place = make_place("utf-8")
    place.run("grant pg_read_all_stats to banyan_reader")
    place.keep("t_ligne", (1, b"Ga\xeb", 1, b"x"), (1, b"\xff", 2, b"x"), (1, "é".encode(), 3, b"x"))
    tables, store = ("t_ligne",), make_store()
    store.run(
        "insert into mig.source_table (department_code, system_code, table_name) values ('38', 'ORION', 't_ligne')"
    )
    marks = StoreRowMarks(lambda: store.engine("banyan_forward"), SourceRef("38", "ORION"))
    logged = Logged(place, store, None)
    captures = {
        "looks": open_snapshot_diff(tables, marks, key=b"k" * 32), "stamps": open_row_version(tables, ""),
    }  # fmt: skip
    chosen = {"capture": captures[way]} if way in captures else {}
    port = logged.open() if way == "log" else open_postgresql(place.url("banyan_reader"), "orion", **chosen)
    logged.port = port
    port.install_capture(place.url(), tables)
    try:
        rows = port.read_range("t_ligne", EVERYTHING).rows
        since = port.head()
        place.run("update orion.t_ligne set texte = 'y' where rang <> 3", role="orion_app")
        changes = port.changes(since)
        found = port.read_keys("t_ligne", [change.key for change in changes]).rows
        place.run("delete from orion.t_ligne where rang = 1", role="orion_app")
        gone = [(one.key, one.operation) for one in port.changes(since) if one.operation is GONE]
    finally:
        port.remove_capture(place.url())
        port.close()
        place.run("revoke pg_read_all_stats from banyan_reader")

    named = dict(rows.select("rang", pl.concat_str(rows.columns[:3], separator=KEY_SEPARATOR).alias("key")).rows())
    assert named["1"] == KEY_SEPARATOR.join(("1", MARK + b"Ga\xeb ".hex(), "1"))
    assert sorted(change.key for change in changes) == sorted((named["1"], named["2"]))
    assert sorted(found["rang"]) == ["1", "2"]
    assert set(found["texte"]) == {"y"}
    assert gone == ([] if way == "stamps" else [(named["1"], GONE)])


def test_a_name_that_is_no_utf8_is_refused(make_place):
    place = make_place("utf-8")
    place.run('create table orion."\xe9l\xe8ves" (id int primary key)')

    with (
        place.port() as port,
        pytest.raises(SourceUnreadable, match="the name of a table or column is not utf-8: byte 0"),
    ):
        port.tables()


def test_a_database_without_encoding_is_refused_until_one_is_declared(make_place):
    place = replace(make_place("cp850"), encoding="")

    with place.port() as port, pytest.raises(SourceUnreadable, match="none is declared") as met:
        port.tables()

    assert "encoding: cp1252" in met.value.hint


@pytest.mark.parametrize(
    "wrong", ["utf-16", "utf-8-sig", "utf-7", "cp037", "shift_jis", "gb18030", "ascii", "martian", "rot13"]
)
def test_a_declaration_that_cannot_be_true_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="nothing was read"):
        alphabet_named(wrong)


def test_a_refused_declaration_reads_nothing_of_a_server(make_place):
    place = replace(make_place("cp850"), encoding="cp037")

    with place.port() as port, pytest.raises(ConfigurationError, match="'cp037' is no encoding in which"):
        port.tables()


def test_the_encoding_is_the_key_that_files_have_and_is_never_taken_for_declared(make_place):
    place = make_place("")
    place.keep("t_code", ("élu".encode("cp850"), b"x"))
    replace(place, encoding="cp850").install_fence("t_code")
    told = {"medium": "postgresql", "url": place.url("banyan_reader"), "schema": "orion", "rules": "r"}
    told |= {"fence_url": place.url("banyan_guard"), "admin_url": place.url()}
    declared, silent = open_source(SourceConfig(**told, encoding="cp850")), open_source(SourceConfig(**told))

    rows = declared.read_keys("t_code", ["élu"]).rows
    fence = open_fence(SourceConfig(**told, encoding="cp850"), CLOSURE)

    assert rows["code"].to_list() == ["élu"]
    assert fence.probe("t_code") is False
    with pytest.raises(SourceUnreadable, match="none is declared"):
        silent.tables()
    for opened in (declared, silent):
        opened.close()
    fence.disconnect()


@pytest.mark.parametrize(("declared", "found"), [({}, ""), ({"encoding": "cp850"}, "cp850")])
def test_every_account_of_a_project_speaks_the_encoding_declared(tmp_path, declared, found):
    accounts = ("url", "reverse_url", "fence_url", "admin_url", "application_url")
    source = {"medium": "postgresql", "schema": "orion", "rules": "rules/x"} | declared
    source |= {account: f"file:{tmp_path / account}" for account in accounts}
    for account in accounts:
        (tmp_path / account).write_text(f"postgresql://{account}@127.0.0.1/orion")
    department = {"name": "Isère", "time_zone": "Europe/Paris", "domains": ["cases"], "sources": {"ORION": source}}
    (tmp_path / PROJECT_FILE).write_text(yaml.safe_dump({"project": "p", "departments": {"38": department}}))

    urls = Workspace(load_project(tmp_path)).legacy_urls(SourceRef("38", "ORION"))

    told = [make_url(getattr(urls, field.name)) for field in fields(urls)]
    assert [url.username for url in told] == ["url", "reverse_url", "fence_url", "admin_url", "application_url"]
    assert {url.query.get("encoding", "") for url in told} == {found}


def test_an_address_that_is_none_is_refused_where_it_is_opened_and_not_shown():
    with pytest.raises(ConfigurationError, match="cannot be read") as met:
        open_postgresql(with_encoding("hunter2@nowhere", "cp850"), "orion")

    assert "hunter2" not in str(met.value)


def test_a_server_that_knows_its_encoding_is_believed(legacy):
    legacy.run("insert into orion.t_code values ('élu', 'œ')")
    said = BytesDatabase(legacy.address, "cp850")

    with said.port() as port:
        assert port.read_keys("t_code", ["élu"]).rows["libelle"].to_list() == ["œ"]
        assert port.capabilities("t_code").note == "its changes are not found by journal"


def test_the_journal_tells_keys_with_accents_and_they_are_found_again(place):
    first, second, third = spelled(place, "élu", "çà", "où")
    place.keep("t_code", (first, b"x"), (second, b"y"))
    place.keep("t_ligne", (1, *spelled(place, "é"), 1, b"x"))

    with place.port() as port:
        port.install_capture(place.url(), ["t_code", "t_ligne"])
        since = port.head()
        place.keep("t_code", (third, spelled(place, "à")[0]))
        place.run("update orion.t_code set libelle = 'z' where libelle = 'x'", role="orion_app")
        place.run("delete from orion.t_code where libelle = 'y'", role="orion_app")
        place.run("update orion.t_ligne set rang = 2", role="orion_app")
        changes = port.changes(since)
        keys = [change.key for change in changes if change.table == "t_code"]
        rows = port.read_keys("t_code", keys).rows
        note = port.capabilities("t_code").note

    found = sorted((change.key, change.operation) for change in changes)
    lines = [KEY_SEPARATOR.join(["1", "é  " if place.encoding == "utf-8" else "é   ", rang]) for rang in "12"]
    assert found == sorted([("où", NEW), ("élu", CHANGED), ("çà", GONE), (lines[0], GONE), (lines[1], NEW)])
    assert sorted(rows.rows()) == [("où", "à"), ("élu", "z")]
    assert note.startswith("its database has no encoding (SQL_ASCII)")


def test_the_log_tells_keys_with_accents_and_they_are_found_again(make_place, make_store):
    place = make_place("cp850")
    first, second, third = spelled(place, "élu", "çà", "où")
    place.keep("t_code", (first, b"x"), (second, b"y"))
    logged = Logged(place, make_store(), None)
    logged.port = logged.open()
    logged.port.install_capture(place.url(), ("t_code",))
    try:
        since = logged.port.head()
        place.keep("t_code", (third, EVERY_BYTE[200:240]))
        place.run("update orion.t_code set libelle = 'z' where libelle = 'x'", role="orion_app")
        place.run("delete from orion.t_code where libelle = 'y'", role="orion_app")

        seen = logged.seen(since)
        rows = logged.port.read_keys("t_code", ["élu", "çà"]).rows
    finally:
        logged.port.close()
        logged.port.remove_capture(place.url())

    assert sorted(seen) == [("t_code", "où", NEW), ("t_code", "çà", GONE), ("t_code", "élu", CHANGED)]
    assert rows.rows() == [("élu", "z")]


def test_looks_at_every_row_and_stamps_tell_keys_with_accents(make_place, make_store):
    place = make_place("cp850")
    place.run("grant pg_read_all_stats to banyan_reader")
    place.keep("t_code", *[(key, EVERY_BYTE[-9:]) for key in spelled(place, "élu", "çà", "où")])
    store = make_store()
    store.run(
        "insert into mig.source_table (department_code, system_code, table_name) values ('38', 'ORION', 't_code')"
    )
    marks = StoreRowMarks(lambda: store.engine("banyan_forward"), SourceRef("38", "ORION"))
    ways = (open_snapshot_diff(("t_code",), marks, key=b"k" * 32), open_row_version(("t_code",), ""))
    ports = [open_postgresql(place.url("banyan_reader"), "orion", capture=way) for way in ways]
    since = [port.head() for port in ports]

    place.run("update orion.t_code set libelle = %s where code = %s", ("\xe9", "élu".encode("cp850").decode("latin-1")))
    place.run("delete from orion.t_code where code = %s", ("çà".encode("cp850").decode("latin-1"),))
    by_look, by_stamp = ([(one.key, one.operation) for one in port.changes(at)]
                         for port, at in zip(ports, since, strict=True))  # fmt: skip

    place.run("revoke pg_read_all_stats from banyan_reader")
    for port in ports:
        port.close()
    assert sorted(by_look) == [("çà", GONE), ("élu", CHANGED)]
    assert by_stamp == [("élu", CHANGED)]


def test_ranges_of_keys_with_accents_hold_each_row_once_in_the_order_of_bytes(place):
    letters = "aàâäbcçeéèêëiïîoôuùûüzÉÀ"
    texts = sorted({left + right for left in letters for right in letters})
    place.keep("t_code", *[(text, b"") for text in spelled(place, *texts)])

    with place.port() as port:
        ranges = port.plan_ranges("t_code", 50)
        read = [port.read_range("t_code", keys).rows["code"].to_list() for keys in ranges]
        cut = port.find_cut("t_code", EVERYTHING, 100)

    assert sorted(key for keys in read for key in keys) == texts
    assert [len(keys) for keys in read[:-1]] == [50] * (len(read) - 1)
    assert cut == sorted(texts, key=lambda text: text.encode(place.encoding))[99]


@pytest.mark.parametrize("encoding", ["iso-8859-15"])
def test_a_letter_the_encoding_does_not_have_is_refused_and_the_rest_is_written(make_place, encoding):
    place = make_place(encoding)
    place.keep("t_code", *[(key, b"old") for key in spelled(place, "élu", "çà")])
    nonce = opened_fence(place)

    with place.port() as port, port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        with pytest.raises(RowRefused, match="does not have") as met, session.attempt("t_code"):
            session.upsert("t_code", pl.DataFrame({"code": ["élu"], "libelle": ["Łódź"]}))
        session.upsert("t_code", pl.DataFrame({"code": ["élu", "né"], "libelle": ["Noël", "ù"]}))
        assert session.delete("t_code", ["çà"]) == 1
        assert session.delete("t_code", ["né"], assign={"libelle": "effacé"}) == 1
        back = session.read_back("t_code", ["élu", "çà", "né"])

    assert met.value.facts["code"] == port_encoding(encoding)
    assert "Łódź" not in str(met.value)
    assert sorted(back.rows()) == [("né", "effacé"), ("élu", "Noël")]
    wanted = [tuple(spelled(place, *row)) for row in (("né", "effacé"), ("élu", "Noël"))]
    assert sorted(place.kept("select code, libelle from orion.t_code")) == sorted(wanted)


def port_encoding(encoding: str) -> str:
    return {"iso-8859-15": "iso8859-15"}.get(encoding, encoding)


def test_names_and_questions_with_accents_are_spelled_in_the_same_bytes(place):
    table, column, value = spelled(place, "élèves", "prénom", "Zoé")
    names = [text.decode("latin-1") for text in (table, column, value)]
    place.run(f'create table orion."{names[0]}" (id int primary key, "{names[1]}" text)')
    place.run(f"insert into orion.\"{names[0]}\" values (1, '{names[2]}')")
    place.run(f'grant select, insert, update, delete on orion."{names[0]}" to orion_app, banyan_reader')
    place.install_fence("élèves")

    with place.port() as port, place.fence() as fence:
        port.install_capture(place.url(), ["élèves"])
        since = port.head()
        place.run(f'update orion."{names[0]}" set id = 2', role="orion_app")
        told = [(one.table, one.key) for one in port.changes(since)]
        rows = port.read_range("élèves", EVERYTHING).rows
        answer = [row for piece in port.answer("select prénom from élèves where prénom like '%é'") for row in piece]
        is_open = fence.find_open(("élèves",))
        defects = fence.check_installed(["élèves"])
        named = [one.name for one in port.columns("élèves")]

    assert sorted(told) == [("élèves", "1"), ("élèves", "2")]
    assert rows.to_dicts() == [{"id": "2", "prénom": "Zoé"}]
    assert answer == [("Zoé",)]
    assert (is_open, defects, named) == (("élèves",), [], ["id", "prénom"])


def test_what_stands_around_is_told_and_a_driver_is_never_given_our_own_word(make_place):
    place = make_place("cp850")

    around = look_around_postgresql(place.url("banyan_reader"), "orion")
    reader = PostgreSQLConnections(place.url("banyan_reader"))

    assert around.encoding == "SQL_ASCII"
    assert "encoding" not in reader.url.query
    assert reader.alphabet is None
    with reader.session("looking"):
        assert reader.alphabet.name == "cp850"
    reader.close()


def test_a_table_of_many_blocks_is_read_whole(make_place):
    place = make_place("cp850")
    place.run("insert into orion.t_vrac select repeat(md5(n::text), 40) || n from generate_series(1, 9000) n")
    place.keep("t_vrac", (b'\x82\x8a,"\r\n\\.\n',))

    with place.port() as port:
        texts = port.read_range("t_vrac", EVERYTHING).rows["quoi"]

    assert (texts.len(), texts.n_unique()) == (9001, 9001)
    assert texts[-1] == 'éè,"\r\n\\.\n'


def test_a_database_without_encoding_is_copied_for_a_rehearsal_byte_for_byte(make_place, cluster):
    place = make_place("cp850")
    place.keep("t_code", *[(f"k{number}", cell) for number, cell in enumerate(MIXED) if len(cell or b"") < 40])
    copy = replace(place, address=place.address.set(database=f"{place.address.database}_copy"))

    copy_database(place.address, cluster, copy.address.database)

    everything = "select * from orion.t_code order by code"
    assert copy.kept(everything) == place.kept(everything)
    assert copy.kept("show server_encoding") == [(b"SQL_ASCII",)]
