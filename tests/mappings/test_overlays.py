"""Overlays: what one department says otherwise is declared, owned, dated, counted, and checked as a rule is."""

from datetime import date
from pathlib import Path

import pytest

from mappings.diagnostics import DiagnosticSeverity
from mappings.engine import MapContext, apply_forward, compile_ruleset
from mappings.lint import lint
from mappings.model import FieldRule, LensCall
from mappings.overlays import find_overlays
from mappings.ruleset import load_rulebook, read_rulebook
from tests.mappings.rule_files import place_of_sign, write_rules
from tests.mappings.test_apply import frame

OVERLAY = """\
overlay: "31"
system: ORION
deviations:
  - table: t_personne
    owner: "groupement 31, bureau des systèmes"
    until: 2027-06-30
    reason: "sex is written H and F; the number of the old card is kept"
    fields:
      identity.sex_code: {from: sexe, lens: text.padded(1), code_map: SEX_31}
      phone.value_raw: {from: tel, lens: 'phone.fr(max: 20)', also: [value_normalised]}
    columns:
      num_carte: {residue_only: "number of the card of 1994, kept verbatim"}
  - code_map: SEX_31
    owner: "groupement 31, bureau des systèmes"
    until: 2027-06-30
    reason: "sex is written H and F"
    entries: {H: M, F: F}
"""

OWNER = '    owner: "groupement 31, bureau des systèmes"\n'
REFUSALS = [
    ("an_unknown_table", "table: t_personne", "table: §t_person", "unknown table t_person", "did you mean t_personne?"),
    (
        "an_unknown_part",
        "      identity.sex_code:",
        "      §identiti.sex_code:",
        "unknown part identiti",
        "did you mean",
    ),
    (
        "an_unknown_canonical_column",
        "      identity.sex_code:",
        "      §identity.sexe_code:",
        "unknown column sexe_code of person_identity",
        "did you mean sex_code?",
    ),
    (
        "an_unknown_source_column",
        "{from: sexe,",
        "{from: §sex,",
        "unknown source column sex",
        "did you mean sexe?",
    ),
    ("an_unknown_lens", "lens: 'phone.fr(max: 20)'", "lens: §phone.frr", "unknown lens phone.frr", "did you mean"),
    (
        "a_parameter_of_another_kind",
        "'phone.fr(max: 20)'",
        "'phone.fr(§max: long)'",
        "parameter max of lens phone.fr must be a whole number",
        "phone.fr(max",
    ),
    ("an_unknown_code_map", "code_map: SEX_31}", "code_map: SEX_32}", "unknown code map SEX_32", "did you mean"),
    (
        "an_unknown_key",
        '    reason: "sex is written H and F"',
        "    §raison: x\n    reason: x",
        "unknown key raison",
        "reason",
    ),
    (
        "a_deviation_without_an_owner",
        OWNER + '    until: 2027-06-30\n    reason: "sex is written H and F"\n',
        '    until: 2027-06-30\n    reason: "sex is written H and F"\n',
        "key owner is missing",
        "add owner",
    ),
    ("a_day_that_does_not_exist", "2027-06-30", "§2027-02-31", "2027-02-31 is no day", "a day that exists"),
    ("another_system", "system: ORION", "system: §MAREL", "system MAREL over the rules of ORION", "ORION"),
    (
        "another_department",
        'overlay: "31"',
        'overlay: §"38"',
        "the file of department 31 speaks of department 38",
        "31",
    ),
    (
        "two_source_codes_of_one_meaning",
        "entries: {H: M, F: F}",
        "entries: {H: M, §M: M, F: F}",
        "source codes H and M both mean M in SEX_31",
        "reverse_preferred",
    ),
    (
        "a_column_that_everybody_has",
        "      num_carte: {residue_only:",
        "      §flag3: {residue_only:",
        "column flag3 of t_personne is every department's",
        "name its field",
    ),
    (
        "a_column_without_a_fate",
        'num_carte: {residue_only: "number of the card of 1994, kept verbatim"}',
        "§num_carte: {}",
        "column num_carte has no fate, or more than one",
        "residue_only with a reason",
    ),
    (
        "codes_in_a_deviation_of_a_table",
        "    columns:\n",
        "    §entries: {H: M}\n    columns:\n",
        "a deviation of a table has no entries",
        "remove entries",
    ),
    (
        "a_deviation_of_nothing",
        "entries: {H: M, F: F}\n",
        "entries: {H: M, F: F}\n  - §table: t_personne\n    owner: x\n    until: 2027-06-30\n    reason: x\n",
        "this deviation changes nothing",
        "remove the deviation",
    ),
    (
        "a_deviation_of_neither_table_nor_code_map",
        "entries: {H: M, F: F}\n",
        "entries: {H: M, F: F}\n  - §owner: x\n    until: 2027-06-30\n    reason: x\n",
        "a deviation is about one table, or about one code map",
        "exactly one",
    ),
    (
        "an_owner_that_becomes_ambiguous",
        "      phone.value_raw:",
        "      §vehicle.vin: {from: sexe}\n      phone.value_raw:",
        "column sexe feeds identity.sex_code and vehicle.vin, and both write it back",
        "write_back: false",
    ),
]


def write(folder: Path, overlay: str = OVERLAY, department: str = "31") -> Path:
    write_rules(folder)
    (folder / "overlays").mkdir(exist_ok=True)
    (folder / "overlays" / f"{department}.yaml").write_text(overlay, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("old", "new", "message", "hint"), [one[1:] for one in REFUSALS], ids=[o[0] for o in REFUSALS])
def test_a_wrong_deviation_is_refused_in_the_overlay_at_its_place(old, new, message, hint, tmp_path):
    assert old in OVERLAY
    marked = OVERLAY.replace(old, new, 1)
    folder = write(tmp_path / "rules", marked.replace("§", ""))

    read = read_rulebook(folder, department="31")

    errors = [one for one in read.diagnostics if message in one.message]
    assert read.book is None
    assert [one.severity for one in errors] == [DiagnosticSeverity.ERROR]
    assert hint in errors[0].suggestion
    assert errors[0].file == str(folder / "overlays" / "31.yaml")
    if "§" in marked:
        assert (errors[0].line, errors[0].column) == place_of_sign(marked)


def test_only_what_the_overlay_names_is_different(tmp_path: Path):
    folder = write(tmp_path / "rules")

    base, here, other = (load_rulebook(folder, department=code) for code in ("", "31", "38"))

    rules, local = base.rulesets["t_personne"], here.rulesets["t_personne"]
    assert local.main.fields[0] == rules.main.fields[0]
    assert local.main.fields[1] == FieldRule(("sex_code",), ("sexe",), LensCall("text.padded", (1,)), code_map="SEX_31")
    assert local.part("phone").fields[0].lens == LensCall("phone.fr", (), {"max": 20})
    assert local.part("vehicle") == rules.part("vehicle")
    assert local.columns == (*rules.columns, "num_carte")
    assert local.residue_only == {**rules.residue_only, "num_carte": "number of the card of 1994, kept verbatim"}
    assert here.code_maps["SEX"] == base.code_maps["SEX"]
    assert here.code_maps["SEX_31"].entries == {"H": "M", "F": "F"}
    assert (rules.rule_id, local.rule_id) == ("T_PERSONNE@1", "T_PERSONNE@1+31")
    assert other.rulesets["t_personne"] == rules
    assert other.digest == base.digest != here.digest


def test_the_deviation_decides_what_a_row_means_in_its_department_alone(tmp_path: Path):
    folder = write(tmp_path / "rules")
    row = {"id_pers": "1", "nom": "X", "sexe": "H"}
    found = []
    for code in ("31", "38"):
        book = load_rulebook(folder, department=code)
        rules = book.rulesets["t_personne"]
        context = MapContext(code, "ORION", "Europe/Paris", b"k" * 32, date(2026, 1, 1))
        rows = frame(rules, [[row.get(column) for column in rules.columns]])
        mapped = apply_forward(compile_ruleset(rules, book, context), rows, context)
        found.append((mapped.parts["identity"]["sex_code"][0], mapped.rejected_fields["cause"].to_list()))

    assert found == [("M", []), (None, ["a code that the code map does not know"])]


def test_one_code_that_means_something_else_leaves_the_others_as_they_are(tmp_path: Path):
    overlay = """\
overlay: "35"
system: ORION
deviations:
  - {code_map: SEX, owner: x, until: 2027-06-30, reason: "3 was written too", entries: {"3": F}}
"""
    folder = write(tmp_path / "rules", overlay, "35")

    book = load_rulebook(folder, department="35")

    assert book.code_maps["SEX"].entries == {"M": "M", "F": "F", "1": "M", "2": "F", "3": "F"}
    assert book.rulesets["t_personne"].rule_id == "T_PERSONNE@1+35"
    assert [(one.subject, one.changes, one.owner) for one in book.deviations] == [("SEX", ("3",), "x")]


@pytest.mark.parametrize(
    ("as_of", "severity", "message"),
    [
        (date(2027, 5, 30), None, ""),
        (date(2027, 5, 31), DiagnosticSeverity.WARNING, "the deviation of t_personne in 31 ends on 2027-06-30"),
        (date(2027, 6, 30), DiagnosticSeverity.WARNING, "the deviation of t_personne in 31 ends on 2027-06-30"),
        (date(2027, 7, 1), DiagnosticSeverity.ERROR, "the deviation of t_personne in 31 ended on 2027-06-30"),
    ],
)
def test_a_deviation_is_refused_after_its_last_day_and_remarked_a_month_before(as_of, severity, message, tmp_path):
    book = load_rulebook(write(tmp_path / "rules"), department="31")

    remarks = [one for one in lint(book, as_of=as_of) if "deviation" in one.message]

    assert {one.severity for one in remarks} == ({severity} if severity else set())
    if remarks:
        assert remarks[0].message == message
        assert "ask groupement 31" in remarks[0].suggestion
        assert (remarks[0].file, remarks[0].line, remarks[0].column) == (
            str(tmp_path / "rules" / "overlays" / "31.yaml"), 6, 12,
        )  # fmt: skip


def test_a_deviation_that_says_what_the_rule_says_is_remarked(tmp_path: Path):
    same = OVERLAY.replace("code_map: SEX_31}", "code_map: SEX}")

    read = read_rulebook(write(tmp_path / "rules", same), department="31")

    assert read.book is not None
    remarks = [one for one in read.diagnostics if "says what the rule says" in one.message]
    assert [(one.severity, one.line) for one in remarks] == [(DiagnosticSeverity.WARNING, 9)]


def test_the_departments_that_deviate_are_found(tmp_path: Path):
    assert find_overlays(write(tmp_path / "rules")) == ("31",)
    assert find_overlays(tmp_path) == ()


def test_a_whole_group_deviates_under_the_name_it_is_written_with(tmp_path: Path):
    from tests.mappings.test_repeats import write as write_wide

    folder = write_wide(tmp_path / "wide")
    (folder / "overlays").mkdir()
    (folder / "overlays" / "48.yaml").write_text(
        'overlay: "48"\nsystem: BUREAU\ndeviations:\n  - table: affaires\n    owner: x\n    until: 2027-01-01\n'
        "    reason: x\n    fields:\n      suspect_identity.surname: {from: 'mec<n>_nom', lens: text.max(15)}\n",
        encoding="utf-8",
    )

    rules = load_rulebook(folder, department="48").rulesets["affaires"]

    lenses = [rules.part(f"suspect_identity.{n}").fields[0].lens for n in (1, 2, 3)]
    assert lenses == [LensCall("text.max", (15,))] * 3
