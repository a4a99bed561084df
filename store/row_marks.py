"""Hashes of legacy rows as a look last saw them, and the keys that looks found changed: for sources without any log.

A look compares and marks in one transaction: it is whole or it was not. Its findings wait in the key log, under the
number of the look, until they are carried.
"""

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import Connection

from banyan.records import LogPlace
from store.key_log import LOG_PLACE, StoreKeyLog
from store.postgres import raw, transaction
from wire.copy import copy_in

_STAGE = sql.Identifier("pg_temp", "banyan_look")
_CREATE = (
    sa.text("create temp table banyan_look (source_key text, row_hash bytea) on commit drop"),
    sa.text("create temp table banyan_moved (source_key text, row_hash bytea, op text) on commit drop"),
)
_EMPTY = sa.text("truncate pg_temp.banyan_look, pg_temp.banyan_moved")
_ANALYZE = sa.text("analyze pg_temp.banyan_look")
_TABLE_NO = sa.text(
    "select source_table_no from mig.source_table"
    " where department_code = :department and system_code = :system and table_name = :name"
)
_COMPARE = sa.text("""
insert into pg_temp.banyan_moved (source_key, row_hash, op)
select coalesce(s.source_key, m.source_key), s.row_hash,
       case when m.source_key is null then 'I' when s.source_key is null then 'D' else 'U' end
from (select source_key, row_hash from mig.row_mark where department_code = :department and source_table_no = :number) m
full join (select distinct on (source_key) source_key, row_hash from pg_temp.banyan_look) s
  on s.source_key = m.source_key
where m.row_hash is distinct from s.row_hash
""")
_COUNT = sa.text("analyze pg_temp.banyan_moved")
_KEEP = sa.text("""
insert into mig.log_key (department_code, system_code, xid, table_name, op, key)
select :department, :system, cast(cast(:look as text) as xid8), :name, op, source_key from pg_temp.banyan_moved
""")
_MARK = sa.text("""
insert into mig.row_mark (department_code, source_table_no, source_key, row_hash)
select :department, :number, source_key, row_hash from pg_temp.banyan_moved where op <> 'D'
on conflict (department_code, source_table_no, source_key) do update set row_hash = excluded.row_hash
""")
_UNMARK = sa.text("""
delete from mig.row_mark m using pg_temp.banyan_moved v
where m.department_code = :department and m.source_table_no = :number and m.source_key = v.source_key and v.op = 'D'
""")


class StoreRowMarks(StoreKeyLog):
    """The marks of one legacy system, in the control plane."""

    def sweep(self, capture: str, tables: Iterable[tuple[str, Iterable[pl.DataFrame]]]) -> LogPlace:
        """Compare every row (source_key, row_hash) with its mark, keep what differs, and mark it, all or nothing.

        The first look at a history only marks: what is loaded after it is at least as young.
        """
        first = self.begin(LogPlace(capture, 0, 0, ""))
        with transaction(self._open_engine()) as connection:
            last = self._find_place(connection, is_locked=True) or first
            look = last.reached + 1
            for line in _CREATE:
                connection.execute(line)
            for name, frames in tables:
                self._look(connection, name, frames, look=look, is_first=last.reached == 0)
            place = LogPlace(capture, 1 if last.reached == 0 else last.started, look, "")
            values = {"started": place.started, "reached": look, "updated_at": sa.func.clock_timestamp()}
            connection.execute(sa.update(LOG_PLACE).where(*self._route(LOG_PLACE)).values(**values))
        return place

    def _look(
        self, connection: Connection, name: str, frames: Iterable[pl.DataFrame], *, look: int, is_first: bool
    ) -> None:
        connection.execute(_EMPTY)
        for frame in frames:
            copy_in(raw(connection), _STAGE, frame)
        connection.execute(_ANALYZE)
        number = connection.execute(_TABLE_NO, {**self._bound, "name": name}).scalar_one()
        bound = {"department": self._bound["department"], "number": number}
        connection.execute(_COMPARE, bound)
        connection.execute(_COUNT)
        if not is_first:
            connection.execute(_KEEP, {**self._bound, "name": name, "look": str(look)})
        connection.execute(_UNMARK, bound)
        connection.execute(_MARK, bound)
