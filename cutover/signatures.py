"""Signatures on the evidence of a closure: given here with a key file, or requested and brought back as files."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from banyan.clock import now
from banyan.departments import Actor
from banyan.errors import GateClosed, UsageError
from banyan.findings import VerdictKind
from cutover.ground import find_current
from store.judgements import EvidenceEntry, SignatureEntry, read_signatures, write_signature
from store.postgres import transaction
from sync.assembly import Rig
from validation.detached import Detached, write_detached
from validation.sign_off import CheckedSignOffs, Decision, Signer, SignOff, check_sign_offs, read_key_file, sign
from validation.sign_requests import SignedFile, SignRequest

_CLOCKS = timedelta(minutes=5)


def current_evidence(rig: Rig, name: str) -> EvidenceEntry:
    """Give the evidence of a closure that people look at and sign; refuses when there is none."""
    closure = rig.closure(name).name
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        evidence = find_current(connection, closure, at=now())
    if evidence is None:
        raise UsageError(f"{closure} has no evidence yet; nothing was signed", hint=f"banyan validate run {closure}")
    return evidence


def sign_evidence(rig: Rig, name: str, *, actor: Actor, key_file: Path, accept: bool = True) -> SignatureEntry:
    """Sign the evidence that a closure would move on; refuses when the gate's facts say NO-GO."""
    evidence = current_evidence(rig, name)
    if accept:
        _refuse_no_go(evidence)
    decision = Decision.ACCEPT if accept else Decision.REFUSE
    signed = sign(read_key_file(key_file), evidence.evidence_id, actor=actor, decision=decision, signed_at=now())
    return _write(rig, evidence.closure, signed, actor)


def request_signature(rig: Rig, name: str, *, person: str, role: str) -> SignRequest:
    """Make out a request for one person to sign the evidence elsewhere; changes nothing."""
    evidence = current_evidence(rig, name)
    granted = rig.workspace.project.people.get(person, ())
    if role not in granted:
        raise UsageError(
            f"{person} does not hold the role {role} in this project; no request was written",
            hint=f"add `{person}: [{role}]` under `people` in banyan.yaml",
        )
    verdict = evidence.verdict
    return SignRequest(evidence.evidence_id, evidence.closure, verdict.kind.value, verdict.reasons, person, role)


def accept_signature(rig: Rig, signed: SignedFile) -> SignatureEntry:
    """Take a decision that was signed elsewhere: for the evidence that counts, by a trusted key, in a granted role."""
    evidence = current_evidence(rig, signed.closure)
    sign_off = signed.sign_off
    if sign_off.evidence_id != evidence.evidence_id:
        raise UsageError(
            f"this decision is about another evidence than {evidence.closure} would move on; nothing was accepted",
            hint=f"banyan gate request {evidence.closure}",
        )
    if sign_off.signed_at > now() + _CLOCKS:
        raise UsageError("this decision is dated in the future: a clock is wrong; nothing was accepted")
    if sign_off.decision is Decision.ACCEPT:
        _refuse_no_go(evidence)
    checked = check_sign_offs([sign_off], evidence_id=evidence.evidence_id, signers=read_signers(rig))
    if checked.refused:
        reason = checked.refused[0][1].en
        raise GateClosed(
            f"the decision of {sign_off.actor} was not accepted: {reason}; nothing was written",
            hint="the public key of a person stands in keys/NAME.pub of the project",
        )
    return _write(rig, evidence.closure, sign_off, Actor(sign_off.actor, sign_off.role, "key file"))


def read_sign_offs(rig: Rig, evidence_id: str) -> CheckedSignOffs:
    """Read and check the signatures on an evidence hash against the people the project trusts."""
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        entries = read_signatures(connection, evidence_id)
    sign_offs = [
        SignOff(
            evidence_id=entry.evidence_id,
            actor=entry.actor.name,
            role=entry.actor.role,
            decision=Decision.ACCEPT if entry.accepted else Decision.REFUSE,
            signed_at=entry.signed_at,
            signature=entry.signature,
        )
        for entry in entries
    ]
    return check_sign_offs(sign_offs, evidence_id=evidence_id, signers=read_signers(rig))


def read_signers(rig: Rig) -> Sequence[Signer]:
    """Give whom the project trusts to sign: `people` of banyan.yaml with a public key in `keys/NAME.pub`."""
    folder = rig.workspace.project.folder / "keys"
    return [
        Signer(name, (folder / f"{name}.pub").read_text(encoding="ascii").strip(), tuple(roles))
        for name, roles in rig.workspace.project.people.items()
        if (folder / f"{name}.pub").exists()
    ]


def _refuse_no_go(evidence: EvidenceEntry) -> None:
    if evidence.verdict.kind is VerdictKind.NO_GO:
        raise GateClosed(
            f"the evidence {evidence.evidence_id[:8]}… of {evidence.closure} says NO-GO; nothing was signed",
            hint=f"banyan validate report {evidence.closure}",
            reasons=evidence.verdict.reasons,
        )


def _write(rig: Rig, closure: str, signed: SignOff, actor: Actor) -> SignatureEntry:
    entry = SignatureEntry(
        signed.evidence_id, actor, signed.decision is Decision.ACCEPT, signed.signature, _instant(signed.signed_at)
    )
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        if not write_signature(connection, entry):
            raise UsageError(f"{actor.name} has already signed the evidence {signed.evidence_id[:8]}…; it stands")
    write_signature_files(rig, closure, signed.evidence_id)
    return entry


def write_signature_files(rig: Rig, closure: str, evidence_id: str) -> tuple[Path, ...]:
    """Write every accepted signature on an evidence beside its bundle, those that are missing there; gives the files.

    A command that died after the store had taken a signature leaves its file to the next one.
    """
    keys = {signer.actor: signer.public_key for signer in read_signers(rig)}
    signatures = [
        Detached(closure, each, keys[each.actor])
        for each in read_sign_offs(rig, evidence_id).accepted
        if each.actor in keys
    ]
    return write_detached(rig.workspace.project.folder / "evidence" / evidence_id, evidence_id, signatures)


def _instant(signed_at: datetime) -> datetime:
    if signed_at.tzinfo is None:
        raise UsageError("this decision has no time zone; nothing was accepted")
    return signed_at
