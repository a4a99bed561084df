import json
from pathlib import Path

import pytest

from banyan.departments import Domain
from banyan.errors import RulesetError
from mappings.catalogue import LENSES, bind_parameters
from mappings.expression import ExpressionError, parse_condition, parse_lens
from mappings.model import Condition, LensCall, Severity
from mappings.ruleset import load_rulebook
from mappings.schema import code_maps_schema, ruleset_schema
from tests.mappings.rule_files import CODE_MAPS, PERSONNE, place_of_sign, read_errors, write_rules

IMMAT_TO_PLATE = PERSONNE[PERSONNE.index("tel, immat,") : PERSONNE.index("      person_identity_id:")]
MAIN_PART = PERSONNE[PERSONNE.index("  - part: identity") : PERSONNE.index("      surname:")]
VEHICLE_REFERENCE = """\
      person_identity_id: {part: identity}
residue_only: {flag3: "unknown since 1997", """

REFUSALS = [
    ("an_unknown_key", "residue_only:", "§residue_onli:", "unknown key residue_onli", "did you mean residue_only?"),
    ("an_unknown_key_of_a_field", "{from: nom,", "{§form: nom,", "unknown key form", "did you mean from?"),
    (
        "an_unknown_key_of_the_source",
        "key: [id_pers],",
        "key: [id_pers], §delets: x,",
        "unknown key delets",
        "did you mean deletes?",
    ),
    ("a_missing_key", "    table: contact_means\n", "", "key table is missing", "add table: ..."),
    (
        "a_key_written_twice",
        "    domain: vehicles\n",
        "    domain: vehicles\n    §domain: vehicles\n",
        "key domain is written twice",
        "keep one of the two",
    ),
    (
        "a_rule_without_a_version",
        "rule: T_PERSONNE@1",
        "rule: §T_PERSONNE",
        "rule is not written as it must be",
        "^[A-Z]",
    ),
    (
        "a_severity_that_does_not_exist",
        "lens: plate.fr}",
        "lens: plate.fr, severity: §fatal}",
        "severity: Input should be",
        "map schema",
    ),
    ("an_unknown_lens", "lens: phone.fr", "lens: §phone.frr", "unknown lens phone.frr", "did you mean phone.fr?"),
    (
        "the_lens_of_sibling_parts_by_its_name",
        "lens: plate.fr",
        "lens: §part(identity)",
        "unknown lens part",
        "plate.fr",
    ),
    (
        "an_unknown_parameter",
        "max: 40)",
        "§maxi: 40)",
        "parameter maxi of lens name.use_name is unknown",
        "did you mean max?",
    ),
    ("a_parameter_given_twice", "max: 40)", "max: 40, §max: 41)", "parameter max is given twice", "give it once"),
    (
        "a_parameter_that_lacks",
        "'name.use_name(sep: \" EP. \", max: 40)'",
        "'§name.use_name(sep: \" EP. \")'",
        "lens name.use_name lacks its parameter max",
        "write name.use_name(sep: ..., max: ...)",
    ),
    (
        "a_parameter_of_another_kind",
        "lens: text.padded(1)",
        "lens: text.padded(§one)",
        "parameter n of lens text.padded must be a whole number",
        "write text.padded(n: ...)",
    ),
    (
        "one_parameter_too_many",
        "lens: text.padded(1)",
        "lens: 'text.padded(1, §3)'",
        "lens text.padded takes 1 parameters",
        "write text.padded(n: ...)",
    ),
    (
        "a_lens_whose_bracket_stays_open",
        "lens: text.padded(1)",
        "lens: text.padded(1§",
        "expected a comma or ), found the end",
        "write a lens as",
    ),
    ("a_quote_that_stays_open", "max: 40)'", "max: §\"40)'", "a quote is opened and never closed", "close the quote"),
    (
        "an_unknown_canonical_table",
        "table: person_identity",
        "table: §person_identiti",
        "unknown canonical table person_identiti",
        "did you mean person_identity?",
    ),
    (
        "an_unknown_canonical_column",
        "      plate_raw:",
        "      §plate_row:",
        "unknown column plate_row of vehicle",
        "did you mean plate_raw?",
    ),
    (
        "an_unknown_also_column",
        "also: [surname_use]",
        "also: [§surname_user]",
        "unknown column surname_user of person_identity",
        "did you mean surname_use?",
    ),
    (
        "more_columns_than_the_lens_yields",
        "also: [surname_use]",
        "also: [surname_use, §occupation_text]",
        "lens name.use_name yields 2 column(s), 3 named",
        "surname, surname_use",
    ),
    (
        "a_column_of_another_kind",
        "      surname: {from: nom, lens: 'name.use_name(sep: \" EP. \", max: 40)', also: [surname_use]}",
        "      §birth_date: {from: nom}",
        "column birth_date is date, lens verbatim yields text",
        "date.partial_yyyymmdd",
    ),
    ("an_unknown_source_column", "{from: nom,", "{from: §nomm,", "unknown source column nomm", "did you mean nom?"),
    (
        "more_source_columns_than_the_lens_reads",
        "{from: immat,",
        "{from: §[immat, tel],",
        "lens plate.fr reads 1 source column(s), 2 given",
        "plate.fr reads",
    ),
    (
        "a_column_without_a_fate",
        "immat, religion, flag3,",
        "immat, religion, flag3, §profession,",
        "column profession has no fate",
        "column profession has no fate; map it, keep it as residue, or drop it with a legal basis",
    ),
    (
        "a_mapped_column_that_is_dropped_too",
        "drop:\n",
        'drop:\n  §tel: {legal_basis: "none"}\n',
        "column tel has 2 fates: mapped and dropped",
        "keep one",
    ),
    (
        "a_key_kept_as_residue_too",
        "residue_only: {",
        'residue_only: {§id_pers: "why", ',
        "column id_pers has 2 fates: the key and residue_only",
        "keep one",
    ),
    (
        "a_reason_that_is_blank",
        'flag3: "unknown since 1997"',
        'flag3: §"  "',
        "flag3 is not written as it must be",
        "must match",
    ),
    (
        "a_drop_without_a_legal_basis",
        'religion: {legal_basis: "LED art. 10, not necessary"}',
        "religion: §{}",
        "key legal_basis is missing",
        "add legal_basis: ...",
    ),
    (
        "a_column_two_fields_write_back",
        "      value_raw:",
        "      §contact_category_code: {from: immat}\n      value_raw:",
        "filled twice",
        "keep one",
    ),
    (
        "an_ambiguous_owner",
        "      plate_raw:",
        "      vin: {from: immat}\n      §plate_raw:",
        "column immat feeds vehicle.vin and vehicle.plate_raw, and both write it back",
        "declare the owner: write_back: false on every other field",
    ),
    (
        "a_column_nobody_writes_back",
        IMMAT_TO_PLATE,
        IMMAT_TO_PLATE.replace("tel, immat", "tel, §immat").replace("plate.fr}", "plate.fr, write_back: false}"),
        "column immat is mapped and no field writes it back",
        "leave write_back out",
    ),
    (
        "a_main_part_missing",
        MAIN_PART,
        MAIN_PART.replace("- part", "§- part").replace("    main: true\n", ""),
        "no part is the main part",
        "write main: true",
    ),
    (
        "a_second_main_part",
        "    domain: vehicles\n",
        "    domain: vehicles\n    §main: true\n",
        "a second part is main",
        "keep one main part",
    ),
    (
        "a_main_part_with_a_condition",
        "    main: true\n",
        "    main: true\n    §when: \"tel != ''\"\n",
        "the main part has a condition",
        "use a filter",
    ),
    ("a_part_written_twice", "  - part: vehicle", "  - part: §phone", "part phone is written twice", "its own name"),
    (
        "an_unknown_domain",
        "    domain: vehicles",
        "    domain: §vehicle",
        "unknown domain vehicle",
        "did you mean vehicles?",
    ),
    (
        "an_unknown_sibling_part",
        "{part: identity}",
        "{part: §identiti}",
        "unknown sibling part identiti",
        "did you mean identity?",
    ),
    (
        "a_field_from_nowhere",
        "{part: identity}",
        "§{severity: warn}",
        "a field has neither from nor part",
        "name its source column with from",
    ),
    (
        "an_attach_column_that_holds_no_id",
        "attach: person_identity_id",
        "attach: §value_raw",
        "column value_raw of contact_means cannot hold an id",
        "person_identity_id",
    ),
    (
        "a_constant_in_an_unknown_column",
        "constants: {contact_category_code:",
        "constants: {§contact_category:",
        "unknown column contact_category of contact_means",
        "did you mean contact_category_code?",
    ),
    (
        "a_condition_without_an_operator",
        "when: \"tel != ''\"",
        "when: \"tel §'x'\"",
        "expected =, != or starts",
        "write a condition as",
    ),
    (
        "a_condition_without_quotes",
        "when: \"nom = 'TOTO'\"",
        'when: "nom = §TOTO"',
        "expected a text in quotes, found TOTO",
        "write a condition as",
    ),
    (
        "a_condition_on_an_unknown_column",
        "\"top_supp = 'O'\"",
        "\"§top_sup = 'O'\"",
        "unknown source column top_sup",
        "did you mean top_supp?",
    ),
    (
        "a_filter_without_a_reason",
        "{rule: test_person, when: \"nom = 'TOTO'\",",
        "§{rule: test_person,",
        "filter test_person says no reason",
        "exactly one of when, retention, parent and judged",
    ),
    (
        "a_parent_that_has_no_rule",
        "  - {rule: test_person,",
        '  - §{rule: follows, parent: t_pers via nom, legal_basis: "x"}\n  - {rule: test_person,',
        "filter follows follows unknown table t_pers",
        "did you mean t_personne?",
    ),
    (
        "a_parent_that_no_record_refers_to",
        "  - {rule: test_person,",
        '  - §{rule: follows, parent: t_personne via nom, legal_basis: "x"}\n  - {rule: test_person,',
        "filter follows follows t_personne, and no record refers to it by nom",
        "emit a reference: lens: ref(t_personne.identity) from nom",
    ),
    (
        "a_parent_column_that_does_not_exist",
        "  - {rule: test_person,",
        '  - {rule: follows, parent: t_personne via §nmo, legal_basis: "x"}\n  - {rule: test_person,',
        "unknown source column nmo",
        "did you mean nom?",
    ),
    (
        "a_retention_day_that_is_not_one",
        "when: \"nom = 'TOTO'\",",
        "retention: {columns: [nom], before: §soon},",
        "before is not written as it must be",
        "must match",
    ),
    (
        "a_side_effect_on_an_unknown_column",
        "side_effects: {nom:",
        "side_effects: {§nome:",
        "unknown source column nome",
        "did you mean nom?",
    ),
    (
        "an_unknown_code_map",
        "      sex_code: {from: sexe, lens: text.padded(1), code_map: SEX}",
        "      §sex_code: {from: sexe, lens: text.padded(1), code_map: SEXE}",
        "unknown code map SEXE",
        "did you mean SEX?",
    ),
    (
        "a_reference_to_an_unknown_table",
        VEHICLE_REFERENCE,
        "      §item_id: {from: flag3, lens: ref(t_objets.item)}\nresidue_only: {",
        "unknown table t_objets in a reference",
        "t_personne",
    ),
    (
        "a_reference_to_an_unknown_part",
        VEHICLE_REFERENCE,
        "      §item_id: {from: flag3, lens: ref(t_personne.itm)}\nresidue_only: {",
        "unknown part itm of t_personne",
        "identity",
    ),
    (
        "a_reference_to_another_kind_of_record",
        "      person_identity_id: {part: identity}",
        "      §item_id: {part: identity}",
        "column item_id refers to item, not to person_identity",
        "whose table is item",
    ),
    ("what_is_not_yaml", "emit:\n", "emit: §}\n", "this is not YAML", "between quotes"),
]


@pytest.mark.parametrize(
    ("old", "new", "message", "suggestion"), [one[1:] for one in REFUSALS], ids=[one[0] for one in REFUSALS]
)
def test_a_wrong_rule_is_refused_at_its_place(old: str, new: str, message: str, suggestion: str, tmp_path: Path):
    assert old in PERSONNE
    marked = PERSONNE.replace(old, new, 1)
    folder = write_rules(tmp_path / "rules", marked.replace("§", ""))

    errors = [one for one in read_errors(folder) if message in one.message]

    assert len(errors) == 1
    assert suggestion in errors[0].suggestion
    assert errors[0].file == str(folder / "t_personne.yaml")
    if "§" in marked:
        assert (errors[0].line, errors[0].column) == place_of_sign(marked)


CODE_MAP_REFUSALS = [
    (
        "two_codes_of_one_meaning_without_a_preferred_one",
        "    reverse_preferred: {M: M, F: F}\n",
        "    reverse_preferred: {M: M}\n",
        '"1": M, "2": F',
        '"1": M, §"2": F',
        "source codes F and 2 both mean F in SEX",
        "reverse_preferred: {F: F}",
    ),
    (
        "a_preferred_code_of_another_meaning",
        "{M: M, F: F}",
        '{M: M, F: §"1"}',
        "",
        "",
        "source code 1 of SEX does not mean F",
        "prefer a source code",
    ),
    (
        "an_unknown_key_of_a_code_map",
        "reverse_preferred:",
        "§reverse_prefered:",
        "",
        "",
        "unknown key reverse_prefered",
        "did you mean reverse_preferred?",
    ),
    ("a_code_map_without_entries", '{M: M, F: F, "1": M, "2": F}', "§{}", "", "", "entries:", "map schema"),
]


@pytest.mark.parametrize(
    ("old", "new", "also_old", "also_new", "message", "suggestion"),
    [one[1:] for one in CODE_MAP_REFUSALS],
    ids=[one[0] for one in CODE_MAP_REFUSALS],
)
def test_a_wrong_code_map_is_refused_at_its_place(old, new, also_old, also_new, message, suggestion, tmp_path):
    marked = CODE_MAPS.replace(old, new)
    marked = marked.replace(also_old, also_new) if also_old else marked
    folder = write_rules(tmp_path / "rules", code_maps=marked.replace("§", ""))

    errors = [one for one in read_errors(folder) if message in one.message]

    assert len(errors) == 1
    assert suggestion in errors[0].suggestion
    assert (errors[0].line, errors[0].column) == place_of_sign(marked)


def test_the_first_refusal_is_raised_with_its_place_as_facts(tmp_path: Path):
    folder = write_rules(tmp_path / "rules", PERSONNE.replace("lens: phone.fr", "lens: phone.frr"))

    with pytest.raises(RulesetError) as refused:
        load_rulebook(folder)

    assert refused.value.facts == {"file": str(folder / "t_personne.yaml"), "line": 19, "column": 36}
    assert refused.value.message.startswith(f"{folder / 't_personne.yaml'}:19:36: unknown lens phone.frr")
    assert refused.value.hint == "did you mean phone.fr?"
    assert refused.value.exit_code == 2


def test_all_wrong_places_are_said_at_once(tmp_path: Path):
    text = PERSONNE.replace("lens: phone.fr", "lens: phone.frr").replace("lens: plate.fr", "lens: plates")

    errors = read_errors(write_rules(tmp_path / "rules", text))

    assert [one.line for one in errors] == [19, 25]


def test_a_place_after_escaped_quotes_is_counted_in_the_file(tmp_path: Path):
    old = "\"nom = 'TOTO'\""
    marked = PERSONNE.replace(old, '"nom = \\"TO\\" §x"')
    folder = write_rules(tmp_path / "rules", marked.replace("§", ""))

    errors = read_errors(folder)

    assert [(one.line, one.column) for one in errors] == [place_of_sign(marked)]


def test_aliases_are_refused_even_when_they_turn_in_a_circle(tmp_path: Path):
    marked = PERSONNE.replace("drop:\n", "drop: &again\n  nom: §*again\n")

    errors = read_errors(write_rules(tmp_path / "rules", marked.replace("§", "")))

    assert [(one.message, one.line, one.column) for one in errors] == [("aliases are not read", *place_of_sign(marked))]


@pytest.mark.parametrize(("text", "message"), [("- a\n", "the file:"), ("", "the file is empty")])
def test_a_file_that_is_not_a_rule_is_refused_at_its_start(text: str, message: str, tmp_path: Path):
    errors = read_errors(write_rules(tmp_path / "rules", text))

    assert [(one.line, one.column) for one in errors] == [(1, 1)]
    assert message in errors[0].message


def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path):
    with pytest.raises(RulesetError, match="is not a directory of rules"):
        load_rulebook(tmp_path / "nowhere")


def test_a_directory_without_rules_is_refused(tmp_path: Path):
    with pytest.raises(RulesetError, match="there is no rule here"):
        load_rulebook(tmp_path)


def test_two_rules_for_one_table_are_refused(tmp_path: Path):
    folder = write_rules(tmp_path / "rules")
    folder.joinpath("z.yaml").write_text(PERSONNE, encoding="utf-8")

    errors = read_errors(folder)

    assert [one.message for one in errors] == ["table t_personne has a rule already"]
    assert errors[0].file == str(folder / "z.yaml")


def test_an_accepted_rule_says_what_the_file_says(tmp_path: Path):
    book = load_rulebook(write_rules(tmp_path / "rules"))

    rules = book.rulesets["t_personne"]
    surname, sex = rules.main.fields
    phone, vehicle = rules.part("phone"), rules.part("vehicle")
    assert (book.system, rules.rule_id, rules.version, rules.key) == ("ORION", "T_PERSONNE@1", 1, ("id_pers",))
    assert surname.to == ("surname", "surname_use")
    assert surname.lens == LensCall("name.use_name", (), {"sep": " EP. ", "max": 40})
    assert (sex.code_map, sex.severity, sex.writes_back) == ("SEX", Severity.FIELD, True)
    assert (phone.when, phone.attach, phone.constants) == (
        Condition("tel", "!=", ""),
        "person_identity_id",
        {"contact_category_code": "OTHER"},
    )
    assert vehicle.domain is Domain.VEHICLES
    assert vehicle.fields[1].lens == LensCall("part", ("identity",))
    assert vehicle.fields[1].sources == ()
    assert rules.deletes == Condition("top_supp", "=", "O")
    assert rules.filters[0].condition == Condition("nom", "=", "TOTO")
    assert rules.drop == {"religion": "LED art. 10, not necessary"}
    assert rules.field_number("tel") == 3
    assert book.code_maps["SEX"].backward() == {"M": "M", "F": "F"}


def test_the_digest_moves_with_the_meaning_and_not_with_the_layout(tmp_path: Path):
    first = load_rulebook(write_rules(tmp_path / "first"))
    layout = "# a remark\n" + PERSONNE.replace("text.padded(1)", "'text.padded( n: 1 )'")
    same = load_rulebook(write_rules(tmp_path / "same", layout))
    other = load_rulebook(write_rules(tmp_path / "other", PERSONNE.replace("max: 40", "max: 41")))
    codes = load_rulebook(write_rules(tmp_path / "codes", code_maps=CODE_MAPS.replace('"2": F', '"9": F')))

    digests = [book.rulesets["t_personne"].digest for book in (first, same, other, codes)]

    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert first.digest == same.digest
    assert len({first.digest, other.digest, codes.digest}) == 3


def test_a_lens_call_prints_as_it_can_be_read_again():
    call = parse_lens("name.use_name(max: 40, sep: ' \"EP\\\\. ')").call

    assert parse_lens(str(call)).call == call
    assert call.kwargs == {"sep": ' "EP\\. ', "max": 40}


def test_parameters_are_bound_by_position_and_by_name_alike():
    by_position = parse_lens('flag("O", "N")').call
    by_name = parse_lens('flag(no: "N", yes: "O")').call

    assert bind_parameters(by_position) == bind_parameters(by_name) == {"yes": "O", "no": "N"}


@pytest.mark.parametrize(
    ("expression", "offset"), [("a(b", 3), ("a b", 2), ("", 0), ("a(,)", 2), ("a(x: 1, 2)", 8), ("a(?)", 2)]
)
def test_a_lens_that_cannot_be_parsed_names_the_character(expression: str, offset: int):
    with pytest.raises(ExpressionError) as refused:
        parse_lens(expression)

    assert refused.value.offset == offset


def test_conditions_know_three_operators():
    texts = ["tel != ''", "num_proc starts '99999/'", 'top_supp = "O"']

    assert [str(parse_condition(text)) for text in texts] == [
        "tel != ''",
        "num_proc starts '99999/'",
        "top_supp = 'O'",
    ]


def test_every_lens_declares_its_domain_and_at_least_one_output():
    assert all(spec.domain and spec.outputs for spec in LENSES.values())
    assert {"verbatim", "ref", "part"} <= set(LENSES)


def test_the_schema_names_every_key_a_rule_may_have():
    schema = ruleset_schema()

    assert set(schema["properties"]) == {
        "draft", "rule", "source", "columns", "emit", "residue_only", "drop", "filters", "side_effects",
    }  # fmt: skip
    assert schema["additionalProperties"] is False
    assert "from" in schema["$defs"]["FieldDocument"]["properties"]
    assert json.dumps(code_maps_schema())
