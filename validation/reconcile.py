"""L4: is each record what the rule says? Legacy rows are read again, mapped again, and compared with the store.

Independent of the ledger: no expected value and no digest of the load is read. It maps with the same code as the load,
so that a rule that is wrong the same way twice is not found here; statistics parity and golden records are for that.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from banyan.canonical.model import TABLES
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.records import KeyRange, Position
from mappings.engine import Compiled, MapContext, Mapped, apply_forward
from store.postgres import Isolation, raw, transaction
from store.records import read_records
from validation.differences import DIFFERENCES, canonical_columns, compare_part, no_differences
from validation.identifiers import IdBuckets
from validation.stored import (
    find_doubled_keys,
    find_explained,
    find_holders,
    find_standing,
    stream_ids,
)
from validation.subject import (
    ROWS_PER_CHUNK,
    Moves,
    Progress,
    Psycopg,
    Subject,
    Watcher,
    ids_of_part,
    kept_columns,
    key_of,
    look_up_keys,
    watch_nothing,
)

LISTED = 100_000
"""Differences listed one by one; all of them are counted by column and cause."""
EXPLAINED = "explained: degraded"
MAIN = 1


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """One canonical column: records compared, equal and different; moving and explained ones are not compared."""

    table: str
    column: str
    rule: str
    compared: int
    equal: int
    different: int


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """Differences that share a table, a column, a kind and a cause."""

    table: str
    column: str | None
    kind: FindingKind
    cause: str
    records: int


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a reconciliation found; `differences` tells the legacy table, key and id of each finding."""

    level: LevelResult
    columns: tuple[ComparedColumn, ...]
    causes: tuple[CauseGroup, ...]
    moving: int
    explained: int
    rows: int
    differences: pl.DataFrame = field(repr=False)


@dataclass(slots=True)
class _Tally:
    """What has been counted so far."""

    rows: int = 0
    judged: int = 0
    explained: int = 0
    doubled: int = 0
    shared: int = 0
    different_records: int = 0
    moving: set[tuple[str, str]] = field(default_factory=set)
    compared: Counter[tuple[str, str]] = field(default_factory=Counter)
    different: Counter[tuple[str, str]] = field(default_factory=Counter)
    rules: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    causes: Counter[tuple[str, str | None, str, str]] = field(default_factory=Counter)
    listed: list[pl.DataFrame] = field(default_factory=list)
    listed_count: int = 0


def reconcile(
    subject: Subject,
    *,
    watermark: Position | None,
    keys_by_table: Mapping[str, Sequence[str]] | None = None,
    until: Position | None = None,
    watcher: Watcher = watch_nothing,
) -> Reconciliation:
    """Compare every legacy row of the domains, or only the keys given, with the store; changes nothing.

    A key that a person changed in the legacy system after `watermark` is moving, not different. Keys of tables outside
    the domains are left aside. With keys, records that no row emits and doubled keys are looked for among them only.
    """
    with TemporaryDirectory(prefix="banyan-") as folder:
        judge = _Judge(subject, Moves(subject.port, watermark, until), IdBuckets(Path(folder)), _Tally())
        for table in subject.tables:
            plan = _plan(subject, table, keys_by_table)
            for number, keys in enumerate(plan, 1):
                judge.judge_chunk(table, keys)
                watcher(Progress(table, number, len(plan), judge.tally.rows))
        if keys_by_table is None:
            judge.judge_rest()
    return _conclude(subject, judge.tally, is_full=keys_by_table is None)


def _plan(
    subject: Subject, table: str, keys_by_table: Mapping[str, Sequence[str]] | None
) -> list[KeyRange | tuple[str, ...]]:
    if keys_by_table is None:
        return list(subject.port.plan_ranges(table, ROWS_PER_CHUNK))
    keys = sorted(set(keys_by_table.get(table, ())))
    return [tuple(keys[at : at + ROWS_PER_CHUNK]) for at in range(0, len(keys), ROWS_PER_CHUNK)]


@dataclass(frozen=True, slots=True)
class _Judge:
    """One pass over the legacy rows."""

    subject: Subject
    moves: Moves
    seen: IdBuckets
    tally: _Tally = field(repr=False)

    def judge_chunk(self, table: str, keys: KeyRange | tuple[str, ...]) -> None:
        """Read a chunk of legacy rows, map it, and compare it with the records of the same ids in one snapshot."""
        subject, compiled = self.subject, self.subject.compiled(table)
        port = subject.port
        batch = port.read_range(table, keys) if isinstance(keys, KeyRange) else port.read_keys(table, keys)
        rows = kept_columns(compiled, batch.rows)
        own = key_of(compiled.ruleset, rows)
        wanted = own if isinstance(keys, KeyRange) else pl.Series("source_key", list(keys), dtype=pl.String)
        with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            context = look_up_keys(raw(connection), subject, compiled, rows=rows, own=wanted)
            mapped = apply_forward(compiled, rows, context)
            found = self._compare(raw(connection), compiled, mapped)
            if not isinstance(keys, KeyRange):
                found = pl.concat([found, self._unwelcome(raw(connection), compiled, context, mapped, keys=wanted)])
        self.tally.rows += rows.height
        self.tally.judged += len(wanted)
        self._settle(table, found)

    def _compare(self, connection: Psycopg, compiled: Compiled, mapped: Mapped) -> pl.DataFrame:
        ruleset = compiled.ruleset
        mains = mapped.crosswalk.select("source_key", pl.col("id").alias("main_id"))
        rejected = canonical_columns(ruleset, mapped.rejected_fields)
        lists = [no_differences()]
        for part in self.subject.parts(ruleset.table):
            frame = mapped.parts[part.name]
            self.seen.add(f"legacy-{part.table}", frame["id"], flag=MAIN if part.main else 0)
            expected = frame.join(mains, on="source_key", how="left", maintain_order="left")
            ruled = [name for name in frame.columns if name not in ("id", "department_code", "origin", "source_key")]
            unsaid = self.subject.written_after.get(part.table, ())
            known = ["id", "domain_code", *(name for name in TABLES[part.table].column_names if name not in unsaid)]
            if part.share:  # the same record as often as rows emit it
                expected = expected.unique("id", keep="first", maintain_order=True)
            records = read_records(connection, part.table, self.subject.department.code, frame["id"]).select(known)
            done = compare_part(part.table, expected, records, ruled=ruled, rejected=rejected)
            for column, count in done.compared.items():
                self.tally.compared[part.table, column] += count
            for column in ruled:
                self.tally.rules.setdefault((part.table, column), set()).add(ruleset.rule_id)
            lists.append(done.differences)
        return pl.concat(lists)

    def _unwelcome(
        self, connection: Psycopg, compiled: Compiled, context: MapContext, mapped: Mapped, *, keys: pl.Series
    ) -> pl.DataFrame:
        """Find records of keys that have none: deleted, filtered, rejected or gone rows, and parts not emitted."""
        table = compiled.ruleset.table
        lists = [no_differences()]
        fates = {
            "its legacy row is deleted": mapped.deleted["source_key"],
            "its legacy row is filtered": mapped.filtered["source_key"],
            "its legacy row is in quarantine": mapped.rejected["source_key"],
            "its legacy row does not emit it": mapped.crosswalk["source_key"],
        }
        every = pl.concat(
            [pl.DataFrame({"source_key": who}).with_columns(cause=pl.lit(why)) for why, who in fates.items()]
        )
        fate = pl.DataFrame({"source_key": keys}).join(every.unique("source_key"), on="source_key", how="left")
        fate = fate.with_columns(pl.col("cause").fill_null("its legacy row is gone"))
        mains = ids_of_part(context, table, compiled.ruleset.main, rows=fate)
        for part in self.subject.parts(table):
            if part.share:  # other rows may stand for the same record: only a pass over all of them can tell
                continue
            ids = ids_of_part(context, table, part, rows=fate)
            listed = fate.with_columns(ids.alias("id"), mains.alias("main_id"))
            unemitted = listed.join(mapped.parts[part.name].select("id"), on="id", how="anti")
            standing = find_standing(connection, part.table, self.subject.department.code, unemitted["id"])
            lists.append(_missing_in_legacy(unemitted.join(standing, on="id", how="semi"), part.table))
        return pl.concat(lists)

    def _settle(self, table: str, found: pl.DataFrame) -> None:
        """Tell apart what moves, what a degraded write-back explains, and what differs."""
        if found.is_empty():
            return
        moved = self.moves.keys(table)
        moving = found.filter(pl.col("source_key").is_in(moved.implode()))
        still = found.filter(~pl.col("source_key").is_in(moved.implode()).fill_null(value=False))
        with transaction(self.subject.engine) as connection:
            explained = find_explained(raw(connection), self.subject, table, still)
        confirmed = still.join(explained, on=["id", "canonical_table", "column"], how="anti", nulls_equal=True)
        excused = still.join(explained, on=["id", "canonical_table", "column"], how="semi", nulls_equal=True)
        self.tally.moving |= {(table, key) for key in moving["source_key"].drop_nulls().to_list()}
        for cells in (moving, excused):
            for name, column, count in _per_column(cells):
                self.tally.compared[name, column] -= count
        self._count(excused.with_columns(pl.lit(EXPLAINED).alias("cause")))
        self.tally.explained += excused.height
        self._confirm(confirmed.with_columns(pl.lit(table).alias("legacy_table")))

    def _confirm(self, confirmed: pl.DataFrame) -> None:
        for name, column, count in _per_column(confirmed):
            self.tally.different[name, column] += count
            self.tally.rules.setdefault((name, column), set())
        self._count(confirmed)
        self.tally.different_records += confirmed.select("canonical_table", "id").n_unique()
        room = max(0, LISTED - self.tally.listed_count)
        self.tally.listed.append(confirmed.head(room).select("legacy_table", *DIFFERENCES))
        self.tally.listed_count += min(room, confirmed.height)

    def _count(self, found: pl.DataFrame) -> None:
        grouped = found.group_by("canonical_table", "column", "kind", "cause").len()
        for table, column, kind, cause, count in grouped.iter_rows():
            self.tally.causes[table, column, kind, cause] += count

    def judge_rest(self) -> None:
        """Find what no legacy row emits, and what is there twice; bucket by bucket, in constant memory."""
        for table in self.subject.canonical_tables:
            with transaction(self.subject.engine) as connection:
                for ids in stream_ids(raw(connection), self.subject, table):
                    self.seen.add(f"canonical-{table}", ids)
            for alone in self.seen.missing_from(f"canonical-{table}", f"legacy-{table}"):
                self._judge_alone(table, alone)
            for mains, shared in self.seen.repeated(f"legacy-{table}"):
                self.tally.shared += len(shared)
                self._judge_doubled(table, mains)
        with transaction(self.subject.engine) as connection:
            doubled = find_doubled_keys(raw(connection), self.subject)
        for (table,), rows in doubled.group_by("legacy_table", maintain_order=True):
            self.tally.doubled += rows.height
            self._settle(str(table), rows.drop("legacy_table"))

    def _judge_alone(self, table: str, ids: pl.Series) -> None:
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, ids)
        for (legacy_table,), rows in holders.group_by("legacy_table", maintain_order=True):
            self._settle(str(legacy_table or ""), _missing_in_legacy(rows, table))

    def _judge_doubled(self, table: str, ids: pl.Series) -> None:
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, ids)
        self.tally.doubled += holders.height
        doubled = _missing_in_legacy(holders, table).with_columns(
            pl.lit(FindingKind.DUPLICATED.value).alias("kind"), pl.lit("two legacy rows emit it").alias("cause")
        )
        for (legacy_table,), rows in doubled.with_columns(holders["legacy_table"]).group_by("legacy_table"):
            self._settle(str(legacy_table or ""), rows.drop("legacy_table"))


def _missing_in_legacy(rows: pl.DataFrame, table: str) -> pl.DataFrame:
    return rows.select(
        "source_key",
        "main_id",
        pl.lit(table).alias("canonical_table"),
        "id",
        pl.lit(None, pl.String).alias("column"),
        pl.lit(FindingKind.MISSING_IN_LEGACY.value).alias("kind"),
        "cause",
    )


def _per_column(found: pl.DataFrame) -> Iterator[tuple[str, str, int]]:
    cells = found.filter(pl.col("column").is_not_null())
    yield from cells.group_by("canonical_table", "column", maintain_order=True).len().iter_rows()


def _conclude(subject: Subject, tally: _Tally, *, is_full: bool) -> Reconciliation:
    columns = tuple(
        ComparedColumn(
            table,
            column,
            ", ".join(sorted(rules)),
            compared=tally.compared[table, column],
            equal=tally.compared[table, column] - tally.different[table, column],
            different=tally.different[table, column],
        )
        for (table, column), rules in sorted(tally.rules.items())
    )
    causes = tuple(
        CauseGroup(table, column, FindingKind(kind), cause, count)
        for (table, column, kind, cause), count in sorted(tally.causes.items(), key=lambda item: (item[0][0], -item[1]))
    )
    empty = pl.DataFrame(schema={"legacy_table": pl.String(), **DIFFERENCES})
    listed = pl.concat([empty, *tally.listed])
    found = sum(group.records for group in causes if group.cause != EXPLAINED)
    level = LevelResult(
        "L4",
        _state(tally, found),
        _sentence(tally, found, is_full=is_full, unsaid=subject.written_after),
        {
            "rows": tally.rows,
            "different": tally.different_records,
            "differences": found,
            "differences_listed": listed.height,
            "moving": len(tally.moving),
            "explained_degraded": tally.explained,
            "shared": tally.shared,
            "doubled": tally.doubled,
            "complete_pass": is_full,
            "domains": "+".join(sorted(subject.domains)),
        },
        tuple(_findings(listed)),
    )
    return Reconciliation(level, columns, causes, len(tally.moving), tally.explained, tally.rows, listed)


def _state(tally: _Tally, found: int) -> LevelState:
    if found:
        return LevelState.FAIL
    return LevelState.PASS if tally.judged else LevelState.NOT_RUN


def _sentence(tally: _Tally, found: int, *, is_full: bool, unsaid: Mapping[str, tuple[str, ...]]) -> str:
    if not tally.judged and not found:
        return "no legacy row was there to compare: nothing is proved"
    scope = "all rows" if is_full else f"{tally.judged} keys"
    passed_by = [f"{table}.{column}" for table, columns in sorted(unsaid.items()) for column in columns]
    said = f", not judged because a statement after the load writes them: {', '.join(passed_by)}" if passed_by else ""
    return (
        f"{scope}: {tally.rows} rows re-read, {tally.different_records} records differ, {len(tally.moving)} keys"
        f" still move, {tally.explained} differences explained by degraded write-backs{said}"
    )


def _findings(listed: pl.DataFrame) -> Iterator[Finding]:
    named = listed.select(
        "kind", "canonical_table", pl.coalesce("source_key", pl.col("id").bin.encode("hex")), "column", "cause"
    )
    for kind, table, key, column, cause in named.iter_rows():
        yield Finding(FindingKind(kind), Severity.BLOCK, table, key, column, cause)
