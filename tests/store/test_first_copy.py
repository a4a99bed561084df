"""Rows of a first copy go into the partition of their department: what is read back is what a MERGE would have left."""

import datetime as dt
import uuid
from decimal import Decimal

import polars as pl
import pytest
from stores import StorePlace, own

from banyan.canonical.columns import Kind
from banyan.canonical.model import TABLES, TAIL
from banyan.errors import StoreFenced
from banyan.records import PartCounts
from store.postgres import raw
from store.records import RowsPlace, find_crosswalk, find_links, read_records, write_crosswalk, write_parts
from wire.kinds import POLARS_TYPES

pytestmark = pytest.mark.server

SAID = {
    Kind.UUID: uuid.uuid4().bytes,
    Kind.TEXT: "é \\N\t\r\n\"',\\.",
    Kind.DATE: dt.date(1, 1, 1),
    Kind.INSTANT: dt.datetime(2019, 3, 31, 1, 30, 0, 123456, tzinfo=dt.UTC),
    Kind.SMALLINT: -32768,
    Kind.INTEGER: 2**31 - 1,
    Kind.BIGINT: -(2**63),
    Kind.NUMERIC: Decimal("-12345678901234.5678"),
    Kind.BOOLEAN: True,
    Kind.DOUBLE: 0.1,
    Kind.BYTES: b"\x00\xff",
}


@pytest.fixture(scope="module")
def place(make_store) -> StorePlace:
    return make_store()


@pytest.fixture(autouse=True)
def owned_by_legacy(place):
    own(place, "LEGACY")


def items(*ids, **columns) -> pl.DataFrame:
    tail = {"id": list(ids), "department_code": ["38"] * len(ids), "domain_code": ["vehicles"] * len(ids)}
    return pl.DataFrame(tail | {"origin": ["LEGACY"] * len(ids)} | columns)


def copy(place, table, frame) -> PartCounts:
    with place.transaction("banyan_forward") as connection:
        return write_parts(raw(connection), table, frame, is_first=True)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_type_arrives_as_it_was_sent(place, table):
    stamped = {column.name for column in TAIL}
    kinds = {column.name: column.kind for column in TABLES[table].columns if column.name not in stamped}
    full = {name: [SAID[kind], None] for name, kind in kinds.items()}
    types = {name: POLARS_TYPES[kind] for name, kind in kinds.items()}
    ids = [uuid.uuid4().bytes, uuid.uuid4().bytes]
    frame = items(*ids).hstack(pl.DataFrame(full, schema=types))

    counts = copy(place, table, frame)
    counts += copy(place, table, frame[1:].with_columns(id=pl.lit(uuid.uuid4().bytes)))  # a chunk that says nothing

    assert counts == PartCounts(emitted=3, inserted=3)
    with place.transaction("banyan_forward") as connection:
        found = read_records(raw(connection), table, "38", frame["id"])
    assert found.select(frame.columns).sort("id").equals(frame.sort("id"))
    assert set(found["row_version"]) == {1}


def test_rows_that_are_there_after_all_are_merged_and_nothing_is_written_twice(place):
    known, fresh = uuid.uuid4().bytes, uuid.uuid4().bytes
    copy(place, "item", items(known, description=["before"]))

    counts = copy(place, "item", items(known, fresh, description=["after", "new"]))

    assert counts == PartCounts(emitted=2, inserted=1, updated=1)
    with place.transaction("banyan_forward") as connection:
        found = read_records(raw(connection), "item", "38", pl.Series([known, fresh], dtype=pl.Binary))
    assert dict(found.select("description", "row_version").rows()) == {"after": 2, "new": 1}


def test_a_first_copy_into_a_slice_that_moved_is_refused_whole(place):
    one = uuid.uuid4().bytes
    own(place, "CANONICAL")

    with pytest.raises(StoreFenced):
        copy(place, "item", items(one))

    with place.transaction("banyan_forward") as connection:
        assert read_records(raw(connection), "item", "38", pl.Series([one], dtype=pl.Binary)).is_empty()
    assert place.run("select count(*) from mig.outbox where key = %s", (uuid.UUID(bytes=one),)) == [(0,)]


def test_the_crosswalk_of_a_first_copy_remembers_residue_epochs_and_links(place):
    ids = [uuid.uuid4().bytes, uuid.uuid4().bytes]
    rows = pl.DataFrame(
        {"id": ids, "source_key": ["1", "2"], "key_epoch": [0, 3], "row_hash": [b"h" * 16, b"i" * 16],
         "residue": [b"00T0004text", None]},
        schema_overrides={"key_epoch": pl.Int16, "residue": pl.Binary},
    )  # fmt: skip
    links = pl.DataFrame(
        {"id": ids[:1], "part": ["phone"], "canonical_table": ["contact_means"], "canonical_id": [ids[1]]}
    )
    where = RowsPlace("38", place.table_no("t_personne"), 1, "T_PERSONNE@1")

    with place.transaction("banyan_forward") as connection:
        write_crosswalk(raw(connection), where, rows, links, is_first=True)

    with place.transaction("banyan_forward") as connection:
        found = find_crosswalk(raw(connection), "38", rows["id"])
        assert find_links(raw(connection), "38", rows["id"]).equals(links)
    assert found.select(rows.columns).sort("source_key").equals(rows)
    assert found["rule_id"].to_list() == ["T_PERSONNE@1"] * 2
    assert found["deleted_at"].null_count() == found["deleted_reason"].null_count() == 2
