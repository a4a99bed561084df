"""Golden records: what holds, what does not and says so, and files that cannot be read."""

from pathlib import Path

import pytest

from mappings.golden import run_golden
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import place_of_sign, write_rules

GOLDEN = """\
golden: t_personne
records:
  - name: somebody with a telephone
    row: {id_pers: "1", nom: "DURAND EP. MARTIN", sexe: "1", tel: "01 99 00 12 34"}
    records:
      identity: {surname: DURAND, surname_use: MARTIN, sex_code: M}
      phone:
        person_identity_id: {part: identity}
        contact_category_code: OTHER
        value_raw: 01 99 00 12 34
        value_normalised: "+33199001234"
    residue: [sexe]
    edits:
      - edit: {identity: {surname: LEGRAND}}
        writes: {nom: LEGRAND EP. MARTIN}
      - edit: {phone: null}
        writes: {tel: null}
      - edit: {vehicle: {plate_raw: AB-123-CD, person_identity_id: {part: identity}}}
        writes: {immat: AB-123-CD}
"""

WRONG = {
    "a_value_that_is_another": ("surname: DURAND,", "surname: DURANT,", "record identity.surname", "DURANT", "DURAND"),
    "a_value_that_is_not_expected": (", sex_code: M}", "}", "record identity.sex_code", None, "M"),
    "a_record_that_is_not_expected": (GOLDEN[GOLDEN.index("      phone:") : GOLDEN.index("    residue:")], "",
                                      "record phone", "absent", "there"),
    "a_record_that_is_not_there": ("      phone:", "      vehicle: {plate_raw: X}\n      phone:", "record vehicle",
                                   "there", "absent"),
    "another_fate": ("    records:\n      identity", "    fate: DELETED\n    records:\n      identity", "fate",
                     "DELETED", "LOADED"),
    "another_residue": ("    residue: [sexe]\n", "", "residue", "", "sexe"),
    "an_edit_that_writes_something_else": ("writes: {nom: LEGRAND EP. MARTIN}", "writes: {nom: LEGRAND}",
                                           "edit 1: writes nom", "LEGRAND", "LEGRAND EP. MARTIN"),
    "an_edit_that_writes_nothing": ("writes: {tel: null}", "writes: {}", "edit 2: writes tel", "01 99 00 12 34", None),
    "a_degradation_that_does_not_happen": ("writes: {immat: AB-123-CD}",
                                           "writes: {immat: AB-123-CD}\n        degraded: {vin: TOO_LONG}",
                                           "edit 3: degraded vin", "TOO_LONG", None),
}  # fmt: skip

UNREADABLE = {
    "an_unknown_table": ("golden: t_personne", "golden: §t_person", "unknown table t_person"),
    "an_unknown_column": ("{id_pers: \"1\", nom:", "{id_pers: \"1\", §nomm: x, nom:", "unknown source column nomm"),
    "an_unknown_key": ("    residue: [sexe]", "    §residu: [sexe]", "unknown key residu"),
    "an_unknown_canonical_column": ("{surname: LEGRAND}", "{§surnam: LEGRAND}",
                                    "unknown column surnam of person_identity"),
}  # fmt: skip


def run(folder: Path, text: str):
    write_rules(folder)
    (folder / "golden").mkdir()
    (folder / "golden" / "t_personne.yaml").write_text(text, encoding="utf-8")
    return run_golden(load_rulebook(folder), folder)


def test_a_golden_record_is_mapped_written_back_and_edited(tmp_path: Path):
    found = run(tmp_path / "rules", GOLDEN)

    assert found.holds
    assert [(one.table, one.name, one.mark.line) for one in found.results] == [
        ("t_personne", "somebody with a telephone", 3)
    ]
    assert found.without == ()


@pytest.mark.parametrize(("old", "new", "place", "expected", "got"), WRONG.values(), ids=WRONG)
def test_what_does_not_hold_is_named_with_what_was_expected_and_found(old, new, place, expected, got, tmp_path):
    assert old in GOLDEN

    found = run(tmp_path / "rules", GOLDEN.replace(old, new, 1))

    assert not found.holds
    (result,) = found.results
    told = {(one.place, one.expected, one.found) for one in result.differences}
    assert (place, expected, got) in told
    assert len(told) == 1


@pytest.mark.parametrize(("old", "new", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_says_nothing_sensible_is_refused_at_its_place(old, new, message, tmp_path):
    assert old in GOLDEN
    marked = GOLDEN.replace(old, new, 1)

    found = run(tmp_path / "rules", marked.replace("§", ""))

    assert not found.holds
    assert (message, *place_of_sign(marked)) in [(one.message, one.line, one.column) for one in found.diagnostics]


def test_tables_without_golden_records_are_named(tmp_path: Path):
    folder = write_rules(tmp_path / "rules")

    found = run_golden(load_rulebook(folder), folder)

    assert (found.results, found.without) == ((), ("t_personne",))
