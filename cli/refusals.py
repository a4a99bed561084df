"""The quarantine of a department by cause, and the entries of one cause; reading values leaves a trace in the log."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from banyan.departments import Actor
from banyan.errors import UsageError
from store.journal import ProcessingEntry, append_processing
from store.postgres import transaction
from store.row_tables import DEGRADED_WRITE_BACK, QUARANTINE
from store.tables import SOURCE_TABLE

_Q = QUARANTINE.c
_LINEAGE = sa.table("lineage", sa.column("department_code"), sa.column("part"), sa.column("deleted_at"), schema="mig")


@dataclass(frozen=True, slots=True)
class Cause:
    """All open entries of one table, column and cause; named after the first of them."""

    number: int
    system: str
    table: str
    column: str | None
    sentence: str
    rows: int
    fields: int
    since: datetime

    @property
    def name(self) -> str:
        """Give the name people use."""
        return f"Q-{self.number}"

    @property
    def place(self) -> str:
        """Give table and column."""
        return f"{self.table}.{self.column}" if self.column else self.table

    def document(self) -> dict[str, object]:
        """Give the cause for machines."""
        return {
            "list": self.name, "system": self.system, "table": self.table, "column": self.column,
            "cause": self.sentence, "rows": self.rows, "fields": self.fields, "since": self.since,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """Who wants to see how much of a cause, and why; without a reason no value is read."""

    department_code: str
    number: int
    limit: int
    actor: Actor
    reason: str


def read_causes(engine: Engine, code: str) -> tuple[list[Cause], int, int]:
    """Read the open causes of a department, the greatest first; how many rows are loaded; degraded write-backs."""
    with transaction(engine) as connection:
        causes = [_cause(row) for row in connection.execute(_grouped(code))]
        loaded = connection.scalar(
            sa.select(sa.func.count(sa.distinct(sa.literal_column("(table_name, source_key)"))))
            .select_from(_LINEAGE)
            .where(_LINEAGE.c.department_code == code, _LINEAGE.c.deleted_at.is_(None))
        )
        degraded = connection.scalar(
            sa.select(sa.func.count()).where(
                DEGRADED_WRITE_BACK.c.department_code == code, DEGRADED_WRITE_BACK.c.state == "OPEN"
            )
        )
    return causes, int(loaded or 0), int(degraded or 0)


def read_entries(engine: Engine, look: Look) -> tuple[Cause, list[dict[str, object]]]:
    """Read entries of one cause; with a reason their values too, in the transaction that writes the log."""
    with transaction(engine) as connection:
        cause = _find_cause(connection, look)
        columns: list[sa.ColumnElement[object]] = [_Q.source_key.label("key"), _Q.column_name.label("column")]
        columns.append(_Q.noticed_at.label("since"))
        if look.reason:
            columns.append(_Q.raw)
        rows = connection.execute(
            sa.select(*columns)
            .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
            .where(
                _Q.department_code == look.department_code,
                _Q.state == "OPEN",
                SOURCE_TABLE.c.system_code == cause.system,
                SOURCE_TABLE.c.table_name == cause.table,
                _Q.column_name.is_not_distinct_from(cause.column),
                _Q.cause == cause.sentence,
            )
            .order_by(_Q.quarantine_no)
            .limit(look.limit)
        ).mappings()
        entries = [_entry(dict(row)) for row in rows]
        if look.reason:
            place = f"{look.department_code}.{cause.system}/{cause.table}"
            references = tuple(f"{place}/{entry['key']}" for entry in entries)
            code = look.department_code
            append_processing(connection, ProcessingEntry(look.actor, code, "consultation", look.reason, references))
    return cause, entries


def _entry(row: dict[str, object]) -> dict[str, object]:
    if "raw" in row:
        raw = row.pop("raw")
        row["value"] = bytes(raw).decode("utf-8", "backslashreplace") if isinstance(raw, bytes | memoryview) else None
    return row


def _grouped(code: str) -> sa.Select[tuple[object, ...]]:
    is_row = _Q.column_name.is_(None)
    return (
        sa.select(
            sa.func.min(_Q.quarantine_no).label("number"), SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name,
            _Q.column_name, _Q.cause, sa.func.count().filter(is_row).label("rows"),
            sa.func.count().filter(~is_row).label("fields"), sa.func.min(_Q.noticed_at).label("since"),
        )
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
        .where(_Q.department_code == code, _Q.state == "OPEN")
        .group_by(SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name, _Q.column_name, _Q.cause)
        .order_by(sa.func.count().desc(), sa.func.min(_Q.quarantine_no))
    )  # fmt: skip


def _cause(row: sa.Row[tuple[object, ...]]) -> Cause:
    found = row._mapping
    return Cause(
        found["number"], found["system_code"], found["table_name"], found["column_name"], found["cause"],
        found["rows"], found["fields"], found["since"],
    )  # fmt: skip


def _find_cause(connection: Connection, look: Look) -> Cause:
    """Find the cause an entry belongs to, also when that entry itself was settled since."""
    named = connection.execute(
        sa.select(SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name, _Q.column_name, _Q.cause)
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
        .where(_Q.department_code == look.department_code, _Q.quarantine_no == look.number)
    ).first()
    for row in connection.execute(_grouped(look.department_code)):
        cause = _cause(row)
        if named is not None and (cause.system, cause.table, cause.column, cause.sentence) == tuple(named):
            return cause
    raise UsageError(
        f"department {look.department_code} has no open cause Q-{look.number}; nothing was read",
        hint=f"banyan quarantine top {look.department_code}",
    )
