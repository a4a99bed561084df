import random
import sqlite3
import struct

import polars as pl
import pyodbc
import pytest

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.sql import _cells, _select, open_odbc
from connectors.sqlite import open_sqlite

pytestmark = pytest.mark.odbc

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
    with sqlite3.connect(path) as base:
        base.execute(
            'CREATE TABLE "AFFAIRES" '
            '(id INTEGER PRIMARY KEY, "MEC1 AGE" INTEGER, "nom" VARCHAR(40), clos BOOLEAN, d DATE)'
        )
        base.executemany("INSERT INTO AFFAIRES VALUES (?,?,?,?,?)", rows)
    base.close()
    return path


def through_odbc(path, **options):
    connection = f"DRIVER=SQLite3;Database={path};"
    return open_odbc(connection, "AFFAIRES", encoding="utf-8", order=("id",), **options)


def test_odbc_and_sqlite3_give_the_same_rows_of_a_base_that_holds_anything_anywhere(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)
    direct, odbc = open_sqlite(path, "AFFAIRES", "utf-8"), through_odbc(path)

    expected, found = pl.concat(direct.read(3, recno=True)), pl.concat(odbc.read(3, recno=True))

    assert found.rows() == expected.rows()
    assert found.columns == expected.columns == ["id", "MEC1 AGE", "nom", "clos", "d", "_recno"]
    assert found["MEC1 AGE"].to_list() == ["5", "abc", "2.5", None, "0x00ff", "3", "", "nul\0inside"]
    assert found["nom"].to_list()[1:3] == ["", None]
    assert direct.count_declared == odbc.count_declared == 8


def test_odbc_and_sqlite3_agree_on_every_digit_of_a_real(tmp_path):
    dice = random.Random(7)
    doubles = [struct.unpack("<d", dice.randbytes(8))[0] for _ in range(400)]
    doubles += [dice.random() for _ in range(400)]
    rows = [(number, None, None, None, value) for number, value in enumerate(doubles) if value % 1 > 0]
    path = write_base(tmp_path / "reals.db", rows)

    expected = pl.concat(open_sqlite(path, "AFFAIRES", "utf-8").read(1000))["d"]
    found = pl.concat(through_odbc(path).read(1000))["d"]

    assert expected.to_list() == [repr(row[4]) for row in rows]
    assert found.to_list() == expected.to_list()


def test_bytes_of_another_encoding_are_refused_by_place_and_read_when_declared(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)
    with sqlite3.connect(path) as base:
        base.execute("UPDATE AFFAIRES SET nom = CAST(x'4761EB6C' AS TEXT) WHERE id = 3")
    base.close()
    connection = f"DRIVER=SQLite3;Database={path};"

    with pytest.raises(SourceUnreadable, match="row 3, column nom, byte offset 2 of the value"):
        list(through_odbc(path).read(10))

    declared = open_odbc(connection, "AFFAIRES", encoding="cp1252", order=("id",))
    assert pl.concat(declared.read(10))["nom"][2] == "Gaël"


def test_a_column_without_exact_text_needs_a_declared_projection():
    types = {"ID": pyodbc.SQL_DECIMAL, "DT MAJ": pyodbc.SQL_TYPE_TIMESTAMP, "NOM": pyodbc.SQL_WVARCHAR}
    projection = {"DT MAJ": 'CONVERT(varchar(33), "DT MAJ", 126)'}

    with pytest.raises(ConfigurationError, match="column DT MAJ: its ODBC type 93 has no text"):
        _cells(types, {}, is_sqlite=False, table="T")

    statement = _select("T PROC", _cells(types, projection, is_sqlite=False, table="T"), ("ID",), "`")
    assert " ".join(statement.split()) == (
        'SELECT `ID`, CONVERT(varchar(33), "DT MAJ", 126) AS c1, `NOM` FROM `T PROC` ORDER BY `ID`'
    )


def test_a_missing_table_a_missing_column_and_a_missing_driver_are_named(tmp_path):
    path = write_base(tmp_path / "bureau.db", ODD)
    connection = f"DRIVER=SQLite3;Database={path};"

    with pytest.raises(SourceDrifted, match="no table NONE"):
        open_odbc(connection, "NONE", encoding="utf-8", order=())
    with pytest.raises(SourceDrifted, match=r"no column \['cle'\]"):
        open_odbc(connection, "AFFAIRES", encoding="utf-8", order=("cle",))
    with pytest.raises(SourceUnavailable, match="SQLSTATE") as caught:
        open_odbc("DRIVER=Nowhere;PWD=hunter2", "T", encoding="utf-8", order=())
    assert "hunter2" not in str(caught.value)
