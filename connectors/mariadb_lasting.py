"""Rows of tables without transactions in a legacy MariaDB: sent one by one, and tried out on a copy of the session.

What was sent stays, whatever becomes of the transaction around it; so each row is a statement of its own, and a
refusal is of that row alone. A trigger that refuses after the row was written takes nothing back: what stands then is
looked up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import polars as pl
import pymysql

from banyan.errors import RowRefused
from banyan.lasting import RowSent
from connectors.dialects_mariadb import Bound, MariaDBShape, home_of, quoted
from connectors.dialects_mariadb_lasting import (
    compare_numbered,
    create_copy,
    create_numbered,
    delete_one,
    fill_copy,
    fill_numbered,
    insert_numbered,
    update_numbered,
)
from connectors.mariadb_connection import Connection, ask, count_touched, explain
from connectors.mariadb_rows import key_text_of, raw_zone, read_keyed, values_of

_STAGED_CELLS: Final = 8_000
_KEYS: Final = 1_000
Row: TypeAlias = tuple[str | None, ...]


class Rehearsed:
    """Copies of tables without transactions, for one rehearsal: what is written there is gone with them.

    No trigger of the legacy system stands on a copy: what triggers would make of a row is not rehearsed.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._copies: dict[str, MariaDBShape] = {}
        self._copied: dict[str, set[str]] = {}

    def copy_of(self, shape: MariaDBShape, keys: Sequence[str]) -> MariaDBShape:
        """Give the shape of the copy of a table, with the rows of some keys in it."""
        copy = self._copies.get(shape.name)
        if copy is None:
            copy = replace(shape, schema=home_of(self._schema), name=f"rehearsed_{len(self._copies) + 1}")
            ask(self._connection, create_copy(shape, copy))
            self._copies[shape.name], self._copied[shape.name] = copy, set()
        missing = [key for key in keys if key not in self._copied[shape.name]]
        for at in range(0, len(missing), _KEYS):
            bound = fill_copy(shape, copy, missing[at : at + _KEYS])
            ask(self._connection, bound.query, bound.values)
        self._copied[shape.name].update(missing)
        return copy

    def drop(self) -> None:
        """Drop every copy; the connection outlives the rehearsal."""
        for copy in self._copies.values():
            ask(self._connection, f"drop temporary table if exists {copy.identifier}")
        self._copies.clear()


@dataclass(slots=True)
class OneByOne:
    """Writes rows of one table without transactions, one a statement, each with a mark that the log shows beside it."""

    connection: Connection = field(repr=False)
    shape: MariaDBShape
    zone: str
    _before: dict[str, Row] = field(default_factory=dict, init=False, repr=False)

    def upsert(self, rows: pl.DataFrame, stage: str) -> Iterator[RowSent]:
        """Insert or update rows by key, only the columns given and only where a value differs.

        The staging table of this name is left to the caller to drop.
        """
        for part in rows.iter_slices(max(1, _STAGED_CELLS // len(rows.columns))):
            keys = part.select(key_text_of(self.shape)).to_series().to_list()
            ask(self.connection, f"drop temporary table if exists {stage}")
            ask(self.connection, create_numbered(self.shape, stage, part.columns))
            with raw_zone(self.connection, self.zone):
                self._before = self._read(keys)
                refused = self._fill(part, stage)
                found = ask(self.connection, compare_numbered(self.shape, stage, part.columns))
            for number, refusal in refused.items():
                yield RowSent(keys[number], is_changed=False, refusal=refusal)
            for number, is_there, differs in found:
                key = keys[number]
                if is_there and not differs:
                    yield RowSent(key, is_changed=False)
                    continue
                build = update_numbered if is_there else insert_numbered
                yield self._send(key, Bound(build(self.shape, stage, part.columns, number)))

    def delete(self, keys: Sequence[str], assign: Mapping[str, str | None] | None) -> Iterator[RowSent]:
        """Delete rows by key, or mark them by the assignment."""
        distinct = list(dict.fromkeys(keys))
        for at in range(0, len(distinct), _KEYS):
            part = distinct[at : at + _KEYS]
            with raw_zone(self.connection, self.zone):
                self._before = self._read(part)
            for key in part:
                yield self._send(key, delete_one(self.shape, key, assign))

    def _fill(self, rows: pl.DataFrame, stage: str) -> dict[int, RowRefused]:
        """Stage rows under their numbers; gives those that are no values of their columns, found by halves."""
        refused: dict[int, RowRefused] = {}
        waiting = [(0, rows.height)] if rows.height else []
        while waiting:
            at, count = waiting.pop()
            part = rows.slice(at, count)
            values = [value for number, row in enumerate(values_of(self.shape, part), at) for value in (number, *row)]
            try:
                count_touched(self.connection, fill_numbered(self.shape, stage, rows.columns, count), values)
            except pymysql.MySQLError as error:
                refusal = explain(error, "writing back", self.shape.name)
                if not isinstance(refusal, RowRefused):
                    raise refusal from None
                if count == 1:
                    refused[at] = refusal
                else:
                    waiting += [(at + count // 2, count - count // 2), (at, count // 2)]
        return refused

    def _send(self, key: str, bound: Bound) -> RowSent:
        try:
            return RowSent(key, is_changed=bool(count_touched(self.connection, bound.query, bound.values)))
        except pymysql.MySQLError as error:
            refusal = explain(error, "writing back", self.shape.name)
            if not isinstance(refusal, RowRefused):
                raise refusal from None
        with raw_zone(self.connection, self.zone):
            now = self._read((key,))
        return RowSent(key, is_changed=now.get(key) != self._before.get(key), refusal=refusal)

    def _read(self, keys: Sequence[str]) -> dict[str, Row]:
        rows = read_keyed(self.connection, self.shape, keys)
        texts = rows.select(key_text_of(self.shape)).to_series()
        return dict(zip(texts, rows.iter_rows(), strict=True))


def stage_name(schema: str, number: int) -> str:
    """Name a staging table of the reverse applier, in the database of banyan."""
    return f"{quoted(home_of(schema))}.{quoted(f'stage_{number}')}"
