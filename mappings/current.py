"""What the way back starts from: canonical rows as they stand now, aligned with residue and previous legacy rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from banyan.errors import ConservationBroken
from banyan.records import KEY_SEPARATOR
from mappings.compile import Compiled
from mappings.outcomes import Lookups
from mappings.plans import LensPlan, PartPlan, value_name
from mappings.residue import unpack

PRESENT = "is present"
"""Says, in the frame of a part, whether the row has it; the blank keeps the name apart from canonical columns."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is remembered of one source column: the residue of each row, and its text in the old system now."""

    kept: pl.Series = field(repr=False)
    residue: pl.Series = field(repr=False)
    previous: pl.Series = field(repr=False)

    def remembered(self) -> pl.Series:
        """Give the residue where there is one, else the previous text, else null."""
        return self.residue.zip_with(self.kept, self.previous)

    def or_written(self, written: pl.Series) -> pl.Series:
        """Give the residue where there is one, else what is written."""
        return self.residue.zip_with(self.kept, written)


@dataclass(frozen=True, slots=True)
class Current:
    """Rows to write back, one for each row of the main part, everything in the same order."""

    compiled: Compiled
    main_ids: pl.Series = field(repr=False)
    source_keys: pl.Series = field(repr=False)
    is_new: pl.Series = field(repr=False)
    """Rows without a crosswalk row: born in the target and never written."""
    has_previous: pl.Series = field(repr=False)
    parts: dict[str, pl.DataFrame] = field(repr=False)
    cells: dict[str, Cell] = field(repr=False)

    @property
    def height(self) -> int:
        """Give the number of rows to write back."""
        return len(self.main_ids)

    def present(self, part: PartPlan) -> pl.Series:
        """Tell which rows have a part."""
        return self.parts[part.rule.name][PRESENT]

    def values(self, part: PartPlan, plan: LensPlan) -> pl.DataFrame:
        """Give the canonical values of one field, under the names of the plan."""
        frame = self.parts[part.rule.name]
        return frame.select(pl.col(output.name).alias(value_name(number)) for number, output in enumerate(plan.outputs))

    def keys(self) -> pl.DataFrame:
        """Give the key columns of each row."""
        names = self.compiled.ruleset.key
        if len(names) == 1:
            return pl.DataFrame({names[0]: self.source_keys})
        split = self.source_keys.str.split_exact(KEY_SEPARATOR, len(names) - 1)
        return pl.DataFrame({name: split.struct.field(f"field_{number}") for number, name in enumerate(names)})


def align(compiled: Compiled, parts: Mapping[str, pl.DataFrame], crosswalk: pl.DataFrame, lookups: Lookups) -> Current:
    """Put canonical rows, crosswalk, residue and previous legacy rows side by side."""
    main = compiled.main.rule.name
    ids = parts[main].select(pl.col("id").alias("main_id"))
    _refuse_twice(ids, main)
    known = crosswalk.select(pl.col("id").alias("main_id"), "source_key", "residue", pl.lit(value=True).alias("known"))
    _refuse_twice(known, "crosswalk")
    base = ids.join(known, on="main_id", how="left", maintain_order="left")
    previous = _previous_rows(compiled, base["source_key"], lookups.previous)
    columns = (*compiled.owned, *compiled.carried)
    numbers = {column: compiled.ruleset.field_number(column) for column in columns}
    residue = unpack(base["residue"].cast(pl.Binary), tuple(numbers.values()))
    return Current(
        compiled=compiled,
        main_ids=base["main_id"],
        source_keys=base["source_key"],
        is_new=base["known"].is_null(),
        has_previous=previous["known"].is_not_null(),
        parts={part.rule.name: _align_part(part, ids, parts.get(part.rule.name)) for part in compiled.parts},
        cells={
            column: Cell(residue[number]["kept"], residue[number]["raw"], previous[column])
            for column, number in numbers.items()
        },
    )


def _align_part(part: PartPlan, ids: pl.DataFrame, rows: pl.DataFrame | None) -> pl.DataFrame:
    wanted = ["id", *part.dtypes]
    if rows is None:
        rows = pl.DataFrame(schema={"main_id": pl.Binary, "id": pl.Binary, **part.dtypes})
    if part.rule.main:
        rows = rows.with_columns(pl.col("id").alias("main_id"))
    _refuse_twice(rows, part.rule.name)
    typed = rows.select("main_id", *wanted).cast(dict(part.dtypes))  # type: ignore[arg-type]
    return ids.join(
        typed.with_columns(pl.lit(value=True).alias(PRESENT)), on="main_id", how="left", maintain_order="left"
    ).with_columns(pl.col(PRESENT).fill_null(value=False))


def _previous_rows(compiled: Compiled, keys: pl.Series, previous: pl.DataFrame | None) -> pl.DataFrame:
    columns = [column for column in compiled.written if column not in compiled.ruleset.key]
    frame = pl.DataFrame({"source_key": keys})
    if previous is None:
        nothing = [pl.lit(None, dtype=pl.String).alias(column) for column in columns]
        return frame.with_columns(*nothing, pl.lit(None, dtype=pl.Boolean).alias("known"))
    held = previous.select(
        pl.concat_str([pl.col(name) for name in compiled.ruleset.key], separator=KEY_SEPARATOR).alias("source_key"),
        *columns,
        pl.lit(value=True).alias("known"),
    )
    _refuse_twice(held.select(pl.col("source_key").alias("main_id")), "previous legacy rows")
    return frame.join(held, on="source_key", how="left", maintain_order="left")


def _refuse_twice(rows: pl.DataFrame, what: str) -> None:
    twice = int(rows["main_id"].drop_nulls().is_duplicated().sum())
    if twice:
        raise ConservationBroken(
            f"{twice} rows of {what} claim a legacy row that another one claims; nothing was written back",
            hint="banyan recon run",
            rows=twice,
        )
