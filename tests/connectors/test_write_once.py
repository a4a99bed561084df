import os
import struct
from pathlib import Path
from uuid import UUID

import pytest

from banyan.errors import BanyanError, SourceDrifted, SourceUnavailable, SourceUnreadable, UsageError
from banyan.ports import Capabilities, Incremental, LegacyPort, WriteBack
from banyan.records import KeyRange, Position
from connectors.delimited import DelimitedFormat
from connectors.write_once import DbfFile, SheetFile, TextFile, open_write_once
from tests.connectors.test_spreadsheet import write_workbook

RECORDS = [b" AIX  001", b"*ARLES002", b" \xc9VRY 003"]
LINES = "code;nom\r\n" + "".join(f"{number};NOM {number}\r\n" for number in range(1, 8))


def table(records=RECORDS, count=None) -> bytes:
    """A DBF of a text of five characters and a number of three."""
    fields = [
        struct.pack("<11scLBBH12x", name, kind, 0, size, 0, 0)
        for name, kind, size in ((b"NOM", b"C", 5), (b"N", b"N", 3))
    ]
    header = struct.pack("<B3BLHH20x", 3, 99, 12, 31, len(records) if count is None else count, 97, 9)
    return header + b"".join(fields) + b"\r" + b"".join(records) + b"\x1a"


@pytest.fixture
def dbf(tmp_path: Path) -> Path:
    path = tmp_path / "TOWNS.DBF"
    path.write_bytes(table())
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "names.csv"
    path.write_bytes(LINES.encode("cp1252"))
    return path


def open_both(dbf: Path, text: Path):
    return open_write_once({"towns": DbfFile(dbf, "cp1252"), "names": TextFile(text, DelimitedFormat("cp1252", ";"))})


def numbers(batch) -> list[str]:
    return batch.rows["$recno"].to_list()


def test_files_are_a_legacy_system_whose_keys_are_record_numbers(dbf, text):
    port = open_both(dbf, text)

    assert isinstance(port, LegacyPort)
    assert port.tables() == ["names", "towns"]
    assert [column.name for column in port.columns("towns")] == ["$recno", "NOM", "N", "$deleted"]
    assert [column.name for column in port.columns("names")] == ["$recno", "code", "nom"]
    assert port.key_columns("towns") == port.key_columns("names") == ("$recno",)
    assert (port.count("towns"), port.count("names")) == (3, 7)


def test_a_dbf_gives_every_record_with_its_bytes_and_its_flag_of_deletion(dbf, text):
    batch = open_both(dbf, text).read_range("towns", KeyRange(None, None))

    assert batch.rows.rows() == [
        ("1", "AIX  ", "001", " "), ("2", "ARLES", "002", "*"), ("3", "ÉVRY ", "003", " "),
    ]  # fmt: skip
    assert batch.low == batch.high


def test_a_sheet_is_a_table_too(tmp_path):
    path = write_workbook(
        tmp_path / "T.xlsx", {"A1": 't="str"|<v>nom</v>', "A2": 't="str"|<v>AIX</v>', "A3": "|<v>7</v>"}
    )

    port = open_write_once({"towns": SheetFile(path, "S")})

    assert port.count("towns") == 2
    assert port.read_range("towns", KeyRange(None, None)).rows.rows() == [("1", "AIX"), ("2", "7")]


def test_what_such_a_system_cannot_do_is_said_and_refused(dbf, text):
    port = open_both(dbf, text)

    assert port.capabilities("towns") == Capabilities(Incremental.NONE, WriteBack.NONE, deletes_visible=True)
    assert port.capabilities("names") == Capabilities(Incremental.NONE, WriteBack.NONE, deletes_visible=False)
    assert port.reverse_position("any") is None
    with pytest.raises(UsageError, match="written once"):
        port.reverse_session("38.cases", 1, nonce=UUID(int=0))
    with pytest.raises(UsageError, match="written once"):
        port.reserve_keys("seq", 1)
    with pytest.raises(UsageError, match=r"no file for t_proc; there are: names, towns"):
        port.count("t_proc")


@pytest.mark.parametrize("rows_per_chunk", [1, 2, 3, 7, 8])
def test_ranges_together_hold_every_record_once_in_any_order_of_reading(dbf, text, rows_per_chunk):
    port = open_both(dbf, text)
    ranges = port.plan_ranges("names", rows_per_chunk)

    forwards = [numbers(port.read_range("names", keys)) for keys in ranges]
    backwards = [numbers(port.read_range("names", keys)) for keys in reversed(ranges)]

    assert ranges[0].low is None
    assert ranges[-1].high is None
    assert [number for chunk in forwards for number in chunk] == [str(number) for number in range(1, 8)]
    assert backwards[::-1] == forwards
    assert all(len(keys) <= rows_per_chunk for keys in forwards)


def test_ranges_of_several_tables_read_in_turn_do_not_disturb_each_other(dbf, text):
    port = open_both(dbf, text)

    read = [
        numbers(port.read_range(name, KeyRange(low, high)))
        for name, low, high in [
            ("names", None, "3"), ("towns", None, "1"), ("names", "3", "5"), ("towns", "1", None), ("names", "5", None),
            ("names", "7", None),
        ]
    ]  # fmt: skip

    assert read == [["1", "2", "3"], ["1"], ["4", "5"], ["2", "3"], ["6", "7"], []]


def test_single_records_are_read_by_number_and_absent_ones_have_no_row(dbf, text):
    port = open_both(dbf, text)

    batch = port.read_keys("names", ["6", "2", "99", "04", "0"])

    assert batch.rows.rows() == [("2", "2", "NOM 2"), ("6", "6", "NOM 6")]
    assert port.read_keys("names", []).rows.is_empty()
    assert numbers(port.read_range("names", KeyRange("6", None))) == ["7"]
    with pytest.raises(UsageError, match="number of a record"):
        port.read_keys("names", ["two"])


def test_the_position_is_the_identity_of_the_files_and_nothing_changes_while_it_is_the_same(dbf, text):
    port = open_both(dbf, text)
    again = open_both(dbf, text)

    assert port.head() == again.head()
    assert port.incarnation() == again.incarnation()
    assert port.changes(again.head()) == port.changes(again.head(), port.head()) == []
    assert port.read_keys("names", ["1"]).high == port.head()


def test_a_file_that_was_only_touched_is_still_the_same(dbf, text):
    port = open_both(dbf, text)
    position = port.head()

    os.utime(text, ns=(1, 1))

    assert port.head() == position
    assert port.count("names") == 7


def test_another_file_in_the_place_of_the_old_one_is_refused(dbf, text):
    before = open_both(dbf, text).head()
    text.write_bytes(LINES.replace("NOM 3", "NOM 8").encode())

    after = open_both(dbf, text)

    assert after.head() != before
    for since, until in ((before, None), (after.head(), before), (Position("?"), None)):
        with pytest.raises(SourceDrifted, match="not the ones that were read before"):
            after.changes(since, until)


def test_a_file_written_under_the_reader_is_refused_even_with_its_old_size_and_date(dbf, text):
    port = open_both(dbf, text)
    assert numbers(port.read_range("names", KeyRange(None, "2"))) == ["1", "2"]
    status = text.stat()

    text.write_bytes(LINES.replace("NOM 7", "NOM 9").encode())
    os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))

    for refused in (port.head, lambda: port.read_range("names", KeyRange("2", None)), lambda: port.count("names")):
        with pytest.raises(SourceDrifted, match=r"names\.csv is not the file that was opened"):
            refused()


def test_a_cut_table_is_refused_before_any_file_is_read(dbf, text):
    dbf.write_bytes(table(count=4))

    with pytest.raises(SourceUnreadable, match="counts 4 records, 3 whole ones are there"):
        open_both(dbf, text)


def test_a_file_that_is_not_there_is_refused(dbf, text):
    text.unlink()

    with pytest.raises(SourceUnavailable, match=r"names\.csv cannot be opened"):
        open_both(dbf, text)
    with pytest.raises(UsageError, match="no file was named"):
        open_write_once({})


def test_a_column_with_the_name_of_one_of_the_medium_is_refused(dbf, text):
    text.write_bytes(b"$recno;nom\r\n1;A\r\n")

    with pytest.raises(SourceDrifted, match="reserved names"):
        open_both(dbf, text)


def test_a_line_that_is_no_record_stops_the_reading_and_a_second_reading_starts_afresh(dbf, text):
    text.write_bytes(LINES.replace("4;NOM 4", "4;NOM;4").encode())
    port = open_both(dbf, text)

    for _ in range(2):
        with pytest.raises(BanyanError, match=r"names\.csv:5.*3 columns where 2 are expected"):
            port.read_range("names", KeyRange(None, None))
