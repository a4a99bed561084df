"""`banyan sync sweep`: every row of some tables is read again, where what was written down of them does not tell."""

from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import SourceRef
from cli.places import current_project
from cli.progress import show_progress
from cli.tables import print_json, print_line, print_next, print_table, thousands

if TYPE_CHECKING:
    from cutover.sweeping import Sweep
    from sync.movement import Carried

PlaceArgument = Annotated[str, typer.Argument(metavar="DEPT[.SYSTEM[.TABLE]]", help="Such as 38 or 38.ORION.t_proc.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document; progress as JSON lines on standard error.")]


def sweep_sync(
    place: PlaceArgument,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; asked for where the history was lost, kept in the processing log.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read again, and read nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read every row of the tables again, gone ones too; where log or journal was lost, follow anew from there.

    For a purged log, a lost slot, a pruned journal, or a doubt. The old side must own; one that was restored from a
    backup is refused: two persons decide (switch reconcile). Whoever dies on the way runs the same command again.
    """
    from cli.runs import tell_runs
    from cli.sources import split_place
    from cutover.sweeping import carry_sweep, plan_sweep
    from sync.assembly import open_rig, prepare
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    code, system, table = split_place(place)
    planned: list[Sweep] = []
    done: list[Carried] = []
    with opened(current_project()) as workspace:
        for source in sources_of(workspace, code) if system is None else [SourceRef(code, system)]:
            rig = open_rig(workspace, source)
            if dry_run:
                planned.append(plan_sweep(rig, table))
                continue
            carried = carry_sweep(
                rig,
                actor_of(workspace),
                table=table,
                reason=reason,
                repair=lambda source=source: prepare(workspace, source),  # type: ignore[misc]
                watcher=show_progress(f"sweep {source}", as_json=as_json),
            )
            done += [] if carried is None else [carried]
    if dry_run:
        _tell_plans(planned, place, as_json=as_json)
        return
    tell_runs(done, as_json=as_json, following=f"banyan sync run {code}")


def _tell_plans(planned: "list[Sweep]", place: str, *, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json([asdict(one) for one in planned])
        return
    for one in planned:
        print_line(f"{one.source}  history {one.history.value}{': ' + one.why if one.why else ', the Position stays'}")
        for name in one.left_out:
            print_line(f"     {name} belongs to the new side and is left out")
        rows: list[tuple[object, ...]] = [(name, thousands(count)) for name, count in one.known.items()]
        print_table("", ("read again", "rows known"), rows)
    is_lost = any(one.why for one in planned)
    print_next(f"banyan sync sweep {place}{' --reason TEXT' if is_lost else ''}")
