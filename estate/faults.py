"""Faults that hurt real migrations, seeded one by one in a synthetic store, each with what puts it right again.

Rows are changed by the account of the forward applier, which may while the old system owns them, and behind the back of
the applier itself: nothing is marked, nothing is counted. All of it is invented data; what is undone is kept in clear.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Closure

SHIFTED = 5
"""Records whose hours are shifted: a zone mistaken never touches one record alone."""
CODES = (
    ("E: OPEN, T: TRANSMITTED", "E: TRANSMITTED, T: OPEN"),
    ("A: OPEN, T: TRANSMITTED", "A: TRANSMITTED, T: OPEN"),
    ("en cours: OPEN, transmis: TRANSMITTED", "en cours: TRANSMITTED, transmis: OPEN"),
)
"""The code map of the states of a case, and the same with two meanings exchanged: in ORION, MAREL and BUREAU."""


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
    """A fault that was seeded: in which closure, on which records, and the rows as they were (none where none was)."""

    kind: FaultKind
    closure: str
    table: str
    ids: tuple[str, ...]
    before: dict[str, str | None] = field(default_factory=dict, repr=False)

    def as_text(self) -> str:
        """Write the fault as JSON, so that another command can put it right."""
        return json.dumps(
            {
                "kind": self.kind,
                "closure": self.closure,
                "table": self.table,
                "ids": self.ids,
                "before": self.before,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> "Fault":
        """Read a fault that `as_text` wrote."""
        plain = json.loads(text)
        return cls(FaultKind(plain["kind"]), plain["closure"], plain["table"], tuple(plain["ids"]), plain["before"])


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a fault can be seeded: a table, which of its records, the deed on one of them, and on how many at most."""

    table: str
    which: str
    deed: str
    many: int = 1


def seed_fault(connection: Connection, kind: FaultKind, closure: Closure, *, tables: Collection[str]) -> Fault | None:
    """Seed one fault in the records that a closure owns in these tables; None when none of them can carry it.

    Records of other closures are left alone: whoever judges this closure would never look at them.
    """
    for seat in SEATS.get(kind, ()):
        ids = _find(connection, seat, closure) if seat.table in tables else ()
        if ids:
            return _seed(connection, kind, closure, seat=seat, ids=ids)
    return None


def _find(connection: Connection, seat: Seat, closure: Closure) -> tuple[str, ...]:
    query = sa.text(
        f"select id::text from justice.{seat.table} where department_code = :d"  # noqa: S608 - words of this file
        f" and domain_code = any(:domains) and {seat.which} order by id limit :many"
    )
    asked = {"d": closure.department_code, "domains": list(closure.domains), "many": seat.many}
    return tuple(connection.scalars(query, asked))


def _seed(connection: Connection, kind: FaultKind, closure: Closure, *, seat: Seat, ids: tuple[str, ...]) -> Fault:
    before: dict[str, str | None] = {each: _row(connection, seat.table, each) for each in ids}
    if kind is FaultKind.DOUBLED_ROW:
        new = str(connection.execute(sa.text(seat.deed), {"id": ids[0]}).scalar_one())
        return Fault(kind, closure.name, seat.table, (new,), {new: None})
    for each in ids:
        connection.execute(sa.text(seat.deed), {"id": each})
    return Fault(kind, closure.name, seat.table, ids, before)


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
    text = path.read_text(encoding="utf-8")
    for right, wrong in CODES:
        old, new = (wrong, right) if is_undone else (right, wrong)
        if old in text:
            path.write_text(text.replace(old, new), encoding="utf-8")
            return True
    return False


_STATES = "case case_status_code when 'OPEN' then 'TRANSMITTED' else 'OPEN' end"


def _removed(table: str) -> Seat:
    return Seat(table, "true", f"delete from justice.{table} where id = :id")  # noqa: S608 - words of this file


def _doubled(table: str) -> Seat:
    deed = (
        f"insert into justice.{table} select r.* from justice.{table} t cross join lateral"  # noqa: S608
        " jsonb_populate_record(t, jsonb_build_object('id', gen_random_uuid())) r where t.id = :id returning id::text"
    )
    return Seat(table, "true", deed)


def _exchanged(table: str, one: str, other: str) -> Seat:
    return Seat(
        table,
        f"{one} is not null and {other} is not null and {one} <> {other}",
        f"update justice.{table} set {one} = {other}, {other} = {one} where id = :id",  # noqa: S608
    )


def _cut(table: str, column: str) -> Seat:
    deed = f"update justice.{table} set {column} = left({column}, 6) where id = :id"  # noqa: S608
    return Seat(table, f"length({column}) > 8 and rtrim(left({column}, 6)) = left({column}, 6)", deed)


def _later(table: str, column: str) -> Seat:
    deed = f"update justice.{table} set {column} = {column} + interval '1 hour' where id = :id"  # noqa: S608
    return Seat(table, f"{column} is not null", deed, SHIFTED)


def _written(table: str, column: str) -> Seat:
    deed = f"update justice.{table} set {column} = 'XXX' where id = :id"  # noqa: S608
    return Seat(table, f"{column} is not null", deed)


SEATS: dict[FaultKind, tuple[Seat, ...]] = {
    FaultKind.LOST_ROW: tuple(map(_removed, ("offense", "incident", "evidence", "document", "recorded_code"))),
    FaultKind.DOUBLED_ROW: tuple(
        map(_doubled, ("person_identity", "incident", "evidence", "document", "recorded_code"))
    ),
    FaultKind.SWAPPED_COLUMN: (
        _exchanged("person_identity", "surname", "given_names"),
        _exchanged("evidence", "description", "storage_location_text"),
        _exchanged("document", "document_number", "title"),
        _exchanged("enforcement_unit", "unit_code", "name"),
    ),
    FaultKind.TRUNCATED_TEXT: (
        _cut("location", "street_name"),
        _cut("evidence", "description"),
        _cut("document", "title"),
        _cut("incident", "summary"),
        _cut("location", "city_name"),
        _cut("enforcement_unit", "name"),
    ),
    FaultKind.SHIFTED_ZONE: (
        _later("incident", "occurred_from"),
        _later("evidence", "sealed_at"),
        _later("document", "drawn_up_at"),
    ),
    FaultKind.WRONG_CODE_MAP: (
        Seat(
            "case_file",
            "case_status_code in ('OPEN', 'TRANSMITTED')",
            f"update justice.case_file set case_status_code = {_STATES} where id = :id",  # noqa: S608
            1_000_000,
        ),
    ),
    FaultKind.ROGUE_UPDATE: (
        _written("person_identity", "nationality_code"),
        _written("evidence", "storage_location_text"),
        _written("document", "title"),
        _written("incident", "summary"),
        _written("location", "city_name"),
        _written("enforcement_unit", "name"),
    ),
}
"""Where each fault is seeded: the first of these tables in which the closure owns a record that can carry it."""
