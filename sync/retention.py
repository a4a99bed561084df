"""Retention before load: the terms judged over a whole legacy system, and people readmitted who come back into a case.

Judged once, before the first copy. From then on whoever takes part in something that people change is readmitted whole:
a new offence prolongs, and nothing that may be lawful waits for another judgement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from banyan.findings import Finding
from banyan.ports import LegacyPort
from mappings.retention_facts import FactReader
from mappings.retention_sources import RetentionSources
from mappings.terms import JudgedTerms, find_unapplied, judge_terms, list_archives
from store.postgres import raw, transaction
from store.runs import ChunkPlan
from store.terms import find_past, find_waiting, readmit, replace_terms
from sync.setting import Psycopg, Setting

ROWS_PER_CHUNK = 50_000


@dataclass(frozen=True, slots=True)
class JudgedSource:
    """What the terms say of a legacy system: judged rows, the list of archives, decisions not applied."""

    terms: JudgedTerms = field(repr=False)
    archives: pl.DataFrame = field(repr=False)
    unapplied: tuple[Finding, ...] = field(repr=False)


def judge_source(
    port: LegacyPort, reader: FactReader, *, as_of: date, before_each: Callable[[], None] = lambda: None
) -> JudgedSource:
    """Read the tables that the terms ask, and judge every participation and person; writes nothing.

    `before_each` is called before each range that is read: it may wait.
    """
    reduced = {table: _read(port, reader, table, before_each) for table in reader.sources.columns}
    judged = judge_terms(reader.join(reduced), as_of=as_of)
    return JudgedSource(judged, list_archives(judged), find_unapplied(reader.dispositions(reduced), judged))


def remember_terms(setting: Setting, sources: RetentionSources, judged: JudgedTerms) -> int:
    """Remember what was judged, in one transaction; gives the number of rows past their term."""
    participations = judged.participations.rename({"person": "person_key", "case": "case_key"})
    persons = judged.persons.with_columns(person_key=pl.col("key"), case_key=pl.lit(None, pl.String))
    numbers = setting.table_numbers
    with transaction(setting.engine) as connection:
        replace_terms(
            raw(connection),
            setting.department.code,
            {numbers[sources.participation.table]: participations, numbers[sources.person]: persons},
            judged_on=judged.as_of,
        )
    return int(participations["is_expired"].sum()) + persons.height


def readmit_kept(
    setting: Setting, *, as_of: date, before_each: Callable[[], None] = lambda: None
) -> dict[str, list[str]]:
    """Readmit the people who were past their term and are not any more, as their own rows say today.

    Asked before every row is read again, when nobody tells which of them changed. Nobody else comes back, and nobody
    leaves. Gives the keys of rows that are not past their term and kept out nevertheless, by table: whoever died after
    the readmission left some.
    """
    sources = setting.retention
    if sources is None:
        return {}
    reader = FactReader(sources, setting.book, setting.context())
    terms = judge_source(setting.port, reader, as_of=as_of, before_each=before_each).terms
    kept = terms.participations.filter(~pl.col("is_expired"))["key"]
    persons = terms.participations.join(terms.persons, left_on="person", right_on="key", how="anti")["person"]
    numbers = setting.table_numbers
    with transaction(setting.engine) as connection:
        past = find_past(raw(connection), setting.department.code)
        is_person = pl.col("source_table_no") == numbers[sources.person]
        is_kept = pl.when(is_person).then(_is_one_of(persons)).otherwise(_is_one_of(kept))
        back = past.filter(is_kept)["person_key"]
        nobody = pl.Series("key", [], dtype=pl.String)
        readmit(raw(connection), setting.department.code, persons=back.unique(), cases=nobody)
        rules = [one.name for ruleset in setting.book.rulesets.values() for one in ruleset.filters if one.judged]
        waiting = find_waiting(raw(connection), setting.department.code, rules)
    names = {number: name for name, number in numbers.items()}
    return {names[number]: keys for number, keys in waiting.items() if number in names}


def _is_one_of(keys: pl.Series) -> pl.Expr:
    return pl.col("source_key").is_in(keys.implode())


def plan_readmitted(
    connection: Psycopg, setting: Setting, table: str, *, rows: pl.DataFrame, keys: pl.Series
) -> list[ChunkPlan]:
    """Readmit the people whom a changed row concerns, and plan reading everything of theirs again.

    `rows` are the changed rows that are still there, `keys` those of all changed rows of the table.
    """
    sources = setting.retention
    if sources is None:
        return []
    nobody = pl.Series("key", [], dtype=pl.String)
    if table == sources.participation.table:
        found = readmit(connection, setting.department.code, persons=rows[sources.participation.person], cases=nobody)
    elif table == sources.case.table:
        found = readmit(connection, setting.department.code, persons=nobody, cases=keys)
    elif table == sources.offence.table:
        found = readmit(connection, setting.department.code, persons=nobody, cases=rows[sources.offence.case])
    else:
        return []
    names = {number: name for name, number in setting.table_numbers.items()}
    by_table = {names[number]: tuple(sorted(found[number])) for number in found}
    order = (sources.person, sources.participation.table)
    return [
        ChunkPlan(name, by_table[name][at : at + ROWS_PER_CHUNK])
        for name in order
        if name in by_table
        for at in range(0, len(by_table[name]), ROWS_PER_CHUNK)
    ]


def _read(port: LegacyPort, reader: FactReader, table: str, before_each: Callable[[], None]) -> pl.DataFrame:
    """Read a legacy table by key ranges, keeping of each batch only what counts."""
    before_each()
    kept = []
    for keys in port.plan_ranges(table, ROWS_PER_CHUNK):
        before_each()
        kept.append(reader.reduce(table, port.read_range(table, keys).rows))
    return pl.concat(kept)
