"""The judge of L4: legacy rows are read, mapped, and compared with the records of the same ids, value by value.

It reads a chunk of rows, or the rows of some keys; it settles what it finds, and asks again for what moves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from banyan.canonical.model import TABLES
from banyan.findings import FindingKind
from banyan.records import KEY_SEPARATOR, KeyRange, Origin
from mappings.engine import Compiled, MapContext, Mapped, Wanted, apply_forward
from mappings.model import PartRule
from mappings.tolerances import tolerances_of
from store.postgres import Isolation, raw, transaction
from validation.differences import DIFFERENCES, canonical_columns, compare_part, no_differences
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
from validation.reconciliation import EXPLAINED, LISTED, Tally
from validation.stored import find_doubled_keys, find_explained, find_holders, find_standing
from validation.stored_records import read_compared
from validation.subject import Moves, Psycopg, Subject, ids_of_part, kept_columns, key_of, look_up_keys, read_telling


@dataclass(frozen=True, slots=True)
class Judge:
    """What compares, and where it counts what it found."""

    subject: Subject
    moves: Moves
    tally: Tally = field(repr=False)

    def map_range(self, table: str, keys: KeyRange) -> Mapped:
        """Read a range of legacy rows and map it; they are counted, and compared by whoever asked."""
        subject, compiled = self.subject, self.subject.compiled(table)
        rows = read_telling(subject, table, keys)
        own = key_of(compiled.ruleset, rows)
        with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            context = look_up_keys(raw(connection), subject, compiled, rows=rows, own=own)
        self.tally.rows += rows.height
        self.tally.judged += rows.height
        for part in subject.parts(table):
            self._name_rule(compiled, part)
        return apply_forward(compiled, rows, context, wanted=Wanted.RECORDS)

    def judge_chunk(self, table: str, keys: KeyRange | tuple[str, ...]) -> Mapped:
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
            found = self._compare(raw(connection), compiled, mapped, is_counted=True)
            if not isinstance(keys, KeyRange):
                found = pl.concat([found, self._unwelcome(raw(connection), compiled, context, mapped, keys=wanted)])
        self.tally.rows += rows.height
        self.tally.judged += len(wanted)
        self._settle(table, found)
        return mapped

    def judge_suspects(self, table: str, canonical_table: str, suspects: pl.DataFrame) -> None:
        """Compare the records of a canonical table that digests did not tell to be equal: source_key, id.

        Their rows are read again. A record whose row emits it no more must not stand any more.
        """
        subject, compiled = self.subject, self.subject.compiled(table)
        wanted = suspects["source_key"].unique(maintain_order=True)
        rows = kept_columns(compiled, subject.port.read_keys(table, wanted.to_list()).rows)
        with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            context = look_up_keys(raw(connection), subject, compiled, rows=rows, own=wanted)
            mapped = apply_forward(compiled, rows, context, wanted=Wanted.RECORDS)
            only = {part.name: suspects.clear() for part in subject.parts(table)}
            only |= {part.name: suspects for part in subject.parts(table) if part.table == canonical_table}
            found = self._compare(raw(connection), compiled, mapped, is_counted=True, only=only)
            unwelcome = self._unwelcome(raw(connection), compiled, context, mapped, keys=wanted)
        unwelcome = unwelcome.filter(canonical_table=canonical_table).join(suspects, on="id", how="semi")
        self._settle(table, pl.concat([found, unwelcome]))

    def _compare(
        self, connection: Psycopg, compiled: Compiled, mapped: Mapped, *, is_counted: bool,
        only: Mapping[str, pl.DataFrame] | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        """Compare the records of each part, or `only` some of them: by part, source_key and id."""
        ruleset = compiled.ruleset
        mains = mapped.crosswalk.select("source_key", pl.col("id").alias("main_id"))
        rejected = canonical_columns(ruleset, mapped.rejected_fields)
        lists = [no_differences()]
        for part in self.subject.parts(ruleset.table):
            frame = mapped.parts[part.name]
            expected = frame.join(mains, on="source_key", how="left", maintain_order="left")
            ruled = ruled_columns(compiled, part)
            known = known_columns(self.subject, part.table)
            if only is not None:
                expected = expected.join(only[part.name], on=["source_key", "id"], how="semi", maintain_order="left")
            elif part.share:  # the same record as often as rows emit it
                expected = expected.unique("id", keep="first", maintain_order=True)
            records = read_compared(
                connection,
                part.table,
                self.subject.department.code,
                ids=expected["id"],
                ruled=[name for name in ruled if name in known],
                unruled=[name for name in known if name not in ruled],
            )
            tolerances = tolerances_of(part)
            done = compare_part(part.table, expected, records, ruled=ruled, rejected=rejected, tolerances=tolerances)
            for column, count in done.compared.items():
                self.tally.compared[part.table, column] += count if is_counted else 0
            for column, count in done.tolerated.items():
                self.tally.tolerated[part.table, column] += count if is_counted else 0
            self._name_rule(compiled, part)
            lists.append(done.differences)
        return pl.concat(lists)

    def _name_rule(self, compiled: Compiled, part: PartRule) -> None:
        for column in ruled_columns(compiled, part):
            self.tally.rules.setdefault((part.table, column), set()).add(compiled.ruleset.rule_id)

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
        for part in self.subject.parts(table):
            if part.share:  # other rows may stand for the same record: only a pass over all of them can tell
                continue
            without = fate.join(mapped.parts[part.name].select("source_key"), on="source_key", how="anti")
            ids = ids_of_part(context, table, part, rows=without)
            mains = ids_of_part(context, table, compiled.ruleset.main, rows=without)
            listed = without.with_columns(ids.alias("id"), mains.alias("main_id"))
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

    def judge_claims(self, seed: int, claims: Sequence[int]) -> None:
        """Name the legacy keys that two records claim, among those of these numbers."""
        with transaction(self.subject.engine) as connection:
            doubled = find_doubled_keys(raw(connection), self.subject, seed, claims)
        for (table,), rows in doubled.group_by("legacy_table", maintain_order=True):
            self.tally.doubled += rows.height
            self._settle(str(table), rows.drop("legacy_table"))

    def ask_again(self, table: str, gone: pl.Series) -> None:
        """Ask again for records that were there when an earlier attempt judged them, and are not any more."""
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, gone)
        told = {key for frame in self.tally.listed for key in frame.select("legacy_table", "source_key").iter_rows()}
        held = set(holders.drop_nulls("source_key").select("legacy_table", "source_key").iter_rows())
        self.tally.moving |= held - told

    def judge_alone(self, table: str, ids: pl.Series) -> None:
        """Name the records that no row emits."""
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, ids)
        for (legacy_table,), rows in holders.group_by("legacy_table", maintain_order=True):
            self._settle(str(legacy_table or ""), _missing_in_legacy(rows, table))

    def judge_doubled(self, table: str, ids: pl.Series) -> None:
        """Name the records that two rows emit, each as its own."""
        with transaction(self.subject.engine) as connection:
            holders = find_holders(raw(connection), self.subject, table, ids)
        self.tally.doubled += holders.height
        doubled = _missing_in_legacy(holders, table).with_columns(
            pl.lit(FindingKind.DUPLICATED.value).alias("kind"), pl.lit("two legacy rows emit it").alias("cause")
        )
        for (legacy_table,), rows in doubled.with_columns(holders["legacy_table"]).group_by("legacy_table"):
            self._settle(str(legacy_table or ""), rows.drop("legacy_table"))


def known_columns(subject: Subject, table: str) -> list[str]:
    """Name the columns of a canonical table that are judged: all but those that a statement writes after the load."""
    unsaid = ("id", *subject.written_after.get(table, ()))
    return ["domain_code", *(name for name in TABLES[table].column_names if name not in unsaid)]


def ruled_columns(compiled: Compiled, part: PartRule) -> list[str]:
    """Name the columns that rules fill in the records of a part."""
    plan = next(plan for plan in compiled.parts if plan.rule.name == part.name)
    return ["domain_code", *plan.dtypes]


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
