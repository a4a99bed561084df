"""`banyan metrics`: where the migration stands, as Prometheus text; figures and names of tables, never a value."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.engine import Connection

from banyan.clock import now
from banyan.departments import Side, SourceRef
from banyan.errors import BanyanError
from banyan.ports import FenceMode
from cli.lags import read_forward_lag, read_lags_back
from connectors.postgresql_connection import PostgreSQLConnections
from cutover.alive import read_sign_of_life
from cutover.gauge import read_way_back
from store.causes import read_causes
from store.postgres import transaction
from store.reached import read_open_runs
from store.row_tables import DEGRADED_WRITE_BACK
from store.slices import read_slices
from store.tables import EVIDENCE
from sync.assembly import Rig, open_rig
from sync.workspace import Workspace

_ROUTE = ("department", "system")
_FENCE_MODES = {FenceMode.OPEN: 0, FenceMode.CLOSED: 1, FenceMode.SEALED: 2}
_SLOTS = sa.table(
    "pg_replication_slots", *map(sa.column, ("slot_name", "database", "restart_lsn", "active")), schema="pg_catalog"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure with its labels."""

    name: str
    value: float
    labels: tuple[str, ...] = ()


_FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "banyan_up": ("1 when a legacy system and its rules can be read, 0 when not.", _ROUTE),
    "banyan_lag_rows": ("Rows that wait to be carried, by direction.", (*_ROUTE, "closure", "to")),
    "banyan_lag_seconds": ("How long they wait at most: since all was last known to be carried; 0 for none.",
                           (*_ROUTE, "closure", "to")),
    "banyan_look_age_seconds": ("Age of the last look at every row; lag_rows counts what that look found.", _ROUTE),
    "banyan_quarantine_entries": ("Open entries by cause.", (*_ROUTE, "table", "column", "cause", "kind")),
    "banyan_degraded_write_backs": ("Values the old system cannot say.", ("department",)),
    "banyan_fence_mode": ("Fence of the old side: 0 open, 1 closed, 2 sealed, -1 not answering.", ("closure",)),
    "banyan_fence_lease_seconds": ("What is left of the lease of a closed fence.", ("closure",)),
    "banyan_slice_owned_by_canonical": ("1 when the new system owns the slice.", ("department", "domain", "phase")),
    "banyan_slice_armed": ("1 when the slice takes writes since the store was last started.", ("department", "domain")),
    "banyan_slot_bytes": ("Log that a legacy server keeps for us, by slot.", (*_ROUTE, "slot")),
    "banyan_slot_active": ("1 when the slot is being read.", (*_ROUTE, "slot")),
    "banyan_landing_backlog_chunks": ("Chunks of open runs that are not loaded yet.", _ROUTE),
    "banyan_run_open_seconds": ("Age of the oldest open run.", _ROUTE),
    "banyan_run_rows_per_second": ("Rows an open run has read a second in the last five minutes.", (*_ROUTE, "to")),
    "banyan_run_left_seconds": ("Time left for the chunks of an open run that are known, at that pace.",
                                (*_ROUTE, "to")),
    "banyan_evidence_age_seconds": ("Age of the youngest evidence of a closure.", ("closure", "verdict")),
    "banyan_guard_alive": ("1 when the watchdog watches.", ()),
    "banyan_guard_heartbeat_age_seconds": ("Age of the last sign of life of the watchdog.", ()),
    "banyan_way_back_possible": ("1 when a closure can go back to the old system now.", ("closure",)),
    "banyan_way_back_waiting_records": ("Records the old system does not hold yet.", ("closure",)),
    "banyan_way_back_estimated_seconds": ("How long going back would take.", ("closure",)),
    "banyan_way_back_left_seconds": ("Time left in which going back is promised.", ("closure",)),
    "banyan_way_back_blocks": ("Reasons that stand in the way of going back.", ("closure",)),
}  # fmt: skip


class _Collector:
    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give every family that has a figure, in one order."""
        for name, (told, labels) in _FAMILIES.items():
            own = [sample for sample in self._samples if sample.name == name]
            if not own:
                continue
            family = GaugeMetricFamily(name, told, labels=labels)
            for sample in own:
                family.add_metric(sample.labels, sample.value)
            yield family


def render(samples: Iterable[Sample]) -> str:
    """Write samples as Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Collector(samples))
    text: bytes = generate_latest(registry)
    return text.decode("utf-8")


def read_samples(workspace: Workspace) -> Iterator[Sample]:
    """Read every figure of a project; a legacy system that does not answer is a figure too, and the rest goes on."""
    with transaction(workspace.engine("banyan_steward")) as connection:
        yield from _of_store(connection, workspace)
    life = read_sign_of_life(workspace.engine("banyan_guard"))
    yield Sample("banyan_guard_alive", float(life.is_alive))
    if life.age_seconds is not None:
        yield Sample("banyan_guard_heartbeat_age_seconds", life.age_seconds)
    for code, department in sorted(workspace.project.departments.items()):
        for system in department.sources:
            yield from _of_source(workspace, SourceRef(code, system))


def _of_store(connection: Connection, workspace: Workspace) -> Iterator[Sample]:
    for row in read_slices(connection):
        place = (row.department_code, row.domain_code)
        is_moved = float(row.owner is Side.CANONICAL)
        yield Sample("banyan_slice_owned_by_canonical", is_moved, (*place, row.phase.value))
        yield Sample("banyan_slice_armed", float(row.is_armed), place)
    for code in sorted(workspace.project.departments):
        for cause in read_causes(connection, code):
            kind = "row" if cause.column is None else "field"
            labels = (code, cause.system, cause.table, cause.column or "", cause.sentence, kind)
            yield Sample("banyan_quarantine_entries", cause.entries, labels)
        listed = sa.select(sa.func.count()).where(
            DEGRADED_WRITE_BACK.c.department_code == code, DEGRADED_WRITE_BACK.c.state == "OPEN"
        )
        yield Sample("banyan_degraded_write_backs", float(connection.scalar(listed) or 0), (code,))
    youngest = sa.select(EVIDENCE.c.closure, EVIDENCE.c.verdict, EVIDENCE.c.made_at)
    youngest = youngest.ext(distinct_on(EVIDENCE.c.closure))
    for closure, verdict, made_at in connection.execute(
        youngest.order_by(EVIDENCE.c.closure, EVIDENCE.c.made_at.desc())
    ):
        yield Sample("banyan_evidence_age_seconds", (now() - made_at).total_seconds(), (closure, verdict))
    runs = read_open_runs(connection)
    for source in dict.fromkeys(run.source for run in runs):
        mine, place = [run for run in runs if run.source == source], (source.department_code, source.system_code)
        opened_at = min(run.opened_at for run in mine)
        yield Sample("banyan_landing_backlog_chunks", sum(run.chunks_left for run in mine), place)
        yield Sample("banyan_run_open_seconds", (now() - opened_at).total_seconds(), place)
    for run in runs:
        route = (run.source.department_code, run.source.system_code, run.to_side.value)
        if run.rows_per_second is not None and run.seconds_left is not None:
            yield Sample("banyan_run_rows_per_second", run.rows_per_second, route)
            yield Sample("banyan_run_left_seconds", run.seconds_left, route)


def _of_source(workspace: Workspace, source: SourceRef) -> Iterator[Sample]:
    place = (source.department_code, source.system_code)
    found: list[Sample] = []
    try:
        rig = open_rig(workspace, source, only_told=True)
        try:
            found += [*_lags(rig), *_fences(rig), *_ways_back(rig), *_slots(rig)]
        finally:
            rig.close()
    except BanyanError:
        yield Sample("banyan_up", 0.0, place)
        return
    yield Sample("banyan_up", 1.0, place)
    yield from found


def _lags(rig: Rig) -> Iterator[Sample]:
    place = (rig.source.department_code, rig.source.system_code)
    forward = None if rig.is_write_once else read_forward_lag(rig)
    if forward is not None:
        labels = (*place, "", Side.CANONICAL.value)
        if forward.pending is not None:
            yield Sample("banyan_lag_rows", forward.pending, labels)
            yield Sample("banyan_lag_seconds", forward.seconds, labels)
        if forward.looked_seconds is not None:
            yield Sample("banyan_look_age_seconds", forward.looked_seconds, place)
    for name, lag in read_lags_back(rig).items():
        labels = (*place, name, Side.LEGACY.value)
        yield Sample("banyan_lag_rows", lag.pending or 0, labels)
        yield Sample("banyan_lag_seconds", lag.seconds, labels)


def _fences(rig: Rig) -> Iterator[Sample]:
    if rig.is_write_once:
        return
    for found in rig.closures:
        fence = rig.fence(found.name)
        try:
            state = fence.read()
        except BanyanError:
            yield Sample("banyan_fence_mode", -1.0, (found.name,))
            continue
        finally:
            fence.disconnect()
        yield Sample("banyan_fence_mode", _FENCE_MODES[state.mode], (found.name,))
        if state.mode is FenceMode.CLOSED:
            yield Sample("banyan_fence_lease_seconds", max(0.0, state.lease_seconds or 0.0), (found.name,))


def _ways_back(rig: Rig) -> Iterator[Sample]:
    if rig.is_write_once:
        return
    for found in rig.closures:
        gauge = read_way_back(rig, found)
        name = (found.name,)
        yield Sample("banyan_way_back_possible", float(gauge.is_possible), name)
        yield Sample("banyan_way_back_waiting_records", gauge.waiting, name)
        yield Sample("banyan_way_back_estimated_seconds", gauge.estimated_seconds, name)
        yield Sample("banyan_way_back_blocks", len(gauge.blocked_by), name)
        if gauge.until is not None:
            yield Sample("banyan_way_back_left_seconds", (gauge.until - now()).total_seconds(), name)


def _slots(rig: Rig) -> Iterator[Sample]:
    """Tell how much log a legacy PostgreSQL keeps for the slots of its database."""
    if rig.workspace.source_config(rig.source).medium != "postgresql":
        return
    kept = sa.func.pg_wal_lsn_diff(sa.func.pg_current_wal_insert_lsn(), _SLOTS.c.restart_lsn)
    query = sa.select(_SLOTS.c.slot_name, kept, _SLOTS.c.active).where(
        _SLOTS.c.database == sa.func.current_database(), _SLOTS.c.slot_name.like("banyan%")
    )
    reader = PostgreSQLConnections(rig.workspace.legacy_urls(rig.source).reader)
    place = (rig.source.department_code, rig.source.system_code)
    try:
        with reader.session("looking at the slots"), reader.engine.connect() as connection:
            for slot, size, is_active in connection.execute(query):
                yield Sample("banyan_slot_bytes", float(size or 0), (*place, slot))
                yield Sample("banyan_slot_active", float(is_active), (*place, slot))
    finally:
        reader.close()
