"""`banyan quarantine`: what no rule may carry, grouped by cause; values only with a reason, which is logged."""

from typing import TYPE_CHECKING, Annotated

import typer

from banyan.errors import UsageError
from cli.places import current_project
from cli.tables import print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cli.refusals import Cause

quarantine_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

DepartmentArgument = Annotated[str, typer.Argument(metavar="DEPT", help="A department of the project, such as 38.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


@quarantine_app.callback()
def quarantine() -> None:
    """Show what waits in quarantine; a bad field never blocks its row."""


@quarantine_app.command("top", epilog="Example: banyan quarantine top 38")
def show_top(
    dept: DepartmentArgument,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Causes to show, the greatest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the causes of a department, the greatest first, with what each one blocks."""
    from cli.refusals import read_causes
    from sync.workspace import opened

    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        causes, loaded, degraded = read_causes(workspace.engine("banyan_steward"), dept)
    shown = causes[:limit]
    if as_json:
        print_json(
            {"causes": [cause.document() for cause in causes], "loaded_rows": loaded, "degraded_write_backs": degraded}
        )
        return
    rows = [
        (cause.name, f"{cause.sentence} in {cause.place}", cause.rows, cause.fields, f"{cause.since:%Y-%m-%d}")
        for cause in shown
    ]
    print_table("", ("list", "cause", "rows", "fields", "since"), rows)
    fields, blocked = sum(cause.fields for cause in causes), sum(cause.rows for cause in causes)
    print_line(
        f"  {len(shown)} of {len(causes)} causes shown · {fields} fields of {loaded} loaded rows · "
        f"{blocked} rows blocked" + (f" · {degraded} degraded write-backs" if degraded else "")
    )
    if shown:
        print_next(f"banyan quarantine show {dept} {shown[0].name} --reason TEXT")


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

    number = cause.upper().removeprefix("Q-")
    if not number.isdigit():
        raise UsageError(f"{cause} is no cause; nothing was read", hint=f"banyan quarantine top {dept}")
    project = current_project()
    project.department(dept)
    with opened(project) as workspace:
        look = Look(dept, int(number), limit, actor_of(workspace), reason.strip())
        found, entries = read_entries(workspace.engine("banyan_steward"), look)
    if as_json:
        print_json({**found.document(), "entries": entries, "values_shown": bool(look.reason)})
        return
    _print_entries(found, entries, dept=dept, has_values=bool(look.reason))


def _print_entries(found: "Cause", entries: list[dict[str, object]], *, dept: str, has_values: bool) -> None:
    print_line(f"{found.name}  {found.sentence} in {found.place}")
    print_table("", list(entries[0]) if entries else ["key"], [list(entry.values()) for entry in entries])
    print_line(f"  {len(entries)} of {found.rows + found.fields} entries shown")
    if has_values:
        print_line("  logged as a consultation")
    else:
        print_line("  values are shown only with --reason, which the processing log keeps")
    if entries:
        print_next(f"banyan trace {found.table} {dept}:{entries[0]['key']} --reason TEXT")
