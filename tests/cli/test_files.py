import json
import sqlite3
import struct

import pytest

from cli.main import run

SECRET = "DUPONT"


@pytest.fixture
def told(capfd):
    """Run `banyan file ... --json`; give its code and document."""

    def call(*arguments):
        capfd.readouterr()
        code = run(["file", *map(str, arguments), "--json"])
        return code, json.loads(capfd.readouterr().out)

    return call


@pytest.fixture
def table(tmp_path):
    """A dBase table of two records, é in cp850."""
    fields = [("NOM", b"C", 8), ("NE", b"D", 8)]
    width = 1 + sum(size for _, _, size in fields)
    described = b"".join(struct.pack("<11sc4xBB14x", name.encode(), kind, size, 0) for name, kind, size in fields)
    header = struct.pack("<B3BLHH20x", 3, 99, 12, 31, 2, 32 + len(described) + 1, width)
    records = b" " + b"DUPONT  " + b"19600101" + b" " + b"LEF\x90VRE " + b"        "
    path = tmp_path / "PERSONNE.DBF"
    path.write_bytes(header + described + b"\r" + records + b"\x1a")
    return path


@pytest.fixture
def people(tmp_path):
    path = tmp_path / "people.csv"
    path.write_bytes("ID;NOM\n1;DUPONT\n2;LEFÈVRE\n2;MARTIN\n".encode("cp1252"))
    return path


def test_a_table_says_what_it_is_without_reading_a_row(told, table):
    code, facts = told("info", table, "--encoding", "cp850")

    assert code == 0
    assert (facts["medium"], facts["rows declared"], facts["column_names"]) == ("dbf", 2, ["NOM", "NE"])
    assert SECRET not in json.dumps(facts)


def test_an_encoding_is_never_guessed(told, table, people):
    for path in (table, people):
        code, error = told("info", path)

        assert code == 2
        assert "never guesses one; nothing was read" in error["message"]
        assert "--encoding" in error["hint"]
    assert told("info", people, "--encoding", "ansi-of-old")[0] == 2


def test_rows_are_shown_only_with_a_reason_that_stands_above_them(told, table, capfd):
    code, error = told("show", table, "--encoding", "cp850")
    assert code == 2
    assert "no processing log" in error["message"]

    code, shown = told("show", table, "--encoding", "cp850", "--reason", "order of columns")
    assert code == 0
    assert [row["NOM"] for row in shown["rows"]] == ["DUPONT  ", "LEFÉVRE "]
    assert (shown["reason"], shown["logged"]) == ("order of columns", False)

    assert run(["file", "show", str(table), "--encoding", "cp850", "--reason", "order of columns"]) == 0
    assert "reason: order of columns   (not logged: no project)" in capfd.readouterr().out


def test_a_wrong_encoding_is_refused_at_its_record_and_shows_no_value(told, table):
    code, error = told("check", table, "--encoding", "ascii")

    assert code == 3
    assert "record 2, column NOM, byte offset" in error["message"]
    assert "nothing of this batch was passed on" in error["message"]
    assert "LEF" not in json.dumps(error)


def test_a_wrong_encoding_of_a_text_file_lists_its_lines(told, people):
    code, found = told("check", people, "--encoding", "utf-8")

    assert code == 3
    assert found["rows"] == 2
    assert found["rejected"] == ["people.csv:3, column NOM: a byte has no character in utf-8"]


def test_a_key_that_stands_twice_is_counted_and_not_shown(told, people):
    code, found = told("check", people, "--encoding", "cp1252", "--key", "ID")

    assert code == 3
    assert found["rows"] == 3
    assert found["duplicates"] == ["2 rows share 1 keys of ID: one key, one row"]
    assert told("check", people, "--encoding", "cp1252", "--key", "ID,NOM")[0] == 0
    assert told("check", people, "--encoding", "cp1252", "--key", "IDENT")[0] == 2


def test_a_truncated_table_is_refused_with_both_numbers(told, table):
    table.write_bytes(table.read_bytes()[:-10])

    for command in ("info", "check"):
        code, error = told(command, table, "--encoding", "cp850")

        assert code == 3
        assert (
            "its header counts 2 records, 1 whole ones are there: the file is cut; nothing was read" in error["message"]
        )
        assert error["hint"].startswith("ask for a fresh copy")


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [("none.csv", None, 4), ("none.dbf", None, 4), ("none.xlsx", None, 4), ("x.xlsx", b"PK no workbook", 3),
     ("x.sqlite", b"no database at all, but long enough to be read as one" * 20, 3), ("x.pdf", b"%PDF", 2)],
)  # fmt: skip
def test_a_file_that_is_missing_or_cannot_be_read_is_refused(told, tmp_path, name, body, code):
    path = tmp_path / name
    if body is not None:
        path.write_bytes(body)

    got, error = told("check", path, "--encoding", "cp1252", "--sheet", "S", "--table", "T")

    assert got == code
    assert error["message"].startswith(name)
    assert "nothing" in error["message"]
    assert error["hint"]


def test_a_folder_in_the_place_of_a_file_is_refused(told, tmp_path):
    (tmp_path / "folder.csv").mkdir()

    code, error = told("check", tmp_path / "folder.csv", "--encoding", "utf-8")

    assert code == 4
    assert "cannot be opened" in error["message"]


def test_a_database_file_names_its_tables_and_is_read_to_its_end(told, tmp_path):
    path = tmp_path / "brigade.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("create table affaires (num integer primary key, lib text)")
        connection.execute("insert into affaires values (1, 'é'), (2, null)")
    connection.close()

    code, error = told("check", path, "--encoding", "utf-8")
    assert code == 2
    assert "it has affaires; nothing was read" in error["message"]

    code, found = told("check", path, "--encoding", "utf-8", "--table", "affaires", "--key", "num")
    assert (code, found["rows"], found["is_clean"]) == (0, 2, True)
