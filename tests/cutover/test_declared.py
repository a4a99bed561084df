"""What people declare in `rollout.yaml`: writers, consumers, and for how long one can go back."""

from datetime import date

import pytest

from banyan.departments import SourceRef
from banyan.errors import ConfigurationError
from cutover.declared import ROLLOUT_FILE, Declarations, read_declarations

ORION = SourceRef("38", "ORION")
FILE = """\
rollout: {whatever: the calendar says}
writers:
  - {account: orion_app, tables: [38.ORION.*], owner: SIC 38, declared: 2026-03-02}
  - {account: preclusif, tables: [38.ORION.t_proc], owner: SIC 38, declared: 2026-03-02}
consumers:
  - {name: monthly statistics, tables: [38.ORION.t_proc], owner: SSMSI, declared: 2026-03-02}
  - {name: a search, tables: [38.ORION.*], owner: SDIT, declared: 2026-03-02, moved: 2026-10-01}
way_back: {days: 60}
"""


def declared(folder, text=FILE):
    (folder / ROLLOUT_FILE).write_text(text)
    return read_declarations(folder)


def test_a_writer_is_known_for_the_tables_that_are_named(tmp_path):
    found = declared(tmp_path)

    asked = [("orion_app", "t_tel"), ("preclusif", "t_proc"), ("preclusif", "t_tel"), ("nobody", "t_proc")]
    assert [found.is_declared(ORION, *each) for each in asked] == [True, True, False, False]
    assert found.is_declared(SourceRef("48", "ORION"), "orion_app", "t_tel") is False


def test_consumers_are_those_of_any_of_the_tables(tmp_path):
    found = declared(tmp_path)

    assert [(c.name, c.moved) for c in found.consumers_of(ORION, ("t_proc",))] == [
        ("monthly statistics", None),
        ("a search", date(2026, 10, 1)),
    ]
    assert [c.name for c in found.consumers_of(ORION, ("t_tel",))] == ["a search"]
    assert found.way_back_days == 60


def test_without_the_file_nothing_is_declared_and_that_can_be_told(tmp_path):
    found = read_declarations(tmp_path)

    assert found == Declarations()
    assert found.knows_writers_of(ORION) is False
    assert declared(tmp_path).knows_writers_of(ORION) is True


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("writers: [", "rollout.yaml:1:11"),
        ("writers: [{account: x, tables: [38.ORION.*], declared: 2026-03-02}]", "writers.0.owner"),
        ("consumers: [{name: x, tables: [], owner: y, declared: 2026-03-02}]", "consumers.0.tables"),
        ("writers: [{account: x, tables: [a], owner: y, declared: soon}]", "writers.0.declared"),
        ("way_back: {days: 0}", "way_back.days"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(tmp_path, text, place):
    with pytest.raises(ConfigurationError) as refused:
        declared(tmp_path, text)

    assert place in refused.value.message
    assert "nothing was read" in refused.value.message
