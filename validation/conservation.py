"""L1: has every row one fate? Counted where each fate stands, on both sides, and never by subtraction.

Legacy rows now = live crosswalk rows + rows deleted softly + filtered + quarantined + in flight. Soft deletes are
counted again on raw rows by the condition of the rule; the equations of the ledger are checked beside. Canonical
records = main parts of live rows + linked parts, each id once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Side
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.records import ChunkCounts, Fate, RowCounts
from mappings.fate_masks import holds
from store.canonical import CANONICAL
from store.ledger import LedgerReader
from store.postgres import Isolation, transaction
from store.row_tables import CROSSWALK, DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE, RECORD_LINK
from store.runs import RunKind, RunState
from store.tables import CHUNK, RUN
from validation.subject import ROWS_PER_CHUNK, Moves, Progress, Subject, Watcher, kept_columns, key_of, watch_nothing

_KEYS_LISTED = 1 << 14
_ROW_FIGURES = ("rows", "live", "deleted", "filtered", "quarantined", "in_flight")
_RECORD_FIGURES = ("records", "claimed", "without_place")


@dataclass(frozen=True, slots=True)
class TableBalance:
    """The rows of one legacy table now, and the fate of each as the store and the raw rows tell it."""

    table: str
    rows: int
    live: int
    deleted: int
    filtered: int
    quarantined: int
    in_flight: int
    counted: int | None
    """What the legacy system itself counts; None while keys of the table change, when both cannot be compared."""

    @property
    def accounted(self) -> int:
        """Give the number of rows that have a fate."""
        return self.live + self.deleted + self.filtered + self.quarantined + self.in_flight

    @property
    def row_counts(self) -> RowCounts:
        """Give the balance in the words of the evidence; live rows count as loaded."""
        return RowCounts(
            read=self.rows,
            loaded=self.live,
            deleted=self.deleted,
            filtered=self.filtered,
            quarantined=self.quarantined,
            in_flight=self.in_flight,
        )


@dataclass(frozen=True, slots=True)
class RecordBalance:
    """The records of one canonical table, and the distinct ids that live rows claim in it.

    `without_place` counts records that nobody claims because they are listed: the old system has no place for them.
    """

    table: str
    records: int
    claimed: int
    without_place: int = 0


@dataclass(frozen=True, slots=True)
class Balances:
    """Both sides counted in one snapshot of the store."""

    tables: tuple[TableBalance, ...]
    records: tuple[RecordBalance, ...]
    last_runs: dict[str, tuple[int, ChunkCounts]]


def check_conservation(subject: Subject, *, watcher: Watcher = watch_nothing) -> LevelResult:
    """Check that every legacy row has one fate and every record one origin; changes nothing."""
    return judge_balances(read_balances(subject, watcher=watcher))


def read_balances(subject: Subject, *, watcher: Watcher = watch_nothing) -> Balances:
    """Count both sides; what people changed after the watermark is counted as in flight, once."""
    with transaction(subject.engine) as connection:
        watermark = LedgerReader(connection).find_watermark(subject.source, Side.CANONICAL)
    with TemporaryDirectory(prefix="banyan-") as folder:
        counted = {table: _read_again(subject, table, Path(folder), watcher) for table in subject.tables}
        with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            connection.execute(sa.select(sa.func.pg_current_snapshot()))  # the snapshot is taken before the moves
            moves = Moves(subject.port, watermark)
            tables = tuple(
                _balance_table(connection, subject, _Reread(table, Path(folder), counted[table]), moves.keys(table))
                for table in subject.tables
            )
            records = tuple(_balance_records(connection, subject, name) for name in subject.canonical_tables)
            last_runs = {table: _last_totals(connection, subject, table) for table in subject.tables}
    return Balances(tables, records, {table: found for table, found in last_runs.items() if found is not None})


def judge_balances(balances: Balances) -> LevelResult:
    """Say which equations do not hold, each with both its numbers."""
    findings = tuple(_broken(balances))
    rows = sum(table.rows for table in balances.tables)
    unexplained = sum(abs(table.rows - table.accounted) for table in balances.tables)
    state = LevelState.FAIL if findings else LevelState.PASS if rows else LevelState.NOT_RUN
    figures: dict[str, int | str | bool] = {"rows": rows, "unexplained": unexplained, "broken": len(findings)}
    for table in balances.tables:
        figures |= {f"{table.table}.{name}": getattr(table, name) for name in _ROW_FIGURES}
    for record in balances.records:
        figures |= {f"{record.table}.{name}": getattr(record, name) for name in _RECORD_FIGURES}
    sentence = f"{rows} rows, {unexplained} without exactly one fate" if rows else "no row was there: nothing is proved"
    sentence += f"; equations that do not hold: {len(findings)}" if findings else ""
    return LevelResult("L1", state, sentence, figures, findings)


def _broken(balances: Balances) -> Iterator[Finding]:
    for table in balances.tables:
        if table.rows != table.accounted:
            yield _unbalanced(table.table, f"{table.rows} rows, {table.accounted} with a fate")
        if table.counted is not None and table.counted != table.rows:
            yield _unbalanced(table.table, f"{table.counted} rows counted, {table.rows} read")
        if table.table not in balances.last_runs:
            yield _unbalanced(table.table, "no finished run has read this table")
    for record in balances.records:
        if record.records != record.claimed + record.without_place:
            listed = f" and {record.without_place} listed without a place" if record.without_place else ""
            yield _unbalanced(record.table, f"{record.records} records, {record.claimed} claimed by live rows{listed}")
    for name, (run_no, counts) in balances.last_runs.items():
        rows, parts = counts.rows, counts.parts
        if not rows.is_balanced:
            yield _unbalanced(name, f"run {run_no}: {rows.read} rows read, {rows.accounted} with a fate")
        if not parts.is_balanced:
            kept = parts.inserted + parts.updated + parts.unchanged + parts.merged
            yield _unbalanced(name, f"run {run_no}: {parts.emitted} parts emitted, {kept} found again")


def _unbalanced(table: str, cause: str) -> Finding:
    return Finding(FindingKind.UNBALANCED, Severity.BLOCK, table, "", cause=cause)


def list_keys(subject: Subject, table: str, fate: Fate) -> Iterator[pl.DataFrame]:
    """List the keys behind one number of a balance, in batches: columns source_key and reason."""
    number = subject.table_numbers[table]
    match fate:
        case Fate.DELETED:
            for keys in subject.port.plan_ranges(table, ROWS_PER_CHUNK):
                rows = subject.port.read_range(table, keys).rows
                marked = _marked(subject, table, rows).filter("is_deleted")
                yield marked.select("source_key", pl.lit("deleted in the legacy system").alias("reason"))
        case Fate.IN_FLIGHT:
            with transaction(subject.engine) as connection:
                watermark = LedgerReader(connection).find_watermark(subject.source, Side.CANONICAL)
            moved = Moves(subject.port, watermark).keys(table)
            present = key_of(subject.book.rulesets[table], subject.port.read_keys(table, moved.to_list()).rows)
            yield pl.DataFrame({"source_key": present}).with_columns(reason=pl.lit("changed after the watermark"))
        case Fate.LOADED | Fate.UNCHANGED | Fate.FILTERED | Fate.QUARANTINED:
            with transaction(subject.engine) as connection:
                query = _listing(subject, number, fate)
                for block in connection.execution_options(yield_per=_KEYS_LISTED).execute(query).partitions():
                    yield pl.DataFrame(
                        [tuple(row) for row in block],
                        schema={"source_key": pl.String, "reason": pl.String},
                        orient="row",
                    )


def _listing(subject: Subject, number: int, fate: Fate) -> sa.Select[tuple[str, str | None]]:
    code = subject.department.code
    match fate:
        case Fate.FILTERED:
            return sa.select(FILTERED_ROW.c.source_key, FILTERED_ROW.c.rule).where(*_of(FILTERED_ROW, code, number))
        case Fate.QUARANTINED:
            return (
                sa.select(QUARANTINE.c.source_key, QUARANTINE.c.cause)
                .where(*_of(QUARANTINE, code, number), *_waiting())
                .distinct(QUARANTINE.c.source_key)
            )
        case _:
            return sa.select(CROSSWALK.c.source_key, CROSSWALK.c.rule_id).where(
                *_of(CROSSWALK, code, number), CROSSWALK.c.deleted_at.is_(None)
            )


@dataclass(frozen=True, slots=True)
class _Reread:
    """The keys of a legacy table as read again, in files of a private folder, and the number the system counts."""

    table: str
    folder: Path
    counted: int


def _read_again(subject: Subject, table: str, folder: Path, watcher: Watcher) -> int:
    """Keep the key of each raw row and whether it is deleted softly; give the number the legacy system counts."""
    counted = subject.port.count(table)
    plan = subject.port.plan_ranges(table, ROWS_PER_CHUNK)
    total = 0
    for number, keys in enumerate(plan, 1):
        rows = subject.port.read_range(table, keys).rows
        _marked(subject, table, rows).write_parquet(folder / f"{subject.table_numbers[table]}-{number:06d}.parquet")
        total += rows.height
        watcher(Progress(table, number, len(plan), total))
    return counted


def _marked(subject: Subject, table: str, rows: pl.DataFrame) -> pl.DataFrame:
    ruleset = subject.book.rulesets[table]
    kept = kept_columns(subject.compiled(table), rows)
    is_deleted = holds(ruleset.deletes) if ruleset.deletes else pl.lit(value=False)
    return kept.select(key_of(ruleset, kept), is_deleted.alias("is_deleted"))


def _balance_table(connection: Connection, subject: Subject, reread: _Reread, moved: pl.Series) -> TableBalance:
    table, number, code = reread.table, subject.table_numbers[reread.table], subject.department.code
    flies = pl.col("source_key").is_in(moved.implode())
    read = pl.scan_parquet(reread.folder / f"{number}-*.parquet").select(
        pl.len().alias("rows"),
        flies.sum().alias("in_flight"),
        (pl.col("is_deleted") & ~flies).sum().alias("deleted"),
    )
    rows, in_flight, deleted = (int(figure) for figure in read.collect(engine="streaming").row(0))
    settled = moved.to_list()

    def count(place: sa.Table, *conditions: sa.ColumnElement[bool], of: sa.ColumnElement[int]) -> int:
        query = sa.select(of).where(*_of(place, code, number), *conditions)
        if settled:
            query = query.where(sa.not_(place.c.source_key == sa.any_(sa.cast(settled, sa.ARRAY(sa.Text)))))
        return int(connection.scalar(query) or 0)

    return TableBalance(
        table,
        rows=rows,
        live=count(CROSSWALK, CROSSWALK.c.deleted_at.is_(None), of=sa.func.count()),
        deleted=deleted,
        filtered=count(FILTERED_ROW, of=sa.func.count()),
        quarantined=count(QUARANTINE, *_waiting(), of=sa.func.count(QUARANTINE.c.source_key.distinct())),
        in_flight=in_flight,
        counted=reread.counted if moved.is_empty() else None,
    )


def _balance_records(connection: Connection, subject: Subject, name: str) -> RecordBalance:
    """Count the records of a canonical table, and the ids that live rows of this legacy system claim there."""
    code = subject.department.code
    live = (CROSSWALK.c.department_code == code, CROSSWALK.c.deleted_at.is_(None))
    numbers, linked = [], []
    for table in subject.tables:
        for part in subject.parts(table):
            if part.table == name and part.main:
                numbers.append(subject.table_numbers[table])
            elif part.table == name:
                linked.append(
                    (CROSSWALK.c.source_table_no == subject.table_numbers[table]) & (RECORD_LINK.c.part == part.name)
                )
    mains = sa.select(CROSSWALK.c.id).where(*live, CROSSWALK.c.source_table_no.in_(numbers))
    joined = (RECORD_LINK.c.id == CROSSWALK.c.id) & (RECORD_LINK.c.department_code == CROSSWALK.c.department_code)
    links = (
        sa.select(RECORD_LINK.c.canonical_id)
        .join(CROSSWALK, joined)
        .where(*live, RECORD_LINK.c.canonical_table == name, sa.or_(sa.false(), *linked))
    )
    claimed = sa.union(mains, links)
    records = CANONICAL[name]
    there = (records.c.department_code == code, records.c.domain_code.in_(subject.domains))
    listed = sa.select(DEGRADED_WRITE_BACK.c.main_id).where(
        DEGRADED_WRITE_BACK.c.department_code == code,
        DEGRADED_WRITE_BACK.c.canonical_table == name,
        DEGRADED_WRITE_BACK.c.column_name.is_(None),
        DEGRADED_WRITE_BACK.c.state == "OPEN",
    )
    homeless = sa.select(records.c.id).where(*there, records.c.id.in_(listed)).except_(claimed)

    def count(selected: sa.FromClause) -> int:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(selected)) or 0)

    return RecordBalance(
        name,
        records=count(sa.select(records.c.id).where(*there).subquery()),
        claimed=count(claimed.subquery()),
        without_place=count(homeless.subquery()),
    )


def _last_totals(connection: Connection, subject: Subject, table: str) -> tuple[int, ChunkCounts] | None:
    """Read what the last finished run of a table counted there."""
    last = connection.scalar(
        sa.select(sa.func.max(RUN.c.run_no))
        .join(CHUNK, CHUNK.c.run_no == RUN.c.run_no)
        .where(
            RUN.c.department_code == subject.department.code,
            RUN.c.system_code == subject.source.system_code,
            RUN.c.to_side == Side.CANONICAL.value,
            RUN.c.kind.in_((RunKind.LOAD.value, RunKind.CHANGES.value)),
            RUN.c.state == RunState.DONE.value,
            CHUNK.c.table_name == table,
        )
    )
    return None if last is None else (last, LedgerReader(connection).read_totals(last)[table])


def _of(place: sa.Table, department_code: str, number: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (place.c.department_code == department_code, place.c.source_table_no == number)


def _waiting() -> tuple[sa.ColumnElement[bool], ...]:
    return (QUARANTINE.c.state == "OPEN", QUARANTINE.c.column_name.is_(None))
