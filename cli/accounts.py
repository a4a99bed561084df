"""The account of the last run of each route: both conservation equations, table by table, as the store keeps them."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection

from banyan.departments import Side, SourceRef
from banyan.records import PART_COUNTS, ROW_COUNTS, ChunkCounts, PartCounts, RowCounts
from store.runs import RunState
from store.tables import RUN
from sync.route import Route

_PARTS = tuple(f"parts_{name}" for name in PART_COUNTS)
_CONSERVATION = sa.table(
    "conservation",
    *map(sa.column, ("run_no", "table_name", *ROW_COUNTS, *_PARTS, "rejected_fields")),
    schema="mig",
)


@dataclass(frozen=True, slots=True)
class TableAccount:
    """What became of the rows of one table in one run, and of the parts they emitted."""

    table: str
    counts: ChunkCounts
    is_balanced: bool


@dataclass(frozen=True, slots=True)
class RouteAccount:
    """The last run of a route that ended, or that stands still, with its reason."""

    route: str
    run_no: int
    kind: str
    state: str
    closed_at: datetime
    reason: str | None
    tables: tuple[TableAccount, ...]

    @property
    def total(self) -> ChunkCounts:
        """Give the counts of all tables together."""
        return sum((one.counts for one in self.tables), ChunkCounts())


def read_accounts(connection: Connection, code: str) -> tuple[RouteAccount, ...]:
    """Read the last run of each route of a department that is not open any more, with its two equations by table."""
    last = (
        sa.select(RUN)
        .ext(distinct_on(RUN.c.system_code, RUN.c.to_side))
        .where(RUN.c.department_code == code, RUN.c.state != RunState.OPEN.value)
        .order_by(RUN.c.system_code, RUN.c.to_side, RUN.c.run_no.desc())
    )
    return tuple(
        RouteAccount(
            route=str(Route(SourceRef(row.department_code, row.system_code), Side(row.to_side))),
            run_no=row.run_no,
            kind=row.kind,
            state=row.state,
            closed_at=row.closed_at,
            reason=row.reason,
            tables=_tables(connection, row.run_no),
        )
        for row in connection.execute(last).fetchall()
    )


def _tables(connection: Connection, run_no: int) -> tuple[TableAccount, ...]:
    query = sa.select(_CONSERVATION).where(_CONSERVATION.c.run_no == run_no).order_by(_CONSERVATION.c.table_name)
    return tuple(_account(row) for row in connection.execute(query).mappings())


def _account(row: sa.RowMapping) -> TableAccount:
    counts = ChunkCounts(
        RowCounts(**{name: int(row[name]) for name in ROW_COUNTS}),
        PartCounts(**{name: int(row[f"parts_{name}"] or 0) for name in PART_COUNTS}),
        int(row["rejected_fields"] or 0),
    )
    return TableAccount(str(row["table_name"]), counts, counts.is_balanced and counts.is_split_exactly)
