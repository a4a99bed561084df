"""What the engine is given and what it answers, as values; no frame is ever shown by a repr."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

import polars as pl

CROSSWALK = {
    "id": pl.Binary(),
    "source_key": pl.String(),
    "key_epoch": pl.Int16(),
    "row_hash": pl.Binary(),
    "residue": pl.Binary(),
}
LINKS = {"id": pl.Binary(), "part": pl.String(), "canonical_id": pl.Binary()}
REJECTED_FIELDS = {"source_key": pl.String(), "column": pl.String(), "cause": pl.String(), "raw": pl.String()}
REFUSED = "REFUSED"
"""The kind of a degraded write-back whose whole row the old system refuses: nothing of it was written."""
DEGRADED = {
    "source_key": pl.String(),
    "main_id": pl.Binary(),
    "canonical_table": pl.String(),
    "column": pl.String(),
    "kind": pl.String(),
    "cause": pl.String(),
    "legacy_column": pl.String(),
}
TERMS = {"key": pl.String(), "until": pl.Date(), "rule_code": pl.String(), "is_expired": pl.Boolean()}
TERM_COLUMNS = {"retention_until": "until", "retention_rule_code": "rule_code"}
"""Canonical columns that the terms of retention fill, in the main part of a table whose rows are judged."""


@dataclass(frozen=True, slots=True)
class MapContext:
    """Where and when rows are mapped, and what is known of other rows.

    `adopted` (columns table, key, id, and optionally part, null for the main part) overrides computed identifiers;
    `epochs` (table, key, epoch) names the keys that the old system has used again; `filtered` gives the keys of the
    filtered rows of each parent table; `terms` (key, until, rule_code, is_expired) what was judged of the rows of the
    batch under the terms of retention; `looked_up` (key, value) what the rows of other tables say, by `table.column`.
    """

    department_code: str
    system_code: str
    time_zone: str
    digest_key: bytes = field(repr=False)
    as_of: date
    adopted: pl.DataFrame | None = field(default=None, repr=False)
    epochs: pl.DataFrame | None = field(default=None, repr=False)
    filtered: Mapping[str, pl.Series] = field(default_factory=dict, repr=False)
    terms: pl.DataFrame | None = field(default=None, repr=False)
    looked_up: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)

    @property
    def source(self) -> str:
        """Give the name of the source, as identifiers hold it."""
        return f"{self.department_code}.{self.system_code}"


class Wanted(Enum):
    """What of a mapped batch is asked for: all of it, or its records without what is remembered beside them.

    Of RECORDS the crosswalk has neither residue nor row hash (both are null), and the round trip is not counted.
    """

    EVERYTHING = "everything"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """What the way back would give without residue, counted on loaded rows.

    `exact_without_residue` counts rows whose mapped columns all come back byte for byte; `fields` counts the cells
    of mapped and residue-only columns, `residue_fields` those that live only as residue.
    """

    rows: int
    exact_without_residue: int
    fields: int
    residue_fields: int
    residue_bytes: int

    def __add__(self, other: "RoundTrip") -> "RoundTrip":
        return RoundTrip(
            self.rows + other.rows,
            self.exact_without_residue + other.exact_without_residue,
            self.fields + other.fields,
            self.residue_fields + other.residue_fields,
            self.residue_bytes + other.residue_bytes,
        )


@dataclass(frozen=True, slots=True)
class Mapped:
    """The fate of each row of a batch, and the canonical records of the rows that are loaded.

    Each row stands in exactly one of crosswalk, deleted, filtered and rejected. `rejected_fields` lists the fields
    that loaded rows leave in quarantine; `warned_fields` those that are only counted: fields of severity warn, and
    what a lens could read but wants looked at.
    """

    parts: Mapping[str, pl.DataFrame] = field(repr=False)
    crosswalk: pl.DataFrame = field(repr=False)
    links: pl.DataFrame = field(repr=False)
    deleted: pl.DataFrame = field(repr=False)
    filtered: pl.DataFrame = field(repr=False)
    rejected: pl.DataFrame = field(repr=False)
    rejected_fields: pl.DataFrame = field(repr=False)
    warned_fields: pl.DataFrame = field(repr=False)
    round_trip: RoundTrip


@dataclass(frozen=True, slots=True)
class Lookups:
    """What the way back must look up.

    `keys_by_id` gives, for each legacy table, the keys of the rows whose canonical ids are referred to (columns id,
    key); `previous`, when known, holds the legacy rows as they are now, as text columns with the key columns;
    `looked_up` is that of the context.
    """

    keys_by_id: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)
    previous: pl.DataFrame | None = field(default=None, repr=False)
    looked_up: Mapping[str, pl.DataFrame] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """Legacy rows to write, and the edits that they cannot show.

    `rows` has the key columns, then the mapped and residue-only columns, in the order of the source; `identities`
    (main_id, source_key) is aligned with it. `degraded` names the canonical column and, where one is concerned, the
    legacy column that kept its previous text or was written with less.
    """

    rows: pl.DataFrame = field(repr=False)
    identities: pl.DataFrame = field(repr=False)
    degraded: pl.DataFrame = field(repr=False)
