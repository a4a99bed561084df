"""`banyan demo`: the whole story on the synthetic estate, in numbered lines, with a summary and a report."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import Side
from banyan.errors import UsageError
from cli.tables import print_json, print_line, thousands

if TYPE_CHECKING:
    from cli.story import Figures
    from cutover.judgement import Judged
    from estate.new_application import Work
    from sync.assembly import Rig

MARK = "banyan-demo"
NOT_DONE = (
    "network delay, a mainframe, photos and files, a second legacy system, encrypted disks, "
    "query replay, a sample to the paper, a real steward."
)


def demo(
    size: Annotated[str, typer.Option("--size", help="Of the estate: XS, S or M.")] = "S",
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the demo project is made; an earlier demo there is replaced.")
    ] = Path(".banyan/demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same estate.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write the summary as one JSON document.")] = False,
) -> None:
    """Tell the whole story: copy, compare, sign, switch, work, go back, go again; synthetic data, no account.

    Example: banyan demo --size XS --dir /tmp/banyan-demo
    """
    from cli.projects import create_estate_project
    from sync.workspace import opened
    from validation.rules_worker import RuleWorker

    _clear(folder)
    with RuleWorker() as worker:
        announce = _announce
        announce(f"a legacy estate of size {size} and two embedded servers")
        project = create_estate_project(folder, size, seed)
        (folder / ".banyan" / MARK).touch()
        with opened(project) as workspace:
            summary = _tell(workspace, worker, folder, seed=seed, say=print_line if not as_json else _ignore)
    (folder / "summary.json").write_text(
        json.dumps(summary, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8"
    )
    if as_json:
        print_json(summary)


def _ignore(_: str) -> None:
    """Say nothing."""


def _announce(what: str) -> None:
    from cli.tellings import announce_on_stderr

    announce_on_stderr(what)


def _clear(folder: Path) -> None:
    """Make room for a new demo; a folder that is something else is refused."""
    from wire.cleanup import destroy_clusters

    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / ".banyan").is_dir() or not ((folder / ".banyan" / MARK).exists() or _is_unfinished(folder)):
        raise UsageError(f"{folder} is not an earlier demo; nothing was changed", hint="banyan demo --dir ANOTHER")
    destroy_clusters(folder)
    shutil.rmtree(folder)


def _is_unfinished(folder: Path) -> bool:
    """Tell whether a demo was stopped while its project was being made."""
    return not (folder / "banyan.yaml").exists() and (folder / "banyan.yaml.draft").exists()


def _tell(workspace, worker, folder: Path, *, seed: int, say) -> dict[str, object]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    from cli import story
    from sync.assembly import prepare

    figures = story.Figures()
    say(f"ISÈRE 38 · cases + vehicles (one closure)                              synthetic data, seed {seed}")
    rig = prepare(workspace, story.ORION)
    story.read_and_load(workspace, rig, figures, _announce)
    story.follow_by_airflow(rig, figures, _announce)
    rows = figures.total.rows
    say(
        f" 1 read         {thousands(rows.read)} rows of {len(figures.tables)} tables while officers worked"
        f" ({thousands(figures.live_changes)} changes), {figures.total.rejected_fields} unreadable fields named"
    )
    say(
        f" 2 conserved    {thousands(rows.read)} = {thousands(rows.loaded)} loaded"
        f" + {thousands(rows.unchanged)} unchanged + {thousands(rows.deleted)} deleted"
        f" + {thousands(rows.filtered)} filtered + {rows.quarantined} quarantined + {rows.in_flight} in flight"
    )
    judged = story.compare_and_sign(rig, worker, _announce)
    found = judged.reconciliation.level.figures
    say(f" 3 compared     every row re-read and compared: {found['differences']} unexplained                       ok")
    short = f"{judged.bundle.evidence_id[:8]}…{judged.bundle.evidence_id[-4:]}"
    say(f" 4 signed       2 of 2: steward, lead · evidence {short}")
    story.switch_under_load(rig, figures, _announce)
    say(
        f" 5 switched     nobody could write for {figures.outages_ms['switch'] / 1000:.2f} s (this machine, no network)"
    )
    done = story.work(rig, figures, _announce)
    say(
        f" 6 worked       {thousands(done.edits)} edits by the new application;"
        f" the old system refused {figures.refused_writes} writes"
    )
    story.go_back(rig, figures, _announce, folder / ".banyan" / "dumps")
    say(
        f" 7 went back    {thousands(done.edits)} edits taken back, {figures.lost} lost, {figures.degraded} listed as"
        f" degraded; {thousands(figures.untouched_identical)} of {thousands(figures.untouched_rows)} untouched rows"
        " byte-identical"
    )
    again = story.compare_and_sign(rig, worker, _announce)
    figures.outages_ms["second_switch"] = story.switch(rig, Side.CANONICAL, figures, _announce)
    figures.duplicates = story.count_duplicates(rig) + int(again.reconciliation.level.figures["doubled"])
    say(f" 8 went again   {figures.duplicates} duplicates")
    say(f"NOT DONE BY THIS DEMO: {NOT_DONE}")
    report = _write_report(rig, again, done, figures, folder)
    say(f"report  {report}          next  banyan -C {folder} trace t_proc 38:{story.find_born_case(rig)} --reason demo")
    return story.summarise(judged, done, figures, report)


def _write_report(rig: "Rig", judged: "Judged", done: "Work", figures: "Figures", folder: Path) -> Path:
    from dataclasses import replace

    from banyan.clock import now
    from cli.story import CLOSURE
    from cli.tellings import story_of
    from cutover.judgement import current_judgement
    from cutover.pages import write_pages
    from validation.story import Switched, WentAgain, WentBack
    from validation.text import Language

    told = replace(
        story_of(rig, CLOSURE),
        switched=Switched(figures.outages_ms["switch"], figures.refused_writes),
        edits=done.edits,
        went_back=WentBack(
            done.edits,
            figures.lost,
            figures.untouched_rows,
            figures.untouched_identical,
            figures.outages_ms["rollback"],
        ),
        went_again=WentAgain(figures.duplicates, 0, figures.outages_ms["second_switch"]),
    )
    judgement = current_judgement(rig, judged.facts, judged.bundle.evidence_id, at=now())
    return write_pages(judged.facts, judgement, judged.bundle, told, folder=folder)[Language.FR]
