"""Legacy to canonical: reads rows by key range or by changed keys, and writes their fate in one transaction."""

from dataclasses import dataclass, field, replace

import polars as pl
from sqlalchemy.engine import Connection

from banyan.clock import today
from banyan.config import DriftConfig
from banyan.departments import Side
from banyan.errors import SourceDrifted
from banyan.records import ChangedKey, ChunkCounts, KeyRange, Origin, PartCounts, Position, RowCounts
from mappings.closure import find_domains, load_order
from mappings.engine import Mapped, apply_forward
from mappings.model import Ruleset
from store.accounts import refuse_unlisted_chunk
from store.gaps import find_gaps
from store.landing import LandingZone
from store.ledger import Ledger, LedgerReader
from store.outcomes import find_adopted, find_filtered, write_filtered, write_quarantine
from store.postgres import asking, raw, transaction
from store.records import delete_rows, hold_shared, write_crosswalk, write_parts
from store.row_tables import Departure
from store.runs import ChunkLease, ChunkPlan, RunKind
from store.slices import read_slices
from sync.cascade import plan_children, with_parents
from sync.drift_policy import tolerates_additions, tolerates_removals
from sync.epochs import bury_owners, find_reuse, reuse_nothing
from sync.lane import Checkpoint, Step, pass_by
from sync.looked_up import find_lookers
from sync.parents import await_children, count_parents_carried, hold_parents, is_followed
from sync.retention import plan_readmitted
from sync.route import Route
from sync.setting import Psycopg, Setting, filtered_parents, key_column, keys_of, look_up
from sync.ways import refuse_another_way

ROWS_PER_CHUNK = 50_000
NO_FATE = "the column is new and no rule knows it"
_REFUSED = {"source_key": pl.String, "column": pl.String, "cause": pl.String, "raw": pl.Binary}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What was read for one chunk."""

    rows: pl.DataFrame = field(repr=False)
    missing: pl.Series = field(repr=False)
    in_flight: tuple[str, ...]
    """Keys of rows that moved while they were read."""
    read: int
    unread: pl.DataFrame = field(repr=False)
    """Values of columns that no rule knows, where the project wants them in quarantine: source_key, column, raw."""


class ForwardLane:
    """The way from a legacy system to the canonical store."""

    def __init__(self, setting: Setting, landing: LandingZone) -> None:
        self._setting = setting
        self._landing = landing
        self._order: tuple[str, ...] = ()

    @property
    def route(self) -> Route:
        """Give the route."""
        return Route(self._setting.source, Side.CANONICAL)

    @property
    def setting(self) -> Setting:
        """Give what the lane works with."""
        return self._setting

    def head(self) -> Position:
        """Give the present Position of the legacy side."""
        return self._setting.port.head()

    def watermark(self) -> Position | None:
        """Give how far the canonical side has come: it stands in the ledger, moved with the last run.

        Refuses a Position of another way of capture than the one that the project says.
        """
        with asking(self._setting.engine) as connection:
            found = LedgerReader(connection).find_watermark(self.route.source, self.route.to)
        if found is not None and self._setting.capture:
            refuse_another_way(found, self.route.source, self._setting.capture)
        return found

    def plan_load(self, *, rows_per_chunk: int = ROWS_PER_CHUNK) -> list[ChunkPlan]:
        """Plan the first copy: key ranges of every table, parents before children."""
        return [
            ChunkPlan(table, keys)
            for table in self._tables()
            if table in self._setting.book.rulesets
            for keys in self._setting.port.plan_ranges(table, rows_per_chunk)
        ]

    def plan_changes(self, since: Position, until: Position) -> list[ChunkPlan]:
        """Plan the keys people changed; what a route wrote is not carried back (no echo).

        Refused while a table waits to be read again because its capture was away: its changes are in no list.
        """
        self._refuse_gaps()
        changed = self._setting.port.changes(since, until)
        by_table: dict[str, list[str]] = {}
        for change in changed:
            if change.origin is Origin.PERSON and change.table in self._setting.book.rulesets:
                by_table.setdefault(change.table, []).append(change.key)
        for table, keys in self._find_lookers(changed).items():
            by_table.setdefault(table, []).extend(keys)
        return self.plan_keys(by_table)

    def _refuse_gaps(self) -> None:
        source = self._setting.source
        with asking(self._setting.engine) as connection:
            gaps = find_gaps(connection, source)
        if gaps:
            names = ", ".join(gaps)
            raise SourceDrifted(
                f"the capture of {names} was away for a while: what changed meanwhile must be read first; nothing was "
                "read",
                hint=f"banyan load {source.department_code}",
                tables=names,
            )

    def _find_lookers(self, changed: list[ChangedKey]) -> dict[str, list[str]]:
        """Find the rows that look up what changed, whoever changed it; not those whose records belong to people."""
        setting, everything = self._setting, dict[str, list[str]]()
        for change in changed:
            everything.setdefault(change.table, []).append(change.key)
        lookers = find_lookers(setting.port, setting.book, everything)
        if not lookers:
            return {}
        with transaction(setting.engine) as connection:
            slices = read_slices(connection)
        code = setting.department.code
        theirs = {one.domain_code for one in slices if one.department_code == code and one.owner is Side.CANONICAL}
        rulesets = setting.book.rulesets
        return {table: keys for table, keys in lookers.items() if not find_domains(rulesets[table]) & theirs}

    def plan_keys(self, by_table: dict[str, list[str]]) -> list[ChunkPlan]:
        """Plan reading the rows of these keys again, parents before children."""
        return [
            ChunkPlan(table, tuple(keys[at : at + ROWS_PER_CHUNK]))
            for table in self._tables()
            for keys in [sorted(set(by_table.get(table, ())))]
            for at in range(0, len(keys), ROWS_PER_CHUNK)
        ]

    def _tables(self) -> tuple[str, ...]:
        """Give the tables in the order in which they are carried."""
        self._order = self._order or load_order(self._setting.book)
        return self._order

    def carry(self, lease: ChunkLease, checkpoint: Checkpoint = pass_by) -> ChunkCounts:
        """Read, land, map and write one chunk; data, crosswalk, lists and ledger commit in one transaction."""
        checkpoint(Step.LEASED)
        ruleset = self._setting.book.rulesets[lease.table]
        found = self._read(ruleset, lease.keys)
        checkpoint(Step.READ)
        parcel = self._landing.write_parcel(
            f"{self._setting.department.code}/{self._setting.source.system_code}/{lease.table}/"
            f"run-{lease.run_no:08d}/chunk-{lease.chunk_no:06d}-{lease.attempt}",
            found.rows,
            metadata={"table": lease.table, "rule": ruleset.rule_id, "ruleset": ruleset.digest},
        )
        checkpoint(Step.LANDED)
        with asking(self._setting.engine) as connection:
            reader = LedgerReader(connection)
            is_first = isinstance(lease.keys, KeyRange) and not reader.was_carried_before(lease)
            known = count_parents_carried(reader, ruleset, lease)
            context = look_up(raw(connection), self._setting, ruleset, found.rows, is_first=is_first)
            reused = reuse_nothing(context)
            if not is_first:
                reused = find_reuse(raw(connection), self._setting, ruleset, found.rows, context)
        mapped = apply_forward(self._setting.compiled(lease.table), found.rows, reused.context)
        checkpoint(Step.MAPPED)
        with transaction(self._setting.engine) as connection:
            ledger = Ledger(connection)
            hold_parents(raw(connection), self._setting, ruleset)  # who waits here holds nothing yet
            ledger.hold_chunk(lease)
            if known != count_parents_carried(ledger, ruleset, lease):  # another worker carried parents meanwhile
                filtered = filtered_parents(raw(connection), self._setting, ruleset, found.rows)
                reused = replace(reused, context=replace(reused.context, filtered=filtered))
                mapped = apply_forward(self._setting.compiled(lease.table), found.rows, reused.context)
            place = self._setting.place(lease.table, lease.run_no)
            removed, children = bury_owners(raw(connection), self._setting, place, ruleset, reused)
            counts = self._write(raw(connection), lease, found, mapped, is_first=is_first) + ChunkCounts(
                parts=PartCounts(removed=removed)
            )
            children += self._children(connection, lease, found, mapped, is_first=is_first)
            if not isinstance(lease.keys, KeyRange) and self._follows_people(ledger, lease):
                changed = pl.Series("key", list(lease.keys), dtype=pl.String)
                children += plan_readmitted(raw(connection), self._setting, lease.table, rows=found.rows, keys=changed)
            if children:
                ledger.write_chunks(ledger.read_run(lease.run_no), children)
            if not is_first:  # what is only appended is compared with the lists at the end of its run
                keys = (mapped.filtered["source_key"], mapped.rejected["source_key"])
                refuse_unlisted_chunk(raw(connection), place, mapped.crosswalk["id"], filtered=keys[0], refused=keys[1])
            ledger.finish_chunk(lease, counts, parcel=parcel.name, in_flight=found.in_flight)
            checkpoint(Step.WRITTEN)
        checkpoint(Step.COMMITTED)
        return counts

    def _follows_people(self, ledger: LedgerReader, lease: ChunkLease) -> bool:
        """Tell whether people changed these rows since the terms were judged: what we read again, nobody changed."""
        if self._setting.retention is None or ledger.read_run(lease.run_no).kind is RunKind.LOAD:
            return False
        return ledger.read_mark(lease.run_no) is None

    def _read(self, ruleset: Ruleset, keys: KeyRange | tuple[str, ...]) -> _Rows:
        port = self._setting.port
        unknown = _refuse_drift(ruleset, [column.name for column in port.columns(ruleset.table)], self._setting.drift)
        kept = [column for column in ruleset.columns if column not in ruleset.drop]
        if not isinstance(keys, KeyRange):
            batch = port.read_keys(ruleset.table, keys)
            rows = batch.rows[kept]  # dropped columns have a legal reason not to be kept, nor landed
            present = set(keys_of(ruleset, rows).to_list())
            missing = pl.Series("source_key", [key for key in keys if key not in present], dtype=pl.String)
            return _Rows(rows, missing, in_flight=(), read=len(keys), unread=_unread(ruleset, batch.rows, unknown))
        batch = port.read_range(ruleset.table, keys)
        rows = batch.rows[kept]
        moved = [c.key for c in port.changes(batch.low, batch.high) if c.table == ruleset.table]
        # a row that moved while it was read is left to the changes, whose capture began before
        settled = rows.filter(~key_column(ruleset).is_in(moved)) if moved else rows
        in_flight = keys_of(ruleset, rows.filter(key_column(ruleset).is_in(moved))).to_list() if moved else []
        nothing = pl.Series("source_key", [], dtype=pl.String)
        return _Rows(settled, nothing, tuple(in_flight), rows.height, _unread(ruleset, batch.rows, unknown))

    def _write(
        self, connection: Psycopg, lease: ChunkLease, found: _Rows, mapped: Mapped, *, is_first: bool
    ) -> ChunkCounts:
        setting = self._setting
        ruleset = setting.book.rulesets[lease.table]
        place = setting.place(lease.table, lease.run_no)
        tables = {part.name: part.table for part in ruleset.parts}
        shared = {part.name for part in ruleset.parts if part.share}
        if shared:
            hold_shared(connection, place)
        parts = PartCounts()
        for name, frame in mapped.parts.items():
            parts += write_parts(connection, tables[name], frame, is_first=is_first and name not in shared)
        targets = [tables[part] for part in mapped.links["part"].to_list()]
        links = mapped.links.hstack([pl.Series("canonical_table", targets, dtype=pl.String)])
        written = write_crosswalk(connection, place, mapped.crosswalk, links, is_first=is_first)
        removed = 0
        leaving = {
            Departure.MARKED: mapped.deleted["source_key"],
            Departure.GONE: found.missing,
            Departure.FILTERED: mapped.filtered["source_key"],
        }
        for reason, keys in leaving.items():
            if is_first or keys.is_empty():  # what was never carried has nothing to leave
                continue
            gone = self._ids_leaving(connection, lease.table, keys)
            removed += sum(delete_rows(connection, place, ruleset.main.table, gone, reason=reason).values())
        seen = _keys_seen(ruleset, found, is_first=is_first)
        refused = _refused(mapped)
        if not found.unread.is_empty():
            loaded = pl.col("source_key").is_in(mapped.crosswalk["source_key"].implode())
            refused = pl.concat([refused, found.unread.filter(loaded)])
        write_quarantine(connection, place, seen, refused, keys=self._landing.keys)
        rows = RowCounts(
            read=found.read,
            loaded=written.inserted + written.updated,
            unchanged=written.unchanged,
            deleted=mapped.deleted.height + found.missing.len(),
            filtered=mapped.filtered.height,
            quarantined=mapped.rejected.height,
            in_flight=len(found.in_flight),
        )
        split = PartCounts(split=mapped.links.height, removed=written.parts_removed + removed)
        fields = refused.height - refused["column"].null_count()  # two lenses may refuse one cell
        return ChunkCounts(rows, parts + split, fields)

    def _children(
        self, within: Connection, lease: ChunkLease, found: _Rows, mapped: Mapped, *, is_first: bool
    ) -> list[ChunkPlan]:
        """List the rows a named rule keeps out, and plan the children of those that were not, or are no more."""
        connection = raw(within)
        place = self._setting.place(lease.table, lease.run_no)
        seen = _keys_seen(self._setting.book.rulesets[lease.table], found, is_first=is_first)
        before = find_filtered(connection, place, seen)
        now = mapped.filtered["source_key"]
        if before.is_empty() and now.is_empty():
            return []
        if is_followed(self._setting, lease.table):
            await_children(connection, self._setting, lease.table)
        write_filtered(
            connection, place, seen, with_parents(self._setting.book.rulesets[lease.table], found.rows, mapped)
        )
        readmitted = before.filter(~before.is_in(now.implode()))
        moved = pl.concat([now.filter(~now.is_in(before.implode())).alias("key"), readmitted])
        if moved.is_empty() or (is_first and not self._may_have_children(within, lease.table)):
            return []
        parents = pl.DataFrame({"key": moved, "id": self._ids_leaving(connection, lease.table, moved)})
        return plan_children(connection, self._setting, lease.table, parents, readmitted=not readmitted.is_empty())

    def _may_have_children(self, connection: Connection, table: str) -> bool:
        """Tell whether anything was carried yet of the tables whose rows follow those of a table."""
        rulesets = self._setting.book.rulesets.values()
        following = {
            one.table for one in rulesets for rule in one.filters if rule.parent and rule.parent.table == table
        }
        return bool(following) and LedgerReader(connection).was_carried(self._setting.source, following)

    def _ids_leaving(self, connection: Psycopg, table: str, keys: pl.Series) -> pl.Series:
        """Give the main ids of rows that leave; missing rows were not looked up with the batch."""
        wanted = pl.DataFrame({"key": keys}).select(pl.lit(table).alias("table"), "key")
        setting = self._setting
        adopted = find_adopted(connection, setting.department.code, setting.table_numbers, wanted)
        return setting.main_ids(table, keys, adopted)


def _keys_seen(ruleset: Ruleset, found: _Rows, *, is_first: bool) -> pl.Series:
    """Give the keys whose lists are brought up to date: of rows read for the first time, nothing is listed yet."""
    if is_first:
        return pl.Series("source_key", [], dtype=pl.String)
    return pl.concat([keys_of(ruleset, found.rows), found.missing])


def _refuse_drift(ruleset: Ruleset, here: list[str], policies: DriftConfig) -> list[str]:
    """Refuse a table whose columns are not those of its rule: a new column has no fate yet, a lost one no value.

    Gives the new columns whose values go to quarantine, where the project says so.
    """
    unknown = [column for column in here if column not in ruleset.columns]
    missing = [column for column in ruleset.columns if column not in here]
    if not tolerates_removals(policies, today=today()) or any(column not in ruleset.drop for column in missing):
        refused = missing
    else:
        refused = []
    if refused or (unknown and not tolerates_additions(policies, today=today())):
        raise SourceDrifted(
            f"{ruleset.table} is not what {ruleset.rule_id} describes: new {unknown}, gone {missing}; nothing was read",
            hint="banyan source scan, then change the rule",
            table=ruleset.table,
        )
    return unknown if policies.added.policy == "quarantine" else []


def _unread(ruleset: Ruleset, rows: pl.DataFrame, unknown: list[str]) -> pl.DataFrame:
    """List what stands in columns that no rule knows: source_key, column, cause, raw."""
    frames = [
        rows.filter(pl.col(column).is_not_null()).select(
            key_column(ruleset), pl.lit(column).alias("column"), pl.lit(NO_FATE).alias("cause"),
            pl.col(column).cast(pl.Binary).alias("raw"),
        )
        for column in unknown
    ]  # fmt: skip
    return pl.concat([pl.DataFrame(schema=_REFUSED), *frames])


def _refused(mapped: Mapped) -> pl.DataFrame:
    """Put rows and fields no rule may carry into one list: source_key, column, cause, raw."""
    if mapped.rejected.is_empty() and mapped.rejected_fields.is_empty():
        return pl.DataFrame(schema=_REFUSED)
    rows = mapped.rejected.select(
        "source_key", pl.lit(None, pl.String).alias("column"), "cause", pl.lit(None, pl.Binary).alias("raw")
    )
    fields = mapped.rejected_fields.select("source_key", "column", "cause", pl.col("raw").cast(pl.Binary))
    return pl.concat([rows, fields]).unique(["source_key", "column"], keep="first", maintain_order=True)
