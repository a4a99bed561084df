"""What banyan asks of a legacy system: reading, changes, write-back and a fence, and what each table can do of it.

A port reads and writes the raw text of rows; it knows nothing of canonical records. Gates and plans read
capabilities; nothing pretends to do what it cannot.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from uuid import UUID

from banyan.records import Batch, ChangedKey, KeyRange, LoggedKey, LogPlace, Position

if TYPE_CHECKING:
    import polars as pl


class Incremental(StrEnum):
    """How changes of a table are found."""

    NONE = "none"
    WATERMARK = "watermark"
    SNAPSHOT_DIFF = "snapshot_diff"
    JOURNAL = "journal"
    LOG = "log"


class WriteBack(StrEnum):
    """How a change made in the target reaches the legacy table."""

    SQL = "sql"
    FILE = "file"
    JOURNAL_ONLY = "journal_only"
    NONE = "none"


class FenceKind(StrEnum):
    """How writers of a legacy table are stopped: while they run, in a closed window, or not at all."""

    ONLINE = "online"
    CLOSED_WINDOW = "closed_window"
    NONE = "none"


class FenceMode(StrEnum):
    """State of a fence: open, closed until its lease ends, or sealed until it is opened."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    SEALED = "SEALED"


@dataclass(frozen=True, slots=True)
class FenceCapability:
    """What a fence promises; a promise that is False must be replaced by a rule of the runbook."""

    kind: FenceKind
    blocks_new: bool = False
    waits_inflight: bool = False
    checks_token: bool = False
    probe: bool = False
    lease: bool = False


NO_FENCE = FenceCapability(FenceKind.NONE)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one legacy table can do, as found on the server and not as hoped."""

    incremental: Incremental
    write_back: WriteBack
    deletes_visible: bool
    fence: FenceCapability = NO_FENCE
    note: str = ""
    """What must be known before this table is trusted; empty when nothing must."""


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """One column as the legacy system declares it."""

    name: str
    type_name: str
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class WrittenRows:
    """What an upsert did to the legacy rows it was given; `untouched` rows were already equal."""

    inserted: int
    updated: int
    untouched: int


@dataclass(frozen=True, slots=True)
class FenceState:
    """A fence as read on the legacy server; `lease_seconds` is what was left of the lease on that server's clock.

    A fence that is closed without a lease stays closed until it is opened: a closed window.
    """

    closure: str
    token: int
    mode: FenceMode
    lease_seconds: float | None
    nonce: UUID

    @property
    def is_shut(self) -> bool:
        """Tell whether writers were refused at the moment of reading."""
        return self.mode is FenceMode.SEALED or (
            self.mode is FenceMode.CLOSED and (self.lease_seconds is None or self.lease_seconds > 0)
        )


@dataclass(frozen=True, slots=True)
class FenceAnswer:
    """What the fence said to one effect; a refusal changed nothing and is never retried with the same token."""

    accepted: bool
    reason: str
    lease_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FenceDefect:
    """One way in which the installed fence is not the one that was installed."""

    table: str
    problem: str


@runtime_checkable
class ReverseSession(Protocol):
    """One legacy transaction that carries canonical changes back, with its Position; commits when left."""

    def upsert(self, table: str, rows: "pl.DataFrame") -> WrittenRows:
        """Insert or update rows by primary key, only the columns given and only where a value differs."""
        ...

    def delete(self, table: str, keys: Sequence[str], *, assign: Mapping[str, str | None] | None = None) -> int:
        """Delete rows by key, or mark them deleted by the assignment; gives the number of rows touched."""
        ...

    def read_back(self, table: str, keys: Sequence[str]) -> "pl.DataFrame":
        """Read rows as they stand in this transaction, side effects of legacy triggers included."""
        ...

    def attempt(self, table: str) -> AbstractContextManager[None]:
        """Try what follows; an error takes back only that, and says what the legacy system refused (RowRefused)."""
        ...

    def set_position(self, route: str, position: Position) -> None:
        """Record how far a route has come; commits with the rows or not at all."""
        ...


@runtime_checkable
class LegacyPort(Protocol):
    """One legacy system, read and written as raw text."""

    def tables(self) -> list[str]:
        """List the tables that can be read."""
        ...

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        ...

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the legacy key, in the order of the key text."""
        ...

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do today."""
        ...

    def incarnation(self) -> str:
        """Name the history of this store; a restored backup or a promoted standby has another one."""
        ...

    def head(self) -> Position:
        """Give the present Position."""
        ...

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        ...

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future."""
        ...

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range between a low and a high Position."""
        ...

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        ...

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key that changed after `since` and up to `until`, once, with its last operation."""
        ...

    def reverse_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[ReverseSession]:
        """Open a transaction for the reverse applier, refused unless the fence is shut under this token and nonce."""
        ...

    def reverse_position(self, route: str) -> Position | None:
        """Give the Position a route last committed in this store."""
        ...

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Take keys from the legacy counter, which advances before any of them is used."""
        ...


@dataclass(frozen=True, slots=True)
class SourceLoad:
    """How busy a legacy server is: sessions at work (None when our account may not see them), sessions behind locks."""

    active: int | None
    lock_waits: int


@runtime_checkable
class Observable(Protocol):
    """A legacy system that can tell how busy it is."""

    def load(self) -> SourceLoad:
        """Tell how busy it is now, without ourselves."""
        ...


@runtime_checkable
class Divisible(Protocol):
    """A legacy system whose key ranges can be cut while they are read."""

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A legacy system of whose rows only some columns can be read."""

    def read_columns(self, table: str, keys: KeyRange, columns: Sequence[str]) -> Batch:
        """Read these columns of the rows of a key range, in the order of the source."""
        ...


@runtime_checkable
class Tallying(Protocol):
    """A legacy system whose server gathers the different texts of its columns itself."""

    def find_texts(self, table: str, columns: Sequence[str], *, at_most: int) -> "pl.DataFrame":
        """Give the different texts that stand together in some columns, so many at most, as rows are read."""
        ...


@runtime_checkable
class Questionable(Protocol):
    """A legacy system that answers a recorded question in its own SQL, and is only read."""

    def answer(self, question: str) -> Iterator[list[tuple[object, ...]]]:
        """Answer one question, in pieces of rows as the server orders them; the transaction may not write."""
        ...


@runtime_checkable
class KeyLog(Protocol):
    """Where keys read from the log of one legacy system wait until they are carried: durable, and behind no other."""

    def read_place(self) -> LogPlace | None:
        """Read how far the log was read; None before the first time."""
        ...

    def begin(self, place: LogPlace) -> LogPlace:
        """Begin at a place unless begun; a place of another capture replaces what was there."""
        ...

    def append(self, keys: Iterable[LoggedKey], *, after: LogPlace, reached: Callable[[], LogPlace]) -> LogPlace:
        """Keep keys and the new place in one transaction; refuses when another process has come further."""
        ...

    def read(self, since: str, until: str) -> list[ChangedKey]:
        """List each key that a snapshot did not see and a later one does, once, with its last operation."""
        ...

    def prune(self, before: str, *, started: int) -> int:
        """Forget the keys that a snapshot sees; gives how many."""
        ...


class KnownKeys(Protocol):
    """The keys of one legacy system of which the store holds something: carried, filtered or waiting in quarantine."""

    def find(self, table: str, key: tuple[str, ...]) -> list[str]:
        """List those of a table; refuses one whose key is not that of its rule, or whose rows people own elsewhere."""
        ...


@runtime_checkable
class RowMarks(Protocol):
    """Hashes of the rows of one legacy system as they were last seen, and what the last looks found changed."""

    def read_place(self) -> LogPlace | None:
        """Read which look was the last one; None before the first."""
        ...

    def sweep(self, capture: str, tables: "Iterable[tuple[str, Iterable[pl.DataFrame]]]") -> LogPlace:
        """Compare every row (source_key, row_hash) with its mark, keep what differs, and mark it, all or nothing."""
        ...

    def read(self, since: str, until: str) -> list[ChangedKey]:
        """List each key found changed after one look and up to another, once."""
        ...

    def prune(self, before: str, *, started: int) -> int:
        """Forget what was found up to a look; gives how many keys."""
        ...


@runtime_checkable
class LegacyFence(Protocol):
    """The only door to what refuses legacy writers of one closure."""

    def close(self, token: int, *, lease_seconds: float, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Refuse writers until the lease ends; waits for every writer in flight."""
        ...

    def seal(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Refuse writers until opened; accepted only while the lease of the same token holds."""
        ...

    def open(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Let writers in; an old token is refused."""
        ...

    def beat(self, token: int, *, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Renew the nonce, so that a copy restored from before is recognised."""
        ...

    def read(self) -> FenceState:
        """Read the state of the fence."""
        ...

    def probe(self, table: str) -> bool:
        """Tell whether a write by an ordinary application account is refused by the fence; changes nothing."""
        ...

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait for every transaction that wrote before the fence closed; tell whether none is left."""
        ...

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the fence on each table with what was installed; an empty list is a sound fence."""
        ...
