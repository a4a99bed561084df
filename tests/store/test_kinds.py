"""Each canonical kind through COPY, MERGE and back: the values that lie when they are carried carelessly come back."""

import datetime as dt
import math
import struct
import uuid
from dataclasses import replace
from decimal import Decimal

import polars as pl
import pytest
from psycopg import sql
from stores import StorePlace

from banyan.canonical.columns import Kind
from banyan.errors import BanyanError
from store.merge import MergeShape, append, merge
from store.postgres import raw
from wire.copy import copy_out, read_at_once, text_projection
from wire.kinds import POLARS_TYPES

pytestmark = pytest.mark.server

UTC = dt.UTC
VALUES = {
    Kind.UUID: [bytes(16), b"\xff" * 16, bytes(range(16)), None],
    Kind.TEXT: [
        "", " ", "  a  ", "\\N", "\\.", "NULL", "null", "a\tb", "a\nb", "a\r\nb", 'a"b', "a'b", "a\\b", "{a,b}", "\x01",
        "é", "é", "\u202eabc", "\ufeffabc", "😀", "=HYPERLINK(1)", "1" * 60, "-" + "9" * 45 + ".000",
        "x" * 100_000, None,
    ],
    Kind.DATE: [
        dt.date(1, 1, 1), dt.date(1582, 10, 10), dt.date(1900, 2, 28), dt.date(2000, 2, 29),
        dt.date(9999, 12, 31), None,
    ],
    Kind.INSTANT: [
        dt.datetime(1, 1, 1, tzinfo=UTC), dt.datetime(1891, 3, 15, 0, 0, 0, 1, tzinfo=UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), dt.datetime(2019, 3, 31, 1, 30, tzinfo=UTC),
        dt.datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), None,
    ],
    Kind.SMALLINT: [-(2**15), -1, 0, 2**15 - 1, None],
    Kind.INTEGER: [-(2**31), -1, 0, 2**31 - 1, None],
    Kind.BIGINT: [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1, None],
    Kind.NUMERIC: [
        Decimal("-99999999999999.9999"), Decimal("-0.0001"), Decimal("0.0000"), Decimal("0.1000"),
        Decimal("12345678901234.5678"), Decimal("99999999999999.9999"), None,
    ],
    Kind.BOOLEAN: [True, False, None],
    Kind.DOUBLE: [
        math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 0.1, 2.0**53 + 2, 1.7976931348623157e308, None,
    ],
    Kind.BYTES: [b"", b"\x00", b"\\x41", b"\xff\xfe", bytes(range(256)), b"x" * 100_000, None],
}  # fmt: skip
STAGED = MergeShape("public", "kinds", ("value",))


def at_once(kind: Kind) -> MergeShape:
    """The shape under which few rows are merged by one statement."""
    return replace(STAGED, uuids=frozenset({"id", "value"} if kind is Kind.UUID else {"id"}))


def staged(_: Kind) -> MergeShape:
    return STAGED


@pytest.fixture(scope="module")
def place(make_store) -> StorePlace:
    return make_store()


def frame_of(kind: Kind, values) -> pl.DataFrame:
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, str(number)).bytes for number in range(len(values))]
    column = pl.Series("value", values, dtype=POLARS_TYPES[kind])
    return pl.DataFrame({"id": ids, "department_code": ["38"] * len(values)}).with_columns(column)


def make_table(connection, kind: Kind) -> None:
    connection.execute("drop table if exists public.kinds")
    columns = sql.SQL("id uuid, department_code text, value {}, primary key (id, department_code)")
    parted = sql.SQL("create table public.kinds ({}) partition by list (department_code)")
    connection.execute(parted.format(columns.format(sql.SQL(kind.value))))
    connection.execute("create table public.kinds_38 partition of public.kinds for values in ('38')")
    connection.execute("alter table public.kinds_38 alter column department_code set default '38'")


def read(connection, kind: Kind) -> list:
    query = sql.SQL("select id::text as id, {} from public.kinds").format(text_projection("value", kind))
    back = pl.concat(list(copy_out(connection, query, {"id": Kind.UUID, "value": kind})))
    assert back.sort("id").equals(read_at_once(connection, query, {"id": Kind.UUID, "value": kind}).sort("id"))
    return [to_the_bit(value) for value in back.sort("id")["value"].to_list()]


def to_the_bit(value):
    return struct.pack(">d", value) if isinstance(value, float) else value


def in_order(frame: pl.DataFrame) -> list:
    return [to_the_bit(value) for value in frame.sort("id")["value"].to_list()]


def test_every_kind_has_its_values():
    assert set(VALUES) == set(Kind)


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [at_once, staged])
@pytest.mark.parametrize("write", [merge, append], ids=["merge", "append"])
def test_values_come_back_to_the_bit_and_again_unchanged(place, kind, write, shape):
    frame = frame_of(kind, VALUES[kind])
    with place.transaction() as connection:
        make_table(raw(connection), kind)

        first = write(raw(connection), shape(kind), "38", frame)
        again = write(raw(connection), shape(kind), "38", frame)

        assert (first.inserted, again.unchanged, again.inserted, again.updated) == (len(frame), len(frame), 0, 0)
        assert read(raw(connection), kind) == in_order(frame)


@pytest.mark.parametrize("coded", [pl.Categorical(), pl.Enum(["", "F", "é", "M"])], ids=["categorical", "enum"])
@pytest.mark.parametrize("shape", [at_once, staged])
@pytest.mark.parametrize("write", [merge, append], ids=["merge", "append"])
def test_a_categorical_is_written_as_the_texts_it_stands_for(place, coded, write, shape):
    texts = frame_of(Kind.TEXT, ["M", "F", None, "é", "", "M"])
    frame = texts.with_columns(pl.col("value").cast(coded))
    with place.transaction() as connection:
        make_table(raw(connection), Kind.TEXT)

        first = write(raw(connection), shape(Kind.TEXT), "38", frame)
        again = write(raw(connection), shape(Kind.TEXT), "38", frame)

        assert (first.inserted, again.unchanged) == (len(frame), len(frame))
        assert read(raw(connection), Kind.TEXT) == in_order(texts)


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [at_once, staged])
def test_any_value_is_replaced_by_any_other_and_by_nothing(place, kind, shape):
    values = VALUES[kind]
    turned = frame_of(kind, [*values[1:], values[0]])
    with place.transaction() as connection:
        make_table(raw(connection), kind)
        merge(raw(connection), shape(kind), "38", frame_of(kind, values))

        counts = merge(raw(connection), shape(kind), "38", turned)

        same = sum(1 for old, new in zip(values, [*values[1:], values[0]], strict=True) if old == new)
        assert counts.updated == len(values) - same
        assert [one for one in read(raw(connection), kind) if one not in (b"\x80" + bytes(7), bytes(8))] == [
            one for one in in_order(turned) if one not in (b"\x80" + bytes(7), bytes(8))
        ]  # to the server -0.0 is 0.0: nothing changed


def test_a_number_of_more_digits_than_the_kind_holds_is_refused_before_it_is_sent():
    with pytest.raises(pl.exceptions.PolarsError):
        pl.Series([Decimal("123456789012345.0000")], dtype=POLARS_TYPES[Kind.NUMERIC], strict=True)


@pytest.mark.parametrize("shape", [at_once, staged])
def test_a_text_with_a_zero_byte_is_refused_by_the_server_and_nothing_is_written(place, shape):
    with place.transaction() as connection:
        make_table(raw(connection), Kind.TEXT)

    with pytest.raises(BanyanError, match="22021"), place.transaction() as connection:
        merge(raw(connection), shape(Kind.TEXT), "38", frame_of(Kind.TEXT, ["fine", "a\x00b"]))

    assert place.run("select count(*) from public.kinds") == [(0,)]
