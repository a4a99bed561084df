import sqlite3

import polars as pl
import pytest

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.sqlite import open_sqlite


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


def test_bytes_of_another_encoding_are_refused_by_place_and_read_when_declared(base):
    with sqlite3.connect(base) as connection:
        connection.execute("""UPDATE "Main Courante" SET "du texte" = CAST(x'4761EB6C' AS TEXT) WHERE id = 3""")
    connection.close()

    with pytest.raises(SourceUnreadable, match="row 3, column du texte, byte offset 2 of the value") as caught:
        list(open_sqlite(base, "Main Courante", "utf-8").read(10))

    assert "Ga" not in str(caught.value)
    assert pl.concat(open_sqlite(base, "Main Courante", "cp1252").read(10))["du texte"][2] == "Gaël"


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
