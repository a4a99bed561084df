"""The quarantine by cause: all open entries of one table, column and sentence; what a steward repairs at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.errors import UsageError
from store.row_tables import QUARANTINE
from store.tables import SOURCE_TABLE

_Q = QUARANTINE.c


@dataclass(frozen=True, slots=True)
class Cause:
    """All open entries of one table, column and sentence; named after the first of them."""

    number: int
    system: str
    table: str
    column: str | None
    sentence: str
    rows: int
    fields: int
    since: datetime
    decided: int = 0
    """Entries that a decision covers, and that wait for their replay."""

    @property
    def name(self) -> str:
        """Give the name people use."""
        return f"Q-{self.number}"

    @property
    def place(self) -> str:
        """Give table and column."""
        return f"{self.table}.{self.column}" if self.column else self.table

    @property
    def entries(self) -> int:
        """Give how many entries there are."""
        return self.rows + self.fields

    def document(self) -> dict[str, object]:
        """Give the cause for machines."""
        return {
            "list": self.name, "system": self.system, "table": self.table, "column": self.column,
            "cause": self.sentence, "rows": self.rows, "fields": self.fields, "since": self.since,
            "decided": self.decided,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One open entry of a cause; its raw value is sealed for its place."""

    number: int
    source_table_no: int
    key: str = field(repr=False)
    column: str | None
    since: datetime
    raw: bytes | None = field(repr=False)


def read_causes(connection: Connection, code: str) -> list[Cause]:
    """Read the open causes of a department, the greatest first."""
    return [_cause(row) for row in connection.execute(_grouped(code))]


def find_cause(connection: Connection, code: str, name: str) -> Cause:
    """Find the cause that people call `Q-17`, also when the entry it is named after was settled since."""
    number = name.upper().removeprefix("Q-")
    if not number.isdigit():
        raise UsageError(f"{name} is no cause; nothing was read", hint=f"banyan quarantine top {code}")
    named = connection.execute(
        sa.select(SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name, _Q.column_name, _Q.cause)
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
        .where(_Q.department_code == code, _Q.quarantine_no == int(number))
    ).first()
    for cause in read_causes(connection, code):
        if named is not None and (cause.system, cause.table, cause.column, cause.sentence) == tuple(named):
            return cause
    raise UsageError(
        f"department {code} has no open cause Q-{number}; nothing was read", hint=f"banyan quarantine top {code}"
    )


def read_entries(connection: Connection, code: str, cause: Cause, *, limit: int | None = None) -> Iterator[Entry]:
    """Read the open entries of a cause in their order."""
    rows = connection.execute(
        sa.select(_Q.quarantine_no, _Q.source_table_no, _Q.source_key, _Q.column_name, _Q.noticed_at, _Q.raw)
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
        .where(
            _Q.department_code == code,
            _Q.state == "OPEN",
            SOURCE_TABLE.c.system_code == cause.system,
            SOURCE_TABLE.c.table_name == cause.table,
            _Q.column_name.is_not_distinct_from(cause.column),
            _Q.cause == cause.sentence,
        )
        .order_by(_Q.quarantine_no)
        .limit(limit)
    )
    for number, table_no, key, column, since, raw in rows:
        yield Entry(number, table_no, key, column, since, None if raw is None else bytes(raw))


def _grouped(code: str) -> sa.Select[Any]:
    is_row = _Q.column_name.is_(None)
    return (
        sa.select(
            sa.func.min(_Q.quarantine_no).label("number"), SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name,
            _Q.column_name, _Q.cause, sa.func.count().filter(is_row).label("rows"),
            sa.func.count().filter(~is_row).label("fields"), sa.func.min(_Q.noticed_at).label("since"),
            sa.func.count().filter(_Q.decision.is_not(None)).label("decided"),
        )
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _Q.source_table_no)
        .where(_Q.department_code == code, _Q.state == "OPEN")
        .group_by(SOURCE_TABLE.c.system_code, SOURCE_TABLE.c.table_name, _Q.column_name, _Q.cause)
        .order_by(sa.func.count().desc(), sa.func.min(_Q.quarantine_no))
    )  # fmt: skip


def _cause(row: sa.Row[Any]) -> Cause:
    found = row._mapping
    return Cause(
        found["number"], found["system_code"], found["table_name"], found["column_name"], found["cause"],
        found["rows"], found["fields"], found["since"], found["decided"],
    )  # fmt: skip
