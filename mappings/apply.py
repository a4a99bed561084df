"""Forward: legacy rows in, the fate of each row out, with canonical records, residue, digests and identifiers.

What the way back would write is computed here for every row; a raw cell that would not come back byte for byte is
kept as residue. A field that cannot be carried is left empty, kept as residue and listed: it never blocks its row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TypeVar

import polars as pl

from banyan.errors import SourceDrifted
from mappings.compile import Compiled
from mappings.emission import identify_rows
from mappings.fate_masks import filtered_by, holds, key_fault, key_of_row
from mappings.lanes import Lane
from mappings.lookups import seat
from mappings.outcomes import MapContext, Mapped, RoundTrip, Wanted
from mappings.reading import read_rows
from mappings.residue import pack

Name = TypeVar("Name", str, tuple[str, str])


def apply_forward(
    compiled: Compiled,
    rows: pl.DataFrame,
    context: MapContext,
    *,
    lane: Lane = Lane.AUTO,
    wanted: Wanted = Wanted.EVERYTHING,
) -> Mapped:
    """Map a batch of legacy rows: every row gets exactly one fate, loaded rows their canonical records.

    Where only records are wanted, the columns that nothing but residue is made of may be left out.
    """
    refuse_drift(compiled, rows, needed=compiled.telling if wanted is Wanted.RECORDS else compiled.hashed)
    compiled = seat(compiled, context.looked_up, rows=rows.height)
    fates = _Fates.find(compiled, rows, context)

    reading = read_rows(compiled, fates.live, lane, is_losing=wanted is not Wanted.RECORDS)
    loads = reading.loads()
    keep = _Keep(loads, whole=not reading.blocking)

    loaded = identify_rows(
        compiled,
        context,
        reading.live if keep.whole else reading.live.filter(loads),
        keep.all(reading.present),
        referred=keep.all(reading.referred),
    )
    if wanted is Wanted.RECORDS:
        crosswalk, round_trip = loaded.identities(), RoundTrip(0, 0, 0, 0, 0)
    else:
        lost, carried = keep.all(reading.lost), keep.all(reading.carried)
        residue, round_trip = _keep_residue(compiled, loaded.rows, lost, carried)
        crosswalk = loaded.crosswalk(residue)
    return Mapped(
        parts={
            part.rule.name: loaded.emit_part(part, keep.all(reading.values[part.rule.name])) for part in compiled.parts
        },
        crosswalk=crosswalk,
        links=loaded.links(),
        deleted=fates.deleted,
        filtered=fates.filtered,
        rejected=pl.concat([fates.faults, reading.refused()]),
        rejected_fields=reading.list_fields(reading.rejected, loads),
        warned_fields=reading.list_fields(reading.warned, loads),
        round_trip=round_trip,
    )


@dataclass(frozen=True, slots=True)
class _Fates:
    """What becomes of each row before any field is read: deleted, filtered, without a usable key, or live."""

    deleted: pl.DataFrame = field(repr=False)
    filtered: pl.DataFrame = field(repr=False)
    faults: pl.DataFrame = field(repr=False)
    live: pl.DataFrame = field(repr=False)

    @classmethod
    def find(cls, compiled: Compiled, rows: pl.DataFrame, context: MapContext) -> "_Fates":
        """Judge every row; where all are live, as most often, nothing is taken apart."""
        ruleset, key = compiled.ruleset, key_of_row(compiled.ruleset)
        fates = rows.select(
            key.alias("source_key"),
            (holds(ruleset.deletes) if ruleset.deletes else pl.lit(value=False)).alias("is_deleted"),
            filtered_by(ruleset, context).alias("rule"),
        )
        keyed = rows.hstack([fates["source_key"]])
        deleted = filtered = fates.clear()
        if fates["is_deleted"].any() or fates["rule"].null_count() < fates.height:
            deleted = fates.filter("is_deleted")
            filtered = fates.filter(~pl.col("is_deleted") & pl.col("rule").is_not_null())
            keyed = keyed.filter(fates.select(~pl.col("is_deleted") & pl.col("rule").is_null()).to_series())
        fault = key_fault(pl.col("source_key"), columns=len(ruleset.key))
        judged = keyed.select("source_key", fault.alias("cause"))
        faults = judged.clear()
        if judged["cause"].null_count() < judged.height:
            faults = judged.drop_nulls("cause")
            keyed = keyed.filter(judged["cause"].is_null())
        return cls(
            deleted=deleted[["source_key"]],
            filtered=filtered[["source_key", "rule"]],
            faults=faults[["source_key", "cause"]],
            live=keyed,
        )


@dataclass(frozen=True, slots=True)
class _Keep:
    """The rows that are loaded, among those that were read; most often all of them."""

    loads: pl.Series = field(repr=False)
    whole: bool

    def all(self, columns: Mapping[Name, pl.Series]) -> dict[Name, pl.Series]:
        """Give the columns of the rows that are loaded."""
        if self.whole:
            return dict(columns)
        return {name: column.filter(self.loads) for name, column in columns.items()}


def refuse_drift(compiled: Compiled, rows: pl.DataFrame, *, needed: Sequence[str]) -> None:
    """Refuse rows whose columns are not the ones that the ruleset describes; those not needed may be left out."""
    ruleset, schema = compiled.ruleset, rows.schema
    missing = [column for column in needed if column not in schema]
    unknown = [column for column in schema if column not in ruleset.columns]
    not_text = [column for column, dtype in schema.items() if dtype != pl.String()]
    if missing or unknown or not_text:
        raise SourceDrifted(
            f"{ruleset.table} does not have the columns that {ruleset.rule_id} describes; nothing was mapped",
            hint="banyan map coverage",
            missing=missing,
            unknown=unknown,
            not_text=not_text,
        )


def _keep_residue(
    compiled: Compiled, loaded: pl.DataFrame, lost: dict[str, pl.Series], carried: dict[str, pl.Series]
) -> tuple[pl.Series, RoundTrip]:
    """Pack what would be lost of the loaded rows, and count what the round trip costs."""
    inexact = reduce(or_, lost.values()) if lost else pl.Series([False]).new_from_index(0, loaded.height)
    kept = lost | carried
    numbers = {column: compiled.ruleset.field_number(column) for column in kept}
    residue = pack(
        {number: loaded[column] for column, number in numbers.items()},
        {number: kept[column] for column, number in numbers.items()},
        height=loaded.height,
    )
    return residue, RoundTrip(
        rows=loaded.height,
        exact_without_residue=loaded.height - int(inexact.sum()),
        fields=loaded.height * len(kept),
        residue_fields=sum(int(mask.sum()) for mask in kept.values()),
        residue_bytes=int(residue.bin.size().sum() or 0),
    )
