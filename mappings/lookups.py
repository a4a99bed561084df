"""Look-ups to other legacy tables: what a rule takes from which table, and the rows seated where lenses look them up.

The rows are read by whoever reads the batch, whole tables at a time and never row by row; here nothing is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from banyan.errors import ConfigurationError
from mappings.catalogue import bind_parameters
from mappings.compile import Compiled
from mappings.fate_masks import key_of_row
from mappings.lenses.lookups import LOOKED_UP, column_of, table_of
from mappings.model import FieldRule, RuleBook, Ruleset
from mappings.plans import LensPlan, PartPlan

LOOKUP_LENS = "lookup"
MOST_ROWS = 200_000
"""A table that is looked up is read whole with every batch; one of more rows is refused, for it would be read anew
for each 50,000 rows of the table that looks it up."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One table and column that a ruleset looks up, and the source columns that hold the key, field by field."""

    target: str
    sources: tuple[str, ...]

    @property
    def table(self) -> str:
        """Give the table that is looked up."""
        return table_of(self.target)


def target_of(rule: FieldRule) -> str | None:
    """Give the `table.column` that a field looks up; None for fields of other lenses."""
    if rule.lens is None or rule.lens.name != LOOKUP_LENS:
        return None
    return str(bind_parameters(rule.lens)["target"])


def find_lookups(ruleset: Ruleset) -> tuple[Lookup, ...]:
    """Give what a ruleset looks up, each target once for the columns that hold its key."""
    asked = [
        Lookup(target, rule.sources)
        for part in ruleset.parts
        for rule in part.fields
        for target in [target_of(rule)]
        if target is not None
    ]
    return tuple(dict.fromkeys(asked))


def looked_up_tables(ruleset: Ruleset) -> tuple[str, ...]:
    """Name the tables that a ruleset looks up."""
    return tuple(sorted({one.table for one in find_lookups(ruleset)}))


def say_rows(book: RuleBook, ruleset: Ruleset, rows: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Give, by `table.column`, what whole tables say to a ruleset that looks them up: columns of LOOKED_UP."""
    return {
        one.target: rows[one.table].select(
            key_of_row(book.rulesets[one.table]).alias("key"), pl.col(column_of(one.target)).alias("value")
        )
        for one in find_lookups(ruleset)
    }


def refuse_too_many(ruleset: Ruleset, table: str, count: int) -> None:
    """Refuse to look up in a table that is too large to be read with every batch."""
    if count > MOST_ROWS:
        raise ConfigurationError(
            f"{ruleset.rule_id} looks up {table}, which has {count} rows, more than {MOST_ROWS}; nothing was mapped",
            hint="refer to the record of that row with lens: ref(...), or keep the key as residue",
            rule=ruleset.rule_id,
            table=table,
        )


def seat(compiled: Compiled, looked_up: Mapping[str, pl.DataFrame], *, rows: int) -> Compiled:
    """Give what maps rows with the looked-up rows in place; nothing may be missing unless there is no row to map."""
    if not any(target_of(plan.rule) is not None for plan in compiled.lenses):
        return compiled
    missing = sorted({one.target for one in find_lookups(compiled.ruleset)} - set(looked_up))
    if missing and rows:
        raise ConfigurationError(
            f"{compiled.ruleset.rule_id} looks up {', '.join(missing)}, which was not read; nothing was mapped",
            hint="name them under looked_up in the golden record; anywhere else this is a defect of banyan",
            rule=compiled.ruleset.rule_id,
        )
    return replace(compiled, parts=tuple(_seat_part(part, looked_up) for part in compiled.parts))


def _seat_part(part: PartPlan, looked_up: Mapping[str, pl.DataFrame]) -> PartPlan:
    nothing = pl.DataFrame(schema=LOOKED_UP)
    fields = tuple(
        plan.seat(looked_up.get(target_of(plan.rule) or "", nothing))
        if isinstance(plan, LensPlan) and plan.seat is not None
        else plan
        for plan in part.fields
    )
    return replace(part, fields=fields)
