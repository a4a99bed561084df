"""Waivers of a closure: asked by one person over evidence, approved by another, read back for the gate."""

from datetime import datetime
from pathlib import Path

from banyan.clock import now
from banyan.departments import Actor
from banyan.errors import SourceUnreadable, UsageError
from cutover.signatures import current_evidence, read_signers
from store.postgres import transaction
from store.waivers import WaiverEntry, read_waivers, write_approval, write_waiver
from sync.assembly import Rig
from validation.evidence import verify_bundle
from validation.facts import EvidenceFacts
from validation.gate import WAIVABLE
from validation.sign_off import read_key_file
from validation.waivers import (
    Approval,
    CheckedWaivers,
    Scope,
    Waiver,
    WaiverRequest,
    approve_waiver,
    check_waivers,
    request_waiver,
    sign_waiver,
)


def ask_waiver(
    rig: Rig, scope: Scope, *, until: datetime, up_to: int | None, reason: str, signed_by: tuple[Actor, Path]
) -> Waiver:
    """Write a waiver over the findings that the evidence lists; it accepts nothing until somebody else approves.

    `signed_by` is the author with the key file to sign with.
    """
    actor, key_file = signed_by
    if scope.level not in WAIVABLE:
        raise UsageError(f"{scope.level} cannot be waived; only {', '.join(WAIVABLE)} can; nothing was written")
    try:
        request = request_waiver(_facts(rig, scope.closure), scope, up_to=up_to, until=until, reason=reason)
    except ValueError as error:
        raise UsageError(f"{error}; nothing was written", hint=f"banyan gate show {scope.closure}") from error
    if until <= now():
        raise UsageError("this waiver would have ended already; nothing was written")
    waiver = Waiver(0, request, actor, sign_waiver(read_key_file(key_file), request, actor), now())
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        number = write_waiver(connection, _entry(waiver))
    return Waiver(number, request, actor, waiver.signature, waiver.decided_at)


def approve(rig: Rig, name: str, number: int, *, actor: Actor, key_file: Path) -> Waiver:
    """Approve a waiver of a closure as its second person; refused here and by the database when that is its author."""
    closure = rig.closure(name).name
    waiver = next((each for each in list_waivers(rig, closure) if each.number == number), None)
    if waiver is None:
        raise UsageError(f"{closure} has no waiver {number}; nothing was approved")
    try:
        approval = approve_waiver(read_key_file(key_file), waiver, actor, approved_at=now())
    except ValueError as error:
        raise UsageError(f"{error}; nothing was approved", hint="another person: --approve NUMBER --as lead") from error
    approved = Waiver(number, waiver.request, waiver.author, waiver.signature, waiver.decided_at, approval)
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        write_approval(connection, _entry(approved))
    return approved


def list_waivers(rig: Rig, name: str) -> tuple[Waiver, ...]:
    """Read the waivers of a closure, approved or not."""
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        return tuple(_waiver(entry) for entry in read_waivers(connection, rig.closure(name).name))


def check(rig: Rig, facts: EvidenceFacts, *, at: datetime) -> CheckedWaivers:
    """Tell which waivers hold for facts just measured."""
    return check_waivers(list_waivers(rig, facts.closure), facts, signers=read_signers(rig), at=at)


def _facts(rig: Rig, closure: str) -> EvidenceFacts:
    evidence = current_evidence(rig, closure)
    folder = rig.workspace.project.folder / "evidence" / evidence.evidence_id
    found = verify_bundle(folder, evidence_id=evidence.evidence_id)
    if found.facts is None or not found.is_sound:
        raise SourceUnreadable(
            f"the evidence in {folder} was changed since it was written; nothing can be waived over it",
            hint=f"banyan validate verify {folder}",
        )
    return found.facts


def _entry(waiver: Waiver) -> WaiverEntry:
    request, approval = waiver.request, waiver.approval
    return WaiverEntry(
        number=waiver.number,
        closure=request.scope.closure,
        level=request.scope.level,
        rule=request.scope.rule,
        cause=request.scope.cause,
        records=request.records,
        records_digest=request.records_digest,
        up_to=request.up_to,
        until=request.until,
        rules_digest=request.rules_digest,
        reason=request.reason,
        author=waiver.author,
        signature=waiver.signature,
        decided_at=waiver.decided_at,
        approver=approval.actor if approval else None,
        approval_signature=approval.signature if approval else "",
        approved_at=approval.approved_at if approval else None,
    )


def _waiver(entry: WaiverEntry) -> Waiver:
    approval = None
    if entry.approver is not None and entry.approved_at is not None:
        approval = Approval(entry.approver, entry.approval_signature, entry.approved_at)
    scope = Scope(entry.closure, entry.level, entry.rule, entry.cause)
    request = WaiverRequest(scope, entry.records, entry.up_to, entry.until, entry.rules_digest, entry.reason)
    return Waiver(entry.number, request, entry.author, entry.signature, entry.decided_at, approval)
