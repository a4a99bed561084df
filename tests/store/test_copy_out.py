"""Rows that come out of COPY: nothing, empty texts and the mark of nothing stay apart; a broken end is no end."""

import random

import polars as pl
import psycopg
import pytest
from psycopg import sql

from banyan.canonical.columns import Kind
from banyan.errors import SourceUnavailable
from wire.copy import copy_in, copy_out, stream_uuids

pytestmark = pytest.mark.server


@pytest.fixture
def connection(make_database):
    url = make_database().replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def read(connection, query, *names):
    kinds = dict.fromkeys(names, Kind.TEXT)
    return [row for frame in copy_out(connection, sql.SQL(query), kinds) for row in frame.rows()]


def test_one_column_keeps_its_empty_texts_and_its_rows_without_a_value(connection):
    values = "values (1, ''), (2, null), (3, E'\\\\N'), (4, E'\\\\.'), (5, 'a'), (6, E'\\n'), (7, '\"'), (8, '')"

    rows = read(connection, f"select v from ({values}) as t (n, v) order by n", "v")

    assert [row[0] for row in rows] == ["", None, "\\N", "\\.", "a", "\n", '"', ""]


def test_a_mark_of_byte_order_at_the_head_of_the_rows_is_a_letter_of_the_first_text(connection):
    mark = "\ufeff"
    values = f"values (1, '{mark}'), (2, '{mark}a'), (3, '{mark}{mark}')"

    alone = [read(connection, f"select v from ({values}) as t (n, v) where n = {n}", "v") for n in (1, 2, 3)]
    together = read(connection, f"select v, n::text from ({values}) as t (n, v) order by n", "v", "n")

    assert alone == [[(mark,)], [(f"{mark}a",)], [(mark * 2,)]]
    assert together == [(mark, "1"), (f"{mark}a", "2"), (mark * 2, "3")]


def test_rows_of_many_blocks_arrive_once_and_the_connection_is_free_for_the_next_question(connection):
    text = "case n % 3 when 0 then null when 1 then '' else repeat('é', 40) end"
    query = f"select n::text, {text} from generate_series(1, 200000) n"

    first, second = (read(connection, query, "n", "v") for _ in range(2))

    assert first == second
    assert (len(first), len({row[0] for row in first})) == (200_000, 200_000)
    assert connection.execute("select 1").fetchone() == (1,)


def test_texts_of_any_size_and_their_line_ends_arrive_whole(connection):
    query = "select n::text, repeat(E'a\"\\r\\n,', n * 700000) from generate_series(0, 3) n order by n"

    rows = read(connection, query, "n", "v")

    assert rows == [(str(n), 'a"\r\n,' * (n * 700_000)) for n in range(4)]


def test_texts_that_cut_rows_anywhere_arrive_as_they_are(connection):
    """Binary COPY brings them in, so that nothing but the reader cuts them; blocks are parsed in pieces of any size."""
    chance, pieces = (
        random.Random(20),
        (",", '"', "\n", "\r", "\r\n", '","', '"\n', '\n"', "\\", "\\N", "é", "😀", " ", "\ufeff", "\ufeffa", "a" * 13),
    )

    def text():
        share = chance.random()
        if share < 0.2:
            return None if share < 0.1 else ""
        return "".join(chance.choices(pieces, k=chance.choice((1, 2, 3, 9, 40))) * chance.choice((1,) * 99 + (4_000,)))

    rows = [(str(number), text(), text()) for number in range(30_000)]
    connection.execute("create table hostile (n text, v text, w text)")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(("n", "v", "w"), pl.String), orient="row")
    copy_in(connection, sql.Identifier("hostile"), frame)

    three = read(connection, "select n, v, w from hostile order by n::int", "n", "v", "w")
    one = read(connection, "select w from hostile order by n::int", "w")

    assert three == rows
    assert one == [(last,) for _, _, last in rows]


def test_a_statement_that_fails_after_its_first_rows_is_an_error_and_never_an_end(connection):
    query = "select (100 / (5000 - n))::text from generate_series(1, 10000) n"

    with pytest.raises(psycopg.errors.DivisionByZero):
        read(connection, query, "v")

    assert connection.execute("select 1").fetchone() == (1,)


def test_a_reader_that_stops_asking_leaves_the_connection_usable(connection):
    rows = copy_out(connection, sql.SQL("select n::text from generate_series(1, 3000000) n"), {"n": Kind.TEXT})
    next(rows)
    rows.close()

    assert connection.execute("select 1").fetchone() == (1,)


def test_uuids_come_out_as_their_bytes_in_order_whatever_their_number(connection):
    query = "select lpad(to_hex(n), 32, '0')::uuid from generate_series(1, {}) n"

    for number in (0, 1, 250_000):
        found = list(stream_uuids(connection, sql.SQL(query.format(number))))

        assert [int.from_bytes(each) for ids in found for each in ids.to_list()] == list(range(1, number + 1))
    assert connection.execute("select 1").fetchone() == (1,)


def test_uuids_of_a_statement_that_fails_after_its_first_rows_are_an_error_and_never_an_end(connection):
    query = "select lpad((100 / (5000 - n))::text, 32, '0')::uuid from generate_series(1, 10000) n"

    with pytest.raises(psycopg.errors.DivisionByZero):
        list(stream_uuids(connection, sql.SQL(query)))


def test_rows_that_come_in_gusts_arrive_whole_and_in_order(connection):
    text = "repeat(chr(97 + n % 26), 900)"
    query = f"select {text} from generate_series(1, 2000) n where n % 400 > 0 or pg_sleep(0.05) is not null"

    rows = read(connection, query, "v")

    assert [row[0] for row in rows] == [chr(97 + n % 26) * 900 for n in range(1, 2001)]


def test_a_server_that_goes_while_rows_flow_is_an_error_and_never_an_end(connection, make_database):
    frames = copy_out(connection, sql.SQL("select n::text from generate_series(1, 30000000) n"), {"n": Kind.TEXT})
    first = next(frames)
    with psycopg.connect(make_database().replace("+psycopg", ""), autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])

        with pytest.raises(SourceUnavailable):
            list(frames)

    assert first["n"][0] == "1"
    assert connection.closed
