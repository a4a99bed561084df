"""Digests tell records apart by any value of any type, and what they lie in is cut, sealed and taken up again."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.canonical.columns import Kind
from validation.digest_files import Block, DigestFiles
from validation.digests import FIRST, HIGH, LOW, SECOND, Secret, digest_records, identified, ids_of
from validation.sifting import Sieve, Suspects, repeated_in
from wire.kinds import POLARS_TYPES

SECRET = Secret(b"k" * 32, b"d" * 16)
COLUMNS = {kind.name: POLARS_TYPES[kind] for kind in Kind}
VALUES = {
    Kind.UUID: st.binary(min_size=16, max_size=16),
    Kind.TEXT: st.text(max_size=40),
    Kind.DATE: st.dates(),
    Kind.INSTANT: st.datetimes(timezones=st.just(UTC)),
    Kind.SMALLINT: st.integers(-(2**15), 2**15 - 1),
    Kind.INTEGER: st.integers(-(2**31), 2**31 - 1),
    Kind.BIGINT: st.integers(-(2**63), 2**63 - 1),
    Kind.NUMERIC: st.decimals(-(10**13), 10**13, places=4),
    Kind.BOOLEAN: st.booleans(),
    Kind.DOUBLE: st.floats(allow_nan=False),
    Kind.BYTES: st.binary(max_size=40),
}
RECORDS = st.fixed_dictionaries({kind.name: st.none() | values for kind, values in VALUES.items()})


def ids(*numbers):
    return pl.Series("id", [number.to_bytes(16, "big") for number in numbers], dtype=pl.Binary)


def frame(records):
    told = pl.DataFrame(records, schema=COLUMNS)
    return told.with_columns(ids(*range(len(records))))


def digests(records, secret=SECRET):
    return digest_records("incident", frame(records), COLUMNS, secret)[:, FIRST:]


@settings(deadline=None, max_examples=150)
@given(record=RECORDS, kind=st.sampled_from(sorted(Kind, key=str)), drawn=st.data())
def test_another_value_in_any_column_gives_other_digests_and_the_same_value_the_same(record, kind, drawn):
    value = drawn.draw(st.none() | VALUES[kind])
    changed = record | {kind.name: value}

    one, two = digests([record, changed])

    is_same = value == record[kind.name] and (value is None) == (record[kind.name] is None)
    assert ((one == two).all(), (one == two).any()) == (is_same, is_same)


def test_nothing_is_told_apart_from_what_looks_like_nothing():
    nothing = dict.fromkeys(COLUMNS)
    looks = {
        "TEXT": ["", "\\N", "null", "\x00"],
        "BYTES": [b"", b"\x00"],
        "DATE": [date(1970, 1, 1)],
        "INSTANT": [datetime(1970, 1, 1, tzinfo=UTC)],
        "SMALLINT": [0, -1],
        "INTEGER": [0, -1],
        "BIGINT": [0, 3188347919, -(2**63)],
        "NUMERIC": [Decimal("0.0000")],
        "BOOLEAN": [False],
        "DOUBLE": [0.0, math.nan],
        "UUID": [bytes(16)],
    }
    every = [nothing, *(nothing | {name: value} for name, values in looks.items() for value in values)]

    told = digests(every)

    assert len({tuple(one) for one in told.tolist()}) == len(every)
    assert set(looks) == set(COLUMNS)


def test_the_smallest_differences_of_each_type_are_told_apart():
    base = {
        "TEXT": "Crémieu", "DATE": date(2020, 1, 1), "INSTANT": datetime(2020, 1, 1, tzinfo=UTC), "BIGINT": 2**62,
        "NUMERIC": Decimal("9999999999.9999"), "DOUBLE": 0.1, "BYTES": b"ab",
    }  # fmt: skip
    near = {
        "TEXT": "Cre\u0301mieu", "DATE": date(2020, 1, 2), "BIGINT": 2**62 + 1, "NUMERIC": Decimal("9999999999.9998"),
        "INSTANT": base["INSTANT"] + timedelta(microseconds=1), "DOUBLE": math.nextafter(0.1, 1), "BYTES": b"ab\x00",
    }  # fmt: skip
    whole = dict.fromkeys(COLUMNS) | base

    told = digests([whole, *(whole | {name: value} for name, value in near.items())])

    assert len({tuple(one) for one in told.tolist()}) == 1 + len(near)


def test_a_value_counts_in_its_column_and_not_in_another_and_each_pass_has_digests_of_its_own():
    columns = {"surname": pl.String(), "given_names": pl.String(), "occupation_text": pl.String()}
    people = pl.DataFrame(
        {"id": ids(1, 2), "surname": ["ANNE", "MARIE"], "given_names": ["MARIE", "ANNE"], "occupation_text": None},
        schema_overrides=columns,
    )

    told = digest_records("person_identity", people, columns, SECRET)
    bare = digest_records("person_identity", people.drop("occupation_text"), columns, SECRET)
    halves = [digest_records("person_identity", people[at : at + 1], columns, SECRET)[0].tolist() for at in (0, 1)]
    later = digest_records("person_identity", people, columns, Secret(SECRET.key, b"e" * 16))
    elsewhere = digest_records("person_identity", people, columns, Secret(b"l" * 32, SECRET.drawn))

    assert (told[0, FIRST:] != told[1, FIRST:]).all()
    assert told.tolist() == bare.tolist() == halves, "a column that is not there is empty, wherever a batch is cut"
    assert (told[:, FIRST] != told[:, SECOND]).all()
    for others in (later, elsewhere):
        assert (told[:, FIRST:] != others[:, FIRST:]).all()
        assert (told[:, [LOW, HIGH]] == others[:, [LOW, HIGH]]).all()


def test_a_record_without_an_identifier_is_refused():
    with pytest.raises(ValueError, match="without an identifier"):
        identified(pl.Series("id", [bytes(16), None], dtype=pl.Binary))


def entries(numbers, digest=7):
    told = identified(ids(*numbers))
    told[:, [FIRST, SECOND]] = digest
    return told


def file_of(files, name, listed, numbers, *, digest=7, **known):
    keys = pl.Series("source_key", [f"key {number}" for number in numbers])
    files.add(Block(name, listed, len(numbers), "t_proc", **known), entries(numbers, digest), keys=keys)


@pytest.mark.parametrize("shares", [1, 5])
def test_what_two_lists_tell_of_records_does_not_hang_on_how_they_are_cut(tmp_path, shares):
    files = DigestFiles(tmp_path, SECRET)
    step = 1 << 40  # the first half of all of them is the same, as in identifiers that follow the clock
    numbers = [step * number + 12345 * number for number in range(400)]
    file_of(files, "legacy-1", "legacy", numbers[:150])
    file_of(files, "legacy-2", "legacy", numbers[150:300], is_main=True)
    file_of(files, "legacy-3", "legacy", [numbers[20], numbers[290]])
    file_of(files, "legacy-4", "legacy", [numbers[390], numbers[391]], is_judged=True)
    file_of(files, "held-1", "held", numbers[10:100])
    file_of(files, "held-2", "held", numbers[90:299])  # some were read twice
    file_of(files, "held-3", "held", [numbers[299], numbers[391], numbers[399]], digest=8)
    sieve, suspects = Sieve(files, tuple(files.of("legacy")), tuple(files.of("held"))), Suspects()

    sifted = [sieve.sift(share, shares) for share in range(shares)]
    for one in sifted:
        suspects.add(one.suspects)
    ((table, asked),) = suspects.take(sieve)

    assert sum(one.equal for one in sifted) == 289 + 2
    assert table == "t_proc"
    assert sorted(asked["source_key"]) == sorted(f"key {number}" for number in [*numbers[:10], numbers[299]])
    assert {f"key {int.from_bytes(each, 'big')}" for each in asked["id"]} == set(asked["source_key"])
    assert sum(one.suspects["is_missing"].sum() for one in sifted) == 10
    assert [each for one in sifted for each in one.gone] == ids(numbers[390]).to_list()
    assert [each for one in sifted for each in one.alone] == ids(numbers[399]).to_list()
    assert sum(one.shared for one in sifted) == 1
    assert [each for one in sifted for each in one.doubled] == ids(numbers[290]).to_list()


def test_what_stands_now_counts_and_what_was_read_of_it_before(tmp_path):
    files = DigestFiles(tmp_path, SECRET)
    file_of(files, "legacy-1", "legacy", range(5))
    file_of(files, "held-1", "held", range(4))
    files.add(Block("standing-1", "standing", 4), identified(ids(0, 1, 3, 9)))

    sifted = Sieve(files, *(tuple(files.of(name)) for name in ("legacy", "held", "standing"))).sift(0, 1)

    assert sifted.equal == 3
    assert sorted(int.from_bytes(each, "big") for each in sifted.suspects["id"]) == [2, 4]
    assert sifted.alone.to_list() == ids(9).to_list()


def test_where_nothing_was_read_everything_that_stands_is_alone(tmp_path):
    files = DigestFiles(tmp_path, SECRET)
    files.add(Block("standing-1", "standing", 2), identified(ids(4, 5)))

    alone = Sieve(files, (), (), tuple(files.of("standing"))).sift(0, 1)
    nothing = Sieve(files, (), ()).sift(0, 1)

    assert (alone.equal, sorted(alone.alone)) == (0, ids(4, 5).to_list())
    assert (nothing.equal, len(nothing.alone), nothing.suspects.height, nothing.shared) == (0, 0, 0, 0)


def test_identifiers_that_stand_more_than_once_are_given_once(tmp_path):
    files = DigestFiles(tmp_path, SECRET)
    file_of(files, "one", "claims", range(1000))
    file_of(files, "two", "claims", [3, 999, 3])

    found = [each for one in repeated_in(files, files.of("claims")) for each in ids_of(one)]

    assert sorted(found) == ids(3, 999).to_list()


def test_files_are_taken_up_as_they_were_and_others_removed(tmp_path):
    files = DigestFiles(tmp_path, SECRET)
    file_of(files, "legacy-orion/t_proc.1", "legacy", range(50))
    kept = files.written()
    file_of(files, "legacy-orion/t_proc.2", "legacy", range(50, 70))
    again = DigestFiles(tmp_path, SECRET)

    assert again.restore(kept)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "legacy-orion+t_proc.1.digests", "legacy-orion+t_proc.1.keys",
    ]  # fmt: skip
    (block,) = again.of("legacy")
    assert sorted(again.keys(block)) == sorted(f"key {number}" for number in range(50))
    assert b"key 4" not in (tmp_path / "legacy-orion+t_proc.1.keys").read_bytes()
    for name in ("legacy-orion+t_proc.1.digests", "legacy-orion+t_proc.1.keys"):
        body = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(body[:-1])
        assert not DigestFiles(tmp_path, SECRET).restore(kept)
        (tmp_path / name).write_bytes(body)
