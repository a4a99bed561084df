"""`banyan demo`: the whole story on the synthetic estate, department by department, with a summary and reports."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from banyan.departments import Side
from banyan.errors import UsageError
from cli.tables import print_json, print_line, thousands

if TYPE_CHECKING:
    from cli.stages import Stage
    from cli.story import Figures
    from cutover.judgement import Judged
    from estate.new_application import Work
    from sync.assembly import Rig
    from sync.workspace import Workspace
    from validation.rules_worker import RuleWorker

MARK = "banyan-demo"
NOT_DONE = (
    "network delay, a mainframe, photos and files, a file on a share, encrypted disks, "
    "query replay, a sample to the paper, a real steward."
)


def demo(
    size: Annotated[
        str, typer.Option("--size", help="Of the estate: XS, S, M or L (a real department: 20 minutes).")
    ] = "S",
    folder: Annotated[
        Path, typer.Option("--dir", help="Where the demo project is made; an earlier demo there is replaced.")
    ] = Path(".banyan/demo"),
    only: Annotated[
        str,
        typer.Option(
            "--only", help="Tell these departments, of 38, 48 and 974 (MariaDB): 38 or 38,48. Without it all."
        ),
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same estate.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Write the summary as one JSON document.")] = False,
) -> None:
    """Tell the whole story: copy, compare, sign, switch, work, go back, go again; synthetic data, no account.

    Example: banyan demo --size XS --dir /tmp/banyan-demo
    """
    from cli.estate_projects import create_estate_project
    from sync.workspace import opened
    from validation.rules_worker import RuleWorker

    codes, untold = _departments(only)
    _clear(folder)
    say = print_line if not as_json else _ignore
    with RuleWorker() as worker:
        _announce(f"a legacy estate of size {size} and its embedded servers")
        project = create_estate_project(folder, size, seed, departments=codes)
        (folder / ".banyan" / MARK).touch()
        with opened(project) as workspace:
            summary = _tell_all(workspace, worker, codes, seed=seed, say=say)
    for code, why in untold.items():
        say(f"{code} NOT TOLD  {why}")
    summary["not_told"] = untold
    say(f"NOT DONE BY THIS DEMO: {NOT_DONE}")
    say(f"report  {summary['report']}          next  banyan -C {folder} trace {summary['born']} --reason demo")
    (folder / "summary.json").write_text(
        json.dumps(summary, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8"
    )
    if as_json:
        print_json(summary)


def _departments(only: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Give the departments that are told, and why another one is not."""
    from cli.stages import stages

    known = tuple(stages())
    asked = tuple(code.strip() for code in only.split(",")) if only else known
    unknown = [code for code in asked if code not in known]
    if unknown:
        told = ", ".join(unknown)
        raise UsageError(f"the demo has no department {told}; it has {', '.join(known)}; nothing was made")
    wanted = tuple(code for code in known if code in asked)
    why = _missing_for_mariadb() if "974" in wanted else ""
    if not why:
        return wanted, {}
    if only:
        raise UsageError(f"974 cannot be told: {why}; nothing was made", hint="banyan demo --only 38,48")
    return tuple(code for code in wanted if code != "974"), {"974": why}


def _missing_for_mariadb() -> str:
    """Say what is missing for a department on MariaDB; nothing when it can be told."""
    from importlib.util import find_spec

    from wire.mariadb import find_mariadb, find_mariadb_client

    if find_mariadb() is None or find_mariadb_client() is None:
        return "no MariaDB on this machine: apt install mariadb-server"
    return "" if find_spec("pymysql") else "its driver is not installed: pip install 'banyan-migration[mariadb]'"


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


def _tell_all(
    workspace: "Workspace", worker: "RuleWorker", codes: Sequence[str], *, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Tell the departments one after the other; the summary is that of the first, with those of the others in it."""
    from cli.stages import stages

    told = {code: _tell(workspace, worker, stages()[code], seed=seed, say=say) for code in codes}
    first, *others = told
    return {**told[first], "department": first, "departments": {code: told[code] for code in others}}


def _tell(
    workspace: "Workspace", worker: "RuleWorker", stage: "Stage", *, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    from cli import story
    from sync.assembly import prepare

    figures = story.Figures()
    say(f"{stage.title:<70} synthetic data, seed {seed}")
    rig = prepare(workspace, stage.source)
    story.read_and_load(stage, rig, figures, _announce)
    if stage.is_followed_by_airflow:
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
    judged = story.compare_and_sign(stage, rig, worker, _announce)
    found = judged.reconciliation.level.figures
    say(f" 3 compared     every row re-read and compared: {found['differences']} unexplained                       ok")
    short = f"{judged.bundle.evidence_id[:8]}…{judged.bundle.evidence_id[-4:]}"
    say(f" 4 signed       2 of 2: steward, lead · evidence {short}")
    story.switch_under_load(stage, rig, figures, _announce)
    say(
        f" 5 switched     nobody could write for {figures.outages_ms['switch'] / 1000:.2f} s (this machine, no network)"
    )
    done = story.work(stage, rig, _announce)
    say(
        f" 6 worked       {thousands(done.edits)} edits by the new application;"
        f" the old system refused {figures.refused_writes} writes"
    )
    folder = workspace.project.folder
    story.go_back(stage, rig, figures, _announce, folder / ".banyan" / "dumps" / stage.source.department_code)
    say(
        f" 7 went back    {thousands(done.edits)} edits taken back, {figures.lost} lost, {figures.degraded} listed as"
        f" degraded; {thousands(figures.untouched_identical)} of {thousands(figures.untouched_rows)} untouched rows"
        " byte-identical"
    )
    again = story.compare_and_sign(stage, rig, worker, _announce)
    figures.outages_ms["second_switch"] = story.switch(stage, rig, Side.CANONICAL, figures, _announce)
    figures.duplicates = story.count_duplicates(rig) + int(again.reconciliation.level.figures["doubled"])
    say(f" 8 went again   {figures.duplicates} duplicates")
    report = _write_report(stage, rig, again, done, figures)
    summary = story.summarise(judged, done, figures, report)
    summary |= {"closure": stage.closure, "born": story.find_born(stage, rig)}
    rig.close()
    return summary


def _write_report(stage: "Stage", rig: "Rig", judged: "Judged", done: "Work", figures: "Figures") -> Path:
    """Write the page of one department: of the first into the folder of the demo, of another one below it."""
    from dataclasses import replace

    from banyan.clock import now
    from cli.tellings import story_of
    from cutover.pages import write_pages
    from cutover.proof import current_judgement
    from validation.story import Switched, WentAgain, WentBack
    from validation.text import Language

    told = replace(
        story_of(rig, stage.closure),
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
    project = rig.workspace.project
    code = stage.source.department_code
    folder = project.folder if code == next(iter(project.departments)) else project.folder / "reports" / code
    folder.mkdir(parents=True, exist_ok=True)
    return write_pages(judged.facts, judgement, judged.bundle, told, folder=folder)[Language.FR]
