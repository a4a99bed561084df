"""Small rule files for tests; the sign § stands where a refusal is expected and is taken out before reading."""

from pathlib import Path

from mappings.diagnostics import Diagnostic, DiagnosticSeverity
from mappings.ruleset import read_rulebook

PERSONNE = """\
rule: T_PERSONNE@1
source: {system: ORION, table: t_personne, key: [id_pers], deletes: "top_supp = 'O'"}
columns: [id_pers, nom, sexe, tel, immat, religion, flag3, top_supp]
emit:
  - part: identity
    table: person_identity
    domain: cases
    main: true
    fields:
      surname: {from: nom, lens: 'name.use_name(sep: " EP. ", max: 40)', also: [surname_use]}
      sex_code: {from: sexe, lens: text.padded(1), code_map: SEX}
  - part: phone
    table: contact_means
    domain: cases
    when: "tel != ''"
    attach: person_identity_id
    constants: {contact_category_code: OTHER}
    fields:
      value_raw: {from: tel, lens: phone.fr, also: [value_normalised]}
  - part: vehicle
    table: vehicle
    domain: vehicles
    when: "immat != ''"
    fields:
      plate_raw: {from: immat, lens: plate.fr}
      person_identity_id: {part: identity}
residue_only: {flag3: "unknown since 1997", top_supp: "read by deletes"}
drop:
  religion: {legal_basis: "LED art. 10, not necessary"}
filters:
  - {rule: test_person, when: "nom = 'TOTO'", legal_basis: "a test record is about nobody"}
side_effects: {nom: "upper-cased by trigger tr_nom"}
"""

CODE_MAPS = """\
code_maps:
  SEX:
    entries: {M: M, F: F, "1": M, "2": F}
    reverse_preferred: {M: M, F: F}
"""


def write_rules(folder: Path, personne: str = PERSONNE, code_maps: str = CODE_MAPS) -> Path:
    """Write a directory of rules."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("t_personne.yaml").write_text(personne, encoding="utf-8")
    folder.joinpath("code_maps.yaml").write_text(code_maps, encoding="utf-8")
    return folder


def place_of_sign(text: str) -> tuple[int, int]:
    """Give line and column of the sign, counted from 1."""
    before = text[: text.index("§")]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def read_errors(folder: Path) -> list[Diagnostic]:
    """Read a directory of rules and give its errors."""
    read = read_rulebook(folder)
    assert read.book is None
    return [one for one in read.diagnostics if one.severity is DiagnosticSeverity.ERROR]
