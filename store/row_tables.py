"""Tables of the control plane that hold something for each row: crosswalk, links, quarantine, outbox.

Crosswalk and links are partitioned by department like the canonical tables. Residue, quarantined values and keys are
personal: they follow the retention of the record. Lists that a load writes by the thousand have no foreign key: a
trigger asks once a statement whether their legacy tables are known.
"""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON
from sqlalchemy.types import UserDefinedType

from store.tables import instant, number, one_of, table, text

PARTITION_BY = "LIST (department_code)"


class Departure(StrEnum):
    """Why the records of a row are gone, as its tombstone says."""

    GONE = "GONE"
    """The row is no more in the legacy system."""
    MARKED = "MARKED"
    """The row stands there, marked as deleted."""
    FILTERED = "FILTERED"
    """A named rule keeps it out."""
    REUSED = "REUSED"
    """Its key stands for something else now."""
    REMOVED = "REMOVED"
    """People deleted its record in the new system."""


class Xid8(UserDefinedType[str]):
    """PostgreSQL's transaction identifier that never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:  # noqa: ANN401 - the signature is SQLAlchemy's
        """Give the type's name in SQL."""
        return "xid8"


def table_number() -> sa.Column[int]:
    """Declare the number of the legacy table a row came from."""
    return sa.Column("source_table_no", sa.SmallInteger(), nullable=False)


def identifier(name: str) -> sa.Column[Any]:
    """Declare a canonical identifier."""
    return sa.Column(name, sa.Uuid(), nullable=False)


CROSSWALK = table(
    "crosswalk",
    identifier("id"),
    text("department_code"),
    table_number(),
    text("source_key"),
    sa.Column("key_epoch", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    sa.Column("row_hash", sa.LargeBinary(), nullable=False),
    sa.Column("residue", sa.LargeBinary(), nullable=True),
    text("rule_id"),
    number("run_no"),
    instant("deleted_at", nullable=True),
    text("deleted_reason", nullable=True),
    sa.PrimaryKeyConstraint("id", "department_code"),
    one_of("deleted_reason", tuple(reason.value for reason in Departure)),
    partition_by=PARTITION_BY,
)
sa.Index(None, CROSSWALK.c.id, postgresql_where=CROSSWALK.c.deleted_at.is_not(None))
RECORD_LINK = table(
    "record_link",
    identifier("id"),
    text("department_code"),
    text("part"),
    text("canonical_table"),
    identifier("canonical_id"),
    sa.PrimaryKeyConstraint("id", "department_code", "part"),
    sa.Index(None, "canonical_id"),
    partition_by=PARTITION_BY,
)
ADOPTED_KEY = table(
    "adopted_key",
    text("department_code"),
    table_number(),
    text("source_key"),
    sa.Column("key_epoch", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
    identifier("id"),
    sa.PrimaryKeyConstraint("department_code", "source_table_no", "source_key", "key_epoch"),
    sa.UniqueConstraint("department_code", "id", "source_table_no"),
    sa.ForeignKeyConstraint(["source_table_no"], ["mig.source_table.source_table_no"]),
)
QUARANTINE = table(
    "quarantine",
    number("quarantine_no", sa.Identity(always=True)),
    text("department_code"),
    table_number(),
    text("source_key"),
    text("column_name", nullable=True),
    text("cause"),
    sa.Column("raw", sa.LargeBinary(), nullable=True),
    text("rule_id"),
    number("run_no"),
    text("state"),
    instant("noticed_at", default="now()"),
    text("decided_by", nullable=True),
    instant("decided_at", nullable=True),
    sa.Column("decision", JSON(), nullable=True),
    sa.PrimaryKeyConstraint("quarantine_no"),
    one_of("state", ("OPEN", "REPAIRED", "REPLAYED", "SETTLED")),
)
sa.Index(
    "one_open_quarantine", QUARANTINE.c.department_code, QUARANTINE.c.source_table_no, QUARANTINE.c.source_key,
    QUARANTINE.c.column_name, unique=True, postgresql_nulls_not_distinct=True,
    postgresql_where=QUARANTINE.c.state == sa.literal_column("'OPEN'"),
)  # fmt: skip
FILTERED_ROW = table(
    "filtered_row",
    text("department_code"),
    table_number(),
    text("source_key"),
    text("rule"),
    number("run_no"),
    instant("noticed_at", default="now()"),
    text("parent_key", nullable=True),
    sa.PrimaryKeyConstraint("department_code", "source_table_no", "source_key"),
)
sa.Index(
    "filtered_row_parent",
    FILTERED_ROW.c.department_code,
    FILTERED_ROW.c.source_table_no,
    FILTERED_ROW.c.parent_key,
    postgresql_where=FILTERED_ROW.c.parent_key.is_not(None),
)
RETENTION_TERM = table(
    "retention_term",
    text("department_code"),
    table_number(),
    text("source_key"),
    sa.Column("until", sa.Date(), nullable=True),
    text("rule_code", nullable=True),
    sa.Column("is_expired", sa.Boolean(), nullable=False),
    text("person_key", nullable=True),
    text("case_key", nullable=True),
    sa.Column("judged_on", sa.Date(), nullable=False),
    sa.PrimaryKeyConstraint("department_code", "source_table_no", "source_key"),
)
sa.Index("retention_term_person", RETENTION_TERM.c.department_code, RETENTION_TERM.c.person_key)
sa.Index("retention_term_case", RETENTION_TERM.c.department_code, RETENTION_TERM.c.case_key)
OUTBOX = table(
    "outbox",
    number("id", sa.Identity(always=True)),
    sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
    text("relation"),
    text("op"),
    text("department_code"),
    text("domain_code"),
    identifier("key"),
    sa.PrimaryKeyConstraint("xid", "id"),  # `id` is in the order of the writes, `xid` says which of them are seen
)
OUTBOX_FLOOR = table(
    "outbox_floor",
    text("department_code"),
    text("domain_code"),
    sa.Column("pruned_below", Xid8(), nullable=False),
    instant("pruned_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "domain_code"),
)
DEGRADED_WRITE_BACK = table(
    "degraded_write_back",
    number("degraded_no", sa.Identity(always=True)),
    text("department_code"),
    table_number(),
    text("source_key", nullable=True),
    identifier("main_id"),
    text("canonical_table"),
    text("column_name", nullable=True),
    text("kind"),
    text("cause"),
    number("run_no", nullable=True),
    text("state"),
    instant("noticed_at", default="now()"),
    sa.PrimaryKeyConstraint("degraded_no"),
    sa.ForeignKeyConstraint(["source_table_no"], ["mig.source_table.source_table_no"]),
    one_of("state", ("OPEN", "ACCEPTED", "SETTLED")),
)
sa.Index(
    "one_open_degraded", DEGRADED_WRITE_BACK.c.department_code, DEGRADED_WRITE_BACK.c.main_id,
    DEGRADED_WRITE_BACK.c.canonical_table, DEGRADED_WRITE_BACK.c.column_name, unique=True,
    postgresql_nulls_not_distinct=True,
    postgresql_where=DEGRADED_WRITE_BACK.c.state == sa.literal_column("'OPEN'"),
)  # fmt: skip
BUCKET = table(
    "bucket",
    text("department_code", sa.ForeignKey("mig.department.department_code")),
    text("canonical_table"),
    sa.Column("bucket", sa.SmallInteger(), nullable=False),
    number("records"),
    number("xor_digest"),
    sa.Column("sum_digest", sa.Numeric(), nullable=False),
    text("algorithm"),
    text("rules_digest"),
    text("incarnation"),
    text("snapshot"),
    instant("folded_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "canonical_table", "bucket"),
)
BUCKET_MARK = table(
    "bucket_mark",
    number("mark_no", sa.Identity(always=True)),
    sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
    text("department_code"),
    text("canonical_table"),
    sa.Column("buckets", ARRAY(sa.SmallInteger()), nullable=False),
    sa.PrimaryKeyConstraint("mark_no"),
    sa.Index(None, "xid"),
)
JUDGED = table(
    "judged",
    text("department_code", sa.ForeignKey("mig.department.department_code")),
    text("closure"),
    text("legacy_position"),
    text("snapshot"),
    text("incarnation"),
    text("rules_digest"),
    text("evidence_id", sa.ForeignKey("mig.evidence.evidence_id")),
    text("complete_evidence_id"),
    instant("judged_at", default="now()"),
    sa.PrimaryKeyConstraint("closure"),
)
