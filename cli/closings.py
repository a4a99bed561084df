"""The rarer words of `banyan switch`: rehearse, complete, reconcile, code. Two of them take two persons."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import OperatingSystemActors
from banyan.departments import Side
from banyan.errors import UsageError
from cli.judgements import AsJson, Closure, rig_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next

if TYPE_CHECKING:
    from sync.assembly import Rig
    from sync.workspace import Workspace

As = Annotated[str, typer.Option("--as", help="Decide in this role: lead, steward. Two persons, one of each.")]
Keep = Annotated[str, typer.Option("--keep", help="Which copy stands: canonical, or legacy.")]


def movable_rig(workspace: "Workspace", closure: str) -> "Rig":
    """Open the legacy system of a closure that can change its owner at all."""
    rig = rig_of(workspace, closure)
    name = rig.closure(closure).name
    rig.refuse_write_once(name)
    if rig.slices(name)[0].owner is Side.LEGACY:
        rig.forward().watermark()  # refused while the project says another way of capture than the store follows
    return rig


def rehearse_command(closure: Closure, as_json: AsJson = False) -> None:
    """Go there and back on a copy of both sides; nobody is closed out. Exit 3 when a row was lost.

    The store and an old PostgreSQL are copied into an embedded server, a MariaDB into a database beside it, SQLite
    files into a folder; all of it is deleted. What it took is the forecast of the next plan.
    """
    from cli.tellings import announce_on_stderr
    from cutover.rehearsal import rehearse
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        actor = OperatingSystemActors(workspace.project.people).current()
        report = rehearse(rig, rig.closure(closure), actor=actor, announce=announce_on_stderr)
    if as_json:
        print_json(asdict(report))
    else:
        print_line(f"REHEARSED  {report.closure}        on a copy; nobody was closed out")
        print_facts(
            {
                "there": f"nobody could write for {report.outage_ms} ms",
                "back": f"nobody could write for {report.back_ms} ms, with {report.edits} touched records",
                "rows": f"{report.rows} compared byte for byte, {report.lost} lost",
                "listed": f"{report.listed} rows the old system itself writes differently, each on the list",
            }
        )
        print_next(f"banyan switch plan {closure}")
    if report.lost:
        raise typer.Exit(3)


def complete_command(closure: Closure, role: As, as_json: AsJson = False) -> None:
    """Give up the way back for good, as one of two persons; the second word removes the capture of the old system.

    The old system stays sealed. Refused while somebody declared still reads it, or anything waits to be carried back,
    and without evidence of the profile `complete` that a steward and a lead signed.
    """
    from cutover.completing import complete
    from cutover.decisions import other_role
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        actor = OperatingSystemActors(workspace.project.people).current(role)
        done = complete(rig, rig.closure(closure), actor=actor)
    if as_json:
        print_json(asdict(done))
        return
    if done.is_done:
        print_line(f"RETIRED  {done.closure}        there is no way back any more; the old system stays sealed")
        print_next(f"banyan switch status {closure}")
        return
    print_line(f"DECIDED BY ONE  {done.closure}        nothing has been touched")
    print_facts(
        {
            "given up": "the way back, for good",
            "promised": f"until {done.promised_until}",
            "never there": f"{done.listed} values the old system cannot say",
        }
    )
    print_next(f"banyan switch complete {closure} --as {other_role(actor)}    (another person, within a day)")


def reconcile_command(closure: Closure, keep: Keep, role: As, as_json: AsJson = False) -> None:
    """Say which copy stands when a closure is stopped, or its old system came back from a backup. Takes two persons.

    The other side is written, or read, whole again before it counts.
    """
    from cutover.decisions import other_role
    from cutover.reconciling import reconcile_sides
    from sync.workspace import opened

    sides = {side.value.lower(): side for side in Side}
    if keep.lower() not in sides:
        raise UsageError(f"there is no side {keep}; nothing was changed", hint="--keep canonical, or --keep legacy")
    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        actor = OperatingSystemActors(workspace.project.people).current(role)
        done = reconcile_sides(rig, rig.closure(closure), sides[keep.lower()], actor=actor)
    if as_json:
        print_json(asdict(done))
        return
    if not done.is_done:
        print_line(f"DECIDED BY ONE  {done.closure}        {done.kept.value} shall stand; nothing has been touched")
        again = f"banyan switch reconcile {closure} --keep {keep} --as {other_role(actor)}"
        print_next(f"{again}    (another person, within a day)")
        return
    print_line(f"RECONCILED  {done.closure}        {done.phase.value}, owner {done.owner.value}, epoch {done.epoch}")
    word = "written" if done.kept is Side.CANONICAL else "read"
    facts = {"rows": f"{done.rows} {word} again"}
    if len(done.read_again) > 1:
        facts["closures"] = f"{', '.join(done.read_again)}: what was changed in any of them is not written down"
    if done.strangers:
        facts["unknown"] = f"{done.strangers} rows written while the old system was open: landed, and taken out of it"
    print_facts(facts)
    print_next(f"banyan switch status {closure}")


def code_command(closure: Closure, as_json: AsJson = False) -> None:
    """Give the code that opens the old side over the telephone, when the link is cut after an abort or a way back.

    It is good for this opening only: the next move uses it up. That it was given is written in the journal.
    """
    from cutover.telephone import give_code
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        actor = OperatingSystemActors(workspace.project.people).current()
        given = give_code(rig, rig.closure(closure), actor=actor)
    if as_json:
        print_json(asdict(given))
        return
    print_line(f"CODE  {given.closure}        opens the old side, once")
    print_facts({"code": given.code, "or": f"{given.or_code}    (when the first is refused)"})
    print_line(f"  typed in there  {given.statements[0]}")
    print_next("banyan guard --once    (when the link is back)")
