"""Evidence and signatures as the store remembers them; append-only, two persons demanded by the database too."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.departments import Actor
from banyan.findings import Verdict, VerdictKind
from banyan.records import Position
from store.tables import EVIDENCE, SIGN_OFF


@dataclass(frozen=True, slots=True)
class EvidenceEntry:
    """One evidence bundle, by its hash."""

    evidence_id: str
    department_code: str
    closure: str
    profile: str
    verdict: Verdict
    legacy_position: Position
    canonical_position: Position
    rules_digest: str
    previous_id: str | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignatureEntry:
    """One person's decision on one evidence hash, as it was signed."""

    evidence_id: str
    actor: Actor
    accepted: bool
    signature: str
    signed_at: datetime


def write_evidence(connection: Connection, entry: EvidenceEntry) -> None:
    """Remember an evidence bundle; the same one written again is left as it is."""
    connection.execute(
        insert(EVIDENCE)
        .values(
            evidence_id=entry.evidence_id,
            department_code=entry.department_code,
            closure=entry.closure,
            profile=entry.profile,
            verdict=entry.verdict.kind.value,
            reasons=list(entry.verdict.reasons),
            legacy_position=entry.legacy_position,
            canonical_position=entry.canonical_position,
            rules_digest=entry.rules_digest,
            previous_id=entry.previous_id,
            expires_at=entry.expires_at,
        )
        .on_conflict_do_nothing()
    )


def find_last_evidence(connection: Connection, closure: str) -> EvidenceEntry | None:
    """Find the newest evidence of a closure, whatever it was made for."""
    return _find(connection, EVIDENCE.c.closure == closure)


def find_evidence_for(connection: Connection, closure: str, profiles: Sequence[str]) -> EvidenceEntry | None:
    """Find the newest evidence of a closure that was made for one of these profiles."""
    return _find(connection, EVIDENCE.c.closure == closure, EVIDENCE.c.profile.in_(profiles))


def find_later_refusal(connection: Connection, evidence: EvidenceEntry) -> EvidenceEntry | None:
    """Find the newest evidence of the same closure that says NO-GO and was made after this one, for any profile."""
    made = sa.select(EVIDENCE.c.made_at).where(EVIDENCE.c.evidence_id == evidence.evidence_id).scalar_subquery()
    return _find(
        connection,
        EVIDENCE.c.closure == evidence.closure,
        EVIDENCE.c.verdict == VerdictKind.NO_GO.value,
        EVIDENCE.c.evidence_id != evidence.evidence_id,
        EVIDENCE.c.made_at >= made,
    )


def _find(connection: Connection, *wanted: sa.ColumnElement[bool]) -> EvidenceEntry | None:
    newest = (EVIDENCE.c.made_at.desc(), EVIDENCE.c.evidence_id.desc())
    row = connection.execute(sa.select(EVIDENCE).where(*wanted).order_by(*newest).limit(1)).first()
    if row is None:
        return None
    return EvidenceEntry(
        evidence_id=row.evidence_id,
        department_code=row.department_code,
        closure=row.closure,
        profile=row.profile,
        verdict=Verdict(VerdictKind(row.verdict), tuple(row.reasons)),
        legacy_position=Position(row.legacy_position or ""),
        canonical_position=Position(row.canonical_position or ""),
        rules_digest=row.rules_digest or "",
        previous_id=row.previous_id,
        expires_at=row.expires_at,
    )


def read_evidence_ids(connection: Connection, closure: str) -> Sequence[str]:
    """Read the identifiers of all evidence of a closure, from the first to the newest."""
    wanted = sa.select(EVIDENCE.c.evidence_id).where(EVIDENCE.c.closure == closure)
    return list(connection.scalars(wanted.order_by(EVIDENCE.c.made_at)))


def write_signature(connection: Connection, entry: SignatureEntry) -> bool:
    """Remember a signature; tells whether it is new (one actor signs one evidence once)."""
    done = connection.execute(
        insert(SIGN_OFF)
        .values(
            evidence_id=entry.evidence_id,
            actor=entry.actor.name,
            role=entry.actor.role,
            authenticated_by=entry.actor.authenticated_by,
            decision="ACCEPTED" if entry.accepted else "REFUSED",
            signature=entry.signature.encode("ascii"),
            signed_at=entry.signed_at,
        )
        .on_conflict_do_nothing()
        .returning(SIGN_OFF.c.sign_off_no)
    ).first()
    return done is not None


def read_signatures(connection: Connection, evidence_id: str) -> Sequence[SignatureEntry]:
    """Read the signatures on an evidence hash, in the order they were given."""
    rows = connection.execute(
        sa.select(SIGN_OFF).where(SIGN_OFF.c.evidence_id == evidence_id).order_by(SIGN_OFF.c.sign_off_no)
    )
    return [
        SignatureEntry(
            evidence_id=row.evidence_id,
            actor=Actor(row.actor, row.role, row.authenticated_by),
            accepted=row.decision == "ACCEPTED",
            signature=row.signature.decode("ascii", "replace"),
            signed_at=row.signed_at,
        )
        for row in rows
    ]
