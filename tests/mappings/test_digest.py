import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.digest import encode_rows, hash_many, hash_rows, reference_row_hash

KEY = bytes(range(32))
TEXTS = st.none() | st.text(max_size=8) | st.text("\x1e\x1fNEFa", max_size=4)
CELLS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12)


def frame(rows):
    return pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")


def test_the_encoding_of_a_row_is_frozen():
    encoded = encode_rows(frame([("é", None), ("", "a\x1eb\x1fc")]), ["a", "b"])

    assert encoded.to_list() == ["B1|2\x1fé\x1f\x1eN", "B1|2\x1f\x1fa\x1eEb\x1eFc"]


def test_the_digest_of_a_row_is_frozen():
    found = hash_many(frame([("é", None), ("", "a\x1eb\x1fc")]), ["a", "b"], key=KEY)

    assert [digest.hex() for digest in found] == [
        "cddf8f1e78e5dfbf53d69b48a3e52172",
        "b7e7884ac2dacb9bf1c1f3d5266a8558",
    ]


@settings(max_examples=40, deadline=None)
@given(CELLS)
def test_the_vectorised_digest_equals_the_standard_library(rows):
    found = hash_many(frame(rows), ["a", "b"], key=KEY).to_list()

    assert hash_rows(frame(rows), ["a", "b"], key=KEY).to_list() == found
    assert found == [reference_row_hash(row, key=KEY) for row in rows]
    assert len(set(found)) == len(set(rows))


def test_null_the_empty_text_and_shifted_borders_are_told_apart():
    rows = [
        (None, None),
        ("", None),
        (None, ""),
        ("ab", "c"),
        ("a", "bc"),
        ("\x1eN", None),
        ("\x1e", "N"),
        ("a\x1fb", ""),
    ]

    assert len(set(hash_rows(frame(rows), ["a", "b"], key=KEY))) == len(rows)


def test_another_key_gives_another_digest():
    rows = frame([("a", "b")])

    assert hash_rows(rows, ["a", "b"], key=KEY).to_list() != hash_rows(rows, ["a", "b"], key=b"other").to_list()
