"""`banyan validate` and `banyan recon`: run the levels, write evidence and pages, verify a bundle, explain a line."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.departments import SourceRef
from banyan.errors import GateClosed, SourceUnreadable, UsageError
from banyan.findings import VerdictKind
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from cutover.judgement import Judged
    from sync.assembly import Rig
    from sync.workspace import Workspace

validate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Levels L0 to L6 and their evidence.")
recon_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Row reconciliation.")

Closure = Annotated[str, typer.Argument(metavar="DEPT.DOMAIN", help="A closure, or one of its domains: 38.cases")]
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
    profile: Annotated[str, typer.Option("--profile", help="What the gate asks: switch or full.")] = "switch",
    as_json: AsJson = False,
) -> None:
    """Run the levels of a closure and write its evidence; exit 3 when the gate says NO-GO."""
    from cli.tellings import announce_on_stderr
    from cutover.judgement import judge_closure
    from sync.workspace import opened
    from validation.rules_worker import RuleWorker

    with RuleWorker() as worker, opened(current_project()) as workspace:
        judged = judge_closure(
            rig_of(workspace, closure), closure, profile=profile, announce=announce_on_stderr, worker=worker
        )
    told = tell_judged(judged)
    if as_json:
        print_json(told)
    else:
        print_judged(judged)
    if judged.judgement.kind is VerdictKind.NO_GO:
        raise GateClosed(
            f"{judged.facts.closure}: NO-GO; nothing was changed",
            hint=f"banyan recon explain {closure}",
            reasons=tuple(reason.sentence.en for reason in judged.judgement.reasons),
        )


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
    }


def print_judged(judged: "Judged") -> None:
    """Show what was judged: the verdict first, then each level, then what was not asked."""
    judgement = judged.judgement
    print_line(f"{judgement.kind.value}  {judged.facts.closure} · profile {judged.facts.profile.name}")
    rows = [(level.level, level.state.value, level.sentence) for level in judged.facts.levels]
    print_table("", ("level", "state", "what it found"), rows)
    for reason in judgement.reasons:
        print_line(f"  {reason.sentence.en}")
    print_line("not asked in this profile: " + "; ".join(c.en for c in judged.facts.profile.unasked_checks))
    print_facts({"evidence": judged.bundle.evidence_id, "recompute": "sha256sum FILES.sha256"})
    if judgement.missing_roles:
        print_next(f"banyan gate sign {judged.facts.closure} --as {judgement.missing_roles[0]}")


@validate_app.command("report", epilog="Example: banyan validate report 38.cases --out reports")
def report(
    closure: Closure,
    out: Annotated[Path, typer.Option("--out", help="Folder for report.fr.html and report.en.html.")] = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Write the page of the newest evidence, in French and English; self-contained, opens without a network."""
    from banyan.clock import now
    from cli.tellings import story_of
    from cutover.judgement import current_judgement, evidence_folder
    from cutover.pages import write_pages
    from store.judgements import find_last_evidence
    from store.postgres import transaction
    from sync.workspace import opened
    from validation.evidence import Bundle, verify_bundle

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        with transaction(workspace.engine("banyan_judge")) as connection:
            evidence = find_last_evidence(connection, name)
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
    if as_json:
        print_json({language.value: str(path) for language, path in pages.items()})
        return
    for path in pages.values():
        print_line(str(path))


@validate_app.command("verify", epilog="Example: banyan validate verify evidence/2b28…592a")
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of an evidence bundle.")],
    evidence_id: Annotated[str, typer.Option("--id", help="The hash that was signed, from the page.")] = "",
    as_json: AsJson = False,
) -> None:
    """Check a bundle offline: hashes, list, chain, conclusion; no database is opened. Exit 3 when it is not sound."""
    from validation.evidence import verify_bundle

    found = verify_bundle(bundle, evidence_id=evidence_id)
    problems = [f"{problem.kind.value} {problem.file}: {problem.sentence}" for problem in found.problems]
    reasons = [reason.sentence.en for reason in found.reasons]
    if as_json:
        print_json(
            {"evidence_id": found.evidence_id, "sound": found.is_sound, "problems": problems, "reasons": reasons}
        )
    else:
        print_line(f"{'SOUND' if found.is_sound else 'NOT SOUND'}  {found.evidence_id}")
        for line in (*problems, *reasons):
            print_line(f"  {line}")
        if not evidence_id:
            print_line("  a bundle forged as a whole is only found with --id HASH, from the page or a signature")
    if not found.is_sound:
        raise SourceUnreadable(f"the bundle in {bundle} is not what was signed; nothing was changed")


@recon_app.command("run", epilog="Example: banyan recon run 38.cases")
def recon(closure: Closure, as_json: AsJson = False) -> None:
    """Re-read every legacy row, map it again and compare it with its records; exit 3 when one differs."""
    _reconcile(closure, as_json=as_json, explain=False)


@recon_app.command("explain", epilog="Example: banyan recon explain 38.cases")
def explain(closure: Closure, as_json: AsJson = False) -> None:
    """Do the same and name each differing column and cause, most frequent first."""
    _reconcile(closure, as_json=as_json, explain=True)


def _reconcile(closure: str, *, as_json: bool, explain: bool) -> None:
    from banyan.findings import LevelState
    from cutover.judgement import subject_of
    from sync.workspace import opened
    from validation.reconcile import reconcile

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        found = reconcile(subject_of(rig, closure), watermark=rig.forward().watermark())
    causes = [(c.table, c.column, c.kind.value, c.cause, c.records) for c in found.causes]
    if as_json:
        print_json(
            {
                "state": found.level.state.value,
                **found.level.figures,
                "causes": [
                    dict(zip(("table", "column", "kind", "cause", "records"), line, strict=True)) for line in causes
                ],
            }
        )
    else:
        print_line(f"{found.level.state.value}  {found.level.sentence}")
        if causes or explain:
            print_table("", ("table", "column", "kind", "cause", "records"), causes)
        print_line("L4 maps with the same code as the load: a rule wrong twice in the same way is not seen here")
    if found.level.state is not LevelState.PASS:
        raise GateClosed(
            f"{closure}: {found.level.sentence}; nothing was changed", hint=f"banyan recon explain {closure}"
        )
