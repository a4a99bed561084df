"""The suites of a project: added to those shipped, never instead of them; what weighs otherwise says so."""

from pathlib import Path

import pytest

from banyan.errors import RulesetError
from banyan.findings import LevelState, Severity
from validation.level_two import judge_rules
from validation.own_suites import lay_over, suites_of
from validation.rules_worker import RuleAnswer, SuiteAnswer
from validation.suites import load_suites
from validation.text import Language
from validation.wording import measured

NORMALISED = "case_file.case_number_normalised_present"
ADDED = """\
suite: case_file
table: case_file
row_floor: 500
rules:
  - id: case_file.court_known
    fr: "Une procédure transmise a un tribunal."
    en: "A transmitted case has a court."
    severity: BLOCK
    owner: steward
    expectation:
      type: expect_column_values_to_not_be_null
      kwargs: {column: court_code}
"""
WEIGHED = """\
suite: case_file
table: case_file
weigh:
  - {id: case_file.case_number_normalised_present, severity: BLOCK, owner: claire, reason: "letter 12 of 3 March"}
"""


def written(project: Path, text: str, name: str = "case_file.yaml") -> Path:
    path = project / "suites" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return project


def laid(project: Path, department_code: str = "38"):
    return lay_over(ALL, project, department_code)


def suite_of(suites, table="case_file"):
    (found,) = [suite for suite in suites if suite.table == table]
    return found


ALL = load_suites()
SHIPPED = suite_of(ALL)


def test_without_a_folder_of_suites_those_shipped_are_used(tmp_path):
    suites = suites_of(tmp_path, "38")

    assert suites == ALL
    assert [suite.digest for suite in suites] == [suite.digest for suite in ALL]


def test_a_rule_of_the_project_stands_beside_those_shipped_and_the_floor_rises(tmp_path):
    suites = laid(written(tmp_path, ADDED))

    found = suite_of(suites)
    assert found.rules[:-1] == SHIPPED.rules
    assert (found.rules[-1].rule_id, found.rules[-1].severity) == ("case_file.court_known", Severity.BLOCK)
    assert (found.name, found.row_floor, found.weighed) == (SHIPPED.name, 500, ())
    assert found.digest != SHIPPED.digest
    assert [each for each in suites if each.table != "case_file"] == [each for each in ALL if each.table != "case_file"]


def test_a_floor_of_the_project_never_lowers_the_one_shipped(tmp_path):
    assert SHIPPED.row_floor == 1

    assert suite_of(laid(written(tmp_path, ADDED.replace("500", "0")))).row_floor == 1


def test_what_is_said_for_one_department_holds_for_it_alone_and_over_what_the_project_says(tmp_path):
    written(tmp_path, ADDED)
    written(tmp_path, WEIGHED, "38/case_file.yaml")

    isere, reunion = suite_of(laid(tmp_path)), suite_of(laid(tmp_path, "974"))

    weights = {rule.rule_id: rule.severity for rule in isere.rules}
    assert weights[NORMALISED] is Severity.BLOCK
    assert weights["case_file.court_known"] is Severity.BLOCK
    assert {rule.rule_id: rule.severity for rule in reunion.rules}[NORMALISED] is Severity.WARN
    assert len({isere.digest, reunion.digest, SHIPPED.digest}) == 3


def test_a_rule_that_weighs_more_fails_the_level_which_says_who_weighed_it_and_why(tmp_path):
    told = {}
    for name, suite in {"shipped": SHIPPED, "own": suite_of(laid(written(tmp_path, WEIGHED)))}.items():
        answers = tuple(
            RuleAnswer(rule.rule_id, "FAIL" if rule.rule_id == NORMALISED else "PASS", int(rule.rule_id == NORMALISED),
                       ("a" * 32,) if rule.rule_id == NORMALISED else ())
            for rule in suite.rules
        )  # fmt: skip
        told[name] = judge_rules([suite], [SuiteAnswer(suite.name, 9, answers)]).level

    shipped, own = told["shipped"], told["own"]
    assert (shipped.state, own.state) == (LevelState.PASS, LevelState.FAIL)
    assert own.sentence.endswith(
        f"weighed otherwise by the project: {NORMALISED} WARN -> BLOCK (claire: letter 12 of 3 March)"
    )
    assert own.figures["weighed"] == 1
    assert "weighed" not in shipped.figures
    assert "another weight, named in levels.json: 1" in measured(own, Language.EN)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (ADDED.replace("court_known", "case_number_present"), 5, "exists already"),
        (ADDED.replace("court_code", "court"), 12, "has no column court"),
        (ADDED.replace("case_file.court_known", "offense.court_known"), 5, "is not named after its table"),
        (ADDED.replace("table: case_file", "table: case_fil"), 2, "there is no canonical table case_fil"),
        (ADDED.replace("row_floor: 500", "row_flor: 500"), 3, "unknown key row_flor"),
        (ADDED.replace("    owner: steward\n", ""), 5, "owner is missing"),
        (WEIGHED.replace("normalised_present", "normalized_present"), 4, "there is no rule case_file.case_n"),
        (WEIGHED.replace("severity: BLOCK", "severity: WARN"), 4, "weighs WARN already"),
        (WEIGHED.replace("severity: BLOCK", "severity: LOUD"), 4, "severity"),
        (WEIGHED.replace(', reason: "letter 12 of 3 March"', ""), 4, "reason is missing"),
        (WEIGHED + WEIGHED.splitlines(keepends=True)[-1], 5, "is weighed twice"),
        ("suite: case_file\ntable: case_file\n", 1, "says nothing"),
        ("", 1, ""),
    ],
    ids=["a rule that exists", "a column that does not", "a rule of another table", "no table", "no key", "no owner",
         "no rule to weigh", "the same weight", "no weight", "no reason", "twice", "nothing", "an empty file"],
)  # fmt: skip
def test_a_suite_that_says_something_wrong_is_refused_at_its_line(tmp_path, text, line, said):
    with pytest.raises(RulesetError) as refused:
        laid(written(tmp_path, text))

    assert said in str(refused.value)
    assert (Path(refused.value.facts["file"]).name, refused.value.facts["line"]) == ("case_file.yaml", line)
