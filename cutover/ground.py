"""Which evidence a change of owner rests on, and which stands in its way.

What a clock judges each night for another profile is newer than what two people signed and takes nothing from it;
unless it says NO-GO: whatever it was made for, it stands in the way until the closure is judged again.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from banyan.departments import Side
from store.judgements import EvidenceEntry, find_evidence_for, find_last_evidence, find_later_refusal
from store.slices import read_slices
from validation.profiles import COMPLETING, SWITCHING


def find_ground(connection: Connection, closure: str, profiles: Sequence[str]) -> EvidenceEntry | None:
    """Find the newest evidence made for one of these profiles; without any, the newest of all, which is refused."""
    return find_evidence_for(connection, closure, profiles) or find_last_evidence(connection, closure)


def find_current(connection: Connection, closure: str, *, at: datetime) -> EvidenceEntry | None:
    """Find the evidence that people look at and sign.

    It is what the next change of owner would rest on while that is fresh, or the later NO-GO that stands in its way;
    else the newest of all.
    """
    moved = any(row.closure == closure and row.owner is Side.CANONICAL for row in read_slices(connection))
    ground = find_evidence_for(connection, closure, COMPLETING if moved else SWITCHING)
    if ground is None or (ground.expires_at is not None and ground.expires_at <= at):
        return find_last_evidence(connection, closure)
    return find_later_refusal(connection, ground) or ground


def contradiction(refused_by: EvidenceEntry) -> str:
    """Say which later judgement stands against evidence."""
    later = f"{refused_by.evidence_id[:8]}…"
    return f"evidence {later}, made after it for the profile {refused_by.profile}, says NO-GO"
