"""`banyan guard`: the watchdog of deadlines and half-open switches, as a process of its own."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.judgements import AsJson
from cli.places import current_project
from cli.tables import print_json, print_line, print_next

if TYPE_CHECKING:
    from cutover.guard import GuardReport
    from sync.assembly import Rig
    from sync.workspace import Workspace

Once = Annotated[bool, typer.Option("--once", help="Look at every closure once, then end.")]
PrintUnit = Annotated[bool, typer.Option("--print-unit", help="Write the systemd unit of this project's guard.")]


def guard(once: Once = False, print_unit: PrintUnit = False, as_json: AsJson = False) -> None:
    """Watch every closure: give up what is late, finish openings, arm a store that has started, look at each seal.

    Runs until Ctrl-C, with a heartbeat in the store. Exit 5 when something was in doubt.
    """
    from banyan.clock import now
    from cutover.guard import guard_once, run_guard
    from sync.workspace import opened

    if print_unit:
        from cutover.alive import print_unit as unit_of

        print_line(unit_of(str(current_project().folder), sys.executable).rstrip())
        return
    with opened(current_project()) as workspace, stopped_by_ctrl_c() as is_stopped:
        watched = [(rig, closure) for rig in _rigs(workspace) for closure in rig.closures]
        if once:
            reports = [guard_once(rig, closure, now=now()) for rig, closure in watched]
            for report in reports:
                _print_guard(report, as_json=as_json)
            is_sure = all(report.is_sure for report in reports)
        else:
            seen: dict[str, GuardReport] = {}

            def tell(report: "GuardReport") -> None:
                if seen.get(report.closure) != report:
                    seen[report.closure] = report
                    _print_guard(report, as_json=as_json)

            with _published(workspace):
                is_sure = run_guard(watched, report=tell, is_stopped=is_stopped)
    if not is_sure:
        raise typer.Exit(5)


def spoken(closure: str) -> str:
    """Say a closure as its slices: `38.cases + 38.vehicles`."""
    department, _, domains = closure.partition(".")
    return " + ".join(f"{department}.{domain}" for domain in domains.split("+"))


@contextmanager
def stopped_by_ctrl_c() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C ask for an orderly end between two steps; a second one interrupts."""
    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def ask(_: int, __: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stop.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _published(workspace: "Workspace") -> Iterator[None]:
    """Keep the proxies of the project told who owns what, as long as the guard runs; say when one stops answering."""
    if not workspace.project.proxies:
        yield
        return
    from cutover.routing.publish import Published, follow_ownership

    stop = threading.Event()
    last: dict[str, bool] = {}

    def tell(told: "tuple[Published, ...]") -> None:
        for one in told:
            if one.is_reached != last.get(one.proxy, True):
                print_line(f"{'OK' if one.is_reached else 'NO'}  proxy {one.proxy}  {one.reason or 'answers again'}")
            last[one.proxy] = one.is_reached

    thread = threading.Thread(target=follow_ownership, args=(workspace, stop), kwargs={"told": tell}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=10)


def _rigs(workspace: "Workspace") -> "Iterator[Rig]":
    from banyan.departments import SourceRef
    from sync.assembly import open_rig

    for code, department in workspace.project.departments.items():
        for system, source in department.sources.items():
            if source.is_database:
                yield open_rig(workspace, SourceRef(code, system))


def _print_guard(report: "GuardReport", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    word = "ok" if report.is_sure else "UNCERTAIN"
    print_line(f"{word:<9}  {spoken(report.closure)}  {report.phase.value}, owner {report.owner.value}")
    for deed in report.deeds:
        print_line(f"           did: {deed}")
    for doubt in report.doubts:
        print_line(f"           {doubt}")
    if report.doubts:
        print_next(f"call the duty engineer, then: banyan switch status {report.closure}")
