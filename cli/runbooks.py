"""`banyan switch runbook`: the sheet of a cutover night and the sheet of the old site, from the plan of the switch."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.clock import now
from banyan.departments import Side
from cli.judgements import AsJson, Closure
from cli.places import current_project
from cli.tables import print_json, print_line

if TYPE_CHECKING:
    from banyan.config import Project

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the two sheets are written.")]
Back = Annotated[bool, typer.Option("--back", help="Write the sheets of the way back to the old system.")]
Lang = Annotated[str, typer.Option("--lang", help="Language of the sheets: fr or en.")]


def runbook_command(
    closure: Closure, folder: Folder, back: Back = False, lang: Lang = "fr", as_json: AsJson = False
) -> None:
    """Write the runbook of a cutover night and the sheet of the isolated site, to print. Nothing else is touched.

    Both come from the plan that `banyan switch plan` shows and print its digest: plan again, and compare.
    """
    from cli.closings import movable_rig
    from cutover.declared import read_declarations
    from cutover.deeds import LIMITS
    from cutover.plan import expected_outage_ms, plan_switch
    from cutover.reading import RigReader
    from cutover.runbook.pages import Night, render_isolated, render_night
    from sync.workspace import opened
    from validation.text import Language

    if lang not in (language.value for language in Language):
        raise typer.BadParameter(f"{lang} is not a language of the sheets: fr or en")
    project, at = current_project(), now()
    with opened(project) as workspace:
        rig = movable_rig(workspace, closure)
        found = rig.closure(closure)
        reader = RigReader(rig, found)
        seconds = LIMITS.rollback_seconds if back else LIMITS.budget_seconds
        planned = plan_switch(found, Side.LEGACY if back else Side.CANONICAL, reader, budget_seconds=seconds)
        opens, closes = _window(project, found.name)
        night = Night(
            plan=planned,
            department=project.department(found.department_code),
            legacy_name=rig.source.system_code,
            opens_at=opens,
            closes_at=closes,
            people=project.people,
            way_back_until=(opens or at) + timedelta(days=read_declarations(project.folder).way_back_days),
            rollback_seconds=round(expected_outage_ms(Side.LEGACY, reader.past(Side.LEGACY)) / 1000),
            open_statement=f"{rig.guarded.write_opening(found.name, '...')};" if rig.guarded.has_codes else "",
            lease_seconds=round(LIMITS.lease_seconds),
        )
    folder.mkdir(parents=True, exist_ok=True)
    sheets = {"night": render_night} | ({"isolated-site": render_isolated} if night.open_statement else {})
    for name, render in sheets.items():
        (folder / f"{name}.{lang}.html").write_text(render(night, at=at, language=Language(lang)), encoding="utf-8")
    if as_json:
        print_json({"folder": str(folder), "digest": planned.digest, "is_possible": planned.is_possible})
    else:
        print_line(f"OK  {' and '.join(f'{name}.{lang}.html' for name in sheets)}: written to {folder}")


def _window(project: "Project", closure: str) -> tuple[datetime | None, datetime | None]:
    """Give the window of the decided night of a closure, when rollout.yaml has one."""
    from cutover.declared import ROLLOUT_FILE
    from cutover.rollout.document import read_rollout
    from cutover.rollout.nights import window_of

    if not (project.folder / ROLLOUT_FILE).exists():
        return None, None
    document, _ = read_rollout(project.folder)
    night = document.decided.get(closure)
    return (None, None) if night is None else window_of(document, night)
