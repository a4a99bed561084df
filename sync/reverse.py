"""Canonical to legacy: what people did in the new system, written as the legacy rows that say the same.

Reads the keys of the outbox and the present state of their records in one snapshot; reserves legacy keys for rows born
in the target; writes rows, deletes and the Position in one legacy transaction; reads back what legacy triggers made of
them. Crosswalk, links and the list of degraded write-backs are written, idempotently, just before that commit; the
fates of the rows are noted with them, and count only once the Position was read back.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

import polars as pl
from sqlalchemy.engine import Connection

from banyan.departments import Closure, Side
from banyan.errors import SourceUnavailable
from banyan.lasting import LastingSession
from banyan.ports import ReverseSession
from banyan.records import KEY_SEPARATOR, ChunkCounts, Position, RowCounts
from mappings.closure import closure as closures_of
from mappings.closure import find_cut, load_order, refuse_part
from mappings.digest import hash_rows
from mappings.engine import Compiled, Lookups, MapContext, apply_forward, write_back
from store.adopted_parts import adopt_parts
from store.landing import LandingZone
from store.ledger import Ledger, LedgerReader
from store.outbox import OutboxChanges, beginning, changes_since, count_since, head
from store.outcomes import (
    adopt_keys,
    bury_rows,
    find_adopted_keys,
    settle_degraded,
    unlink_parts,
    write_degraded,
)
from store.postgres import Isolation, asking, raw, transaction
from store.records import note_row_hashes, write_crosswalk
from store.runs import ChunkLease, ChunkPlan, Intent
from sync.conflicts import AFTER, BEFORE, Standing, judge_conflicts, parcel_name
from sync.epochs import find_keys_by_id
from sync.lane import Checkpoint, Step, pass_by
from sync.lasting import Found, Lasting
from sync.looked_up import read_looked_up
from sync.refused import Refusals
from sync.route import Route
from sync.scope import NO_PLACE, Scope, ScopeFinder, TableScope
from sync.setting import Psycopg, Setting, key_column, look_up
from sync.unsettled import Unsettled, let_go, mains_of
from sync.writing import Writing, adopted_links, links_of, list_kept_out, list_rewritten, list_without_rule

OUTBOX = "outbox"
AT_MOST: Final = 20_000
"""So many changes are carried in one legacy transaction, or one transaction of the new system, if that is larger."""


@dataclass(frozen=True, slots=True)
class ReverseGuard:
    """What the reverse applier proves to the legacy fence before each transaction."""

    closure: str
    token: int
    nonce: UUID = field(repr=False)


class ReverseLane:
    """The way from the canonical store back to a legacy system."""

    def __init__(
        self,
        setting: Setting,
        landing: LandingZone,
        guard: Callable[[], ReverseGuard],
        closure: Closure,
        *,
        find: Callable[[Connection, Position], OutboxChanges] | None = None,
        at_most: int = AT_MOST,
    ) -> None:
        self._at_most = at_most
        # what is carried back in one legacy transaction is the whole of what moves, whoever names it
        known = closures_of(setting.book, setting.department.code)
        if find_cut(known, closure.domains) is not None:  # a closed window moves several of them together
            refuse_part(known, setting.department.code, closure.domains, untouched="nothing was carried")
        self._find = find or self._find_changed  # a caller may name the records itself: those of a restored system
        self._setting = setting
        self._landing = landing
        self._guard = guard
        self._domains, self._tables = closure.domains, closure.tables
        self._lasting = Lasting(setting, landing, closure.tables)
        # each closure keeps its own Position: carrying one must not step over what waits of another
        self._position_name = f"{self.route} {closure.name}"

    @property
    def route(self) -> Route:
        """Give the route."""
        return Route(self._setting.source, Side.LEGACY)

    def head(self) -> Position:
        """Give the present Position of the canonical side."""
        with transaction(self._setting.engine) as connection:
            return head(connection)

    def watermark(self) -> Position:
        """Give how far the legacy side has come: it stands there, with the rows it covers."""
        found = self._setting.port.reverse_position(self._position_name)
        if found is not None:
            return found
        with transaction(self._setting.engine) as connection:
            return beginning(connection)

    def queue(self) -> int:
        """Count the records people changed that the legacy side does not hold yet."""
        with transaction(self._setting.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            if self._find != self._find_changed:
                return self._find(connection, self.watermark()).keys.height
            code = self._setting.department.code
            return count_since(connection, self.watermark(), department_code=code, domains=self._domains)

    def _find_changed(self, connection: Connection, since: Position) -> OutboxChanges:
        code = self._setting.department.code
        return changes_since(connection, since, department_code=code, domains=self._domains, at_most=self._at_most)

    def plan_changes(self, since: Position, until: Position) -> list[ChunkPlan]:
        """Plan one chunk when the outbox holds anything new; what is more than a chunk carries adds the next one."""
        return [ChunkPlan(OUTBOX, ())] if self.queue() else []

    def carry(self, lease: ChunkLease, checkpoint: Checkpoint = pass_by) -> ChunkCounts:
        """Carry what the outbox holds now, or a chunk of it; rows and Position commit together in the legacy store.

        The chunk is done, and its rows count, once that Position was read back there. When an earlier attempt came so
        far and no further, nothing is written again: what it said it would have done is what was done.
        """
        checkpoint(Step.LEASED)
        settled = self._settle(lease, may_be_more=True)
        if settled is not None:
            return settled
        setting = self._setting
        since = setting.port.reverse_position(self._position_name)
        with transaction(setting.engine, isolation=Isolation.REPEATABLE_READ) as connection:
            changes = self._find(connection, since or beginning(connection))
            noted = self._lasting.find(connection)
            scope = self._find_scope(connection, changes, noted, since)
        checkpoint(Step.READ)
        keys = self._reserve(scope, lease.run_no)
        writings = [
            self._write_back(scope.tables[table], keys, noted.get(table))
            for table in load_order(setting.book)
            if table in scope.tables
        ]
        for writing in writings:
            self._land(writing, lease, writing.before, BEFORE)
        checkpoint(Step.LANDED)
        lasting = [writing for writing in writings if writing.lasting is not None]
        if lasting:
            self._lasting.note(lease, {w.table: (w.compiled, w.lasting, w.meant) for w in lasting if w.lasting})
        checkpoint(Step.MAPPED)
        guard, refusals = self._guard(), Refusals()
        with setting.port.reverse_session(guard.closure, guard.token, nonce=guard.nonce) as session:
            rows = RowCounts(read=scope.without_place.height, quarantined=scope.without_place.height)
            rows += self._send(session, [writing for writing in writings if writing.lasting is None], refusals)
            if lasting and isinstance(session, LastingSession):
                session.hold_position(self._position_name, since, changes.high)
            with transaction(setting.engine) as connection:
                ledger = Ledger(connection)
                ledger.hold_chunk(lease)  # nobody takes it over while rows are written that no rollback takes back
                counts = ChunkCounts(rows + self._send(session, lasting, refusals))
                read_back = {w.table: session.read_back(w.table, w.keys["source_key"].to_list()) for w in writings}
                for writing in writings:
                    self._land(writing, lease, read_back[writing.table], AFTER)
                session.set_position(self._position_name, changes.high)
                self._remember(raw(connection), writings, read_back, lease.run_no, refusals)
                self._lasting.mark_known(raw(connection))
                self._list_homeless(raw(connection), scope, lease.run_no)
                names = tuple(_names(writings))
                intent = Intent(self._position_name, changes.high, lease.attempt, names, since)
                ledger.intend_chunk(lease, counts, intent)
            checkpoint(Step.WRITTEN)
        checkpoint(Step.COMMITTED)
        settled = self._settle(lease, may_be_more=changes.is_cut)
        if settled is None:
            raise SourceUnavailable(
                f"{setting.source} does not hold the Position that run {lease.run_no} left there; its chunk stays "
                "open, and nothing of it counts",
                hint="banyan sync run",
                run_no=lease.run_no,
            )
        return settled

    def _find_scope(
        self, connection: Connection, changes: OutboxChanges, noted: dict[str, pl.DataFrame], since: Position | None
    ) -> Scope:
        """Find the rows that people's changes concern, and those that an attempt before this one left half way."""
        setting = self._setting
        finder = ScopeFinder(
            raw(connection), setting.department.code, setting.book, setting.table_numbers, self._tables
        )
        unsettled = Unsettled(setting, connection, self._position_name, since)
        changed = pl.concat([changes.keys.select("relation", "id"), mains_of(setting, noted), unsettled.mains])
        scope = finder.find(changed.unique(maintain_order=True))
        for gone in (unsettled.gone, self._lasting.orphans(noted)):
            scope = let_go(setting, scope, gone, finder)
        return scope

    def _settle(self, lease: ChunkLease, *, may_be_more: bool) -> ChunkCounts | None:
        """End a chunk whose Position stands in the legacy store, with the counts noted before its commit there.

        What it left, or people changed since an earlier attempt, is carried by another chunk of the run. Gives None
        when no attempt came so far.
        """
        with asking(self._setting.engine) as connection:
            found = LedgerReader(connection).find_intent(lease)
        if found is None or self._setting.port.reverse_position(found[0].name) != found[0].position:
            return None
        more = may_be_more and self.queue() > 0
        with transaction(self._setting.engine) as connection:
            ledger = Ledger(connection)
            ledger.finish_chunk(lease, found[1])
            self._lasting.strike_out(raw(connection))
            if more:
                ledger.write_chunks(ledger.read_run(lease.run_no), [ChunkPlan(OUTBOX, ())])
        return found[1]

    def _reserve(self, scope: Scope, run_no: int) -> dict[str, pl.DataFrame]:
        """Give rows born in the target their legacy keys, reserved by advancing the legacy counter first."""
        keys: dict[str, pl.DataFrame] = {}
        for table, found in scope.tables.items():
            known = found.crosswalk.select("id", "source_key")
            place = self._setting.place(table, run_no)
            with transaction(self._setting.engine) as connection:
                adopted = find_adopted_keys(raw(connection), place, found.born)
                missing = found.born.filter(~found.born.is_in(adopted["id"].implode()))
                if missing.len():
                    counter = f"seq_{table.removeprefix('t_')}"  # `t_proc` counts with `seq_proc`
                    reserved = self._setting.port.reserve_keys(counter, missing.len())
                    new = pl.DataFrame({"id": missing, "source_key": reserved})
                    adopt_keys(raw(connection), place, new)
                    adopted = pl.concat([adopted, new])
            keys[table] = pl.concat([known, adopted])
        return keys

    def _write_back(self, found: TableScope, keys: Mapping[str, pl.DataFrame], noted: pl.DataFrame | None) -> Writing:
        table = found.ruleset.table
        compiled = self._setting.compiled(table)
        own = keys[table]
        residue = found.crosswalk.select("id", "residue")
        crosswalk = own.join(residue, on="id", how="left").select("id", "source_key", "residue")
        previous, lasting = self._read_previous(compiled, own["source_key"], found.gone["source_key"], noted)
        lookups = Lookups(
            find_keys_by_id(self._setting, compiled, found.parts, more=keys),
            previous,
            read_looked_up(self._setting.port, self._setting.book, found.ruleset),
        )
        written = write_back(compiled, found.parts, crosswalk, lookups)
        standing = Standing(compiled, found.crosswalk, previous, written.rows)
        judged = judge_conflicts(self._setting, self._landing, standing)
        return Writing(found, compiled, replace(written, rows=judged.written), own, previous, judged.listed, lasting)

    def _read_previous(
        self, compiled: Compiled, own: pl.Series, gone: pl.Series, noted: pl.DataFrame | None
    ) -> tuple[pl.DataFrame, Found | None]:
        """Read the rows to be written as they stand; as they stood, where an attempt before this one wrote them."""
        table, port = compiled.ruleset.table, self._setting.port
        if table not in self._lasting.tables:
            return port.read_keys(table, own.to_list()).rows, None
        rows = port.read_keys(table, [*own, *gone]).rows
        found = self._lasting.as_before(compiled, noted, rows)
        return found.rows.filter(key_column(compiled.ruleset).is_in(own.implode())), found

    def _land(self, writing: Writing, lease: ChunkLease, rows: pl.DataFrame, moment: str) -> None:
        """Land the legacy rows as they were found, or as they were left: what was overwritten can be read again."""
        if rows.is_empty():
            return
        ruleset = writing.scope.ruleset
        self._landing.write_parcel(
            parcel_name(
                self._setting,
                writing.table,
                chunk=(lease.run_no, lease.chunk_no, lease.attempt),
                moment=moment,
            ),
            rows.select([name for name in ruleset.columns if name not in ruleset.drop and name in rows.columns]),
            metadata={"table": writing.table, "rule": ruleset.rule_id, "to": Side.LEGACY.value, "moment": moment},
        )

    def _send(self, session: ReverseSession, writings: list[Writing], refusals: Refusals) -> RowCounts:
        rows = RowCounts()
        for writing in writings:
            ruleset = writing.scope.ruleset
            is_new = writing.written.identities["main_id"].is_in(writing.scope.born.implode())
            # columns that live only as residue do not exist yet for a new row: the old system's defaults apply
            fresh = writing.written.rows.filter(is_new).select([*ruleset.key, *writing.compiled.owned])
            before = writing.lasting.written if writing.lasting is not None else ()
            for frame in (writing.written.rows.filter(~is_new), fresh):
                loaded, unchanged = refusals.send(session, ruleset, frame, before=before)
                rows += RowCounts(read=loaded + unchanged, loaded=loaded, unchanged=unchanged)
            refused = len(refusals.of(writing.table))
            rows += RowCounts(read=refused, quarantined=refused)
        for writing in reversed(writings):
            gone, known = writing.scope.gone["source_key"].to_list(), len(refusals.of(writing.table))
            refusals.delete(session, writing.scope.ruleset, gone)
            refused = len(refusals.of(writing.table)) - known
            rows += RowCounts(read=len(gone), deleted=len(gone) - refused, quarantined=refused)
        return rows

    def _remember(
        self,
        connection: Psycopg,
        writings: list[Writing],
        read_back: Mapping[str, pl.DataFrame],
        run_no: int,
        refusals: Refusals,
    ) -> None:
        """Write crosswalk, links and degraded write-backs as the legacy rows now stand."""
        code = self._setting.department.code
        for writing in writings:
            place = self._setting.place(writing.table, run_no)
            links = links_of(writing.scope)
            rows = read_back[writing.table].drop(list(writing.scope.ruleset.drop), strict=False)
            context = self._context(connection, writing, links, rows)
            mapped = apply_forward(writing.compiled, rows, context)
            adopt_parts(connection, code, adopted_links(writing, links, context))
            settle_degraded(connection, code, writing.keys["id"])
            unlink_parts(connection, code, writing.scope.vanished)
            gone = writing.scope.gone.select("id", "source_key")
            refused = refusals.list(writing.scope.ruleset, writing.meant)
            # nothing of a refused row was overwritten: what was known of it is compared with it again the next time
            taken = mapped.crosswalk.join(refused, left_on="id", right_on="main_id", how="anti")
            write_crosswalk(connection, place, taken, links.join(taken, on="id", how="semi"))
            bury_rows(connection, place, gone.filter(~pl.col("id").is_in(refused["main_id"].implode()))["id"])
            write_degraded(connection, place, writing.written.degraded)
            rewritten = list_rewritten(writing, mapped.parts)
            write_degraded(connection, place, rewritten.join(refused, on="main_id", how="anti"))
            write_degraded(connection, place, refused)
            write_degraded(connection, place, refusals.list_afterwards(writing.scope.ruleset, writing.meant))
            write_degraded(connection, place, list_without_rule(writing))
            write_degraded(connection, place, list_kept_out(writing, mapped))
            write_degraded(connection, place, writing.conflicts.join(refused, on="main_id", how="anti"))
            known = pl.concat([mapped.crosswalk.select("id"), refused.select(id="main_id")])
            note_row_hashes(connection, place, self._hashes(writing, rows, known))

    def _hashes(self, writing: Writing, rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
        """Give the digests of rows that stand and that no rule would load again: columns id, row_hash."""
        hashed = writing.compiled.hashed
        keyed = rows.select(
            key_column(writing.scope.ruleset), hash_rows(rows, hashed, key=self._setting.digest_key).alias("row_hash")
        )
        return keyed.join(writing.keys, on="source_key").select("id", "row_hash").join(known, on="id", how="anti")

    def _context(self, connection: Psycopg, writing: Writing, links: pl.DataFrame, rows: pl.DataFrame) -> MapContext:
        """Give the context in which rows read back get the ids that their records and parts have."""
        context = look_up(connection, self._setting, writing.scope.ruleset, rows)
        known = context.adopted if context.adopted is not None else pl.DataFrame()
        others = known.filter((pl.col("table") != writing.table) | pl.col("part").is_null()) if known.width else known
        parts = links.join(writing.keys, on="id").select(
            pl.lit(writing.table).alias("table"),
            pl.col("source_key").alias("key"),
            pl.col("canonical_id").alias("id"),
            "part",
        )
        return replace(context, adopted=pl.concat([others, parts]) if known.width else None)

    def _list_homeless(self, connection: Psycopg, scope: Scope, run_no: int) -> None:
        if scope.without_place.is_empty():
            return
        anywhere = next(iter(self._setting.book.rulesets))
        write_degraded(
            connection,
            self._setting.place(anywhere, run_no),
            scope.without_place.select(
                pl.lit(None, pl.String).alias("source_key"),
                pl.col("id").alias("main_id"),
                "canonical_table",
                pl.lit(None, pl.String).alias("column"),
                pl.lit(NO_PLACE).alias("kind"),
                pl.lit("the old system has no place for this record").alias("cause"),
            ),
        )


def _names(writings: list[Writing]) -> Iterator[str]:
    """Name the rows that a chunk writes, those that go included: whoever follows one finds the chunk by it."""
    for writing in writings:
        yield from (f"{writing.table}{KEY_SEPARATOR}{key}" for key in writing.meant["source_key"].to_list())
