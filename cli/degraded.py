"""`banyan quarantine degraded`: what the old system could not be told, or was told over; keys, never a value."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
import typer
from sqlalchemy.engine import Engine

from banyan.errors import UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table
from store.postgres import transaction
from store.row_tables import DEGRADED_WRITE_BACK
from store.tables import SOURCE_TABLE

_LISTED = DEGRADED_WRITE_BACK.c
_PLACE = (_LISTED.canonical_table, _LISTED.column_name, _LISTED.kind, _LISTED.cause)


@dataclass(frozen=True, slots=True)
class DegradedGroup:
    """Open degraded write-backs of one column and cause: how many, since when."""

    table: str
    column: str | None
    kind: str
    cause: str
    records: int
    since: datetime


@dataclass(frozen=True, slots=True)
class DegradedKey:
    """One of them: the legacy row it is about, if there is one, and the record."""

    legacy_table: str
    key: str | None
    record: str
    column: str | None
    kind: str
    since: datetime


def read_groups(engine: Engine, code: str) -> list[DegradedGroup]:
    """Count the open degraded write-backs of a department by column and cause, the most first."""
    records = sa.func.count().label("records")
    query = (
        sa.select(*_PLACE, records, sa.func.min(_LISTED.noticed_at))
        .where(_LISTED.department_code == code, _LISTED.state == "OPEN")
        .group_by(*_PLACE)
        .order_by(records.desc(), *_PLACE)
    )
    with transaction(engine) as connection:
        return [DegradedGroup(*row) for row in connection.execute(query)]


def read_keys(engine: Engine, code: str, *, kind: str, limit: int) -> list[DegradedKey]:
    """List open degraded write-backs of one kind by key, the oldest first."""
    query = (
        sa.select(
            SOURCE_TABLE.c.table_name, _LISTED.source_key, sa.cast(_LISTED.main_id, sa.String),
            sa.func.concat_ws(".", _LISTED.canonical_table, _LISTED.column_name), _LISTED.kind, _LISTED.noticed_at,
        )
        .join(SOURCE_TABLE, SOURCE_TABLE.c.source_table_no == _LISTED.source_table_no)
        .where(_LISTED.department_code == code, _LISTED.state == "OPEN", _LISTED.kind == kind)
        .order_by(_LISTED.noticed_at, _LISTED.degraded_no)
        .limit(limit)
    )  # fmt: skip
    with transaction(engine) as connection:
        return [DegradedKey(*row) for row in connection.execute(query)]


def show_degraded(
    dept: Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")],
    kind: Annotated[str, typer.Option("--kind", help="Lists the keys of one kind, such as CONFLICT.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Lines to show.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """List what the old system could not be told on the way back, or was told over, by column and cause.

    An entry leaves the list when both sides say the same again; what was written over behind the fence stays.
    """
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        steward = workspace.engine("banyan_steward")
        groups = read_groups(steward, dept)
        known = sorted({one.kind for one in groups})
        if kind and kind not in known:
            told = f"there are {', '.join(known)}" if known else "none is open"
            raise UsageError(f"no degraded write-back of {dept} is of the kind {kind}: {told}; nothing was changed")
        keys = read_keys(steward, dept, kind=kind, limit=limit) if kind else []
    if as_json:
        print_json({"degraded": [asdict(one) for one in groups], "keys": [asdict(one) for one in keys]})
        return
    if kind:
        rows = [(f"{one.legacy_table} {one.key or '-'}", one.column, one.record, f"{one.since:%Y-%m-%d}")
                for one in keys]  # fmt: skip
        print_table("", ("legacy row", "field", "record", "since"), rows)
        listed = sum(one.records for one in groups if one.kind == kind)
        print_line(f"  {len(keys)} of {listed} entries of the kind {kind} shown")
        if keys and keys[0].key:
            print_next(f"banyan trace {keys[0].legacy_table} {dept}:{keys[0].key} --reason TEXT")
        return
    lines = [(one.kind, f"{one.table}.{one.column}" if one.column else one.table, one.cause, one.records,
              f"{one.since:%Y-%m-%d}") for one in groups[:limit]]  # fmt: skip
    print_table("", ("kind", "field", "cause", "records", "since"), lines)
    total = sum(one.records for one in groups)
    print_line(f"  {len(lines)} of {len(groups)} causes shown · {total} degraded write-backs open")
    if groups:
        print_next(f"banyan quarantine degraded {dept} --kind {groups[0].kind}")
