"""The figures of an evidence as sheets that people open: CSV files and one workbook, made by pandas from facts alone.

Every text passes `csv_cell`: what starts a formula is disarmed and what cannot be seen becomes a symbol, in the
workbook as well, since a workbook is saved as CSV one day. Numbers stay numbers. Same facts, same bytes.
"""

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd

from validation.cause_words import say_text
from validation.facts import EvidenceFacts, Total
from validation.text import Language, Text
from validation.trend import NO_HISTORY, History, column_lines, waiver_lines
from validation.visible import csv_cell

Cell = str | int | Decimal
Sheet = Mapping[str, list[Cell]]
_LONGEST_TEXT = 32_000
_MOST_ROWS = 1_000_000
_LARGEST = 2**53
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_WIDTHS = (10, 60)


def write_exports(
    facts: EvidenceFacts, folder: Path, *, language: Language, history: History = NO_HISTORY
) -> tuple[Path, ...]:
    """Write each table of an evidence as CSV, and all of them in `tables.LANGUAGE.xlsx`; gives the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = {name: as_frame(sheet) for name, sheet in sheets_of(facts, language, history=history).items()}
    written = []
    for name, frame in frames.items():
        path = folder / f"{name}.{language.value}.csv"
        path.write_bytes(to_csv(frame))
        written.append(path)
    workbook = folder / f"tables.{language.value}.xlsx"
    workbook.write_bytes(to_workbook(frames))
    return (*written, workbook)


def sheets_of(facts: EvidenceFacts, language: Language, *, history: History = NO_HISTORY) -> dict[str, Sheet]:
    """Give the tables of an evidence by name, in one language; no value of a person is in any of them."""

    def say(text: Text) -> str:
        return say_text(text).say(language)

    columns = column_lines(facts, history)
    waivers = waiver_lines(facts)
    return {
        "levels": {
            "level": [each.level for each in facts.levels],
            "state": [each.state.value for each in facts.levels],
            "asked": ["yes" if each.level in facts.profile.asked else "no" for each in facts.levels],
        },
        "conservation": {
            "table": [each.table for each in facts.conservation],
            **{
                name: [getattr(each.rows, name) for each in facts.conservation]
                for name in ("read", "loaded", "unchanged", "deleted", "filtered", "quarantined", "in_flight")
            },
        },
        "lists": _lists(facts, language),
        "totals": _totals([*facts.control_totals, *facts.record_counts, *facts.statistics], language),
        "columns": {
            "table": [each.table for each in facts.columns],
            "column": [each.column for each in facts.columns],
            "rule": [each.rule for each in facts.columns],
            "compared": [each.compared for each in facts.columns],
            "equal": [each.equal for each in facts.columns],
            "different": [each.different for each in facts.columns],
        },
        "causes": {
            "table": [line.table for line in columns for _ in line.causes],
            "column": [line.column for line in columns for _ in line.causes],
            "cause": [say(each.cause.sentence) for line in columns for each in line.causes],
            "rows": [each.cause.rows for line in columns for each in line.causes],
            "new": ["yes" if each.is_new else "no" for line in columns for each in line.causes],
            "before": [line.counts[-2] if len(line.counts) > 1 else "" for line in columns for _ in line.causes],
        },
        "findings": {
            "level": [each.level for each in facts.findings],
            "kind": [each.kind.value for each in facts.findings],
            "severity": [each.severity.value for each in facts.findings],
            "table": [each.table for each in facts.findings],
            "record": [each.pseudonym for each in facts.findings],
            "column": [each.column for each in facts.findings],
            "cause": [say(Text.same(each.cause)) for each in facts.findings],
        },
        "waivers": {
            "waiver": [each.waiver.number for each in waivers],
            "level": [each.waiver.level for each in waivers],
            "rule": [each.waiver.rule for each in waivers],
            "cause": [say(Text.same(each.waiver.cause)) for each in waivers],
            "findings": [each.used for each in waivers],
            "limit": [each.waiver.up_to for each in waivers],
            "until": [each.waiver.until.isoformat() for each in waivers],
            "author": [each.waiver.author for each in waivers],
            "approver": [each.waiver.approver for each in waivers],
            "reason": [each.waiver.reason for each in waivers],
        },
        "questions": {
            "question": [each.sentence.say(language) for each in facts.questions],
            "legacy": [each.legacy for each in facts.questions],
            "explained": [each.explained for each in facts.questions],
            "canonical": [each.canonical for each in facts.questions],
            "different": [each.different for each in facts.questions],
            "answered": ["yes" if each.is_answered else "no" for each in facts.questions],
        },
        "examples": {
            "cause": [each.cause for each in facts.examples],
            "record": [each.record for each in facts.examples],
            "table": [each.table for each in facts.examples],
            "column": [each.column for each in facts.examples],
            "raw": [each.raw.text for each in facts.examples],
            "rule": [each.rule for each in facts.examples],
            "expected": [each.expected.text for each in facts.examples],
            "found": [each.found.text for each in facts.examples],
        },
    }


def as_frame(sheet: Sheet) -> pd.DataFrame:
    """Make a frame of a table: texts disarmed, whole numbers exact, decimals and very large numbers as exact text."""
    return pd.DataFrame({name: pd.Series([_cell(each) for each in cells], dtype="object")
                         for name, cells in sheet.items()})  # fmt: skip


def to_csv(frame: pd.DataFrame) -> bytes:
    """Write a frame as CSV in UTF-8, with the mark by which spreadsheets know it."""
    text: str = frame.to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8-sig")


def to_workbook(frames: Mapping[str, pd.DataFrame]) -> bytes:
    """Write frames as one workbook, a sheet each: no formula, no link, no time of writing.

    A sheet holds a million rows; what is beyond stands in the CSV file only.
    """
    target = io.BytesIO()
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with pd.ExcelWriter(target, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        writer.book.set_properties({"created": _SOME_TIME.replace(tzinfo=None)})
        for name, frame in frames.items():
            frame.head(_MOST_ROWS).to_excel(writer, sheet_name=name, index=False)
            sheet = writer.sheets[name]
            sheet.freeze_panes(1, 0)
            for at, column in enumerate(frame.columns):
                longest = max([len(str(column)), *(len(str(each)) for each in frame[column].head(200))])
                sheet.set_column(at, at, min(max(longest + 2, _WIDTHS[0]), _WIDTHS[1]))
    return target.getvalue()


def _lists(facts: EvidenceFacts, language: Language) -> Sheet:
    rows: list[tuple[Cell, ...]] = [
        *(("filtered", each.table, "", each.reason.say(language), each.rule, each.rows) for each in facts.filtered),
        *(("quarantined", q.table, "", q.cause.say(language), "", q.rows) for q in facts.quarantined_rows),
        *(("quarantined", q.table, q.column, q.cause.say(language), "", q.fields) for q in facts.quarantined_fields),
        *(("degraded", each.table, each.column, each.kind.say(language), "", each.count) for each in facts.degraded),
    ]
    names = ("list", "table", "column", "reason", "rule", "count")
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _totals(totals: list[Total], language: Language) -> Sheet:
    return {
        "total": [each.label.say(language) for each in totals],
        "legacy": [each.legacy for each in totals],
        "canonical": [each.canonical for each in totals],
        "difference": [each.difference for each in totals],
        "explanation": [said.say(language) if (said := each.problem or each.explanation) else "" for each in totals],
    }


def _cell(value: Cell) -> Cell:
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return value
    return csv_cell(value)[:_LONGEST_TEXT]
