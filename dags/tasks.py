"""What each task does: one call of a function that the command line calls too. Only references and counts come back.

The libraries are loaded inside the tasks: Airflow reads this module each time it looks for DAGs.
"""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from banyan.departments import Actor, SourceRef
from banyan.errors import BanyanError
from dags.settings import find_project_folder, read_departments

if TYPE_CHECKING:
    from sync.drift_policy import Judged
    from sync.incremental import Permission
    from sync.workspace import Workspace

Reference = dict[str, int | str]
PROFILE = "switch"
CLOCK = Actor("airflow", "service", "its account on this machine")
log = logging.getLogger(__name__)


def run_key(source: SourceRef) -> str:
    """Name who holds a run that tasks of Airflow work on: one name for all, a DAG has one run at a time."""
    return f"airflow:{source}"


def gate(department: str, system: str) -> bool:
    """Ask the control database whether the legacy system may be synchronised now; the reason goes to the log."""
    with at_work(department, system) as (workspace, source):
        from sync.incremental import may_sync

        return _is_granted(may_sync(workspace, source))


def gate_back(department: str, system: str) -> bool:
    """Ask the control database whether the way back may be walked now; the reason goes to the log."""
    with at_work(department, system) as (workspace, source):
        from sync.incremental import may_carry_back

        return _is_granted(may_carry_back(workspace, source))


def carry_back(department: str, system: str) -> list[Reference]:
    """Carry back all that people changed in the new system; gives the fates of the rows of each run as counts."""
    with at_work(department, system) as (workspace, source):
        from sync.assembly import open_rig
        from sync.movement import carry_back

        with closing(open_rig(workspace, source)) as rig:
            done = carry_back(rig, CLOCK, told=partial(_log_drift, []))
        return [{"run_no": one.run_no, **asdict(one.total.rows)} for one in done]


def _is_granted(permission: "Permission") -> bool:
    log.info("%s: %s", "go" if permission.is_granted else "skipped", permission.reason)
    return permission.is_granted


def plan(department: str, system: str) -> list[Reference]:
    """Open or resume the run over what changed; gives its open chunks by reference. Drift it goes on with is logged."""
    with at_work(department, system) as (workspace, source):
        from sync.incremental import plan_incremental

        planned = plan_incremental(
            workspace, source, run_key=run_key(source), actor=CLOCK, told=partial(_log_drift, [])
        )
        return [asdict(chunk) for chunk in planned]


def carry(chunk: Mapping[str, Any], department: str, system: str) -> dict[str, int]:
    """Carry the next free chunk of the run that a reference names; gives the fates of its rows as counts."""
    with at_work(department, system) as (workspace, source):
        from sync.incremental import carry_chunk

        counts = carry_chunk(workspace, source, run_no=int(chunk["run_no"]), run_key=run_key(source))
        return {} if counts is None else asdict(counts.rows)


def finish(chunks: Sequence[Mapping[str, Any]], department: str, system: str) -> dict[str, int | list[str]]:
    """Close the run and move the watermark with it; gives the fates of all its rows as counts.

    Drift that the run went on with is logged, and named beside the counts.
    """
    with at_work(department, system) as (workspace, source):
        from sync.incremental import finish_incremental

        run_no, drift = int(chunks[0]["run_no"]), list[str]()
        told = partial(_log_drift, drift)
        result = finish_incremental(workspace, source, run_no=run_no, run_key=run_key(source), actor=CLOCK, told=told)
        return {"run_no": result.run_no, **asdict(result.total.rows), **({"drift": drift} if drift else {})}


def _log_drift(named: list[str], judged: "Sequence[Judged]") -> None:
    """Log each change that a run goes on with and the rule lines it touches; names it by kind, column and policy.

    What a change consists of stays out: that may be what stands in a column.
    """
    for one in judged:
        policy = one.policy.policy + (f" until {one.policy.until}" if one.policy.until else "")
        named.append(f"{one.drift.kind.value}: {one.drift.table}.{one.drift.column} ({policy})")
        log.warning("drift %s; %s", named[-1], ", ".join(map(str, one.drift.marks)) or "no rule line")


def validate(department: str, system: str) -> str:
    """Judge the legacy system against its records; gives the id of the evidence."""
    with at_work(department, system) as (workspace, source):
        from cutover.judgement import judge_department

        return judge_department(workspace, source, PROFILE)


@contextmanager
def at_work(department: str, system: str) -> Iterator[tuple["Workspace", SourceRef]]:
    """Open the project for one task; what fails leaves with its class, its facts and nobody's record."""
    from sync.workspace import opened

    try:
        with opened(read_departments(find_project_folder()).project) as workspace:
            yield workspace, SourceRef(department, system)
    except BanyanError as error:
        raise error from None  # a cause may repeat words of a server, and with them a value
    except Exception as error:  # noqa: BLE001 - the task is the border
        raise _unexpected(error) from None


def _unexpected(error: Exception) -> BanyanError:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    return BanyanError(f"a bug: {type(error).__name__} at {places}; what was committed before it stays")
