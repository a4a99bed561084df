"""From legacy rows to what the terms of retention ask: batch by batch the few columns that count, then joined."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from mappings.fate_masks import READABLE_DATE, filtered_by, holds
from mappings.model import RuleBook
from mappings.outcomes import MapContext
from mappings.retention import OffenceClass, Role
from mappings.retention_sources import RetentionSources
from mappings.terms import FACTS

_DISPOSITIONS = {"table": pl.String(), "key": pl.String(), "participation": pl.String(), "effect": pl.String()}


@dataclass(frozen=True, slots=True)
class FactReader:
    """Reads rows of one legacy system for its terms: rows that are deleted there say nothing."""

    sources: RetentionSources
    book: RuleBook = field(repr=False)
    context: MapContext = field(repr=False)

    def reduce(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Keep of a batch of raw rows what the terms ask, and nothing of what it says of people."""
        ruleset = self.book.rulesets[table]
        live = rows if ruleset.deletes is None else rows.filter(~holds(ruleset.deletes))
        kept = [pl.col(column) for column in self.sources.columns[table]]
        if table == self.sources.case.table:
            own = filtered_by(ruleset, self.context)  # its own rules: the context names no filtered parent
            return live.select(*kept, own.is_null().alias("case_kept"))
        return live.select(kept)

    def join(self, reduced: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Join what was kept of all batches into one line for each participation: the columns of FACTS."""
        who, case, offence = self.sources.participation, self.sources.case, self.sources.offence
        states = self.book.code_maps[case.status_map].entries
        still_open = [code for code, status in states.items() if status == case.open_status]
        roles = self.book.code_maps[who.role_map].entries
        cases = reduced[case.table].select(
            pl.col(case.key).alias("case"),
            pl.col(case.series).str.strip_chars_end(" ").alias("series"),
            _day(case.recorded).alias("recorded_on"),
            _day(case.transmitted).alias("transmitted_on"),
            pl.col(case.status).str.strip_chars_end(" ").is_in(still_open).alias("case_open"),
            "case_kept",
        )
        listed = {code: one.value for code, one in self.sources.offence_classes.items()}
        code = pl.col(offence.code).str.strip_chars_end(" ")
        ordinary = OffenceClass.ORDINARY.value
        classes = (
            reduced[offence.table]
            .select(
                pl.col(offence.case).alias("case"),
                code.replace_strict(listed, default=ordinary, return_dtype=pl.Int8).alias("offence_class"),
            )
            .group_by("case")
            .agg(pl.col("offence_class").max())
        )
        minor = pl.col(who.minor).str.strip_chars_end(" ")
        said = reduced[who.table].select(
            pl.col(who.key).alias("key"),
            pl.col(who.person).alias("person"),
            pl.col(who.case).alias("case"),
            pl.col(who.role).str.strip_chars_end(" ").replace_strict(roles, default=None).alias("role"),
            pl.when(minor != "").then(minor == who.minor_yes).alias("minor"),
        )
        joined = said.join(cases, on="case", how="left", maintain_order="left").join(
            classes, on="case", how="left", maintain_order="left"
        )
        return joined.with_columns(
            pl.col("offence_class").fill_null(ordinary),
            # a participation whose case is not there says nothing of time: it is kept, and counted elsewhere
            pl.col("case_kept").fill_null(value=True),
            pl.col("case_open").fill_null(value=True),
        ).select(pl.col(name).cast(dtype) for name, dtype in FACTS.items())

    def suspects(self, reduced: Mapping[str, pl.DataFrame]) -> pl.Series:
        """Give the keys of the participations of suspects."""
        who = self.sources.participation
        roles = self.book.code_maps[who.role_map].entries
        codes = [code for code, role in roles.items() if role == Role.SUSPECT.value]
        return reduced[who.table].filter(pl.col(who.role).str.strip_chars_end(" ").is_in(codes))[who.key]

    def dispositions(self, reduced: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """Give what courts decided: table, key, participation, effect."""
        decided = self.sources.disposition
        effects = self.book.code_maps[decided.effect_map].entries
        told = reduced[decided.table].select(
            pl.lit(decided.table).alias("table"),
            pl.col(decided.key).alias("key"),
            pl.col(decided.participation).alias("participation"),
            pl.col(decided.effect).str.strip_chars_end(" ").replace_strict(effects, default=None).alias("effect"),
        )
        return told.select(pl.col(name).cast(dtype) for name, dtype in _DISPOSITIONS.items())


def _day(column: str) -> pl.Expr:
    readable = pl.when(pl.col(column).str.contains(READABLE_DATE)).then(pl.col(column))
    return readable.str.to_date("%Y%m%d", strict=False)
