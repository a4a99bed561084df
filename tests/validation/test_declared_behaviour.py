"""What a legacy system declares for L5: what is refused and where, and what the shipped declarations promise."""

from pathlib import Path

import pytest

import mappings
from banyan.errors import RulesetError
from mappings.ruleset import load_rulebook
from validation.behaviour_documents import load_behaviour
from validation.declared_behaviour import BEHAVIOUR_FILE, LISTS, required_lists

RULES = Path(mappings.__file__).parent / "rules"
COLUMNS = {
    "dossiers": ("id", "numero", "etat", "ouvert_le", "chef", "adjoint"),
    "personnes": ("id", "id_dossier", "role"),
    "agents": ("id", "nom"),
}
GOOD = """\
tables:
  dossiers: {key: [id], refers: {chef: agents}}
  personnes: {key: [id], refers: {id_dossier: dossiers}}
  agents: {key: [id]}
lists:
  - {list: open_cases, table: dossiers, where: {etat: [A]}, name: [numero]}
  - {list: missing_persons, table: personnes, where: {role: [disparu]}, name: [dossiers.numero, agents.nom]}
none:
  stolen_items: {fr: aucun objet, en: no item}
statistics: {table: dossiers, day: {column: ouvert_le, form: iso}, unit: agents.nom}
cases: {table: dossiers, number: numero, opened: {column: ouvert_le, form: iso}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / BEHAVIOUR_FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_lists_statistics_and_cases_are_read_with_the_way_to_what_names_them(tmp_path):
    found = load_behaviour(written(tmp_path, GOOD), COLUMNS)

    assert [each.list_name for each in found.lists] == ["open_cases", "missing_persons"]
    assert found.nowhere["stolen_items"].en == "no item"
    assert found.way("personnes", "agents.nom") == (("id_dossier", "dossiers"), ("chef", "agents"))
    assert found.way("personnes", "role") == ()
    assert found.tables_of(found.lists[1].rows, found.lists[1].named_by) == ("personnes", "dossiers", "agents")
    assert (found.statistics.index, found.statistics.unit) == (None, "agents.nom")


def test_tables_of_several_files_are_declared_once(tmp_path):
    spread = {f"{file}/{name}": columns for file in ("1", "2") for name, columns in COLUMNS.items()}

    assert load_behaviour(written(tmp_path, GOOD), spread) == load_behaviour(tmp_path, COLUMNS)


def test_nothing_declared_is_nothing_and_other_codes_are_another_digest(tmp_path):
    assert load_behaviour(None, COLUMNS) is None
    assert load_behaviour(tmp_path, COLUMNS) is None

    before = load_behaviour(written(tmp_path, GOOD), COLUMNS).digest
    after = load_behaviour(written(tmp_path, GOOD.replace("[A]", "[A, B]")), COLUMNS).digest
    assert before != after


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("{etat: [A]}", "{state: [A]}", "6:5: table dossiers has no column state"),
        ("list: open_cases", "list: opened", "6:12: there is no list opened"),
        ("list: missing_persons", "list: open_cases", "7:12: list open_cases is declared twice"),
        ("stolen_items: {", "open_cases: {", "6:12: list open_cases is declared twice"),
        ("  dossiers: {key", "  files: {key", "2:10: no rule reads files"),
        ("{id_dossier: dossiers}}", "{id_dossier: cases}}", "id_dossier leads to cases, which cannot be found"),
        ("  agents: {key: [id]}", "  agents: {key: [id], refers: {nom: dossiers}}", "leads back to"),
        ("{chef: agents}}", "{chef: agents, adjoint: agents}}", "there is more than one way from personnes to agents"),
        ("{chef: agents}}", "{}}", "there is no way from personnes to agents"),
        ("table: personnes,", "table: people,", "7:36: people is not declared under tables"),
        ("unit: agents.nom", "unit: agents.name", "table agents has no column name"),
        ("form: iso}, unit", "form: roman}, unit", "10:62: form: Input should be"),
        ("cases: {", "paper: {", "11:1: unknown key paper"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place_and_nothing_is_read(tmp_path, right, wrong, said):
    assert right in GOOD

    with pytest.raises(RulesetError) as refused:
        load_behaviour(written(tmp_path, GOOD.replace(right, wrong, 1)), COLUMNS)

    assert BEHAVIOUR_FILE in refused.value.message
    assert said in refused.value.message


@pytest.mark.parametrize("system", ["orion", "marel", "bureau"])
def test_every_shipped_system_declares_each_list_its_rules_fill_or_that_it_has_none(system):
    book = load_rulebook(RULES / system)
    columns = {table: ruleset.columns for table, ruleset in book.rulesets.items()}
    filled = {part.table for ruleset in book.rulesets.values() for part in ruleset.parts}

    found = load_behaviour(RULES / system, columns)

    declared = {each.list_name for each in found.lists} | set(found.nowhere)
    assert declared == set(required_lists(filled)) <= set(LISTS)
    assert found.statistics is not None
    assert found.cases is not None
