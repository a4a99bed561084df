"""Tables of the control plane `mig` and of the code values `code`, each declared once.

The migrations hold the same tables as SQL; a test asks Alembic for the difference and finds none. Tables of rows
(crosswalk, quarantine, outbox) are in store/row_tables.py, the canonical tables in store/canonical.py.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.schema import SchemaItem

from banyan.departments import Phase, Side

METADATA = sa.MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)
DEPARTMENT_CODE = "^[0-9A-Z]{2,6}$"

_TEXT = sa.Text()
_INSTANT = sa.TIMESTAMP(timezone=True)


def text(name: str, *constraints: SchemaItem, nullable: bool = False) -> sa.Column[str]:
    """Declare a text column, NOT NULL unless said otherwise."""
    return sa.Column(name, _TEXT, *constraints, nullable=nullable)


def number(name: str, *constraints: SchemaItem, nullable: bool = False) -> sa.Column[int]:
    """Declare a bigint column."""
    return sa.Column(name, sa.BigInteger(), *constraints, nullable=nullable)


def instant(name: str, *, default: str | None = None, nullable: bool = False) -> sa.Column[Any]:
    """Declare a timestamptz column, with the SQL of its default."""
    return sa.Column(name, _INSTANT, server_default=sa.text(default) if default else None, nullable=nullable)


def one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    """Declare the closed list of a column's values."""
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} in ({listed})", name=column)


def table(name: str, *parts: SchemaItem, schema: str = "mig", partition_by: str | None = None) -> sa.Table:
    """Declare a table of the control plane."""
    return sa.Table(name, METADATA, *parts, schema=schema, postgresql_partition_by=partition_by)


CODE_SET = table(
    "code_set",
    text("code_set"),
    text("authority"),
    text("edition"),
    text("description", nullable=True),
    sa.PrimaryKeyConstraint("code_set"),
    schema="code",
)
CODE_VALUE = table(
    "code_value",
    text("code_set", sa.ForeignKey("code.code_set.code_set")),
    text("code"),
    sa.Column("valid_from", sa.Date(), server_default=sa.text("'1900-01-01'"), nullable=False),
    sa.Column("valid_to", sa.Date(), server_default=sa.text("'9999-12-31'"), nullable=False),
    text("label_fr"),
    text("label_en", nullable=True),
    text("parent_code", nullable=True),
    text("successor_code", nullable=True),
    sa.PrimaryKeyConstraint("code_set", "code", "valid_from"),
    sa.CheckConstraint("valid_from < valid_to", name="period"),
    schema="code",
)

DEPARTMENT = table(
    "department",
    text("department_code"),
    text("name"),
    text("time_zone"),
    sa.Column("wave", sa.SmallInteger(), nullable=False),
    sa.PrimaryKeyConstraint("department_code"),
    sa.CheckConstraint(f"department_code ~ '{DEPARTMENT_CODE}'", name="code"),
)
SOURCE_SYSTEM = table(
    "source_system",
    text("department_code", sa.ForeignKey("mig.department.department_code")),
    text("system_code"),
    text("flavour"),
    text("character_encoding"),
    sa.PrimaryKeyConstraint("department_code", "system_code"),
)
SOURCE_TABLE = table(
    "source_table",
    sa.Column("source_table_no", sa.SmallInteger(), sa.Identity(always=True), nullable=False),
    text("department_code"),
    text("system_code"),
    text("table_name"),
    sa.PrimaryKeyConstraint("source_table_no"),
    sa.UniqueConstraint("department_code", "system_code", "table_name"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
)

_CANONICAL_PHASES = tuple(p.value for p in Phase if p.owner is Side.CANONICAL)
_LEGACY_PHASES = tuple(p.value for p in Phase if p.owner is Side.LEGACY)
SLICE = table(
    "slice",
    text("department_code", sa.ForeignKey("mig.department.department_code")),
    text("domain_code"),
    text("closure"),
    text("owner"),
    text("phase"),
    number("epoch"),
    instant("armed_boot", nullable=True),
    sa.Column("nonce", sa.Uuid(), nullable=False),
    text("drain_position", nullable=True),
    instant("deadline", nullable=True),
    text("evidence_id", sa.ForeignKey("mig.evidence.evidence_id"), nullable=True),
    instant("updated_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "domain_code"),
    sa.CheckConstraint(
        "case owner when 'CANONICAL' then phase in ({}) when 'LEGACY' then phase in ({}) else false end".format(
            *(", ".join(f"'{p}'" for p in (*phases, "HALT")) for phases in (_CANONICAL_PHASES, _LEGACY_PHASES))
        ),
        name="owner",
    ),
    sa.CheckConstraint("epoch >= 1", name="epoch"),
)

RUN = table(
    "run",
    number("run_no", sa.Identity(always=True)),
    text("department_code"),
    text("system_code"),
    text("to_side"),
    text("kind"),
    text("from_position", nullable=True),
    text("until_position", nullable=True),
    text("state"),
    text("owner"),
    sa.Column("attempt", sa.Integer(), nullable=False),
    instant("lease_until"),
    text("rules_digest", nullable=True),
    instant("opened_at", default="now()"),
    instant("closed_at", nullable=True),
    text("reason", nullable=True),
    sa.PrimaryKeyConstraint("run_no"),
    sa.ForeignKeyConstraint(
        ["department_code", "system_code"],
        ["mig.source_system.department_code", "mig.source_system.system_code"],
    ),
    one_of("to_side", ("LEGACY", "CANONICAL")),
    one_of("kind", ("LOAD", "CHANGES", "REVERSE", "VERIFY")),
    one_of("state", ("OPEN", "DONE", "FAILED", "CANCELLED")),
)
sa.Index(
    "one_open_run", RUN.c.department_code, RUN.c.system_code, RUN.c.to_side, unique=True,
    postgresql_where=RUN.c.state == sa.literal_column("'OPEN'"),
)  # fmt: skip
sa.Index(
    "held_run", RUN.c.department_code, RUN.c.system_code, RUN.c.to_side,
    postgresql_where=RUN.c.state == sa.literal_column("'FAILED'"),
)  # fmt: skip
CHUNK = table(
    "chunk",
    number("run_no", sa.ForeignKey("mig.run.run_no")),
    sa.Column("chunk_no", sa.Integer(), nullable=False),
    text("table_name"),
    text("low_key", nullable=True),
    text("high_key", nullable=True),
    sa.Column("keys", ARRAY(sa.Text()), nullable=True),
    text("state"),
    text("owner", nullable=True),
    sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
    instant("lease_until", nullable=True),
    sa.Column("counts", JSONB(), nullable=True),
    text("parcel", nullable=True),
    instant("finished_at", nullable=True),
    sa.Column("in_flight", ARRAY(sa.Text()), nullable=True),
    sa.Column("intent", JSONB(), nullable=True),
    sa.PrimaryKeyConstraint("run_no", "chunk_no"),
    one_of("state", ("PLANNED", "LEASED", "DONE")),
)
WATERMARK = table(
    "watermark",
    text("department_code"),
    text("system_code"),
    text("to_side"),
    text("position"),
    number("run_no", sa.ForeignKey("mig.run.run_no")),
    instant("updated_at", default="now()"),
    sa.PrimaryKeyConstraint("department_code", "system_code", "to_side"),
    one_of("to_side", ("LEGACY", "CANONICAL")),
)
FIGURE = table(
    "figure",
    number("run_no", sa.ForeignKey("mig.run.run_no")),
    text("table_name"),
    text("name"),
    number("figure"),
    sa.PrimaryKeyConstraint("run_no", "table_name", "name"),
)

EVIDENCE = table(
    "evidence",
    text("evidence_id"),
    text("department_code", sa.ForeignKey("mig.department.department_code")),
    text("closure"),
    text("profile"),
    text("verdict"),
    sa.Column("reasons", JSON(), nullable=False),
    text("legacy_position", nullable=True),
    text("canonical_position", nullable=True),
    text("rules_digest", nullable=True),
    text("previous_id", nullable=True),
    instant("made_at", default="now()"),
    instant("expires_at", nullable=True),
    sa.PrimaryKeyConstraint("evidence_id"),
    one_of("verdict", ("GO", "NO-GO", "AWAITING")),
)
SIGN_OFF = table(
    "sign_off",
    number("sign_off_no", sa.Identity(always=True)),
    text("evidence_id", sa.ForeignKey("mig.evidence.evidence_id")),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    text("decision"),
    text("reservations", nullable=True),
    sa.Column("signature", sa.LargeBinary(), nullable=False),
    instant("signed_at", default="clock_timestamp()"),
    sa.PrimaryKeyConstraint("sign_off_no"),
    sa.UniqueConstraint("evidence_id", "actor"),
    sa.CheckConstraint("octet_length(signature) > 0", name="signature"),
    one_of("decision", ("ACCEPTED", "REFUSED")),
)
WAIVER = table(
    "waiver",
    number("waiver_no", sa.Identity(always=True)),
    text("closure"),
    text("cause"),
    number("up_to"),
    instant("until"),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    text("reason"),
    instant("decided_at", default="clock_timestamp()"),
    text("level"),
    text("rule"),
    sa.Column("records", ARRAY(sa.Text()), nullable=False),
    text("records_digest"),
    text("rules_digest"),
    text("signature"),
    sa.PrimaryKeyConstraint("waiver_no"),
    sa.UniqueConstraint("waiver_no", "actor"),
    sa.CheckConstraint("up_to >= 0", name="up_to"),
    sa.CheckConstraint("btrim(reason) <> ''", name="reason"),
    sa.CheckConstraint("cardinality(records) between 1 and up_to", name="records"),
)
WAIVER_APPROVAL = table(
    "waiver_approval",
    sa.Column("waiver_no", sa.BigInteger(), autoincrement=False, nullable=False),
    text("author"),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    text("signature"),
    instant("approved_at"),
    sa.PrimaryKeyConstraint("waiver_no"),
    sa.ForeignKeyConstraint(["waiver_no", "author"], ["mig.waiver.waiver_no", "mig.waiver.actor"]),
    sa.CheckConstraint("mig.person(actor) <> mig.person(author)", name="two_persons"),
)

CHAIN = table(
    "chain",
    text("chain"),
    number("length"),
    sa.Column("head_hash", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("chain"),
)
JOURNAL = table(
    "journal",
    sa.Column("sequence", sa.BigInteger(), sa.FetchedValue(), autoincrement=False, nullable=False),
    instant("at"),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    text("kind"),
    text("closure", nullable=True),
    text("from_phase", nullable=True),
    text("to_phase", nullable=True),
    number("epoch", nullable=True),
    sa.Column("facts", JSON(), nullable=False),
    sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
    sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("sequence"),
)
OPERATIONS = ("collection", "alteration", "consultation", "disclosure", "transfer", "combination", "erasure")
PROCESSING_LOG = table(
    "processing_log",
    text("department_code"),
    sa.Column("sequence", sa.BigInteger(), sa.FetchedValue(), autoincrement=False, nullable=False),
    instant("at"),
    text("actor"),
    text("role"),
    text("authenticated_by"),
    text("operation"),
    text("reason"),
    text("recipient", nullable=True),
    sa.Column("record_refs", ARRAY(sa.Text()), nullable=False),
    number("run_no", nullable=True),
    sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
    sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("department_code", "sequence"),
    one_of("operation", OPERATIONS),
    sa.CheckConstraint("btrim(reason) <> ''", name="reason"),
)
