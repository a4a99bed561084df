"""Suite files: what is refused and where, and what the shipped suites promise."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

import mappings
from banyan.canonical.model import TABLES, Kind
from banyan.departments import Domain
from banyan.errors import RulesetError
from banyan.findings import Severity
from validation.suites import EXPECTATIONS, SHIPPED, load_suites

GOOD = """\
suite: vehicle
table: vehicle
row_floor: 1
rules:
  - id: vehicle.plate_raw_present
    fr: "Un véhicule a une plaque."
    en: "A vehicle has a plate."
    severity: WARN
    owner: steward
    expectation:
      type: expect_column_values_to_not_be_null
      kwargs: {column: plate_raw}
"""
RANGE = GOOD.replace("expect_column_values_to_not_be_null", "expect_column_values_to_be_between")
QUERY = GOOD.replace("expect_column_values_to_not_be_null", "unexpected_rows_expectation")


def written(folder: Path, text: str, name: str = "vehicle.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def with_query(query: str) -> str:
    return QUERY.replace("{column: plate_raw}", f'{{unexpected_rows_query: "{query}"}}')


def refusal(folder: Path) -> RulesetError:
    with pytest.raises(RulesetError) as caught:
        load_suites(folder)
    return caught.value


def test_a_suite_is_read_as_it_is_written(tmp_path):
    (suite,) = load_suites(written(tmp_path, GOOD))

    assert (suite.name, suite.table, suite.row_floor) == ("vehicle", "vehicle", 1)
    (rule,) = suite.rules
    assert rule.rule_id == "vehicle.plate_raw_present"
    assert rule.sentence.fr == "Un véhicule a une plaque."
    assert rule.severity is Severity.WARN
    assert (rule.expectation, rule.arguments) == ("expect_column_values_to_not_be_null", {"column": "plate_raw"})


def test_arguments_keep_their_types(tmp_path):
    text = RANGE.replace("{column: plate_raw}", "{column: plate_raw, min_value: 1, max_value: 2.5, strict_min: true}")

    (suite,) = load_suites(written(tmp_path, text))

    assert suite.rules[0].arguments == {"column": "plate_raw", "min_value": 1, "max_value": 2.5, "strict_min": True}


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        (GOOD.replace("to_not_be_null", "to_not_be_nul"), 11, "there is no expectation", "expect_column_values_to_not"),
        (GOOD.replace("column: plate_raw}", "column: plate_rw}"), 12, "no column plate_rw", "plate_raw"),
        (GOOD.replace("table: vehicle", "table: vehicles"), 2, "no canonical table vehicles", "vehicle?"),
        (GOOD.replace("plate_raw}", "plate_raw, mostly: 0.9}"), 12, "no argument mostly", ""),
        (GOOD.replace("plate_raw}", "plate_raw, colum: x}"), 12, "no argument colum", "column"),
        (GOOD.replace("    owner:", "    ownr: x\n    owner:"), 9, "unknown key ownr", "owner"),
        (GOOD.replace("    owner: steward\n", ""), 5, "key owner is missing", "owner"),
        (GOOD.replace("WARN", "FATAL"), 8, "severity", ""),
        (GOOD.replace("    severity: WARN\n", ""), 5, "key severity is missing", "severity"),
        (GOOD.replace("values_to_not_be_null", "mean_to_be_between"), 11, "there is no expectation", ""),
        (GOOD.replace("to_not_be_null", "to_be_of_type"), 11, "there is no expectation", ""),
        (GOOD.replace("row_floor: 1", "row_floor: -1"), 3, "row_floor", ""),
        (GOOD.replace("id: vehicle.", "id: item."), 5, "not named after its table", "vehicle.plate_raw_present"),
        (GOOD[: GOOD.index("  - id")].replace("rules:", "rules: []"), 4, "rules", ""),
        (GOOD.replace("plate_raw_present", "Plate"), 5, "id", ""),
        (GOOD + GOOD[GOOD.index("  - id") :], 13, "exists already", "another name"),
        (GOOD + "table: item\n", 13, "written twice", "one of the two"),
        (RANGE, 12, "has no min_value or max_value", "min_value"),
        (RANGE.replace("plate_raw}", "plate_raw, min_value: 2019-13-45}"), 1, "looks like a date", "quotes"),
        (GOOD.replace("to_not_be_null", "to_be_in_set").replace("raw}", "raw, value_set: []}"), 12, "no value_set", ""),
        (GOOD.replace("to_not_be_null", "to_match_regex"), 12, "has no regex", "regex"),
        (QUERY, 12, "has no unexpected_rows_query", ""),
        (with_query("select * from {batch}"), 12, "does not begin as it must", "select subselect.key"),
        (with_query("select subselect.key from {batch}; drop table x"), 12, "may not contain ;", "one select"),
        (with_query("select subselect.key from {batch} join justice.item i on {department}"), 12, "contain join", ""),
        (with_query("select subselect.key from {batch} where vin ~ 'x{3}'"), 12, "braces", "{batch} once"),
        (with_query("select subselect.key from {batch} where vin = :x"), 12, "parameter nobody binds", "colon"),
        (
            with_query("select subselect.key from {batch} where exists (select from justice.item i)"),
            12, "without naming the department", "department_code = {department}",
        ),
        ("rules: [", 1, "not YAML", ""),
        ("", 1, "empty", ""),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_at_its_line(tmp_path, text, line, said, hint):
    error = refusal(written(tmp_path, text))

    assert said in error.message
    assert error.facts["line"] == line
    assert error.message.startswith(f"{tmp_path / 'vehicle.yaml'}:{line}:")
    assert hint in error.hint


def test_two_suites_of_one_table_are_refused(tmp_path):
    written(tmp_path, GOOD)
    written(tmp_path, GOOD.replace("plate_raw_present", "other"), "vehicle_more.yaml")

    assert "has a suite already" in refusal(tmp_path).message


def test_a_folder_without_suites_is_refused(tmp_path):
    assert "there is no suite" in refusal(tmp_path).message


def test_the_digest_follows_the_file(tmp_path):
    (before,) = load_suites(written(tmp_path, GOOD))

    (after,) = load_suites(written(tmp_path, GOOD.replace("WARN", "BLOCK")))

    assert len(before.digest) == 64
    assert before.digest != after.digest


def test_each_canonical_table_has_a_suite_and_is_in_its_domain():
    suites = load_suites()

    assert [suite.table for suite in suites] == sorted(TABLES)
    assert min(len(suite.rules) for suite in suites) >= 7
    for suite in suites:
        (domain,) = [rule for rule in suite.rules if rule.rule_id == f"{suite.table}.domain_is_its_own"]
        assert set(domain.arguments["value_set"]) <= set(Domain)


def test_each_reference_between_canonical_tables_has_a_rule():
    rules = {rule.rule_id for suite in load_suites() for rule in suite.rules}
    # an official who recorded an incident is known by the reference alone
    unknown = {"incident.reporting_official_id"}

    references = {
        f"{table}.{column.name}"
        for table in TABLES
        for column in TABLES[table].columns
        if column.kind is Kind.UUID and column.name.endswith("_id")
    }
    assert {f"{name}_exists" for name in references - unknown} - rules == set()
    assert len(references) >= 25


def test_a_table_that_the_shipped_rules_of_a_whole_base_fill_may_not_be_empty():
    """A floor of 0 is for what a small unit may not have; cases and people are no such thing."""
    floors = {suite.table: suite.row_floor for suite in load_suites()}

    assert {table for table, floor in floors.items() if floor} == {
        "case_file", "contact_means", "enforcement_official", "enforcement_unit", "incident", "location", "offense",
        "participation", "person_identity", "recorded_code", "residence",
    }  # fmt: skip


def test_each_code_a_map_can_give_is_in_the_list_of_its_rule():
    listed = {
        (suite.table, rule.arguments["column"]): set(rule.arguments["value_set"])
        for suite in load_suites()
        for rule in suite.rules
        if rule.expectation == "expect_column_values_to_be_in_set"
    }
    folder = Path(mappings.__file__).parent / "rules" / "orion"
    maps = yaml.safe_load((folder / "code_maps.yaml").read_text(encoding="utf-8"))["code_maps"]
    compared = 0
    for path in sorted(folder.glob("t_*.yaml")):
        for part in yaml.safe_load(path.read_text(encoding="utf-8"))["emit"]:
            for column, said in part["fields"].items():
                if "code_map" in said and (part["table"], column) in listed:
                    assert set(maps[said["code_map"]]["entries"].values()) <= listed[part["table"], column]
                    compared += 1

    assert compared >= 13


def test_shipped_rules_speak_both_languages_and_weigh_what_they_must():
    rules = [rule for suite in load_suites() for rule in suite.rules]

    assert all(rule.sentence.fr.endswith(".") and rule.sentence.en.endswith(".") for rule in rules)
    assert all(rule.sentence.fr != rule.sentence.en for rule in rules)
    assert {rule.owner for rule in rules} == {"steward", "engineer", "security"}
    assert {rule.expectation for rule in rules} < set(EXPECTATIONS)
    weights = Counter(rule.severity for rule in rules)
    assert min(weights[severity] for severity in Severity) >= 35
    assert all(path.suffix == ".yaml" for path in SHIPPED.iterdir())
