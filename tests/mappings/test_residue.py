import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.errors import ConservationBroken
from mappings.residue import pack, pack_each, pack_many, unpack

CELL = st.tuples(st.booleans(), st.none() | st.text(max_size=80))
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys((0, 63, 64, 4095), CELL)), max_size=12)


def pack_rows(rows, fields=(0, 63, 64, 4095), *, pack=pack):
    cells = {number: pl.Series([row[number][1] for row in rows], dtype=pl.String) for number in fields}
    kept = {number: pl.Series([row[number][0] for row in rows], dtype=pl.Boolean) for number in fields}
    return pack(cells, kept, height=len(rows))


@pytest.mark.parametrize("pack", [pack_each, pack_many])
def test_the_form_of_a_residue_is_frozen(pack):
    rows = [
        {0: (True, "é"), 63: (True, None), 64: (True, "x" * 65), 4095: (True, "")},
        {0: (False, "a"), 63: (False, None), 64: (False, ""), 4095: (False, None)},
    ]

    assert pack_rows(rows, pack=pack).to_list() == [
        b"00T0002" + "é".encode() + b"0oN0000" + b"10T0011" + b"x" * 65 + b"ooT0000",
        None,
    ]


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_what_is_packed_is_unpacked(rows):
    residue = pack_rows(rows, pack=pack_many)

    frames = unpack(residue, (0, 63, 64, 4095, 7))

    for number in (0, 63, 64, 4095):
        expected = [(kept, raw if kept else None) for kept, raw in (row[number] for row in rows)]
        assert frames[number].rows() == expected
    assert not frames[7]["kept"].any()
    assert residue.equals(pack_rows(rows, pack=pack_each))


@pytest.mark.parametrize("longest", [0, 12, 5_000])
@pytest.mark.parametrize("others", [(), (3,), range(40)])
def test_columns_that_every_row_keeps_are_packed_as_each_cell_alone(longest, others):
    rows = [
        {0: (True, str(n)), 63: (n in others, "b"), 64: (True, None if n % 3 else "é" * n), 4095: (True, "x" * longest)}
        for n in range(40)
    ]

    assert pack_rows(rows, pack=pack_many).equals(pack_rows(rows, pack=pack_each))


def test_residue_of_a_slice_of_rows_is_read_from_where_it_starts():
    rows = [{0: (True, str(n)), 63: (False, ""), 64: (False, ""), 4095: (False, "")} for n in range(5)]
    residue = pack_rows(rows, pack=pack_many)

    assert unpack(residue.slice(3, 2), (0,))[0]["raw"].to_list() == ["3", "4"]


def test_nothing_to_keep_is_no_residue():
    assert pack({}, {}, height=2).to_list() == pack_many({}, {}, height=2).to_list() == [None, None]


@pytest.mark.parametrize(
    "damaged", [b"00T0005abcd", b"00T00", b"00X0000", b"0~N0000", b"00T0001ab", b"00T0001a00T0001b"]
)
def test_a_damaged_residue_stops_and_is_never_guessed(damaged):
    with pytest.raises(ConservationBroken):
        unpack(pl.Series([b"00T0001a", damaged], dtype=pl.Binary), (0,))


@pytest.mark.parametrize("pack", [pack_each, pack_many])
@pytest.mark.parametrize("fields", [(5,), (5, 6, 7)])
def test_a_cell_that_is_too_long_stops_before_anything_is_written(pack, fields):
    with pytest.raises(ConservationBroken, match="too long"):
        pack_rows([{number: (True, "x" * (1 << 24)) for number in fields}], fields, pack=pack)
