"""Evidence kept in the project under its own identifier; the same inputs judged again are the same evidence.

Where both sides stand is written in evidence, and both move on while nothing that is judged does: the judge's own
writing is a transaction of the new system, and a log grows by itself. So what is judged again while the last evidence
is fresh is that evidence, when everything measured is the same and nobody changed a row of the closure since
(docs/decisions/0036). How old it is stays what it was.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from banyan.clock import now
from banyan.departments import Closure
from banyan.errors import BanyanError
from banyan.records import Position
from store.judgements import EvidenceEntry
from sync.assembly import Rig
from validation.evidence import Bundle, verify_bundle, write_bundle
from validation.facts import EvidenceFacts, Positions


def keep(rig: Rig, facts: EvidenceFacts, previous: EvidenceEntry | None) -> tuple[Bundle, EvidenceFacts]:
    """Write the bundle of facts, after the newest evidence of the closure; gives it with the facts it holds.

    What was judged before, and is still fresh, is found again: its folder, its age and its place in the chain.
    """
    root = rig.workspace.project.folder / "evidence"
    root.mkdir(exist_ok=True)
    again = _find_again(rig, facts, previous, root)
    if again is not None:
        return again
    previous_id = previous.evidence_id if previous else None
    with tempfile.TemporaryDirectory(prefix=".evidence-", dir=root) as place:
        bundle = write_bundle(facts, Path(place) / "bundle", previous_id=previous_id)
        folder = root / bundle.evidence_id
        if not folder.exists():
            shutil.move(bundle.folder, folder)
    return Bundle(bundle.evidence_id, folder, previous_id), facts


def _find_again(
    rig: Rig, facts: EvidenceFacts, previous: EvidenceEntry | None, root: Path
) -> tuple[Bundle, EvidenceFacts] | None:
    if previous is None or previous.expires_at is None or previous.expires_at <= now():
        return None
    as_then = replace(facts, positions=Positions(previous.legacy_position, previous.canonical_position))
    with tempfile.TemporaryDirectory(prefix=".evidence-", dir=root) as place:
        again = write_bundle(as_then, Path(place) / "bundle", previous_id=previous.previous_id)
    folder = root / previous.evidence_id
    if again.evidence_id != previous.evidence_id or not folder.exists():
        return None
    kept = verify_bundle(folder, evidence_id=previous.evidence_id)
    if not kept.is_sound or kept.facts is None:
        return None
    if _has_moved(rig, rig.closure(facts.closure), previous.legacy_position, Position(facts.positions.legacy)):
        return None
    return Bundle(previous.evidence_id, folder, previous.previous_id), kept.facts


def _has_moved(rig: Rig, closure: Closure, since: Position, until: Position) -> bool:
    """Tell whether anybody changed a row of the closure between two Positions of the old system; a doubt is a yes."""
    if since == until:
        return False
    try:
        return any(change.table in closure.tables for change in rig.port.changes(since, until))
    except BanyanError:  # it cannot name what changed: then this is other evidence
        return True
