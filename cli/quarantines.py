"""`banyan quarantine`: what no rule may carry, grouped by cause; values only with a reason, which is logged."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.places import current_project
from cli.repairs import repair_cause, replay_causes, undo_decided
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from store.causes import Cause
    from store.decisions import Decision

quarantine_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DepartmentArgument = Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@quarantine_app.callback()
def quarantine() -> None:
    """Show and repair what waits in quarantine; a bad field never blocks its row."""


@quarantine_app.command("top", epilog="Example: banyan quarantine top 38")
def show_top(
    dept: DepartmentArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Causes to show, the greatest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the causes of a department, the greatest first, with what each one blocks; then the decisions that stand."""
    from banyan.departments import SourceRef
    from cli.refusals import read_causes
    from store.decisions import find_decisions
    from store.postgres import transaction
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        steward = workspace.engine("banyan_steward")
        causes, loaded, degraded = read_causes(steward, dept)
        with transaction(steward) as connection:
            sources = [SourceRef(dept, system) for system in project.departments[dept].sources]
            decisions = [one for source in sources for one in find_decisions(connection, source)]
    if as_json:
        print_json(
            {
                "causes": [cause.document() for cause in causes],
                "loaded_rows": loaded,
                "degraded_write_backs": degraded,
                "decisions": [_decision(one) for one in decisions],
            }
        )
        return
    _print_top(dept, causes, limit, told=(loaded, degraded))
    if decisions:
        rows = [(one.name, _told(one), one.actor, f"{one.decided_at:%Y-%m-%d}", one.reason) for one in decisions]
        print_table("", ("decision", "what", "by", "since", "reason"), rows)
    if any(cause.decided for cause in causes):
        print_next(f"banyan quarantine replay {dept}")
    elif causes:
        print_next(f"banyan quarantine show {dept} {causes[0].name} --reason TEXT")


def _print_top(dept: str, causes: "list[Cause]", limit: int, *, told: tuple[int, int]) -> None:
    loaded, degraded = told
    shown = causes[:limit]
    rows = [
        (
            cause.name, f"{cause.sentence} in {cause.place}", cause.rows, cause.fields, f"{cause.since:%Y-%m-%d}",
            f"{cause.decided} decided" if cause.decided else "",
        )
        for cause in shown
    ]  # fmt: skip
    print_table("", ("list", "cause", "rows", "fields", "since", ""), rows)
    fields, blocked = sum(cause.fields for cause in causes), sum(cause.rows for cause in causes)
    print_line(
        f"  {len(shown)} of {len(causes)} causes shown · {fields} fields of {loaded} loaded rows · "
        f"{blocked} rows blocked" + (f" · {degraded} degraded write-backs" if degraded else "")
    )


@quarantine_app.command("show", epilog='Example: banyan quarantine show 38 Q-3 --reason "repair of code NATION"')
def show_cause(
    dept: DepartmentArgument,
    cause: Annotated[str, typer.Argument(metavar="CAUSE", help="A cause of `quarantine top`, such as Q-3.")],
    reason: Annotated[str, typer.Option("--reason", help="Shows the values as well, and is kept in the log.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Entries to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the keys and columns of one cause; the values only with --reason, logged as a consultation."""
    from cli.refusals import Look, read_entries
    from sync.movement import actor_of
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        look = Look(dept, cause, limit, actor_of(workspace), reason.strip())
        keys = workspace.landing.keys if look.reason else None
        found, entries = read_entries(workspace.engine("banyan_steward"), look, keys)
    if as_json:
        print_json({**found.document(), "entries": entries, "values_shown": bool(look.reason)})
        return
    _print_entries(found, entries, dept=dept, has_values=bool(look.reason))


def _print_entries(found: "Cause", entries: list[dict[str, object]], *, dept: str, has_values: bool) -> None:
    print_line(f"{found.name}  {found.sentence} in {found.place}")
    print_table("", list(entries[0]) if entries else ["key"], [list(entry.values()) for entry in entries])
    print_line(f"  {len(entries)} of {found.entries} entries shown")
    if has_values:
        print_line("  logged as a consultation")
    else:
        print_line("  values are shown only with --reason, which the processing log keeps")
    if entries:
        print_next(f"banyan trace {found.table} {dept}:{entries[0]['key']} --reason TEXT")


@quarantine_app.command("degraded", epilog="Example: banyan quarantine degraded 38 --kind CONFLICT")
def show_degraded(
    dept: DepartmentArgument,
    kind: Annotated[str, typer.Option("--kind", help="Lists the keys of one kind, such as CONFLICT.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Lines to show.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what the old system could not be told on the way back, or was told over, by column and cause.

    An entry leaves the list when both sides say the same again; what was written over behind the fence stays.
    """
    from banyan.errors import UsageError
    from cli.degraded import read_groups, read_keys
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        steward = workspace.engine("banyan_steward")
        groups = read_groups(steward, dept)
        known = sorted({one.kind for one in groups})
        if kind and kind not in known:
            told = f"there are {', '.join(known)}" if known else "none is open"
            raise UsageError(f"no degraded write-back of {dept} is of the kind {kind}: {told}; nothing was changed")
        keys = read_keys(steward, dept, kind=kind, limit=limit) if kind else []
    if as_json:
        print_json({"degraded": [asdict(one) for one in groups], "keys": [asdict(one) for one in keys]})
        return
    if kind:
        rows = [(f"{one.legacy_table} {one.key or '-'}", one.column, one.record, f"{one.since:%Y-%m-%d}")
                for one in keys]  # fmt: skip
        print_table("", ("legacy row", "field", "record", "since"), rows)
        listed = sum(one.records for one in groups if one.kind == kind)
        print_line(f"  {len(keys)} of {listed} entries of the kind {kind} shown")
        if keys and keys[0].key:
            print_next(f"banyan trace {keys[0].legacy_table} {dept}:{keys[0].key} --reason TEXT")
        return
    lines = [(one.kind, f"{one.table}.{one.column}" if one.column else one.table, one.cause, one.records,
              f"{one.since:%Y-%m-%d}") for one in groups[:limit]]  # fmt: skip
    print_table("", ("kind", "field", "cause", "records", "since"), lines)
    total = sum(one.records for one in groups)
    print_line(f"  {len(lines)} of {len(groups)} causes shown · {total} degraded write-backs open")
    if groups:
        print_next(f"banyan quarantine degraded {dept} --kind {groups[0].kind}")


def _told(decision: "Decision") -> str:
    """Say what was decided; texts of records are not shown."""
    what = decision.what
    if what.code is not None:
        return f"{what.code_map}: {what.code} means {what.means}"
    return f"{what.table}.{what.column}: one text is read as {'nothing' if what.read_as is None else 'another one'}"


def _decision(decision: "Decision") -> dict[str, object]:
    return {
        "decision": decision.name, "what": _told(decision), "by": decision.actor, "since": decision.decided_at,
        "cause": decision.cause, "reason": decision.reason,
    }  # fmt: skip


quarantine_app.command(
    "repair",
    epilog='Example: banyan quarantine repair 38 Q-17 --code TRONC=CHAINSAW --reason "request 2026-117" --apply',
)(repair_cause)
quarantine_app.command("replay", epilog="Example: banyan quarantine replay 38")(replay_causes)
quarantine_app.command("undo", epilog='Example: banyan quarantine undo 38 D-4 --reason "wrong map"')(undo_decided)
