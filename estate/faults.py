"""Faults that hurt real migrations, seeded one by one in a synthetic store, each with what puts it right again.

Rows are changed by the account of the forward applier, which may while the old system owns them, and behind the back of
the applier itself: nothing is marked, nothing is counted. All of it is invented data; what is undone is kept in clear.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

SHIFTED = 5
"""Records whose hours are shifted: a zone mistaken never touches one record alone."""
CODES = ("E: OPEN, T: TRANSMITTED", "E: TRANSMITTED, T: OPEN")
"""The code map of the states of a case, and the same with two meanings exchanged."""


class FaultKind(StrEnum):
    """The closed list of faults that can be seeded."""

    LOST_ROW = "lost-row"
    DOUBLED_ROW = "doubled-row"
    SWAPPED_COLUMN = "swapped-column"
    TRUNCATED_TEXT = "truncated-text"
    SHIFTED_ZONE = "shifted-zone"
    WRONG_CODE_MAP = "wrong-code-map"
    ROGUE_UPDATE = "rogue-update"
    RESTORED_BACKUP = "restored-backup"


LEVEL: dict[FaultKind, str] = {
    FaultKind.LOST_ROW: "L4",
    FaultKind.DOUBLED_ROW: "L4",
    FaultKind.SWAPPED_COLUMN: "L4",
    FaultKind.TRUNCATED_TEXT: "L4",
    FaultKind.SHIFTED_ZONE: "L4",
    FaultKind.WRONG_CODE_MAP: "L5",
    FaultKind.ROGUE_UPDATE: "L3",
    FaultKind.RESTORED_BACKUP: "L3",
}
"""The level that should find each fault; others may find it too."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was seeded: where, on which records, and the rows as they were (none where there was none)."""

    kind: FaultKind
    table: str
    ids: tuple[str, ...]
    before: dict[str, str | None] = field(default_factory=dict, repr=False)

    def as_text(self) -> str:
        """Write the fault as JSON, so that another command can put it right."""
        return json.dumps({"kind": self.kind, "table": self.table, "ids": self.ids, "before": self.before})

    @classmethod
    def from_text(cls, text: str) -> "Fault":
        """Read a fault that `as_text` wrote."""
        plain = json.loads(text)
        return cls(FaultKind(plain["kind"]), plain["table"], tuple(plain["ids"]), plain["before"])


def seed_fault(connection: Connection, kind: FaultKind, department_code: str) -> Fault | None:
    """Seed one fault in the records of a department; None when there is no record it could be seeded in."""
    table, which, deed, many = _SEEDED[kind]
    found = connection.execute(
        sa.text(f"select id::text from justice.{table} where department_code = :d and {which} order by id limit :many"),  # noqa: S608 - words of this file
        {"d": department_code, "many": many},
    )
    ids = tuple(found.scalars())
    if not ids:
        return None
    before: dict[str, str | None] = {each: _row(connection, table, each) for each in ids}
    if kind is FaultKind.DOUBLED_ROW:
        new = str(connection.execute(sa.text(deed), {"id": ids[0]}).scalar_one())
        return Fault(kind, table, (new,), {new: None})
    for each in ids:
        connection.execute(sa.text(deed), {"id": each})
    return Fault(kind, table, ids, before)


def undo_fault(connection: Connection, fault: Fault) -> None:
    """Put the rows of a fault back exactly as they were."""
    for each, row in fault.before.items():
        connection.execute(sa.text(f"delete from justice.{fault.table} where id = :id"), {"id": each})  # noqa: S608
        if row is not None:
            connection.execute(
                sa.text(
                    f"insert into justice.{fault.table}"  # noqa: S608 - a table this file wrote to
                    f" select * from json_populate_record(null::justice.{fault.table}, cast(:row as json))"
                ),
                {"row": row},
            )


def _row(connection: Connection, table: str, record: str) -> str:
    query = sa.text(f"select row_to_json(t)::text from justice.{table} t where id = :id")  # noqa: S608
    return str(connection.execute(query, {"id": record}).scalar_one())


def exchange_codes(path: Path, *, is_undone: bool = False) -> bool:
    """Exchange two meanings in a file of code maps, or put them back; tells whether they were there."""
    old, new = reversed(CODES) if is_undone else CODES
    text = path.read_text(encoding="utf-8")
    if old not in text:
        return False
    path.write_text(text.replace(old, new), encoding="utf-8")
    return True


_DOUBLE = (
    "insert into justice.person_identity select r.* from justice.person_identity t cross join lateral"
    " jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid())) r where t.id = :id returning id::text"
)
_STATES = "case case_status_code when 'OPEN' then 'TRANSMITTED' else 'OPEN' end"

_SEEDED: dict[FaultKind, tuple[str, str, str, int]] = {
    FaultKind.LOST_ROW: ("offense", "true", "delete from justice.offense where id = :id", 1),
    FaultKind.DOUBLED_ROW: ("person_identity", "true", _DOUBLE, 1),
    FaultKind.SWAPPED_COLUMN: (
        "person_identity",
        "surname is not null and given_names is not null and surname <> given_names",
        "update justice.person_identity set surname = given_names, given_names = surname where id = :id",
        1,
    ),
    FaultKind.TRUNCATED_TEXT: (
        "location",
        "length(street_name) > 8",
        "update justice.location set street_name = left(street_name, 6) where id = :id",
        1,
    ),
    FaultKind.SHIFTED_ZONE: (
        "incident",
        "occurred_from is not null",
        "update justice.incident set occurred_from = occurred_from + interval '1 hour' where id = :id",
        SHIFTED,
    ),
    FaultKind.WRONG_CODE_MAP: (
        "case_file",
        "case_status_code in ('OPEN', 'TRANSMITTED')",
        f"update justice.case_file set case_status_code = {_STATES} where id = :id",  # noqa: S608
        1_000_000,
    ),
    FaultKind.ROGUE_UPDATE: (
        "person_identity",
        "nationality_code is not null",
        "update justice.person_identity set nationality_code = 'XXX' where id = :id",
        1,
    ),
}
"""Where each fault is seeded: table, which records, the deed on one of them, and on how many at most."""
