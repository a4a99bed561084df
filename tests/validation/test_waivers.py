"""A waiver accepts what it names, by two people, until its day; everything else closes the gate again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sample_evidence import DIGEST_KEY, FRESHNESS, NOW, good_facts

from banyan.departments import Actor
from banyan.findings import FindingKind, LevelState, Severity, VerdictKind
from validation.evidence import verify_bundle, write_bundle
from validation.facts import EvidenceFacts, FindingLine, RulesetDigest
from validation.gate import examine, judge
from validation.masking import pseudonym
from validation.sign_off import CheckedSignOffs, Decision, Signer, SigningKey, SignOff
from validation.waivers import (
    Lapse,
    Scope,
    Waiver,
    approve_waiver,
    check_waivers,
    fact_of,
    facts_with,
    request_waiver,
    sign_waiver,
)

CAUSE = "person_identity.surname_present"
SCOPE = Scope("38.cases+vehicles", "L2", "person_identity", CAUSE)
UNTIL = NOW + timedelta(days=30)
CLAIRE, PAUL = Actor("claire", "steward", "test"), Actor("paul", "lead", "test")
KEYS = {"claire": SigningKey(b"c" * 32), "paul": SigningKey(b"p" * 32)}
SIGNERS = (
    Signer("claire", KEYS["claire"].public_key, ("steward",)),
    Signer("paul", KEYS["paul"].public_key, ("lead",)),
)
BOTH = CheckedSignOffs(
    "2b" * 32,
    tuple(
        SignOff("2b" * 32, name, role, Decision.ACCEPT, NOW, "checked")
        for name, role in (("claire", "steward"), ("paul", "lead"))
    ),
)


def finding(key: str, cause: str = CAUSE, level: str = "L2") -> FindingLine:
    return FindingLine(
        level,
        FindingKind.RULE_BROKEN,
        Severity.BLOCK,
        "person_identity",
        pseudonym(DIGEST_KEY, "person_identity", key),
        "",
        cause,
    )


def broken(*lines: FindingLine, **more: object) -> EvidenceFacts:
    """Facts whose L2 fails with these findings, all of them listed."""
    good = good_facts()
    levels = tuple(
        replace(each, state=LevelState.FAIL, figures={**each.figures, "blocking": len(lines)})
        if each.level == "L2"
        else each
        for each in good.levels
    )
    return replace(good, levels=levels, findings=(*good.findings, *lines), **more)


THREE = broken(finding("1"), finding("2"), finding("3"))


def asked(facts: EvidenceFacts = THREE, **more: object) -> Waiver:
    request = request_waiver(
        facts, SCOPE, **{"up_to": None, "until": UNTIL, "reason": "names lost in 1994, letter 12", **more}
    )
    return Waiver(1, request, CLAIRE, sign_waiver(KEYS["claire"], request, CLAIRE), NOW)


def approved(waiver: Waiver | None = None, approver: Actor = PAUL) -> Waiver:
    waiver = waiver or asked()
    return replace(waiver, approval=approve_waiver(KEYS[approver.name], waiver, approver, approved_at=NOW))


def with_waiver(facts: EvidenceFacts, waiver: Waiver | None = None) -> EvidenceFacts:
    return replace(facts, waivers=(fact_of(waiver or approved()),))


def lapse(waiver: Waiver, facts: EvidenceFacts = THREE, at=NOW):
    checked = check_waivers([waiver], facts, signers=SIGNERS, at=at)
    return checked.lapsed[0][1] if checked.lapsed else None


def test_findings_that_two_people_accepted_do_not_close_the_gate():
    assert examine(THREE.profile, THREE) != ()
    assert lapse(approved()) is None

    facts = with_waiver(THREE)

    assert examine(facts.profile, facts) == ()
    assert judge(facts.profile, facts, BOTH, now=NOW, freshness=FRESHNESS).kind is VerdictKind.GO


def test_a_waiver_that_nobody_approved_accepts_nothing():
    assert lapse(asked()) is Lapse.NOT_APPROVED

    facts = with_waiver(THREE, asked())

    assert [reason.level for reason in examine(facts.profile, facts)] == ["L2"]


def test_its_author_does_not_approve_a_waiver_under_any_spelling():
    with pytest.raises(ValueError, match="not the one who asked"):
        approve_waiver(KEYS["claire"], asked(), replace(CLAIRE, name="CLAIRE "), approved_at=NOW)

    forged = replace(fact_of(approved()), approver="Claire")
    facts = replace(THREE, waivers=(forged,))

    assert [reason.level for reason in examine(facts.profile, facts)] == ["L2"]


def test_one_finding_more_closes_the_gate_again():
    facts = with_waiver(broken(finding("1"), finding("2"), finding("3"), finding("4")))

    assert [reason.level for reason in examine(facts.profile, facts)] == ["L2"]
    assert lapse(approved(), facts) is Lapse.COUNT_GREW


def test_another_record_in_the_place_of_one_that_was_repaired_is_not_accepted():
    facts = with_waiver(broken(finding("1"), finding("2"), finding("9")))

    assert [reason.level for reason in examine(facts.profile, facts)] == ["L2"]
    assert lapse(approved(), facts) is Lapse.OTHER_RECORDS


def test_fewer_findings_are_still_accepted():
    facts = with_waiver(broken(finding("2")))

    assert examine(facts.profile, facts) == ()


def test_another_cause_or_level_is_not_accepted():
    for line in (finding("2", cause="person_identity.sex_code_known"), finding("2", level="L4")):
        facts = with_waiver(broken(finding("1"), line))
        if line.level == "L4":
            levels = tuple(
                replace(each, state=LevelState.FAIL, figures={**each.figures, "blocking": 1})
                if each.level == "L4"
                else each
                for each in facts.levels
            )
            facts = replace(facts, levels=levels)

        assert examine(facts.profile, facts) != ()


def test_a_rule_that_changed_lapses_the_waiver():
    changed = replace(THREE, rulesets=(*THREE.rulesets[:-1], RulesetDigest("T_PERSONNE@2", "f" * 64)))

    assert lapse(approved(), changed) is Lapse.RULES_CHANGED
    assert examine(changed.profile, with_waiver(changed)) != ()
    suites = replace(THREE, suites=(RulesetDigest("people", "e" * 64),))
    assert lapse(approved(), suites) is Lapse.RULES_CHANGED


def test_a_waiver_ends_with_its_day_and_the_verdict_with_it():
    facts = with_waiver(THREE, approved(asked(until=NOW + timedelta(hours=3))))

    before = judge(facts.profile, facts, BOTH, now=NOW, freshness=FRESHNESS)
    after = judge(facts.profile, facts, BOTH, now=NOW + timedelta(hours=4), freshness=FRESHNESS)

    assert before.kind is VerdictKind.GO
    assert before.valid_until == NOW + timedelta(hours=3)
    assert after.kind is VerdictKind.NO_GO
    assert lapse(approved(), at=UNTIL) is Lapse.EXPIRED


def test_findings_that_are_not_listed_cannot_be_accepted():
    levels = tuple(
        replace(each, figures={**each.figures, "blocking": 4}) if each.level == "L2" else each for each in THREE.levels
    )
    facts = with_waiver(replace(THREE, levels=levels))

    assert [reason.level for reason in examine(facts.profile, facts)] == ["L2"]


@pytest.mark.parametrize("state", [LevelState.ERROR, LevelState.STALE, LevelState.NOT_RUN])
def test_what_is_not_known_cannot_be_accepted(state: LevelState):
    levels = tuple(replace(each, state=state) if each.level == "L2" else each for each in THREE.levels)
    facts = with_waiver(replace(THREE, levels=levels))

    assert [reason.kind for reason in examine(facts.profile, facts)] == [state.value]


@pytest.mark.parametrize(
    "change",
    [{"up_to": 99}, {"until": UNTIL + timedelta(days=1)}, {"reason": "another"}, {"rules_digest": "0" * 64}],
    ids=["count", "day", "reason", "rules"],
)
def test_a_changed_waiver_does_not_verify(change):
    waiver = approved()
    forged = replace(waiver, request=replace(waiver.request, **change))

    assert lapse(forged) in (Lapse.BAD_SIGNATURE, Lapse.RULES_CHANGED)


def test_a_signature_of_somebody_unknown_or_of_another_role_does_not_count():
    strangers = (SIGNERS[0], Signer("paul", SigningKey(b"x" * 32).public_key, ("lead",)))
    without_role = (SIGNERS[0], replace(SIGNERS[1], roles=("engineer",)))

    for signers in (strangers, without_role, SIGNERS[:1]):
        checked = check_waivers([approved()], THREE, signers=signers, at=NOW)
        assert [why for _, why in checked.lapsed] == [Lapse.BAD_SIGNATURE]


@pytest.mark.parametrize(
    ("more", "said"),
    [({"up_to": 2}, "already"), ({"reason": "  "}, "reason"), ({"until": UNTIL.replace(tzinfo=None)}, "aware")],
)
def test_a_request_that_says_too_little_is_refused(more, said):
    with pytest.raises(ValueError, match=said):
        asked(**more)


def test_a_waiver_over_nothing_is_refused():
    with pytest.raises(ValueError, match="no blocking finding"):
        asked(good_facts())


def test_the_verdict_with_its_waivers_is_recomputed_offline(tmp_path):
    bundle = write_bundle(with_waiver(THREE), tmp_path / "bundle", previous_id=None)

    found = verify_bundle(bundle.folder, evidence_id=bundle.evidence_id)

    assert found.is_sound
    assert found.reasons == ()
    assert found.facts is not None
    assert found.facts.waivers == with_waiver(THREE).waivers
    assert b"names lost in 1994" in (bundle.folder / "waivers.csv").read_bytes()


def test_a_waiver_that_accepts_nothing_any_more_is_not_part_of_the_evidence():
    checked = check_waivers([approved()], good_facts(), signers=SIGNERS, at=NOW)

    assert facts_with(THREE, checked).waivers == (fact_of(approved()),)
    assert facts_with(good_facts(), checked).waivers == ()
