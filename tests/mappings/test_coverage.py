from pathlib import Path

from mappings.coverage import coverage
from mappings.model import FateKind
from mappings.ruleset import load_rulebook
from tests.mappings.rule_files import write_rules


def test_every_column_has_one_fate_with_its_rule_and_reason(tmp_path: Path):
    fates = coverage(load_rulebook(write_rules(tmp_path / "rules")))

    assert [(one.column, one.fate, one.reason) for one in fates] == [
        ("id_pers", FateKind.KEY, "identity of the row, kept in the crosswalk"),
        ("nom", FateKind.MAPPED, "person_identity.surname+surname_use"),
        ("sexe", FateKind.MAPPED, "person_identity.sex_code"),
        ("tel", FateKind.MAPPED, "contact_means.value_raw+value_normalised"),
        ("immat", FateKind.MAPPED, "vehicle.plate_raw"),
        ("religion", FateKind.DROPPED, "LED art. 10, not necessary"),
        ("flag3", FateKind.RESIDUE_ONLY, "unknown since 1997"),
        ("top_supp", FateKind.RESIDUE_ONLY, "read by deletes"),
    ]
    assert {(one.table, one.rule) for one in fates} == {("t_personne", "T_PERSONNE@1")}
