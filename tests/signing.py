"""Evidence of tests, made as the product makes it: a bundle on the disk, its entry in the store, real signatures.

What the facts say is invented; how they are kept and signed is not. So a switch of a test rests on what a switch of
production rests on, and nothing is loosened for it.
"""

import hashlib
import itertools
from datetime import datetime

from banyan.clock import now
from banyan.departments import Actor
from banyan.findings import LevelResult, LevelState, Verdict, VerdictKind
from banyan.records import PartCounts, Position, RowCounts
from cutover.proof import evidence_folder
from store.judgements import EvidenceEntry, SignatureEntry, write_evidence, write_signature
from store.postgres import transaction
from sync.assembly import Rig
from validation.evidence import Bundle, write_bundle
from validation.facts import (
    ColumnComparison,
    EvidenceFacts,
    Positions,
    RoundTripFigures,
    RulesetDigest,
    TableConservation,
    Tally,
    Transition,
)
from validation.gate import examine
from validation.profiles import PROFILES, Profile
from validation.sign_off import Decision, SigningKey, SignOff, sign

_numbers = itertools.count(1)


def invented_facts(rig: Rig, name: str, *, profile: str = "switch") -> EvidenceFacts:
    """Invent facts of a closure, as they stand now, that satisfy a profile."""
    found, asked = rig.closure(name), PROFILES[profile]
    return EvidenceFacts(
        department=rig.workspace.project.department(found.department_code),
        closure=found.name,
        system=rig.source.system_code,
        transition=Transition.COMPLETE if profile == "complete" else Transition.SWITCH,
        profile=asked,
        rulesets=tuple(RulesetDigest(ruleset.rule_id, ruleset.digest) for ruleset in rig.book.rulesets.values()),
        positions=Positions(rig.port.head(), f"invented:{next(_numbers)}"),  # no two are the same evidence
        conservation=(
            TableConservation(found.tables[0], RowCounts(1, 1, 0, 0, 0, 0, 0), PartCounts(1, 1, 0, 0, 0, 0)),
        ),
        levels=tuple(LevelResult(level, LevelState.PASS, "invented", _figures(asked, level)) for level in asked.asked),
        measured_at=now(),
        round_trip=RoundTripFigures(1, 1, 1, 1, 0, Tally(1, 1), Tally(1, 1)),
        columns=(ColumnComparison("case_file", "case_number", "invented", 1, 1, 0),),
        is_synthetic=True,
    )


def _figures(profile: Profile, level: str) -> dict[str, int | str | bool]:
    figures: dict[str, int | str | bool] = {each.figure: 0 for each in profile.thresholds if each.level == level}
    if level == "L3":
        figures["first_fold"] = False
    return figures | {"parts": "+".join(profile.parts_of(level))}


def write_evidence_of(
    rig: Rig,
    facts: EvidenceFacts,
    *,
    verdict: str = "AWAITING",
    remembered: str = "",
    expires_at: datetime | None = None,
) -> Bundle:
    """Write the bundle of facts into the project, and its entry into the store, as the judge does.

    `remembered` is a position of the old system that the store is given instead.
    """
    place = rig.workspace.project.folder / "evidence" / ".new"
    bundle = write_bundle(facts, place, previous_id=None)
    place.rename(evidence_folder(rig, bundle.evidence_id))
    entry = EvidenceEntry(
        evidence_id=bundle.evidence_id,
        department_code=facts.department.code,
        closure=facts.closure,
        profile=facts.profile.name,
        verdict=Verdict(VerdictKind(verdict), ()),
        legacy_position=Position(remembered or facts.positions.legacy),
        canonical_position=Position(facts.positions.canonical),
        rules_digest=rig.book.digest,
        previous_id=None,
        expires_at=expires_at,
    )
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        write_evidence(connection, entry)
    return Bundle(bundle.evidence_id, evidence_folder(rig, bundle.evidence_id), None)


def key_of(person: str) -> SigningKey:
    """Give the key of an invented person: always the same."""
    return SigningKey(hashlib.sha256(person.encode()).digest())


def person_of(rig: Rig, role: str) -> str:
    """Give who holds a role in a project, and make their public key known there."""
    person = next(name for name, roles in rig.workspace.project.people.items() if role in roles)
    published = rig.workspace.project.folder / "keys" / f"{person}.pub"
    if not published.exists():
        published.parent.mkdir(exist_ok=True)
        published.write_text(key_of(person).public_key, encoding="ascii")
    return person


def signed_by(rig: Rig, evidence_id: str, role: str) -> SignOff:
    """Sign evidence in a role, as the person who holds it."""
    person = person_of(rig, role)
    actor = Actor(person, role, "key file")
    return sign(key_of(person), evidence_id, actor=actor, decision=Decision.ACCEPT, signed_at=now())


def write_sign_off(rig: Rig, signed: SignOff) -> None:
    """Write a sign-off into the store as the steward's commands do, whatever it is worth."""
    actor = Actor(signed.actor, signed.role, "key file")
    accepted = signed.decision is Decision.ACCEPT
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        entry = SignatureEntry(signed.evidence_id, actor, accepted, signed.signature, signed.signed_at)
        assert write_signature(connection, entry)


def make_signed_evidence(
    rig: Rig, name: str, *, roles: tuple[str, ...] = ("steward", "lead"), profile: str = "switch", verdict: str = "GO"
) -> str:
    """Make evidence of the present moment, signed by these roles; gives its identifier."""
    facts = invented_facts(rig, name, profile=profile)
    assert not examine(PROFILES[profile], facts), "the invented facts do not satisfy their profile"
    bundle = write_evidence_of(rig, facts, verdict=verdict)
    for role in roles:
        write_sign_off(rig, signed_by(rig, bundle.evidence_id, role))
    return bundle.evidence_id
