"""Texts of a MariaDB in a character set that leaves bytes out: none is read as a question mark, none is written so."""

import polars as pl
import pytest
from stores import make_store, store_template

from banyan.departments import SourceRef
from banyan.errors import SourceUnreadable
from banyan.records import KEY_SEPARATOR, KeyRange, Operation
from banyan.undecoded import MARK, find_bytes
from connectors.dialects_mariadb_bytes import GAPS, spell
from connectors.dialects_mariadb_rows import select_whole_rows
from connectors.mariadb_log_rows import _CODECS
from connectors.mariadb_snapshot import open_mariadb_snapshot
from store.row_marks import StoreRowMarks
from wire.binlog_cells import _decoded

__all__ = ["make_store", "store_template"]

pytestmark = pytest.mark.mariadb

EVERYTHING = KeyRange(None, None)
TOKEN = 3
CLOSURE = "38.cases"
SOURCE = SourceRef("38", "ORION")
SETS = {
    "ascii": (b"Ga\xebl", b"\x81", b"\xe9t\xe9"),
    "cp1250": (b"Ga\x81l", b"\x83", b"\x90"),
    "greek": (b"\xd2", b"a\xff", b"\xae"),
}


def make_table(marel, encoding, engine="innodb"):
    marel.run(
        f"create table odd (code varchar(10) character set {encoding}, rang int, texte varchar(20) character set "
        f"{encoding}, primary key (code, rang)) engine = {engine}"
    )
    keys = (b"plain", b"?", *SETS[encoding])
    marel.run(*(f"insert into odd values (x'{key.hex()}', {n}, x'{key.hex()}')" for n, key in enumerate(keys)))
    return keys


def spelled(text):
    return find_bytes(text) or text.encode()


def kept(marel):
    return marel.run("select unhex(hex(code)), rang, unhex(hex(texte)) from odd order by rang")


@pytest.mark.parametrize("encoding", SETS)
def test_rows_with_bytes_without_a_letter_stand_in_one_range_each_and_are_found_again(marel, encoding):
    keys = make_table(marel, encoding)

    with marel.port("journal") as port:
        ranges = port.plan_ranges("odd", 2)
        read = [port.read_range("odd", one).rows for one in ranges]
        rows = pl.concat(read).sort("rang")
        named = rows.select(pl.concat_str("code", "rang", separator=KEY_SEPARATOR)).to_series().to_list()
        again = port.read_keys("odd", named).rows.sort("rang")
        one = port.read_keys("odd", named[1:2]).rows

    assert [part.height for part in read] == [2, 2, 1]
    assert [spelled(text) for text in rows["code"]] == [spelled(text) for text in rows["texte"]] == list(keys)
    assert rows["texte"].to_list()[:3] == ["plain", "?", MARK + keys[2].hex()]
    assert again.equals(rows)
    assert one.rows() == [("?", "1", "?")]


@pytest.mark.parametrize("engine", ["innodb", "myisam"])
@pytest.mark.parametrize("encoding", SETS)
def test_bytes_without_a_letter_go_back_the_same(marel, encoding, engine):
    make_table(marel, encoding, engine)
    nonce = marel.install_fence("odd")
    before = kept(marel)

    with marel.port("journal") as port, marel.fence() as fence:
        rows = port.read_range("odd", EVERYTHING).rows.sort("rang")
        keys = rows.select(pl.concat_str("code", "rang", separator=KEY_SEPARATOR)).to_series().to_list()
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
        with port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
            same = session.upsert("odd", rows)
            removed = session.delete("odd", keys[2:])
            written = session.upsert("odd", rows)
            back = session.read_back("odd", keys).sort("rang")

    assert (same.untouched, removed, written.untouched) == (5, 3, 2)
    assert back.equals(rows)
    assert kept(marel) == before


@pytest.mark.parametrize("way", ["journal", "log", "snapshot"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1250"])
def test_a_change_of_a_row_is_told_under_the_key_that_the_row_has(marel, make_store, encoding, way):
    make_table(marel, encoding)
    store = make_store()
    store.run("insert into mig.source_table (department_code, system_code, table_name) values ('38', 'ORION', 'odd')")
    marks = StoreRowMarks(lambda: store.engine("banyan_forward"), SOURCE)
    chosen = open_mariadb_snapshot(("odd",), marks, key=b"k" * 32) if way == "snapshot" else way

    with marel.port(chosen, tables=("odd",)) as port:
        port.install_capture(marel.url(), ["odd"])
        since = port.head()
        marel.run("update odd set texte = 'seen' where rang > 0", account="marel_app")
        changes = port.changes(since)
        found = port.read_keys("odd", [one.key for one in changes]).rows
        marel.run("delete from odd where rang = 3", account="marel_app")
        gone = [one.key for one in port.changes(since) if one.operation is Operation.DELETE]
        rows = port.read_range("odd", EVERYTHING).rows

    named = dict(rows.select("rang", pl.concat_str("code", "rang", separator=KEY_SEPARATOR).alias("key")).rows())
    lost = KEY_SEPARATOR.join((MARK + SETS[encoding][1].hex(), "3"))
    assert sorted(one.key for one in changes) == sorted((named["1"], named["2"], lost, named["4"]))
    assert sorted(found["rang"]) == ["1", "2", "3", "4"]
    assert set(found["texte"]) == {"seen"}
    assert gone == [lost]


def test_each_byte_of_each_character_set_is_a_letter_that_comes_back_or_is_known_as_left_out(marel):
    sets = marel.run("select character_set_name from information_schema.character_sets where maxlen = 1")
    marel.run("create table bytes (b binary(1))", *(f"insert into bytes values (x'{n:02x}')" for n in range(1, 256)))
    found = {}
    for (name,) in sets:
        if name != "binary":
            marel.run(
                f"create or replace table odd (c varchar(1) character set {name})",
                "insert into odd select b from bytes",
            )
            lost = marel.run(
                f"select hex(c) from odd where binary convert(convert(c using utf8mb4) using {name}) <> binary c"
            )
            found[name] = {code for (code,) in lost}
            said = marel.run(f"select hex(c), {spell('c', name)} from odd")
            assert {code for code, text in said if text == MARK + code.lower()} == found[name]

    known = {name: {f"{code:02X}" for code in GAPS.get(name, b"")} for name in found}
    assert found == known


def test_a_long_text_is_carried_as_its_bytes_for_the_last_one_of_them(marel):
    marel.run(
        "create table odd (id int primary key, texte longtext character set ascii)",
        "insert into odd values (1, concat(repeat('ab ', 400000), x'81')), (2, repeat('ab ', 400000)), (3, '')",
    )

    with marel.port("journal") as port:
        texts = port.read_range("odd", EVERYTHING).rows.sort("id")["texte"].to_list()

    assert find_bytes(texts[0]) == b"ab " * 400_000 + b"\x81"
    assert texts[1:] == ["ab " * 400_000, ""]


def test_a_row_that_is_asked_for_as_one_text_has_its_bytes_too(marel):
    keys = make_table(marel, "ascii")

    with marel.port("journal") as port:
        low = KEY_SEPARATOR.join((MARK + keys[3].hex(), "3"))
        asked = select_whole_rows(port.shape("odd"), KeyRange(None, low))
        rows = asked.cut(pl.DataFrame({"row": [row for (row,) in marel.run(asked.bound.inlined())]}))
        same = port.read_range("odd", KeyRange(None, low)).rows

    assert MARK + keys[3].hex() in rows["texte"].to_list()
    assert rows.sort("rang").equals(same.sort("rang"))


def test_half_of_a_pair_that_the_server_passes_on_stops_the_reading_by_name(marel):
    marel.run(
        "create table odd (id int primary key, texte varchar(9) character set ucs2)",
        "insert into odd values (1, x'0041d83d')",
    )

    with marel.port("journal") as port, pytest.raises(SourceUnreadable, match="is none in any character set") as met:
        port.read_range("odd", EVERYTHING)

    assert met.value.facts["table"] == "odd"


def test_every_codec_of_the_log_reads_what_the_server_reads(marel):
    marel.run("create table bytes (b binary(1))", *(f"insert into bytes values (x'{n:02x}')" for n in range(128, 256)))
    for name, codec in _CODECS.items():
        if name in ("utf8", "utf8mb3", "utf8mb4"):
            continue
        marel.run(
            f"create or replace table odd (c varchar(1) character set {name})", "insert into odd select b from bytes"
        )
        said = marel.run(f"select unhex(hex(c)), {spell('c', name)} from odd")

        assert [text for _, text in said] == [_decoded(raw, codec) for raw, _ in said], name
