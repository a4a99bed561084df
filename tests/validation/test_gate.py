"""The gate: everything but PASS is NO-GO, a doubt is a no, and two different people must sign."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sample_evidence import DIGEST_KEY, FRESHNESS, MEASURED, NOW, failing_facts, good_facts, unsigned

from banyan.findings import FindingKind, LevelState, Severity, VerdictKind
from banyan.records import PartCounts, RowCounts
from validation.facts import ColumnComparison, EvidenceFacts, FindingLine, TableConservation, Tally, Total
from validation.gate import Judgement, examine, judge
from validation.masking import pseudonym
from validation.profiles import LEVELS, PROFILES
from validation.reasons import ReasonKind
from validation.sign_off import CheckedSignOffs, Decision, SignOff
from validation.text import Language, Text

SWITCH = PROFILES["switch"]


def said(actor: str, role: str, decision: Decision = Decision.ACCEPT) -> SignOff:
    return SignOff("2b" * 32, actor, role, decision, NOW, "ed25519:checked")


BOTH = CheckedSignOffs("2b" * 32, (said("S. Oriol", "steward"), said("A. Delmas", "lead")))


def judged(facts: EvidenceFacts, sign_offs: CheckedSignOffs = BOTH, after: timedelta = timedelta(0)) -> Judgement:
    return judge(facts.profile, facts, sign_offs, now=NOW + after, freshness=FRESHNESS)


def level_set(facts: EvidenceFacts, name: str, state: LevelState) -> EvidenceFacts:
    levels = tuple(replace(each, state=state) if each.level == name else each for each in facts.levels)
    return replace(facts, levels=levels)


def reasons(facts: EvidenceFacts) -> list[tuple[str, str]]:
    return [(reason.kind.value, reason.level) for reason in examine(facts.profile, facts)]


def test_all_levels_passed_and_two_people_signed_is_go() -> None:
    assert judged(good_facts()).kind is VerdictKind.GO


def test_nobody_signed_is_awaiting_and_says_who_is_missing() -> None:
    judgement = judged(good_facts(), unsigned("2b" * 32))

    assert judgement.kind is VerdictKind.AWAITING
    assert judgement.missing_roles == ("steward", "lead")
    assert judgement.verdict(Language.FR).reasons == (
        "Signature attendue\u202f: référent données",
        "Signature attendue\u202f: chef de projet",
    )
    assert judgement.verdict(Language.EN).reasons == (
        "Signature awaited: data steward",
        "Signature awaited: project lead",
    )


def test_one_person_in_both_roles_is_still_awaiting() -> None:
    alone = CheckedSignOffs("2b" * 32, (said("S. Oriol", "steward"), said("S. ORIOL", "lead")))

    assert judged(good_facts(), alone).kind is VerdictKind.AWAITING


def test_a_refusal_is_no_go_and_names_who_refused() -> None:
    refused = CheckedSignOffs("2b" * 32, (*BOTH.accepted, replace(said("T. Vasseur", "lead", Decision.REFUSE))))

    judgement = judged(good_facts(), refused)

    assert judgement.kind is VerdictKind.NO_GO
    assert judgement.verdict(Language.EN).reasons == ("T. Vasseur, project lead, refused this evidence.",)


@pytest.mark.parametrize("state", [LevelState.FAIL, LevelState.ERROR, LevelState.STALE, LevelState.NOT_RUN])
@pytest.mark.parametrize("name", SWITCH.asked)
def test_anything_but_pass_is_no_go_and_names_the_level_in_both_languages(name: str, state: LevelState) -> None:
    judgement = judged(level_set(good_facts(), name, state))

    assert judgement.kind is VerdictKind.NO_GO
    assert [(reason.kind.value, reason.level) for reason in judgement.reasons] == [(state.value, name)]
    assert judgement.verdict(Language.FR).reasons[0].startswith(name)
    assert judgement.verdict(Language.EN).reasons[0].startswith(name)
    assert judgement.verdict(Language.FR).reasons != judgement.verdict(Language.EN).reasons


@pytest.mark.parametrize("name", SWITCH.asked)
def test_a_level_that_is_asked_and_absent_was_not_run(name: str) -> None:
    facts = good_facts()
    facts = replace(facts, levels=tuple(each for each in facts.levels if each.level != name))

    assert reasons(facts) == [("NOT RUN", name)]


def test_a_level_that_was_not_asked_but_failed_is_not_ignored() -> None:
    facts = good_facts(profile=PROFILES["rehearsal"])

    assert reasons(level_set(facts, "L3", LevelState.FAIL)) == [("FAIL", "L3")]
    assert reasons(level_set(facts, "L3", LevelState.NOT_RUN)) == []


def test_the_end_of_the_way_back_asks_the_rows_of_both_sides_and_every_one_of_them() -> None:
    facts = good_facts(profile=PROFILES["complete"])
    partly = tuple(
        replace(each, figures=each.figures | {"incomplete": 3}) if each.level == "L4" else each for each in facts.levels
    )

    assert reasons(facts) == []
    assert [reasons(level_set(facts, name, LevelState.FAIL)) for name in ("L1", "L2", "L3", "L4")] == [
        [("FAIL", name)] for name in ("L1", "L2", "L3", "L4")
    ]
    assert reasons(replace(facts, levels=partly)) == [("THRESHOLD", "L4")]


def test_the_full_profile_is_no_go_until_every_part_of_it_exists() -> None:
    facts = good_facts(profile=PROFILES["full"])

    assert [reason.sentence.en for reason in examine(facts.profile, facts)] == [
        "L5, sample compared to the paper: asked and was not run.",
        "L5, query replay: asked and was not run.",
    ]
    assert reasons(facts) == [("NOT RUN", "L5"), ("NOT RUN", "L5")]
    assert judged(facts).kind is VerdictKind.NO_GO


def test_a_part_that_is_asked_counts_only_when_the_level_answered_it() -> None:
    facts = good_facts()
    without = tuple(
        replace(each, figures={"parts": "statistics+totals", "moving": 0}) if each.level == "L5" else each
        for each in facts.levels
    )

    assert [reason.sentence.en for reason in examine(SWITCH, replace(facts, levels=without))] == [
        "L5, open-work parity, name by name: asked and was not run."
    ]


@pytest.mark.parametrize("profile", ["rehearsal", "shadow", "switch", "full"])
def test_totals_that_a_source_states_of_itself_and_nobody_compared_keep_the_gate_closed(profile: str) -> None:
    facts = good_facts(profile=PROFILES[profile])
    unread = tuple(
        replace(each, figures=each.figures | {"parts": "counts"}) if each.level == "L0" else each
        for each in facts.levels
    )

    said = [each.sentence.en for each in examine(facts.profile, replace(facts, levels=unread)) if each.level == "L0"]

    assert said == ["L0, totals that the source states of itself: asked and was not run."]


@pytest.mark.parametrize(("cells", "is_open"), [(0, True), (1_000, True), (1_001, False), (None, False)])
def test_more_than_one_cell_in_a_thousand_that_is_no_text_says_that_the_encoding_is_another(
    cells: int | None, is_open: bool
) -> None:
    facts = good_facts()
    levels = tuple(
        replace(each, figures={**each.figures, "undecoded_per_million": cells} if cells is not None else
                {name: figure for name, figure in each.figures.items() if name != "undecoded_per_million"})
        if each.level == "L0" else each
        for each in facts.levels
    )  # fmt: skip

    assert reasons(replace(facts, levels=levels)) == ([] if is_open else [("THRESHOLD", "L0")])


@pytest.mark.parametrize(("profile", "is_open"), [("shadow", True), ("switch", False), ("full", False)])
def test_a_closure_of_which_nobody_declared_a_total_is_refused_where_a_switch_is_asked(
    profile: str, is_open: bool
) -> None:
    facts = good_facts(profile=PROFILES[profile])
    silent = tuple(
        replace(each, figures=each.figures | {"parts": "open_work+statistics"}) if each.level == "L5" else each
        for each in facts.levels
    )

    said = [each.sentence.en for each in examine(facts.profile, replace(facts, levels=silent))]

    assert ("L5, declared control totals: asked and was not run." not in said) is is_open
    assert ("L5, declared control totals" in [each.en for each in facts.profile.unasked_checks]) is is_open


def test_each_profile_names_what_it_does_not_ask() -> None:
    assert SWITCH.unasked == ()
    assert [check.en for check in SWITCH.unasked_checks] == [
        "L5, sample compared to the paper",
        "L5, query replay",
    ]
    assert PROFILES["full"].unasked_checks == ()
    assert PROFILES["rehearsal"].unasked == ("L3", "L5", "L6")
    assert {check.en[:2] for check in PROFILES["rehearsal"].unasked_checks} == {"L3", "L5", "L6"}
    assert set(PROFILES["full"].asked) == set(LEVELS)
    assert {profile.freshness_hours for profile in PROFILES.values()} == {24, 168}


@pytest.mark.parametrize("level", ["L4", "L6"])
@pytest.mark.parametrize("moving", [3, None, True])
def test_a_level_that_passes_while_keys_still_move_keeps_the_gate_closed(level: str, moving: object) -> None:
    facts = good_facts()
    levels = tuple(
        replace(each, figures={**each.figures, "moving": moving} if moving is not None else {"incomplete": 0})
        if each.level == level
        else each
        for each in facts.levels
    )

    judgement = judged(replace(facts, levels=levels))

    assert judgement.kind is VerdictKind.NO_GO
    assert [(reason.kind, reason.level) for reason in judgement.reasons] == [(ReasonKind.THRESHOLD, level)]
    if moving == 3 and moving is not True:
        assert judgement.reasons[0].sentence.en == f"{level}: 3 keys that still move, at most 0."


def test_a_tripwire_with_nothing_to_compare_with_needs_a_complete_pass() -> None:
    facts = good_facts(profile=PROFILES["shadow"])
    first = tuple(
        replace(each, figures={**each.figures, "first_fold": True}) if each.level == "L3" else each
        for each in facts.levels
    )
    partial = tuple(
        replace(each, figures={**each.figures, "incomplete": 1}) if each.level == "L4" else each for each in first
    )

    assert reasons(replace(facts, levels=first)) == []
    assert reasons(replace(facts, levels=partial)) == [("EMPTY", "L3")]


def test_no_switch_rests_on_a_pass_that_is_not_complete() -> None:
    facts = good_facts()
    levels = tuple(
        replace(each, figures={**each.figures, "incomplete": 1}) if each.level == "L4" else each
        for each in facts.levels
    )
    partial = replace(facts, levels=levels)

    assert reasons(partial) == [("THRESHOLD", "L4")]
    assert reasons(replace(partial, profile=PROFILES["shadow"])) == []


def test_evidence_taken_for_a_profile_that_asks_less_does_not_open_the_gate() -> None:
    lenient = good_facts(profile=replace(SWITCH, asked=()))

    judgement = judge(SWITCH, lenient, BOTH, now=NOW, freshness=FRESHNESS)

    assert [reason.kind for reason in judgement.reasons] == [ReasonKind.PROFILE]
    assert judgement.kind is VerdictKind.NO_GO


def test_old_evidence_is_no_go_after_its_freshness_and_not_before() -> None:
    last = MEASURED + FRESHNESS - NOW

    assert judged(good_facts(), after=last).kind is VerdictKind.GO
    late = judged(good_facts(), after=last + timedelta(seconds=1))
    assert late.kind is VerdictKind.NO_GO
    assert [reason.kind for reason in late.reasons] == [ReasonKind.STALE]
    assert late.verdict(Language.FR).reasons == ("La preuve ne vaut plus depuis le 1er décembre 2026, 20:05 (Paris).",)


def test_evidence_from_the_future_is_no_go() -> None:
    judgement = judged(good_facts(), after=timedelta(hours=-3))

    assert [reason.kind for reason in judgement.reasons] == [ReasonKind.ERROR]


def test_rows_that_do_not_add_up_are_no_go_and_name_the_table() -> None:
    facts = good_facts()
    broken = replace(facts.conservation[1], rows=RowCounts(30_003, 30_000, 0, 2))
    facts = replace(facts, conservation=(facts.conservation[0], broken))

    assert reasons(facts) == [("UNBALANCED", "L1")]
    assert "t_personne: 1 rows" in examine(SWITCH, facts)[0].sentence.en


def test_two_errors_that_cancel_out_are_both_found() -> None:
    facts = good_facts()
    first, second = facts.conservation
    cancelled = (
        replace(first, rows=replace(first.rows, read=first.rows.read + 5)),
        replace(second, rows=replace(second.rows, read=second.rows.read - 5)),
    )

    assert reasons(replace(facts, conservation=cancelled)) == [("UNBALANCED", "L1")] * 2


def test_parts_that_do_not_add_up_are_no_go() -> None:
    facts = good_facts()
    broken = replace(facts.conservation[0], parts=PartCounts(12_000, 11_999))

    assert reasons(replace(facts, conservation=(broken, facts.conservation[1]))) == [("UNBALANCED", "L1")]


def test_lists_shorter_than_their_count_are_no_go() -> None:
    assert reasons(good_facts(filtered=())) == [("UNBALANCED", "L1")]
    assert reasons(good_facts(quarantined_rows=())) == [("UNBALANCED", "L1")]


def test_nothing_counted_or_counted_twice_proves_nothing() -> None:
    facts = good_facts()
    nothing = replace(facts, conservation=(TableConservation("t_proc", RowCounts()),), filtered=(), quarantined_rows=())
    twice = replace(facts, conservation=(*facts.conservation, TableConservation("t_personne", RowCounts())))

    assert reasons(nothing) == [("EMPTY", "L1")]
    assert reasons(twice) == [("UNBALANCED", "L1")]


def test_a_negative_count_cannot_balance_an_equation() -> None:
    facts = good_facts()
    negative = replace(facts.conservation[1], rows=RowCounts(30_002, 30_003, -1, 0))

    assert reasons(replace(facts, conservation=(facts.conservation[0], negative))) == [("UNBALANCED", "L1")]


def test_a_total_that_differs_needs_an_explanation() -> None:
    total = Total(Text.same("euros"), Decimal("10.00"), Decimal("9.99"))
    explained = replace(total, explanation=Text.same("list Q-01"))

    assert reasons(good_facts(control_totals=(total,))) == [("TOTAL", "")]
    assert reasons(good_facts(statistics=(total,))) == [("TOTAL", "")]
    assert reasons(good_facts(control_totals=(explained,))) == []


def test_a_level_that_passes_against_its_own_figures_is_a_contradiction() -> None:
    facts = good_facts()
    differs = replace(facts, columns=(ColumnComparison("case_file", "opened_on", "T_PROC@1", 10, 9, 1),))
    uncounted = replace(facts, columns=(ColumnComparison("case_file", "opened_on", "T_PROC@1", 10, 9, 0),))
    not_identical = replace(facts, round_trip=replace(facts.round_trip, rows_identical=41_999))
    lost_edit = replace(facts, round_trip=replace(facts.round_trip, put_get=Tally(1_000, 996, 3)))
    touched = replace(facts, round_trip=replace(facts.round_trip, fields_touched_ok=Tally(1_000, 999)))
    line = FindingLine("L4", FindingKind.DIFFERS, Severity.BLOCK, "t_proc", pseudonym(DIGEST_KEY, "t_proc", "1"))

    assert reasons(differs) == reasons(uncounted) == [("CONTRADICTION", "L4")]
    assert reasons(not_identical) == reasons(lost_edit) == reasons(touched) == [("CONTRADICTION", "L6")]
    assert reasons(replace(facts, findings=(line,))) == [("CONTRADICTION", "L4")]
    assert reasons(replace(facts, levels=(*facts.levels, facts.levels[0]))) == [("CONTRADICTION", "L0")]


def test_a_level_that_compared_nothing_proves_nothing() -> None:
    assert reasons(good_facts(columns=())) == [("EMPTY", "L4")]
    assert reasons(good_facts(round_trip=None)) == [("EMPTY", "L6")]


def test_reasons_carry_exact_numbers_in_each_language() -> None:
    sentence = examine(SWITCH, failing_facts())[0].sentence

    assert sentence.fr == (
        "L4 n’est pas conforme\u202f: 42\u202f000 lignes relues et comparées\u202f; différentes\u202f: 1\u202f216."
    )
    assert sentence.en == "L4 failed: 42,000 rows re-read and compared; different: 1,216."
