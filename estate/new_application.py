"""Officers who work in the new application: edits of the canonical side, each in a transaction of its own.

Values come from other rows of the same column, so that most edits can be said in the old system; a declared share
cannot (too long, unknown code, a second vehicle where the old form has one box), to see them listed as degraded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import UUID as PgUUID

from banyan.canonical.model import TABLES, Kind
from banyan.clock import new_id

EditUnits = Mapping[str, Sequence[tuple[str, ...]]]
"""By canonical table, the groups of columns that one form field changes together."""

_TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.UUID: PgUUID(as_uuid=True),
    Kind.TEXT: sa.Text(),
}
_INSERT_EVERY, _DELETE_EVERY, _BEYOND_EVERY = 7, 9, 20


Beyond = tuple[tuple[str, Mapping[str, object]], ...]
_BEYOND: Beyond = (
    ("person_identity", {"surname": "DE LA TOUR DU PIN CHAMBLY DE LA CHARCE DE VERCLAUSE D'AUTICHAMP"}),
    ("contact_means", {"contact_category_code": "PAGER"}),
    ("case_file", {"note_text": "x" * 300}),
    ("vehicle", {}),
    ("person_identity", {"occupation_text": "y" * 80}),
)
_LONG_NAME = "DE LA TOUR DU PIN CHAMBLY DE LA CHARCE DE VERCLAUSE D'AUTICHAMP DE SAINT-GUILHEM-LE-DÉSERT ET DU CAYLAR"


@dataclass(frozen=True, slots=True)
class Desk:
    """What the officers of one department have on their desk: the domains of their closure, and what they do there.

    `beyond` is what the old system of that department cannot say; no columns stand for a second vehicle.
    """

    domains: tuple[str, ...]
    adds: tuple[str, ...]
    deletable: tuple[str, ...]
    beyond: Beyond
    moves_records: bool = False
    """Whether they hang a record on another case or person."""


ORION_DESK = Desk(
    ("cases", "vehicles"),
    ("case", "person", "vehicle"),
    ("contact_means", "disposition"),
    _BEYOND,
    moves_records=True,
)
BUREAU_DESK = Desk(
    ("cases", "custody", "vehicles"),
    ("case", "person"),
    ("evidence",),
    (("person_identity", {"surname": _LONG_NAME}), ("vehicle", {})),
)
MAREL_DESK = Desk(
    ("cases",),
    ("case", "person"),
    ("contact_means", "disposition"),
    (("person_identity", {"surname": _LONG_NAME}), ("contact_means", {"contact_category_code": "PAGER"})),
)


@dataclass(slots=True)
class Work:
    """What was done: counts of edits by kind, and which records were touched (ids only)."""

    updates: int = 0
    inserts: int = 0
    deletes: int = 0
    beyond_the_old_system: int = 0
    columns_edited: set[str] = field(default_factory=set)

    @property
    def edits(self) -> int:
        """Give the number of committed edits."""
        return self.updates + self.inserts + self.deletes


class Application:
    """The new application of one department, connected as the role `banyan_app`."""

    def __init__(
        self, engine: sa.Engine, department_code: str, edit_units: EditUnits, *, seed: int, desk: Desk = ORION_DESK
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._department = department_code
        self._units = [(table, unit) for table in sorted(edit_units) for unit in edit_units[table]]
        self._random = Random(seed)
        self._tables = {name: _core_table(name) for name in edit_units}
        self._ids: dict[str, list[UUID]] = {}
        self.work = Work()

    def do(self, edits: int) -> Work:
        """Make at least this many edits: two thirds updates over all columns, a quarter inserts, some deletes."""
        for name, table in self._tables.items():
            with self._engine.connect() as connection:
                rows = connection.execute(
                    sa.select(table.c.id)
                    .where(table.c.department_code == self._department, table.c.domain_code.in_(self._desk.domains))
                    .order_by(table.c.id)
                )
                self._ids[name] = list(rows.scalars())
        turn = 0
        while self.work.edits < edits:
            turn += 1
            if turn % _BEYOND_EVERY == 0:
                self._go_beyond(turn // _BEYOND_EVERY)
            elif turn % _DELETE_EVERY == 0:
                self._delete(turn // _DELETE_EVERY)
            elif turn % _INSERT_EVERY == 0:
                self._insert(turn // _INSERT_EVERY)
            else:
                self._update(turn)
        return self.work

    def _pick(self, table: str) -> UUID:
        return self._random.choice(self._ids[table])

    def _update(self, turn: int) -> None:
        name, unit = self._units[turn % len(self._units)]
        table = self._tables[name]
        if len(self._ids[name]) < 2:
            return
        donor = table.alias("donor")
        values = sa.select(*[donor.c[column] for column in unit]).where(
            donor.c.id == self._pick(name), donor.c.department_code == self._department
        )
        with self._engine.begin() as connection:
            given = connection.execute(values).one_or_none()
            if given is None:
                return
            done = connection.execute(
                self._changing(table, self._pick(name), dict(zip(unit, given, strict=True)))
            ).rowcount
        if done:
            self.work.updates += 1
            self.work.columns_edited.update(f"{name}.{column}" for column in unit)

    def _changing(self, table: sa.TableClause, row_id: UUID, values: Mapping[str, object]) -> sa.Update:
        return (
            sa.update(table)
            .where(table.c.id == row_id, table.c.department_code == self._department)
            .values({**values, "row_version": table.c.row_version + 1, "updated_at": sa.func.now()})
        )

    def _insert(self, turn: int) -> None:
        deeds = {"case": self._open_case, "person": self._add_person, "vehicle": self._add_vehicle}
        deeds[self._desk.adds[turn % len(self._desk.adds)]](turn)

    def _copy(
        self, connection: sa.Connection, name: str, changes: Mapping[str, object], new: UUID | None = None
    ) -> UUID:
        """Insert a copy of some row under a new id, with some columns said otherwise; counts one insert."""
        table = self._tables[name]
        new = new or UUID(bytes=new_id())
        columns = [column.name for column in TABLES[name].columns]
        donor = connection.execute(
            sa.select(*[table.c[column] for column in (*columns, "domain_code")])
            .where(table.c.department_code == self._department)
            .where(table.c.id == self._pick(name))
        ).one_or_none()
        given = dict(zip((*columns, "domain_code"), donor, strict=True)) if donor else {"domain_code": "cases"}
        given |= {"id": new, "department_code": self._department, "origin": "TARGET"} | dict(changes)
        connection.execute(sa.insert(table).values(given))
        self._ids[name].append(new)
        self.work.inserts += 1
        return new

    def _open_case(self, turn: int) -> None:
        number = f"{turn:05d}/2026".ljust(12)  # as the old form prints it
        with self._engine.begin() as connection:
            case = self._copy(
                connection, "case_file", {"case_number": number, "case_number_normalised": f"{turn}/2026"}
            )
            incident = UUID(bytes=new_id())
            self._copy(connection, "offense", {"case_file_id": case, "incident_id": incident})
            self._copy(connection, "incident", {"case_file_id": case}, new=incident)

    def _add_person(self, _: int) -> None:
        with self._engine.begin() as connection:
            identity = self._copy(connection, "person_identity", {})
            self._copy(
                connection,
                "participation",
                {"person_identity_id": identity, "case_file_id": self._pick("case_file"), "role_code": "VICTIM"},
            )

    def _add_vehicle(self, _: int) -> None:
        with self._engine.begin() as connection:
            item = self._copy(
                connection,
                "item",
                {
                    **({"case_file_id": self._pick("case_file")} if "case_file" in self._tables else {}),
                    "item_category_code": "VEHICLE",
                    "domain_code": "vehicles",
                    "description": None,
                    "serial_number": None,
                    "quantity": None,
                    "value_eur": None,
                    "item_status_code": "STOLEN",
                },
            )
            self._copy(connection, "vehicle", {"item_id": item, "person_identity_id": None, "domain_code": "vehicles"})

    def _delete(self, turn: int) -> None:
        name = self._desk.deletable[turn % len(self._desk.deletable)]
        if not self._ids[name]:
            return
        row_id = self._ids[name].pop(self._random.randrange(len(self._ids[name])))
        table = self._tables[name]
        with self._engine.begin() as connection:
            self.work.deletes += connection.execute(
                sa.delete(table).where(table.c.id == row_id, table.c.department_code == self._department)
            ).rowcount

    def _go_beyond(self, turn: int) -> None:
        """Say what the old system cannot: each kind in its turn."""
        table, values = self._desk.beyond[turn % len(self._desk.beyond)]
        with self._engine.begin() as connection:
            if not values:  # a second vehicle stated by one identity: the old form has one box
                identity = self._pick("person_identity")
                for _ in range(2):
                    self._copy(
                        connection,
                        "vehicle",
                        {"item_id": None, "person_identity_id": identity, "domain_code": "vehicles"},
                    )
            else:
                self.work.updates += connection.execute(
                    self._changing(self._tables[table], self._pick(table), values)
                ).rowcount
        self.work.beyond_the_old_system += 1


def _core_table(name: str) -> sa.TableClause:
    columns = [*TABLES[name].columns, *(TABLES[name].column(tail) for tail in _TAIL_COLUMNS)]
    return sa.table(
        name, *[sa.column(column.name, _TYPES.get(column.kind, sa.types.NullType())) for column in columns],
        schema="justice",
    )  # fmt: skip


_TAIL_COLUMNS = ("id", "department_code", "domain_code", "origin", "row_version", "updated_at")
