"""`banyan validate`: run the levels, write evidence and pages, verify a bundle."""

from itertools import islice, pairwise, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import SourceRef
from banyan.errors import GateClosed, SourceUnreadable, UsageError
from banyan.findings import LevelState, VerdictKind
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cutover.judgement import Judged
    from sync.assembly import Rig
    from sync.workspace import Workspace
    from validation.detached import Found
    from validation.evidence import Verification

validate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Levels L0 to L6 and their evidence.")

Closure = Annotated[str, typer.Argument(metavar="DEPT.DOMAIN", help="A closure, or one of its domains: 38.cases")]
_NAMED = ("level", "table", "key", "column", "cause")
_SIGNED = ("actor", "role", "decision", "at", "public_key", "key")
_MOST_NAMED = 20
_NO = 3
"""The exit code of a no; with --json the document itself says why, and nothing is written after it."""
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document.")]


def rig_of(workspace: "Workspace", closure: str) -> "Rig":
    """Open the legacy system whose rules hold a closure."""
    from sync.assembly import open_rig

    code = closure.partition(".")[0]
    for system in workspace.project.departments[workspace.project.department(code).code].sources:
        rig = open_rig(workspace, SourceRef(code, system))
        if any(code == found.department_code for found in rig.closures):
            rig.closure(closure)
            return rig
    raise UsageError(f"department {code} has no legacy system in the project; nothing was read")


@validate_app.command("run", epilog="Example: banyan validate run 38.cases")
def run(
    closure: Closure,
    profile: Annotated[
        str,
        typer.Option("--profile", help="What the gate asks: rehearsal, shadow, switch, rollback, complete or full."),
    ] = "",
    incremental: Annotated[
        bool,
        typer.Option("--incremental", help="Judge again what changed since the last one, and the slices due since."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the levels of a closure and write its evidence; exit 3 when the gate says NO-GO.

    The profile is `switch`, and `shadow` with --incremental: no switch rests on a pass that is not complete.
    """
    from cli.tellings import announce_on_stderr
    from cutover.judgement import judge_closure
    from sync.workspace import opened
    from validation.rules_worker import RuleWorker

    with RuleWorker() as worker, opened(current_project()) as workspace:
        judged = judge_closure(
            rig_of(workspace, closure),
            closure,
            profile=profile or ("shadow" if incremental else "switch"),
            announce=announce_on_stderr,
            worker=worker,
            is_incremental=incremental,
        )
    if as_json:
        print_json(tell_judged(judged))
        raise typer.Exit(_NO if judged.judgement.kind is VerdictKind.NO_GO else 0)
    print_judged(judged)
    if judged.judgement.kind is VerdictKind.NO_GO:
        raise GateClosed(
            f"{judged.facts.closure}: NO-GO; nothing was changed",
            hint=_where_to_look(judged, closure),
            reasons=tuple(reason.sentence.en for reason in judged.judgement.reasons),
        )


def _where_to_look(judged: "Judged", closure: str) -> str:
    """Give the command that says more: rows where rows differ, else the page."""
    failed = {level.level for level in judged.facts.levels if level.state is not LevelState.PASS}
    return f"banyan recon explain {closure}" if "L4" in failed else f"banyan validate report {closure}"


def tell_judged(judged: "Judged") -> dict[str, object]:
    """Give what was judged as one document for machines."""
    return {
        "closure": judged.facts.closure,
        "verdict": judged.judgement.kind.value,
        "reasons": [reason.sentence.en for reason in judged.judgement.reasons],
        "missing_signatures": list(judged.judgement.missing_roles),
        "evidence_id": judged.bundle.evidence_id,
        "evidence": str(judged.bundle.folder),
        "levels": {level.level: {"state": level.state.value, **level.figures} for level in judged.facts.levels},
        "not_asked": [check.en for check in judged.facts.profile.unasked_checks],
        "waivers": [waiver.number for waiver in judged.facts.waivers],
        "named": [dict(zip(_NAMED, line, strict=True)) for line in name_findings(judged)],
    }


def name_findings(judged: "Judged") -> list[tuple[str, str, str, str, str]]:
    """Name findings that block, by reference and never by value: level, table, key, column, cause.

    The first ones of each level: many of one level never hide what another one found.
    """
    from banyan.findings import Severity

    by_level = [
        [
            (level.level, found.table, found.key, found.column or "", found.cause or found.kind.value)
            for found in level.findings
            if found.severity is Severity.BLOCK
        ]
        for level in judged.measured.levels
    ]
    in_turn = (line for turn in zip_longest(*by_level) for line in turn if line is not None)
    return sorted(islice(in_turn, _MOST_NAMED), key=itemgetter(0))


def print_judged(judged: "Judged") -> None:
    """Show what was judged: the verdict first, then each level, then what was not asked."""
    judgement = judged.judgement
    print_line(f"{judgement.kind.value}  {judged.facts.closure} · profile {judged.facts.profile.name}")
    rows = [(level.level, level.state.value, level.sentence) for level in judged.facts.levels]
    print_table("", ("level", "state", "what it found"), rows)
    for reason in judgement.reasons:
        print_line(f"  {reason.sentence.en}")
    if named := name_findings(judged):
        print_table("", _NAMED, named)
    unasked = "; ".join(check.en for check in judged.facts.profile.unasked_checks)
    print_line(f"not asked in this profile: {unasked or 'nothing'}")
    print_facts({"evidence": judged.bundle.evidence_id, "recompute": "sha256sum FILES.sha256"})
    if judgement.kind is VerdictKind.AWAITING:
        print_next(f"banyan gate sign {judged.facts.closure} --as {judgement.missing_roles[0]}")


@validate_app.command("report", epilog="Example: banyan validate report 38.cases --out reports")
def report(
    closure: Closure,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.fr.html and report.en.html.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Write the page of the evidence that `gate show` shows, in French and English; self-contained, without a network.

    Beside it, in `tables`, the same figures as CSV files and as a workbook; no formula in them is ever computed.
    """
    from banyan.clock import now
    from cli.tellings import story_of
    from cutover.ground import find_current
    from cutover.pages import write_pages, write_tables
    from cutover.proof import current_judgement, evidence_folder
    from store.postgres import transaction
    from sync.workspace import opened
    from validation.evidence import Bundle, verify_bundle

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        with transaction(workspace.engine("banyan_judge")) as connection:
            evidence = find_current(connection, name, at=now())
        if evidence is None:
            raise UsageError(f"{name} has no evidence yet; no page was written", hint=f"banyan validate run {closure}")
        folder = evidence_folder(rig, evidence.evidence_id)
        checked = verify_bundle(folder, evidence_id=evidence.evidence_id)
        if checked.facts is None or not checked.is_sound:
            raise SourceUnreadable(
                f"the evidence in {folder} was changed since it was written; no page was written",
                hint=f"banyan validate verify {folder}",
            )
        judgement = current_judgement(rig, checked.facts, evidence.evidence_id, at=now())
        bundle = Bundle(evidence.evidence_id, folder, evidence.previous_id)
        pages = write_pages(checked.facts, judgement, bundle, story_of(rig, name), folder=out)
        tables = write_tables(checked.facts, bundle, folder=out / "tables")
    if as_json:
        print_json({language.value: str(path) for language, path in pages.items()} | {"tables": [*map(str, tables)]})
        return
    for path in (*pages.values(), *(path for path in tables if path.suffix == ".xlsx")):
        print_line(str(path))


@validate_app.command("sample", epilog="Example: banyan validate sample 38.cases --wrong-under 1")
def sample(
    closure: Closure,
    size: Annotated[int | None, typer.Option("--size", min=1, help="How many cases; default: what is needed.")] = None,
    wrong_under: Annotated[
        int, typer.Option("--wrong-under", min=1, max=50, help="The share to rule out at 95 %, in per cent.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The lot; the same seed draws the same list.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Draw cases by lot for a steward to compare to the paper; the answers are read at the next `validate run`.

    Fill in the column `answer` of the list with: same, different, or no file. Nothing else may be changed.
    """
    from cutover.judgement import rules_of, subject_of
    from cutover.samples import draw_to_paper
    from sync.workspace import opened
    from validation.sampling import LotRequest

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        lot = LotRequest(size, wrong_under * 10_000, seed)
        drawn = draw_to_paper(
            subject_of(rig, name), workspace.project.folder, closure=name, lot=lot, rules_digest=rules_of(rig, name)
        )
    told = {"list": str(drawn.path), "drawn": drawn.size, "population": drawn.population, "seed": seed}
    if as_json:
        print_json(told)
        return
    print_line(f"DRAWN  {name}")
    print_facts(told)
    print_next(f"fill in {drawn.path}, then: banyan validate run {closure} --profile full")


@validate_app.command("verify", epilog="Example: banyan validate verify evidence/2b28…592a --chain")
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of an evidence bundle.")],
    evidence_id: Annotated[str, typer.Option("--id", help="The hash that was signed, from the page.")] = "",
    chain: Annotated[
        bool, typer.Option("--chain", help="Follow the chain to its first bundle, and compare it with its anchors.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="Folder of NAME.pub of the people you trust; default: the project's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a bundle offline: hashes, list, chain, conclusion, signatures; opens no database. Exit 3 when not sound.

    The files ID.*.signature.json beside it tell who signed, and whether under a key that --keys names. With --chain,
    in a project, the bundles before it are checked too, and the heads kept in the landing zone.
    """
    from validation.detached import Trust, find_detached
    from validation.evidence import verify_bundle, walk_chain

    found = verify_bundle(bundle, evidence_id=evidence_id)
    problems = [f"{problem.kind.value} {problem.file}: {problem.sentence}" for problem in found.problems]
    if chain:
        walked = walk_chain(bundle)
        problems += [
            f"{problem.kind.value} {(after.previous_id or '')[:8]}… {problem.file}: {problem.sentence}"
            for after, each in pairwise(walked)
            for problem in each.problems
        ]
        problems += _compare_with_anchors(walked)
    signed = find_detached(bundle, found.evidence_id, keys=keys)
    problems += [f"SIGNATURE {each.file}: {each.reason}" for each in signed if each.trust is Trust.BROKEN]
    reasons = [reason.sentence.en for reason in found.reasons]
    is_sound = not problems
    signatures = _tell_signatures(signed)
    if as_json:
        told = {"evidence_id": found.evidence_id, "sound": is_sound, "problems": problems, "reasons": reasons}
        print_json({**told, "signatures": signatures})
        raise typer.Exit(0 if is_sound else _NO)
    print_line(f"{'SOUND' if is_sound else 'NOT SOUND'}  {found.evidence_id}")
    for line in (*problems, *reasons):
        print_line(f"  {line}")
    if signatures:
        print_table("", _SIGNED, [tuple(each.values()) for each in signatures])
    else:
        print_line("  no signature stands beside it")
    if not evidence_id:
        print_line("  a bundle forged as a whole is only found with --id HASH, from the page or a signature")
    if not is_sound:
        raise SourceUnreadable(f"the bundle in {bundle} is not what was signed; nothing was changed")


def _tell_signatures(signed: "Sequence[Found]") -> list[dict[str, str]]:
    """Give who signed, as the files that can be read say; roles are granted by the project, not by a file."""
    told = []
    for each in signed:
        if each.signature is not None:
            said, key = each.signature.sign_off, each.signature.public_key
            who = (said.actor, said.role, said.decision.value, said.signed_at.isoformat(), key, each.trust.value)
            told.append(dict(zip(_SIGNED, who, strict=True)))
    return told


def _compare_with_anchors(walked: "Sequence[Verification]") -> list[str]:
    from store.landing import open_landing
    from validation.anchors import compare_chain, read_anchors

    facts = walked[0].facts
    if facts is None:
        return ["CHAIN: the newest bundle cannot be read, so its anchors were not looked for"]
    project = current_project()
    anchors = read_anchors(open_landing(project.landing, folder=project.folder), facts.closure)
    return [f"CHAIN {problem}" for problem in compare_chain(anchors, [each.evidence_id for each in walked])]
