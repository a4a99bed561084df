"""The runs that read or wrote one row, each with the fate it had there and the parcels that hold it."""

from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Side
from banyan.records import KEY_SEPARATOR, Fate
from mappings.model import Ruleset
from mappings.outcomes import REFUSED
from store.row_tables import DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE, Departure
from store.tables import CHUNK, RUN
from sync.assembly import Rig
from sync.conflicts import AFTER, BEFORE, parcel_name
from sync.setting import key_column

_RUN = (RUN.c.run_no, RUN.c.kind, RUN.c.state, RUN.c.opened_at, RUN.c.to_side)
_CHUNK = (CHUNK.c.chunk_no, CHUNK.c.low_key, CHUNK.c.high_key, CHUNK.c["keys"], CHUNK.c.in_flight, CHUNK.c.parcel)
_ATTEMPT = sa.func.coalesce(CHUNK.c.intent["attempt"].as_integer(), CHUNK.c.attempt).label("attempt")


@dataclass(frozen=True, slots=True)
class _Followed:
    """The row that is followed, and what the crosswalk remembers of it."""

    rig: Rig
    ruleset: Ruleset
    key: str
    crosswalk: pl.DataFrame


def find_passages(
    connection: Connection, rig: Rig, ruleset: Ruleset, key: str, *, crosswalk: pl.DataFrame
) -> tuple[dict[str, object], ...]:
    """List the chunks that read or wrote a row, in their order, with its fate in each and where it lies as it was.

    A fate stands in the lists until another run finds another one: of those before, the later run is named instead.
    """
    row = _Followed(rig, ruleset, key, crosswalk)
    name = f"{ruleset.table}{KEY_SEPARATOR}{key}"
    back = sa.or_(
        sa.literal(name) == sa.any_(CHUNK.c["keys"]),
        RUN.c.run_no.in_([int(run_no) for run_no in crosswalk["run_no"].to_list()]),
    )
    query = (
        sa.select(*_RUN, *_CHUNK, CHUNK.c.state.label("chunk_state"), _ATTEMPT)
        .join(CHUNK, CHUNK.c.run_no == RUN.c.run_no)
        .where(RUN.c.department_code == rig.source.department_code, RUN.c.system_code == rig.source.system_code)
        .where(
            sa.or_(
                sa.and_(RUN.c.to_side == Side.CANONICAL.value, CHUNK.c.table_name == ruleset.table),
                sa.and_(RUN.c.to_side == Side.LEGACY.value, back),
            )
        )
        .order_by(RUN.c.run_no, CHUNK.c.chunk_no)
    )
    return tuple(
        _passage(connection, row, chunk)
        for chunk in connection.execute(query).mappings().fetchall()
        if chunk["to_side"] == Side.LEGACY.value or _holds(chunk, key)
    )


def _passage(connection: Connection, row: _Followed, chunk: sa.RowMapping) -> dict[str, object]:
    shown = {name: chunk[name] for name in ("run_no", "kind", "state", "opened_at", "chunk_no")}
    if chunk["to_side"] == Side.LEGACY.value:
        before, after = (_find_parcel(row, chunk, moment) for moment in (BEFORE, AFTER))
        fate, why = _fate_back(connection, row, chunk, (before, after))
        return shown | {"fate": fate, "why": why, "parcel_before": before, "parcel": after}
    fate, why = ("", "not carried yet") if chunk["chunk_state"] != "DONE" else _fate(connection, row, chunk)
    return shown | {"fate": fate, "why": why, "parcel_before": None, "parcel": chunk["parcel"]}


def _fate(connection: Connection, row: _Followed, chunk: sa.RowMapping) -> tuple[str, str]:
    """Give the fate a row had in a chunk towards the new system, and why, as the lists say."""
    run_no = chunk["run_no"]
    if row.key in (chunk["in_flight"] or ()):
        return Fate.IN_FLIGHT.value, "it moved while it was read"
    refused = connection.scalar(
        sa.select(QUARANTINE.c.cause).where(
            *_of(QUARANTINE, row), QUARANTINE.c.column_name.is_(None), QUARANTINE.c.run_no == run_no
        )
    )
    if refused is not None:
        return Fate.QUARANTINED.value, str(refused)
    rule = connection.scalar(
        sa.select(FILTERED_ROW.c.rule).where(*_of(FILTERED_ROW, row), FILTERED_ROW.c.run_no == run_no)
    )
    if rule is not None:
        return Fate.FILTERED.value, str(rule)
    for known in row.crosswalk.filter(pl.col("run_no") == run_no).iter_rows(named=True):
        if known["deleted_at"] is None:
            return Fate.LOADED.value, ""
        is_filtered = known["deleted_reason"] == Departure.FILTERED
        return (Fate.FILTERED if is_filtered else Fate.DELETED).value, str(known["deleted_reason"])
    later = [int(known) for known in row.crosswalk["run_no"].to_list() if known > run_no]
    if not later and row.crosswalk.filter(pl.col("deleted_at").is_null()).height:
        return Fate.UNCHANGED.value, ""
    return "", f"run {max(later)} found another one since" if later else "found another one since"


def _fate_back(
    connection: Connection, row: _Followed, chunk: sa.RowMapping, parcels: tuple[str | None, str | None]
) -> tuple[str, str]:
    """Give the fate a row had on the way back: what stood in the old system before, and what after."""
    if chunk["chunk_state"] != "DONE":
        return "", "not committed in the old system"
    refused = connection.scalar(
        sa.select(DEGRADED_WRITE_BACK.c.cause).where(
            *_of(DEGRADED_WRITE_BACK, row),
            DEGRADED_WRITE_BACK.c.run_no == chunk["run_no"],
            DEGRADED_WRITE_BACK.c.kind == REFUSED,
        )
    )
    if refused is not None:
        return Fate.QUARANTINED.value, str(refused)
    before, after = (_read_row(row, name) for name in parcels)
    if after is None:
        return Fate.DELETED.value, "gone in the new system"
    return (Fate.UNCHANGED if before == after else Fate.LOADED).value, "" if before else "new in the old system"


def _of(table: sa.Table, row: _Followed) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.department_code == row.rig.source.department_code,
        table.c.source_table_no == row.rig.table_numbers[row.ruleset.table],
        table.c.source_key == row.key,
    )


def _find_parcel(row: _Followed, chunk: sa.RowMapping, moment: str) -> str | None:
    place = (int(chunk["run_no"]), int(chunk["chunk_no"]), int(chunk["attempt"]))
    name = parcel_name(row.rig.setting("banyan_forward"), row.ruleset.table, chunk=place, moment=moment)
    return next((found.name for found in row.rig.workspace.landing.list_parcels(name) if found.name == name), None)


def _read_row(row: _Followed, parcel: str | None) -> dict[str, Any] | None:
    if parcel is None:
        return None
    rows = row.rig.workspace.landing.read_parcel(parcel)
    found = rows.filter(rows.select(key_column(row.ruleset)).to_series() == row.key)
    return found.row(0, named=True) if found.height else None


def _holds(chunk: sa.RowMapping, key: str) -> bool:
    if chunk["keys"] is not None:
        return key in chunk["keys"]
    bounds = (chunk["low_key"], chunk["high_key"])
    place: Any = int if all(text is None or text.isdigit() for text in (*bounds, key)) else str.encode
    low, high = (None if text is None else place(text) for text in bounds)
    return (low is None or place(key) > low) and (high is None or place(key) <= high)
