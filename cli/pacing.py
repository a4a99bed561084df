"""`banyan sync pause, resume, cancel, throttle`: the pace of reading, changed while a run goes on."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from banyan.departments import SourceRef
    from store.pace import Pace

DepartmentArgument = Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
_HOURS = re.compile(r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")


def pause_sync(dept: DepartmentArgument, as_json: AsJson = False) -> None:
    """Pause the reading of a department: a run that goes on ends its chunk, keeps its place and waits."""
    from store.pace import pause

    _tell(_change(dept, lambda connection, source, by: pause(connection, source, by=by)), as_json=as_json)
    if not as_json:
        print_next(f"banyan sync resume {dept}")


def resume_sync(dept: DepartmentArgument, as_json: AsJson = False) -> None:
    """Let the reading of a department go on; a run that waits does so within a second."""
    from store.pace import resume

    _tell(_change(dept, lambda connection, source, by: resume(connection, source, by=by)), as_json=as_json)


def cancel_sync(
    dept: DepartmentArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the run, and with your name in the log.")],
    as_json: AsJson = False,
) -> None:
    """Cancel the open runs of a department, whoever holds them: finished chunks stay, no other is written.

    A run that stands still because its figures are not those of its lists is cancelled too: its route goes on.
    """
    from store.held import release_held
    from store.journal import ProcessingEntry, append_processing
    from store.ledger import Ledger, LedgerReader
    from store.postgres import transaction
    from store.runs import RunState
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    cancelled = []
    with opened(current_project()) as workspace:
        actor = actor_of(workspace)
        for source in sources_of(workspace, dept):
            with transaction(workspace.engine("banyan_forward")) as connection:
                standing = (RunState.OPEN, RunState.FAILED)
                runs = [run for run in LedgerReader(connection).read_runs(source) if run.state in standing]
                for run in runs:
                    if run.state is RunState.FAILED:
                        release_held(connection, run.run_no, reason=reason)
                    else:
                        Ledger(connection).cancel_run(run.run_no, reason=reason)
                    entry = ProcessingEntry(
                        actor=actor,
                        department_code=source.department_code,
                        operation="alteration",
                        reason=f"run {run.run_no} of {source} cancelled: {reason}",
                        record_refs=(str(source),),
                        run_no=run.run_no,
                    )
                    append_processing(connection, entry)
                    cancelled.append({"run_no": run.run_no, "source": str(source), "kind": run.kind.value})
    if as_json:
        print_json({"cancelled": cancelled})
        return
    if not cancelled:
        print_line(f"OK   {dept}: no run is open")
    for one in cancelled:
        print_line(f"OK   run {one['run_no']} ({one['kind']}) of {one['source']} is cancelled; finished chunks stay")


def throttle_sync(
    dept: DepartmentArgument,
    chunk_seconds: Annotated[
        float | None, typer.Option("--chunk-seconds", min=0.05, help="How long one chunk may take there.")
    ] = None,
    most_active: Annotated[
        int | None, typer.Option("--most-active", min=0, help="Read nothing while more sessions work there.")
    ] = None,
    most_lock_waits: Annotated[
        int | None, typer.Option("--most-lock-waits", min=0, help="Read nothing while more sessions wait for locks.")
    ] = None,
    closed: Annotated[
        str, typer.Option("--closed", help="Local hours in which nothing is read: 07:00-19:00, or none.")
    ] = "",
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Forget limits and closed hours.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the pace at which a department is read, or change it; a run that goes on follows within a second."""
    from store.pace import Pace, read_pace, write_pace

    if closed and closed != "none" and _HOURS.match(closed) is None:
        raise UsageError(f"{closed} is no pair of hours; nothing was changed", hint="--closed 07:00-19:00")

    def change(connection: "Connection", source: "SourceRef", by: str) -> "Pace":
        before = read_pace(connection, source)
        pace = Pace(chunk_seconds=before.chunk_seconds, paused_at=before.paused_at) if no_limits else before
        pace = replace(
            pace,
            chunk_seconds=pace.chunk_seconds if chunk_seconds is None else chunk_seconds,
            most_active=pace.most_active if most_active is None else most_active,
            most_lock_waits=pace.most_lock_waits if most_lock_waits is None else most_lock_waits,
        )
        if closed:
            start, _, end = closed.partition("-")
            is_open = closed == "none"
            pace = replace(pace, closed_from=None if is_open else start, closed_until=None if is_open else end)
        if pace != before:
            pace = replace(pace, changed_by=by)
            write_pace(connection, source, pace)
        return pace

    _tell(_change(dept, change), as_json=as_json)


def _change(dept: str, change: "Callable[[Connection, SourceRef, str], Pace]") -> "list[tuple[SourceRef, Pace]]":
    from store.postgres import transaction
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        by = actor_of(workspace).name
        with transaction(workspace.engine("banyan_forward")) as connection:
            return [(source, change(connection, source, by)) for source in sources_of(workspace, dept)]


def _tell(paces: "list[tuple[SourceRef, Pace]]", *, as_json: bool) -> None:
    if as_json:
        print_json([{"source": str(source), **asdict(pace)} for source, pace in paces])
        return
    rows = [
        (
            str(source),
            f"{pace.chunk_seconds:g} s",
            "-" if pace.most_active is None else pace.most_active,
            "-" if pace.most_lock_waits is None else pace.most_lock_waits,
            "-" if pace.closed_from is None else f"{pace.closed_from}-{pace.closed_until}",
            "no" if pace.paused_at is None else f"since {pace.paused_at:%Y-%m-%d %H:%M} UTC by {pace.changed_by}",
        )
        for source, pace in paces
    ]
    print_table("", ("source", "chunk", "most active", "most lock waits", "closed", "paused"), rows)
