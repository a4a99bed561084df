"""Looks at rows: what two of them found between them, in whichever order somebody asks."""

from hashlib import blake2b

import polars as pl
import pytest

from banyan.errors import SourceDrifted
from banyan.records import ChangedKey, LogPlace, Operation, Origin
from connectors.looks import Looks

HOME = "one file on its disk"


class MarksInMemory:
    """The marks of one system, kept in memory: each look finds the key that was written before it."""

    def __init__(self) -> None:
        self.place: LogPlace | None = None
        self.found: list[tuple[int, ChangedKey]] = []

    def read_place(self):
        return self.place

    def sweep(self, capture, tables):
        last = self.place or LogPlace(capture, 1, 0, "")
        look = last.reached + 1
        keys = [(table, key) for table, frames in tables for frame in frames for key in frame["source_key"]]
        self.found += [(look, ChangedKey(table, key, Operation.UPDATE, Origin.PERSON)) for table, key in keys]
        self.place = LogPlace(capture, last.started, look, "")
        return self.place

    def read(self, since, until):
        low, high = (int(snapshot.partition(":")[0]) - 1 for snapshot in (since, until))
        return [change for look, change in self.found if low < look <= high]

    def prune(self, before, *, started):
        self.place = LogPlace(HOME, started, self.place.reached, "")
        return 0


@pytest.fixture
def looks() -> Looks:
    return Looks(("dossier",), MarksInMemory(), key=b"k" * 32)


def look(looks: Looks, *changed: str):
    frame = pl.DataFrame({"source_key": list(changed)}, schema={"source_key": pl.String})
    return looks.look(HOME, lambda _: iter([frame]))


def test_what_was_found_between_two_looks_is_told_once(looks):
    first, second, third = look(looks), look(looks, "1"), look(looks, "2", "3")

    assert [one.key for one in looks.changes(HOME, first, third, iter)] == ["1", "2", "3"]
    assert [one.key for one in looks.changes(HOME, second, third, iter)] == ["2", "3"]


def test_between_a_look_and_an_earlier_one_there_is_nothing(looks):
    first, second = look(looks), look(looks, "1")

    assert looks.changes(HOME, second, first, iter) == []
    assert looks.changes(HOME, second, second, iter) == []


def test_a_look_that_is_not_remembered_any_more_is_refused_in_either_place(looks):
    first, second = look(looks), look(looks, "1")
    looks.prune(HOME, second)

    for since, until in ((first, second), (second, first)):
        with pytest.raises(SourceDrifted, match="not in the store any more"):
            looks.changes(HOME, since, until, iter)


def test_who_only_tells_of_the_last_look_reads_no_row_and_marks_nothing(looks):
    first, second = look(looks), look(looks, "1")
    telling = Looks(looks.tables, looks.marks, key=looks.key, only_told=True)

    def never(table: str):
        raise AssertionError(f"{table} was read")

    assert telling.look(HOME, never) == telling.last(HOME, never) == second
    assert [one.key for one in telling.changes(HOME, first, None, never)] == ["1"]
    assert telling.changes(HOME, second, None, never) == []
    assert looks.marks.read_place().reached == 2
    with pytest.raises(SourceDrifted, match="another incarnation of this source; no row was read"):
        telling.look("another file", never)


def test_a_hash_is_over_each_text_behind_its_length_in_bytes_and_a_row_without_a_whole_key_has_none(looks):
    rows = {"id": ["1", "2", None], "nom": ["é", None, "z"], "note": ["", "1:t", "z"]}

    hashed = looks.hash_rows(pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String)), ["id"])

    written = {"1": "t1:1t2:ét0:", "2": "t1:2nt3:1:t"}
    assert hashed.rows() == [
        (key, blake2b(text.encode(), digest_size=16, key=b"k" * 32).digest()) for key, text in written.items()
    ]
