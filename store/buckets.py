"""Bucket digests: what the records of a bucket looked like when all of them had last been judged, and who wrote since.

A bucket is all records of a canonical table whose identifier ends with the same byte. Appliers mark the buckets they
write to, in the transaction of the write; people's writes are in the outbox. A bucket that nobody marked and whose
digest is another one was written to by somebody else. Digests are a tripwire, not a proof: exclusive or and sum of a
seeded hash that one version of PostgreSQL computes, with the count beside them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from banyan.records import Position
from store.canonical import CANONICAL
from store.outbox import read_incarnation
from store.row_tables import BUCKET, BUCKET_MARK, JUDGED

BUCKETS = 256
_MARK = (
    "insert into mig.bucket_mark (department_code, canonical_table, buckets)"
    " values (%(department)s, %(table)s, %(buckets)s::smallint[])"
)
_SNAPSHOT = sa.text("select pg_current_snapshot()::text")
_PRUNE = sa.text("select mig.prune_marks(:department, cast(:fold as pg_snapshot))")
_VERSION = sa.text("select current_setting('server_version_num')::int / 10000")
_WRITTEN = sa.text("select canonical_table, bucket from mig.buckets_written(:department, cast(:since as pg_snapshot))")
_AGE = "(select age(cast(pg_snapshot_xmin(cast(:since as pg_snapshot)) as xid)))"
_RECENT = sa.text(f"age(xmin) <= (select case when {_AGE} < 0 then 2147483647 else {_AGE} end)")
"""Written in a transaction no older than any that a snapshot missed; beyond half of what xid holds, whenever."""


@dataclass(frozen=True, slots=True)
class BucketDigest:
    """How many records a bucket holds, and their digests."""

    records: int
    xor_digest: int
    sum_digest: Decimal


@dataclass(frozen=True, slots=True)
class Folded:
    """What a bucket was when it was folded, under which rules, in which store, and what was visible then."""

    digest: BucketDigest
    algorithm: str
    rules_digest: str
    incarnation: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class StoreMoment:
    """The present of the store as one transaction sees it; opaque, compared for equality but for the snapshot."""

    algorithm: str
    incarnation: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class JudgedUpTo:
    """Up to where all records of a closure have been judged, by which evidence, and by which complete one before."""

    department_code: str
    closure: str
    legacy_position: Position
    snapshot: str
    incarnation: str
    rules_digest: str
    evidence_id: str
    complete_evidence_id: str
    judged_at: datetime
    """When this judgement began: the slices of its day, and of all days before, have been read."""


def mark_buckets(connection: psycopg.Connection[Any], table: str, department_code: str, ids: pl.Series) -> None:
    """Say, in the transaction of a write, to which buckets it writes; one statement whatever the number of records."""
    buckets = buckets_of(ids)
    if buckets:
        connection.execute(_MARK, {"department": department_code, "table": table, "buckets": buckets})


def mark_everything(connection: Connection, table: str, department_code: str) -> None:
    """Say that a declared statement may have written to any record of a table."""
    connection.execute(
        sa.insert(BUCKET_MARK).values(
            department_code=department_code, canonical_table=table, buckets=list(range(BUCKETS))
        )
    )


def buckets_of(ids: pl.Series) -> list[int]:
    """Give the buckets that identifiers fall into, each once, in order."""
    if len(ids) > BUCKETS:  # one of each last byte says it
        ids = ids.filter(ids.bin.slice(-1).is_first_distinct())
    return sorted({each[-1] for each in ids.to_list() if each is not None})


def read_moment(connection: Connection) -> StoreMoment:
    """Read what this transaction sees, and by which algorithm digests are computed here."""
    version = connection.scalar(_VERSION)
    return StoreMoment(
        f"hash_record_extended/{version}", read_incarnation(connection), str(connection.scalar(_SNAPSHOT))
    )


def read_digests(
    connection: Connection, table: str, department_code: str, *, seed: int, buckets: Collection[int] | None = None
) -> dict[int, BucketDigest]:
    """Compute the digests of a table's buckets as they are now; all of them, or only some."""
    records = CANONICAL[table].alias("record")
    bucket = sa.func.mig.bucket_of(records.c.id)
    digest = sa.func.hash_record_extended(sa.literal_column("record"), sa.bindparam("seed", seed, sa.BigInteger()))
    query = sa.select(bucket, sa.func.count(), sa.func.bit_xor(digest), sa.func.sum(digest)).where(
        records.c.department_code == department_code
    )
    if buckets is not None:
        query = query.where(bucket.in_(list(buckets)))
    return {
        number: BucketDigest(count, xor, Decimal(total))
        for number, count, xor, total in connection.execute(query.group_by(sa.literal_column("1")))
    }


def read_folded(connection: Connection, department_code: str, tables: Iterable[str]) -> dict[tuple[str, int], Folded]:
    """Read what the buckets of some canonical tables were when they were folded."""
    rows = connection.execute(
        sa.select(BUCKET).where(
            BUCKET.c.department_code == department_code, BUCKET.c.canonical_table.in_(tuple(tables))
        )
    )
    return {
        (row.canonical_table, row.bucket): Folded(
            BucketDigest(row.records, row.xor_digest, Decimal(row.sum_digest)),
            row.algorithm,
            row.rules_digest,
            row.incarnation,
            row.snapshot,
        )
        for row in rows
    }


def find_written(connection: Connection, department_code: str, since: str) -> set[tuple[str, int]]:
    """Find the buckets that appliers marked, or people wrote to through the outbox, after a snapshot."""
    rows = connection.execute(_WRITTEN, {"department": department_code, "since": since})
    return {(table, bucket) for table, bucket in rows}


def find_rows_written(
    connection: Connection, table: str, department_code: str, *, since: str, buckets: Collection[int] | None = None
) -> list[bytes]:
    """Find the records that any transaction inserted or updated after a snapshot, whoever it was.

    The table is read once: records whose transaction is older than all that the snapshot missed are passed by; of the
    others the transactions are asked, of which there are few, and not each record they wrote.
    """
    records = CANONICAL[table]
    stamp: sa.ColumnClause[Any] = sa.column("xmin")
    query = sa.select(records.c.id, stamp.label("stamp")).where(records.c.department_code == department_code, _RECENT)
    if buckets is not None:
        query = query.where(sa.func.mig.bucket_of(records.c.id).in_(list(buckets)))
    found = query.cte("found").prefix_with("MATERIALIZED")
    stamps = sa.select(found.c.stamp).distinct().cte("stamps").prefix_with("MATERIALIZED")
    after = sa.select(stamps.c.stamp).where(sa.func.mig.written_after(stamps.c.stamp, since))
    written = sa.select(found.c.id).where(found.c.stamp.in_(after)).order_by(found.c.id)
    return [each.bytes for each in connection.scalars(written, {"since": since})]


def prune_marks(connection: Connection, department_code: str, *, fold: str) -> int:
    """Forget the marks that lie before every fold there is, and before the one to be written; gives how many."""
    return int(connection.scalar(_PRUNE, {"department": department_code, "fold": fold}) or 0)


def write_folded(
    connection: Connection,
    department_code: str,
    digests: Mapping[tuple[str, int], BucketDigest],
    *,
    moment: StoreMoment,
    rules_digest: str,
) -> None:
    """Remember what buckets are, as one transaction saw them; the others keep what was remembered of them."""
    if not digests:
        return
    row = insert(BUCKET)
    values = [
        {
            "department_code": department_code,
            "canonical_table": table,
            "bucket": bucket,
            "records": digest.records,
            "xor_digest": digest.xor_digest,
            "sum_digest": digest.sum_digest,
            "algorithm": moment.algorithm,
            "rules_digest": rules_digest,
            "incarnation": moment.incarnation,
            "snapshot": moment.snapshot,
        }
        for (table, bucket), digest in sorted(digests.items())
    ]
    taken = (
        "records", "xor_digest", "sum_digest", "algorithm", "rules_digest", "incarnation", "snapshot",
    )  # fmt: skip
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[BUCKET.c.department_code, BUCKET.c.canonical_table, BUCKET.c.bucket],
            set_={name: row.excluded[name] for name in taken} | {"folded_at": sa.func.now()},
        ),
        values,
    )


def read_judged(connection: Connection, closure: str) -> JudgedUpTo | None:
    """Read up to where a closure has been judged; None before its first complete judgement."""
    row = connection.execute(sa.select(JUDGED).where(JUDGED.c.closure == closure)).first()
    if row is None:
        return None
    return JudgedUpTo(
        row.department_code,
        row.closure,
        Position(row.legacy_position),
        row.snapshot,
        row.incarnation,
        row.rules_digest,
        row.evidence_id,
        row.complete_evidence_id,
        row.judged_at,
    )


def write_judged(connection: Connection, judged: JudgedUpTo) -> None:
    """Remember up to where a closure has been judged."""
    values = {name: getattr(judged, name) for name in JudgedUpTo.__slots__}
    row = insert(JUDGED).values(values)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=[JUDGED.c.closure],
            set_={name: row.excluded[name] for name in values if name != "closure"},
        )
    )
