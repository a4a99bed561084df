"""Each way of capture writes Positions that are told apart from those of every other."""

import json

import pytest

from banyan.records import LogPlace, Position
from connectors.looks import Looks
from connectors.postgresql_capture import Head
from connectors.postgresql_log import LogHead
from connectors.row_version import Look
from connectors.sqlite_journal import Place
from connectors.ways import find_way


class _OneLook:
    """Marks of a source that was looked at once."""

    def sweep(self, capture, tables):
        return LogPlace(capture, 1, 1, "")


WRITTEN = {
    "snapshot": Looks((), _OneLook(), b"k").look("here", lambda _: iter(())),
    "row_version": Look("here", "1:1:", "2026-01-01").position,
    "journal": Head("here", "1:1:").position,
    "log": LogHead("here", "1:1:", 7).position,
}


@pytest.mark.parametrize("way", list(WRITTEN))
def test_the_way_of_a_position_is_told(way):
    assert find_way(WRITTEN[way]) == way


def test_a_file_followed_by_its_journal_and_its_looks_is_followed_by_its_journal():
    looked = WRITTEN["snapshot"]

    assert find_way(Place("here", 3, "m", str(looked)).position) == "journal"


def test_looks_beside_a_log_are_of_the_log():
    beside = json.dumps({"looked": WRITTEN["snapshot"], "tables": ["t"], "way": WRITTEN["log"]})

    assert find_way(Position(beside)) == "log"


@pytest.mark.parametrize("text", ["one reading of abc", "7", "[]", "{}", '{"parcel": "p"}'])
def test_what_no_capture_wrote_has_no_way(text):
    assert find_way(Position(text)) is None
