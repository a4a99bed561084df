"""The terms of retention applied to a whole legacy system at once, before any of its rows is loaded.

Column by column what `mappings.retention` says one participation at a time: the property tests hold both together.
A day that is not known gives no term, and what has no term is kept; nothing is guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from banyan.findings import Finding, FindingKind, Severity
from mappings.retention import RULES, Age, RetentionRule, Role, Start

FACTS = {
    "key": pl.String(),
    "person": pl.String(),
    "case": pl.String(),
    "series": pl.String(),
    "role": pl.String(),
    "minor": pl.Boolean(),
    "offence_class": pl.Int8(),
    "recorded_on": pl.Date(),
    "transmitted_on": pl.Date(),
    "case_open": pl.Boolean(),
    "case_kept": pl.Boolean(),
}
"""What is known of each live participation; `case_kept` is false where a rule of its own keeps the case out.

Whoever takes part in an open case is kept whatever the terms say: no open work is ever lost to a date.
"""

NO_ROLE_LEFT = "NO-ROLE-LEFT"
"""The rule of a person none of whose roles may be kept any longer."""


@dataclass(frozen=True, slots=True)
class JudgedTerms:
    """What the terms say of the participations and persons of a legacy system, on one day."""

    as_of: date
    participations: pl.DataFrame = field(repr=False)
    """The facts, with until, rule_code and is_expired."""
    persons: pl.DataFrame = field(repr=False)
    """Persons none of whose live participations may be kept: key, until, rule_code, is_expired."""


def judge_terms(facts: pl.DataFrame, *, as_of: date, rules: Sequence[RetentionRule] = RULES) -> JudgedTerms:
    """Give each participation its last day and the rule that says so, and name the persons no role keeps."""
    own = _own_terms(facts.select(list(FACTS)), rules)
    judged = _prolong(own).with_columns(
        is_expired=((pl.col("until") < as_of) & ~pl.col("case_open")).fill_null(value=False),
    )
    keeps = judged["case_kept"] & ~judged["is_expired"]
    persons = (
        judged.with_columns(keeps=keeps)
        .filter(pl.col("person").is_not_null())
        .group_by("person", maintain_order=True)
        .agg(pl.col("keeps").any(), pl.col("until").max())
        .filter(~pl.col("keeps"))
        .select(
            key="person",
            until="until",
            rule_code=pl.lit(NO_ROLE_LEFT),
            is_expired=pl.lit(value=True),
        )
    )
    return JudgedTerms(as_of, judged, persons)


def _own_terms(facts: pl.DataFrame, rules: Sequence[RetentionRule]) -> pl.DataFrame:
    """Give the longest of the terms that cover each participation by itself: columns until and rule_code."""
    frame = facts.with_columns(until=pl.lit(None, pl.Date), rule_code=pl.lit(None, pl.String))
    for rule in sorted(rules, key=lambda one: one.code):  # of two equal days the later code is told
        longer = (pl.col("_term") >= pl.col("until")) | pl.col("until").is_null()
        takes = pl.col("_term").is_not_null() & longer
        frame = frame.with_columns(_term=_term(rule)).with_columns(
            until=pl.when(takes).then("_term").otherwise("until"),
            rule_code=pl.when(takes).then(pl.lit(rule.code)).otherwise("rule_code"),
        )
    return frame.select(*facts.columns, "until", "rule_code")


def _term(rule: RetentionRule) -> pl.Expr:
    """Give the last day a rule allows, null where it does not cover the participation or its start is not known."""
    covers = pl.col("role").is_in([role.value for role in rule.roles]) & (
        pl.col("offence_class") >= rule.offence_class.value
    )
    if rule.ages != frozenset(Age):  # an age that is not known is covered by the terms of every age alone
        covers = covers & pl.col("minor").is_in([age is Age.MINOR for age in rule.ages])
    start = _start(rule.start)
    if start is None:
        return pl.lit(None, pl.Date)
    year = start.dt.year() + rule.years
    leaps = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    moved = (
        (start.dt.month() == 2) & (start.dt.day() == 29) & ~leaps
    )  # no such day: the term ends on the first of March
    month = pl.when(moved).then(3).otherwise(start.dt.month())
    day = pl.when(moved).then(1).otherwise(start.dt.day())
    return pl.when(covers & start.is_not_null()).then(pl.date(year, month, day))


def _start(start: Start) -> pl.Expr | None:
    match start:
        case Start.RECORDED:
            return pl.col("recorded_on")
        case Start.TRANSMITTED:
            return pl.col("transmitted_on")
        case Start.FOUND:  # no legacy system here says when a missing person was found
            return None


def _prolong(judged: pl.DataFrame) -> pl.DataFrame:
    """Prolong the terms of the offences of each suspect to the longest, where one was recorded before another ended."""
    takes_part = (
        (pl.col("role") == Role.SUSPECT.value)
        & pl.col("person").is_not_null()
        & pl.col("recorded_on").is_not_null()
        & pl.col("until").is_not_null()
    ).fill_null(value=False)
    numbered = judged.with_row_index("_place").with_columns(_takes=takes_part)
    chained = numbered.filter("_takes").sort("person", "recorded_on", "_place")
    ends_before = pl.col("until").cum_max().shift(1).over("person")
    begins = (ends_before.is_null() | (pl.col("recorded_on") > ends_before)).cast(pl.Int32)
    chained = chained.with_columns(_begins=begins).with_columns(_chain=pl.col("_begins").cum_sum().over("person"))
    ends = chained.group_by("person", "_chain").agg(
        pl.struct("until", "rule_code").sort_by("until", "rule_code").last().alias("_ends")
    )
    told = chained.select("_place", "person", "_chain").join(ends, on=["person", "_chain"], how="left").unnest("_ends")
    return (
        numbered.join(told.select("_place", "until", "rule_code"), on="_place", how="left", suffix="_prolonged")
        .sort("_place")
        .with_columns(
            until=pl.coalesce("until_prolonged", "until"),
            rule_code=pl.when(pl.col("until_prolonged").is_not_null())
            .then("rule_code_prolonged")
            .otherwise("rule_code"),
        )
        .select(judged.columns)
    )


def list_archives(judged: JudgedTerms) -> pl.DataFrame:
    """List what the terms keep out, for the archives administration: series, rule, counts, years; no name, no key."""
    return (
        judged.participations.filter("is_expired")
        .group_by("series", "rule_code")
        .agg(
            participations=pl.len(),
            cases=pl.col("case").n_unique(),
            first_year=pl.col("recorded_on").dt.year().min(),
            last_year=pl.col("recorded_on").dt.year().max(),
        )
        .sort("series", "rule_code", nulls_last=True)
    )


def find_unapplied(dispositions: pl.DataFrame, judged: JudgedTerms) -> tuple[Finding, ...]:
    """Find decisions that erase a person from the file (CPP 230-8), known at the source and not applied there.

    `dispositions` has key, participation and effect, of live rows, with the table in `table`; a participation that is
    still there as that of a suspect has not been erased.
    """
    return find_waiting(dispositions, judged.participations.filter(pl.col("role") == Role.SUSPECT.value)["key"])


def find_waiting(dispositions: pl.DataFrame, suspects: pl.Series) -> tuple[Finding, ...]:
    """Find decisions that erase among `dispositions` whose participation is still that of a suspect."""
    waiting = dispositions.filter(
        (pl.col("effect") == "ERASE") & pl.col("participation").is_in(suspects.implode())
    ).sort("table", "key")
    return tuple(
        Finding(
            FindingKind.DISPOSITION_NOT_APPLIED,
            Severity.QUARANTINE,
            table,
            key,
            cause="a decision that erases is known and was not applied: the person is still recorded as a suspect",
        )
        for table, key in waiting.select("table", "key").iter_rows()
    )
