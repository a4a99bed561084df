import uuid

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.exceptions import ComputeError

from mappings.identity import FEW, NAMESPACE, identify, reference_uuid5


def keys_of(keys, epoch=0):
    return pl.DataFrame({"key": keys, "epoch": [epoch] * len(keys)}, schema={"key": pl.String, "epoch": pl.Int16})


def test_the_namespace_is_frozen():
    assert str(NAMESPACE) == "5ec1a37e-1d2b-5f06-9a0b-6b616e79616e"


def test_an_identifier_is_the_standard_version_5_uuid_of_its_name():
    ids = identify(keys_of(["12345"]), source="38.ORION", table="t_proc", part="case", adopted=None)

    assert ids.to_list() == [uuid.uuid5(NAMESPACE, "38.ORION|t_proc|12345|0|case").bytes]
    assert ids.to_list() == [bytes.fromhex("0d6a5b912ce25d22a0a0706f198bb790")]
    assert ids.dtype == pl.Binary


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=20), st.integers(0, 3))
def test_the_vectorised_identifiers_equal_the_standard_library(keys, epoch):
    few = identify(keys_of(keys, epoch), source="2A.MAREL", table="affaires", part="main", adopted=None)
    many = identify(keys_of(keys * FEW, epoch), source="2A.MAREL", table="affaires", part="main", adopted=None)

    ids = many.head(len(keys))
    assert few.to_list() == ids.to_list()
    expected = [reference_uuid5("2A.MAREL", "affaires", "main", key=key, epoch=epoch) for key in keys]
    assert ids.to_list() == expected
    assert {uuid.UUID(bytes=found).version for found in ids} == {5}


def test_a_missing_key_has_no_identifier():
    for count in (1, FEW):
        ids = identify(keys_of([None, "1"] * count), source="38.ORION", table="t", part="p", adopted=None)
        assert ids.to_list() == [None, reference_uuid5("38.ORION", "t", "p", key="1")] * count


def test_an_adopted_key_keeps_the_identifier_it_was_born_with():
    adopted = pl.DataFrame({"key": ["2"], "id": [b"x" * 16]})

    ids = identify(keys_of(["1", "2"]), source="38.ORION", table="t", part="p", adopted=adopted)

    assert ids.to_list() == [reference_uuid5("38.ORION", "t", "p", key="1"), b"x" * 16]


def test_a_key_adopted_twice_is_refused():
    adopted = pl.DataFrame({"key": ["2", "2"], "id": [b"x" * 16, b"y" * 16]})

    with pytest.raises(ComputeError):
        identify(keys_of(["2"]), source="38.ORION", table="t", part="p", adopted=adopted)
