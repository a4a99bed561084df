"""`banyan quarantine repair | replay | undo`: a cause repaired in bulk, previewed first, replayed, taken back."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.progress import show_progress
from cli.runs import print_conservation
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from banyan.config import Project
    from sync.assembly import Rig
    from sync.movement import Carried
    from sync.repair import Preview
    from sync.workspace import Workspace

DepartmentArgument = Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision and in the processing log.")]


def repair_cause(
    dept: DepartmentArgument,
    cause: Annotated[str, typer.Argument(metavar="CAUSE", help="A cause of `quarantine top`, such as Q-17.")],
    code: Annotated[
        list[str] | None, typer.Option("--code", help="CODE=MEANING, in the code map of the column.")
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", help="TEXT=TEXT: read the left one (0x.. for bytes) as the right one, or as nothing."),
    ] = None,
    values_from: Annotated[
        str, typer.Option("--values-from", help="A file of lines TEXT, tabulator, TEXT; - for standard input.")
    ] = "",
    encoding: Annotated[
        str, typer.Option("--encoding", help="Read cells that are no text of the declared encoding by this one.")
    ] = "",
    reason: Reason = "",
    apply: Annotated[bool, typer.Option("--apply", help="Decide; without it, only what would happen is told.")] = False,
    as_json: AsJson = False,
) -> None:
    """Decide a cause at once, a code or a value for all its rows; without --apply it tells what would happen.

    Decided entries leave the list with `quarantine replay`, and come back with `quarantine undo`.
    """
    from store.causes import find_cause
    from store.postgres import transaction
    from sync.movement import actor_of
    from sync.repair import Wish, preview_repair, repair
    from sync.workspace import opened

    wish = Wish(tuple(map(_pair, code or ())), (*map(_reading, value or ()), *_read_values(values_from)), encoding)
    with opened(_project_of(dept)) as workspace:
        with transaction(workspace.engine("banyan_steward")) as connection:
            system = find_cause(connection, dept, cause).system
        rig = _rig(workspace, dept, system)
        preview = preview_repair(rig, cause, wish)
        numbers = repair(rig, preview, actor_of(workspace), reason=reason) if apply else []
        rig.close()
    following = f"banyan quarantine replay {dept}"
    if not apply:
        asked = _asked(code or [], values=value or [], values_from=values_from, encoding=encoding)
        following = f"banyan quarantine repair {dept} {preview.cause.name}{asked} --reason TEXT --apply"
    if as_json:
        print_json({**_document(preview), "decisions": [f"D-{number}" for number in numbers], "next": following})
        return
    _print_preview(preview, numbers)
    print_next(following)


def replay_causes(dept: DepartmentArgument, as_json: AsJson = False) -> None:
    """Map and load the rows again whose entries a decision covers; they leave the list."""
    from sync.movement import actor_of
    from sync.settled import replay_decided
    from sync.workspace import opened

    done = []
    with opened(_project_of(dept)) as workspace:
        for rig in _rigs(workspace, dept):
            watcher = show_progress(f"replay {rig.source}", as_json=as_json)
            done += _ran(replay_decided(rig, actor_of(workspace), watcher=watcher))
            rig.close()
    _tell(done, dept, as_json=as_json, nothing="no decided entry waits for its replay")


def undo_decided(
    dept: DepartmentArgument,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="A decision of `quarantine top`, such as D-4.")],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Take a decision back and carry every row again that it let through: its entries return to the list."""
    from sync.movement import actor_of
    from sync.settled import carry_undone, undo
    from sync.workspace import opened

    with opened(_project_of(dept)) as workspace:
        actor = actor_of(workspace)
        before = _rig_of_decision(workspace, dept, decision)
        found = undo(before, decision, actor, reason=reason)
        before.close()
        rig = _rig(workspace, dept, before.source.system_code)  # by the rules without it
        watcher = show_progress(f"undo {found.name}", as_json=as_json)
        done = _ran(carry_undone(rig, found, actor, watcher=watcher))
        rig.close()
    _tell(done, dept, as_json=as_json, nothing=f"{found.name} is undone; no row held what it was about")


def _asked(codes: list[str], *, values: list[str], values_from: str, encoding: str) -> str:
    """Write the wish as it was given, but for values of records: those are not said again."""
    words = [word for code in codes for word in ("--code", code)] + ["--value", "TEXT=TEXT"] * len(values)
    words += ["--values-from", values_from] if values_from else []
    words += ["--encoding", encoding] if encoding else []
    return "".join(f" {shlex.quote(word)}" for word in words)


def _pair(text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not equals or not left or not right:
        raise UsageError(f"--code {text} is not CODE=MEANING; nothing was changed", hint="--code TRONC=CHAINSAW")
    return left, right


def _reading(text: str) -> tuple[str, str | None]:
    left, equals, right = text.partition("=")
    if not equals or not left:
        raise UsageError("a --value is not TEXT=TEXT; nothing was changed", hint="--value 31/02/1950=28/02/1950")
    return left, right or None


def _read_values(place: str) -> list[tuple[str, str | None]]:
    """Read readings from a file: values of records need not stand on a command line."""
    if not place:
        return []
    try:
        text = (sys.stdin.buffer.read() if place == "-" else Path(place).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{place} cannot be read as UTF-8 text; nothing was changed") from error
    found: list[tuple[str, str | None]] = []
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], 1):
        left, tabulator, right = line.removesuffix("\r").partition("\t")
        if not tabulator or not left:
            raise UsageError(f"line {number} of {place} is not TEXT, tabulator, TEXT; nothing was changed")
        found.append((left, right or None))
    return found


def _project_of(dept: str) -> "Project":
    project = current_project()
    project.department(dept)
    return project


def _rig(workspace: "Workspace", dept: str, system: str) -> "Rig":
    from banyan.departments import SourceRef
    from sync.assembly import open_rig

    return open_rig(workspace, SourceRef(dept, system))


def _rigs(workspace: "Workspace", dept: str) -> "list[Rig]":
    from sync.movement import sources_of

    return [_rig(workspace, dept, source.system_code) for source in sources_of(workspace, dept)]


def _rig_of_decision(workspace: "Workspace", dept: str, name: str) -> "Rig":
    """Find the legacy system a decision is about; the last one tells what is wrong with the name."""
    from sync.settled import find_decision

    *others, last = _rigs(workspace, dept)
    for rig in others:
        try:
            find_decision(rig, name)
        except UsageError:
            rig.close()
            continue
        return rig
    find_decision(last, name)
    return last


def _ran(one: "Carried | None") -> "list[Carried]":
    return [] if one is None else [one]


def _tell(done: "list[Carried]", dept: str, *, as_json: bool, nothing: str) -> None:
    if as_json:
        totals = [
            {"run_no": one.run_no, "rows": one.total.rows.read, "fields": one.total.rejected_fields} for one in done
        ]
        print_json({"runs": totals, "next": f"banyan quarantine top {dept}"})
        return
    for one in done:
        print_conservation(one)
    if not done:
        print_line(f"OK   {dept}: {nothing}")
    print_next(f"banyan quarantine top {dept}")


def _document(preview: "Preview") -> dict[str, object]:
    return {
        **preview.cause.document(), "covered": len(preview.covered), "remaining": preview.remaining,
        "refused_anew": preview.refused_anew, "notes": preview.notes,
    }  # fmt: skip


def _print_preview(preview: "Preview", numbers: list[int]) -> None:
    cause = preview.cause
    told = ", ".join(f"D-{number}" for number in numbers)
    print_line(f"{f'DECIDED {told}' if told else 'PREVIEW'}  {cause.name}  {cause.sentence} in {cause.place}")
    rows = [("clears", len(preview.covered), "")]
    rows += [("stays", count, why or "the row is gone from the old system") for why, count in preview.remaining.items()]
    if preview.refused_anew:
        rows.append(("refused anew", preview.refused_anew, "rows and fields that are not refused today"))
    print_table("", ("", "entries", ""), rows)
    for note in preview.notes:
        print_line(f"  {note}")
    if not told:
        print_line("  nothing has been touched")
