"""One complete pass of L4: each side is read once, as it lies there, and what is not told to be equal is looked at.

A legacy table that fits into one chunk is compared with its records at once. Of a larger one, and of the canonical
tables it fills, only digests are kept: a record whose digests are the same on both sides is equal, and every other one
is given, by its key, to the judge, who reads both sides again and compares them value by value. So a digest never says
that something differs, and a row that changed between the two readings costs a look and nothing else.
"""

import secrets
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from psycopg import sql

from banyan.canonical.columns import Kind
from banyan.records import KeyRange
from mappings.engine import Mapped
from store.postgres import raw, transaction
from store.records import record_kinds
from validation.differences import no_differences
from validation.digest_files import Block, shares_for
from validation.digests import LOW, digest_records, identified, numbered
from validation.judging import Judge, known_columns, ruled_columns
from validation.pages import plan_pages
from validation.resumption import Pass
from validation.sifting import Sieve, Sifted, Suspects, repeated_in
from validation.stored import stream_claims, stream_ids
from validation.stored_records import UNRULED, read_pages
from validation.subject import Progress, Subject, Watcher
from wire.kinds import POLARS_TYPES

_CLAIMS = "claims"
_COUNT = POLARS_TYPES[Kind.INTEGER]
_SEED_BITS = 62


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass over both sides, which the judge leads and which goes on where it was left."""

    judge: Judge
    going: Pass = field(repr=False)
    watcher: Watcher = field(repr=False)
    _ruled_by_table: dict[str, list[str]] = field(default_factory=dict, repr=False)

    @property
    def subject(self) -> Subject:
        """Give what is judged."""
        return self.judge.subject

    def run(self) -> None:
        """Read the legacy rows, then the records of their tables, and look at what is not the same."""
        for table in self.subject.tables:
            self._read_rows(table)
        for table in self.subject.canonical_tables:
            if self._is_digested(table):
                self._read_records(table)
        for table in self.subject.canonical_tables:
            self._sift(table)
        self._find_doubled_keys()

    def _read_rows(self, table: str) -> None:
        """Read a legacy table chunk by chunk: compared at once when it has one, reduced to digests when it has more.

        Rows without a key cannot be asked for again: they are compared at once too.
        """
        port, rows_per_chunk = self.subject.port, self.subject.rows_per_chunk
        plan = self.going.plan(table, lambda: port.plan_ranges(table, rows_per_chunk))
        is_digested = len(plan) > 1 and tuple(port.key_columns(table)) == tuple(self.subject.book.rulesets[table].key)
        for number, keys in enumerate(plan, 1):
            if number <= self.going.done(table):
                continue
            if is_digested:
                self._keep_digests(table, number, self.judge.map_range(table, keys))
            else:
                self._keep_ids(table, number, self.judge.judge_chunk(table, keys))
            self.going.note(table, number)
            self.watcher(Progress(table, number, len(plan), self.judge.tally.rows))

    def _keep_digests(self, table: str, number: int, mapped: Mapped) -> None:
        for part in self.subject.parts(table):
            frame, columns = mapped.parts[part.name], self._columns(part.table)
            if UNRULED in columns:
                frame = frame.with_columns(pl.lit(0, columns[UNRULED]).alias(UNRULED))
            name, listed = f"{table}.{part.name}.{number}", f"legacy-{part.table}"
            if part.share:  # the same record as often as rows emit it: compared once
                is_first = frame["id"].is_first_distinct()
                again = frame.filter(~is_first)
                block = Block(f"legacy-{name}-again", listed, again.height, table, part.main, is_repeated=True)
                self.going.files.add(block, identified(again["id"]))
                frame = frame.filter(is_first)
            entries = digest_records(part.table, frame, columns, self.going.files.secret)
            block = Block(f"legacy-{name}", listed, len(entries), table, part.main)
            self.going.files.add(block, entries, keys=frame["source_key"])

    def _keep_ids(self, table: str, number: int, mapped: Mapped) -> None:
        for part in self.subject.parts(table):
            ids = mapped.parts[part.name]["id"].drop_nulls()
            name, listed = f"{table}.{part.name}.{number}", f"legacy-{part.table}"
            block = Block(f"legacy-{name}", listed, len(ids), table, part.main, is_judged=True)
            self.going.files.add(block, identified(ids))

    def _is_digested(self, table: str) -> bool:
        return any(not block.is_judged for block in self.going.files.of(f"legacy-{table}"))

    def _columns(self, table: str) -> dict[str, pl.DataType]:
        """Give the columns that records of a table are digested over, with their types: those that any rule fills.

        Of the others it is counted how many hold a value, which no row says.
        """
        kinds, ruled = record_kinds(table), self._ruled(table)
        types = {name: POLARS_TYPES[kinds[name]] for name in ruled}
        return types if len(ruled) == len(known_columns(self.subject, table)) else {**types, UNRULED: _COUNT}

    def _ruled(self, table: str) -> list[str]:
        if table not in self._ruled_by_table:
            filled = {
                name
                for legacy_table in self.subject.tables
                for part in self.subject.parts(legacy_table)
                if part.table == table
                for name in ruled_columns(self.subject.compiled(legacy_table), part)
            }
            self._ruled_by_table[table] = [name for name in known_columns(self.subject, table) if name in filled]
        return self._ruled_by_table[table]

    def _read_records(self, table: str) -> None:
        """Read the records of a canonical table range by range, and reduce them to the same digests."""
        subject, files, work = self.subject, self.going.files, f"justice.{table}"
        columns, ruled = self._columns(table), self._ruled(table)
        unruled = [name for name in known_columns(subject, table) if name not in ruled]
        plan = self.going.plan(work, lambda: self._plan_pages(table))
        for number, pages in enumerate(plan, 1):
            if number <= self.going.done(work):
                continue
            bounds = (int(pages.low or 0), None if pages.high is None else int(pages.high))
            with transaction(subject.engine) as connection:
                frames = read_pages(raw(connection), subject, table, pages=bounds, ruled=ruled, unruled=unruled)
                for piece, frame in enumerate(frames):
                    entries = digest_records(table, frame, columns, files.secret)
                    files.add(Block(f"held-{table}.{number}.{piece}", f"held-{table}", len(entries)), entries)
            self.going.note(work, number)
            self.watcher(Progress(work, number, len(plan), files.count(f"held-{table}")))

    def _plan_pages(self, table: str) -> list[KeyRange]:
        with transaction(self.subject.engine) as connection:
            bounds = plan_pages(raw(connection), self.subject, sql.Identifier("justice", table))
        return [KeyRange(str(low), None if high is None else str(high)) for low, high in bounds]

    def _sift(self, table: str) -> None:
        """Look at what is not the same on both sides, share by share, and name what no row emits or two rows do."""
        files, work = self.going.files, f"sifted {table}"
        shares, done = shares_for(files.count(f"legacy-{table}", f"held-{table}")), self.going.done(work)
        sieve, suspects = self._sieve(table), Suspects()
        for share in range(shares):
            sifted = sieve.sift(share, shares)
            if share < done:
                self._look_again(table, sifted)
                continue
            self._count(table, sifted)
            suspects.add(sifted.suspects)
            if suspects.count >= self.subject.rows_per_chunk or share + 1 == shares:
                for legacy_table, found in suspects.take(sieve):
                    for some in found.iter_slices(self.subject.rows_per_chunk):
                        self.judge.judge_suspects(legacy_table, table, some)
                self.going.note(work, share + 1)
                if self._is_digested(table):
                    self.watcher(Progress(work, share + 1, shares, self.judge.tally.rows))

    def _sieve(self, table: str) -> Sieve:
        """Set both lists against each other; the records standing now, when they were not digested by this attempt."""
        files, held = self.going.files, f"held-{table}"
        emitted = tuple(files.of(f"legacy-{table}"))
        if self._is_digested(table) and not self.judge.tally.resumed:
            return Sieve(files, emitted, tuple(files.of(held)))
        standing = f"standing-{table}"
        files.drop(standing)
        with transaction(self.subject.engine) as connection:
            for number, ids in enumerate(stream_ids(raw(connection), self.subject, table)):
                files.add(Block(f"{standing}.{number}", standing, len(ids)), identified(ids))
        return Sieve(files, emitted, tuple(files.of(held)), tuple(files.of(standing)))

    def _count(self, table: str, sifted: Sifted) -> None:
        tally = self.judge.tally
        for column in known_columns(self.subject, table):
            tally.compared[table, column] += sifted.equal
        if len(sifted.alone):
            self.judge.judge_alone(table, sifted.alone)
        if tally.resumed and len(sifted.gone):
            self.judge.ask_again(table, sifted.gone)
        tally.shared += sifted.shared
        if len(sifted.doubled):
            self.judge.judge_doubled(table, sifted.doubled)

    def _find_doubled_keys(self) -> None:
        """Find the legacy keys that two records claim: by a number of each, then those that share one by themselves."""
        files, seed = self.going.files, secrets.randbits(_SEED_BITS)
        files.drop(_CLAIMS)
        with transaction(self.subject.engine) as connection:
            for number, claims in enumerate(stream_claims(raw(connection), self.subject, seed)):
                files.add(Block(f"{_CLAIMS}.{number}", _CLAIMS, len(claims)), numbered(claims))
        for doubled in repeated_in(files, files.of(_CLAIMS)):
            if len(doubled):
                self.judge.judge_claims(seed, doubled[:, LOW].view(np.int64).tolist())

    def _look_again(self, table: str, sifted: Sifted) -> None:
        """Look at what came or went since an attempt that died sifted these records."""
        told = pl.concat([no_differences().select("id"), *(frame.select("id") for frame in self.judge.tally.listed)])
        alone = sifted.alone.filter(~sifted.alone.is_in(told["id"].implode()))
        if len(alone):
            self.judge.judge_alone(table, alone)
        gone = pl.concat([sifted.gone, sifted.suspects.filter("is_missing")["id"]])
        if len(gone):
            self.judge.ask_again(table, gone)
