"""`banyan rollout`: the calendar of all slices, proposed, checked, shown, and written for calendar programs."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.clock import now, today
from cli.judgements import AsJson
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cutover.rollout.document import Rollout
    from cutover.rollout.plan import RolloutPlan
    from cutover.rollout.standing import Standing
    from sync.workspace import Workspace

rollout_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The calendar of all slices: proposed, checked, shown."
)

MoveWave = Annotated[int | None, typer.Option("--move-wave", help="Show what changes when this wave moves.")]
Days = Annotated[int, typer.Option("--days", help="Days by which it moves; negative is earlier.")]
Page = Annotated[Path | None, typer.Option("--html", help="Write the board as one self-contained page.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of the page: fr or en.")]
CalendarFile = Annotated[Path, typer.Argument(metavar="FILE", help="The .ics file to write.")]


@rollout_app.command(
    "plan",
    epilog="Example: banyan rollout plan; what if wave 4 moves a week: banyan rollout plan --move-wave 4 --days 7",
)
def plan_command(move_wave: MoveWave = None, days: Days = 7, as_json: AsJson = False) -> None:
    """Propose the earliest feasible calendar, with its critical path and the last day one can go back. Writes nothing.

    `rollout.yaml` says nights, teams, waves, excluded periods; closures follow from the rules. Decided dates stand.
    """
    from cutover.rollout.assembly import assemble_rollout
    from cutover.rollout.assembly import move_wave as moved
    from cutover.rollout.plan import plan_rollout
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rollout = assemble_rollout(workspace, rows_per_hour=_measured_rate(workspace))
    plan = plan_rollout(rollout, today=today())
    if move_wave is None:
        _tell_plan(rollout, plan, as_json=as_json)
        return
    _tell_move(plan, plan_rollout(moved(rollout, move_wave, days, plan), today=today()), as_json=as_json)


@rollout_app.command("check", epilog="Example: banyan rollout check")
def check_command(as_json: AsJson = False) -> None:
    """Refuse decided dates that cannot stand, each with its rule, its reason and its line. Exit 3 when there is one."""
    from cutover.rollout.assembly import assemble_rollout
    from cutover.rollout.check import check_rollout
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rollout = assemble_rollout(workspace)
    conflicts = check_rollout(rollout)
    if as_json:
        print_json(
            {
                "decided": len(rollout.document.decided),
                "conflicts": [asdict(one) | {"sentence": one.sentence.en} for one in conflicts],
            }
        )
    elif conflicts:
        rows = [(one.night, one.closure, one.rule, one.sentence.en, one.place) for one in conflicts]
        print_table("", ("night", "closure", "rule", "reason", "place"), rows)
        print_line(f"REFUSED  {len(conflicts)} reasons; nothing was changed")
        print_next("banyan rollout plan")
    else:
        print_line(f"OK  {len(rollout.document.decided)} decided dates can stand")
    if conflicts:
        raise typer.Exit(3)


@rollout_app.command("show", epilog="Example: banyan rollout show --html board.html")
def show_command(html: Page = None, lang: Lang = "fr", as_json: AsJson = False) -> None:
    """Show where every closure stands beside its planned night; with --html write the board with its Gantt chart."""
    from cutover.rollout.assembly import assemble_rollout
    from cutover.rollout.board import render_board
    from cutover.rollout.check import check_rollout
    from cutover.rollout.plan import plan_rollout
    from cutover.rollout.standing import not_begun
    from sync.workspace import opened
    from validation.text import Language

    if lang not in (language.value for language in Language):
        raise typer.BadParameter(f"{lang} is not a language of the pages: fr or en")
    with opened(current_project()) as workspace:
        rollout = assemble_rollout(workspace, rows_per_hour=_measured_rate(workspace))
        standings = _standings(workspace)
    plan = plan_rollout(rollout, today=today())
    if html is not None:
        page = render_board(
            rollout,
            plan,
            standings=standings,
            conflicts=check_rollout(rollout),
            at=now(),
            language=Language(lang),
        )
        html.write_text(page, encoding="utf-8")
        if as_json:
            print_json({"file": str(html), "language": lang})
        else:
            print_line(f"OK  the board is in {html}")
        return
    rows = []
    for cutover in plan.cutovers:
        standing = standings.get(cutover.closure, not_begun(cutover.closure))
        owner = "CANONICAL" if standing.is_canonical else "LEGACY"
        until = standing.way_back_until.date() if standing.way_back_until else cutover.way_back_until
        rows.append((cutover.wave, cutover.closure, standing.gate, standing.word.en, owner, cutover.night, until))
    columns = ("wave", "closure", "gate", "state", "owner", "night", "back until")
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table("", columns, rows)
        print_next("banyan rollout show --html board.html")


@rollout_app.command("calendar", epilog="Example: banyan rollout calendar rollout.ics")
def calendar_command(file: CalendarFile, as_json: AsJson = False) -> None:
    """Write the calendar for a calendar program (.ics): rehearsals, nights, last days of the way back, exclusions."""
    from cutover.rollout.assembly import assemble_rollout
    from cutover.rollout.calendar_file import calendar_of
    from cutover.rollout.plan import plan_rollout
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rollout = assemble_rollout(workspace, rows_per_hour=_measured_rate(workspace))
    plan = plan_rollout(rollout, today=today())
    file.write_bytes(calendar_of(rollout, plan, made_at=now()))
    if as_json:
        print_json({"file": str(file), "cutovers": len(plan.cutovers), "rehearsals": len(plan.rehearsals)})
    else:
        print_line(f"OK  {len(plan.cutovers)} cutover nights in {file}")


def _standings(workspace: "Workspace") -> "dict[str, Standing]":
    """Read where closures stand; a project without a store has none yet, and that is said on stderr."""
    from banyan.errors import StoreUnavailable
    from cutover.rollout.standing import read_standings

    try:
        return read_standings(workspace)
    except StoreUnavailable as error:
        typer.echo(f"where closures stand is not known: {error.message}", err=True)
        return {}


def _measured_rate(workspace: "Workspace") -> int:
    """Give the rows an hour of the loads that ended in this project, 0 when none is known."""
    from banyan.errors import StoreUnavailable
    from cutover.rollout.standing import read_load_rate

    try:
        return read_load_rate(workspace)
    except StoreUnavailable:
        return 0


def _tell_plan(rollout: "Rollout", plan: "RolloutPlan", *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "rehearsals": [asdict(one) for one in plan.rehearsals],
                "cutovers": [asdict(one) | {"slice_days": one.slice_days} for one in plan.cutovers],
                "critical_path": plan.critical_path,
                "ends_on": plan.ends_on,
                "slice_days": plan.slice_days,
                "rows_per_hour": rollout.rows_per_hour or rollout.document.rows_per_hour,
            }
        )
        return
    rows = [
        (one.wave, one.closure, one.night, "decided" if one.is_decided else "", one.way_back_until, one.because)
        for one in plan.cutovers
    ]
    print_table("", ("wave", "closure", "night", "", "back until", "waits for"), rows)
    rate = rollout.rows_per_hour or rollout.document.rows_per_hour
    kind = "measured" if rollout.rows_per_hour else "declared"
    print_facts(
        {
            "last cutover": plan.ends_on,
            "critical path": " > ".join(plan.critical_path),
            "coexistence": f"{plan.slice_days} slice-days for which both systems are kept",
            "loading": f"{rate} rows/h, {kind}" if rate else "no rate known",
        }
    )
    print_next("banyan rollout check")


def _tell_move(before: "RolloutPlan", after: "RolloutPlan", *, as_json: bool) -> None:
    moves = [(one.closure, one.night, after.find_cutover(one.closure).night) for one in before.cutovers]
    changed = [(name, old, new, (new - old).days) for name, old, new in moves if old != new]
    columns = ("closure", "before", "after", "days")
    if as_json:
        print_json(
            {
                "changed": [dict(zip(columns, row, strict=True)) for row in changed],
                "ends_on": {"before": before.ends_on, "after": after.ends_on},
                "slice_days": {"before": before.slice_days, "after": after.slice_days},
            }
        )
        return
    if changed:
        print_table("", columns, changed)
    print_facts(
        {
            "moved": f"{len(changed)} of {len(moves)} cutovers",
            "last cutover": f"{before.ends_on} -> {after.ends_on}",
            "coexistence": f"{before.slice_days} -> {after.slice_days} slice-days",
        }
    )
    print_line("Nothing was changed: move the wave with not_before in rollout.yaml.")
