"""A legacy system as it was last received: its rows come from parcels, and nothing is asked of the system itself.

The state of a row is what the last finished chunk that read its key received of it. Rows that were found gone have
none. Nothing is known here of what changed since the watermark.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NoReturn
from uuid import UUID

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.errors import SourceUnreadable, UsageError
from banyan.ports import Capabilities, Incremental, ReverseSession, SourceColumn, WriteBack
from banyan.records import Batch, ChangedKey, KeyRange, Position
from mappings.model import RuleBook, Ruleset
from store.landing import LandingZone
from store.runs import ChunkPlan, RunKind
from store.tables import CHUNK, RUN
from sync.setting import key_column

_INDEX = {"key": pl.String, "chunk": pl.Int64, "is_there": pl.Boolean}


@dataclass(frozen=True, slots=True)
class ReceivedChunk:
    """One finished chunk: the parcel of its rows, and the keys it was asked for when it was asked for keys."""

    parcel: str
    keys: tuple[str, ...] | None = field(repr=False)


def find_received(connection: Connection, source: SourceRef) -> dict[str, tuple[ReceivedChunk, ...]]:
    """Find what the last first copy and the changes after it received, by table, in the order it was written."""
    forward = (
        RUN.c.department_code == source.department_code,
        RUN.c.system_code == source.system_code,
        RUN.c.to_side == Side.CANONICAL.value,
    )
    first = sa.select(sa.func.max(RUN.c.run_no)).where(*forward, RUN.c.kind == RunKind.LOAD.value).scalar_subquery()
    rows = connection.execute(
        sa.select(CHUNK.c.table_name, CHUNK.c.parcel, CHUNK.c["keys"])
        .join(RUN, RUN.c.run_no == CHUNK.c.run_no)
        .where(*forward, RUN.c.run_no >= first, CHUNK.c.state == "DONE", CHUNK.c.parcel.is_not(None))
        .order_by(RUN.c.run_no, CHUNK.c.finished_at, CHUNK.c.chunk_no)
    )
    found: dict[str, tuple[ReceivedChunk, ...]] = {}
    for table, parcel, keys in rows:
        chunk = ReceivedChunk(parcel, None if keys is None else tuple(keys))
        found[table] = (*found.get(table, ()), chunk)
    return found


class ReceivedPort:
    """Reads rows as they were received; refuses whatever only the legacy system itself could answer."""

    def __init__(
        self, source: SourceRef, book: RuleBook, landing: LandingZone, chunks: dict[str, tuple[ReceivedChunk, ...]]
    ) -> None:
        self._source, self._book, self._landing, self._chunks = source, book, landing, chunks
        self._indexes: dict[str, pl.DataFrame] = {}
        self._last: tuple[str, pl.DataFrame] | None = None

    def plan(self, tables: Sequence[str]) -> list[ChunkPlan]:
        """Plan reading every row of these tables again: one chunk for each parcel that still says how a row is."""
        return [
            ChunkPlan(table, tuple(group["key"].sort()))
            for table in tables
            for group in self._index(table).filter("is_there").sort("chunk").partition_by("chunk", maintain_order=True)
        ]

    def find_keys(self, table: str, column: str, texts: Iterable[str]) -> list[str]:
        """Find the rows whose column holds one of these texts, blanks at the end aside."""
        wanted = sorted({text.rstrip(" ") for text in texts})
        ruleset = self._book.rulesets[table]
        found: list[pl.Series] = []
        there = self._index(table).filter("is_there")
        for number, chunk in enumerate(self._chunks_of(table)):
            own = there.filter(pl.col("chunk") == number)["key"]
            if own.is_empty():
                continue
            rows = self._landing.read_parcel(chunk.parcel, sorted({*ruleset.key, column}))
            same = rows.filter(pl.col(column).str.strip_chars_end(" ").is_in(wanted)).select(key_column(ruleset))
            found.append(same.to_series().filter(same.to_series().is_in(own.implode())))
        return sorted(pl.concat(found)) if found else []

    def tables(self) -> list[str]:
        """List the tables of which something was received."""
        return sorted(self._chunks)

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns that were received, and those that the rule drops, which never are."""
        received = set(self._rows(self._chunks_of(table)[-1]).columns)
        dropped = self._ruleset(table).drop
        names = [name for name in self._ruleset(table).columns if name in received or name in dropped]
        return [SourceColumn(name, "text", is_nullable=True) for name in names]

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the legacy key."""
        return self._ruleset(table).key

    def capabilities(self, table: str) -> Capabilities:
        """Tell that what was received does not change and takes nothing back."""
        return Capabilities(Incremental.NONE, WriteBack.NONE, deletes_visible=True)

    def incarnation(self) -> str:
        """Name what the rows come from."""
        return f"parcels of {self._source}"

    def head(self) -> Position:
        """Refuse: only the legacy system knows how far it is."""
        self._refuse("its present Position")

    def count(self, table: str) -> int:
        """Count the rows that were received and not found gone since."""
        return self._index(table).filter("is_there").height

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Refuse: what was received is read by its keys."""
        self._refuse("key ranges")

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Refuse: what was received is read by its keys."""
        self._refuse("key ranges")

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read rows as they were last received; a key that was found gone has none."""
        ruleset = self._ruleset(table)
        kept = [column for column in ruleset.columns if column not in ruleset.drop]
        wanted = self._index(table).filter(pl.col("key").is_in(list(keys)) & pl.col("is_there"))
        frames = [pl.DataFrame(schema=dict.fromkeys(kept, pl.String))]
        for group in wanted.partition_by("chunk", maintain_order=True):
            rows = self._rows(self._chunks_of(table)[group["chunk"][0]])
            missing = [column for column in kept if column not in rows.columns]
            if missing:
                raise SourceUnreadable(
                    f"what was received of {table} does not hold {', '.join(missing)}, which {ruleset.rule_id} maps by "
                    "now; no row of it was passed on",
                    hint=f"banyan sync run {self._source.department_code}; only the legacy system holds these columns",
                    table=table,
                )
            frames.append(
                rows.select(kept).filter(rows.select(key_column(ruleset)).to_series().is_in(group["key"].implode()))
            )
        return Batch(table, pl.concat(frames), Position(""), Position(""))

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """Refuse: what was received does not change."""
        self._refuse("changes")

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[ReverseSession]:
        """Refuse: nothing is written back to parcels."""
        self._refuse("a way back")

    def reverse_position(self, route: str) -> Position | None:
        """Refuse: nothing is written back to parcels."""
        self._refuse("a way back")

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Refuse: keys are the legacy system's to give."""
        self._refuse("new keys")

    def _index(self, table: str) -> pl.DataFrame:
        """Give each key with the last chunk that read it, and whether the row was there."""
        if table not in self._indexes:
            ruleset = self._ruleset(table)
            frames = [pl.DataFrame(schema=_INDEX)]
            for number, chunk in enumerate(self._chunks_of(table)):
                there = self._landing.read_parcel(chunk.parcel, ruleset.key).select(key_column(ruleset)).to_series()
                asked = pl.Series("key", chunk.keys, pl.String) if chunk.keys is not None else there
                frames.append(
                    pl.DataFrame({"key": asked, "chunk": number}, schema_overrides=_INDEX).with_columns(
                        pl.col("key").is_in(there.implode()).alias("is_there")
                    )
                )
            self._indexes[table] = pl.concat(frames).unique("key", keep="last", maintain_order=True)
        return self._indexes[table]

    def _rows(self, chunk: ReceivedChunk) -> pl.DataFrame:
        if self._last is None or self._last[0] != chunk.parcel:
            self._last = (chunk.parcel, self._landing.read_parcel(chunk.parcel))
        return self._last[1]

    def _chunks_of(self, table: str) -> tuple[ReceivedChunk, ...]:
        if table not in self._chunks:
            raise UsageError(
                f"nothing of {table} was received yet; nothing was read",
                hint=f"banyan load {self._source.department_code}",
            )
        return self._chunks[table]

    def _ruleset(self, table: str) -> Ruleset:
        return self._book.rulesets[table]

    def _refuse(self, what: str) -> NoReturn:
        raise UsageError(
            f"{self._source} is read from what was received, which has no {what}; nothing was changed",
            hint=f"banyan sync run {self._source.department_code}",
        )
