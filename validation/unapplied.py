"""Decisions that erase a person from the file (CPP 230-8), known in the old system and not applied there.

They are findings of L2: the new system would go on calling a suspect whom a court has cleared. The old system is read
anew, and nothing is taken from what the first copy judged.
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from banyan.findings import Finding, LevelResult
from mappings.retention_facts import FactReader
from mappings.retention_sources import load_retention_sources
from mappings.terms import find_waiting
from validation.subject import ROWS_PER_CHUNK, Subject

FIGURE = "dispositions_not_applied"
LISTED = 1_000
"""Findings that are listed; the figure counts all."""


def find_unapplied(subject: Subject) -> tuple[Finding, ...] | None:
    """Find these decisions; None where the rules do not say where decisions stand, or stand in another closure."""
    if subject.rules is None:
        return None
    sources = load_retention_sources(subject.rules, subject.book)
    if sources is None or not {sources.disposition.table, sources.participation.table} <= set(subject.tables):
        return None
    reader = FactReader(sources, subject.book, subject.context())
    asked = (sources.participation.table, sources.disposition.table)
    reduced = {table: _read(subject, reader, table) for table in asked}
    return find_waiting(reader.dispositions(reduced), reader.suspects(reduced))


def with_unapplied(level: LevelResult, found: Sequence[Finding] | None) -> LevelResult:
    """Put these findings into L2, which they do not fail: what the old system left undone is repaired there."""
    if found is None:
        return level
    said = f"{len(found)} decisions that erase are known at the source and not applied"
    return replace(
        level,
        sentence=f"{level.sentence}; {said}" if found else level.sentence,
        figures={**level.figures, FIGURE: len(found)},
        findings=(*level.findings, *found[:LISTED]),
    )


def _read(subject: Subject, reader: FactReader, table: str) -> pl.DataFrame:
    ranges = subject.port.plan_ranges(table, ROWS_PER_CHUNK)
    return pl.concat([reader.reduce(table, subject.port.read_range(table, keys).rows) for keys in ranges])
