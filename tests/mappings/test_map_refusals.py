"""`banyan map lint` refuses every kind of wrong rule, with exit code 2, the place and what to do."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.rules import map_app
from tests.mappings.rule_files import PERSONNE, place_of_sign, write_rules

KINDS = {
    "an_unknown_key": ("residue_only:", "§residue_onli:", "did you mean residue_only?"),
    "an_unknown_source_column": ("{from: nom,", "{from: §nomm,", "did you mean nom?"),
    "an_unknown_canonical_column": ("      plate_raw:", "      §plate_row:", "did you mean plate_raw?"),
    "an_unknown_lens": ("lens: phone.fr", "lens: §phone.frr", "did you mean phone.fr?"),
    "a_parameter_of_another_type": ("text.padded(1)", "text.padded(§one)", "write text.padded(n: ...)"),
    "a_column_without_a_fate": (
        "religion, flag3,",
        "religion, flag3, §tel2,",
        "column tel2 has no fate; map it, keep it as residue, or drop it with a legal basis",
    ),
    "two_owners_of_a_column_on_the_way_back": (
        "      plate_raw:",
        "      vin: {from: immat}\n      §plate_raw:",
        "declare the owner: write_back: false on every other field",
    ),
    "a_guess_that_nobody_confirmed": (
        "lens: text.padded(1), code_map: SEX",
        "§guess: text.padded(1), code_map: SEX",
        "write lens: text.padded(1) in place of guess:",
    ),
    "a_later_time_among_texts_that_do_not_sort": (
        "lens: phone.fr",
        "lens: phone.fr, conflict: §latest",
        "use legacy, or one of: date.yyyymmdd",
    ),
    "a_code_to_prefer_that_is_no_code": (
        "sex_code: {from: sexe, lens: text.padded(1), code_map: SEX",
        '§sex_code: {from: sexe, lens: text.padded(1), code_map: SEX, conflict: "prefer(F, X)"',
        "codes",
    ),
    "a_draft_that_nobody_confirmed": ("rule: T_P", "§draft: yes\nrule: T_P", "then remove the line draft:"),
}


@pytest.mark.parametrize(("old", "new", "suggestion"), KINDS.values(), ids=KINDS)
def test_lint_refuses(old: str, new: str, suggestion: str, tmp_path: Path):
    assert old in PERSONNE
    marked = PERSONNE.replace(old, new, 1)
    folder = write_rules(tmp_path / "rules", marked.replace("§", ""))

    shown = CliRunner().invoke(map_app, ["lint", str(folder)])
    as_json = CliRunner().invoke(map_app, ["lint", str(folder), "--json"])

    line, column = place_of_sign(marked)
    remarks = json.loads(as_json.output)["diagnostics"]
    here = [one for one in remarks if (one["line"], one["column"]) == (line, column)]
    assert (shown.exit_code, as_json.exit_code) == (2, 2)
    assert len(here) == 1
    assert suggestion in here[0]["suggestion"]
    assert f"{folder / 't_personne.yaml'}:{line}:{column}: error: {here[0]['message']}" in shown.output
    assert "REFUSED" in shown.output
