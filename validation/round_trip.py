"""L6: does the way back give the same bytes? Records and residue of the store, written back, against the legacy rows.

Four figures are told apart: rows exact without residue, fields that live only as residue, edits that come back (PutGet)
and legacy columns that an edit touches.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import sqlalchemy as sa

from banyan.departments import Side
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.records import KeyRange, Position
from mappings.engine import Compiled, Lookups, write_back
from store.ledger import LedgerReader
from store.postgres import Isolation, raw, transaction
from store.row_tables import DEGRADED_WRITE_BACK
from validation.facts import RoundTripFigures, Tally
from validation.identifiers import IdBuckets
from validation.put_get import FieldTrial, StoredRows, differing_rows, try_fields
from validation.stored import degraded_cells, find_degraded, find_holders, stream_live_ids
from validation.stored_rows import read_stored
from validation.subject import (
    ROWS_PER_CHUNK,
    Moves,
    Progress,
    Subject,
    Watcher,
    kept_columns,
    key_of,
    look_up,
    watch_nothing,
)

SAMPLE = 200
"""Rows of each table on which edits are tried: those with the smallest ids, which are as good as drawn by lot."""
LISTED = 100_000
OTHER_TEXT = "the way back gives another text"
NO_RECORD = "the row has no record to come back from"
NO_ROW = "the legacy row is gone"


@dataclass(frozen=True, slots=True)
class DegradedEdits:
    """Edits of the trials that the old system cannot say, by canonical column, kind and cause."""

    table: str
    column: str
    kind: str
    cause: str
    edits: int


@dataclass(frozen=True, slots=True)
class RoundTripResult:
    """What the way back gives, the trials of each field, and the edits that are listed as degraded."""

    level: LevelResult
    figures: RoundTripFigures
    fields: tuple[FieldTrial, ...]
    degraded: tuple[DegradedEdits, ...]
    moving: int
    explained: int

    @property
    def put_get(self) -> str:
        """Say how many of the fields tried came back or are listed."""
        tally = self.figures.put_get
        return f"{tally.held + tally.listed} of {tally.tried} fields"

    @property
    def fields_touched_ok(self) -> bool:
        """Tell whether no edit touched a legacy column that its field does not declare."""
        return self.figures.fields_touched_ok.is_complete


@dataclass(slots=True)
class _Tally:
    """What has been counted so far."""

    live: int = 0
    rows: int = 0
    """Rows judged: those that come back and those that do not; moving and explained ones are counted apart."""
    identical: int = 0
    exact_without_residue: int = 0
    fields: int = 0
    residue_only: int = 0
    explained: int = 0
    dangling: int = 0
    differing: int = 0
    moving: set[tuple[str, str]] = field(default_factory=set)
    trials: list[FieldTrial] = field(default_factory=list)
    untried: int = 0
    findings: list[Finding] = field(default_factory=list)

    def find(self, table: str, key: str, column: str | None, cause: str) -> None:
        """Count a finding; list it while there is room."""
        self.differing += 1
        if len(self.findings) < LISTED:
            self.findings.append(Finding(FindingKind.NOT_REVERSIBLE, Severity.BLOCK, table, key, column, cause))


def check_round_trip(subject: Subject, *, watcher: Watcher = watch_nothing) -> RoundTripResult:
    """Write every live row back in memory and compare it with the legacy row; try an edit of each field."""
    with transaction(subject.engine) as connection:
        watermark = LedgerReader(connection).find_watermark(subject.source, Side.CANONICAL)
    tally = _Tally()
    with TemporaryDirectory(prefix="banyan-") as folder:
        for table in subject.tables:
            _Trip(subject, table, watermark, IdBuckets(Path(folder)), tally).judge(watcher)
    return _conclude(subject, tally)


@dataclass(slots=True)
class _Trip:
    """The way back of one legacy table."""

    subject: Subject
    table: str
    watermark: Position | None
    seen: IdBuckets
    tally: _Tally = field(repr=False)
    sample: pl.DataFrame | None = field(default=None, repr=False)

    def judge(self, watcher: Watcher) -> None:
        """Judge all rows by key ranges, then what was not met, then the edits of a sample."""
        subject, compiled = self.subject, self.subject.compiled(self.table)
        plan = subject.port.plan_ranges(self.table, ROWS_PER_CHUNK)
        for number, keys in enumerate(plan, 1):
            self._judge_range(compiled, keys)
            watcher(Progress(self.table, number, len(plan), self.tally.live))
        self._judge_gone()
        if self.sample is not None and self.sample.height:
            self._try_edits(compiled, self.sample)

    def _judge_range(self, compiled: Compiled, keys: KeyRange) -> None:
        rows = kept_columns(compiled, self.subject.port.read_range(self.table, keys).rows)
        rows = rows.with_columns(key_of(compiled.ruleset, rows))
        with transaction(self.subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            stored = read_stored(raw(connection), self.subject, compiled, rows)
            degraded = find_degraded(raw(connection), self.subject, stored.crosswalk["id"])
        self.seen.add(f"met-{self.table}", stored.crosswalk["id"])
        self._compare(compiled, stored, rows, degraded)

    def _compare(self, compiled: Compiled, stored: StoredRows, rows: pl.DataFrame, degraded: pl.DataFrame) -> None:
        columns = tuple(column for column in compiled.written if column not in compiled.ruleset.key)
        # never the legacy row itself: it would answer for the store
        lookups = Lookups(stored.keys_by_id, looked_up=stored.looked_up)
        back = write_back(compiled, stored.parts, stored.crosswalk, lookups)
        bare = write_back(
            compiled, stored.parts, stored.crosswalk.with_columns(pl.lit(None, pl.Binary).alias("residue")), lookups
        )
        written = back.rows.with_columns(back.identities["source_key"])
        differing = differing_rows(written, rows, columns)
        lost = differing_rows(bare.rows.with_columns(bare.identities["source_key"]), rows, columns)
        inexact = pl.any_horizontal(pl.lit(value=False), *(pl.col(column) for column in compiled.owned))
        alike = written.join(differing, on="source_key", how="anti")["source_key"]
        lost = lost.filter(pl.col("source_key").is_in(alike.implode()))
        self.tally.live += stored.crosswalk.height
        self.tally.rows += len(alike)
        self.tally.identical += len(alike)
        self.tally.exact_without_residue += len(alike) - lost.filter(inexact).height
        self.tally.fields += len(alike) * len(columns)
        self.tally.residue_only += sum(int(lost[column].sum()) for column in columns)
        self.tally.dangling += stored.dangling
        self._keep_sample(rows, back.identities.filter(pl.col("source_key").is_in(alike.implode())))
        absent = stored.crosswalk.join(back.identities, on="source_key", how="anti")["source_key"]
        if differing.height or absent.len():
            self._settle(differing, absent, self._excused(back.identities, degraded))

    def _excused(self, identities: pl.DataFrame, degraded: pl.DataFrame) -> pl.DataFrame:
        """Name the legacy cells that an open degraded write-back explains: source_key, column."""
        ruleset = self.subject.book.rulesets[self.table]
        cells = degraded_cells(self.subject, self.table, degraded).join(identities, on="main_id")
        whole = degraded.filter(pl.col("column") == "").join(identities, on="main_id")
        fields = [
            (part.table, member, source)
            for part in ruleset.parts
            for rule in part.fields
            for member in rule.to
            for source in rule.sources
        ]
        schema = {"canonical_table": pl.String(), "member": pl.String(), "column": pl.String()}
        known = pl.DataFrame(fields, schema=schema, orient="row")
        of_field = cells.join(known, on=["canonical_table", "member"]).select("source_key", "column")
        of_record = whole.drop("column").join(known, on="canonical_table").select("source_key", "column")
        return pl.concat([of_field, of_record]).unique()

    def _settle(self, differing: pl.DataFrame, absent: pl.Series, excused: pl.DataFrame) -> None:
        moved = Moves(self.subject.port, self.watermark).keys(self.table).implode()
        moving = pl.concat([differing["source_key"], absent]).filter(
            pl.concat([differing["source_key"], absent]).is_in(moved)
        )
        self.tally.moving |= {(self.table, key) for key in moving.to_list()}
        cells = (
            differing.filter(~pl.col("source_key").is_in(moved))
            .unpivot(index="source_key", variable_name="column", value_name="differs")
            .filter("differs")
            .drop("differs")
        )
        unexplained = cells.join(excused, on=["source_key", "column"], how="anti").sort("source_key", "column")
        explained = cells.join(excused, on=["source_key", "column"], how="semi")
        self.tally.explained += explained.join(unexplained, on="source_key", how="anti")["source_key"].n_unique()
        for key, column in unexplained.iter_rows():
            self.tally.find(self.table, key, column, OTHER_TEXT)
        recordless = absent.filter(~absent.is_in(moved)).to_list()
        for key in recordless:
            self.tally.find(self.table, key, None, NO_RECORD)
        self.tally.rows += unexplained["source_key"].n_unique() + len(recordless)

    def _keep_sample(self, rows: pl.DataFrame, identities: pl.DataFrame) -> None:
        """Keep the rows with the smallest ids; computed ids are as good as drawn by lot, and the same each time."""
        chosen = rows.join(identities.bottom_k(SAMPLE, by="main_id"), on="source_key")
        kept = chosen if self.sample is None else pl.concat([self.sample, chosen])
        self.sample = kept.bottom_k(SAMPLE, by="main_id").sort("main_id")

    def _judge_gone(self) -> None:
        """Find live rows of the store that no legacy row answered for."""
        with transaction(self.subject.engine) as connection:
            for ids in stream_live_ids(raw(connection), self.subject, self.table):
                self.seen.add(f"live-{self.table}", ids)
        for ids in self.seen.missing_from(f"live-{self.table}", f"met-{self.table}"):
            main = self.subject.book.rulesets[self.table].main.table
            with transaction(self.subject.engine) as connection:
                gone = find_holders(raw(connection), self.subject, main, ids)
            moved = Moves(self.subject.port, self.watermark).keys(self.table).to_list()
            for key in gone["source_key"].to_list():
                if key in moved:
                    self.tally.moving.add((self.table, key))
                else:
                    self.tally.rows += 1
                    self.tally.find(self.table, key or "", None, NO_ROW)

    def _try_edits(self, compiled: Compiled, sample: pl.DataFrame) -> None:
        rows = sample.drop("main_id")
        with transaction(self.subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            stored = read_stored(raw(connection), self.subject, compiled, rows)
            context = look_up(raw(connection), self.subject, compiled, rows.drop("source_key"))
        trials = list(try_fields(compiled, self.subject.book, stored, rows=rows, context=context))
        self.tally.trials += trials
        self.tally.untried += sum(len(part.fields) for part in compiled.parts) - len(trials)
        for trial in trials:
            for key in trial.failed:
                self.tally.find(trial.canonical_table, key, trial.columns[0], "an edit does not come back")
            for column, keys in trial.touched.items():
                cause = f"an edit of {trial.canonical_table}.{trial.columns[0]} touches it"
                for key in keys:
                    self.tally.find(self.table, key, column, cause)


def _conclude(subject: Subject, tally: _Tally) -> RoundTripResult:
    trials = tally.trials
    sound = [trial for trial in trials if trial.is_sound]
    figures = RoundTripFigures(
        rows=tally.rows,
        rows_identical=tally.identical,
        exact_without_residue=tally.exact_without_residue,
        fields=tally.fields,
        residue_only_fields=tally.residue_only,
        put_get=Tally(
            tried=len(trials),
            held=sum(not trial.listed for trial in sound),
            listed=sum(bool(trial.listed) for trial in sound),
        ),
        fields_touched_ok=Tally(tried=len(trials), held=sum(not trial.touched for trial in trials)),
    )
    state = LevelState.FAIL if tally.differing else LevelState.PASS if tally.live else LevelState.NOT_RUN
    sentence = (
        f"{tally.identical} of {tally.rows} rows come back identical, {tally.exact_without_residue} without residue;"
        f" edits of {figures.put_get.held + figures.put_get.listed} of {len(trials)} fields come back or are listed"
    )
    level = LevelResult(
        "L6",
        state,
        sentence,
        {
            "live": tally.live,
            "rows": tally.rows,
            "identical": tally.identical,
            "without_residue": tally.exact_without_residue,
            "fields": tally.fields,
            "residue_only_fields": tally.residue_only,
            "moving": len(tally.moving),
            "explained_degraded": tally.explained,
            "open_degraded": _count_open(subject),
            "dangling_references": tally.dangling,
            "fields_tried": len(trials),
            "fields_without_edit": tally.untried,
            "edits_tried": sum(trial.tried for trial in trials),
            "edits_leaving": sum(trial.leaving for trial in trials),
            "findings": tally.differing,
        },
        tuple(tally.findings),
    )
    degraded = tuple(_degraded(trials))
    return RoundTripResult(level, figures, tuple(trials), degraded, len(tally.moving), tally.explained)


def _degraded(trials: list[FieldTrial]) -> Iterator[DegradedEdits]:
    listed = [trial.degraded for trial in trials if trial.degraded.height]
    if listed:
        keys = ["canonical_table", "column", "kind", "cause"]
        for row in pl.concat(listed).group_by(keys, maintain_order=True).agg(pl.col("edits").sum()).iter_rows():
            yield DegradedEdits(*row)


def _count_open(subject: Subject) -> int:
    place = DEGRADED_WRITE_BACK.c
    mine = [subject.table_numbers[table] for table in subject.tables]
    query = sa.select(sa.func.count()).where(
        place.department_code == subject.department.code, place.source_table_no.in_(mine), place.state == "OPEN"
    )
    with transaction(subject.engine) as connection:
        return int(connection.scalar(query) or 0)
