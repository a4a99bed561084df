"""A legacy system on MariaDB: rows as raw text, changes from its log or a journal, write-back behind the fence."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final, Literal
from uuid import UUID

import polars as pl

from banyan.errors import ConfigurationError, SourceDrifted, UsageError
from banyan.ports import (
    NO_FENCE,
    Capabilities,
    FenceCapability,
    FenceKind,
    Incremental,
    SourceColumn,
    SourceLoad,
    WriteBack,
)
from banyan.records import Batch, ChangedKey, KeyRange, Position
from connectors.dialects_mariadb import (
    Bound,
    ForeignKey,
    MariaDBShape,
    named,
    select_range,
    select_step,
    select_texts,
)
from connectors.dialects_mariadb_rows import select_whole_rows
from connectors.mariadb_capture import MariaDBCapture, OpenMariaDBCapture, Watched
from connectors.mariadb_connection import RAW_SETTINGS, MariaDBConnections, ask, read_rows
from connectors.mariadb_journal import MariaDBJournal, at_rest
from connectors.mariadb_log import MariaDBLog
from connectors.mariadb_objects import FENCE, administrator, inspect_triggers, is_installed, run
from connectors.mariadb_questions import answer_mariadb
from connectors.mariadb_reverse import (
    Admission,
    MariaDBReverseSession,
    open_reverse_session,
    open_writer,
)
from connectors.mariadb_rights import LooseAccount, read_loose
from connectors.mariadb_rows import read_keyed
from connectors.mariadb_shapes import read_foreign_keys, read_shape, reserve
from wire.arrow_child import ArrowChild, ArrowQuery

ONLINE_FENCE: Final = FenceCapability(
    FenceKind.ONLINE, blocks_new=True, waits_inflight=True, checks_token=True, probe=True, lease=True
)
FENCE_WITHOUT_ROLLBACK: Final = FenceCapability(
    FenceKind.CLOSED_WINDOW, blocks_new=True, waits_inflight=False, checks_token=True, probe=False, lease=True
)
"""What a fence can promise of an engine that forgets its rows."""
_ONE_BY_ONE: Final = (
    "no transaction protects it: rows go back one by one, noted before, and a try of the way back writes a copy"
)

Way = Literal["journal", "log"]
_WAYS: Final[dict[Way, OpenMariaDBCapture]] = {
    "journal": MariaDBJournal,
    "log": MariaDBLog,
}


class MariaDBPort:
    """One database of a legacy MariaDB, read as `banyan_reader` and written back as `banyan_reverse`.

    Tables of at least `child_from_rows` rows are read by the fast reader in a child process, whose start takes a while.
    """

    child_from_rows = 20_000

    def __init__(
        self,
        reader: MariaDBConnections,
        schema: str,
        reverse: MariaDBConnections | None,
        *,
        capture: MariaDBCapture,
        tables: Sequence[str] | None = None,
    ) -> None:
        self.schema = schema
        self.reader = reader
        self._reverse = reverse
        self._capture = capture
        self._tables = tables
        self._child = ArrowChild()
        self._shapes: dict[str, MariaDBShape] = {}
        self._foreign_keys: tuple[ForeignKey, ...] | None = None

    def close(self) -> None:
        """Close every connection of this port and end its reading child."""
        self._child.close()
        self.reader.close()
        if self._reverse is not None:
            self._reverse.close()

    def tables(self) -> list[str]:
        """List the tables of the database."""
        with self.reader.session("listing tables") as connection:
            return [name for (name,) in ask(connection, named("tables", self.schema), {"schema": self.schema})]

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        return list(self.shape(table).columns)

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key, or of a unique index without empty values; empty when there is none."""
        return self.shape(table).key

    def shape(self, table: str) -> MariaDBShape:
        """Read the shape of a table once; a port opened later sees a changed table anew."""
        if table not in self._shapes:
            self._shapes[table] = read_shape(self.reader, self.schema, table)
        return self._shapes[table]

    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """Read the foreign keys of the database once; a port opened later sees them anew."""
        if self._foreign_keys is None:
            self._foreign_keys = read_foreign_keys(self.reader, self.schema)
        return self._foreign_keys

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do today, as its engine, its triggers and our accounts allow."""
        shape = self.shape(table)
        watched = self.watched((table,))
        with self.reader.session("reading capabilities", table=table) as connection:
            way = self._capture.incremental_of(connection, table, watched)
            found = [one for one in inspect_triggers(connection, self.schema) if one.table == table]
        is_fenced = sum(one.kind == FENCE and not one.problem for one in found) >= 3
        is_kept = shape.is_transactional or shape.is_lasting
        can_write = self._reverse is not None and is_kept and bool(shape.key)
        fence = ONLINE_FENCE if is_kept else FENCE_WITHOUT_ROLLBACK
        return Capabilities(
            incremental=way,
            write_back=WriteBack.SQL if can_write else WriteBack.NONE,
            deletes_visible=way is not Incremental.NONE,
            fence=fence if is_fenced else NO_FENCE,
            note="; ".join(self._notes(way, is_one_by_one=can_write and shape.is_lasting)),
        )

    def is_lasting(self, table: str) -> bool:
        """Tell whether a row of this table stays as written, whatever becomes of its transaction."""
        return self.shape(table).is_lasting

    def _notes(self, way: Incremental, *, is_one_by_one: bool) -> Iterator[str]:
        usual = self._capture.incremental
        if way is Incremental.NONE:
            yield f"its changes are not found by {usual.value}"
        elif way is not usual:
            yield f"no {usual.value} can follow it: every row of it is compared in each run"
        if is_one_by_one:
            yield _ONE_BY_ONE

    def incarnation(self) -> str:
        """Name the history of this server, and of what is installed beside this database."""
        with self.reader.session("reading the incarnation") as connection:
            return self._capture.incarnation(connection)

    def head(self) -> Position:
        """Give the present Position, in a transaction of its own."""
        with self.reader.session("reading the position") as connection:
            return self._capture.head(connection)

    def head_at_rest(self, tables: Sequence[str]) -> Position:
        """Give the present Position when nobody writes these tables any more: nothing of them is told after it."""
        with self.reader.session("reading the position") as connection, at_rest(connection, tables):
            return self._capture.head(connection)

    def _place(self) -> Position:
        with self.reader.session("reading the position") as connection:
            return self._capture.place(connection)

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        shape = self.shape(table)
        with self.reader.session("counting rows", table=table) as connection:
            return int(ask(connection, f"select count(*) from {shape.identifier}")[0][0])  # noqa: S608 - quoted name

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future.

        Steps through the index in short statements, in its own order. The first range is open below and the last one
        above. A key whose index does not stand in the order of a bound value (a float, an enum) is cut by its text, at
        the cost of a sort each time. A table without a key is one range, and is refused when it exceeds a chunk.
        """
        if rows_per_chunk < 1:
            raise UsageError("a chunk holds at least one row; nothing was planned", rows_per_chunk=rows_per_chunk)
        shape = self.shape(table)
        if not shape.is_ordered:
            self._refuse_large(shape, rows_per_chunk)
            return [KeyRange(None, None)]
        bounds: list[str | None] = [None]
        with self.reader.session("planning key ranges", table=table) as connection:
            while True:
                bound = select_step(shape, KeyRange(bounds[-1], None), rows_per_chunk)
                rows = ask(connection, bound.query, bound.values)
                if not rows:
                    break
                bounds.append(str(rows[0][0]))
                if self.reader.is_plain and rows_per_chunk * len(bounds) > self.child_from_rows:
                    self._child.start()  # while the rest is planned
        return [KeyRange(low, high) for low, high in zip(bounds, [*bounds[1:], None], strict=True)]

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        shape = self.shape(table)
        if not shape.is_ordered:
            return None
        bound = select_step(shape, keys, rows)
        with self.reader.session("cutting a key range", table=table) as connection:
            found = ask(connection, bound.query, bound.values)
        return str(found[0][0]) if found and str(found[0][0]) != keys.high else None

    def estimate(self, table: str) -> int:
        """Estimate the rows of a table from the statistics of the server, without reading it."""
        with self.reader.session("reading statistics", table=table) as connection:
            found = ask(connection, named("estimated_rows", self.schema), {"schema": self.schema, "table": table})
        return int(found[0][0]) if found else 0

    def load(self) -> SourceLoad:
        """Tell how busy the server is now, without ourselves."""
        with self.reader.session("reading the load") as connection:
            ((active, lock_waits),) = ask(connection, named("server_load", self.schema))
        return SourceLoad(int(active), int(lock_waits))

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range between a low and a high Position."""
        shape = self.shape(table)
        low = self._place()
        rows = self._read_whole(shape, keys) if self._is_bulk(shape) else self._read_cells(shape, keys)
        return Batch(table, rows, low, self._place())

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        shape = self._keyed(table)
        low = self._place()
        with self.reader.session("reading rows", table=table) as connection:
            rows = read_keyed(connection, shape, keys)
        return Batch(table, rows, low, self._place())

    def find_texts(self, table: str, columns: Sequence[str], *, at_most: int) -> pl.DataFrame:
        """Give the different texts that stand together in some columns, so many at most; the server gathers them."""
        with self.reader.session("looking for codes", table=table) as connection:
            return read_rows(connection, select_texts(self.shape(table), columns, at_most), columns)

    def watched(self, more: Sequence[str] = ()) -> Watched:
        """Describe the tables whose changes are asked for: those of the rules, or all."""
        names = list(dict.fromkeys((*(self._tables if self._tables is not None else self.tables()), *more)))
        shapes, gone = {}, []
        for name in names:
            try:
                shapes[name] = self.shape(name)
            except SourceDrifted:
                gone.append(name)
        return Watched(self.schema, shapes, self.foreign_keys(), tuple(gone))

    def loose_accounts(self) -> list[LooseAccount]:
        """Tell which account holds which right that no trigger stops, and where; empty before anything is installed."""
        with self.reader.session("looking at the rights") as connection:
            if not is_installed(connection, self.schema, "installed"):
                return []
            rows = ask(connection, named("loose_rights", self.schema))
        found = {read_loose(account, table, rights) for account, table, rights in rows if account}
        return sorted(found, key=lambda one: (one.account, one.is_everywhere, one.table))

    def answer(self, question: str) -> Iterator[list[tuple[object, ...]]]:
        """Answer a recorded question in the SQL of this server, in pieces; its transaction may not write."""
        return answer_mariadb(self.reader, self.schema, question)

    def plan_capture(self, tables: Sequence[str]) -> list[str]:
        """Write the statements that would install the capture of these tables; runs none of them."""
        return self._capture.plan(self._chosen(tables))

    def install_capture(self, admin_url: str, tables: Sequence[str]) -> None:
        """Install the capture of these tables; what is installed already stays. DDL commits alone: run it again."""
        with administrator(admin_url, "installing the capture") as connection:
            run(connection, self._capture.plan(self._chosen(tables)))

    def remove_capture(self, admin_url: str, tables: Sequence[str] | None = None) -> None:
        """Remove the capture of these tables, or of all; Positions taken before become void with the last one."""
        with administrator(admin_url, "removing the capture") as connection:
            run(connection, self._capture.removal(connection, tables))

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key that changed after `since` and up to `until`, once, with its last operation.

        A change is a PERSON's when any of the changes of its key is.
        """
        return self._capture.changes(since, until, self.watched())

    def prune(self, before: Position) -> int:
        """Forget the changes up to a Position nobody needs any more; gives the number of entries removed."""
        return self._capture.prune(before)

    def reverse_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[MariaDBReverseSession]:
        """Open a transaction for the reverse applier, refused unless the fence is shut under this token and nonce."""
        return open_reverse_session(self._writer(), self.schema, self._keyed, Admission(closure, token, nonce))

    def rehearsal_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[MariaDBReverseSession]:
        """Open the same transaction under an open fence, and roll it back when left."""
        admission = Admission(closure, token, nonce, is_rehearsal=True)
        return open_reverse_session(self._writer(), self.schema, self._keyed, admission)

    def reverse_position(self, route: str) -> Position | None:
        """Give the Position a route last committed in this store."""
        with self._writer().session("reading the reverse position") as connection:
            rows = ask(connection, named("reverse_position", self.schema), {"route": route})
        return Position(rows[0][0]) if rows else None

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Take keys from the AUTO_INCREMENT of a table, or from a sequence; it advances before any is used.

        `seq_person` is a sequence of that name, or the counter of the table `t_person` or `person`.
        """
        if count < 1:
            return []
        return reserve(self._writer(), self.schema, counter, count)

    def _is_bulk(self, shape: MariaDBShape) -> bool:
        """Tell whether the fast reader reads this table: a large one, on the way that needs no certificate."""
        if not self.reader.is_plain:  # the fast reader cannot demand one
            return False
        return self.estimate(shape.name) >= self.child_from_rows

    def _read_cells(self, shape: MariaDBShape, keys: KeyRange) -> pl.DataFrame:
        with self.reader.session("reading rows", table=shape.name) as connection:
            return read_rows(connection, select_range(shape, keys), [column.name for column in shape.columns])

    def _read_whole(self, shape: MariaDBShape, keys: KeyRange) -> pl.DataFrame:
        """Read a range through the child, each row as one text; cell by cell when a value does not let it be cut."""
        asked = select_whole_rows(shape, keys)
        nothing = pl.DataFrame(schema=dict.fromkeys(asked.columns, pl.String))
        cut = [asked.cut(frame) for frame in self._child.read(self._query(asked.bound))]
        whole = [frame for frame in cut if frame is not None]
        return pl.concat([nothing, *whole]) if len(whole) == len(cut) else self._read_cells(shape, keys)

    def _query(self, bound: Bound) -> ArrowQuery:
        address = self.reader.url.set(drivername="mysql", query={}, database=self.schema)
        return ArrowQuery(address.render_as_string(hide_password=False), bound.inlined(), RAW_SETTINGS)

    def _chosen(self, tables: Sequence[str]) -> Watched:
        watched = self.watched(tables)
        shapes = {name: self._keyed(name) for name in tables}
        return Watched(self.schema, shapes, watched.keys)

    def _keyed(self, table: str) -> MariaDBShape:
        shape = self.shape(table)
        if not shape.key:
            raise SourceDrifted(
                f"{self.schema}.{table} has no primary key: nothing tells its rows apart, so that none of "
                "them could be known again on the new side; nothing was changed",
                hint="ask the department for a primary key, or for the table as a file: there a record has a number",
                table=table,
            )
        return shape

    def _refuse_large(self, shape: MariaDBShape, rows_per_chunk: int) -> None:
        rows = self.count(shape.name)
        if rows > rows_per_chunk:
            raise SourceDrifted(
                f"{self.schema}.{shape.name} has {rows} rows and no primary key to cut it by; nothing was planned",
                hint="ask the department for a unique index, or raise the chunk size above the table",
                table=shape.name,
            )

    def _writer(self) -> MariaDBConnections:
        if self._reverse is None:
            raise ConfigurationError(
                "this source has no reverse_url: nothing can be written back; nothing was changed",
                hint="add reverse_url (account banyan_reverse) to the source in banyan.yaml",
            )
        return self._reverse


def open_mariadb(
    url: str,
    schema: str,
    *,
    reverse_url: str = "",
    way: Way | OpenMariaDBCapture = "journal",
    tables: Sequence[str] | None = None,
) -> MariaDBPort:
    """Open a legacy database for reading, and for write-back when the URL of `banyan_reverse` is given.

    `way` is how changes are found, `tables` those that are followed (all without it). Nothing is connected before the
    first question.
    """
    if not schema:
        raise ConfigurationError("a MariaDB source needs its database; nothing was opened", hint="schema: marel")
    reader = MariaDBConnections(url)
    reverse = open_writer(reverse_url) if reverse_url else None
    opened = _WAYS[way] if isinstance(way, str) else way
    return MariaDBPort(reader, schema, reverse, capture=opened(reader, schema), tables=tables)
