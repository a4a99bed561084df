"""`banyan switch`: a closure changes its owner, and comes back."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import OperatingSystemActors
from banyan.departments import Side
from banyan.errors import SwitchRefused, SwitchUncertain
from cli.closings import code_command, complete_command, movable_rig, reconcile_command, rehearse_command
from cli.guarding import spoken, stopped_by_ctrl_c
from cli.judgements import AsJson, Closure
from cli.places import current_project
from cli.routes import routes_command
from cli.runbooks import runbook_command
from cli.tables import print_json, print_line, print_next, print_table, visible

if TYPE_CHECKING:
    from cutover.execute import StepReport
    from cutover.plan import Plan
    from cutover.switching import SwitchReport

switch_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Move the ownership of a closure, and take it back."
)

Back = Annotated[bool, typer.Option("--back", help="Plan the way back to the old system.")]
_TITLES = {
    (Side.CANONICAL, "close"): "close the old side",
    (Side.CANONICAL, "open"): "open the new side",
    (Side.LEGACY, "close"): "close the new side",
    (Side.LEGACY, "open"): "open the old side",
    (Side.LEGACY, "drain"): "drain the way back",
    (Side.LEGACY, "verify"): "verify changed records",
    (Side.LEGACY, "flip"): "flip back",
}
_PLAIN = {"drain": "drain", "verify": "verify changed rows", "seal": "seal", "flip": "flip", "settle": "settle"}


@switch_app.command("plan", epilog="Example: banyan switch plan 38.cases")
def plan_command(closure: Closure, back: Back = False, as_json: AsJson = False) -> None:
    """Show what a switch would do, how long nobody could write, and what is missing. Nothing is touched.

    Exit 3 when something stands in the way.
    """
    from cutover.deeds import LIMITS
    from cutover.plan import plan_switch
    from cutover.reading import RigReader
    from sync.workspace import opened

    budget = LIMITS.rollback_seconds if back else LIMITS.budget_seconds
    to = Side.LEGACY if back else Side.CANONICAL
    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        found = rig.closure(closure)
        planned = plan_switch(found, to, RigReader(rig, found), budget_seconds=budget)
    if as_json:
        print_json(asdict(planned) | {"digest": planned.digest, "expected_outage_ms": planned.expected_outage_ms})
    else:
        _print_plan(planned, closure)
    if not planned.is_possible:
        raise typer.Exit(3)


@switch_app.command("run", epilog="Example: banyan switch run 38.cases")
def run_command(closure: Closure, as_json: AsJson = False) -> None:
    """Move a closure to the new system. Given again after an interruption, it takes up where it was.

    Ctrl-C before the flip aborts and reopens the old side; after it, it only stops looking.
    """
    _change_owner(closure, Side.CANONICAL, as_json=as_json)


@switch_app.command("rollback", epilog="Example: banyan switch rollback 38.cases")
def rollback_command(closure: Closure, as_json: AsJson = False) -> None:
    """Move a closure back to the old system, with everything people did in the new one.

    Ctrl-C before the flip back reopens the new side.
    """
    _change_owner(closure, Side.LEGACY, as_json=as_json)


@switch_app.command("abort", epilog="Example: banyan switch abort 38.cases")
def abort_command(closure: Closure, as_json: AsJson = False) -> None:
    """Give up a switch before its flip, or a rollback before its flip back, and open the side that owns."""
    from cutover.execute import Order
    from cutover.switching import abort
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        actor = OperatingSystemActors(workspace.project.people).current()
        row = abort(rig, rig.closure(closure), Order(actor)).row
    told = {"closure": row.closure, "phase": row.phase.value, "owner": row.owner.value, "epoch": row.epoch}
    if as_json:
        print_json(told)
        return
    side = "old" if row.owner is Side.LEGACY else "new"
    print_line(f"ABORTED  {spoken(row.closure)}        the {side} side is open, owner {row.owner.value}")
    print_next(f"banyan switch status {closure}")


@switch_app.command("status", epilog="Example: banyan switch status 38.cases")
def status_command(closure: Closure, as_json: AsJson = False) -> None:
    """Ask the world again: who can write, whether one can go back and until when. Exit 5 when that is not certain.

    A way back that nobody walks any more, or a guard that is dead, is an alarm and exit 3.
    """
    from cutover.status import read_status
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = movable_rig(workspace, closure)
        status = read_status(rig, rig.closure(closure))
    if as_json:
        print_json(asdict(status))
    else:
        print_line(f"{status.writer.value}  {spoken(status.closure)}")
        print_line(f"  phase  {status.phase.value}, owner {status.owner.value}, epoch {status.epoch}")
        print_line(f"  fence  {status.fence}")
        if status.seconds_left is not None:
            left = f"{status.seconds_left:.0f} s until it is given up by itself"
            print_line(f"  time   {left if status.seconds_left > 0 else 'over: the guard gives it up'}")
        if status.past is not None:
            print_line(f"  last   nobody could write for {_milliseconds(status.past.outage_ms)}")
        if status.reason:
            print_line(f"  why    {status.reason}")
        print_line(f"  back   {status.way_back}; {status.rehearsed}")
        print_line(f"  guard  {status.guard}")
        for alarm in status.alarms:
            print_line(f"ALARM  {alarm}")
        for doubt in status.doubts:
            print_line(f"UNCERTAIN  {doubt}")
        print_next("call the duty engineer" if status.doubts else status.next_command)
    if status.doubts:
        raise typer.Exit(5)
    if status.alarms:
        raise typer.Exit(3)


for _name, _command, _example in (
    ("rehearse", rehearse_command, "banyan switch rehearse 38.cases"),
    ("complete", complete_command, "banyan switch complete 38.cases --as lead"),
    ("reconcile", reconcile_command, "banyan switch reconcile 38.cases --keep canonical --as lead"),
    ("code", code_command, "banyan switch code 38.cases"),
    ("routes", routes_command, "banyan switch routes --publish"),
    ("runbook", runbook_command, "banyan switch runbook 38.cases sheets"),
):
    switch_app.command(_name, epilog=f"Example: {_example}")(_command)


def _change_owner(closure: str, to: Side, *, as_json: bool) -> None:
    from banyan.clock import now
    from cutover.execute import Order
    from cutover.switching import roll_back, switch
    from sync.workspace import opened

    with opened(current_project()) as workspace, stopped_by_ctrl_c() as is_stopped:
        rig = movable_rig(workspace, closure)
        found = rig.closure(closure)
        actor = OperatingSystemActors(workspace.project.people).current()
        lines = _Lines(to, is_silent=as_json)
        order = Order(actor, watcher=lines.tell, is_stopped=is_stopped)
        if not as_json:
            print_line(f"SWITCH  {spoken(found.name)} -> {to.value}        {now():%H:%M:%S} UTC")
        try:
            report = switch(rig, found, order) if to is Side.CANONICAL else roll_back(rig, found, order)
        except SwitchUncertain:
            lines.end("UNCERTAIN")
            raise
        except SwitchRefused:
            lines.end("FAILED")
            raise
    if as_json:
        print_json(asdict(report))
    else:
        _print_end(report, closure)


class _Lines:
    """One line for each step as it ends."""

    def __init__(self, to: Side, *, is_silent: bool) -> None:
        from cutover.plan import steps_to

        self._to = to
        self._names = [step.value for step in steps_to(to)]
        self._done: list[str] = []
        self._is_silent = is_silent

    def tell(self, report: "StepReport") -> None:
        """Write the line of a step that is done."""
        self._done.append(report.name.value)
        if not self._is_silent:
            self._write(report.name.value, "DONE", f"{report.milliseconds:>6} ms   {visible(report.remark)}")

    def end(self, word: str) -> None:
        """Write the line of the step at which it ended otherwise; nothing when no step was begun."""
        left = [name for name in self._names if name not in self._done]
        if self._done and left and not self._is_silent:
            self._write(left[0], word, "")

    def _write(self, name: str, word: str, rest: str) -> None:
        title = _TITLES.get((self._to, name)) or _PLAIN[name]
        print_line(f"  {self._names.index(name) + 1} {title:<24} {word:<9} {rest}".rstrip())


def _print_plan(planned: "Plan", asked: str) -> None:
    from cutover.steps import describe

    print_line(f"PLAN  {spoken(planned.closure)} -> {planned.to.value}        nothing has been touched")
    rows = [
        (f"{step.number} {describe(step, planned).title}", describe(step, planned).done_when, f"{step.expected_ms} ms")
        for step in planned.steps
    ]
    print_table("", ("step", "done when", "expected"), rows)
    outage = _milliseconds(planned.expected_outage_ms)
    ending = "automatic abort" if planned.to is Side.CANONICAL else "the new side opens again"
    print_line(f"  outage expected {outage} (budget {planned.budget_seconds:.0f} s, then {ending})")
    if planned.shared_tables:
        print_line(f"  moved together because they share  {', '.join(planned.shared_tables)}")
    for obstacle in planned.obstacles:
        print_line(f"  missing  {obstacle.sentence}")
    for remark in planned.remarks:
        print_line(f"  note     {remark}")
    print_line(f"  plan {planned.digest[:4]}…{planned.digest[-4:]}")
    verb = "run" if planned.to is Side.CANONICAL else "rollback"
    print_next(f"banyan switch {verb} {asked}" if planned.is_possible else planned.obstacles[0].next_command)


def _print_end(report: "SwitchReport", asked: str) -> None:
    if report.was_done_before:
        print_line(f"It was done before: owner {report.owner.value}, epoch {report.epoch}. Nothing was touched.")
    else:
        expected = f" (expected {_milliseconds(report.expected_ms)})" if report.expected_ms is not None else ""
        print_line(f"Nobody could write for {_milliseconds(report.outage_ms)}{expected}.")
    if report.plan_digest:
        print_line(f"plan {report.plan_digest[:4]}…{report.plan_digest[-4:]}")
    print_next(f"banyan switch status {asked}")


def _milliseconds(milliseconds: int | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds} ms"
