"""L4: is each record what the rule says? Legacy rows are read again, mapped again, and compared with the store.

Independent of the ledger: no expected value and no digest of the load is read. It maps with the same code as the load,
so that a rule that is wrong the same way twice is not found here; statistics parity and golden records are for that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from banyan.canonical.model import TABLES
from banyan.findings import FindingKind
from banyan.records import KEY_SEPARATOR, KeyRange, Origin, Position
from mappings.engine import Compiled, MapContext, Mapped, Wanted, apply_forward
from mappings.tolerances import tolerances_of
from store.postgres import Isolation, raw, transaction
from validation.differences import DIFFERENCES, canonical_columns, compare_part, no_differences
from validation.identifiers import IdBuckets
from validation.rechecking import (
    Glimpses,
    Patience,
    Reading,
    changed_rows,
    decide,
    differing,
    read_legacy,
    wait_until_applied,
)
from validation.reconciliation import EXPLAINED, LISTED, Reconciliation, Tally, conclude
from validation.resumption import open_pass
from validation.stored import (
    find_doubled_keys,
    find_explained,
    find_holders,
    find_standing,
    stream_ids,
)
from validation.stored_records import read_compared
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

MAIN = 1


def reconcile(
    subject: Subject,
    *,
    watermark: Position | None,
    keys_by_table: Mapping[str, Sequence[str]] | None = None,
    watcher: Watcher = watch_nothing,
    patience: Patience | None = None,
    kept_in: Path | None = None,
) -> Reconciliation:
    """Compare every legacy row of the domains, or only the keys given, with the store; changes nothing.

    A key that a person changed in the legacy system after `watermark` is moving, not different; with `patience` it is
    asked again until it is decided. Keys of tables outside the domains are left aside. With keys, records that no row
    emits and doubled keys are looked for among them only. A complete pass is kept in a folder of its own, `kept_in`:
    after a death, the same call goes on from the chunk it had reached, and judges again what was touched since.
    """
    is_full = keys_by_table is None
    with open_pass(subject, watermark, kept_in=kept_in if is_full else None) as going:
        judge = _Judge(subject, Moves(subject.port, going.watermark, going.touched), going.seen, going.tally)
        for table in subject.tables:
            plan: Sequence[KeyRange | tuple[str, ...]] = (
                going.plan(table) if keys_by_table is None else _cut(keys_by_table.get(table, ()))
            )
            for number, keys in enumerate(plan, 1):
                if going.has(table, number):
                    continue
                judge.judge_chunk(table, keys)
                going.note(table, number)
                watcher(Progress(table, number, len(plan), judge.tally.rows))
        if is_full:
            judge.judge_rest()
        if patience is not None:
            judge.recheck(patience)
    return conclude(subject, judge.tally, is_full=is_full)


def _cut(keys: Sequence[str]) -> list[tuple[str, ...]]:
    distinct = sorted(set(keys))
    return [tuple(distinct[at : at + ROWS_PER_CHUNK]) for at in range(0, len(distinct), ROWS_PER_CHUNK)]


@dataclass(frozen=True, slots=True)
class _Judge:
    """One pass over the legacy rows."""

    subject: Subject
    moves: Moves
    seen: IdBuckets
    tally: Tally = field(repr=False)

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
            mapped = apply_forward(compiled, rows, context, wanted=Wanted.RECORDS)
            self._note(compiled, mapped)
            found = self._compare(raw(connection), compiled, mapped, is_counted=True)
            if not isinstance(keys, KeyRange):
                found = pl.concat([found, self._unwelcome(raw(connection), compiled, context, mapped, keys=wanted)])
        self.tally.rows += rows.height
        self.tally.judged += len(wanted)
        self._settle(table, found)

    def _note(self, compiled: Compiled, mapped: Mapped) -> None:
        """Remember which records legacy rows emit, for what can only be told at the end."""
        for part in self.subject.parts(compiled.ruleset.table):
            ids = mapped.parts[part.name]["id"]
            self.seen.add(f"legacy-{part.table}", ids, flag=MAIN if part.main else 0)

    def _compare(self, connection: Psycopg, compiled: Compiled, mapped: Mapped, *, is_counted: bool) -> pl.DataFrame:
        ruleset = compiled.ruleset
        mains = mapped.crosswalk.select("source_key", pl.col("id").alias("main_id"))
        rejected = canonical_columns(ruleset, mapped.rejected_fields)
        lists = [no_differences()]
        for part in self.subject.parts(ruleset.table):
            frame = mapped.parts[part.name]
            expected = frame.join(mains, on="source_key", how="left", maintain_order="left")
            ruled = [name for name in frame.columns if name not in ("id", "department_code", "origin", "source_key")]
            unsaid = self.subject.written_after.get(part.table, ())
            known = ["domain_code", *(name for name in TABLES[part.table].column_names if name not in unsaid)]
            if part.share:  # the same record as often as rows emit it
                expected = expected.unique("id", keep="first", maintain_order=True)
            records = read_compared(
                connection,
                part.table,
                self.subject.department.code,
                ids=frame["id"],
                ruled=[name for name in ruled if name in known],
                unruled=[name for name in known if name not in ("id", *ruled)],
            )
            tolerances = tolerances_of(part)
            done = compare_part(part.table, expected, records, ruled=ruled, rejected=rejected, tolerances=tolerances)
            for column, count in done.compared.items():
                self.tally.compared[part.table, column] += count if is_counted else 0
            for column, count in done.tolerated.items():
                self.tally.tolerated[part.table, column] += count if is_counted else 0
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

    def _settle(self, table: str, found: pl.DataFrame, *, is_final: bool = False) -> None:
        """Tell apart what moves (nothing, once it is final), what a degraded write-back explains, and what differs."""
        if found.is_empty():
            return
        moved = self.moves.keys(table).clear() if is_final else self.moves.keys(table)
        moving = found.filter(pl.col("source_key").is_in(moved.implode()))
        still = found.filter(~pl.col("source_key").is_in(moved.implode()).fill_null(value=False))
        with transaction(self.subject.engine) as connection:
            explained = find_explained(raw(connection), self.subject, table, still)
        confirmed = still.join(explained, on=["id", "canonical_table", "column"], how="anti", nulls_equal=True)
        excused = still.join(explained, on=["id", "canonical_table", "column"], how="semi", nulls_equal=True)
        self.tally.moving |= {(table, key) for key in moving["source_key"].drop_nulls().to_list()}
        if moving.height:
            self.tally.held_back.setdefault(table, []).append(moving)
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

    def recheck(self, patience: Patience) -> None:
        """Ask again for the keys that moved, by the watermark rule, until each is decided or nothing comes any more."""
        while self.tally.moving and self.tally.rounds < patience.rounds:
            self.tally.rounds += 1
            tables = {table for table, _ in self.tally.moving if table}
            wanted = {table: tuple(sorted(key for t, key in self.tally.moving if t == table)) for table in tables}
            reading, glimpses = read_legacy(self.subject.port, wanted), Glimpses(self.subject.port, wanted)
            if not wanted or not wait_until_applied(
                self.subject.port, reading.position, patience, meanwhile=glimpses.look
            ):
                return
            for table, keys in wanted.items():
                self._recheck_table(table, keys, reading, glimpses)

    def _recheck_table(self, table: str, keys: tuple[str, ...], reading: Reading, glimpses: Glimpses) -> None:
        subject, compiled = self.subject, self.subject.compiled(table)
        key = pl.concat_str([pl.col(column) for column in compiled.ruleset.key], separator=KEY_SEPARATOR)
        wanted = pl.Series("source_key", list(keys), dtype=pl.String)
        with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            first = self._differences(raw(connection), compiled, reading.rows[table], wanted)
            again = subject.port.read_keys(table, keys).rows
            second = self._differences(raw(connection), compiled, again, wanted)
            doubtful = differing(first) & differing(second)
            for states, rows in glimpses.states(table, reading.rows[table], key=key, of=doubtful):
                asked = pl.Series("source_key", sorted(states), dtype=pl.String)
                was = states - differing(self._differences(raw(connection), compiled, rows, asked))
                first = first.filter(~pl.col("source_key").is_in(list(was)).fill_null(value=False))
        since = subject.port.changes(reading.position, subject.port.head())
        moved = {change.key for change in since if change.table == table and change.origin is Origin.PERSON}
        restless = changed_rows(reading.rows[table], again, key) | moved
        decided = decide(frozenset(keys), first, second, restless=restless)
        self.tally.moving -= {(table, each) for each in decided.keys}
        held = pl.concat([no_differences(), *self.tally.held_back.pop(table, [])])
        settled = held.filter(pl.col("source_key").is_in(list(decided.keys)))
        self.tally.held_back[table] = [held.join(settled.select("source_key"), on="source_key", how="anti")]
        for name, column, count in _per_column(settled):
            self.tally.compared[name, column] += count
        self._settle(table, decided.different, is_final=True)

    def _differences(
        self, connection: Psycopg, compiled: Compiled, rows: pl.DataFrame, wanted: pl.Series
    ) -> pl.DataFrame:
        kept = kept_columns(compiled, rows)
        context = look_up_keys(connection, self.subject, compiled, rows=kept, own=wanted)
        mapped = apply_forward(compiled, kept, context, wanted=Wanted.RECORDS)
        return pl.concat(
            [
                self._compare(connection, compiled, mapped, is_counted=False),
                self._unwelcome(connection, compiled, context, mapped, keys=wanted),
            ]
        )

    def judge_rest(self) -> None:
        """Find what no legacy row emits, and what is there twice; bucket by bucket, in constant memory."""
        for table in self.subject.canonical_tables:
            with transaction(self.subject.engine) as connection:
                for ids in stream_ids(raw(connection), self.subject, table):
                    self.seen.add(f"canonical-{table}", ids)
            for alone in self.seen.missing_from(f"canonical-{table}", f"legacy-{table}"):
                self._judge_alone(table, alone)
            if self.tally.resumed:
                for gone in self.seen.missing_from(f"legacy-{table}", f"canonical-{table}"):
                    self._ask_again(table, gone)
            for mains, shared in self.seen.repeated(f"legacy-{table}"):
                self.tally.shared += len(shared)
                self._judge_doubled(table, mains)
        with transaction(self.subject.engine) as connection:
            doubled = find_doubled_keys(raw(connection), self.subject)
        for (table,), rows in doubled.group_by("legacy_table", maintain_order=True):
            self.tally.doubled += rows.height
            self._settle(str(table), rows.drop("legacy_table"))

    def _ask_again(self, table: str, gone: pl.Series) -> None:
        """Ask again for records that were there when an earlier attempt judged them, and are not any more."""
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, gone)
        told = {key for frame in self.tally.listed for key in frame.select("legacy_table", "source_key").iter_rows()}
        held = set(holders.drop_nulls("source_key").select("legacy_table", "source_key").iter_rows())
        self.tally.moving |= held - told

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
