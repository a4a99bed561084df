"""Did a steward and a lead accept the newest evidence made for this, is it what they signed, under these rules?"""

from typing import Final

from banyan.departments import Phase
from banyan.findings import VerdictKind
from cutover.ground import contradiction
from cutover.preconditions.condition import Obstacle, Scene
from cutover.proof import Proof
from store.judgements import EvidenceEntry
from validation.evidence import Verification
from validation.profiles import COMPLETING, SWITCHING

_UNSIGNED: Final = "is not signed by a steward and a lead, or it has expired"


def is_signed(scene: Scene) -> Obstacle | None:
    """Refuse a switch without evidence made for one, whole as it was signed, by two persons, and not expired."""
    return None if scene.rig.workspace.is_copy else _find_doubt(scene, SWITCHING)


def is_signed_for_the_end(scene: Scene) -> Obstacle | None:
    """Refuse to give the way back up without the same, made of both sides as they stand at the end."""
    if scene.row.phase is Phase.COMPLETING:  # given up already, on evidence that stood then
        return None
    return _find_doubt(scene, COMPLETING)


def is_about_these_rules(scene: Scene) -> Obstacle | None:
    """Refuse evidence made under other rules than those of today."""
    evidence = scene.evidence
    if evidence is None or evidence.rules_digest == scene.rig.book.digest or scene.row.phase is Phase.COMPLETING:
        return None
    sentence = f"the rules were changed after evidence {evidence.evidence_id[:8]}… was made"
    profiles = COMPLETING if evidence.profile in COMPLETING else SWITCHING
    return Obstacle("rules", sentence, _again(evidence.closure, profiles))


def _find_doubt(scene: Scene, profiles: tuple[str, ...]) -> Obstacle | None:
    """Say why this cannot rest on the newest evidence made for it.

    Evidence is kept as it was written: what awaited signatures then still says so when they have been given.
    """
    name, evidence, proof = scene.closure.name, scene.evidence, scene.proof
    if evidence is None or proof is None:
        sentence = f"nothing proves yet that {name} was copied exactly"
        return Obstacle("signed", sentence, _again(name, profiles))
    short = f"{evidence.evidence_id[:8]}…"
    if evidence.verdict.kind is VerdictKind.NO_GO:
        return Obstacle("signed", f"the newest evidence {short} says NO-GO", f"banyan gate show {name}")
    if evidence.profile not in profiles:
        wanted = " or ".join(profiles)
        sentence = f"the newest evidence {short} was made for the profile {evidence.profile}, not for {wanted}"
        return Obstacle("signed", sentence, _again(name, profiles))
    if proof.refused_by is not None:
        sentence = f"{contradiction(proof.refused_by)}: what {short} says may be true no more"
        return Obstacle("signed", sentence, _again(name, profiles))
    if proof.bundle is None:
        sentence = f"the bundle of evidence {short} is not in the folder {proof.folder.parent.name} of this project"
        return Obstacle("evidence", sentence, f"{_again(name, profiles)}    (or bring its folder back)")
    wrong = _find_wrong(proof.bundle, evidence)
    if wrong:
        sentence = f"the bundle of evidence {short} is not what was written: {wrong}"
        return Obstacle("evidence", sentence, f"banyan validate verify {proof.folder}")
    return _find_answer(proof, name, short)


def _find_wrong(bundle: Verification, evidence: EvidenceEntry) -> str:
    """Say what is wrong with a bundle first, or what the store remembers otherwise than it says; '' for nothing."""
    if bundle.problems:
        return f"{bundle.problems[0].file} {bundle.problems[0].sentence}"
    facts = bundle.facts
    if facts is None:
        return "it cannot be read"
    pairs = {
        "closure": (facts.closure, evidence.closure),
        "department": (facts.department.code, evidence.department_code),
        "profile": (facts.profile.name, evidence.profile),
        "position of the old system": (facts.positions.legacy, evidence.legacy_position),
    }
    others = [what for what, (said, remembered) in pairs.items() if said != remembered]
    return f"the store remembers another {others[0]}" if others else ""


def _find_answer(proof: Proof, name: str, short: str) -> Obstacle | None:
    """Say what the gate answers today when that is not GO, and what the store misses."""
    judgement = proof.judgement
    if judgement is None or judgement.kind is VerdictKind.NO_GO:
        said = judgement.reasons[0].sentence.en if judgement else "it cannot be judged"
        return Obstacle("signed", f"the gate refuses evidence {short} today: {said}", f"banyan gate show {name}")
    if judgement.kind is VerdictKind.GO and proof.is_signed:
        return None
    refused = [f"that of {each.actor} is a {reason.en}" for each, reason in judgement.sign_offs.refused]
    sentence = "; ".join([f"evidence {short} {_UNSIGNED}", *refused])
    return Obstacle("signed", sentence, f"banyan gate sign {name} --as steward    (and another person --as lead)")


def _again(name: str, profiles: tuple[str, ...]) -> str:
    return f"banyan validate run {name}" + (f" --profile {profiles[0]}" if profiles != SWITCHING else "")
