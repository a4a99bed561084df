"""Forward: legacy rows in, the fate of each row out, with canonical records, residue, digests and identifiers.

What the way back would write is computed here for every row; a raw cell that would not come back byte for byte is
kept as residue. A field that cannot be carried is left empty, kept as residue and listed: it never blocks its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

import polars as pl

from banyan.errors import SourceDrifted
from mappings.compile import Compiled
from mappings.emission import identify_rows
from mappings.fate_masks import filtered_by, holds, key_fault, key_of_row
from mappings.lanes import Lane
from mappings.lookups import seat
from mappings.outcomes import MapContext, Mapped, RoundTrip
from mappings.reading import read_rows
from mappings.residue import pack


def apply_forward(compiled: Compiled, rows: pl.DataFrame, context: MapContext, *, lane: Lane = Lane.AUTO) -> Mapped:
    """Map a batch of legacy rows: every row gets exactly one fate, loaded rows their canonical records."""
    refuse_drift(compiled, rows)
    compiled = seat(compiled, context.looked_up, rows=rows.height)
    ruleset = compiled.ruleset
    keyed = rows.with_columns(key_of_row(ruleset).alias("source_key"))
    fates = keyed.select(
        "source_key",
        (holds(ruleset.deletes) if ruleset.deletes else pl.lit(value=False)).alias("is_deleted"),
        filtered_by(ruleset, context).alias("rule"),
    )
    is_filtered = ~pl.col("is_deleted") & pl.col("rule").is_not_null()
    undecided = keyed.filter(fates.select(~pl.col("is_deleted") & pl.col("rule").is_null()).to_series())
    faults = undecided.select("source_key", key_fault().alias("cause"))

    reading = read_rows(compiled, undecided.filter(faults["cause"].is_null()), lane)
    blocking = reading.blocking_cause()
    loads = blocking.is_null()
    keep = _Keep(loads, whole=not reading.blocking)
    refused = pl.DataFrame({"source_key": reading.live["source_key"], "cause": blocking})

    loaded = identify_rows(
        compiled,
        context,
        reading.live if keep.whole else reading.live.filter(loads),
        keep.all(reading.present),
    )
    residue, round_trip = _keep_residue(compiled, loaded.rows, keep.all(reading.lost))
    return Mapped(
        parts={
            part.rule.name: loaded.emit_part(part, keep.all(reading.values[part.rule.name])) for part in compiled.parts
        },
        crosswalk=loaded.crosswalk(residue),
        links=loaded.links(),
        deleted=fates.filter("is_deleted").select("source_key"),
        filtered=fates.filter(is_filtered).select("source_key", "rule"),
        rejected=pl.concat([faults.drop_nulls("cause"), refused.drop_nulls("cause")]),
        rejected_fields=reading.list_fields(reading.rejected, loads),
        warned_fields=reading.list_fields(reading.warned, loads),
        round_trip=round_trip,
    )


@dataclass(frozen=True, slots=True)
class _Keep:
    """The rows that are loaded, among those that were read; most often all of them."""

    loads: pl.Series = field(repr=False)
    whole: bool

    def all(self, columns: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
        """Give the columns of the rows that are loaded."""
        if self.whole:
            return dict(columns)
        return {name: column.filter(self.loads) for name, column in columns.items()}


def refuse_drift(compiled: Compiled, rows: pl.DataFrame) -> None:
    """Refuse rows whose columns are not the ones that the ruleset describes; dropped ones may be left out."""
    ruleset, schema = compiled.ruleset, rows.schema
    missing = [column for column in compiled.hashed if column not in schema]
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


def _keep_residue(compiled: Compiled, loaded: pl.DataFrame, lost: dict[str, pl.Series]) -> tuple[pl.Series, RoundTrip]:
    """Pack what would be lost of the loaded rows, and count what the round trip costs."""
    inexact = reduce(or_, lost.values()) if lost else pl.Series([False]).new_from_index(0, loaded.height)
    carried = loaded.select(pl.col(compiled.carried).is_not_null())
    kept = lost | {column: carried[column] for column in compiled.carried}
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
