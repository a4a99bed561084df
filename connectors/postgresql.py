"""A legacy system on PostgreSQL: rows as raw text, changes from the trigger journal, write-back behind the fence."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import NullType, TypeEngine

from banyan.errors import ConfigurationError, SourceDrifted, SourceUnreadable, UsageError
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
from banyan.undecoded import find_bytes
from connectors.capture import Capture, OpenCapture
from connectors.dialects import (
    ALL_ROWS,
    Bound,
    TableShape,
    count_rows,
    select_keys,
    select_range,
    select_step,
    select_texts,
    statement,
    told_key,
)
from connectors.postgresql_capture import JournalCapture
from connectors.postgresql_connection import PostgreSQLConnections, copy_rows, read_children
from connectors.postgresql_log_setup import slot_name
from connectors.postgresql_reverse import Admission, PostgreSQLReverseSession, open_reverse_session
from connectors.questions import answer_postgresql

ONLINE_FENCE = FenceCapability(
    FenceKind.ONLINE, blocks_new=True, waits_inflight=True, checks_token=True, probe=True, lease=True
)


class PostgreSQLPort:
    """One schema of a legacy PostgreSQL database, read as `banyan_reader` and written back as `banyan_reverse`."""

    def __init__(
        self,
        reader: PostgreSQLConnections,
        schema: str,
        reverse: PostgreSQLConnections | None,
        *,
        capture: OpenCapture = JournalCapture,
    ) -> None:
        self.schema = schema
        self._reader = reader
        self._capture: Capture = capture(reader, schema, self._keyed)
        self._reverse = reverse
        self._shapes: dict[str, TableShape] = {}

    def close(self) -> None:
        """Close every connection of this port."""
        self._capture.close()
        self._reader.close()
        if self._reverse is not None:
            self._reverse.close()

    @property
    def slot(self) -> str:
        """Name the slot and the publication under which the log of this schema is read, when it is."""
        return slot_name(str(self._reader.url.database), self.schema)

    @property
    def changes_by(self) -> Incremental:
        """Name the way in which changes are looked for here."""
        return self._capture.incremental

    def find_hidden(self, tables: Sequence[str]) -> list[str]:
        """Name the tables of which a policy hides rows from whoever neither owns them nor may see past it."""
        with self._reader.session("reading the policies") as connection:
            found = connection.execute(statement("hidden_rows"), {"schema": self.schema, "tables": list(tables)})
            return [name for (name,) in found]

    def tables(self) -> list[str]:
        """List the tables of the schema."""
        with self._reader.reflecting("listing tables") as inspector:
            return sorted(inspector.get_table_names(schema=self.schema))

    def columns(self, table: str) -> list[SourceColumn]:
        """List the columns of a table in the order of the source."""
        return list(self.shape(table).columns)

    def key_columns(self, table: str) -> tuple[str, ...]:
        """Name the columns of the primary key, in its order; empty when there is none."""
        return self.shape(table).key

    def shape(self, table: str) -> TableShape:
        """Read the shape of a table once; a port opened later sees a changed table anew."""
        if table not in self._shapes:
            self._shapes[table] = self._read_shape(table)
        return self._shapes[table]

    def capabilities(self, table: str) -> Capabilities:
        """Tell what this table can do today, as its triggers and our accounts allow."""
        shape = self.shape(table)
        with self._reader.session("reading capabilities", table=table) as connection:
            row = connection.execute(statement("table_guards"), {"schema": self.schema, "table": table}).fetchone()
            is_captured = self._capture.is_installed(connection, table)
        _, is_fenced = row or (False, False)
        return Capabilities(
            incremental=self._capture.incremental if is_captured else Incremental.NONE,
            write_back=WriteBack.NONE if self._reverse is None or shape.is_inherited else WriteBack.SQL,
            deletes_visible=is_captured and self._capture.deletes_visible,
            fence=ONLINE_FENCE if is_fenced else NO_FENCE,
            note="; ".join(self._notes(shape, is_captured=is_captured)),
        )

    def _notes(self, shape: TableShape, *, is_captured: bool) -> Iterator[str]:
        if shape.is_inherited:
            yield "tables inherit from it: no key is unique over all of them, so that nothing is written back"
        if not is_captured:
            yield f"its changes are not found by {self._capture.incremental.value}"
        if self._reader.alphabet is not None:
            yield f"its database has no encoding (SQL_ASCII): bytes, read as {self._reader.alphabet.name}, as declared"

    def incarnation(self) -> str:
        """Name the history of this database: system, database, timeline and installed capture."""
        with self._reader.session("reading the incarnation") as connection:
            return self._capture.incarnation(connection)

    def head(self) -> Position:
        """Give the present Position, in a transaction of its own."""
        with self._reader.session("reading the position") as connection:
            return self._capture.head(connection)

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        shape = self.shape(table)
        with self._reader.session("counting rows", table=table) as connection:
            row = connection.execute(count_rows(shape)).fetchone()
        return int(row[0]) if row else 0

    def plan_ranges(self, table: str, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table into key ranges that together hold every key, present or future.

        Steps through the key in short statements; text keys are compared by bytes. The first range is open below and
        the last one above. A table without a primary key is cut by its pages, as many as its statistics say.
        """
        if rows_per_chunk < 1:
            raise UsageError("a chunk holds at least one row; nothing was planned", rows_per_chunk=rows_per_chunk)
        shape = self.shape(table)
        if not shape.key:
            return self._plan_pages(shape, rows_per_chunk)
        bounds: list[str | None] = [None]
        with self._reader.session("planning key ranges", table=table) as connection:
            while True:
                query, values = select_step(shape, KeyRange(bounds[-1], None), rows_per_chunk)
                row = connection.execute(query, values).fetchone()
                if row is None:
                    break
                bounds.append(told_key(shape, row[0]))
        return [KeyRange(low, high) for low, high in zip(bounds, [*bounds[1:], None], strict=True)]

    def find_cut(self, table: str, keys: KeyRange, rows: int) -> str | None:
        """Find the key that ends the first rows of a range; None when the range holds no more than those."""
        shape = self.shape(table)
        if not shape.key:
            return None
        query, values = select_step(shape, keys, rows)
        with self._reader.session("cutting a key range", table=table) as connection:
            row = connection.execute(query, values).fetchone()
        cut = None if row is None else told_key(shape, str(row[0]))
        return None if cut == keys.high else cut

    def estimate(self, table: str) -> int:
        """Estimate the rows of a table from the statistics of the server, without reading it."""
        with self._reader.session("reading statistics", table=table) as connection:
            row = connection.execute(statement("table_pages"), {"schema": self.schema, "table": table}).fetchone()
        return round(row[0] * row[1]) if row else 0

    def load(self) -> SourceLoad:
        """Tell how busy the server is now, without ourselves."""
        with self._reader.session("reading the load") as connection:
            row = connection.execute(statement("server_load")).fetchone()
        assert row is not None
        return SourceLoad(*row)

    def read_range(self, table: str, keys: KeyRange) -> Batch:
        """Read the rows of a key range between a low and a high Position."""
        shape = self.shape(table)
        return self._read(shape, select_range(shape, keys))

    def read_columns(self, table: str, keys: KeyRange, columns: Sequence[str]) -> Batch:
        """Read these columns of the rows of a key range, in the order of the source."""
        shape = self.shape(table)
        narrow = replace(shape, columns=tuple(column for column in shape.columns if column.name in columns))
        return self._read(narrow, select_range(narrow, keys))

    def read_keys(self, table: str, keys: Sequence[str]) -> Batch:
        """Read the rows of the keys given, as they are now; an absent key has no row."""
        shape = self._keyed(table)
        return self._read(shape, select_keys(shape, keys), asked=len(keys))

    def find_texts(self, table: str, columns: Sequence[str], *, at_most: int) -> pl.DataFrame:
        """Give the different texts that stand together in some columns, so many at most; the server gathers them."""
        with self._reader.session("looking for codes", table=table) as connection:
            return copy_rows(connection, select_texts(self.shape(table), columns, at_most), columns)

    def answer(self, question: str) -> Iterator[list[tuple[object, ...]]]:
        """Answer a recorded question in the SQL of this server, in pieces; its transaction may not write."""
        return answer_postgresql(self._reader, self.schema, question)

    def plan_capture(self, tables: Sequence[str]) -> list[str]:
        """Write the statements that would install the capture of these tables; runs none of them."""
        return self._capture.plan([self._keyed(table) for table in tables])

    def install_capture(self, admin_url: str, tables: Sequence[str]) -> None:
        """Install the capture of these tables; what is installed already stays."""
        self._capture.install(admin_url, [self._keyed(table) for table in tables])

    def remove_capture(self, admin_url: str, tables: Sequence[str] | None = None) -> None:
        """Remove the capture of these tables, or of all; Positions taken before become void with the last one."""
        self._capture.remove(admin_url, tables)

    def changes(self, since: Position, until: Position | None = None) -> list[ChangedKey]:
        """List each key that changed after `since` and up to `until`, once, with its last operation.

        What was not visible at `since` and is visible at `until`: nothing is lost behind an old open transaction and
        nothing waits for it. A change is a PERSON's when any of the changes of its key is.
        """
        found = self._capture.changes(since, until)
        return [one if find_bytes(one.key) is None else self._told(one) for one in found]

    def _told(self, change: ChangedKey) -> ChangedKey:
        return replace(change, key=told_key(self.shape(change.table), change.key))

    def prune(self, before: Position) -> int:
        """Forget the changes up to a Position nobody needs any more; gives the number of entries removed."""
        return self._capture.prune(before)

    def reverse_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[PostgreSQLReverseSession]:
        """Open a transaction for the reverse applier, refused unless the fence is shut under this token and nonce."""
        return open_reverse_session(self._writer(), self._keyed, Admission(closure, token, nonce))

    def rehearsal_session(
        self, closure: str, token: int, *, nonce: UUID
    ) -> AbstractContextManager[PostgreSQLReverseSession]:
        """Open a transaction that is always rolled back, also while the fence is open: the canary of READY."""
        admission = Admission(closure, token, nonce, is_rehearsal=True)
        return open_reverse_session(self._writer(), self._keyed, admission)

    def reverse_position(self, route: str) -> Position | None:
        """Give the Position a route last committed in this store."""
        with self._writer().session("reading the reverse position") as connection:
            row = connection.execute(statement("reverse_position"), {"route": route}).fetchone()
        return Position(row[0]) if row else None

    def reserve_keys(self, counter: str, count: int) -> list[str]:
        """Take keys from a legacy sequence (or from the one a table owns), which advances before any is used."""
        with self._writer().session("reserving keys", table=counter) as connection:
            row = connection.execute(
                statement("owned_sequence"), {"schema": self.schema, "counter": counter}
            ).fetchone()
            sequence = row and (row[0] if row[1] else row[2])
            if not sequence:
                raise SourceDrifted(
                    f"{self.schema}.{counter} is no sequence and owns none; no key was taken",
                    hint="name the sequence of the key in the rule",
                    table=counter,
                )
            taken = connection.execute(statement("next_keys"), {"sequence": sequence, "count": count}).fetchall()
        return [key for (key,) in taken]

    def _read(self, shape: TableShape, bound: Bound, *, asked: int | None = None) -> Batch:
        names = [column.name for column in shape.columns]
        with self._reader.session("reading rows", table=shape.name) as connection:
            low = self._capture.place(connection)
            rows = copy_rows(connection, bound, names, asked=asked)
            high = self._capture.place(connection)
        return Batch(shape.name, rows, low, high)

    def _read_shape(self, table: str) -> TableShape:
        try:
            with self._reader.reflecting("reading the columns", table=table) as inspector:
                reflected = inspector.get_columns(table, schema=self.schema)
        except NoSuchTableError:
            raise SourceDrifted(
                f"there is no table {self.schema}.{table} at {self._reader.place}; nothing was read",
                hint="banyan source scan",
                table=table,
            ) from None
        with self._reader.session("reading the columns", table=table) as connection:
            asked = {"schema": self.schema, "table": table}
            key = [name for (name,) in connection.execute(statement("key_columns"), asked)]
            found = connection.execute(statement("column_casts"), asked).fetchall()
            children = read_children(connection, self.schema, table)
            is_partitioned = connection.execute(statement("is_partitioned"), asked).fetchone() == (True,)
        names = {name: full for name, _, full, _ in found}
        if any("%" in name for name in (table, *names)):  # statements are formatted with values
            raise SourceUnreadable(
                f"{self.schema}.{table} has a percent sign in a name; nothing was read",
                hint="ask for a view without it",
                table=table,
            )
        return TableShape(
            schema=self.schema,
            name=table,
            columns=tuple(
                SourceColumn(column["name"], self._name_type(column["type"], names[column["name"]]), column["nullable"])
                for column in reflected
            ),
            key=tuple(key),
            casts={name: cast for name, cast, _, _ in found},
            bytewise=frozenset(name for name, _, _, is_collated in found if is_collated),
            children=children,
            is_partitioned=is_partitioned,
        )

    def _name_type(self, reflected: TypeEngine[Any], said: str) -> str:
        """Give the name of a type; the server's of one that SQLAlchemy does not know (a point, one of an extension)."""
        known = not isinstance(reflected, NullType)
        return reflected.compile(self._reader.engine.dialect).lower() if known else said

    def _keyed(self, table: str) -> TableShape:
        shape = self.shape(table)
        if not shape.key:
            raise SourceDrifted(
                f"{self.schema}.{table} has no primary key: nothing tells its rows apart, so that none of "
                "them could be known again on the new side; nothing was changed",
                hint="ask the department for a primary key, or for the table as a file: there a record has a number",
                table=table,
            )
        return shape

    def _plan_pages(self, shape: TableShape, rows_per_chunk: int) -> list[KeyRange]:
        """Cut a table by its pages; a row that moves between two readings is found by the next comparison."""
        bound = {"schema": self.schema, "table": shape.name}
        with self._reader.session("planning page ranges", table=shape.name) as connection:
            row = connection.execute(statement("table_pages"), bound).fetchone()
        pages, rows_a_page = row or (0, 1.0)
        step = max(1, int(rows_per_chunk / max(rows_a_page, 1.0)))
        cuts: list[str | None] = [f"({page - 1},65535)" for page in range(step, pages, step)]
        return [KeyRange(low, high) for low, high in zip([None, *cuts], [*cuts, None], strict=True)]

    def _writer(self) -> PostgreSQLConnections:
        if self._reverse is None:
            raise ConfigurationError(
                "this source has no reverse_url: nothing can be written back; nothing was changed",
                hint="add reverse_url (role banyan_reverse) to the source in banyan.yaml",
            )
        return self._reverse


def open_postgresql(
    url: str, schema: str, *, reverse_url: str = "", capture: OpenCapture = JournalCapture
) -> PostgreSQLPort:
    """Open a legacy schema for reading, and for write-back when the URL of `banyan_reverse` is given.

    `capture` is the way changes are found. Nothing is connected before the first question.
    """
    if not schema:
        raise ConfigurationError("a PostgreSQL source needs its schema; nothing was opened", hint="schema: orion")
    # legacy triggers see the settings of their own server
    reverse = PostgreSQLConnections(reverse_url, settings=ALL_ROWS) if reverse_url else None
    return PostgreSQLPort(PostgreSQLConnections(url), schema, reverse, capture=capture)
