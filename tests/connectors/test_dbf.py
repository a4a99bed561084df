import os
import struct
import zipfile
from pathlib import Path

import polars as pl
import pytest

from banyan.errors import SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.dbf import WarningKind, open_dbf


def field(name, kind, width, *, decimals=0, flags=0):
    return struct.pack("<11scLBBH12x", name.encode("cp1252"), kind.encode(), 0, width, decimals, flags), width


def dbf(fields, records, *, version=0x03, count=None, language=0, end=b"\x1a"):
    """Build a table; a record is its flag byte and its fields."""
    width = 1 + sum(size for _, size in fields)
    head = 33 + 32 * len(fields)
    assert all(len(record) == width for record in records)
    header = struct.pack("<B3BLHH", version, 99, 12, 31, len(records) if count is None else count, head, width)
    header += bytes(17) + bytes([language]) + bytes(2)
    return header + b"".join(raw for raw, _ in fields) + b"\r" + b"".join(records) + end


PEOPLE = [field("NOM", "C", 8), field("NE", "D", 8)]
ROWS = [b" DURAND  19560300", b"*MARTIN  19800231", b" \xc9LO\xcfSE          "]


@pytest.fixture
def write(tmp_path):
    def written(body, name="T.dbf"):
        (tmp_path / name).write_bytes(body)
        return tmp_path / name

    return written


def read(path, encoding="cp1252"):
    return pl.concat(open_dbf(path, encoding).read(2, recno=True))


def test_fields_keep_their_bytes_and_deleted_records_their_flag(write):
    table = open_dbf(write(dbf(PEOPLE, ROWS)), "cp1252")

    rows = pl.concat(table.read(2, recno=True))

    assert table.columns == ("NOM", "NE")
    assert (table.count_declared, table.count_deleted) == (3, 1)
    assert rows.columns == ["NOM", "NE", "_deleted", "_recno"]
    assert rows.rows() == [
        ("DURAND  ", "19560300", " ", "1"),
        ("MARTIN  ", "19800231", "*", "2"),
        ("ÉLOÏSE  ", "        ", " ", "3"),
    ]
    assert set(rows.dtypes) == {pl.String}


def test_the_text_of_every_field_turns_back_into_the_bytes_of_the_file(write):
    body = bytes(value for value in range(256) if value not in (0x81, 0x8D, 0x8F, 0x90, 0x9D))
    fields = [field("A", "C", 251)]

    rows = read(write(dbf(fields, [b" " + body, b" " + body[::-1]])))

    assert [text.encode("cp1252") for text in rows["A"]] == [body, body[::-1]]


def test_a_byte_without_a_character_is_named_by_record_column_and_offset_and_not_shown(write):
    path = write(dbf(PEOPLE, [*ROWS, b" SECR\x81T  20010101"]))

    with pytest.raises(SourceUnreadable, match=r"record 4, column NOM, byte offset 153 of the file") as caught:
        read(path)

    assert "SECR" not in str(caught.value)
    assert path.read_bytes()[153] == 0x81


def test_a_text_in_an_encoding_of_several_bytes_is_read_field_by_field(write):
    rows = read(write(dbf(PEOPLE, [b" " + "Éloïse".encode() + b"20010101", ROWS[0]])), "utf-8")

    assert rows["NOM"].to_list() == ["Éloïse", "DURAND  "]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (dbf(PEOPLE, ROWS, count=5), "counts 5 records, 3 whole ones are there"),
        (dbf(PEOPLE, ROWS)[:-10], "counts 3 records, 2 whole ones are there: the file is cut"),
        (dbf(PEOPLE, ROWS, count=2), "counts 2 records, the file holds at least 3"),
        (
            dbf(PEOPLE, [ROWS[0], b"\0" + ROWS[1][1:]]),
            "counts 2 records, the file holds 1 live and 0 deleted ones and 1",
        ),
        (dbf(PEOPLE, ROWS, version=0x8C), "dBase 7 with memo"),
        (dbf(PEOPLE, ROWS, version=0x02), "dBase II "),
        (dbf(PEOPLE, ROWS, version=0x77), "version byte 0x77 names no format"),
        (dbf([field("A", "X", 8)], [b" " + bytes(8)]), "its header cannot be read"),
        (b"\x03\x01", "its header cannot be read"),
        (dbf(PEOPLE, ROWS).replace(struct.pack("<HH", 97, 17), struct.pack("<HH", 97, 18)), "18 bytes a record"),
        (dbf([*PEOPLE, field("M", "M", 10)], [ROWS[0] + b"         1"], version=0x83), r"no memo file T\.dbt"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_with_its_reason(write, body, reason):
    with pytest.raises(SourceUnreadable, match=f"T\\.dbf is refused: .*{reason}.*nothing was read"):
        open_dbf(write(body), "cp1252")


def test_a_missing_file_is_not_a_broken_one(tmp_path):
    with pytest.raises(SourceUnavailable, match=r"NONE\.dbf cannot be opened"):
        open_dbf(tmp_path / "NONE.dbf", "cp1252")


def test_a_file_that_grows_while_it_is_read_is_noticed(write):
    path = write(dbf(PEOPLE, ROWS))
    batches = open_dbf(path, "cp1252").read(1)
    next(batches)

    path.write_bytes(dbf(PEOPLE, [*ROWS, ROWS[0]]))

    with pytest.raises(SourceDrifted, match="changed while it was read"):
        list(batches)


def test_the_language_byte_is_compared_with_the_declared_encoding(write):
    path = write(dbf(PEOPLE, ROWS, language=0x03))

    (warning,) = open_dbf(path, "cp850").warnings

    assert warning.kind is WarningKind.LANGUAGE_BYTE
    assert warning.sentence == "language byte 0x03 says cp1252; cp850 is declared"
    assert open_dbf(path, "windows-1252").warnings == ()


def test_two_columns_of_one_name_are_both_kept(write):
    table = open_dbf(write(dbf([field("A", "C", 1), field("A", "C", 1)], [b" xy"])), "cp1252")

    assert next(table.read(1)).rows() == [("x", "y", " ")]
    assert table.columns == ("A", "A_2")
    assert table.warnings[0].kind is WarningKind.DUPLICATE_COLUMN


def test_an_empty_table_gives_no_rows(write):
    assert list(open_dbf(write(dbf(PEOPLE, [])), "cp1252").read(10)) == []


def test_foxpro_numbers_and_instants_become_exact_text(write):
    fields = [
        field("I", "I", 4), field("Y", "Y", 8, decimals=4), field("B", "B", 8), field("T", "T", 8),
        field("X", "C", 2, flags=4),
    ]  # fmt: skip
    day = 2_457_633  # 1 September 2016
    records = [
        b" " + struct.pack("<iqdLL", -7, -12_345, 0.1, day, 28_800_001) + b"\x00\xff",
        b" " + struct.pack("<iqdLL", 2**31 - 1, 180_000, float("inf"), 0, 4) + b"ab",
    ]

    rows = read(write(dbf(fields, records, version=0x30)))

    assert rows.drop("_deleted", "_recno").rows() == [
        ("-7", "-1.2345", "0.1", "2016-09-01T08:00:00.001", "0x00ff"),
        ("2147483647", "18.0000", "0x000000000000f07f", "0x0000000004000000", "0x6162"),
    ]


def test_foxpro_nulls_and_varying_lengths_are_read_from_the_bits_of_the_record(write):
    fields = [field("A", "C", 2, flags=2), field("V", "V", 4, flags=2), field("_NullFlags", "0", 1, flags=5)]
    # bit 0: A is null; bit 1: V is shorter than its field; bit 2: V is null
    records = [b" xxabcd\x00", b"   ab\x00\x02\x02", b" xx    \x05", b"   \x00\x00\x00\x00\x02"]

    rows = read(write(dbf(fields, records, version=0x32)))

    assert rows["A"].to_list() == ["xx", "  ", None, "  "]
    assert rows["V"].to_list() == ["abcd", "ab", None, ""]
    assert rows.columns == ["A", "V", "_deleted", "_recno"]


def test_a_varying_text_that_says_to_be_longer_than_its_field_is_refused_unless_it_is_null(write):
    fields = [field("V", "V", 4, flags=2), field("_NullFlags", "0", 1, flags=5)]
    null, whole, longer = b" xyz\xff\x03", b" abc\x03\x01", b" xyz\x04\x01"

    assert read(write(dbf(fields, [null, whole], version=0x32)))["V"].to_list() == [None, "abc"]
    path = write(dbf(fields, [null, whole, longer], version=0x32))
    with pytest.raises(SourceUnreadable, match=r"record 3, column V, byte offset 113 of the file") as caught:
        read(path)

    assert path.read_bytes()[110:114] == b"xyz\x04"
    assert "xyz" not in str(caught.value)


def memo_table(pointers, *, version, width=10):
    numbers = [pointer.rjust(10) if width == 10 else pointer for pointer in pointers]
    return dbf([field("M", "M", width)], [b" " + number for number in numbers], version=version)


def test_memos_of_three_formats_are_read_whole_and_a_missing_one_is_null(write):
    long = b"x" * 700 + b"\xe9"
    write(bytes(512) + long + b"\x1a\x1a" + bytes(321) + b"two\x1a", "A.DBT")
    write(bytes(20) + b"\x40\0" + bytes(42) + b"\xff\xff\x08\0" + struct.pack("<L", 8 + len(long)) + long, "B.dbt")
    write(
        bytes(6) + b"\x00\x40" + bytes(56) + struct.pack(">LL", 1, len(long)) + long + bytes(59)
        + struct.pack(">LL", 0, 3) + b"\x00\x01\xff",
        "C.FPT",
    )  # fmt: skip

    dbase3 = read(write(memo_table([b"1", b"", b"3"], version=0x83), "a.dbf"))
    dbase4 = read(write(memo_table([b"1", b"0"], version=0x8B), "b.dbf"))
    foxpro = read(write(memo_table([b"\1\0\0\0", b"\0\0\0\0", b"\x0d\0\0\0"], version=0x30, width=4), "c.dbf"))

    assert dbase3["M"].to_list() == [long.decode("cp1252"), None, "two"]
    assert dbase4["M"].to_list() == [long.decode("cp1252"), None]
    assert foxpro["M"].to_list() == [long.decode("cp1252"), None, "0x0001ff"]


@pytest.mark.parametrize(
    ("memo", "pointer", "reason"),
    [
        (bytes(512) + b"cut", b"1", "ends inside the memo"),
        (bytes(512), b"9", "ends inside the memo"),
        (bytes(512), b"1x", "is not a number"),
    ],
)
def test_a_memo_that_is_not_whole_is_named_by_its_record(write, memo, pointer, reason):
    write(memo, "T.dbt")

    with pytest.raises(SourceUnreadable, match=f"the memo of T\\.dbf, record 1, column M cannot be read: .*{reason}"):
        read(write(memo_table([pointer], version=0x83)))


def test_a_memo_length_that_runs_over_the_file_is_refused(write):
    write(bytes(6) + b"\x00\x40" + bytes(56) + struct.pack(">LL", 1, 2**31) + b"abc", "T.fpt")

    with pytest.raises(SourceUnreadable, match="its length is not possible"):
        read(write(memo_table([b"\1\0\0\0"], version=0x30, width=4)))


REAL = {
    "cp1251.dbf": (4, 0), "dbase_03.dbf": (14, 0), "dbase_30.dbf": (34, 0), "dbase_31.dbf": (77, 0),
    "dbase_83.dbf": (67, 0), "dbase_8b.dbf": (10, 0), "dbfread_invalid_value.dbf": (3, 1),
    "dbfread_people.dbf": (3, 1), "memotest.dbf": (3, 1),
}  # fmt: skip


@pytest.mark.real
def test_the_real_tables_are_read_whole_and_the_one_without_its_memo_is_refused():
    folder = Path(os.environ["BANYAN_REAL_DATA"]) / "dbf"
    found = {}
    for path in sorted(folder.glob("*.dbf")):
        if path.name == "dbase_83_missing_memo.dbf":
            with pytest.raises(SourceUnreadable, match="no memo file"):
                open_dbf(path, "cp1252")
            continue
        table = open_dbf(path, "cp1251" if path.name == "cp1251.dbf" else "cp1252")
        rows = pl.concat(table.read(5))
        found[path.name] = (len(rows), rows["_deleted"].eq("*").sum())

    assert found == REAL


@pytest.mark.real
def test_the_calls_of_portland_are_read_byte_for_byte(tmp_path):
    with zipfile.ZipFile(Path(os.environ["BANYAN_REAL_DATA"]) / "portland/090116_093016_Data.zip") as archive:
        path = Path(archive.extract("NIJ2016_SEP01_SEP30.dbf", tmp_path))

    rows = pl.concat(open_dbf(path, "cp1252").read(5000))

    assert rows.shape == (18_443, 9)
    whole = rows.select(pl.concat_str("_deleted", *rows.columns[:-1]).str.join("")).item()
    assert path.read_bytes()[289 : 289 + 18_443 * 1073] == whole.encode("cp1252")
