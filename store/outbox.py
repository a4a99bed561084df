"""What people did in the new system, as keys: read by snapshot, in one REPEATABLE READ transaction of the caller.

A Position is `pg_current_snapshot()` with the incarnation of the store. The next changes are those the last snapshot
did not see: reading by id, by transaction number or up to the oldest open transaction loses or inverts changes.
"""

import json
import uuid
from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.errors import SwitchUncertain, UsageError
from banyan.records import Position

_INCARNATION = sa.text(
    "select c.system_identifier::text || '.' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"
    " || '.' || d.oid"
    " from pg_control_system() c, pg_database d where d.datname = current_database()"
)
_HEAD = sa.text("select pg_current_snapshot()::text")
_ISOLATION = sa.text("select current_setting('transaction_isolation')")
_CHANGES = sa.text(
    "select relation, op, domain_code, key from mig.outbox"
    " where xid >= pg_snapshot_xmin(cast(:last as pg_snapshot))"
    " and not pg_visible_in_snapshot(xid, cast(:last as pg_snapshot))"
    " and department_code = :department and domain_code = any(cast(:domains as text[]))"
    " and (cast(:cut as xid8) is null or xid < cast(:cut as xid8)) order by id"
)
_COUNT = sa.text(
    "select count(*) from (select distinct relation, key from mig.outbox"
    " where xid >= pg_snapshot_xmin(cast(:last as pg_snapshot))"
    " and not pg_visible_in_snapshot(xid, cast(:last as pg_snapshot))"
    " and department_code = :department and domain_code = any(cast(:domains as text[]))) as touched"
)
_CUT = sa.text(
    "select xid::text from (select xid, sum(count(*)) over (order by xid) as up_to_it, lag(xid) over (order by xid) as"
    " before_it from mig.outbox where xid >= pg_snapshot_xmin(cast(:last as pg_snapshot))"
    " and not pg_visible_in_snapshot(xid, cast(:last as pg_snapshot))"
    " and department_code = :department and domain_code = any(cast(:domains as text[])) group by xid) as transactions"
    " where up_to_it > :most and before_it is not null order by xid limit 1"
)
_UP_TO = sa.text(  # what `last` saw, and what is older than the cut and has ended
    "with said as (select cast(:last as pg_snapshot) as last, pg_current_snapshot() as now, cast(:cut as xid8) as cut),"
    " least as (select greatest(pg_snapshot_xmax(last), cut) as top, last, now, cut from said),"
    " open as (select x from least, pg_snapshot_xip(now) as x where x < top"
    "  union select x from least, pg_snapshot_xip(last) as x where x >= cut)"
    " select coalesce((select min(x) from open), top)::text || ':' || top::text || ':'"
    "  || coalesce((select string_agg(x::text, ',' order by x) from open), '') from least"
)
_IS_AHEAD = sa.text("select pg_snapshot_xmax(cast(:last as pg_snapshot)) > pg_snapshot_xmax(pg_current_snapshot())")
_IS_PRUNED = sa.text(
    "select coalesce(bool_or(pruned_below > pg_snapshot_xmin(cast(:last as pg_snapshot))), false)"
    " from mig.outbox_floor where department_code = :department and domain_code = any(cast(:domains as text[]))"
)
_PRUNE = sa.text("select mig.prune_outbox(:department, cast(:domains as text[]), cast(:oldest as pg_snapshot))")
_BEFORE_ALL = "1:1:"
KEYS_SCHEMA = {"relation": pl.String, "operation": pl.String, "domain_code": pl.String, "id": pl.Binary}


@dataclass(frozen=True, slots=True)
class OutboxChanges:
    """The records people touched since a Position: each once, with its last operation, in order; no value.

    `events` counts the outbox rows read. The state of the records is read in the same transaction. Of more than were
    asked for, the transactions that are oldest by number are given whole, and `is_cut` says that there are others.
    """

    keys: pl.DataFrame = field(repr=False)
    events: int
    high: Position
    is_cut: bool = False


def read_incarnation(connection: Connection) -> str:
    """Read which history this store is: system identifier, timeline and database. A restored backup has another."""
    return str(connection.execute(_INCARNATION).scalar_one())


def beginning(connection: Connection) -> Position:
    """Give the Position before all changes of this store."""
    return _position(read_incarnation(connection), _BEFORE_ALL)


def head(connection: Connection) -> Position:
    """Give the present Position: all that this transaction sees is behind it."""
    return _position(read_incarnation(connection), str(connection.execute(_HEAD).scalar_one()))


def is_ahead(connection: Connection, position: Position) -> bool:
    """Tell whether a Position has seen transactions that this store never began: the store is a copy from before."""
    last = _snapshot(position, read_incarnation(connection))
    return bool(connection.execute(_IS_AHEAD, {"last": last}).scalar_one())


def changes_since(
    connection: Connection,
    position: Position,
    *,
    department_code: str,
    domains: tuple[str, ...],
    at_most: int | None = None,
) -> OutboxChanges:
    """Read the records of a closure that people touched after a Position, and the Position they reach.

    With `at_most`, so many outbox rows of whole transactions; of one that is larger, all.
    """
    bound = _asked(connection, position, department_code, domains)
    cut = None if at_most is None else connection.execute(_CUT, bound | {"most": at_most}).scalar_one_or_none()
    high = head(connection)
    if cut is not None:
        reached = str(connection.execute(_UP_TO, {"last": bound["last"], "cut": cut}).scalar_one())
        high = _position(read_incarnation(connection), reached)
    rows = connection.execute(_CHANGES, bound | {"cut": cut}).fetchall()
    keys = pl.DataFrame(
        [(row.relation, row.op, row.domain_code, _bytes(row.key)) for row in rows], schema=KEYS_SCHEMA, orient="row"
    )
    once = keys.unique(["relation", "id"], keep="last", maintain_order=True)
    return OutboxChanges(once, len(rows), high, cut is not None)


def count_since(connection: Connection, position: Position, *, department_code: str, domains: tuple[str, ...]) -> int:
    """Count the records of a closure that people touched after a Position."""
    return int(connection.execute(_COUNT, _asked(connection, position, department_code, domains)).scalar_one())


def _asked(
    connection: Connection, position: Position, department_code: str, domains: tuple[str, ...]
) -> dict[str, object]:
    """Give the values of a question after a Position; refuses one whose answer was forgotten."""
    if connection.execute(_ISOLATION).scalar_one() != "repeatable read":
        raise UsageError("the outbox is read in a REPEATABLE READ transaction only; nothing was read")
    last = _snapshot(position, read_incarnation(connection))
    bound: dict[str, object] = {"last": last, "department": department_code, "domains": list(domains)}
    if connection.execute(_IS_PRUNED, bound).scalar_one():
        raise SwitchUncertain(
            "the keys after this Position were forgotten when the way back was given up; nothing was read",
            hint="compare both sides as a whole: banyan recon run",
            department=department_code,
        )
    return bound


def prune(connection: Connection, oldest: Position, *, department_code: str, domains: tuple[str, ...]) -> int:
    """Forget the keys of a closure that its oldest reader and the tripwire have read; gives how many.

    Who comes later with an older Position is refused, never answered with less than there was.
    """
    last = _snapshot(oldest, read_incarnation(connection))
    bound = {"oldest": last, "department": department_code, "domains": list(domains)}
    return int(connection.execute(_PRUNE, bound).scalar_one())


def _position(incarnation: str, snapshot: str) -> Position:
    return Position(json.dumps({"incarnation": incarnation, "snapshot": snapshot}))


def _snapshot(position: Position, incarnation: str) -> str:
    try:
        known = json.loads(position)
        of, snapshot = str(known["incarnation"]), str(known["snapshot"])
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError("this is not a Position of the canonical store; nothing was read") from error
    if of != incarnation:
        raise SwitchUncertain(
            "the store is another incarnation than the one this Position belongs to: it was restored, promoted or "
            "copied; nothing was read",
            hint="banyan guard; two people compare both sides before anything moves",
            expected=of,
            found=incarnation,
        )
    return snapshot


def _bytes(key: uuid.UUID | str) -> bytes:
    return key.bytes if isinstance(key, uuid.UUID) else uuid.UUID(key).bytes
