"""Drift of a legacy system, found before a run: columns that came, went or changed their type, and codes no map knows.

What it is measured from are the rules, and the columns as they were when they were last agreed: at the first copy, and
whenever somebody accepts the present ones.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl
import sqlalchemy as sa

from banyan.clock import today
from banyan.departments import Actor
from banyan.errors import SourceDrifted, SourceUnavailable, UsageError
from connectors.postgresql_connection import PostgreSQLConnections
from mappings.model import Mark, Ruleset
from mappings.plans import CAUSE, LensPlan
from store.journal import ProcessingEntry, append_processing
from store.postgres import transaction
from store.source_columns import read_columns, write_columns
from sync.assembly import Rig
from sync.drift_policy import Drift, DriftKind, Judged, compare_columns, judge, marks_of, policy_of

_CODES_AT_MOST = 1_000
_SHOWN = 5
_SHORT = 8


def find_drift(rig: Rig, *, with_codes: bool = True) -> tuple[Judged, ...]:
    """Find how a legacy system differs from what was agreed with it, and what each difference leads to today."""
    config = rig.workspace.source_config(rig.source).drift
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        agreed = read_columns(connection, rig.source)
    there = set(rig.port.tables())
    found: list[Judged] = []
    for name, ruleset in rig.book.rulesets.items():
        if name not in there:
            mark = ruleset.marks.get("", Mark(name, 1, 1))
            gone = Drift(DriftKind.REMOVED, name, "*", "is gone with its table", (mark,))
            found.append(Judged(gone, config.removed, is_stopping=True))
            continue
        drifts = [*compare_columns(ruleset, rig.port.columns(name), agreed.get(name, ()))]
        if with_codes:
            drifts += find_new_codes(rig, ruleset)
        found += [judge(one, ruleset, config, today=today()) for one in drifts]
    return tuple(found)


def refuse_drift(rig: Rig) -> None:
    """Refuse to read a legacy system whose changes stop by policy; agrees on the columns where nothing was agreed yet.

    Codes are looked for beforehand only where a new one stops; else they are met, and quarantined, one by one.
    """
    config = rig.workspace.source_config(rig.source).drift
    found = find_drift(rig, with_codes=policy_of(config, DriftKind.NEW_CODES).policy == "stop")
    stopping = [one for one in found if one.is_stopping]
    if stopping:
        first = stopping[0].drift
        raise SourceDrifted(
            f"{rig.source} is not what {rig.book.rulesets[first.table].rule_id} describes: "
            f"{'; '.join(str(one.drift) for one in stopping)}; nothing was read",
            hint=f"banyan source drift {rig.source}",
            table=first.table,
            reasons=tuple(_line(one) for one in stopping),
            missing=[one.drift.column for one in stopping if one.drift.kind is DriftKind.REMOVED],
            unknown=[one.drift.column for one in stopping if one.drift.kind is DriftKind.ADDED],
        )
    agree(rig, only_new=True)


def agree(rig: Rig, *, only_new: bool = False) -> int:
    """Agree on the columns of the tables with a rule as they are now; gives how many tables that are."""
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        known = read_columns(connection, rig.source)
        there = set(rig.port.tables())
        names = [name for name in rig.book.rulesets if name in there and not (only_new and name in known)]
        write_columns(connection, rig.source, {name: rig.port.columns(name) for name in names})
    return len(names)


def accept(rig: Rig, actor: Actor, *, reason: str) -> int:
    """Accept the types of the columns as they are now, logged with the reason; refused while a column has no fate."""
    if not reason.strip():
        raise UsageError("to accept columns needs a reason; nothing was changed", hint="--reason TEXT")
    found = find_drift(rig, with_codes=False)
    blind = [one for one in found if one.drift.kind is DriftKind.REMOVED and one.is_stopping]
    if blind:
        raise SourceDrifted(
            f"{'; '.join(str(one.drift) for one in blind)}: a rule still reads it; nothing was changed",
            hint="change the rule first: banyan map lint",
        )
    tables = agree(rig)
    entry = ProcessingEntry(
        actor=actor,
        department_code=rig.source.department_code,
        operation="alteration",
        reason=f"columns of {tables} tables of {rig.source} accepted as they are: {reason.strip()}",
        record_refs=(str(rig.source),),
    )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        append_processing(connection, entry)
    return tables


def find_new_codes(rig: Rig, ruleset: Ruleset) -> Iterator[Drift]:
    """Find texts of the legacy system that no code map knows, read by the lens that will meet them."""
    plans = [plan for plan in rig.setting("banyan_forward").compiled(ruleset.table).lenses if plan.rule.code_map]
    single = [plan for plan in plans if len(plan.rule.sources) == 1]
    for column in dict.fromkeys(plan.rule.sources[0] for plan in single):
        texts = _distinct(rig, ruleset, column)
        for plan in single:
            if plan.rule.sources[0] == column:
                yield from _unknown(ruleset, plan, texts, rig.book.code_maps[plan.rule.code_map or ""].mark)


def _unknown(ruleset: Ruleset, plan: LensPlan, texts: pl.Series, mark: Mark) -> Iterator[Drift]:
    column = plan.rule.sources[0]
    raws = texts.alias(column).to_frame()
    refused = texts.filter(plan.read(raws)[CAUSE].is_not_null()).drop_nulls()
    if refused.is_empty():
        return
    short = sorted({text.strip() for text in refused if len(text.strip()) <= _SHORT})
    shown = ", ".join(short[:_SHOWN]) or "longer texts"
    told = f"holds {len(refused)} codes that {plan.rule.code_map} does not know: {shown}"
    marks = (*marks_of(ruleset, column), *((mark,) if mark.line else ()))
    yield Drift(DriftKind.NEW_CODES, ruleset.table, column, told + (" ..." if len(short) > _SHOWN else ""), marks)


def _distinct(rig: Rig, ruleset: Ruleset, column: str) -> pl.Series:
    """Give the different texts of a column: asked of the server, or gathered from files that are read anyway."""
    config = rig.workspace.source_config(rig.source)
    if config.medium == "postgresql":
        return _ask(rig, ruleset.table, column, schema=config.schema_name)
    ranges = rig.port.plan_ranges(ruleset.table, 1 << 20)
    read = [rig.port.read_range(ruleset.table, keys).rows[column].unique() for keys in ranges]
    return pl.concat([pl.Series(column, [], pl.String), *read]).unique()


def _ask(rig: Rig, table: str, column: str, *, schema: str) -> pl.Series:
    reader = PostgreSQLConnections(rig.workspace.legacy_urls(rig.source).reader)
    asked = sa.table(table, sa.column(column), schema=schema)
    query = sa.select(asked.c[column]).distinct().limit(_CODES_AT_MOST)
    try:
        with reader.session("looking for new codes", table=table), reader.engine.connect() as connection:
            found = list(connection.scalars(query))
    except sa.exc.OperationalError as error:
        raise SourceUnavailable(f"{rig.source} does not answer; nothing was read", hint="banyan doctor") from error
    finally:
        reader.close()
    return pl.Series(column, [None if value is None else str(value) for value in found], dtype=pl.String)


def _line(one: Judged) -> str:
    places = ", ".join(str(mark) for mark in one.drift.marks)
    return f"{one.drift.kind.value}: {one.drift}   {places}"


def relative(judged: Sequence[Judged], folder: str) -> list[Judged]:
    """Name rule files from the folder of the project, as people know them."""

    def near(mark: Mark) -> Mark:
        return replace(mark, file=mark.file.removeprefix(folder).lstrip("/"))

    return [
        replace(one, drift=replace(one.drift, marks=tuple(near(mark) for mark in one.drift.marks))) for one in judged
    ]
