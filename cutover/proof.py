"""What a change of owner rests on, verified: the evidence, its bundle on the disk, its signatures, the gate's answer.

The store remembers which evidence was made for what, when, and who signed it; whoever can write there could forge all
of it. So the bundle is recomputed byte by byte, each signature is checked against the people the project trusts, and
the gate answers anew, as it is asked today. All of it before anything is closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from banyan.clock import now
from cutover.signatures import read_sign_offs
from store.judgements import EvidenceEntry, find_later_refusal
from store.postgres import transaction
from sync.assembly import Rig
from validation.evidence import Verification, verify_bundle
from validation.facts import EvidenceFacts
from validation.gate import Judgement, judge
from validation.profiles import PROFILES

_IS_SIGNED: Final = sa.text("select mig.is_signed_for(:evidence, :profiles)")


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence of a closure as everybody tells it: the store, the disk, the signers, the gate."""

    evidence: EvidenceEntry
    profiles: tuple[str, ...]  # those that may be rested on
    folder: Path
    bundle: Verification | None = field(repr=False)  # None: it is not there
    judgement: Judgement | None = field(repr=False)  # None: there is nothing sound to judge
    is_signed: bool  # what the store says
    refused_by: EvidenceEntry | None = None  # what was judged later, for whatever profile, and says NO-GO


def read_proof(rig: Rig, evidence: EvidenceEntry, profiles: Sequence[str]) -> Proof:
    """Read and verify what a change of owner would rest on; changes nothing."""
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        bound = {"evidence": evidence.evidence_id, "profiles": list(profiles)}
        is_signed = bool(connection.scalar(_IS_SIGNED, bound))
        refused_by = find_later_refusal(connection, evidence)
    folder = evidence_folder(rig, evidence.evidence_id)
    bundle = verify_bundle(folder, evidence_id=evidence.evidence_id) if folder.exists() else None
    judgement = None
    if bundle is not None and bundle.facts is not None and bundle.is_sound:
        judgement = current_judgement(rig, bundle.facts, evidence.evidence_id, at=now())
    return Proof(evidence, tuple(profiles), folder, bundle, judgement, is_signed, refused_by)


def evidence_folder(rig: Rig, evidence_id: str) -> Path:
    """Give the folder of an evidence bundle of the project."""
    return rig.workspace.project.folder / "evidence" / evidence_id


def current_judgement(rig: Rig, facts: EvidenceFacts, evidence_id: str, *, at: datetime) -> Judgement:
    """Give what the gate answers now to facts already measured, with the signatures given since.

    What was measured under a profile that is asked otherwise today, or no more, is refused.
    """
    profile = PROFILES.get(facts.profile.name, PROFILES["full"])
    return judge(profile, facts, read_sign_offs(rig, evidence_id), now=at)
