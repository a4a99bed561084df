"""The vocabulary of the canonical model: kinds, sensitivities, columns and tables."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Type of a canonical column, in PostgreSQL's words; the Polars types follow in wire/kinds.py."""

    UUID = "uuid"
    TEXT = "text"
    DATE = "date"
    INSTANT = "timestamptz"
    SMALLINT = "smallint"
    INTEGER = "integer"
    BIGINT = "bigint"
    NUMERIC = "numeric(18,4)"
    BOOLEAN = "boolean"
    DOUBLE = "double precision"
    BYTES = "bytea"


class Sensitivity(StrEnum):
    """How a column is protected: search views omit SPECIAL (LED art. 10), reports mask all but NONE."""

    NONE = "none"
    IDENTITY = "identity"
    CASE = "case"
    SPECIAL = "special"


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column, said once."""

    name: str
    kind: Kind
    meaning: str
    sensitivity: Sensitivity = Sensitivity.CASE
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class CanonicalTable:
    """One canonical table: its business columns; the tail is the same for all."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Give the business columns in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Give one column, tail included, by name."""
        for column in (*self.columns, *TAIL):
            if column.name == name:
                return column
        raise KeyError(name)


TAIL = (
    Column("id", Kind.UUID, "canonical identifier", Sensitivity.NONE, nullable=False),
    Column("department_code", Kind.TEXT, "department, as text", Sensitivity.NONE, nullable=False),
    Column("domain_code", Kind.TEXT, "domain of the rule that emitted it", Sensitivity.NONE, nullable=False),
    Column("origin", Kind.TEXT, "LEGACY, TARGET or STEWARD", Sensitivity.NONE, nullable=False),
    Column("row_version", Kind.BIGINT, "grows at each change", Sensitivity.NONE, nullable=False),
    Column("updated_at", Kind.INSTANT, "instant of the last change", Sensitivity.NONE, nullable=False),
)
"""Carried by every canonical table; primary key (id, department_code), partitioned by department_code."""


def code(name: str, meaning: str) -> Column:
    """Declare a coded column: text, its values in schema `code`."""
    return Column(name, Kind.TEXT, meaning, Sensitivity.NONE)


def reference(name: str, meaning: str) -> Column:
    """Declare a reference to another canonical row: a plain column, checked by an L2 rule, never a foreign key."""
    return Column(name, Kind.UUID, meaning, Sensitivity.NONE)


def personal(name: str, meaning: str, kind: Kind = Kind.TEXT) -> Column:
    """Declare a column that identifies a person."""
    return Column(name, kind, meaning, Sensitivity.IDENTITY)


def content(name: str, meaning: str, kind: Kind = Kind.TEXT) -> Column:
    """Declare a column that says something of a case."""
    return Column(name, kind, meaning, Sensitivity.CASE)


def plain(name: str, meaning: str, kind: Kind = Kind.TEXT) -> Column:
    """Declare a column without personal meaning."""
    return Column(name, kind, meaning, Sensitivity.NONE)
