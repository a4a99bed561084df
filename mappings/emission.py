"""Emitting the loaded rows: identifiers, canonical records with exact types, crosswalk and links."""

from dataclasses import dataclass, field
from typing import assert_never

import polars as pl

from mappings.compile import Compiled
from mappings.digest import hash_rows
from mappings.identity import FIRST_EPOCH, identify
from mappings.lanes import SMALL
from mappings.model import PartRule
from mappings.outcomes import CROSSWALK, LINKS, TERM_COLUMNS, TERMS, MapContext
from mappings.plans import LensPlan, PartPlan, ReferencePlan, SiblingPlan

ORIGIN = "LEGACY"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The loaded rows of a batch with the identifiers of all their parts."""

    compiled: Compiled
    context: MapContext = field(repr=False)
    rows: pl.DataFrame = field(repr=False)
    present: dict[str, pl.Series] = field(repr=False)
    keys: pl.DataFrame = field(repr=False)
    referred: dict[tuple[str, str], pl.Series] = field(repr=False)
    """By part and canonical column: the key of the row that a reference leads to."""
    ids: dict[str, pl.Series] = field(repr=False)
    """By part: its identifier in each row that has it, else null."""

    @property
    def main_ids(self) -> pl.Series:
        """Give the identifier of the main part of each row."""
        return self.ids[self.compiled.main.rule.name]

    def emit_part(self, part: PartPlan, values: dict[str, pl.Series]) -> pl.DataFrame:
        """Make the canonical records of one part, where the row has it, with the exact types of their columns."""
        name = part.rule.name
        columns = {"id": self.ids[name], "source_key": self.rows["source_key"], **values}
        for plan in part.fields:
            match plan:
                case ReferencePlan():
                    columns[plan.output] = self._refer(plan, self.referred[name, plan.output])
                case SiblingPlan():
                    columns[plan.output] = self.ids[plan.part]
                case LensPlan():
                    pass
                case _:
                    assert_never(plan)
        if part.rule.attach:
            columns[part.rule.attach] = self.main_ids
        if part.rule.main and self.compiled.ruleset.is_judged:
            columns |= {name: told for name, told in self._terms().items() if name in part.dtypes}
        height = self.rows.height
        columns |= {
            "department_code": _repeated(self.context.department_code, height),
            "domain_code": _repeated(part.rule.domain.value, height),
            "origin": _repeated(ORIGIN, height),
        }
        if part.constants:
            told = pl.select(list(part.constants.values()))
            columns |= {column: told[column].new_from_index(0, height) for column in part.constants}
        tail = ("id", "department_code", "domain_code", "origin", "source_key")
        narrow = {column: dtype for column, dtype in part.dtypes.items() if columns[column].dtype != dtype}
        frame = pl.DataFrame([columns[column].alias(column) for column in (*tail, *part.dtypes)])
        if not self.present[name].all():
            frame = frame.filter(self.present[name])
        return frame.cast(narrow) if narrow else frame  # type: ignore[arg-type]

    def _refer(self, plan: ReferencePlan, keys: pl.Series) -> pl.Series:
        """Compute identifiers of other rows, once for each distinct key."""
        adopted = adopted_ids(self.context, plan.table, plan.part, is_main=plan.is_main)
        if len(keys) < SMALL:  # the detour over distinct keys costs more than it saves
            each = with_epochs(keys, plan.table, self.context)
            return identify(each, source=self.compiled.source, table=plan.table, part=plan.part, adopted=adopted)
        distinct = with_epochs(keys.drop_nulls().unique(), plan.table, self.context)
        ids = identify(distinct, source=self.compiled.source, table=plan.table, part=plan.part, adopted=adopted)
        known = distinct.select("key", ids.alias("id"))
        return pl.DataFrame({"key": keys}).join(known, on="key", how="left", maintain_order="left")["id"]

    def _terms(self) -> dict[str, pl.Series]:
        """Give the last day each row may be kept and the rule that says so; null for rows that were not judged."""
        known = self.context.terms if self.context.terms is not None else pl.DataFrame(schema=TERMS)
        keys = self.rows.select(pl.col("source_key").alias("key"))
        told = keys.join(known, on="key", how="left", maintain_order="left", validate="m:1")
        return {name: told[column] for name, column in TERM_COLUMNS.items()}

    def crosswalk(self, residue: pl.Series) -> pl.DataFrame:
        """Give what is remembered of each loaded row."""
        row_hash = hash_rows(self.rows, self.compiled.hashed, key=self.context.digest_key)
        columns = (self.main_ids, self.rows["source_key"], self.keys["epoch"], row_hash, residue)
        return pl.DataFrame(dict(zip(CROSSWALK, columns, strict=True)), schema_overrides=CROSSWALK)

    def identities(self) -> pl.DataFrame:
        """Give the keys and identifiers of the loaded rows in the form of what is remembered of them."""
        known = pl.DataFrame(
            {"id": self.main_ids, "source_key": self.rows["source_key"], "key_epoch": self.keys["epoch"]}
        )
        return known.select(
            pl.lit(None, dtype).alias(name) if name not in known.columns else pl.col(name).cast(dtype)
            for name, dtype in CROSSWALK.items()
        )

    def links(self) -> pl.DataFrame:
        """Give the identifiers of the parts that are not the main one."""
        frames = []
        for name in (part.rule.name for part in self.compiled.parts if not part.rule.main):
            columns = (self.main_ids, _repeated(name, self.rows.height), self.ids[name])
            frame = pl.DataFrame(dict(zip(LINKS, columns, strict=True)))
            frames.append(frame if self.present[name].all() else frame.filter(self.present[name]))
        return pl.concat([pl.DataFrame(schema=LINKS), *frames])


def _repeated(text: str, height: int) -> pl.Series:
    return pl.Series([text], dtype=pl.String).new_from_index(0, height)


def identify_rows(
    compiled: Compiled,
    context: MapContext,
    rows: pl.DataFrame,
    present: dict[str, pl.Series],
    *,
    referred: dict[tuple[str, str], pl.Series],
) -> Loaded:
    """Give loaded rows the identifiers of their parts."""
    table = compiled.ruleset.table
    keys = with_epochs(rows["source_key"], table, context)
    ids = {
        part.rule.name: part_ids(
            part.rule,
            rows,
            _where(present[part.rule.name], keys),
            table=table,
            context=context,
        )
        for part in compiled.parts
    }
    return Loaded(compiled, context, rows, present, keys, referred, ids)


def _where(present: pl.Series, keys: pl.DataFrame) -> pl.DataFrame:
    """Take the keys of rows without a part away."""
    return keys if present.all() else keys.with_columns(pl.when(present).then("key").alias("key"))


def part_ids(rule: PartRule, rows: pl.DataFrame, keys: pl.DataFrame, *, table: str, context: MapContext) -> pl.Series:
    """Give the identifier of one part of each row, null where the key is null: where the row has no such part.

    A shared part takes its identifier from the columns it is shared by, whatever row emits it: what a row brought
    with it is not looked up, for the row may have turned to another shared record since.
    """
    adopted = None
    if rule.share:
        shared = rows.select(share_key(rule)).to_series()
        keys = keys.select(
            pl.when(pl.col("key").is_not_null()).then(shared).alias("key"), pl.lit(FIRST_EPOCH, pl.Int16).alias("epoch")
        )
    else:
        adopted = adopted_ids(context, table, rule.name, is_main=rule.main)
    return identify(keys, source=context.source, table=table, part=rule.name, adopted=adopted)


def share_key(rule: PartRule) -> pl.Expr:
    """Give the text that identifies a shared part: each raw text after its length, null as a dash, so that no two
    sets of texts are told alike.
    """
    told = [
        pl.concat_str([pl.col(column).str.len_chars().cast(pl.String), pl.lit(":"), pl.col(column)]).fill_null("-")
        for column in rule.share
    ]
    return pl.concat_str(told)


def with_epochs(keys: pl.Series, table: str, context: MapContext) -> pl.DataFrame:
    """Give each key its epoch: columns key and epoch."""
    if context.epochs is None:
        first = pl.Series([FIRST_EPOCH], dtype=pl.Int16).new_from_index(0, len(keys))
        return pl.DataFrame({"key": keys, "epoch": first})
    frame = pl.DataFrame({"key": keys})
    known = context.epochs.filter(pl.col("table") == table).select("key", pl.col("epoch").cast(pl.Int16))
    joined = frame.join(known, on="key", how="left", maintain_order="left", validate="m:1")
    return joined.with_columns(pl.col("epoch").fill_null(FIRST_EPOCH))


def adopted_ids(context: MapContext, table: str, part: str, *, is_main: bool) -> pl.DataFrame | None:
    """Give the identifiers that rows of a table brought with them for one of their parts: columns key and id."""
    adopted = context.adopted
    if adopted is None or adopted.is_empty():
        return None
    of_table = adopted.filter(pl.col("table") == table)
    if "part" not in adopted.columns:
        return of_table.select("key", "id") if is_main else None
    of_part = pl.col("part").eq_missing(part) | (pl.col("part").is_null() & is_main)
    return of_table.filter(of_part).select("key", "id")
