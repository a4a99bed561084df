"""Repeating groups: what a wide row says of its suspects, there and back, place by place."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mappings.engine import Lookups, MapContext, apply_forward, compile_ruleset, write_back
from mappings.identity import reference_uuid5
from mappings.model import Place
from mappings.repeats import offset_as_written
from mappings.residue import unpack
from mappings.ruleset import load_rulebook
from tests.mappings import reference
from tests.mappings.hand_rules import current_parts
from tests.mappings.rule_files import place_of_sign, read_errors

AFFAIRES = """\
rule: AFFAIRES@1
source: {system: BUREAU, table: affaires, key: [num]}
columns: [num, objet, mec1_nom, mec1_sexe, mec2_nom, mec2_sexe, mec3_nom, mec3_sexe, vic01, vic02]
emit:
  - part: case
    table: case_file
    domain: cases
    main: true
    fields:
      note_text: {from: objet, lens: text.max(20)}
  - part: suspect
    table: participation
    domain: cases
    repeat: {count: 3, index: role_sequence}
    when: "mec<n>_nom != ''"
    attach: case_file_id
    constants: {role_code: SUSPECT}
    fields:
      person_identity_id: {part: suspect_identity}
  - part: suspect_identity
    table: person_identity
    domain: cases
    repeat: {count: 3}
    when: "mec<n>_nom != ''"
    fields:
      surname: {from: 'mec<n>_nom', lens: text.max(10)}
      sex_code: {from: 'mec<n>_sexe', lens: text.padded(1), code_map: SEX}
  - part: victim
    table: person_identity
    domain: cases
    repeat: {count: 2, digits: 2}
    when: "vic<n> != ''"
    fields:
      surname: {from: vic<n>, lens: text.padded(8)}
"""
CODE_MAPS = 'code_maps:\n  SEX:\n    entries: {M: M, F: F, "1": M}\n    reverse_preferred: {M: M}\n'
CONTEXT = MapContext("48", "BUREAU", "Europe/Paris", b"k" * 32, date(2026, 1, 1))
COLUMNS = ("num", "objet", "mec1_nom", "mec1_sexe", "mec2_nom", "mec2_sexe", "mec3_nom", "mec3_sexe", "vic01", "vic02")

REFUSALS = [
    (
        "a_main_part_that_repeats",
        "    main: true\n",
        "    main: true\n    §repeat: {count: 3}\n",
        "the main part repeats",
        "repeat another one",
    ),
    (
        "a_group_that_does_not_say_who_is_there",
        "    repeat: {count: 2, digits: 2}\n    when: \"vic<n> != ''\"\n",
        "    §repeat: {count: 2, digits: 2}\n",
        "part victim repeats and does not say which places are taken",
        "column<n> != ''",
    ),
    (
        "a_condition_that_is_the_same_for_all_places",
        "    repeat: {count: 2, digits: 2}\n    when: \"vic<n> != ''\"\n",
        "    §repeat: {count: 2, digits: 2}\n    when: \"vic01 != ''\"\n",
        "part victim repeats and does not say which places are taken",
        "column<n>",
    ),
    (
        "a_group_of_one",
        "{count: 2, digits: 2}",
        "{count: §1, digits: 2}",
        "count: Input should be greater than or equal to 2",
        "map schema",
    ),
    (
        "an_index_in_an_unknown_column",
        "index: role_sequence",
        "index: §role_sequense",
        "unknown column role_sequense of participation",
        "did you mean role_sequence?",
    ),
    (
        "an_index_in_a_column_that_holds_no_number",
        "index: role_sequence",
        "index: §minor_at_facts",
        "column minor_at_facts is boolean, the number of a place is whole",
        "columns that can hold it",
    ),
    (
        "an_index_filled_twice",
        "{count: 3, index: role_sequence}",
        "{count: 3, index: §role_code}",
        "column role_code of part suspect is filled twice",
        "keep one of the constant and the index",
    ),
    (
        "more_places_than_the_row_has_columns",
        "fields:\n      surname: {from: vic<n>,",
        "fields:\n      surname: {from: §vik<n>,",
        "unknown source column vik01",
        "did you mean vic01?",
    ),
    (
        "a_condition_on_a_column_that_only_some_places_have",
        "when: \"vic<n> != ''\"",
        "when: \"§vik<n> != ''\"",
        "unknown source column vik01",
        "did you mean vic01?",
    ),
    (
        "a_condition_that_goes_wrong_after_its_sign",
        "when: \"vic<n> != ''\"",
        "when: \"vic<n> §< ''\"",
        "unexpected character <",
        "",
    ),
    (
        "a_sibling_of_a_group_of_another_size",
        "fields:\n      person_identity_id: {part: suspect_identity}",
        "fields:\n      person_identity_id: {part: §victim}",
        "unknown sibling part victim",
        "",
    ),
    (
        "a_column_common_to_all_places_that_each_writes_back",
        "      surname: {from: vic<n>, lens: text.padded(8)}",
        "      surname: {from: vic<n>, lens: text.padded(8)}\n      §occupation_text: {from: objet}",
        "column objet feeds case.note_text and victim.1.occupation_text and victim.2.occupation_text",
        "write_back: false",
    ),
    (
        "a_group_that_is_shared",
        "    repeat: {count: 2, digits: 2}\n",
        "    §repeat: {count: 2, digits: 2}\n    share: [vic01]\n",
        "part victim repeats and is shared",
        "keep one",
    ),
]


def write(folder: Path, text: str = AFFAIRES) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("affaires.yaml").write_text(text, encoding="utf-8")
    folder.joinpath("code_maps.yaml").write_text(CODE_MAPS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    return load_rulebook(write(tmp_path_factory.mktemp("wide") / "rules"))


def rows_of(*rows):
    return pl.DataFrame(
        [(str(number), *row) for number, row in enumerate(rows, 1)],
        schema=dict.fromkeys(COLUMNS, pl.String),
        orient="row",
    )


def carried(book, rows):
    plans = compile_ruleset(book.rulesets["affaires"], book, CONTEXT)
    return plans, apply_forward(plans, rows, CONTEXT)


def back(plans, mapped, parts):
    return write_back(plans, parts, mapped.crosswalk, Lookups())


@pytest.mark.parametrize(("old", "new", "message", "hint"), [one[1:] for one in REFUSALS], ids=[o[0] for o in REFUSALS])
def test_a_group_that_cannot_be_read_is_refused_once_at_its_place(old, new, message, hint, tmp_path):
    assert old in AFFAIRES
    marked = AFFAIRES.replace(old, new, 1)

    errors = [one for one in read_errors(write(tmp_path / "rules", marked.replace("§", ""))) if message in one.message]

    assert len(errors) == 1
    assert hint in errors[0].suggestion
    assert (errors[0].line, errors[0].column) == place_of_sign(marked)


@pytest.mark.parametrize(("offset", "expected"), [(0, 0), (3, 3), (5, 6), (9, 10), (13, 14), (15, 17)])
def test_a_character_of_one_place_is_found_in_the_text_with_signs(offset: int, expected: int):
    written, told = "mec<n>_nom mec<n>x", "mec01_nom mec01x"

    assert offset_as_written(written, told, offset) == expected
    assert written[expected] == told[offset] or written[expected] == "<"


def test_a_group_reads_as_one_part_for_each_place(book):
    rules = book.rulesets["affaires"]

    assert [part.name for part in rules.parts] == [
        "case", "suspect.1", "suspect.2", "suspect.3",
        "suspect_identity.1", "suspect_identity.2", "suspect_identity.3", "victim.1", "victim.2",
    ]  # fmt: skip
    second = rules.part("suspect.2")
    assert second.place == Place("suspect", 2, 3, "role_sequence")
    assert second.constants == {"role_code": "SUSPECT", "role_sequence": "2"}
    assert second.fields[0].lens.args == ("suspect_identity.2",)
    assert rules.part("victim.2").fields[0].sources == ("vic02",)


def test_each_place_that_is_taken_becomes_a_record_with_its_number_and_an_identifier_of_its_place(book):
    rows = rows_of(("vol", "DURAND", "M", None, None, "MARTIN", "F", "PETIT   ", None))

    plans, mapped = carried(book, rows)

    assert [mapped.parts[f"suspect.{n}"].height for n in (1, 2, 3)] == [1, 0, 1]
    third, identity = mapped.parts["suspect.3"].row(0, named=True), mapped.parts["suspect_identity.3"]
    assert (third["role_sequence"], third["role_code"]) == (3, "SUSPECT")
    assert third["case_file_id"] == mapped.parts["case"]["id"][0]
    assert third["person_identity_id"] == identity["id"][0]
    assert identity["surname"].to_list() == ["MARTIN"]
    assert identity["id"][0] == reference_uuid5("48.BUREAU", "affaires", "suspect_identity.3", key="1")
    assert sorted(mapped.links["part"].to_list()) == [
        "suspect.1", "suspect.3", "suspect_identity.1", "suspect_identity.3", "victim.1",
    ]  # fmt: skip
    assert plans.owned[-2:] == ("vic01", "vic02")


CELL = st.sampled_from((None, "", " ", "DURAND", "DURAND  ", "M", "F", "1", "X", "AAAAAAAAAAAA", "É"))
WIDE = st.lists(st.tuples(*[CELL] * (len(COLUMNS) - 1)), min_size=1, max_size=12)
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(rows=WIDE)
def test_any_wide_row_comes_back_byte_for_byte_and_is_read_as_row_by_row(book, rows):
    frame = rows_of(*rows)

    plans, mapped = carried(book, frame)
    written = back(plans, mapped, current_parts(plans, mapped))

    assert written.rows.equals(frame.select(plans.written))
    assert written.degraded.is_empty()
    residue = unpack(mapped.crosswalk["residue"], range(len(COLUMNS)))
    for number, row in enumerate(frame.iter_rows(named=True)):
        expected = reference.apply_row(plans.ruleset, book, row, CONTEXT)
        for name, part in mapped.parts.items():
            here = part.filter(pl.col("source_key") == row["num"])
            wanted = expected["parts"].get(name)
            assert here.height == (0 if wanted is None else 1)
            if wanted is not None:
                told = here.row(0, named=True)
                assert {column: str(told[column]) for column in wanted} == {k: str(v) for k, v in wanted.items()}
        kept = {COLUMNS[at]: cells["raw"][number] for at, cells in residue.items() if cells["kept"][number]}
        assert kept == expected["kept"]


@FEW
@given(rows=WIDE, place=st.integers(1, 3), surname=st.sampled_from(("LEGRAND", "A", "É")))
def test_an_edit_of_one_place_is_read_again_and_touches_only_its_columns(book, rows, place, surname):
    frame = rows_of(*rows)
    plans, mapped = carried(book, frame)
    parts = current_parts(plans, mapped)
    name = f"suspect_identity.{place}"
    parts[name] = parts[name].with_columns(pl.lit(surname).alias("surname"))

    written = back(plans, mapped, parts)

    again = apply_forward(plans, written.rows, CONTEXT)
    assert again.parts[name]["surname"].to_list() == [surname] * parts[name].height
    changed = {column for column in COLUMNS if not frame[column].eq_missing(written.rows[column]).all()}
    assert changed <= {f"mec{place}_nom"}
    assert written.degraded.is_empty()


def test_who_leaves_the_second_place_leaves_it_empty_and_the_third_stays_where_it_is(book):
    rows = rows_of(("vol", "DURAND", "M", "LEROY", "F", "MARTIN", "F", None, None))
    plans, mapped = carried(book, rows)
    parts = current_parts(plans, mapped)
    parts |= {name: parts[name].clear() for name in ("suspect.2", "suspect_identity.2")}

    written = back(plans, mapped, parts)

    assert written.rows.row(0) == ("1", "vol", "DURAND", "M", None, None, "MARTIN", "F", None, None)
    assert written.degraded.is_empty()
    assert apply_forward(plans, written.rows, CONTEXT).parts["suspect.3"].equals(mapped.parts["suspect.3"])


def test_a_record_put_into_a_free_place_fills_its_columns(book):
    rows = rows_of(("vol", "DURAND", "M", None, None, None, None, None, None))
    plans, mapped = carried(book, rows)
    parts = current_parts(plans, mapped)
    main_id = mapped.crosswalk["id"][0]
    born = {"id": b"p" * 16, "main_id": main_id, "case_file_id": main_id, "person_identity_id": b"i" * 16,
            "role_code": "SUSPECT", "role_sequence": 2}  # fmt: skip
    identity = {"id": b"i" * 16, "main_id": main_id, "surname": "NEUF", "sex_code": "F"}
    for name, record in (("suspect.2", born), ("suspect_identity.2", identity)):
        schema = parts[name].schema
        parts[name] = pl.DataFrame([{column: record.get(column) for column in schema}], schema=schema)

    written = back(plans, mapped, parts)

    assert written.rows.row(0)[4:6] == ("NEUF", "F")
    assert written.degraded.is_empty()


def test_another_number_than_that_of_the_place_is_listed_as_degraded(book):
    rows = rows_of(("vol", "DURAND", "M", None, None, None, None, None, None))
    plans, mapped = carried(book, rows)
    parts = current_parts(plans, mapped)
    parts["suspect.1"] = parts["suspect.1"].with_columns(pl.lit(7, pl.Int16).alias("role_sequence"))

    written = back(plans, mapped, parts)

    assert written.rows.equals(rows.select(plans.written))
    assert written.degraded.select("column", "kind").rows() == [("role_sequence", "NO_PLACE")]
