"""What the way back starts from: canonical rows as they stand now, aligned with residue and previous legacy rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from banyan.errors import ConservationBroken
from banyan.records import KEY_SEPARATOR
from mappings.compile import Compiled
from mappings.outcomes import Lookups
from mappings.plans import LensPlan, PartPlan
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
    keys: pl.DataFrame = field(repr=False)
    """The key columns of each row."""
    board: pl.DataFrame = field(repr=False)
    """The canonical values of all fields that lenses answer, under the names of their plans."""

    @property
    def height(self) -> int:
        """Give the number of rows to write back."""
        return len(self.main_ids)

    def present(self, part: PartPlan) -> pl.Series:
        """Tell which rows have a part."""
        return self.parts[part.rule.name][PRESENT]

    def values(self, plan: LensPlan) -> list[pl.Series]:
        """Give the canonical values of one field."""
        return [self.board[plan.names.value(number)] for number in range(len(plan.outputs))]


def align(compiled: Compiled, parts: Mapping[str, pl.DataFrame], crosswalk: pl.DataFrame, lookups: Lookups) -> Current:
    """Put canonical rows, crosswalk, residue and previous legacy rows side by side."""
    main = compiled.main.rule.name
    ids = parts[main].select(pl.col("id").alias("main_id"))
    _refuse_twice(ids["main_id"], main)
    known = crosswalk.select(pl.col("id").alias("main_id"), "source_key", "residue", pl.lit(value=True).alias("known"))
    _refuse_twice(known["main_id"], "crosswalk")
    base = ids.join(known, on="main_id", how="left", maintain_order="left")
    previous = _previous_rows(compiled, base["source_key"], lookups.previous)
    columns = (*compiled.owned, *compiled.carried)
    numbers = {column: compiled.ruleset.field_number(column) for column in columns}
    residue = unpack(base["residue"].cast(pl.Binary), tuple(numbers.values()))
    aligned = {part.rule.name: _align_part(part, ids, parts.get(part.rule.name)) for part in compiled.parts}
    return Current(
        compiled=compiled,
        main_ids=base["main_id"],
        source_keys=base["source_key"],
        is_new=base["known"].is_null(),
        has_previous=previous["known"].is_not_null(),
        parts=aligned,
        cells={
            column: Cell(residue[number]["kept"], residue[number]["raw"], previous[column])
            for column, number in numbers.items()
        },
        keys=_key_columns(compiled, base["source_key"]),
        board=_set_board(compiled, aligned),
    )


def _key_columns(compiled: Compiled, source_keys: pl.Series) -> pl.DataFrame:
    names = compiled.ruleset.key
    columns = split_key(source_keys, len(names))
    return pl.DataFrame([column.alias(name) for name, column in zip(names, columns, strict=True)])


def split_key(keys: pl.Series, count: int) -> list[pl.Series]:
    """Give the columns of keys that are told as one text each."""
    if count == 1:
        return [keys]
    split = keys.str.split_exact(KEY_SEPARATOR, count - 1)
    return [split.struct.field(f"field_{number}") for number in range(count)]


def _set_board(compiled: Compiled, parts: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            parts[part.rule.name][output.name].alias(plan.names.value(number))
            for part in compiled.parts
            for plan in part.lenses
            for number, output in enumerate(plan.outputs)
        ]
    )


def _align_part(part: PartPlan, ids: pl.DataFrame, rows: pl.DataFrame | None) -> pl.DataFrame:
    wanted = ["id", *part.dtypes]
    if rows is None:
        rows = pl.DataFrame(schema={"main_id": pl.Binary, "id": pl.Binary, **part.dtypes})
    if part.rule.main:
        return _typed(rows.select(wanted), part).with_columns(pl.lit(value=True).alias(PRESENT))
    _refuse_twice(rows["main_id"], part.rule.name)
    typed = _typed(rows.select("main_id", *wanted), part).with_columns(pl.lit(value=True).alias(PRESENT))
    return ids.join(typed, on="main_id", how="left", maintain_order="left").with_columns(
        pl.col(PRESENT).fill_null(value=False)
    )


def _typed(rows: pl.DataFrame, part: PartPlan) -> pl.DataFrame:
    schema = rows.schema
    if all(schema[column] == dtype for column, dtype in part.dtypes.items()):
        return rows
    return rows.cast(dict(part.dtypes))  # type: ignore[arg-type]


def _previous_rows(compiled: Compiled, keys: pl.Series, previous: pl.DataFrame | None) -> pl.DataFrame:
    columns = [column for column in compiled.written if column not in compiled.ruleset.key]
    if previous is None:
        nothing = pl.Series(dtype=pl.String).extend_constant(None, len(keys))
        known = pl.Series("known", dtype=pl.Boolean).extend_constant(None, len(keys))
        return pl.DataFrame([known, *(nothing.alias(column) for column in columns)])
    held = previous.select(
        pl.concat_str([pl.col(name) for name in compiled.ruleset.key], separator=KEY_SEPARATOR).alias("source_key"),
        *columns,
        pl.lit(value=True).alias("known"),
    )
    _refuse_twice(held["source_key"], "previous legacy rows")
    return pl.DataFrame([keys.alias("source_key")]).join(held, on="source_key", how="left", maintain_order="left")


def _refuse_twice(ids: pl.Series, what: str) -> None:
    known = ids.drop_nulls()
    if known.n_unique() == len(known):
        return
    twice = int(known.is_duplicated().sum())
    raise ConservationBroken(
        f"{twice} rows of {what} claim a legacy row that another one claims; nothing was written back",
        hint="banyan recon run",
        rows=twice,
    )
