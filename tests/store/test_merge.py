"""Records arrive by COPY and MERGE: only what differs is touched, and every figure is counted by the database."""

import datetime as dt
import uuid
from decimal import Decimal

import polars as pl
import pytest
from stores import StorePlace, own

from banyan.errors import UsageError
from banyan.records import PartCounts
from store.keys import KeyRing
from store.outcomes import sealed_place_of, write_filtered, write_quarantine
from store.postgres import raw
from store.records import (
    CROSSWALK_KINDS,
    RowsPlace,
    RowsWritten,
    delete_rows,
    find_crosswalk,
    find_crosswalk_by_key,
    find_links,
    find_owners,
    read_records,
    write_crosswalk,
    write_parts,
)
from store.row_tables import Departure

pytestmark = pytest.mark.server

MARKED = Departure.MARKED
INSTANT = dt.datetime(2019, 3, 31, 1, 30, 0, 123456, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def place(make_store) -> StorePlace:
    place = make_store()
    own(place, "LEGACY")
    return place


def rows_place(place, run_no=1) -> RowsPlace:
    return RowsPlace("38", place.table_no("t_personne"), run_no, "T_PERSONNE@1")


def key() -> bytes:
    return uuid.uuid4().bytes


def items(ids, **columns) -> pl.DataFrame:
    tail = {"id": ids, "department_code": ["38"] * len(ids), "domain_code": ["vehicles"] * len(ids)}
    return pl.DataFrame(tail | {"origin": ["LEGACY"] * len(ids)} | columns)


def crosswalk(ids, hashes=None, residue=None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": ids,
            "source_key": [str(n) for n in range(len(ids))],
            "key_epoch": [0] * len(ids),
            "row_hash": hashes or [b"h" * 16] * len(ids),
            "residue": residue or [None] * len(ids),
        },
        schema_overrides={"key_epoch": pl.Int16, "residue": pl.Binary},
    )


def links(*rows) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"id": pl.Binary, "part": pl.String, "canonical_table": pl.String, "canonical_id": pl.Binary},
        orient="row",
    )


def write(place, table, frame) -> PartCounts:
    with place.transaction("banyan_forward") as connection:
        return write_parts(raw(connection), table, frame)


def read(place, table, ids) -> pl.DataFrame:
    with place.transaction("banyan_reverse") as connection:
        return read_records(raw(connection), table, "38", pl.Series(ids, dtype=pl.Binary))


def test_new_changed_and_unchanged_parts_are_counted_and_only_changed_rows_grow_their_version(place):
    ids = [key() for _ in range(4)]
    first = write(place, "item", items(ids[:3], description=["a", "b", None]))
    again = write(place, "item", items(ids, description=["a", "changed", None, "new"]))

    assert first == PartCounts(emitted=3, inserted=3)
    assert again == PartCounts(emitted=4, inserted=1, updated=1, unchanged=2)
    assert again.is_balanced
    stored = {row["id"]: row for row in read(place, "item", ids).iter_rows(named=True)}
    assert [stored[i]["row_version"] for i in ids] == [1, 2, 1, 1]
    assert [stored[i]["description"] for i in ids] == ["a", "changed", None, "new"]


def test_many_rows_are_counted_as_few_are(place):
    ids = [key() for _ in range(1_000)]
    first = write(place, "item", items(ids[:900], description=["a"] * 900))
    mixed = write(place, "item", items(ids, description=["a"] * 300 + ["changed"] * 600 + ["new"] * 100))
    all_changed = write(place, "item", items(ids, description=["again"] * 1_000))

    assert first == PartCounts(emitted=900, inserted=900)
    assert mixed == PartCounts(emitted=1_000, inserted=100, updated=600, unchanged=300)
    assert all_changed == PartCounts(emitted=1_000, updated=1_000)
    assert set(read(place, "item", ids)["description"]) == {"again"}


def test_only_tombstones_are_found_where_only_they_are_asked_for(place):
    standing, gone = key(), key()
    with place.transaction("banyan_forward") as connection:
        write_crosswalk(raw(connection), rows_place(place), crosswalk([standing, gone]), links())
        delete_rows(raw(connection), rows_place(place), "item", pl.Series([gone]), reason=MARKED)

    with place.transaction("banyan_forward") as connection:
        found = find_crosswalk(raw(connection), "38", pl.Series([standing, gone]), only_deleted=True)

    assert found["id"].to_list() == [gone]


def test_columns_the_frame_does_not_have_keep_their_value(place):
    ids = [key()]
    write(place, "item", items(ids, description=["kept"], serial_number=["one"]))

    write(place, "item", items(ids, serial_number=["two"]))

    row = read(place, "item", ids).row(0, named=True)
    assert (row["description"], row["serial_number"]) == ("kept", "two")


def test_several_rows_that_emit_one_part_are_counted_as_merged(place):
    shared, alone = key(), key()

    counts = write(place, "location", items([shared, shared, alone, shared], city_name=["A", "A", "B", "A"]))

    assert counts == PartCounts(emitted=4, inserted=2, merged=2)


def test_every_kind_comes_back_as_it_went_in(place):
    one = key()
    write(place, "incident", items([one], occurred_from=[INSTANT], summary=['a\tb\n\\N "q" é'], case_file_id=[key()]))
    write(place, "item", items([one], quantity=pl.Series([Decimal("-12345678901234.5678")], dtype=pl.Decimal(18, 4))))
    write(
        place,
        "offense",
        items(
            [one],
            attempt=[False],
            cleared_on=[dt.date(1901, 12, 31)],
            statistical_index_code=pl.Series([107], dtype=pl.Int16),
            offense_label=[""],
        ),
    )

    incident = read(place, "incident", [one]).row(0, named=True)
    offense = read(place, "offense", [one]).row(0, named=True)
    assert (incident["occurred_from"], incident["summary"]) == (INSTANT, 'a\tb\n\\N "q" é')
    assert read(place, "item", [one])["quantity"].to_list() == [Decimal("-12345678901234.5678")]
    assert (offense["attempt"], offense["cleared_on"]) == (False, dt.date(1901, 12, 31))
    assert (offense["statistical_index_code"], offense["offense_label"], offense["clearance_code"]) == (107, "", None)


def test_a_frame_of_two_departments_an_unknown_column_or_another_type_is_refused(place):
    two = items([key(), key()]).with_columns(pl.Series("department_code", ["38", "75"]))
    for table, frame, word in (
        ("item", two, "2 departments"),
        ("item", items([key()], religion=["x"]), "religion"),
        ("item", items([key()], quantity=[1.5]), "quantity"),
        ("item", items([key()]).drop("origin"), "origin"),
        ("secret", items([key()]), "no canonical table"),
    ):
        with pytest.raises(UsageError, match=word):
            write(place, table, frame)


def test_a_crosswalk_row_is_written_once_and_found_by_id_and_by_key(place):
    ids = [key(), key()]
    rows = crosswalk(ids, residue=[None, b"\x00\xffT"])
    with place.transaction("banyan_forward") as connection:
        first = write_crosswalk(raw(connection), rows_place(place, 1), rows, links())
        second = write_crosswalk(raw(connection), rows_place(place, 2), rows, links())
        found = find_crosswalk(raw(connection), "38", pl.Series(ids))
        by_key = find_crosswalk_by_key(raw(connection), rows_place(place), ["1"])

    assert (first, second) == (RowsWritten(2, 0, 0, 0), RowsWritten(0, 0, 2, 0))
    assert found.columns == list(CROSSWALK_KINDS)
    assert dict(zip(found["id"], found["residue"], strict=True)) == {ids[0]: None, ids[1]: b"\x00\xffT"}
    assert found["run_no"].to_list() == [1, 1]
    assert ids[1] in by_key["id"].to_list()


def test_a_part_a_row_emits_no_more_is_removed_unless_another_row_shares_it(place):
    one, two, phone, home = key(), key(), key(), key()
    write(place, "contact_means", items([phone], value_raw=["0476"]))
    write(place, "location", items([home], city_name=["Grenoble"]))
    both = ((one, "phone", "contact_means", phone), (one, "home", "location", home), (two, "home", "location", home))
    with place.transaction("banyan_forward") as connection:
        write_crosswalk(raw(connection), rows_place(place), crosswalk([one, two]), links(*both))

        done = write_crosswalk(raw(connection), rows_place(place), crosswalk([one], hashes=[b"i" * 16]), links())
        left = find_links(raw(connection), "38", pl.Series([one, two]))
        owners = find_owners(raw(connection), "38", pl.Series([home]))

    assert done == RowsWritten(inserted=0, updated=1, unchanged=0, parts_removed=1)
    assert read(place, "contact_means", [phone]).height == 0
    assert read(place, "location", [home]).height == 1
    assert left.rows() == [(two, "home", "location", home)]
    assert owners["id"].to_list() == [two]


def test_a_deleted_row_leaves_a_tombstone_without_residue_and_can_come_back(place):
    one, vehicle = key(), key()
    write(place, "person_identity", items([one], surname=["X"]))
    write(place, "vehicle", items([vehicle], plate_raw=["AB"]))
    rows = crosswalk([one], residue=[b"r"])
    with place.transaction("banyan_forward") as connection:
        write_crosswalk(raw(connection), rows_place(place), rows, links((one, "vehicle", "vehicle", vehicle)))

        removed = delete_rows(raw(connection), rows_place(place, 7), "person_identity", pl.Series([one]), reason=MARKED)
        tombstone = find_crosswalk(raw(connection), "38", pl.Series([one])).row(0, named=True)
        again = delete_rows(raw(connection), rows_place(place, 8), "person_identity", pl.Series([one]), reason=MARKED)
        back = write_crosswalk(raw(connection), rows_place(place, 9), rows, links())
        alive = find_crosswalk(raw(connection), "38", pl.Series([one])).row(0, named=True)

    assert removed == {"person_identity": 1, "vehicle": 1}
    assert (tombstone["residue"], tombstone["deleted_at"] is None, tombstone["run_no"]) == (None, False, 7)
    assert (tombstone["deleted_reason"], alive["deleted_reason"]) == ("MARKED", None)
    assert again == {"person_identity": 0}
    assert (back.updated, alive["deleted_at"], alive["residue"]) == (1, None, b"r")


def test_a_failed_chunk_leaves_neither_records_nor_crosswalk(place):
    one = key()
    with pytest.raises(ZeroDivisionError), place.transaction("banyan_forward") as connection:
        write_parts(raw(connection), "item", items([one]))
        write_crosswalk(raw(connection), rows_place(place), crosswalk([one]), links())
        raise ZeroDivisionError

    with place.transaction("banyan_forward") as connection:
        assert find_crosswalk(raw(connection), "38", pl.Series([one])).height == 0
    assert read(place, "item", [one]).height == 0


def test_a_row_with_links_keeps_its_main_record_in_the_lineage(place):
    one, alone, phone = key(), key(), key()
    with place.transaction("banyan_forward") as connection:
        linked = links((one, "phone", "contact_means", phone))
        write_crosswalk(raw(connection), rows_place(place), crosswalk([one, alone]), linked)

    found = place.run(
        "select part, canonical_table, canonical_id from mig.lineage where canonical_id = any(%s) order by part, 3",
        ([uuid.UUID(bytes=each) for each in (one, alone, phone)],),
        role="banyan_steward",
    )
    mains = sorted((one, alone))
    assert found == [
        ("", None, uuid.UUID(bytes=mains[0])),
        ("", None, uuid.UUID(bytes=mains[1])),
        ("phone", "contact_means", uuid.UUID(bytes=phone)),
    ]


def test_rows_read_for_the_first_time_are_listed_once_even_when_some_were_listed_before(place):
    nothing_seen, keys = pl.Series("source_key", [], dtype=pl.String), KeyRing(bytes(32))
    filtered = pl.DataFrame({"source_key": ["f1", "f2"], "rule": ["expired", "expired"], "parent_key": ["p1", None]})
    refused = pl.DataFrame(
        {"source_key": ["q1", "q1"], "column": ["ddn", None], "cause": ["no day", "blank"], "raw": [b"31/02", None]}
    )

    with place.transaction("banyan_forward") as connection:
        driver = raw(connection)
        told = [
            (
                write_filtered(driver, rows_place(place, run), nothing_seen, filtered),
                write_quarantine(driver, rows_place(place, run), nothing_seen, refused, keys=keys),
            )
            for run in (1, 2)
        ]
        listed = driver.execute(
            "select source_key, rule, run_no, parent_key from mig.filtered_row order by 1"
        ).fetchall()
        open_ones = driver.execute(
            "select source_key, column_name, cause, run_no, raw from mig.quarantine where state = 'OPEN' order by 2"
        ).fetchall()

    assert told == [(2, 2), (2, 2)]
    assert listed == [("f1", "expired", 2, "p1"), ("f2", "expired", 2, None)]
    assert [row[:4] for row in open_ones] == [("q1", "ddn", "no day", 2), ("q1", None, "blank", 2)]
    sealed_place = sealed_place_of("38", place.table_no("t_personne"), "q1", column="ddn")
    assert (keys.open(open_ones[0][4], place=sealed_place), open_ones[1][4]) == (b"31/02", None)


def test_what_is_refused_again_otherwise_is_a_new_entry_and_the_old_one_stays_as_it_was(place):
    nothing_seen, keys = pl.Series("source_key", [], dtype=pl.String), KeyRing(bytes(32))
    seen = pl.Series("source_key", ["h1"])

    def refuse(run: int, cause: str, value: bytes, *, at: pl.Series = seen) -> None:
        refused = pl.DataFrame({"source_key": ["h1"], "column": ["ddn"], "cause": [cause], "raw": [value]})
        with place.transaction("banyan_forward") as connection:
            write_quarantine(raw(connection), rows_place(place, run), at, refused, keys=keys)

    refuse(1, "no day", b"31/02", at=nothing_seen)
    refuse(2, "no day", b"31/02")  # the same refusal again
    refuse(3, "no day", b"32/02")  # another value
    refuse(4, "no month", b"32/02")  # for another cause
    decide = "update mig.quarantine set decision = '{\"id\": 1}' where source_key = 'h1' and state = 'OPEN'"
    place.run(decide)
    refuse(5, "no month", b"32/02")  # in spite of a decision

    with place.transaction("banyan_forward") as connection:
        found = (
            raw(connection)
            .execute(
                "select state, cause, raw, run_no, decided_by, decision is not null from mig.quarantine"
                " where source_key = 'h1' order by quarantine_no"
            )
            .fetchall()
        )
    sealed_place = sealed_place_of("38", place.table_no("t_personne"), "h1", column="ddn")
    told = [(row[0], row[1], keys.open(row[2], place=sealed_place), *row[3:]) for row in found]
    assert told == [
        ("SETTLED", "no day", b"31/02", 2, "run 3", False),
        ("SETTLED", "no day", b"32/02", 3, "run 4", False),
        ("SETTLED", "no month", b"32/02", 4, "run 5", True),
        ("OPEN", "no month", b"32/02", 5, None, False),
    ]
