"""Query replay: the same question put to both sides; each row that only one of them answers is named by key."""

import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from judged import edited, judged, removed, subject_of
from stores import make_store, store_template

from banyan.findings import FindingKind, LevelState
from cutover.listed import replay_of
from store.postgres import transaction
from validation.open_work import CANONICAL_ONLY, LEGACY_ONLY
from validation.questions import Question
from validation.replay import Answer, LeftOut, ask_canonical, replay, replay_level
from validation.text import Text

__all__ = ["judged", "make_store", "store_template"]

RULES = Path(__file__).parent.parent.parent / "mappings" / "rules" / "orion"
ASKED = Question(
    "open_cases", Text("En cours", "Open"), "steward", "t_proc", "case_file", ("statut",), 1, is_absolute=False,
    legacy="legacy", canonical="canonical", digest="0123456789abcdef",
)  # fmt: skip


RUNNING = {
    "legacy": "select id_proc, num_proc from t_proc",
    "canonical": "select id, case_number from justice.case_file where department_code = :department",
}


class OldSystem:
    """A side that answers from a list, in pieces of two rows."""

    def __init__(self, *rows):
        self.rows = rows

    def answer(self, question):
        for at in range(0, len(self.rows), 2):
            yield list(self.rows[at : at + 2])


def put(old, new, *, question=ASKED, known=None, **left_out):
    same = {key: f"id-{key}" for key, *_ in old} if known is None else known
    return replay(
        question,
        OldSystem(*old),
        ask=OldSystem(*new).answer,
        left_out=LeftOut(**left_out),
        identities=lambda keys: {key: same[key] for key in keys if key in same},
    )


def named(answer):
    return [(found.key, found.cause.rpartition(": ")[2]) for found in answer.findings]


def test_the_same_answers_in_another_order_are_the_same():
    answer = put([(1, "7/2020"), (2, "8/2020")], [("id-2", "8/2020 "), ("id-1", "7/2020")], known={})

    assert answer == Answer(ASKED, 2, 0, 2)
    assert replay_level([answer]).state is LevelState.PASS


def test_a_row_that_is_not_found_any_more_is_named_by_its_legacy_key():
    answer = put([(1, "7/2020"), (2, "8/2020")], [("id-1", "7/2020")])
    level = replay_level([answer])

    assert named(answer) == [("2", LEGACY_ONLY)]
    assert level.state is LevelState.FAIL
    assert level.figures["different"] == 1
    assert level.findings[0].kind is FindingKind.ANSWER_DIFFERS
    assert level.findings[0].cause == f"query open_cases 01234567: {LEGACY_ONLY}"


def test_a_row_that_nobody_found_before_is_named_by_its_record():
    answer = put([(1, "7/2020")], [("id-1", "7/2020"), ("id-9", "9/2020")])

    assert named(answer) == [("id-9", CANONICAL_ONLY)]


def test_of_many_rows_on_one_line_the_missing_one_is_named():
    answer = put([(key, "2020-01", "U1") for key in "123"], [("id-1", "2020-01", "U1"), ("id-3", "2020-01", "U1")])

    assert named(answer) == [("2", LEGACY_ONLY)]


def test_columns_are_not_joined_and_nothing_reads_like_a_blank():
    answer = put([(1, "a b", "c"), (2, None, "")], [("id-1", "a", "b c"), ("id-2", "", None)])

    assert named(answer) == [("id-1", CANONICAL_ONLY), ("1", LEGACY_ONLY)]


def test_what_a_rule_filtered_is_explained_and_counted():
    answer = put([("1", "7"), ("2", "8")], [("id-1", "7")], filtered={"2"})

    assert (answer.legacy, answer.explained, answer.canonical, answer.findings) == (2, 1, 1, ())


def test_a_row_in_quarantine_is_explained_by_a_column_the_question_reads_and_by_no_other():
    rows = [("1", "7"), ("2", "8")], [("id-1", "7"), ("id-2", "unknown")]

    assert put(*rows, waiting={"2": {"statut"}}).findings == ()
    assert put(*rows, waiting={"2": {"statut"}}).explained == 1
    assert len(put(*rows, waiting={"2": {"observ"}}).findings) == 2
    assert len(put(rows[0], [("id-1", "7")], waiting={"2": {None}}).findings) == 0


def test_no_quarantine_explains_a_miss_of_an_absolute_question():
    absolute = replace(ASKED, is_absolute=True)

    answer = put([("1", "7"), ("2", "8")], [("id-1", "7")], question=absolute, waiting={"2": {None}})

    assert named(answer) == [("2", LEGACY_ONLY)]


def test_a_key_that_moves_is_counted_and_not_blamed():
    moved = put([("1", "7"), ("2", "8")], [("id-1", "7"), ("id-2", "5")], moving={"2"})
    level = replay_level([moved])

    assert (moved.moving, moved.findings) == (2, ())
    assert (level.state, level.figures["moving"]) == (LevelState.PASS, 2)


def test_an_answer_shorter_than_its_floor_proves_nothing():
    level = replay_level([put([], [])])

    assert level.state is LevelState.ERROR
    assert level.sentence == "queries: open_cases: the old system answers fewer rows than 1"


def test_answers_of_different_width_cannot_be_compared():
    assert put([(1, "7", "U1")], [("id-1", "7")]).problem == "both sides do not answer with as many columns"


def test_an_old_system_without_sql_and_no_question_at_all_are_errors():
    mute = replay(ASKED, object(), ask=OldSystem().answer, left_out=LeftOut(), identities=dict)

    assert replay_level([mute]).state is LevelState.ERROR
    assert replay_level([]).state is LevelState.ERROR
    assert replay_level([]).sentence == "queries: no question is recorded for this closure"


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """The shipped questions of the domains of the world."""
    folder = tmp_path_factory.mktemp("rules")
    (folder / "questions").mkdir()
    for name in ("cases.yaml", "vehicles.yaml"):
        shutil.copy(RULES / "questions" / name, folder / "questions")
    return folder


def asked_of(world, rules, watermark=None):
    subject = replace(subject_of(world, role="banyan_judge"), rules=rules)
    with transaction(subject.engine) as connection:
        return {each.question.name: each for each in replay_of(connection, subject, watermark)}


@pytest.mark.server
def test_the_shipped_questions_of_a_sound_copy_are_answered_alike(judged, rules):
    answers = asked_of(judged, rules)

    assert set(answers) >= {"open_cases_of_a_unit", "stolen_vehicles_by_plate", "cases_by_month_and_unit"}
    assert replay_level(answers.values()).state is LevelState.PASS, replay_level(answers.values()).sentence
    for each in answers.values():
        assert each.canonical == each.legacy - each.explained, each.question.name
    assert answers["cases_by_month_and_unit"].explained > 0


@pytest.mark.server
def test_a_stolen_vehicle_whose_plate_is_lost_is_named_on_both_sides(judged, rules):
    key, item, vehicle = judged.place.run(
        "select c.source_key, i.id::text, v.id::text from justice.item i join justice.vehicle v on v.item_id = i.id"
        " join mig.crosswalk c on c.id = i.id where i.item_status_code = 'STOLEN' and v.plate_raw is not null limit 1"
    )[0]
    with edited(judged, "vehicle", vehicle, "plate_raw", "ZZ-999-ZZ"):
        answer = asked_of(judged, rules)["stolen_vehicles_by_plate"]

    assert sorted(named(answer)) == sorted([(key, LEGACY_ONLY), (item, CANONICAL_ONLY)])


@pytest.mark.server
def test_a_record_that_was_lost_is_missed_by_each_question_that_asks_for_it(judged, rules):
    key, row = judged.place.run(
        "select c.source_key, c.id::text from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.case_status_code = 'OPEN' order by 1 limit 1"
    )[0]
    with removed(judged, "case_file", row):
        answers = asked_of(judged, rules)

    assert (key, LEGACY_ONLY) in named(answers["open_cases_of_a_unit"])
    assert (key, LEGACY_ONLY) in named(answers["cases_by_month_and_unit"])


@pytest.mark.server
def test_of_the_cases_of_one_month_and_unit_the_lost_one_alone_is_named(judged, rules):
    unit, month, _ = judged.place.run(
        "select unit_id, date_trunc('month', opened_on), count(*) from justice.case_file"
        " where opened_on_precision_code = 'DAY' group by 1, 2 having count(*) > 1 limit 1"
    )[0]
    key, row = judged.place.run(
        "select c.source_key, c.id::text from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.unit_id = %s and date_trunc('month', f.opened_on) = %s and f.opened_on_precision_code = 'DAY'"
        " limit 1",
        (unit, month),
    )[0]
    with removed(judged, "case_file", row):
        answer = asked_of(judged, rules)["cases_by_month_and_unit"]

    assert named(answer) == [(key, LEGACY_ONLY)]


@contextmanager
def moved_case(world):
    before = world.port.head()
    (key,) = world.place.run(
        "select c.source_key from mig.crosswalk c join justice.case_file f on f.id = c.id"
        " where f.case_status_code = 'OPEN' order by 1 limit 1"
    )[0]
    world.on_legacy("update orion.t_proc set statut = 'T' where id_proc = %s", (key,))
    yield before
    world.on_legacy("update orion.t_proc set statut = 'E' where id_proc = %s", (key,))


@pytest.mark.server
def test_a_case_that_people_just_closed_moves_and_is_no_miss(judged, rules):
    with moved_case(judged) as watermark:
        answer = asked_of(judged, rules, watermark)["open_cases_of_a_unit"]

    assert (answer.moving, answer.findings, answer.problem) == (1, (), "")


@pytest.mark.server
@pytest.mark.parametrize(
    ("form", "query"),
    [
        ("legacy", "select id_proc, no_such_column from t_proc"),
        ("canonical", "select id, no_such_column from justice.case_file where department_code = :department"),
    ],
)
def test_a_question_that_cannot_run_is_an_error_and_no_word_of_the_server_is_told(judged, form, query):
    level = replay_level([put_to(judged, replace(ASKED, **(RUNNING | {form: query})))])

    assert level.state is LevelState.ERROR
    assert level.sentence.startswith("queries: open_cases: it could not be asked (")
    assert "no_such_column" not in level.sentence


@pytest.mark.server
@pytest.mark.parametrize(
    "query",
    [
        "update t_proc set statut = 'T' returning id_proc, num_proc",
        "with g as (delete from t_proc returning id_proc) select id_proc, 1 from g",
    ],
)
def test_a_question_that_got_past_the_check_still_writes_nothing(judged, query):
    before = judged.on_legacy("select count(*), count(*) filter (where statut = 'T') from orion.t_proc")

    answer = put_to(judged, replace(ASKED, legacy=query))

    assert answer.problem.startswith("it could not be asked")
    assert judged.on_legacy("select count(*), count(*) filter (where statut = 'T') from orion.t_proc") == before


def put_to(world, question):
    subject = subject_of(world, role="banyan_judge")
    with transaction(subject.engine) as connection:
        ask = ask_canonical(connection, {"department": "38", "time_zone": "Europe/Paris"})
        return replay(question, subject.port, ask=ask, left_out=LeftOut(), identities=lambda _: {})
