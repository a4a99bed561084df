"""`banyan pack`: the two pages a commander signs, with their evidence; and the check anyone makes of them offline."""

from pathlib import Path
from typing import Annotated

import typer

from banyan.errors import SourceUnreadable
from cli.judgements import AsJson, Closure, rig_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next

pack_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The commander's pack of two pages.")
_NO = 3


@pack_app.command("build", epilog="Example: banyan pack build 38.cases --out packs")
def build(
    closure: Closure,
    out: Annotated[Path, typer.Option("--out", help="Folder under which the pack gets its own.")] = Path("packs"),
    as_json: AsJson = False,
) -> None:
    """Write the pack of the evidence that `gate show` shows: two pages in French and English, and their lists.

    What people declare (decision, reservations, who checked) stands in packs/CLOSURE.yaml of the project.
    """
    from cli.tellings import story_of
    from cutover.packs import build_pack
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        blocked = story_of(rig, name).way_back.blocked_by
        pack, folder = build_pack(rig, name, folder=out, blocked_by=blocked)
    judgement = pack.judgement
    told = {
        "pack": str(folder),
        "evidence_id": pack.briefing.evidence_id,
        "digest": pack.digest,
        "numbers": {number.name: number.measure.standing.value for number in pack.numbers},
        "declared": pack.briefing.declared is not None,
        "verdict": judgement.kind.value,
    }
    if as_json:
        print_json(told)
        return
    print_line(f"{judgement.kind.value}  {name} · {folder}")
    print_facts({number.name.replace("_", " "): number.measure.standing.value for number in pack.numbers})
    print_facts({"evidence": pack.briefing.evidence_id, "declarations": pack.digest})
    if pack.briefing.declared is None:
        print_line(f"nothing was declared: no packs/{name}.yaml in the project, and the pack says so")
    print_next(f"banyan pack verify {folder}")


@pack_app.command("verify", epilog="Example: banyan pack verify packs/38.cases-2b28984f-20261123T051200 --id 2b28…")
def verify(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="The folder of a pack.")],
    evidence_id: Annotated[str, typer.Option("--id", help="The hash that was signed, from the page.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make the pages again from the evidence, offline, and compare every byte; exit 3 when one differs.

    No project, database or network is needed. The verdict is recomputed as it was when the pack was built.
    """
    from validation.pack import verify_pack

    found = verify_pack(pack, evidence_id=evidence_id)
    if as_json:
        print_json(
            {
                "evidence_id": found.evidence_id,
                "digest": found.digest,
                "verdict": found.verdict,
                "sound": found.is_sound,
                "problems": list(found.problems),
            }
        )
        raise typer.Exit(0 if found.is_sound else _NO)
    print_line(f"{'SOUND' if found.is_sound else 'NOT SOUND'}  {pack.name}")
    for problem in found.problems:
        print_line(f"  {problem}")
    print_facts({"evidence": found.evidence_id, "declarations": found.digest, "verdict then": found.verdict})
    print_line("  compare both hashes with those on the paper; signatures were checked with the keys inside the pack")
    if not found.is_sound:
        raise SourceUnreadable(f"the pack in {pack} is not what was built; nothing was changed")
