"""`banyan gate`: what the gate of a closure answers, and the signatures of two people."""

from pathlib import Path
from typing import Annotated

import typer

from banyan.config import OperatingSystemActors
from banyan.errors import UsageError
from cli import acceptances
from cli.judgements import AsJson, Closure, rig_of
from cli.keys import key_file_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

gate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The gate of a closure and its signatures.")
gate_app.command("waive", epilog=acceptances.WAIVE_EXAMPLE)(acceptances.waive)
gate_app.command("request", epilog=acceptances.REQUEST_EXAMPLE)(acceptances.request)
gate_app.command("accept", epilog=acceptances.ACCEPT_EXAMPLE)(acceptances.accept)


@gate_app.command("show", epilog="Example: banyan gate show 38.cases")
def show(closure: Closure, as_json: AsJson = False) -> None:
    """Show the evidence that a closure would move on, what the gate answers now, and who has signed; changes nothing.

    It is the newest made for the next change of owner while that is fresh; a later one that says NO-GO, whatever it was
    made for, stands in its place; without any, it is the newest of all.
    """
    from banyan.clock import now
    from cutover.ground import find_current
    from cutover.proof import current_judgement, evidence_folder
    from cutover.signatures import read_sign_offs
    from store.postgres import transaction
    from sync.workspace import opened
    from validation.evidence import verify_bundle

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        with transaction(workspace.engine("banyan_judge")) as connection:
            evidence = find_current(connection, name, at=now())
        if evidence is None:
            raise UsageError(f"{name} has no evidence yet", hint=f"banyan validate run {closure}")
        signed = read_sign_offs(rig, evidence.evidence_id)
        checked = verify_bundle(evidence_folder(rig, evidence.evidence_id), evidence_id=evidence.evidence_id)
        verdict, reasons = "NO-GO", ["the evidence on disk is not what was written"]
        missing: tuple[str, ...] = ()
        not_asked: list[str] = []
        waived: list[tuple[object, ...]] = []
        if checked.facts is not None and checked.is_sound:
            judgement = current_judgement(rig, checked.facts, evidence.evidence_id, at=now())
            verdict, missing = judgement.kind.value, judgement.missing_roles
            reasons = [reason.sentence.en for reason in judgement.reasons]
            not_asked = [each.en for each in checked.facts.profile.unasked_checks]
            waived = [
                (w.number, w.level, w.rule, w.cause, len(w.records), w.until.date().isoformat())
                for w in checked.facts.waivers
            ]
    people = [(each.actor, each.role, each.decision.value, each.signed_at.isoformat()) for each in signed.accepted]
    if as_json:
        print_json(
            {
                "closure": name,
                "evidence_id": evidence.evidence_id,
                "profile": evidence.profile,
                "verdict": verdict,
                "reasons": reasons,
                "missing_signatures": list(missing),
                "not_asked": not_asked,
                "waivers": [
                    dict(zip(("number", "level", "rule", "cause", "records", "until"), line, strict=True))
                    for line in waived
                ],
                "signatures": [dict(zip(("actor", "role", "decision", "at"), p, strict=True)) for p in people],
            }
        )
        return
    print_line(
        f"{verdict}  {name} · evidence {evidence.evidence_id[:8]}…{evidence.evidence_id[-4:]} for {evidence.profile}"
    )
    for reason in reasons:
        print_line(f"  {reason}")
    if waived:
        print_table("", ("waiver", "level", "rule", "cause", "records", "until"), waived)
    print_line("not asked in this profile: " + ("; ".join(not_asked) or "nothing"))
    print_table("", ("signed by", "role", "decision", "at"), people)
    if missing:
        print_next(f"banyan gate sign {closure} --as {missing[0]}")


@gate_app.command("sign", epilog="Example: banyan gate sign 38.cases --as steward")
def sign(
    closure: Annotated[
        str, typer.Argument(metavar="DEPT.DOMAIN|REQUEST", help="A closure, or a file made by `gate request`.")
    ],
    role: Annotated[str, typer.Option("--as", help="Sign in this role: steward, lead.")] = "",
    key: Annotated[
        Path | None, typer.Option("--key", help="Key file; default .banyan/keys/NAME.json of the project.")
    ] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Sign a refusal.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="For a request: the file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign the evidence that `gate show` shows; a switch needs a steward and a lead, two different people.

    The first time, a key is made for you; its public half goes to keys/NAME.pub of the project. A request file is
    signed with --key on any workstation, without a project; what it writes is taken by `gate accept`.
    """
    from cutover.signatures import sign_evidence
    from sync.workspace import opened

    if closure.endswith(".json"):
        acceptances.sign_elsewhere(Path(closure), key, out=out, is_refused=refuse, as_json=as_json)
        return
    if not role:
        raise UsageError("say in which role you sign; nothing was signed", hint="--as steward, or --as lead")
    with opened(current_project()) as workspace:
        actor = OperatingSystemActors(workspace.project.people).current(role)
        path = key or key_file_of(workspace, actor.name)
        rig = rig_of(workspace, closure)
        entry = sign_evidence(rig, closure, actor=actor, key_file=path, accept=not refuse)
        name = rig.closure(closure).name
    told = {
        "evidence_id": entry.evidence_id,
        "actor": actor.name,
        "role": actor.role,
        "decision": "ACCEPT" if entry.accepted else "REFUSE",
    }
    if as_json:
        print_json(told)
        return
    print_line(f"SIGNED  {name}")
    print_facts(told)
    print_next(f"banyan gate show {closure}")
