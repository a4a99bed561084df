"""What both directions of a route share: where, by which rules, between which stores; and what a batch looks up."""

from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import psycopg
from sqlalchemy.engine import Engine

from banyan.clock import today
from banyan.config import DriftConfig
from banyan.departments import Department, SourceRef
from banyan.ports import LegacyPort
from banyan.records import KEY_SEPARATOR
from mappings.engine import Compiled, MapContext, compile_ruleset
from mappings.epochs import epochs_of
from mappings.identity import FIRST_EPOCH, identify
from mappings.model import RuleBook, Ruleset
from mappings.retention_sources import RetentionSources
from store.adopted_parts import find_adopted_parts, has_adopted_parts
from store.outcomes import find_adopted, find_filtered, has_adopted
from store.records import RowsPlace
from store.terms import find_terms
from sync.looked_up import read_looked_up

Psycopg = psycopg.Connection[Any]
_ADOPTED = {"table": pl.String, "key": pl.String, "id": pl.Binary, "part": pl.String}


@dataclass(frozen=True, slots=True)
class Setting:
    """What both directions of a route share: where, by which rules, between which stores."""

    department: Department
    source: SourceRef
    port: LegacyPort = field(repr=False)
    engine: Engine = field(repr=False)
    book: RuleBook = field(repr=False)
    table_numbers: dict[str, int] = field(repr=False)
    digest_key: bytes = field(repr=False)
    retention: RetentionSources | None = field(default=None, repr=False)
    """Where the legacy system says until when its rows may be kept; None where its rules leave nothing to be judged."""
    drift: DriftConfig = field(default_factory=DriftConfig)
    """What a change of the legacy system's columns leads to."""
    capture: str = ""
    """The way by which changes are found, as the project says it; a Position of another way is refused."""

    def place(self, table: str, run_no: int) -> RowsPlace:
        """Give where rows of a legacy table are remembered."""
        ruleset = self.book.rulesets[table]
        return RowsPlace(self.department.code, self.table_numbers[table], run_no, ruleset.rule_id)

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

    def main_ids(self, table: str, keys: pl.Series, adopted: pl.DataFrame) -> pl.Series:
        """Give the canonical id of the main part for legacy keys."""
        first = pl.Series([FIRST_EPOCH], dtype=pl.Int16).new_from_index(0, len(keys))
        frame = pl.DataFrame({"key": keys, "epoch": first})
        own = None if adopted.is_empty() else adopted.filter(pl.col("table") == table).select("key", "id")
        part = self.book.rulesets[table].main.name
        return identify(frame, source=str(self.source), table=table, part=part, adopted=own)


def key_column(ruleset: Ruleset) -> pl.Expr:
    """Give the text of the legacy key of each row."""
    return pl.concat_str([pl.col(name) for name in ruleset.key], separator=KEY_SEPARATOR).alias("source_key")


def keys_of(ruleset: Ruleset, rows: pl.DataFrame) -> pl.Series:
    """Give the text of the legacy key of each row, as `key_column` does."""
    if len(ruleset.key) == 1:
        return rows[ruleset.key[0]].alias("source_key")
    return rows.select(key_column(ruleset)).to_series()


def referred_keys(ruleset: Ruleset, rows: pl.DataFrame) -> pl.DataFrame:
    """List the keys of other rows that a batch refers to: columns table, key."""
    found = [
        rows.select(
            pl.lit(str(rule.lens.args[0]).split(".", 1)[0]).alias("table"),
            pl.concat_str([pl.col(name) for name in rule.sources], separator=KEY_SEPARATOR).alias("key"),
        )
        for part in ruleset.parts
        for rule in part.fields
        if rule.lens is not None and rule.lens.name == "ref"
    ]
    own = rows.select(pl.lit(ruleset.table).alias("table"), key_column(ruleset).alias("key"))
    return pl.concat([own, *found]).drop_nulls().unique(maintain_order=True)


def look_up(
    connection: Psycopg, setting: Setting, ruleset: Ruleset, rows: pl.DataFrame, *, is_first: bool = False
) -> MapContext:
    """Look up what a batch needs of other rows: adopted ids, parts with ids of their own, filtered parents, look-ups.

    Rows that are read for the first time have no parts yet.
    """
    context = setting.context()
    if rows.is_empty():
        return context
    keys = pl.DataFrame(schema={"table": pl.String, "key": pl.String})
    if has_adopted(connection, setting.department.code):
        keys = referred_keys(ruleset, rows).filter(pl.col("table").is_in(list(setting.table_numbers)))
    epochs, adopted = None, pl.DataFrame(schema=_ADOPTED)
    if not keys.is_empty():
        found = find_adopted(connection, setting.department.code, setting.table_numbers, keys)
        epochs = epochs_of(found)
        adopted = found.select("table", "key", "id", pl.lit(None, pl.String).alias("part"))
    if len(ruleset.parts) > 1 and not is_first and has_adopted_parts(connection, setting.department.code):
        own = keys_of(ruleset, rows)
        mains = pl.DataFrame({"key": own, "id": setting.main_ids(ruleset.table, own, adopted)})
        links = find_adopted_parts(connection, setting.department.code, mains["id"])
        parts = links.join(mains, on="id").select(
            pl.lit(ruleset.table).alias("table"), "key", pl.col("canonical_id").alias("id"), "part"
        )
        adopted = pl.concat([adopted, parts])
    terms = None
    if ruleset.is_judged:
        terms = find_terms(connection, setting.place(ruleset.table, 0), keys_of(ruleset, rows))
    return replace(
        context,
        adopted=adopted,
        epochs=None if epochs is None or epochs.is_empty() else epochs,
        filtered=filtered_parents(connection, setting, ruleset, rows),
        terms=terms,
        looked_up=read_looked_up(setting.port, setting.book, ruleset),
    )


def filtered_parents(
    connection: Psycopg, setting: Setting, ruleset: Ruleset, rows: pl.DataFrame
) -> dict[str, pl.Series]:
    """Find which parents of a batch a named rule keeps out; several columns may lead to one parent table."""
    held: dict[str, list[pl.Series]] = {}
    for rule in ruleset.filters:
        if rule.parent is not None:
            held.setdefault(rule.parent.table, []).append(rows[rule.parent.column].alias("key"))
    return {
        table: find_filtered(connection, setting.place(table, 0), pl.concat(columns).drop_nulls().unique())
        for table, columns in held.items()
    }
