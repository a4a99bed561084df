"""Keys read from the log of a legacy system, kept with the place reached until they are carried.

Keys and place commit together, and the place, locked by whoever adds keys, says whose they are; only then is the log of
the legacy system confirmed. So a reader that dies loses nothing and doubles nothing, and a long first copy holds no log
back on the legacy side.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from sys import intern

import polars as pl
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection, Engine

from banyan.departments import SourceRef
from banyan.errors import LeaseLost
from banyan.records import ChangedKey, LoggedKey, LogPlace, Operation, Origin
from store.postgres import asking, raw, transaction
from store.row_tables import Xid8, table_number
from store.tables import instant, number, one_of, table, text
from wire.copy import copy_in

_KEYS_A_FRAME = 20_000


def _of_source() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    )


LOG_PLACE = table(
    "log_place",
    text("department_code"),
    text("system_code"),
    text("capture"),
    number("started"),
    number("reached"),
    text("mark"),
    instant("updated_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "system_code"),
    _of_source(),
    sa.CheckConstraint("reached >= started", name="reached"),
)
LOG_KEY = table(
    "log_key",
    number("seq", sa.Identity(always=True)),
    text("department_code"),
    text("system_code"),
    sa.Column("xid", Xid8(), nullable=False),
    text("table_name"),
    text("op"),
    text("key"),
    sa.PrimaryKeyConstraint("seq"),
    one_of("op", ("I", "U", "D", "T", "R")),
    sa.Index(None, "department_code", "system_code", "xid"),
)
ROW_MARK = table(
    "row_mark",
    text("department_code"),
    table_number(),
    text("source_key"),
    sa.Column("row_hash", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("department_code", "source_table_no", "source_key"),
)
# a truncated table is every key the store knows of it: rows carried, filtered, or waiting in quarantine
_CHANGES = sa.text("""
with seen as materialized (
  select seq, xid, table_name, op, key from mig.log_key
  where department_code = :department and system_code = :system
    and xid >= pg_snapshot_xmin(cast(:since as pg_snapshot)) and xid < pg_snapshot_xmax(cast(:until as pg_snapshot))
    and not pg_visible_in_snapshot(xid, cast(:since as pg_snapshot))
    and pg_visible_in_snapshot(xid, cast(:until as pg_snapshot))),
routed as (select distinct xid from seen where op = 'R'),
told as (select s.*, r.xid is null as by_person from seen s left join routed r on r.xid = s.xid where s.op <> 'R'),
known as (
  select t.seq, t.table_name, t.by_person, k.source_key
  from told t
  join mig.source_table n on n.department_code = :department and n.system_code = :system
    and n.table_name = t.table_name
  cross join lateral (
    select source_key from mig.crosswalk
    where department_code = :department and source_table_no = n.source_table_no and deleted_at is null
    union select source_key from mig.filtered_row
    where department_code = :department and source_table_no = n.source_table_no
    union select source_key from mig.quarantine
    where department_code = :department and source_table_no = n.source_table_no and state = 'OPEN') k
  where t.op = 'T'),
keys as (
  select seq, table_name, op, key, by_person from told where op <> 'T'
  union all select seq, table_name, 'D', source_key, by_person from known)
select table_name, key, (array_agg(op order by seq desc))[1], bool_or(by_person)
from keys group by table_name, key order by max(seq)
""")
_PRUNE = sa.text(
    "delete from mig.log_key where department_code = :department and system_code = :system"
    " and xid < pg_snapshot_xmax(cast(:before as pg_snapshot))"
    " and pg_visible_in_snapshot(xid, cast(:before as pg_snapshot))"
)


class StoreKeyLog:
    """The key log of one legacy system, in the control plane; the store is asked for at the first question."""

    def __init__(self, open_engine: Callable[[], Engine], source: SourceRef) -> None:
        self._open_engine = open_engine
        self._source = source
        self._own = {"department_code": source.department_code, "system_code": source.system_code}
        self._bound = {"department": source.department_code, "system": source.system_code}

    def read_place(self) -> LogPlace | None:
        """Read how far the log was read; None before the first time."""
        with asking(self._open_engine()) as connection:
            return self._find_place(connection)

    def begin(self, place: LogPlace) -> LogPlace:
        """Begin at a place unless begun; a place of another capture replaces what was there."""
        with transaction(self._open_engine()) as connection:
            row = insert(LOG_PLACE).values(**self._own, **asdict(place))
            connection.execute(row.on_conflict_do_nothing())
            found = self._find_place(connection, is_locked=True)
            if found is not None and found.capture == place.capture:
                return found
            connection.execute(sa.delete(LOG_KEY).where(*self._route(LOG_KEY)))
            connection.execute(sa.update(LOG_PLACE).where(*self._route(LOG_PLACE)).values(**asdict(place)))
            return place

    def append(self, keys: Iterable[LoggedKey], *, after: LogPlace, reached: Callable[[], LogPlace]) -> LogPlace:
        """Keep keys and the new place in one transaction; refuses when another process has come further.

        `reached` is asked after the last key, just before the commit.
        """
        with transaction(self._open_engine()) as connection:
            if self._find_place(connection, is_locked=True) != after:
                raise LeaseLost(
                    f"another process reads the log of {self._source} and has come further; nothing was kept",
                    hint="run the same command again",
                )
            for frame in self._frames(keys):
                copy_in(raw(connection), sql.Identifier("mig", "log_key"), frame)
            place = reached()
            connection.execute(
                sa.update(LOG_PLACE)
                .where(*self._route(LOG_PLACE))
                .values(**asdict(place), updated_at=sa.func.clock_timestamp())
            )
        return place

    def read(self, since: str, until: str) -> list[ChangedKey]:
        """List each key that a snapshot did not see and a later one does, once, with its last operation."""
        bound = {**self._bound, "since": since, "until": until}
        with asking(self._open_engine()) as connection:
            return [
                ChangedKey(intern(name), key, Operation(op), Origin.PERSON if by_person else Origin.ROUTE)
                for name, key, op, by_person in connection.execute(_CHANGES, bound)
            ]

    def prune(self, before: str, *, started: int) -> int:
        """Forget the keys that a snapshot sees; gives how many. A later question about them is refused."""
        with transaction(self._open_engine()) as connection:
            removed = connection.execute(_PRUNE, {**self._bound, "before": before}).rowcount
            later = sa.func.greatest(LOG_PLACE.c.started, started)
            connection.execute(sa.update(LOG_PLACE).where(*self._route(LOG_PLACE)).values(started=later))
        return int(removed)

    def _find_place(self, connection: Connection, *, is_locked: bool = False) -> LogPlace | None:
        query = sa.select(LOG_PLACE.c.capture, LOG_PLACE.c.started, LOG_PLACE.c.reached, LOG_PLACE.c.mark)
        query = query.where(*self._route(LOG_PLACE))
        row = connection.execute(query.with_for_update() if is_locked else query).first()
        return LogPlace(*row) if row is not None else None

    def _frames(self, keys: Iterable[LoggedKey]) -> Iterator[pl.DataFrame]:
        waiting = iter(keys)
        while block := list(islice(waiting, _KEYS_A_FRAME)):
            yield pl.DataFrame(
                {
                    "xid": pl.Series([one.transaction for one in block], dtype=pl.Int64),  # eight bytes, as xid8 reads
                    "table_name": [one.table for one in block],
                    "op": [one.operation for one in block],
                    "key": [one.key for one in block],
                }
            ).with_columns(*(pl.lit(value).alias(name) for name, value in self._own.items()))

    def _route(self, place: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
        return tuple(place.c[name] == value for name, value in self._own.items())
