"""The story of the demo: there, back, and there again, on a synthetic department; each chapter gives its figures."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from banyan.departments import Actor, Side, SourceRef
from banyan.errors import ConservationBroken
from banyan.records import PART_COUNTS, ROW_COUNTS, ChunkCounts, Position

if TYPE_CHECKING:
    from cutover.judgement import Judged
    from estate.new_application import Work
    from sync.assembly import Rig
    from sync.workspace import Workspace
    from validation.rules_worker import RuleWorker

CLOSURE = "38.cases+vehicles"
ORION = SourceRef("38", "ORION")
ENGINEER = Actor("demo", "engineer", "the demo")
STEWARD = Actor("claire", "steward", "the demo")
LEAD = Actor("paul", "lead", "the demo")
EDITS = 1_000
_LIVE_WHILE_LOADING, _LIVE_WHILE_SWITCHING = 60, 10
_ATTEMPTS = 3  # a slow machine may not end within the time nobody may write; a person would give the same command again
Announce = Callable[[str], None]


@dataclass(slots=True)
class Figures:
    """What the story has counted so far."""

    tables: dict[str, ChunkCounts] = field(default_factory=dict)
    live_changes: int = 0
    refused_writes: int = 0
    given_up: int = 0
    outages_ms: dict[str, int] = field(default_factory=dict)
    steps_ms: dict[str, dict[str, int]] = field(default_factory=dict)
    applied: int = 0
    degraded: int = 0
    untouched_rows: int = 0
    untouched_identical: int = 0
    lost: int = 0
    duplicates: int = 0
    airflow: str = "NOT RUN"

    @property
    def total(self) -> ChunkCounts:
        """Give the counts of all tables together."""
        return sum(self.tables.values(), ChunkCounts())

    def add(self, totals: dict[str, ChunkCounts]) -> None:
        """Add the counts of a run."""
        for table, counts in totals.items():
            self.tables[table] = self.tables.get(table, ChunkCounts()) + counts


class LegacyUsers:
    """Officers at work in the old system, in a thread of their own, until they are sent home."""

    def __init__(self, url: str, rate_per_second: int, *, seed: int) -> None:
        from estate.live import LiveCounts, Pace, live

        self._stop = threading.Event()
        self._counts: list[LiveCounts] = []
        pace = Pace(rate_per_second=rate_per_second, seconds=600, seed=seed)
        self._thread = threading.Thread(
            target=lambda: self._counts.append(live(url, pace, stop=self._stop)), daemon=True
        )

    def __enter__(self) -> "LegacyUsers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_home()

    def go_home(self) -> None:
        """Send them home; what they had begun is finished."""
        self._stop.set()
        self._thread.join()

    @property
    def committed(self) -> int:
        """Give how many of their deeds were kept."""
        return sum(sum(counts.committed.values()) for counts in self._counts)

    @property
    def refused(self) -> int:
        """Give how many of their writes the fence refused."""
        return sum(counts.refused for counts in self._counts)


def read_and_load(workspace: "Workspace", rig: "Rig", figures: Figures, announce: Announce) -> None:
    """Make the first copy while officers work, then carry what they changed."""
    from sync.movement import carry_changes, first_copy

    announce("first copy, while officers work in the old system")
    users = LegacyUsers(workspace.legacy_urls(ORION).application, _LIVE_WHILE_LOADING, seed=11)
    with users:
        figures.add(first_copy(rig, ENGINEER).totals)
        for carried in carry_changes(rig, ENGINEER):
            figures.add(carried.totals)
    figures.live_changes += users.committed
    catch_up(rig, figures)
    if not figures.total.is_balanced:
        raise ConservationBroken("the rows of the demo do not add up; nothing was switched")


def catch_up(rig: "Rig", figures: Figures) -> None:
    """Carry changes until there are none."""
    from sync.movement import carry_changes

    while carried := carry_changes(rig, ENGINEER):
        for run in carried:
            figures.add(run.totals)


def follow_by_airflow(rig: "Rig", figures: Figures, announce: Announce) -> None:
    """Let the generated DAG of the department carry some changes once."""
    from dags.once import run_once
    from estate.live import Pace, live

    announce("sync_38 by Airflow (dag.test)")
    workspace = rig.workspace
    live(workspace.legacy_urls(ORION).application, Pace(rate_per_second=100, count=30, seed=12))
    figures.airflow = run_once(workspace.project.folder, "sync_38")
    catch_up(rig, figures)


def compare_and_sign(rig: "Rig", worker: "RuleWorker", announce: Announce) -> "Judged":
    """Run the levels, and have a steward and a lead sign the evidence."""
    from cli.keys import key_file_of
    from cutover.judgement import judge_closure
    from cutover.signatures import sign_evidence

    judged = judge_closure(rig, CLOSURE, announce=announce, worker=worker)
    for actor in (STEWARD, LEAD):
        sign_evidence(rig, CLOSURE, actor=actor, key_file=key_file_of(rig.workspace, actor.name))
    return judged


def switch(rig: "Rig", to: Side, figures: Figures, announce: Announce) -> int:
    """Move the closure to a side by the protocol; gives how long nobody could write, in milliseconds."""
    from cutover import switching
    from cutover.execute import Order

    announce(f"moving {CLOSURE} to {to.value}")
    order = Order(ENGINEER)
    closure = rig.closure(CLOSURE)
    done = switching.switch(rig, closure, order) if to is Side.CANONICAL else switching.roll_back(rig, closure, order)
    if done.outage_ms is None:
        raise ConservationBroken(f"the time nobody could write was not measured for {CLOSURE}")
    figures.steps_ms[to.value] = {step.name.value: step.milliseconds for step in done.steps}
    return done.outage_ms


def switch_under_load(rig: "Rig", figures: Figures, announce: Announce) -> None:
    """Switch while officers still write in the old system; what comes too late is refused, and counted."""
    import time

    users = LegacyUsers(rig.workspace.legacy_urls(ORION).application, _LIVE_WHILE_SWITCHING, seed=13)
    with users:
        time.sleep(0.5)  # officers are at work before the fence closes
        figures.outages_ms["switch"] = _switch_again(rig, figures, announce)
        figures.steps_ms["switch"] = figures.steps_ms[Side.CANONICAL.value]
        time.sleep(1.5)  # and some do not know yet that it moved
    figures.live_changes += users.committed
    figures.refused_writes = users.refused


def _switch_again(rig: "Rig", figures: Figures, announce: Announce) -> int:
    """Switch; given up at the end of its time with the old system open again, it is tried again, and counted."""
    from banyan.errors import SwitchRefused

    while True:
        try:
            return switch(rig, Side.CANONICAL, figures, announce)
        except SwitchRefused as error:
            figures.given_up += 1
            if figures.given_up == _ATTEMPTS:
                raise
            announce(f"{error.message}: once more")


def work(rig: "Rig", figures: Figures, announce: Announce) -> "Work":
    """Let the new application make its edits, while the way back follows."""
    from estate.new_application import Application
    from sync.movement import carry_changes

    announce(f"{EDITS} edits in the new application")
    engine = rig.workspace.engine("banyan_app")
    application = Application(engine, "38", edit_units(rig), seed=21)
    application.do(EDITS // 2)
    carry_changes(rig, ENGINEER)  # the way back follows while people work; the rollback carries the rest
    return application.do(EDITS)


def edit_units(rig: "Rig") -> dict[str, list[tuple[str, ...]]]:
    """Give, by canonical table of the closure, the groups of columns that one field of a form changes together."""
    units: dict[str, list[tuple[str, ...]]] = {}
    for ruleset in rig.book.rulesets.values():
        for part in ruleset.parts:
            if part.domain.value in rig.closure(CLOSURE).domains:
                units.setdefault(part.table, []).extend(rule.to for rule in part.fields)
    return units


def go_back(rig: "Rig", figures: Figures, announce: Announce, folder: Path) -> None:
    """Roll back under the protocol and prove it: nothing lost, untouched rows byte for byte the same."""
    before = folder / "fence"
    sealed_at = rig.port.head()
    dump(rig, before)
    after = folder / "after"
    figures.outages_ms["rollback"] = switch(rig, Side.LEGACY, figures, announce)
    dump(rig, after)
    compare_dumps(rig, before, after, sealed_at, figures)
    figures.applied = applied_rows(rig)
    figures.degraded = count_degraded(rig)
    catch_up(rig, figures)
    figures.lost = count_lost(rig, announce)


def dump(rig: "Rig", folder: Path) -> None:
    """Dump every legacy table of the closure by `psql`, which shares no code with the connectors."""
    from wire.dump import dump_table

    folder.mkdir(parents=True, exist_ok=True)
    url = rig.workspace.legacy_urls(ORION).admin
    for table in rig.closure(CLOSURE).tables:
        dump_table(url, ("orion", table), rig.book.rulesets[table].key[0], folder / f"{table}.copy")


def compare_dumps(rig: "Rig", before: Path, after: Path, since: Position, figures: Figures) -> None:
    """Compare two dumps row by row, leaving out only the keys that the way back wrote."""
    from wire.dump import read_dump

    touched = {(change.table, change.key.encode()) for change in rig.port.changes(since, rig.port.head())}
    for table in rig.closure(CLOSURE).tables:
        old, new = read_dump(before / f"{table}.copy"), read_dump(after / f"{table}.copy")
        for key, row in old.items():
            if (table, key) in touched:
                continue
            figures.untouched_rows += 1
            figures.untouched_identical += new.get(key) == row
        strangers = [key for key in new if key not in old and (table, key) not in touched]
        figures.untouched_rows += len(strangers)


def count_lost(rig: "Rig", announce: Announce) -> int:
    """Re-read every legacy row after the way back; gives how many differ from the records without being listed."""
    from cutover.judgement import subject_of
    from validation.reconcile import reconcile

    announce("every legacy row re-read and compared")
    found = reconcile(subject_of(rig, CLOSURE), watermark=rig.forward().watermark())
    return int(found.level.figures["differences"])


def applied_rows(rig: "Rig") -> int:
    """Count the legacy rows that reverse runs wrote or marked deleted."""
    from store.ledger import LedgerReader
    from store.postgres import transaction
    from store.runs import RunKind

    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        reader = LedgerReader(connection)
        runs = [run.run_no for run in reader.read_runs(ORION) if run.kind is RunKind.REVERSE]
        totals = [counts.rows for run in runs for counts in reader.read_totals(run).values()]
    return sum(rows.loaded + rows.deleted for rows in totals)


def count_degraded(rig: "Rig") -> int:
    """Count the degraded write-backs that were ever listed."""
    import sqlalchemy as sa

    from store.postgres import transaction
    from store.row_tables import DEGRADED_WRITE_BACK

    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(DEGRADED_WRITE_BACK)) or 0)


def count_duplicates(rig: "Rig") -> int:
    """Count legacy keys that stand for two live canonical records, and records that two live rows claim."""
    import sqlalchemy as sa

    from store.postgres import transaction
    from store.row_tables import CROSSWALK, RECORD_LINK

    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        keys = sa.select(
            sa.func.count() - sa.func.count(sa.distinct(sa.tuple_(CROSSWALK.c.source_table_no, CROSSWALK.c.source_key)))
        )
        doubled_keys = connection.scalar(keys.where(CROSSWALK.c.deleted_at.is_(None)))
        links = sa.select(sa.func.count() - sa.func.count(sa.distinct(RECORD_LINK.c.canonical_id)))
        return int(doubled_keys or 0) + int(connection.scalar(links) or 0)


def find_born_case(rig: "Rig") -> str:
    """Give the legacy key of a case that was born in the new application."""
    import sqlalchemy as sa

    from store.postgres import transaction
    from store.row_tables import ADOPTED_KEY

    wanted = sa.select(ADOPTED_KEY.c.source_key).where(ADOPTED_KEY.c.source_table_no == rig.table_numbers["t_proc"])
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        return str(connection.scalar(wanted.order_by(ADOPTED_KEY.c.source_key).limit(1)))


def summarise(judged: "Judged", done: "Work", figures: Figures, report: Path) -> dict[str, object]:
    """Give the summary of the story for machines."""
    trip = judged.round_trip.figures
    tables = {
        table: {name: getattr(counts.rows, name) for name in ROW_COUNTS} for table, counts in figures.tables.items()
    }
    levels = {name: "NOT RUN" for name in ("L0", "L1", "L2", "L3", "L4", "L5", "L6")}
    levels |= {level.level: level.state.value for level in judged.facts.levels}
    return {
        "rows": tables,
        "parts": {name: getattr(figures.total.parts, name) for name in PART_COUNTS},
        "conservation_balanced": figures.total.is_balanced,
        "round_trip": {
            "exact_without_residue": trip.exact_without_residue,
            "rows": trip.rows,
            "residue_only_fields": trip.residue_only_fields,
            "fields": trip.fields,
            "put_get": judged.round_trip.put_get,
            "fields_touched_ok": judged.round_trip.fields_touched_ok,
        },
        "levels": levels,
        "levels_partial": {"L5": "statistics and open-work parity; queries and sample: profile full"},
        "airflow": {"sync_state": figures.airflow},
        "switch": {
            "outage_ms": figures.outages_ms.get("switch"),
            "given_up": figures.given_up,
            "legacy_writes_refused": figures.refused_writes,
            "steps_ms": figures.steps_ms.get("switch", {}),
        },
        "edits_after_switch": done.edits,
        "edits": {
            "updates": done.updates,
            "inserts": done.inserts,
            "deletes": done.deletes,
            "not_expressible": done.beyond_the_old_system,
            "columns": sorted(done.columns_edited),
        },
        "reverse_sync": {"applied": figures.applied},
        "degraded_write_backs": figures.degraded,
        "rollback": {
            "outage_ms": figures.outages_ms.get("rollback"),
            "lost": figures.lost,
            "untouched_rows": figures.untouched_rows,
            "untouched_rows_byte_identical": figures.untouched_rows == figures.untouched_identical,
        },
        "second_switch": {
            "outage_ms": figures.outages_ms.get("second_switch"),
            "duplicates": figures.duplicates,
        },
        "live_legacy_changes": figures.live_changes,
        "evidence_id": judged.bundle.evidence_id,
        "report": str(report),
    }
