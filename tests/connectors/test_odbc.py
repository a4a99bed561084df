"""A database behind an ODBC driver: what SQLite holds in any column, ranges and keys, the child, what is refused."""

import random
import sqlite3
import struct
from contextlib import closing, contextmanager

import polars as pl
import psycopg
import pytest

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable, UsageError
from banyan.ports import Incremental, LegacyPort, WriteBack
from banyan.records import KeyRange
from banyan.undecoded import find_bytes
from connectors.dialects_odbc import OdbcColumn, OdbcShape
from connectors.odbc import OdbcReader, open_odbc
from connectors.odbc_cells import read_texts
from connectors.one_way import OneWayPort
from connectors.sql import find_make
from connectors.sqlite import open_sqlite

pytestmark = pytest.mark.odbc

EVERYTHING = KeyRange(None, None)
ODD = [
    (1, 5, "é€", -1, "31/12/2020"),
    (2, "abc", "", 0, None),
    (3, 2.5, None, 1, 43831),
    (4, None, "a'b\"c\n", "", 43831.75),
    (5, b"\x00\xff", "x" * 3000, 9_223_372_036_854_775_807, ""),
    (6, 3.0, " padded ", -0.0, "00012"),
    (7, "", "😀", 1e300, 0.1),
    (8, "nul\0inside", "y" * 200_000, b"", "2020-02-30"),
]


def write_base(path, rows):
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(
            'CREATE TABLE "AFFAIRES" '
            '(id INTEGER PRIMARY KEY, "MEC1 AGE" INTEGER, "nom" VARCHAR(40), clos BOOLEAN, d DATE)'
        )
        base.executemany("INSERT INTO AFFAIRES VALUES (?,?,?,?,?)", rows)
    return path


@contextmanager
def through_odbc(path, **options):
    port = open_odbc(f"DRIVER=SQLite3;Database={path};", "", **options)
    yield port
    port.close()


def test_odbc_and_sqlite3_give_the_same_rows_of_a_base_that_holds_anything_anywhere(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)

    expected = pl.concat(open_sqlite(path, "AFFAIRES", "utf-8").read(3))
    with through_odbc(path) as port:
        found, counted = port.read_range("AFFAIRES", EVERYTHING).rows, port.count("AFFAIRES")

    assert found.rows() == expected.rows()
    assert found.columns == expected.columns == ["id", "MEC1 AGE", "nom", "clos", "d"]
    assert found["MEC1 AGE"].to_list() == ["5", "abc", "2.5", None, "0x00ff", "3", "", "nul\0inside"]
    assert found["nom"].to_list()[1:3] == ["", None]
    assert counted == 8


def test_odbc_and_sqlite3_agree_on_every_digit_of_a_real(tmp_path):
    dice = random.Random(7)
    doubles = [struct.unpack("<d", dice.randbytes(8))[0] for _ in range(400)]
    doubles += [dice.random() for _ in range(400)]
    rows = [(number, None, None, None, value) for number, value in enumerate(doubles) if value % 1 > 0]
    path = write_base(tmp_path / "reals.db", rows)

    expected = pl.concat(open_sqlite(path, "AFFAIRES", "utf-8").read(1000))["d"]
    with through_odbc(path) as port:
        found = port.read_range("AFFAIRES", EVERYTHING).rows["d"]

    assert expected.to_list() == [repr(row[4]) for row in rows]
    assert found.to_list() == expected.to_list()


def test_bytes_of_another_encoding_are_carried_as_bytes_and_read_when_declared(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE AFFAIRES SET nom = CAST(x'4761EB6C' AS TEXT) WHERE id = 3")

    with through_odbc(path) as port:
        rows = port.read_range("AFFAIRES", EVERYTHING).rows
    assert (rows.height, rows["nom"][2]) == (len(ODD), "\ufdd0x4761eb6c")
    assert rows.rows() == pl.concat(open_sqlite(path, "AFFAIRES", "utf-8").read(3)).rows()

    with through_odbc(path, encoding="cp1252") as declared:
        assert declared.read_range("AFFAIRES", EVERYTHING).rows["nom"][2] == "Gaël"


@pytest.mark.parametrize("rows_from_child", [1, 20_000])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_keys_of_no_encoding_stand_in_one_range_each_and_are_found_again_by_their_bytes(
    tmp_path, encoding, rows_from_child
):
    path, keys = tmp_path / "keys.db", [b"Ga\xebl", b"Zo\xe9", "Noël".encode(), b"plain", b"\x81", b"Ga", b"\xff\xfe"]
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t (code text, part text, n integer, primary key (code, part))")
        rows = [(key, b"\x81", number) for number, key in enumerate(keys)]
        base.executemany("insert into t values (cast(? as text), cast(? as text), ?)", rows)
    reader = OdbcReader(f"DRIVER=SQLite3;Database={path};", "", encoding)
    reader.child_from_rows = rows_from_child

    with closing(OneWayPort(reader)) as port:
        ranges = port.plan_ranges("t", 2)
        read = [port.read_range("t", keys).rows for keys in ranges]
        named = pl.concat(read).select(pl.concat_str("code", "part", separator="\x1f")).to_series().to_list()
        again = port.read_keys("t", named).rows
        cut = port.find_cut("t", EVERYTHING, 3)

    whole = pl.concat(read)
    assert [rows.height for rows in read] == [2, 2, 2, 1]
    assert sorted(whole["n"]) == sorted(again["n"]) == [str(number) for number in range(7)]
    spelled = {row["n"]: find_bytes(row["code"]) or row["code"].encode(encoding) for row in whole.to_dicts()}
    assert spelled == {str(number): key for number, key in enumerate(keys)}
    assert (
        cut
        == whole.sort(whole["n"].replace_strict(spelled, return_dtype=pl.Binary))[2]
        .select(pl.concat_str("code", "part", separator="\x1f"))
        .item()
    )


@pytest.mark.parametrize("rows_from_child", [1, 20_000])
def test_accented_keys_of_another_code_page_are_cut_and_found_again_by_their_bytes(tmp_path, rows_from_child):
    path, keys = tmp_path / "keys.db", ["a", "é", "zoé", "ça", "œuvre", "b", "É", "e"]
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t (code varchar(10), part text, x integer, primary key (code, part))")
        rows = [(key.encode("cp1252"), f"n°{number % 3}".encode("cp1252"), number) for number, key in enumerate(keys)]
        base.executemany("insert into t values (cast(? as text), cast(? as text), ?)", rows)
    reader = OdbcReader(f"DRIVER=SQLite3;Database={path};", "", "cp1252")
    reader.child_from_rows = rows_from_child

    with closing(OneWayPort(reader)) as port:
        ranges = {rows: port.plan_ranges("t", rows) for rows in (1, 3)}
        read = {rows: pl.concat([port.read_range("t", one).rows for one in cut]) for rows, cut in ranges.items()}
        cut = port.find_cut("t", KeyRange(None, None), 3)
        found = port.read_keys("t", [f"{key}\x1fn°{number % 3}" for number, key in enumerate(keys)]).rows
        strangers = port.read_keys("t", ["é\x1fn°2", "語\x1fn°1"]).rows

    assert [len(cut) for cut in ranges.values()] == [9, 3]
    assert [sorted(one["x"].cast(int).to_list()) for one in read.values()] == [list(range(8))] * 2
    assert sorted(zip(found["code"], found["x"].cast(int), strict=True)) == sorted(zip(keys, range(8), strict=True))
    assert cut == "e\x1fn°1"
    assert strangers.is_empty()


def test_a_key_of_no_text_that_a_server_could_not_be_asked_for_is_refused_by_place():
    columns = (OdbcColumn("code", "nvarchar", 10, is_nullable=False), OdbcColumn("x", "nvarchar", 10, is_nullable=True))
    shape = OdbcShape(find_make("Microsoft SQL Server"), "dbo", "t", columns, ("code",))
    lone, plain = b"G\0\x3d\xd8".hex(), b"a\0".hex()

    carried = read_texts(shape, pl.DataFrame({"code": [plain], "x": [lone]}), "utf-8")
    with pytest.raises(SourceUnreadable, match="row 2 of those read, column code of the key") as caught:
        read_texts(shape, pl.DataFrame({"code": [plain, lone], "x": [plain, plain]}), "utf-8")

    assert [find_bytes(text) for text in carried["x"]] == [bytes.fromhex(lone)]
    assert lone not in str(caught.value)


def test_ranges_hold_every_row_once_and_keys_give_exactly_their_rows(tmp_path):
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table t_ligne (code varchar(4), rang integer, x, primary key (code, rang))")
        rows = [(f"c{n % 7}", n, n) for n in range(100)] + [(None, 3, "a"), ("c3", None, "b"), (None, None, "c")]
        base.executemany("insert into t_ligne values (?, ?, ?)", rows)

    with through_odbc(path) as port:
        ranges = port.plan_ranges("t_ligne", 9)
        read = pl.concat([port.read_range("t_ligne", keys).rows for keys in ranges])
        cuts = [port.find_cut("t_ligne", keys, 4) for keys in ranges[1:-1]]
        halves = [KeyRange(keys.low, cut) for keys, cut in zip(ranges[1:-1], cuts, strict=True)]
        sizes = {port.read_range("t_ligne", keys).rows.height for keys in halves}
        whole = [port.find_cut("t_ligne", keys, rows) for keys in ranges[1:-1] for rows in (9, 10)]
        few = port.read_keys("t_ligne", ["c3\x1f3", "c3\x1f03", "c9\x1f1"]).rows

    assert len(ranges) > 10
    assert (sizes, set(whole)) == ({4}, {None})
    assert sorted(map(str, read.rows())) == sorted(
        str(tuple(None if cell is None else str(cell) for cell in row)) for row in rows
    )
    assert few.rows() == [("c3", "3", "3")]


def test_a_table_without_a_key_is_one_range_or_refused(tmp_path):
    path = tmp_path / "keyless.db"
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("create table vrac (quoi text)")
        base.executemany("insert into vrac values (?)", [("a",), ("b",)])

    with through_odbc(path) as port:
        assert port.plan_ranges("vrac", 2) == [EVERYTHING]
        with pytest.raises(SourceDrifted, match="2 rows and no primary key"):
            port.plan_ranges("vrac", 1)
        assert port.capabilities("vrac").incremental is Incremental.NONE


def test_a_port_that_only_reads_says_so_and_refuses_the_rest(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)

    with through_odbc(path) as port:
        assert isinstance(port, LegacyPort)
        can = port.capabilities("AFFAIRES")
        with pytest.raises(UsageError, match="nothing is written back"):
            port.reserve_keys("seq", 1)
        with pytest.raises(UsageError, match="has no Position"):
            port.head()

    assert (can.incremental, can.write_back, can.deletes_visible) == (Incremental.NONE, WriteBack.NONE, False)


@pytest.mark.server
def test_the_child_and_pyodbc_read_the_same_rows_of_a_large_table(make_database, cluster):
    url = make_database()
    database = url.rsplit("/", 1)[1]
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="postgres", dbname=database, autocommit=True
    ) as connection:
        connection.execute(
            "create schema orion; create table orion.t_gros (id bigint primary key, nom varchar(20), d date, n numeric,"
            " t text); insert into orion.t_gros select i, nullif('é' || i % 50, 'é7'), date '1900-01-01' + i,"
            " i / 7.0, case when i % 3 = 0 then '' else repeat('œ', i % 40) end from generate_series(1, 30000) i"
        )
    string = f"DRIVER=PostgreSQL Unicode;SERVER=127.0.0.1;PORT={cluster.port};DATABASE={database};UID=postgres"
    keys = KeyRange("100", "29000")

    here, child = (OdbcReader(string, "orion", "utf-8") for _ in range(2))
    here.child_from_rows, child.child_from_rows = 1 << 30, 0
    slow, fast = here.read_range("t_gros", keys), child.read_range("t_gros", keys)
    child.close()

    assert slow.height == 28900
    assert slow.sort("id").equals(fast.sort("id"))


def test_a_missing_table_and_a_missing_driver_are_named_without_the_secret(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)

    with through_odbc(path) as port, pytest.raises(SourceDrifted, match="no table NONE"):
        port.columns("NONE")
    with pytest.raises(SourceUnavailable, match="SQLSTATE") as caught:
        open_odbc("DRIVER=Nowhere;PWD=hunter2", "").tables()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_sqlite_base_in_utf16_is_sent_to_the_reader_of_its_file(tmp_path):
    path = tmp_path / "utf16.db"
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("pragma encoding = 'UTF-16le'")
        base.execute("create table t (id integer primary key)")

    with through_odbc(path) as port, pytest.raises(ConfigurationError, match="keeps its texts in UTF-16le"):
        port.tables()
