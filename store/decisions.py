"""What stewards decided about quarantined values: written once, undone with a reason, never changed.

A decision about a code says what a source code means; one about a value says which raw text of a column is read as
which other one. Texts of records are sealed, and told apart by a keyed digest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Actor, SourceRef
from banyan.errors import UsageError
from store.row_tables import QUARANTINE
from store.tables import instant, number, one_of, table, text

DECISION = table(
    "decision",
    number("decision_no", sa.Identity(always=True)),
    text("department_code"),
    text("system_code"),
    text("kind"),
    text("code_map", nullable=True),
    text("code", nullable=True),
    text("means", nullable=True),
    text("table_name", nullable=True),
    text("column_name", nullable=True),
    sa.Column("raw_digest", sa.LargeBinary(), nullable=True),
    sa.Column("raw", sa.LargeBinary(), nullable=True),
    sa.Column("read_as", sa.LargeBinary(), nullable=True),
    text("cause"),
    text("reason"),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    instant("decided_at", default="clock_timestamp()"),
    text("undone_by", nullable=True),
    instant("undone_at", nullable=True),
    text("undone_reason", nullable=True),
    sa.PrimaryKeyConstraint("decision_no"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
    one_of("kind", ("CODE", "VALUE")),
    sa.CheckConstraint("btrim(reason) <> ''", name="reason"),
    sa.CheckConstraint(
        "case kind when 'CODE' then code_map is not null and code is not null and means is not null else"
        " table_name is not null and column_name is not null and raw is not null and raw_digest is not null end",
        name="shape",
    ),
)
_D, _Q = DECISION.c, QUARANTINE.c
_STANDING_CODE = sa.and_(_D.undone_at.is_(None), _D.kind == sa.literal_column("'CODE'"))
_STANDING_VALUE = sa.and_(_D.undone_at.is_(None), _D.kind == sa.literal_column("'VALUE'"))
sa.Index(
    "one_standing_code", _D.department_code, _D.system_code, _D.code_map, _D.code, unique=True,
    postgresql_where=_STANDING_CODE,
)  # fmt: skip
sa.Index(
    "one_standing_value", _D.department_code, _D.system_code, _D.table_name, _D.column_name, _D.raw_digest, unique=True,
    postgresql_where=_STANDING_VALUE,
)  # fmt: skip


class DecisionKind(StrEnum):
    """What is decided: the meaning of a code, or the reading of a raw text."""

    CODE = "CODE"
    VALUE = "VALUE"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a steward decides: a code of a code map, or a raw text of a column, sealed."""

    kind: DecisionKind
    code_map: str | None = None
    code: str | None = None
    means: str | None = None
    table: str | None = None
    column: str | None = None
    raw_digest: bytes | None = None
    raw: bytes | None = field(default=None, repr=False)
    read_as: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Because:
    """Who decides, about which cause, and why."""

    actor: Actor
    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as it stands in the store."""

    number: int
    what: Decided
    cause: str
    reason: str
    actor: str
    decided_at: datetime
    undone_at: datetime | None

    @property
    def name(self) -> str:
        """Give the name people use."""
        return f"D-{self.number}"


def write_decision(connection: Connection, source: SourceRef, what: Decided, because: Because) -> int:
    """Write a decision; gives its number. The same one again gives the number of the one that stands.

    Refused when another decision about the same code or text stands: undo that one first.
    """
    standing = connection.execute(_standing(source, what)).first()
    if standing is not None:
        found = _decision(standing)
        if what.kind is DecisionKind.CODE and found.what.means != what.means:
            raise UsageError(
                f"{found.name} says already what code {what.code} of {what.code_map} means: {found.what.means}; "
                "nothing was changed",
                hint=f"banyan quarantine undo {source.department_code} {found.name} --reason TEXT",
            )
        return found.number
    row = sa.insert(DECISION).values(
        department_code=source.department_code,
        system_code=source.system_code,
        kind=what.kind.value,
        code_map=what.code_map,
        code=what.code,
        means=what.means,
        table_name=what.table,
        column_name=what.column,
        raw_digest=what.raw_digest,
        raw=what.raw,
        read_as=what.read_as,
        cause=because.cause,
        reason=because.reason,
        actor=because.actor.name,
        role=because.actor.role,
        authenticated_by=because.actor.authenticated_by,
    )
    return int(connection.execute(row.returning(_D.decision_no)).scalar_one())


def find_decisions(connection: Connection, source: SourceRef) -> tuple[Decision, ...]:
    """Find the decisions that stand for a legacy system, in the order they were taken."""
    if connection.scalar(sa.select(sa.func.to_regclass("mig.decision"))) is None:
        return ()  # a store of an earlier release, until `banyan load` migrates it
    rows = connection.execute(sa.select(DECISION).where(*_of(source), _D.undone_at.is_(None)).order_by(_D.decision_no))
    return tuple(_decision(row) for row in rows)


def read_decision(connection: Connection, source: SourceRef, number: int) -> Decision:
    """Read one decision of a legacy system, undone or not."""
    row = connection.execute(sa.select(DECISION).where(*_of(source), _D.decision_no == number)).first()
    if row is None:
        raise UsageError(
            f"{source} has no decision D-{number}; nothing was changed",
            hint=f"banyan quarantine top {source.department_code}",
        )
    return _decision(row)


def undo_decision(connection: Connection, decision: Decision, *, actor: Actor, reason: str) -> bool:
    """Undo a decision; tells whether it stood until now. Entries that waited for it wait for another one."""
    done = connection.execute(
        sa.update(DECISION)
        .where(_D.decision_no == decision.number, _D.undone_at.is_(None))
        .values(undone_by=actor.name, undone_at=sa.func.clock_timestamp(), undone_reason=reason)
    )
    connection.execute(
        sa.update(QUARANTINE)
        .where(_Q.state == "OPEN", _number_of() == str(decision.number))
        .values(decision=sa.null(), decided_by=None, decided_at=None)
    )
    return done.rowcount == 1


def mark_entries(connection: Connection, entries: Sequence[int], number: int, *, actor: Actor) -> int:
    """Note on open entries that a decision covers them; they leave the list when they are replayed."""
    return connection.execute(
        sa.update(QUARANTINE)
        .where(_Q.quarantine_no.in_(entries), _Q.state == "OPEN")
        .values(decision={"decision": number}, decided_by=actor.name, decided_at=sa.func.clock_timestamp())
    ).rowcount


def find_decided_keys(
    connection: Connection, source_table_numbers: Sequence[int], *, number: int | None = None
) -> dict[int, list[str]]:
    """Find the legacy keys of decided entries by table: those that wait, or all that one decision ever let through."""
    conditions: list[sa.ColumnElement[bool]] = [_Q.source_table_no.in_(source_table_numbers), _Q.decision.is_not(None)]
    conditions.append(_Q.state == "OPEN" if number is None else _number_of() == str(number))
    rows = connection.execute(sa.select(_Q.source_table_no, _Q.source_key).where(*conditions).distinct())
    found: dict[int, list[str]] = {}
    for table_no, key in rows:
        found.setdefault(table_no, []).append(key)
    return found


def _number_of() -> sa.ColumnElement[str]:
    found: sa.ColumnElement[str] = _Q.decision["decision"].as_string()
    return found


def _of(source: SourceRef) -> tuple[sa.ColumnElement[bool], ...]:
    return (_D.department_code == source.department_code, _D.system_code == source.system_code)


def _standing(source: SourceRef, what: Decided) -> sa.Select[Any]:
    same = (
        (_D.code_map == what.code_map, _D.code == what.code)
        if what.kind is DecisionKind.CODE
        else (_D.table_name == what.table, _D.column_name == what.column, _D.raw_digest == what.raw_digest)
    )
    return sa.select(DECISION).where(*_of(source), _D.undone_at.is_(None), _D.kind == what.kind.value, *same)


def _decision(row: sa.Row[Any]) -> Decision:
    what = Decided(
        DecisionKind(row.kind), row.code_map, row.code, row.means, row.table_name, row.column_name, row.raw_digest,
        row.raw, row.read_as,
    )  # fmt: skip
    return Decision(row.decision_no, what, row.cause, row.reason, row.actor, row.decided_at, row.undone_at)
