from pathlib import Path

import pytest

from mappings.diagnostics import DiagnosticSeverity
from mappings.lint import lint
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import CODE_MAPS, PERSONNE, place_of_sign, write_rules

TEL = """\
rule: T_TEL@1
source: {system: ORION, table: t_tel, key: [id_tel]}
columns: [id_tel, id_pers, num_tel]
emit:
  - part: phone
    table: contact_means
    domain: cases
    main: true
    fields:
      §person_identity_id: {from: id_pers, lens: ref(t_personne.identity)}
      value_raw: {from: num_tel, lens: phone.fr}
"""
SURNAME = "surname: {from: nom, lens: 'name.use_name(sep: \" EP. \", max: 40)', also: [surname_use]}"

REMARKS = {
    "a_lens_that_forgets": (SURNAME, "§surname: {from: nom, lens: text.trimmed}", "forgets: column surname"),
    "a_date_without_its_precision": (
        SURNAME,
        "§birth_date: {from: nom, lens: date.partial_yyyymmdd}",
        "column birth_date forgets how precise it is",
    ),
    "a_part_that_depends_on_a_foreign_column": (
        "  - part: vehicle\n    table: vehicle\n    domain: vehicles\n    when: \"immat != ''\"",
        "  - §part: vehicle\n    table: vehicle\n    domain: vehicles\n    when: \"sexe != ''\"",
        "part vehicle depends on column sexe",
    ),
    "a_side_effect_on_a_dropped_column": (
        "side_effects: {nom:",
        "side_effects: {§religion:",
        "side effect on column religion",
    ),
}


@pytest.mark.parametrize(("old", "new", "message"), REMARKS.values(), ids=REMARKS)
def test_what_deserves_a_second_look_is_said_at_its_place(old: str, new: str, message: str, tmp_path: Path):
    assert old in PERSONNE
    marked = PERSONNE.replace(old, new)
    folder = write_rules(tmp_path / "rules", marked.replace("§", ""))

    remarks = lint(load_rulebook(folder))

    assert [remark.severity for remark in remarks] == [DiagnosticSeverity.WARNING]
    assert message in remarks[0].message
    assert remarks[0].place == ":".join(map(str, (folder / "t_personne.yaml", *place_of_sign(marked))))
    assert remarks[0].suggestion


def test_a_child_that_outlives_its_filtered_parent_is_remarked(tmp_path: Path):
    folder = write_rules(tmp_path / "rules")
    folder.joinpath("t_tel.yaml").write_text(TEL.replace("§", ""), encoding="utf-8")

    remarks = lint(load_rulebook(folder))

    assert [(one.line, one.column) for one in remarks] == [place_of_sign(TEL)]
    assert remarks[0].message == "rows of t_tel stay when their row of t_personne is filtered"
    assert remarks[0].suggestion == "add a filter with parent: t_personne via id_pers"


def test_a_code_map_nobody_uses_is_remarked(tmp_path: Path):
    marked = CODE_MAPS + "  §ROLE:\n    entries: {MEC: SUSPECT}\n"
    folder = write_rules(tmp_path / "rules", code_maps=marked.replace("§", ""))

    remarks = lint(load_rulebook(folder))

    assert [one.message for one in remarks] == ["code map ROLE is not used"]
    assert (remarks[0].line, remarks[0].column) == place_of_sign(marked)


def test_rules_without_doubt_give_no_remark(tmp_path: Path):
    assert lint(load_rulebook(write_rules(tmp_path / "rules"))) == []
