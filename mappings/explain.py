"""One legacy row followed by eye: its fate, its canonical records, the row that would be written back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from banyan.records import Fate
from mappings.apply import apply_forward
from mappings.compile import Compiled
from mappings.inverse import write_back
from mappings.outcomes import Lookups, MapContext, Mapped
from mappings.plans import ReferencePlan
from mappings.residue import unpack


@dataclass(frozen=True, slots=True)
class CellTrial:
    """One source column: as found, as written back, whether only residue brings it back, and why it was refused."""

    column: str
    raw: str | None = field(repr=False)
    written: str | None = field(repr=False)
    is_written: bool
    lives_as_residue: bool
    cause: str | None

    @property
    def differs(self) -> bool:
        """Tell whether the old system would not get back what it held."""
        return self.is_written and self.raw != self.written


@dataclass(frozen=True, slots=True)
class RowTrial:
    """What a ruleset does with one legacy row."""

    rule_id: str
    fate: Fate
    reason: str | None
    """The filter rule, or the cause of the rejection."""
    records: Mapping[str, Mapping[str, object]] = field(repr=False)
    cells: tuple[CellTrial, ...] = field(repr=False)

    @property
    def differences(self) -> tuple[CellTrial, ...]:
        """Give the columns that would not come back byte for byte."""
        return tuple(cell for cell in self.cells if cell.differs)


def try_row(compiled: Compiled, row: Mapping[str, str | None], context: MapContext) -> RowTrial:
    """Map one legacy row and write it back, as a load and a reverse would; nothing is stored."""
    columns = [column for column in compiled.ruleset.columns if column in row]
    rows = pl.DataFrame([dict(row)], schema=dict.fromkeys([*columns, *(set(row) - set(columns))], pl.String))
    mapped = apply_forward(compiled, rows, context)
    fate, reason = fate_of(mapped)
    if fate is not Fate.LOADED:
        return RowTrial(compiled.ruleset.rule_id, fate, reason, {}, ())
    lookups = replace(own_references(compiled, mapped, rows), looked_up=context.looked_up)
    written = write_back(compiled, with_owners(mapped, compiled), mapped.crosswalk, lookups)
    return RowTrial(
        compiled.ruleset.rule_id,
        fate,
        None,
        {name: part.row(0, named=True) for name, part in mapped.parts.items() if not part.is_empty()},
        _cells(compiled, row, mapped, written.rows.row(0, named=True)),
    )


def fate_of(mapped: Mapped) -> tuple[Fate, str | None]:
    """Give the fate of one mapped row, and the filter or the cause that decided it."""
    if not mapped.deleted.is_empty():
        return Fate.DELETED, None
    if not mapped.filtered.is_empty():
        return Fate.FILTERED, str(mapped.filtered["rule"][0])
    if not mapped.rejected.is_empty():
        return Fate.QUARANTINED, str(mapped.rejected["cause"][0])
    return Fate.LOADED, None


def with_owners(mapped: Mapped, compiled: Compiled) -> dict[str, pl.DataFrame]:
    """Put the identifier of its main part beside each record of one mapped row, as the way back wants it."""
    main_id = mapped.crosswalk["id"]
    return {
        part.rule.name: mapped.parts[part.rule.name].with_columns(pl.lit(main_id).first().alias("main_id"))
        for part in compiled.parts
    }


def own_references(compiled: Compiled, mapped: Mapped, rows: pl.DataFrame) -> Lookups:
    """Look references up in the row itself: the keys that it held."""
    known: dict[str, list[pl.DataFrame]] = {}
    for part in compiled.parts:
        record = mapped.parts[part.rule.name]
        for plan in part.fields:
            if isinstance(plan, ReferencePlan) and not record.is_empty():
                key = rows.select(plan.key().alias("key")).to_series()
                known.setdefault(plan.table, []).append(pl.DataFrame({"id": record[plan.output], "key": key}))
    return Lookups({table: pl.concat(frames).drop_nulls() for table, frames in known.items()})


def _cells(
    compiled: Compiled, row: Mapping[str, str | None], mapped: Mapped, written: Mapping[str, str | None]
) -> tuple[CellTrial, ...]:
    ruleset = compiled.ruleset
    residue = unpack(mapped.crosswalk["residue"], range(len(ruleset.columns)))
    listed = pl.concat([mapped.rejected_fields, mapped.warned_fields])
    causes = dict(listed.select("column", "cause").rows())
    return tuple(
        CellTrial(
            column=column,
            raw=row.get(column),
            written=written.get(column),
            is_written=column in written,
            lives_as_residue=bool(residue[number]["kept"][0]),
            cause=causes.get(column),
        )
        for number, column in enumerate(ruleset.columns)
    )
