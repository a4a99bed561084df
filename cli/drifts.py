"""`banyan source drift`: how a legacy system changed since its rules were agreed, and what each change leads to."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import SourceRef
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, visible

if TYPE_CHECKING:
    from sync.drift_policy import Judged


def show_drift(
    dept: Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")],
    accept: Annotated[bool, typer.Option("--accept", help="Agree on the columns as they are now.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why they are accepted; kept in the processing log.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Compare columns, types and codes with the rules and with what was agreed; exit 3 when a change stops.

    What each kind of change leads to stands under `drift` of the source in banyan.yaml: stop, quarantine, or ignore
    until a day.
    """
    from sync.assembly import open_rig
    from sync.drift import accept as accept_columns
    from sync.drift import find_drift, relative
    from sync.movement import actor_of, sources_of
    from sync.workspace import opened

    project = current_project()
    found: list[tuple[SourceRef, Judged]] = []
    with opened(project) as workspace:
        for source in sources_of(workspace, dept):
            rig = open_rig(workspace, source)
            if accept:
                accept_columns(rig, actor_of(workspace), reason=reason)
            found += [(source, one) for one in relative(find_drift(rig), str(project.folder))]
            rig.close()
    stopping = [one for _, one in found if one.is_stopping]
    if as_json:
        print_json([_document(source, one) for source, one in found])
    else:
        _print(dept, found, stopping=len(stopping))
    if stopping:
        raise typer.Exit(3)


def tell_drift(*, as_json: bool) -> "Callable[[Sequence[Judged]], None]":
    """Give what tells, on standard error, of changes that a run goes on with; each once, however often it looks."""
    before: set[str] = set()

    def tell(judged: "Sequence[Judged]") -> None:
        for one in judged:
            line = f"{one.drift.kind.value}: {one.drift}   ({one.policy.policy})"
            if line in before:
                continue
            before.add(line)
            event = {"event": "drift", "kind": one.drift.kind.value, "table": one.drift.table,
                     "column": one.drift.column, "told": one.drift.told, "policy": one.policy.policy,
                     "rule_lines": [asdict(mark) for mark in one.drift.marks]}  # fmt: skip
            lines = [f"WAIT  {line}", *(f"      {mark}" for mark in one.drift.marks)]
            said = [json.dumps(event, sort_keys=True)] if as_json else [visible(text) for text in lines]
            sys.stderr.write("\n".join(said) + "\n")
        sys.stderr.flush()

    return tell


def _print(dept: str, found: "list[tuple[SourceRef, Judged]]", *, stopping: int) -> None:
    if not found:
        print_line(f"OK    {dept} is as it was agreed")
        return
    for source, one in found:
        word = "NO" if one.is_stopping else "WAIT"
        until = f" until {one.policy.until}" if one.policy.until else ""
        print_line(f"{word:<5} {source}  {one.drift.kind.value}: {one.drift}   ({one.policy.policy}{until})")
        for mark in one.drift.marks:
            print_line(f"      {mark}")
    print_line(f"{stopping} of {len(found)} changes stop the next run")
    change = "change the rule lines named above, or `drift` in banyan.yaml"
    print_next(change if stopping else f"banyan sync run {dept}")


def _document(source: SourceRef, one: "Judged") -> dict[str, object]:
    return {
        "source": str(source),
        "kind": one.drift.kind.value,
        "table": one.drift.table,
        "column": one.drift.column,
        "told": one.drift.told,
        "policy": one.policy.policy,
        "until": one.policy.until,
        "is_stopping": one.is_stopping,
        "rule_lines": [asdict(mark) for mark in one.drift.marks],
    }
