"""Drift of a legacy system, found before a run: columns that came, went or changed their type, and codes no map knows.

What it is measured from are the rules, and the columns as they were when they were last agreed: at the first copy, and
whenever somebody accepts the present ones.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import polars as pl

from banyan.clock import today
from banyan.departments import Actor
from banyan.errors import SourceDrifted, UsageError
from banyan.ports import Tallying
from mappings.model import Mark, Ruleset
from mappings.plans import CAUSE, LensPlan
from store.journal import ProcessingEntry, append_processing
from store.postgres import transaction
from store.source_columns import read_columns, write_columns
from sync.assembly import Rig
from sync.drift_policy import Drift, DriftKind, Judged, compare_columns, judge, marks_of, policy_of, stops
from sync.waiting import Breath, hold_breath

TEXTS_AT_MOST = 100_000
"""A column with more different texts than this holds no codes."""
_ROWS_AT_ONCE = 50_000
_SHOWN = 5
_SHORT = 8

Told = Callable[[Sequence[Judged]], None]
"""Told of the changes that a run goes on with."""


def tell_nobody(_: Sequence[Judged]) -> None:
    """Tell nobody: who asked lists them himself."""


def find_drift(rig: Rig, *, with_codes: bool = True, before_each: Breath = hold_breath) -> tuple[Judged, ...]:
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
            drifts += find_new_codes(rig, ruleset, before_each=before_each)
        found += [judge(one, ruleset, config, today=today()) for one in drifts]
    return tuple(found)


def refuse_drift(
    rig: Rig, *, with_codes: bool = True, before_each: Breath = hold_breath, told: Told = tell_nobody
) -> None:
    """Refuse to read a legacy system whose changes stop by policy; agrees on the columns where nothing was agreed yet.

    Changes that do not stop are told, each time, until somebody accepts them. Codes are looked for beforehand only
    where a new one stops; else they are met, and quarantined, one by one. Whoever reads no codes asks without them.
    """
    config = rig.workspace.source_config(rig.source).drift
    with_codes = with_codes and stops(policy_of(config, DriftKind.NEW_CODES), today=today())
    found = find_drift(rig, with_codes=with_codes, before_each=before_each)
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
    _tell(rig, found, told)
    agree(rig, only_new=True)


def tell_tolerated(rig: Rig, told: Told) -> None:
    """Tell of the changes of columns that runs go on with; refuses nothing, for what was read is read."""
    _tell(rig, [one for one in find_drift(rig, with_codes=False) if not one.is_stopping], told)


def _tell(rig: Rig, found: Sequence[Judged], told: Told) -> None:
    if found:
        told(relative(found, str(rig.workspace.project.folder)))


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


def find_new_codes(rig: Rig, ruleset: Ruleset, *, before_each: Breath = hold_breath) -> Iterator[Drift]:
    """Find texts of the legacy system that no code map knows, read by the lens that will meet them."""
    plans = [plan for plan in rig.setting("banyan_forward").compiled(ruleset.table).lenses if plan.rule.code_map]
    asked = list(dict.fromkeys(plan.rule.sources for plan in plans))
    for columns, texts in _distinct(rig, ruleset.table, asked, before_each):
        for plan in plans:
            if plan.rule.sources == columns:
                yield from _unknown(ruleset, plan, texts, rig.book.code_maps[plan.rule.code_map or ""].mark)


def _unknown(ruleset: Ruleset, plan: LensPlan, texts: pl.DataFrame, mark: Mark) -> Iterator[Drift]:
    columns = plan.rule.sources
    is_refused = (
        plan.read(texts)[CAUSE].is_not_null() & texts.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    )
    refused = texts.filter(is_refused)
    if texts.height <= TEXTS_AT_MOST and refused.is_empty():
        return
    said = refused.select(pl.concat_str(pl.all().str.strip_chars().fill_null(""), separator=" / ")).to_series()
    short = sorted({text for text in said if len(text) <= _SHORT * len(columns)})
    shown = ", ".join(short[:_SHOWN]) or "longer texts"
    told = f"holds {refused.height} codes that {plan.rule.code_map} does not know: {shown}"
    told += " ..." if len(short) > _SHOWN else ""
    if texts.height > TEXTS_AT_MOST:
        told = f"holds more than {TEXTS_AT_MOST} different texts: not all were compared with {plan.rule.code_map}"
    lines = tuple(dict.fromkeys(line for column in columns for line in marks_of(ruleset, column)))
    marks = (*lines, *((mark,) if mark.line else ()))
    yield Drift(DriftKind.NEW_CODES, ruleset.table, ", ".join(columns), told, marks)


def _distinct(
    rig: Rig, table: str, asked: Sequence[tuple[str, ...]], before_each: Breath
) -> Iterator[tuple[tuple[str, ...], pl.DataFrame]]:
    """Give the different texts of some groups of columns: asked of the server, or gathered in one reading of all."""
    if not asked:
        return
    if isinstance(rig.port, Tallying):
        for columns in asked:
            before_each()
            yield columns, rig.port.find_texts(table, columns, at_most=TEXTS_AT_MOST + 1)
        return
    found = {columns: pl.DataFrame(schema=dict.fromkeys(columns, pl.String)) for columns in asked}
    before_each()
    for keys in rig.port.plan_ranges(table, _ROWS_AT_ONCE):
        before_each()
        rows = rig.port.read_range(table, keys).rows
        for columns, texts in found.items():
            if texts.height <= TEXTS_AT_MOST:
                found[columns] = pl.concat([texts, rows.select(columns)]).unique(maintain_order=True)
    yield from found.items()


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
