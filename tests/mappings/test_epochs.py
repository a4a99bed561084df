"""A key used again is a new epoch, never an update: what tells, what does not, and whose identifiers change."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.engine import apply_forward
from mappings.epochs import find_reused, grow_epochs
from mappings.identity import reference_uuid5
from mappings.ruleset import load_rulebook
from tests.mappings.hand_rules import CONTEXT, OFFENCE, PERSON, compiled, frame, people
from tests.mappings.rule_files import PERSONNE, place_of_sign, read_errors, write_rules

REUSABLE = replace(PERSON, key_reuse=("name", "born"))
BEFORE = people({"name": "DURAND", "born": "19800203"})


@pytest.mark.parametrize(
    ("now", "is_reused"),
    [
        ({"name": "PETIT", "born": "19910101"}, True),
        ({"name": "PETIT", "born": "19800203"}, False),
        ({"name": "DURAND", "born": "19910101"}, False),
        ({"name": " durand ", "born": "19910101"}, False),
        ({"name": "PETIT", "born": None}, False),
        ({"name": "   ", "born": "19910101"}, False),
    ],
)
def test_a_key_is_used_again_when_every_column_says_something_else(now, is_reused):
    assert find_reused(REUSABLE, BEFORE, people(now)).to_list() == (["1"] if is_reused else [])


def test_what_was_missing_and_is_filled_in_is_no_other_person():
    before = people({"name": "DURAND", "born": None})

    assert find_reused(REUSABLE, before, people({"name": "PETIT", "born": "19910101"})).is_empty()


def test_without_a_word_in_the_rule_no_key_is_ever_used_again():
    assert find_reused(PERSON, BEFORE, people({"name": "PETIT", "born": "19910101"})).is_empty()


def test_a_key_that_was_not_there_before_is_not_used_again():
    assert find_reused(REUSABLE, BEFORE, people({"id": "9", "name": "PETIT", "born": "19910101"})).is_empty()


def test_epochs_grow_by_one_and_leave_other_keys_and_tables_alone():
    known = pl.DataFrame({"table": ["person", "person", "case"], "key": ["1", "2", "1"], "epoch": [1, 4, 7]})

    grown = grow_epochs(REUSABLE, pl.Series(["1", "3"]), known)

    assert sorted(grown.rows()) == [("case", "1", 7), ("person", "1", 2), ("person", "2", 4), ("person", "3", 1)]
    assert grow_epochs(REUSABLE, pl.Series([], dtype=pl.String), None).is_empty()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcd"), max_size=6), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9)))
def test_an_epoch_never_falls_and_every_reused_key_has_exactly_one(reused, known):
    held = pl.DataFrame(
        [("person", key, epoch) for key, epoch in known.items()],
        schema={"table": pl.String, "key": pl.String, "epoch": pl.Int16},
        orient="row",
    )

    grown = {key: epoch for _, key, epoch in grow_epochs(REUSABLE, pl.Series(reused, dtype=pl.String), held).rows()}

    assert grown == {key: known.get(key, 0) + (key in reused) for key in {*known, *reused}}


def test_all_parts_of_the_row_and_what_refers_to_it_have_other_identifiers():
    rows = people({"name": "PETIT", "born": "19910101"})
    epochs = grow_epochs(REUSABLE, find_reused(REUSABLE, BEFORE, rows), None)

    mapped = apply_forward(compiled(REUSABLE), rows, replace(CONTEXT, epochs=epochs))

    assert mapped.crosswalk.select("source_key", "key_epoch").rows() == [("1", 1)]
    for part in ("identity", "phone"):
        expected = reference_uuid5("38.ORION", "person", part, key="1", epoch=1)
        assert mapped.parts[part]["id"].to_list() == [expected]
    case = pl.DataFrame({"table": ["case"], "key": ["7"], "epoch": [1]}, schema_overrides={"epoch": pl.Int16})
    offence = frame(OFFENCE, [["1", "7", "1", "VOL", "20190101", "1200", "O", None]])
    child = apply_forward(compiled(OFFENCE), offence, replace(CONTEXT, epochs=case))
    assert child.parts["offence"]["case_file_id"].to_list() == [
        reference_uuid5("38.ORION", "case", "file", key="7", epoch=1)
    ]


REFUSALS = {
    "an_unknown_column": ("key_reuse: [§nomm]", "unknown source column nomm", "did you mean nom?"),
    "the_key_itself": ("key_reuse: [nom, §id_pers]", "column id_pers is the key itself", "change when the key"),
    "a_dropped_column": ("key_reuse: [§religion]", "column religion is dropped", "what is not kept cannot tell"),
    "a_file_written_once": (
        "write_once: true, §key_reuse: [nom]",
        "a file that is written once uses no key again",
        "remove key_reuse",
    ),
}


@pytest.mark.parametrize(("said", "message", "hint"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_tell_that_a_key_is_used_again_is_refused(said, message, hint, tmp_path):
    marked = PERSONNE.replace("key: [id_pers],", f"key: [id_pers], {said},")

    errors = read_errors(write_rules(tmp_path / "rules", marked.replace("§", "")))

    found = [one for one in errors if message in one.message]
    assert [(one.line, one.column) for one in found] == [place_of_sign(marked)]
    assert hint in found[0].suggestion


def test_the_rule_says_which_columns_tell(tmp_path):
    text = PERSONNE.replace("key: [id_pers],", "key: [id_pers], key_reuse: [nom, sexe],")

    rules = load_rulebook(write_rules(tmp_path / "rules", text)).rulesets["t_personne"]

    assert rules.key_reuse == ("nom", "sexe")
    assert rules.digest != load_rulebook(write_rules(tmp_path / "plain")).rulesets["t_personne"].digest
