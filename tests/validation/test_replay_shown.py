"""Replayed queries in the verdict, the evidence, the page and the pack: counts and sentences, never an answer."""

from dataclasses import replace
from pathlib import Path

import pytest
from outlines import text_of
from sample_evidence import FRESHNESS, NOW, good_facts
from sample_packs import level_five, with_level

from banyan.departments import Phase, Side
from banyan.findings import FindingKind, LevelResult, LevelState, Severity
from validation.cause_words import say_cause
from validation.evidence import verify_bundle, write_bundle
from validation.exports import sheets_of
from validation.facts import EvidenceFacts, FindingLine, QuestionFact
from validation.gate import examine, judge
from validation.pack_numbers import Standing, six_numbers
from validation.profiles import PROFILES
from validation.report import render_report
from validation.sign_off import CheckedSignOffs
from validation.story import Story, WayBack
from validation.text import Language, Text
from validation.trend import NO_HISTORY

FULL = PROFILES["full"]
SEALS = QuestionFact(
    "seals_kept", Text("Les scellés conservés", "The seals kept"), "0f" * 32, is_absolute=True,
    legacy=620, explained=20, canonical=600, moving=0, different=0, is_answered=True,
)  # fmt: skip
MISS = "query seals_kept 0f0f0f0f: only the old system knows it"


def replayed(*questions: QuestionFact, moving: int = 0) -> EvidenceFacts:
    """Good facts of the full profile, whose queries were answered like this."""
    different = sum(each.different for each in questions)
    unanswered = any(not each.is_answered for each in questions)
    state = LevelState.ERROR if unanswered else LevelState.FAIL if different else LevelState.PASS
    level = level_five()
    figures = level.figures | {
        "replay_questions": len(questions), "replay_rows": sum(each.legacy for each in questions),
        "replay_different": different, "replay_moving": moving, "replay_state": state.value, "blocking": different,
        "parts": "open_work+sample+statistics+totals" + ("" if different or unanswered else "+replay"),
    }  # fmt: skip
    lines = tuple(
        FindingLine("L5", FindingKind.ANSWER_DIFFERS, Severity.BLOCK, "evidence", f"{number:016x}", cause=MISS)
        for number in range(different)
    )
    facts = with_level(good_facts(profile=FULL), LevelResult("L5", state, level.sentence, figures))
    return replace(facts, questions=questions, findings=lines)


def reasons(facts: EvidenceFacts) -> list[str]:
    return [reason.sentence.en for reason in examine(FULL, facts)]


def written(facts: EvidenceFacts, folder: Path, language: str) -> str:
    bundle = write_bundle(facts, folder, previous_id=None)
    judgement = judge(FULL, facts, CheckedSignOffs(bundle.evidence_id, ()), now=NOW, freshness=FRESHNESS)
    story = Story(Phase.SYNCING, Side.LEGACY, WayBack(is_open=False))
    return text_of(render_report(facts, judgement, bundle, story, language=language))


def test_with_every_query_answered_alike_the_full_profile_lacks_nothing():
    assert reasons(replayed(SEALS)) == []


def test_a_query_that_misses_a_row_or_was_not_answered_is_no_go():
    missed = replayed(replace(SEALS, canonical=599, different=1))
    silent = replayed(replace(SEALS, is_answered=False))

    assert [reason.split(":")[0] for reason in reasons(missed)] == ["L5 failed"]
    assert reasons(silent) == ["L5 stopped before its end. We do not know: so, no."]


def test_answers_that_still_move_keep_the_full_gate_closed():
    assert reasons(replayed(replace(SEALS, moving=2), moving=2)) == ["L5: 2 answers that still move, at most 0."]


def test_a_level_that_says_pass_is_not_believed_when_its_queries_say_otherwise():
    facts = replayed(SEALS)

    assert reasons(replace(facts, questions=())) == ["L5 says PASS and does not list every query that was replayed."]
    assert reasons(replace(facts, questions=(replace(SEALS, different=1),))) == [
        "L5 says PASS, but query seals_kept has not the same answers."
    ]


def test_evidence_keeps_the_counts_of_each_query_and_notices_when_one_is_changed(tmp_path):
    bundle = write_bundle(replayed(SEALS), tmp_path / "bundle", previous_id=None)
    sheet = bundle.folder / "questions.csv"

    assert sheet.read_text().splitlines()[1] == f"seals_kept,{'0f' * 32},620,20,600,0,0,True,True"
    assert verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).is_sound
    sheet.write_text(sheet.read_text().replace("600", "599"))
    assert not verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).is_sound


def test_evidence_without_queries_has_the_bytes_it_always_had(tmp_path):
    bundle = write_bundle(good_facts(), tmp_path / "bundle", previous_id=None)

    assert not (bundle.folder / "questions.csv").exists()
    assert '"questions"' not in (bundle.folder / "manifest.json").read_text()
    assert verify_bundle(bundle.folder, evidence_id=bundle.evidence_id).is_sound


FRENCH = ("Recherches rejouées", "Les scellés conservés 620 20 599 1", "recherches : 1 rejouées, 620 réponses")
ENGLISH = ("Queries replayed", "The seals kept 620 20 599 1", "queries: 1 replayed, 620 answers")


@pytest.mark.parametrize(("language", "told"), [("fr", FRENCH), ("en", ENGLISH)])
def test_the_page_shows_each_query_with_both_counts(tmp_path, language, told):
    text = written(replayed(replace(SEALS, canonical=599, different=1)), tmp_path / "bundle", language)

    for words in told:
        assert words in " ".join(text.replace("\u202f", " ").split())


def test_a_page_without_queries_says_so(tmp_path):
    assert "Aucune recherche n’a été rejouée." in written(good_facts(profile=FULL), tmp_path / "bundle", "fr")


def test_the_pack_counts_the_misses_and_lists_them():
    good = six_numbers(replayed(SEALS), NO_HISTORY)[4]
    missed = six_numbers(replayed(replace(SEALS, canonical=599, different=1)), NO_HISTORY)[4]

    assert (good.name, good.measure.standing, good.measure.gap, good.rows) == ("queries", Standing.REACHED, 0, ())
    assert [each.en for each in good.measure.sentences] == ["1 queries, 620 answers", "misses: 0"]
    assert (missed.measure.standing, missed.measure.gap) == (Standing.MISSED, 1)
    assert [row[4] for row in missed.rows] == ["recherche seals_kept 0f0f0f0f\u202f: seul l’ancien système la connaît"]


def test_the_tables_for_people_hold_the_sentence_and_the_counts():
    sheet = sheets_of(replayed(SEALS), Language.FR)["questions"]

    assert sheet["question"] == ["Les scellés conservés"]
    assert (sheet["legacy"], sheet["canonical"], sheet["different"]) == ([620], [600], [0])


def test_a_cause_of_a_query_is_said_in_both_languages():
    said = say_cause(MISS)

    assert said.en == MISS
    assert said.fr == "recherche seals_kept 0f0f0f0f\u202f: seul l’ancien système la connaît"
