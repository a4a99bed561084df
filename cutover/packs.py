"""The commander's pack of a closure: its evidence, the way back as the journal knows it, what was declared."""

from datetime import datetime
from math import ceil
from pathlib import Path

from banyan.clock import now
from banyan.departments import Side
from banyan.errors import SourceUnreadable, UsageError
from cutover.declared import ROLLOUT_FILE, read_declarations
from cutover.deeds import LIMITS
from cutover.gauge import WayBackGauge, read_way_back
from cutover.ground import find_current
from cutover.journal import Account, read_account
from cutover.pack_file import read_declared
from cutover.proof import evidence_folder
from cutover.rollout.document import read_rollout
from cutover.rollout.nights import window_of
from cutover.signatures import read_sign_offs, read_signers
from store.postgres import transaction
from sync.assembly import Rig
from validation.briefing import FORMAT, Briefing, Promise, Rehearsed
from validation.evidence import Bundle, verify_bundle
from validation.pack import write_pack
from validation.pack_page import Pack
from validation.text import Text


def build_pack(rig: Rig, name: str, *, folder: Path, blocked_by: tuple[Text, ...] = ()) -> tuple[Pack, Path]:
    """Write the pack of the evidence of a closure under `folder`; gives it and where it is. Nothing else.

    `blocked_by` says in both languages what stands in the way of going back.
    """
    closure = rig.closure(name)
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        evidence = find_current(connection, closure.name, at=now())
    if evidence is None:
        raise UsageError(f"{closure.name} has no evidence yet; no pack was written", hint=f"banyan validate run {name}")
    place = evidence_folder(rig, evidence.evidence_id)
    if not verify_bundle(place, evidence_id=evidence.evidence_id).is_sound:
        raise SourceUnreadable(
            f"the evidence in {place} was changed since it was written; no pack was written",
            hint=f"banyan validate verify {place}",
        )
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        account = read_account(connection, closure.name)
    row = rig.slices(closure.name)[0]
    past = account.find_usual(Side.CANONICAL)
    opens, closes = _window(rig, closure.name)
    signed = read_sign_offs(rig, evidence.evidence_id)
    briefing = Briefing(
        format=FORMAT,
        evidence_id=evidence.evidence_id,
        built_at=now(),
        phase=row.phase,
        owner=row.owner,
        promise=_promise(rig, read_way_back(rig, closure), account, blocked_by),
        most_outage_ms=round(LIMITS.budget_seconds * 1000),
        expected_outage_ms=past.outage_ms if past else None,
        opens_at=opens,
        closes_at=closes,
        declared=read_declared(rig.workspace.project.folder, closure.name),
        sign_offs=(*signed.accepted, *(each for each, _ in signed.refused)),
        signers=tuple(read_signers(rig)),
    )
    bundle = Bundle(evidence.evidence_id, place, evidence.previous_id)
    target = folder / f"{closure.name}-{evidence.evidence_id[:8]}-{briefing.built_at:%Y%m%dT%H%M%S}"
    return write_pack(bundle, briefing, target), target


def _promise(rig: Rig, gauge: WayBackGauge, account: Account, blocked_by: tuple[Text, ...]) -> Promise:
    tried, past = account.find_rehearsal(), account.find_usual(Side.LEGACY)
    is_live = gauge.until is not None
    seconds = gauge.estimated_seconds if is_live else ceil(past.outage_ms / 1000) if past else None
    return Promise(
        days=read_declarations(rig.workspace.project.folder).way_back_days,
        is_open=gauge.is_possible and not blocked_by,
        until=gauge.until,
        seconds=seconds,
        rehearsed=Rehearsed(tried.at, tried.back_ms, tried.edits, tried.lost) if tried else None,
        blocked_by=blocked_by,
    )


def _window(rig: Rig, closure: str) -> tuple[datetime | None, datetime | None]:
    """Give the window of the decided night of a closure, when the calendar has one."""
    folder = rig.workspace.project.folder
    if not (folder / ROLLOUT_FILE).exists():
        return None, None
    document, _ = read_rollout(folder)
    night = document.decided.get(closure)
    return (None, None) if night is None else window_of(document, night)
