"""The story of the demo: there, back, and there again, in one department; each chapter gives its figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from banyan.departments import Actor, Side
from banyan.errors import ConservationBroken
from banyan.records import PART_COUNTS, ROW_COUNTS, ChunkCounts, Position

if TYPE_CHECKING:
    from cli.stages import Stage
    from cutover.judgement import Judged
    from estate.new_application import Work
    from sync.assembly import Rig
    from validation.rules_worker import RuleWorker

ENGINEER = Actor("demo", "engineer", "the demo")
STEWARD = Actor("claire", "steward", "the demo")
LEAD = Actor("paul", "lead", "the demo")
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


def read_and_load(stage: "Stage", rig: "Rig", figures: Figures, announce: Announce) -> None:
    """Make the first copy while officers work, then carry what they changed."""
    from sync.movement import carry_changes, first_copy

    announce("first copy, while officers work in the old system")
    users = stage.people(rig, _LIVE_WHILE_LOADING, 11)
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
    live(workspace.legacy_urls(rig.source).application, Pace(rate_per_second=100, count=30, seed=12))
    figures.airflow = run_once(workspace.project.folder, "sync_38")
    catch_up(rig, figures)


def compare_and_sign(stage: "Stage", rig: "Rig", worker: "RuleWorker", announce: Announce) -> "Judged":
    """Run the levels, and have a steward and a lead sign the evidence."""
    from cli.keys import key_file_of
    from cutover.judgement import judge_closure
    from cutover.signatures import sign_evidence

    judged = judge_closure(rig, stage.closure, announce=announce, worker=worker)
    for actor in (STEWARD, LEAD):
        sign_evidence(rig, stage.closure, actor=actor, key_file=key_file_of(rig.workspace, actor.name))
    return judged


def switch(stage: "Stage", rig: "Rig", to: Side, figures: Figures, announce: Announce) -> int:
    """Move the closure to a side by the protocol; gives how long nobody could write, in milliseconds."""
    from cutover import switching
    from cutover.execute import Order

    announce(f"moving {stage.closure} to {to.value}")
    order = Order(ENGINEER)
    closure = rig.closure(stage.closure)
    done = switching.switch(rig, closure, order) if to is Side.CANONICAL else switching.roll_back(rig, closure, order)
    if done.outage_ms is None:
        raise ConservationBroken(f"the time nobody could write was not measured for {stage.closure}")
    figures.steps_ms[to.value] = {step.name.value: step.milliseconds for step in done.steps}
    return done.outage_ms


def switch_under_load(stage: "Stage", rig: "Rig", figures: Figures, announce: Announce) -> None:
    """Switch while officers still write in the old system; what comes too late is refused, and counted."""
    import time

    users = stage.people(rig, _LIVE_WHILE_SWITCHING, 13)
    with users:
        time.sleep(0.5)  # officers are at work before the fence closes
        figures.outages_ms["switch"] = _switch_again(stage, rig, figures, announce)
        figures.steps_ms["switch"] = figures.steps_ms[Side.CANONICAL.value]
        time.sleep(1.5)  # and some do not know yet that it moved
    figures.live_changes += users.committed
    figures.refused_writes = users.refused


def _switch_again(stage: "Stage", rig: "Rig", figures: Figures, announce: Announce) -> int:
    """Switch; given up at the end of its time with the old system open again, it is tried again, and counted."""
    from banyan.errors import SwitchRefused

    while True:
        try:
            return switch(stage, rig, Side.CANONICAL, figures, announce)
        except SwitchRefused as error:
            figures.given_up += 1
            if figures.given_up == _ATTEMPTS:
                raise
            announce(f"{error.message}: once more")


def work(stage: "Stage", rig: "Rig", announce: Announce) -> "Work":
    """Let the new application make its edits, while the way back follows."""
    from estate.new_application import Application
    from sync.movement import carry_changes

    announce(f"{stage.edits} edits in the new application")
    engine = rig.workspace.engine("banyan_app")
    application = Application(engine, rig.source.department_code, edit_units(stage, rig), seed=21, desk=stage.desk)
    application.do(stage.edits // 2)
    carry_changes(rig, ENGINEER)  # the way back follows while people work; the rollback carries the rest
    return application.do(stage.edits)


def edit_units(stage: "Stage", rig: "Rig") -> dict[str, list[tuple[str, ...]]]:
    """Give, by canonical table of the closure, the groups of columns that one field of a form changes together."""
    units: dict[str, list[tuple[str, ...]]] = {}
    for ruleset in rig.book.rulesets.values():
        for part in ruleset.parts:
            if part.domain.value in rig.closure(stage.closure).domains:
                known = units.setdefault(part.table, [])
                known += [rule.to for rule in part.fields if rule.to not in known and _is_edited(stage, rule.to[0])]
    return units


def _is_edited(stage: "Stage", column: str) -> bool:
    return stage.desk.moves_records or not column.endswith("_id")


def go_back(stage: "Stage", rig: "Rig", figures: Figures, announce: Announce, folder: Path) -> None:
    """Roll back under the protocol and prove it: nothing lost, untouched rows byte for byte the same."""
    before = folder / "fence"
    sealed_at = rig.port.head()
    dump(stage, rig, before)
    after = folder / "after"
    figures.outages_ms["rollback"] = switch(stage, rig, Side.LEGACY, figures, announce)
    dump(stage, rig, after)
    compare_dumps(stage, rig, before, after, sealed_at, figures)
    figures.applied = applied_rows(rig)
    figures.degraded = count_degraded(rig)
    catch_up(rig, figures)
    figures.lost = count_lost(stage, rig, announce)


def dump(stage: "Stage", rig: "Rig", folder: Path) -> None:
    """Dump every legacy table of the closure by a client that shares no code with the connectors."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in rig.closure(stage.closure).tables:
        stage.dump(rig, table, _dumped(folder, table))


def _dumped(folder: Path, table: str) -> Path:
    return folder / f"{table.replace('/', '.')}.copy"


def compare_dumps(stage: "Stage", rig: "Rig", before: Path, after: Path, since: Position, figures: Figures) -> None:
    """Compare two dumps row by row, leaving out only the keys that the way back wrote."""
    from wire.dump import read_dump

    touched = {(change.table, change.key.encode()) for change in rig.port.changes(since, rig.port.head())}
    for table in rig.closure(stage.closure).tables:
        old, new = read_dump(_dumped(before, table)), read_dump(_dumped(after, table))
        for key, row in old.items():
            if (table, key) in touched:
                continue
            figures.untouched_rows += 1
            figures.untouched_identical += new.get(key) == row
        strangers = [key for key in new if key not in old and (table, key) not in touched]
        figures.untouched_rows += len(strangers)


def count_lost(stage: "Stage", rig: "Rig", announce: Announce) -> int:
    """Re-read every legacy row after the way back; gives how many differ from the records without being listed."""
    from cutover.judgement import subject_of
    from validation.reconcile import reconcile

    announce("every legacy row re-read and compared")
    found = reconcile(subject_of(rig, stage.closure), watermark=rig.forward().watermark())
    return int(found.level.figures["differences"])


def applied_rows(rig: "Rig") -> int:
    """Count the legacy rows that reverse runs wrote or marked deleted."""
    from store.ledger import LedgerReader
    from store.postgres import transaction
    from store.runs import RunKind

    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        reader = LedgerReader(connection)
        runs = [run.run_no for run in reader.read_runs(rig.source) if run.kind is RunKind.REVERSE]
        totals = [counts.rows for run in runs for counts in reader.read_totals(run).values()]
    return sum(rows.loaded + rows.deleted for rows in totals)


def count_degraded(rig: "Rig") -> int:
    """Count the degraded write-backs that were ever listed."""
    import sqlalchemy as sa

    from store.postgres import transaction
    from store.row_tables import DEGRADED_WRITE_BACK

    code = rig.source.department_code
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        return int(
            connection.scalar(sa.select(sa.func.count()).where(DEGRADED_WRITE_BACK.c.department_code == code)) or 0
        )


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


def find_born(stage: "Stage", rig: "Rig") -> str:
    """Name a row that was born in the new application, a case when there is one, as `trace` asks for it."""
    import sqlalchemy as sa

    from store.postgres import transaction
    from store.row_tables import ADOPTED_KEY

    tables = rig.closure(stage.closure).tables
    for table in sorted(tables, key=lambda one: rig.book.rulesets[one].main.table != "case_file"):
        number = ADOPTED_KEY.c.source_table_no == rig.table_numbers[table]
        wanted = sa.select(ADOPTED_KEY.c.source_key).where(number).order_by(ADOPTED_KEY.c.source_key).limit(1)
        with transaction(rig.workspace.engine("banyan_judge")) as connection:
            key = connection.scalar(wanted)
        if key is not None:
            return f"{table} {rig.source.department_code}:{key}"
    raise ConservationBroken(f"no row of {stage.closure} was born in the new application")


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
