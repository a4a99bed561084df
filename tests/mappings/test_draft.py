"""A draft guesses from names, types and counts; it shows no value, and lint refuses it until it is confirmed."""

import re
from pathlib import Path

import polars as pl
import pytest

from mappings.draft import draft_ruleset
from mappings.profile import PATTERNS, profile
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import read_errors

TYPES = {
    "id_pers": "numeric(10,0)", "nom": "character varying(40)", "prenom": "character varying(40)",
    "sexe": "character(1)", "ddn": "numeric(8,0)", "tel": "character varying(24)", "zz9": "text",
    "top_supp": "character(1)",
}  # fmt: skip
ROWS = [
    ("1", "ZORGLUB EP. QWERTZ", "KASIMIRA", "F", "19560312", "01 99 00 00 01", "xyzzy", "N"),
    ("2", "ZORGLUB", "KASIMIR", "M", "19560300", None, None, "N"),
    ("3", "PLUGHIER", "KASIMIR", " ", "0", "  ", "plover", "O"),
]


@pytest.fixture
def draft() -> str:
    rows = pl.DataFrame(ROWS, schema=dict.fromkeys(TYPES, pl.String), orient="row")
    return draft_ruleset("ORION", "t_personne", key=("id_pers",), profiles=profile(rows, TYPES))


def test_names_types_and_patterns_make_guesses_and_each_says_why(draft: str):
    assert "surname: {from: nom, guess: 'name.use_name(sep: \" EP. \", max: 40)', also: [surname_use]}" in draft
    assert "given_names: {from: prenom, guess: 'name.given(40)'}" in draft
    assert "sex_code: {from: sexe, guess: 'text.padded(1)', code_map: SEXE}" in draft
    assert (
        "birth_date: {from: ddn, guess: 'date.partial_yyyymmdd', also: [birth_date_precision_code, birth_date_text]}"
        in draft
    )
    assert "# guess: named ddn; numeric(8,0), 100 % filled, longest 8, 1 days YYYYMMDD, 2 days known in part" in draft
    assert "# top_supp may say that a row is deleted" in draft
    assert re.search(r"# Without a fate yet.*\n# +tel, zz9, top_supp", draft)


def test_no_value_of_a_row_stands_in_a_draft_or_in_a_profile(draft: str):
    rows = pl.DataFrame(ROWS, schema=dict.fromkeys(TYPES, pl.String), orient="row")
    shown = draft + repr(profile(rows, TYPES))

    for value in {cell for row in ROWS for cell in row if cell and len(cell.strip()) > 3}:
        assert value not in shown
    for word in ("ZORGLUB", "QWERTZ", "KASIMIR", "xyzzy", "plover", "1956"):
        assert word not in shown


def test_a_draft_is_refused_at_each_guess_until_somebody_has_confirmed_it(draft: str, tmp_path: Path):
    path = tmp_path / "t_personne.yaml"
    path.write_text(draft, encoding="utf-8")
    lines = draft.splitlines()

    errors = read_errors(tmp_path)

    at_guesses = [one for one in errors if "is a guess that nobody confirmed" in one.message]
    assert sorted(one.line for one in at_guesses) == [n for n, line in enumerate(lines, 1) if ", guess: " in line]
    assert [one.line for one in errors if "is a draft that nobody confirmed" in one.message] == [3]


def test_confirmed_and_completed_a_draft_is_a_rule(draft: str, tmp_path: Path):
    confirmed = draft.replace("guess: '", "lens: '").replace("draft: nobody has confirmed these guesses yet\n", "")
    confirmed += "residue_only: {tel: later, zz9: unknown, top_supp: read by deletes}\n"
    (tmp_path / "t_personne.yaml").write_text(confirmed, encoding="utf-8")
    (tmp_path / "code_maps.yaml").write_text("code_maps: {SEXE: {entries: {M: M, F: F}}}\n", encoding="utf-8")

    rules = load_rulebook(tmp_path).rulesets["t_personne"]

    assert rules.main.table == "person_identity"
    assert [rule.to[0] for rule in rules.main.fields] == ["surname", "given_names", "sex_code", "birth_date"]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("days YYYYMMDD", "20190228", "20191328"),
        ("days known in part", "19560000", "19560312"),
        ("hours HHMM", "2359", "2400"),
        ("telephones", "+33 1 99 00 12 34", "12345"),
        ("plates", "AB-123-CD", "ABC"),
        ("amounts with a comma", "1 234,50", "1234.50"),
    ],
)
def test_a_pattern_knows_its_own(pattern: str, yes: str, no: str):
    assert re.search(PATTERNS[pattern], yes)
    assert not re.search(PATTERNS[pattern], no)


def test_a_table_of_which_no_row_was_seen_is_drafted_from_its_names_alone():
    rows = pl.DataFrame(schema={"id_veh": pl.String, "immat": pl.String, "on": pl.String})

    draft = draft_ruleset("MAREL", "vehicules", key=("id_veh",), profiles=profile(rows, {"immat": "varchar(14)"}))

    assert "table: vehicle\n    domain: vehicles" in draft
    assert "plate_raw: {from: immat, guess: 'plate.fr(max: 14)'" in draft
    assert "  - 'on'  # text, no row seen" in draft
