import sqlite3

import polars as pl
import pytest

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from banyan.undecoded import find_bytes
from connectors.sqlite import open_sqlite
from connectors.sqlite_port import open_sqlite_file


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "brigade é.db"
    with sqlite3.connect(path) as connection:
        connection.execute('CREATE TABLE "Main Courante" (id INTEGER PRIMARY KEY, n INTEGER, "du texte" TEXT)')
        rows = [(3, 2.5, ""), (1, "abc", None), (2, 12, b"\x01"), (4, None, "05")]
        connection.executemany('INSERT INTO "Main Courante" VALUES (?,?,?)', rows)
    connection.close()
    return path


def test_values_keep_their_class_and_their_text_in_the_order_of_the_key(base):
    table = open_sqlite(base, "Main Courante", "utf-8")

    rows = pl.concat(table.read(3, recno=True, storage=True))

    assert rows.columns == ["id", "n", "du texte", "_storage", "_recno"]
    assert rows.rows() == [
        ("1", "abc", None, "itn", "1"),
        ("2", "12", "0x01", "iib", "2"),
        ("3", "2.5", "", "irt", "3"),
        ("4", None, "05", "int", "4"),
    ]
    assert set(rows.dtypes) == {pl.String}
    assert table.count_declared == 4


def test_a_table_without_a_key_is_read_in_the_order_it_was_written(base):
    with sqlite3.connect(base) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("z",), ("a",), ("m",)])
    connection.close()

    assert pl.concat(open_sqlite(base, "t", "utf-8").read(2))["a"].to_list() == ["z", "a", "m"]


def test_bytes_of_another_encoding_are_carried_as_bytes_and_read_when_declared(base):
    with sqlite3.connect(base) as connection:
        connection.execute("""UPDATE "Main Courante" SET "du texte" = CAST(x'4761EB6C' AS TEXT) WHERE id = 3""")
    connection.close()

    read = pl.concat(open_sqlite(base, "Main Courante", "utf-8").read(10))["du texte"].to_list()

    assert read == [None, "0x01", "\ufdd0x4761eb6c", "05"]
    assert pl.concat(open_sqlite(base, "Main Courante", "cp1252").read(10))["du texte"][2] == "Gaël"


def test_a_text_that_looks_like_the_mark_is_told_from_bytes_that_are_no_text(base):
    with sqlite3.connect(base) as connection:
        connection.execute("""UPDATE "Main Courante" SET "du texte" = CAST(x'4761EB6C' AS TEXT) WHERE id = 3""")
        connection.execute("""UPDATE "Main Courante" SET "du texte" = ? WHERE id = 4""", ("\ufdd0x4761eb6c",))
    connection.close()

    read = pl.concat(open_sqlite(base, "Main Courante", "utf-8").read(10))["du texte"].to_list()

    assert read[2] != read[3]
    assert [find_bytes(text) for text in read[2:]] == [b"Ga\xebl", "\ufdd0x4761eb6c".encode()]


def test_the_bytes_of_two_cells_are_never_one_letter_and_each_cell_reads_as_it_would_alone(base):
    texts = [b"caf\xc3", b"\xa9", "é".encode(), b"", b"a\x00b", "\ufeff".encode()]
    with sqlite3.connect(base) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c)")
        places = [(number, text, text, text) for number, text in enumerate(texts, 1)]
        connection.executemany("INSERT INTO t VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT))", places)
        connection.execute("UPDATE t SET b = NULL WHERE id < 3")  # the rest of its column are texts
        connection.execute("UPDATE t SET c = -9223372036854775808 WHERE id < 3")
    connection.close()

    rows = pl.concat(open_sqlite(base, "t", "utf-8").read(10, storage=True))

    assert rows["a"].to_list() == ["\ufdd0x636166c3", "\ufdd0xa9", "é", "", "a\x00b", "\ufeff"]
    assert rows["b"].to_list() == [None, None, "é", "", "a\x00b", "\ufeff"]
    assert rows["c"].to_list() == ["-9223372036854775808"] * 2 + ["é", "", "a\x00b", "\ufeff"]
    assert rows["_storage"].to_list() == ["itni"] * 2 + ["ittt"] * 4


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_keys_of_another_encoding_stand_in_one_range_each_and_are_found_again(tmp_path, encoding):
    keys = [b"Ga\xebl", b"Zo\xe9", "Noël".encode(), b"plain", b"\x81", b"Ga", b"\xff\xfe"]
    path = tmp_path / "keys.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (code TEXT PRIMARY KEY, n INTEGER)")
        connection.executemany("INSERT INTO t VALUES (CAST(? AS TEXT), ?)", [(k, n) for n, k in enumerate(keys)])
    connection.close()
    port = open_sqlite_file(path, encoding=encoding)

    ranges = port.plan_ranges("t", 2)
    cuts = [port.find_cut("t", keys, 1) for keys in ranges]
    read = [port.read_range("t", keys).rows for keys in ranges]
    again = port.read_keys("t", pl.concat(read)["code"].to_list()).rows

    assert sorted(pl.concat(read)["n"].to_list()) == sorted(again["n"].to_list()) == [str(n) for n in range(7)]
    assert [rows.height for rows in read] == [2, 2, 2, 1]
    assert cuts == [min(rows["code"], key=spelled(encoding)) for rows in read]
    assert pl.concat(read)["code"].n_unique() == 7


def spelled(encoding):
    return lambda text: find_bytes(text) or text.encode(encoding)


def test_the_file_is_never_written(base):
    before = base.read_bytes()

    list(open_sqlite(base, "Main Courante", "utf-8").read(10))

    assert base.read_bytes() == before
    assert [path.name for path in base.parent.iterdir()] == [base.name]


def test_a_missing_file_a_missing_table_a_wrong_encoding_and_another_format_are_refused(base, tmp_path):
    (tmp_path / "other.db").write_bytes(b"Standard Jet DB" * 100)

    with pytest.raises(SourceUnavailable, match=r"absent\.db cannot be opened"):
        open_sqlite(tmp_path / "absent.db", "t", "utf-8")
    with pytest.raises(SourceDrifted, match="has no table T_PROC"):
        open_sqlite(base, "T_PROC", "utf-8")
    with pytest.raises(ConfigurationError, match="'latin99' is not known"):
        open_sqlite(base, "Main Courante", "latin99")
    with pytest.raises(SourceUnreadable, match=r"other\.db is no SQLite file"):
        open_sqlite(tmp_path / "other.db", "t", "utf-8")
