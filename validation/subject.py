"""What is judged: one legacy system of a department, its rules, and the store that should say the same.

Everything is read: a legacy system through its port, the store with the read rights of one role. Nothing here comes
from the machinery of synchronisation, which is what is judged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from sqlalchemy.engine import Engine

from banyan.clock import today
from banyan.departments import Department, SourceRef
from banyan.ports import LegacyPort, Selective
from banyan.records import KEY_SEPARATOR, KeyRange, Origin, Position
from mappings.apply import refuse_drift
from mappings.closure import find_domains, load_order
from mappings.emission import part_ids, with_epochs
from mappings.engine import Compiled, MapContext, compile_ruleset
from mappings.epochs import epochs_of
from mappings.lookups import looked_up_tables, refuse_too_many, say_rows
from mappings.model import PartRule, RuleBook, Ruleset
from mappings.plans import ReferencePlan
from store.adopted_parts import find_adopted_parts, has_adopted_parts
from store.outcomes import find_adopted, find_filtered, has_adopted
from store.records import RowsPlace
from store.terms import find_terms

ROWS_PER_CHUNK = 50_000
Psycopg = psycopg.Connection[Any]
_NO_RUN = 0
_ADOPTED = ("table", "key", "id", "part")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a level is in one legacy table, for people and machines."""

    table: str
    chunks_done: int
    chunks: int
    rows: int


Watcher = Callable[[Progress], None]


def watch_nothing(_: Progress) -> None:
    """Ignore progress."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged, and with which eyes: port, engine of a role that may read, rules."""

    department: Department
    source: SourceRef
    port: LegacyPort = field(repr=False)
    engine: Engine = field(repr=False)
    book: RuleBook = field(repr=False)
    table_numbers: dict[str, int] = field(repr=False)
    digest_key: bytes = field(repr=False)
    domains: tuple[str, ...]
    written_after: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Canonical columns that a declared statement writes after the load, by table: no row says them, L4 passes by."""
    rules: Path | None = None
    """Where the rules stand, with the golden records beside them; None when they have no place."""
    rows_per_chunk: int = ROWS_PER_CHUNK
    """How many legacy rows a complete pass reads at a time; a table with no more is compared record by record."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Give the legacy tables that emit into the domains, parents before children."""
        wanted = set(self.domains)
        ruled = [table for table in load_order(self.book) if table in self.book.rulesets]
        return tuple(table for table in ruled if find_domains(self.book.rulesets[table]) & wanted)

    @property
    def canonical_tables(self) -> tuple[str, ...]:
        """Give the canonical tables that the domains fill, by name."""
        return tuple(sorted({part.table for table in self.tables for part in self.parts(table)}))

    def parts(self, table: str) -> tuple[PartRule, ...]:
        """Give the parts that a legacy table emits into the domains."""
        return tuple(part for part in self.book.rulesets[table].parts if part.domain.value in self.domains)

    def context(self) -> MapContext:
        """Give the context of mapping without what must be looked up for a batch."""
        return MapContext(
            department_code=self.department.code,
            system_code=self.source.system_code,
            time_zone=self.department.time_zone,
            digest_key=self.digest_key,
            as_of=today(),
        )

    def compiled(self, table: str) -> Compiled:
        """Compile the ruleset of a legacy table."""
        return compile_ruleset(self.book.rulesets[table], self.book, self.context())

    def place(self, table: str) -> RowsPlace:
        """Give where rows of a legacy table are remembered, for reading."""
        return RowsPlace(self.department.code, self.table_numbers[table], _NO_RUN, self.book.rulesets[table].rule_id)


def kept_columns(compiled: Compiled, rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out the columns that a rule drops for a legal reason, and those that it does not know: neither is held.

    Rows that lack any other column are refused, whatever is asked of them afterwards.
    """
    ruleset = compiled.ruleset
    kept = rows.select([name for name in rows.columns if name in ruleset.columns and name not in ruleset.drop])
    refuse_drift(compiled, kept, needed=compiled.hashed)
    return kept


def read_telling(subject: Subject, table: str, keys: KeyRange) -> pl.DataFrame:
    """Read of a range of legacy rows what records follow from; the whole rows where the port cannot, or one drifted."""
    port, compiled = subject.port, subject.compiled(table)
    if isinstance(port, Selective) and {column.name for column in port.columns(table)}.issuperset(compiled.hashed):
        return port.read_columns(table, keys, compiled.telling).rows
    return kept_columns(compiled, port.read_range(table, keys).rows)


def key_of(ruleset: Ruleset, rows: pl.DataFrame) -> pl.Series:
    """Give the text of the key of each row."""
    key = pl.concat_str([pl.col(column) for column in ruleset.key], separator=KEY_SEPARATOR)
    return rows.select(key.alias("source_key")).to_series()


def look_up(connection: Psycopg, subject: Subject, compiled: Compiled, rows: pl.DataFrame) -> MapContext:
    """Look up what mapping a batch needs of other rows: adopted ids, parts with ids of their own, filtered parents."""
    own = key_of(compiled.ruleset, rows)
    return look_up_keys(connection, subject, compiled, rows=rows, own=own)


def look_up_keys(
    connection: Psycopg, subject: Subject, compiled: Compiled, *, rows: pl.DataFrame, own: pl.Series
) -> MapContext:
    """Look up the same for rows and, beside them, for keys whose rows may be gone."""
    ruleset, context = compiled.ruleset, subject.context()
    if own.is_empty():
        return context
    is_any_adopted = has_adopted(connection, subject.department.code)
    references = _references(compiled, rows, mains=is_any_adopted)
    known = _keys(ruleset.table, own).clear()
    if is_any_adopted:  # else every id follows from its key
        keys = pl.concat([_keys(ruleset.table, own), *(_keys(plan.table, held) for plan, held in references)])
        known = keys.filter(pl.col("table").is_in(list(subject.table_numbers))).unique(maintain_order=True)
    adopted = find_adopted(connection, subject.department.code, subject.table_numbers, known)
    epochs = epochs_of(adopted)
    adopted = adopted.with_columns(pl.lit(None, pl.String).alias("part")).select(_ADOPTED)
    context = replace(context, adopted=adopted, epochs=None if epochs.is_empty() else epochs)
    owners = [(ruleset.table, own)] if len(ruleset.parts) > 1 else []
    owners += [(plan.table, held) for plan, held in references if not plan.is_main]
    if owners and not has_adopted_parts(connection, subject.department.code):
        owners = []  # else every part of a row follows from its key
    parts = [_find_parts(connection, subject, context, table, held) for table, held in owners]
    every = pl.concat([*([] if context.adopted is None else [context.adopted]), *parts])
    distinct = every.unique(["table", "key", "part"], keep="first", maintain_order=True)
    terms = find_terms(connection, subject.place(ruleset.table), own) if ruleset.is_judged else None
    return replace(
        context,
        adopted=distinct,
        filtered=_find_filtered(connection, subject, ruleset, rows),
        terms=terms,
        looked_up=read_looked_up(subject, ruleset),
    )


def read_looked_up(subject: Subject, ruleset: Ruleset) -> dict[str, pl.DataFrame]:
    """Read the legacy tables that a ruleset looks up, whole, and what their rows say to it."""
    rows = {}
    for table in looked_up_tables(ruleset):
        refuse_too_many(ruleset, table, subject.port.count(table))
        ranges = subject.port.plan_ranges(table, ROWS_PER_CHUNK)
        nothing = pl.DataFrame(schema=dict.fromkeys(subject.compiled(table).hashed, pl.String))
        read = (subject.port.read_range(table, keys).rows.select(nothing.columns) for keys in ranges)
        rows[table] = pl.concat([nothing, *read])
    return say_rows(subject.book, ruleset, rows)


def _references(compiled: Compiled, rows: pl.DataFrame, *, mains: bool) -> list[tuple[ReferencePlan, pl.Series]]:
    """List the keys of other rows that a batch holds, by the field that refers to them; of main parts when asked."""
    plans = [
        plan
        for part in compiled.parts
        for plan in part.fields
        if isinstance(plan, ReferencePlan) and (mains or not plan.is_main)
    ]
    return [(plan, rows.select(plan.key().alias("key")).to_series().drop_nulls().unique()) for plan in plans]


def _keys(table: str, keys: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"key": keys.drop_nulls()}).select(pl.lit(table).alias("table"), "key")


def _find_parts(
    connection: Psycopg, subject: Subject, context: MapContext, table: str, keys: pl.Series
) -> pl.DataFrame:
    distinct = keys.drop_nulls().unique(maintain_order=True)
    mains = pl.DataFrame({"key": distinct, "id": main_ids(subject, context, table, distinct)})
    links = find_adopted_parts(connection, subject.department.code, mains["id"])
    return links.join(mains, on="id").select(
        pl.lit(table).alias("table"), "key", pl.col("canonical_id").alias("id"), "part"
    )


def _find_filtered(connection: Psycopg, subject: Subject, ruleset: Ruleset, rows: pl.DataFrame) -> dict[str, pl.Series]:
    """Find which parents of a batch a named rule keeps out; several columns may lead to one parent table."""
    held: dict[str, list[pl.Series]] = {}
    for rule in ruleset.filters:
        if rule.parent is not None:
            held.setdefault(rule.parent.table, []).append(rows[rule.parent.column].rename("key"))
    return {
        table: find_filtered(connection, subject.place(table), pl.concat(columns).drop_nulls().unique())
        for table, columns in held.items()
    }


def main_ids(subject: Subject, context: MapContext, table: str, keys: pl.Series) -> pl.Series:
    """Give the canonical id of the main part for legacy keys: the adopted one, else the computed one."""
    return ids_of_part(context, table, subject.book.rulesets[table].main, rows=keys.rename("source_key").to_frame())


def ids_of_part(context: MapContext, table: str, part: PartRule, *, rows: pl.DataFrame) -> pl.Series:
    """Give the canonical id that one part of these legacy rows has, or would have; told by the rules themselves.

    `rows` has source_key, and for a shared part the columns it is shared by.
    """
    return part_ids(part, rows, with_epochs(rows["source_key"], table, context), table=table, context=context)


@dataclass(frozen=True, slots=True)
class Moves:
    """What people changed on the legacy side after the watermark, asked anew each time: nothing without a watermark."""

    port: LegacyPort = field(repr=False)
    watermark: Position | None
    touched: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    """Keys that are asked again whatever the old system says of them, by table."""

    def keys(self, table: str) -> pl.Series:
        """List the keys of a table that moved after the watermark, and those that are asked again."""
        moved = set(self.touched.get(table, ()))
        if self.watermark is not None:
            changes = self.port.changes(self.watermark)
            moved |= {change.key for change in changes if change.table == table and change.origin is Origin.PERSON}
        return pl.Series("source_key", sorted(moved), dtype=pl.String)


def any_of(masks: list[pl.Expr]) -> pl.Expr:
    """Tell whether one of the masks holds; False when there is none."""
    return reduce(lambda left, right: left | right, masks, pl.lit(value=False))
