"""Recorded questions: what is refused and where, and what the shipped ones promise."""

from pathlib import Path

import pytest

from banyan.errors import RulesetError
from mappings.ruleset import load_rulebook
from validation.questions import find_question_problems, load_questions

RULES = Path(__file__).parent.parent.parent / "mappings" / "rules" / "orion"
COLUMNS = {"t_proc": ("id_proc", "num_proc", "statut")}
GOOD = """\
questions:
  - id: open_cases
    fr: Les procédures en cours
    en: The open cases
    owner: steward
    table: t_proc
    records: case_file
    reads: [num_proc, statut]
    floor: 1
    absolute: true
    legacy: select id_proc, num_proc from t_proc where statut = 'E'
    canonical: select id, case_number from justice.case_file where department_code = :department
"""


def shipped():
    book = load_rulebook(RULES)
    return load_questions(RULES, {table: ruleset.columns for table, ruleset in book.rulesets.items()})


def written(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "questions"
    folder.mkdir(exist_ok=True)
    (folder / "cases.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def test_questions_are_read_in_the_order_of_their_names_with_what_they_rest_on(tmp_path):
    twice = GOOD + GOOD.removeprefix("questions:\n").replace("open_cases", "a_case")

    first, second = load_questions(written(tmp_path, twice), COLUMNS)

    assert (first.name, second.name) == ("a_case", "open_cases")
    assert (second.table, second.records, second.reads) == ("t_proc", "case_file", ("num_proc", "statut"))
    assert (second.floor, second.is_absolute, second.sentence.fr) == (1, True, "Les procédures en cours")
    assert second.concerns(["t_proc"])
    assert not second.concerns(["t_fait"])


def test_a_question_that_asks_something_else_has_another_digest(tmp_path):
    (before,) = load_questions(written(tmp_path, GOOD), COLUMNS)
    (reworded,) = load_questions(written(tmp_path, GOOD.replace("en cours", "ouvertes")), COLUMNS)
    (changed,) = load_questions(written(tmp_path, GOOD.replace("'E'", "'T'")), COLUMNS)

    assert before.digest == reworded.digest
    assert before.digest != changed.digest


def test_nobody_recorded_a_question_is_not_the_same_as_an_empty_list(tmp_path):
    assert load_questions(None, COLUMNS) is None
    assert load_questions(tmp_path, COLUMNS) is None
    assert load_questions(written(tmp_path, "questions: []\n"), COLUMNS) == ()


@pytest.mark.parametrize(
    ("wrong", "right", "place", "said"),
    [
        ("table: t_prok", "table: t_proc", "6:12", "no rule reads t_prok"),
        ("records: case_fil", "records: case_file", "7:14", "there is no canonical table case_fil"),
        ("reads: [num_prok, statut]", "reads: [num_proc, statut]", "8:13", "has no column num_prok"),
        ("reeds: []\n    reads: [statut]", "reads: [num_proc, statut]", "8:5", "unknown key reeds"),
        ("legacy: show all", "legacy: select id_proc, num_proc from t_proc where statut = 'E'", "11:13",
         "the question is no query"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_at_its_place(tmp_path, wrong, right, place, said):
    with pytest.raises(RulesetError) as refused:
        load_questions(written(tmp_path, GOOD.replace(right, wrong)), COLUMNS)

    assert f"cases.yaml:{place}: " in refused.value.message
    assert said in refused.value.message


def test_two_questions_of_one_name_are_refused(tmp_path):
    with pytest.raises(RulesetError, match="question open_cases exists already"):
        load_questions(written(tmp_path, GOOD + GOOD.removeprefix("questions:\n")), COLUMNS)


@pytest.mark.parametrize(
    "query",
    [
        "delete from t_proc",
        "select 1; delete from t_proc",
        "with gone as (delete from t_proc returning 1) select 1 from gone",
        "select nextval('seq_proc')",
        "select pg_read_file('/etc/passwd')",
        "select * from t_proc for update",
        "select 1 into outfile '/tmp/x'",
        "select 1 -- where department_code = :department",
        "select key from mig.crosswalk",
    ],
)
def test_a_question_that_does_more_than_read_is_refused(query):
    assert list(find_question_problems(query, is_canonical=False))


def test_the_canonical_form_names_its_department_and_nothing_that_nobody_binds():
    everyone = "select id from justice.case_file"
    unbound = "select id from justice.case_file where department_code = :department and court_code = :court"
    good = "select id, opened_on::text from justice.case_file where department_code = :department"

    assert [said for said, _ in find_question_problems(everyone, is_canonical=True)] == [
        "the question does not name the department"
    ]
    assert [said for said, _ in find_question_problems(unbound, is_canonical=True)] == [
        "the question has a parameter nobody binds"
    ]
    assert list(find_question_problems(good, is_canonical=True)) == []
    assert list(find_question_problems("select 'it is 14:30'", is_canonical=False)) == []


def test_orion_ships_questions_for_each_closure_and_live_work_is_asked_without_excuse():
    questions = {each.name: each for each in shipped()}

    assert {"t_proc", "t_vehic", "t_gav", "t_scelle", "t_piece", "t_mainc", "t_unite"} <= {
        each.table for each in questions.values()
    }
    assert all(
        questions[name].is_absolute
        for name in ("open_cases_of_a_unit", "stolen_vehicles_by_plate", "persons_in_custody", "seals_kept", "weapons")
    )
    assert all(each.sentence.fr != each.sentence.en and each.owner for each in questions.values())
