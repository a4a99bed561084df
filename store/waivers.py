"""Waivers as the store remembers them; append-only, and approved by another person or not at all, says the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from banyan.departments import Actor
from banyan.errors import UsageError
from store.tables import WAIVER, WAIVER_APPROVAL


@dataclass(frozen=True, slots=True)
class WaiverEntry:
    """One waiver as it was written, with its approval once there is one."""

    number: int
    closure: str
    level: str
    rule: str
    cause: str
    records: tuple[str, ...] = field(repr=False)
    records_digest: str
    up_to: int
    until: datetime
    rules_digest: str
    reason: str
    author: Actor
    signature: str
    decided_at: datetime
    approver: Actor | None = None
    approval_signature: str = ""
    approved_at: datetime | None = None


def write_waiver(connection: Connection, entry: WaiverEntry) -> int:
    """Write a waiver as its author signed it; gives its number. It accepts nothing before another person approves."""
    return int(
        connection.execute(
            sa.insert(WAIVER)
            .values(
                closure=entry.closure,
                level=entry.level,
                rule=entry.rule,
                cause=entry.cause,
                records=list(entry.records),
                records_digest=entry.records_digest,
                up_to=entry.up_to,
                until=entry.until,
                rules_digest=entry.rules_digest,
                reason=entry.reason,
                actor=entry.author.name,
                role=entry.author.role,
                authenticated_by=entry.author.authenticated_by,
                signature=entry.signature,
                decided_at=entry.decided_at,
            )
            .returning(WAIVER.c.waiver_no)
        ).scalar_one()
    )


def write_approval(connection: Connection, entry: WaiverEntry) -> None:
    """Write the approval of a waiver; refused by the database when its author gives it, or when there is one."""
    assert entry.approver is not None
    try:
        connection.execute(
            sa.insert(WAIVER_APPROVAL).values(
                waiver_no=entry.number,
                author=entry.author.name,
                actor=entry.approver.name,
                role=entry.approver.role,
                authenticated_by=entry.approver.authenticated_by,
                signature=entry.approval_signature,
                approved_at=entry.approved_at,
            )
        )
    except IntegrityError as error:
        raise UsageError(
            f"waiver {entry.number} was approved already, or by its own author; nothing was written",
            hint="another person approves: banyan gate waive CLOSURE --approve NUMBER --as lead",
        ) from error


def read_waivers(connection: Connection, closure: str) -> Sequence[WaiverEntry]:
    """Read the waivers of a closure, approved or not, in the order they were written."""
    approval = WAIVER_APPROVAL
    rows = connection.execute(
        sa.select(
            WAIVER,
            approval.c.actor.label("approver"),
            approval.c.role.label("approver_role"),
            approval.c.authenticated_by.label("approver_authenticated_by"),
            approval.c.signature.label("approval_signature"),
            approval.c.approved_at,
        )
        .outerjoin(approval, approval.c.waiver_no == WAIVER.c.waiver_no)
        .where(WAIVER.c.closure == closure)
        .order_by(WAIVER.c.waiver_no)
    )
    return [_entry(row) for row in rows]


def _entry(row: Row[tuple[object, ...]]) -> WaiverEntry:
    approver = None
    if row.approver is not None:
        approver = Actor(row.approver, row.approver_role, row.approver_authenticated_by)
    return WaiverEntry(
        number=row.waiver_no,
        closure=row.closure,
        level=row.level,
        rule=row.rule,
        cause=row.cause,
        records=tuple(row.records),
        records_digest=row.records_digest,
        up_to=row.up_to,
        until=row.until,
        rules_digest=row.rules_digest,
        reason=row.reason,
        author=Actor(row.actor, row.role, row.authenticated_by),
        signature=row.signature,
        decided_at=row.decided_at,
        approver=approver,
        approval_signature=row.approval_signature or "",
        approved_at=row.approved_at,
    )
