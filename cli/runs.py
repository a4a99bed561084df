"""`banyan load` and `banyan sync`: the first copy, then changes in either direction; every row accounted for."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.drifts import tell_drift
from cli.equations import FATES, parts_equation, rows_equation
from cli.pacing import cancel_sync, pause_sync, resume_sync, throttle_sync
from cli.places import current_project
from cli.progress import show_progress
from cli.sweeps import sweep_sync
from cli.tables import print_json, print_line, print_next, print_table, thousands
from cli.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from banyan.records import ChunkCounts
    from cli.accounts import RouteAccount
    from cli.status import DepartmentStatus
    from sync.drift_policy import Judged
    from sync.movement import Carried

sync_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DepartmentArgument = Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document; progress as JSON lines on standard error.")]


Archives = Annotated[
    bool,
    typer.Option("--archives", help="Load nothing: list what is past its term, by series, rule, counts and years."),
]


Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        max=64,
        help="Processes that read the legacy database and write, each at the pace of `sync throttle`; one a core.",
    ),
]


def load(dept: DepartmentArgument, archives: Archives = False, workers: Workers = 1, as_json: AsJson = False) -> None:
    """Make the first copy of a department, or resume it: install store, capture and fences, then copy every row.

    Rows past the last day they may be kept are not loaded; --archives lists them for the archives administration.
    Ctrl-C pauses; the same command resumes. When the copy is done, its account is told again and nothing is read.
    """
    if archives:
        from cli.archives import tell_archives

        tell_archives(dept, as_json=as_json)
        return
    from sync.assembly import prepare
    from sync.movement import actor_of, first_copy, sources_of
    from sync.workspace import opened

    following = f"banyan sync run {dept}"
    with opened(current_project()) as workspace:
        done = []
        for source in sources_of(workspace, dept):
            rig = prepare(workspace, source)
            watcher = show_progress(f"load {source}", as_json=as_json)
            told = tell_drift(as_json=as_json)
            done.append(first_copy(rig, actor_of(workspace), watcher=watcher, workers=workers, told=told))
            if rig.is_write_once:  # nothing will change there
                following = f"banyan recon run {rig.closures[0].name}"
    tell_runs(done, as_json=as_json, following=following)


@sync_app.command("run", epilog="Example: banyan sync run 38")
def run_sync(dept: DepartmentArgument, as_json: AsJson = False) -> None:
    """Carry what changed since the last run: to the new system, and back where the new system is the owner."""
    done = _carry(dept, tell_drift(as_json=as_json), as_json=as_json)
    if not done and not as_json:
        print_line(f"OK   {dept}: nothing changed since the last run")
        return
    tell_runs(done, as_json=as_json, following="banyan sync status")


sync_app.command("pause", epilog="Example: banyan sync pause 38")(pause_sync)
sync_app.command("resume", epilog="Example: banyan sync resume 38")(resume_sync)
sync_app.command("cancel", epilog='Example: banyan sync cancel 38 --reason "wrong rules"')(cancel_sync)
sync_app.command("throttle", epilog="Example: banyan sync throttle 38 --closed 07:00-19:00 --most-active 20")(
    throttle_sync
)


sync_app.command("sweep", epilog="Example: banyan sync sweep 38.ORION.t_proc --dry-run")(sweep_sync)


@sync_app.command("status", epilog="Example: banyan sync status 38 --json")
def show_status(
    dept: Annotated[
        str | None, typer.Argument(metavar="DEPT", help="Only this department, with its account table by table.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show each department: slices in the new system, lag, way back, quarantine, and what waits for a person.

    Below stands the account of the last run of each route: what became of the rows read and of the parts they emitted.
    """
    from cli.status import read_status
    from sync.workspace import opened

    project = current_project()
    with opened(project) as workspace:
        if dept is not None:
            project.department(dept)
        found = [read_status(workspace, code) for code in (sorted(project.departments) if dept is None else [dept])]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    words = [one.word for one in found]
    print_line(
        f"{len(found)} departments · {words.count(Word.NO)} stopped · {words.count(Word.WAIT)} wait for you"
        if len(found) != 1
        else f"1 department · {words.count(Word.NO)} stopped · {words.count(Word.WAIT)} waits for you"
    )
    columns = ("dept", "new system", "forward lag", "way back", "quarantine", "state", "")
    rows = [
        (one.department, one.moved, one.forward_lag, one.way_back, one.quarantine, one.word.value, one.sentence)
        for one in found
    ]
    print_table("", columns, rows)
    _print_accounts([account for one in found for account in one.accounts], by_table=dept is not None)
    following = next((one.following for one in found if one.following and one.word is Word.NO), "")
    following = following or next((one.following for one in found if one.following), "")
    if following:
        print_next(following)


def _print_accounts(accounts: "list[RouteAccount]", *, by_table: bool) -> None:
    """Write the two equations of the last run of each route, of all its tables together or of each."""
    rows = []
    for one in accounts:
        tables = [(each.table, each.counts) for each in one.tables] if by_table else []
        for name, counts in [*tables, ("all", one.total)]:
            parts = parts_equation(counts.parts) if counts.parts.emitted else "-"
            rows.append((one.route, f"{one.run_no} {one.kind} {one.state}", name, rows_equation(counts.rows), parts))
    if rows:
        print_table("LAST RUN OF EACH ROUTE", ("route", "run", "table", "rows", "parts"), rows)


@sync_app.command("replay", epilog="Example: banyan sync replay 38 --table t_personne")
def replay_received(
    dept: DepartmentArgument,
    table: Annotated[list[str] | None, typer.Option("--table", help="Only this legacy table; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Map what was received again, by the rules as they are now; the old system is not touched.

    Reads the parcels of the landing zone. Ctrl-C pauses; the same command resumes.
    """
    from sync.assembly import open_rig
    from sync.movement import actor_of, sources_of
    from sync.replay import replay
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        done = []
        for source in sources_of(workspace, dept):
            rig = open_rig(workspace, source)  # asks the old system nothing
            watcher = show_progress(f"replay {source}", as_json=as_json)
            carried = replay(rig, actor_of(workspace), tuple(table or ()), watcher=watcher)
            done += [] if carried is None else [carried]
    tell_runs(done, as_json=as_json, following=f"banyan quarantine top {dept}")


@sync_app.command("watch", epilog="Example: banyan sync watch 38 --every 5")
def watch_sync(
    dept: DepartmentArgument,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between two looks.")] = 5.0,
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, help="Stop after this number of looks.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a look and a run, one a line.")] = False,
) -> None:
    """Carry changes again and again until Ctrl-C; says what waits in each direction, then one line for each run.

    What waits is told when it changes: records and age by route, and edits that the old system does not show.
    """
    looked, told, drift = 0, "", tell_drift(as_json=as_json)
    while rounds is None or looked < rounds:
        if looked:
            time.sleep(every)
        status = _look(dept)
        waiting = _waiting(status)
        if as_json:
            look = {"event": "look", "lags": {name: asdict(lag) for name, lag in status.lags.items()}}
            sys.stdout.write(
                json.dumps(look | {"degraded": status.degraded, "state": status.word}, sort_keys=True) + "\n"
            )
        elif waiting != told:
            print_line(waiting)
        told = waiting
        for one in _carry(dept, drift, as_json=as_json):
            if as_json:
                sys.stdout.write(json.dumps(_document(one), sort_keys=True) + "\n")
            else:
                rows = one.total.rows
                print_line(
                    f"run {one.run_no}  {one.route}  {rows_equation(rows)}  {'ok' if rows.is_balanced else 'NO'}"
                )
        sys.stdout.flush()
        looked += 1


def _look(dept: str) -> "DepartmentStatus":
    from cli.status import read_status
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        return read_status(workspace, dept)


def _waiting(status: "DepartmentStatus") -> str:
    """Say what waits in each direction; a department that stands still says why."""
    if not status.lags:
        return f"{status.department}  {status.word.value}  {status.sentence}"
    said = {None: "not counted", 0: "nothing waits"}
    routes = "   ".join(f"{name}: {said.get(lag.pending, lag)}" for name, lag in status.lags.items())
    return f"{routes}   degraded write-backs: {status.degraded}"


def _carry(dept: str, told: "Callable[[Sequence[Judged]], None]", *, as_json: bool) -> "list[Carried]":
    from sync.assembly import open_rig
    from sync.movement import actor_of, carry_changes, sources_of
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        done = []
        for source in sources_of(workspace, dept):
            watcher = show_progress(f"sync {source}", as_json=as_json)
            done += carry_changes(open_rig(workspace, source), actor_of(workspace), watcher=watcher, told=told)
    return done


def tell_runs(done: "list[Carried]", *, as_json: bool, following: str) -> None:
    """Tell what runs did, each with its account, and the next command."""
    if as_json:
        print_json({"runs": [_document(one) for one in done], "next": following})
        return
    for one in done:
        print_conservation(one)
    print_next(following)


def print_conservation(one: "Carried") -> None:
    """Write the account of a run: each row read has exactly one fate, each part emitted was placed."""
    told = "" if one.is_new else "   (done before; nothing was read now)"
    print_line(f"RUN {one.run_no}  {one.kind.value}  {one.route}{told}")
    columns = ("table", *(name.replace("_", " ") for name in FATES), "fields")
    rows: list[tuple[object, ...]] = [(name, *_fates(counts)) for name, counts in one.totals.items()]
    print_table("", columns, [*rows, ("all", *_fates(one.total))])
    print_line(f"conserved  {rows_equation(one.total.rows)}")
    if one.total.parts.emitted:
        print_line(f"parts      {parts_equation(one.total.parts)}")
    if one.after_load is not None:
        print_line(f"after load {thousands(one.after_load)} records changed by the statement of the source")


def _fates(counts: "ChunkCounts") -> tuple[int, ...]:
    return (*(getattr(counts.rows, name) for name in FATES), counts.rejected_fields)


def _document(one: "Carried") -> dict[str, object]:
    return {
        "route": one.route,
        "run_no": one.run_no,
        "kind": one.kind.value,
        "is_new": one.is_new,
        "after_load": one.after_load,
        "is_balanced": one.total.is_balanced,
        "total": asdict(one.total),
        "tables": {name: asdict(counts) for name, counts in one.totals.items()},
    }
