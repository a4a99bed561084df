import csv
import io
import os
from pathlib import Path

import polars as pl
import pytest
from hostile_texts import LONG_TEXTS, TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import connectors.lines
from banyan.errors import ConfigurationError, SourceDrifted, SourceUnavailable, SourceUnreadable
from connectors.delimited import DelimitedFormat, Malformed, open_delimited

FORM = DelimitedFormat("cp1252", ";")
UTF8 = DelimitedFormat("utf-8", ";")


@pytest.fixture
def write(tmp_path):
    def written(text, encoding="cp1252"):
        body = text if isinstance(text, bytes) else text.encode(encoding)
        (tmp_path / "t.csv").write_bytes(body)
        return tmp_path / "t.csv"

    return written


def read(path, form=FORM, batch_rows=2):
    return pl.concat(open_delimited(path, form).read(batch_rows, recno=True, line=True))


def test_every_column_is_text_and_an_empty_field_is_the_empty_text(write):
    rows = read(write('code;libellé\n01;é\n;""\n2A;1,50\n'))

    assert rows.columns == ["code", "libellé", "_recno", "_line"]
    assert rows.rows() == [("01", "é", "1", "2"), ("", "", "2", "3"), ("2A", "1,50", "3", "4")]
    assert set(rows.dtypes) == {pl.String}


def test_line_numbers_are_exact_after_line_ends_between_quotes(write):
    rows = read(write('a;b\r\n1;"x\r\ny ""z"";"\r\n2;u\r\n"3\n\n";w\r\n4;v'))

    assert rows.rows() == [
        ("1", 'x\r\ny "z";', "1", "2"),
        ("2", "u", "2", "4"),
        ("3\n\n", "w", "3", "5"),
        ("4", "v", "4", "8"),
    ]


@pytest.mark.parametrize("first", ["\ufeff", "\ufeff\ufeffa", "a"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_every_hostile_text_stays_as_it_is_in_the_first_and_the_last_cell_of_a_block(write, first, quote):
    texts = [first, *(text for text in (*TEXTS, *LONG_TEXTS) if quote or not set(text) & set('";\r\n'))]
    lines = [quote + text.replace('"', '""') + quote for text in texts]
    body = "".join(f"{line};{number};{line}\n" for number, line in enumerate(lines))

    rows = read(write(f"a;n;z\n{body}", "utf-8"), UTF8, batch_rows=100)

    assert rows["a"].to_list() == rows["z"].to_list() == texts


def test_characters_that_other_programs_take_for_line_ends_stay_in_their_field(write):
    body = "a;b\n1;x\x85y\x0b\x1c\n2;\u2028\n"

    assert read(write(body, "utf-8"), DelimitedFormat("utf-8", ";"))["b"].to_list() == ["x\x85y\x0b\x1c", "\u2028"]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("1;2;3", "3 columns where 2 are expected"),
        ("1", "1 columns where 2 are expected"),
        ("", "an empty line"),
        ('1;"x"y', "text after a closing quote"),
        ("1;x\0y", "column b: a NUL character"),
        ("1;x\ry", "a carriage return inside an unquoted field"),
        ("1;x\r\r", "a carriage return inside an unquoted field"),
        ('1;"x"\r\r\r', "a carriage return inside an unquoted field"),
        ('1;"x', "the file ends inside a quoted field"),
    ],
)
def test_a_line_that_is_no_record_stops_the_reading_with_its_number(write, line, cause):
    with pytest.raises(SourceUnreadable, match=rf"t\.csv:4.*{cause}.*nothing of this block was passed on"):
        read(write(f"a;b\n1;2\n3;4\n{line}\n"))


def test_returns_before_a_line_end_stay_in_a_quoted_field_and_the_last_line_may_end_with_one(write):
    assert read(write('a;b\r\n1;"x\r\r\n\r\r"\r\n2;y\r'))["b"].to_list() == ["x\r\r\n\r\r", "y"]
    with pytest.raises(SourceUnreadable, match=r"t\.csv:2.*a carriage return inside an unquoted field"):
        read(write("a;b\n1;x\r\r"))


def test_rejected_lines_are_listed_by_place_and_the_others_are_read(write):
    path = write('a;b\n1;2\n3;4;5\n"6\n7";8\n9\n10;11\n')
    opened = open_delimited(path, FORM, on_malformed=Malformed.REJECT)

    rows = pl.concat(opened.read(10, recno=True))

    assert rows.rows() == [("1", "2", "1"), ("6\n7", "8", "3"), ("10", "11", "5")]
    assert [(line.file, line.line, line.last_line) for line in opened.rejected] == [("t.csv", 3, 3), ("t.csv", 6, 6)]


def test_a_byte_without_a_character_is_named_by_line_column_and_offset_and_not_shown(write):
    body = b'a;b\n1;"x\ny"\nSECR\xe9T;SECR\x81T\n'

    with pytest.raises(
        SourceUnreadable, match=r"t\.csv:4, column b, byte offset 23: a byte has no character"
    ) as caught:
        read(write(body))

    assert body[23] == 0x81
    assert "SECR" not in str(caught.value)


def test_lines_of_mixed_encodings_are_rejected_one_by_one(write):
    body = "a;b\n1;é\n".encode() + b"2;\xe9\n" + "3;ï\n4;".encode() + b"\xff\n5;x\n"
    opened = open_delimited(write(body), DelimitedFormat("utf-8", ";"), on_malformed=Malformed.REJECT)

    rows = pl.concat(opened.read(10))

    assert rows.rows() == [("1", "é"), ("3", "ï"), ("5", "x")]
    assert [(line.line, line.column, body[line.byte_offset]) for line in opened.rejected] == [
        (3, "b", 0xE9),
        (5, "b", 0xFF),
    ]


def test_a_byte_order_mark_is_handled_only_when_it_is_declared(write):
    path = write(b"\xef\xbb\xbfa;b\n1;2\n")
    declared = DelimitedFormat("utf-8", ";", has_bom=True)

    assert read(path, declared).columns[0] == "a"
    with pytest.raises(SourceDrifted, match="starts the file and is not declared"):
        open_delimited(path, FORM)
    with pytest.raises(SourceDrifted, match="is declared and missing"):
        open_delimited(write("a;b\n"), declared)


def test_a_header_that_is_not_the_declared_one_is_refused(write):
    path = write("a;c\n1;2\n")

    with pytest.raises(SourceDrifted, match=r"missing \['b'\], new \['c'\]"):
        open_delimited(path, DelimitedFormat("cp1252", ";", columns=("a", "b")))
    with pytest.raises(SourceDrifted, match=r"names used twice or reserved \['a'\]"):
        open_delimited(write("a;a\n"), FORM)
    with pytest.raises(SourceDrifted, match="is empty: no header"):
        open_delimited(write(""), FORM)


def test_a_file_without_a_header_takes_the_declared_names(write):
    form = DelimitedFormat("cp1252", "\t", columns=("a", "b"), has_header=False, quote=None)

    assert read(write('1\t"x\n2\ty"\n'), form).rows() == [("1", '"x', "1", "1"), ("2", 'y"', "2", "2")]


@pytest.mark.parametrize(
    "form",
    [
        DelimitedFormat("klingon", ";"),
        DelimitedFormat("utf-16", ";"),
        DelimitedFormat("utf-8-sig", ";"),
        DelimitedFormat("cp1252", "||"),
        DelimitedFormat("cp1252", ";", quote=";"),
        DelimitedFormat("cp1252", ";", has_bom=True),
        DelimitedFormat("cp1252", ";", has_header=False),
        DelimitedFormat("cp1252", ";", columns=("a", "a")),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_before_the_file_is_opened(tmp_path, form):
    with pytest.raises(ConfigurationError, match="nothing was read"):
        open_delimited(tmp_path / "absent.csv", form)


def test_a_missing_file_and_a_file_that_changes_are_named(write, tmp_path):
    with pytest.raises(SourceUnavailable, match=r"absent\.csv cannot be opened"):
        open_delimited(tmp_path / "absent.csv", FORM)
    path = write("a;b\n1;2\n3;4\n")
    batches = open_delimited(path, FORM).read(1)
    next(batches)
    with open(path, "a", encoding="ascii") as file:
        file.write("5;6\n")
    with pytest.raises(SourceDrifted, match="changed while it was read"):
        list(batches)


def test_batches_have_the_asked_height_whatever_the_blocks(write, monkeypatch):
    monkeypatch.setattr(connectors.lines, "_BLOCK_BYTES", 50)
    path = write("a;b\n" + "".join(f'{number};"é"\n' if number % 7 == 0 else f"{number};é\n" for number in range(100)))

    batches = list(open_delimited(path, FORM).read(30))

    assert [len(batch) for batch in batches] == [30, 30, 30, 10]
    assert pl.concat(batches)["a"].to_list() == [str(number) for number in range(100)]


CELL = st.text(st.sampled_from('ab;"\r\né \x85,'), max_size=6)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELL, CELL), max_size=8), block=st.integers(5, 60), quoting=st.sampled_from([0, 1]))
def test_what_a_program_wrote_is_read_back_whatever_the_blocks(write, monkeypatch, rows, block, quoting):
    monkeypatch.setattr(connectors.lines, "_BLOCK_BYTES", block)
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=";", quoting=quoting, lineterminator="\r\n")
    writer.writerows([("a", "b"), *rows])

    batches = list(open_delimited(write(written.getvalue(), "utf-8"), UTF8).read(3, line=True))

    found = pl.concat(batches).rows() if batches else []
    assert [row[:2] for row in found] == rows
    starts, line = [], 2
    for row in rows:
        starts.append(str(line))
        line += sum(cell.count("\n") for cell in row) + 1
    assert [row[2] for row in found] == starts


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.text(st.sampled_from("a;é 1\x85"), max_size=6), max_size=8), last=st.booleans())
def test_the_quick_way_and_the_csv_module_give_the_same_rows_and_rejections(write, lines, last):
    body = "a;b\n" + "\n".join(lines) + ("\n" if last else "")
    answers = []
    for quote in (None, '"'):
        for end in ("", '\n"";""'):  # a quoted last record sends the block through the csv module
            if quote is None and end:
                continue
            form = DelimitedFormat("utf-8", ";", quote=quote)
            opened = open_delimited(write(body + end, "utf-8"), form, on_malformed=Malformed.REJECT)
            frames = list(opened.read(100, recno=True, line=True))
            rows = pl.concat(frames).rows() if frames else []
            answers.append([row for row in rows if int(row[3]) <= len(lines) + 1 and row[:2] != ("", "")])

    assert answers[0] == answers[1] == answers[2]


@pytest.mark.real
def test_the_french_statistics_are_read_whole():
    folder = Path(os.environ["BANYAN_REAL_DATA"]) / "france"

    opened = open_delimited(folder / "etat4001-12dep-2012-2014.csv", FORM)
    rows = pl.concat(opened.read(10_000, line=True))

    assert rows.shape == (73_402, 9)
    assert rows["_line"][-1] == "73403"
    assert rows["libelle"].str.contains("Règlements").any()
    assert "2A" in rows["departement"].unique()


@pytest.mark.real
def test_the_real_files_without_quotes_are_read_as_the_csv_module_reads_them():
    folder = Path(os.environ["BANYAN_REAL_DATA"]) / "france"
    for name, form in {
        "communes.csv": DelimitedFormat("utf-8", ","),
        "mouvements-communes.csv": DelimitedFormat("utf-8", ","),
        "ssmsi-dep-2022-geo2022.csv": DelimitedFormat("utf-8", ";", has_bom=True),
    }.items():
        rows = pl.concat(open_delimited(folder / name, form).read(5000)).rows()
        with open(folder / name, encoding="utf-8-sig", newline="") as file:
            expected = list(csv.reader(file, delimiter=form.separator))[1:]
        assert rows == [tuple(row) for row in expected]
