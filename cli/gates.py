"""`banyan gate`: what the gate of a closure answers, and the signatures of two people."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import OperatingSystemActors
from banyan.errors import UsageError
from cli.judgements import AsJson, Closure, rig_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from sync.workspace import Workspace

gate_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The gate of a closure and its signatures.")


@gate_app.command("show", epilog="Example: banyan gate show 38.cases")
def show(closure: Closure, as_json: AsJson = False) -> None:
    """Show the newest evidence of a closure, what the gate answers now, and who has signed; changes nothing."""
    from banyan.clock import now
    from cutover.judgement import current_judgement, evidence_folder, read_sign_offs
    from store.judgements import find_last_evidence
    from store.postgres import transaction
    from sync.workspace import opened
    from validation.evidence import verify_bundle

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        with transaction(workspace.engine("banyan_judge")) as connection:
            evidence = find_last_evidence(connection, name)
        if evidence is None:
            raise UsageError(f"{name} has no evidence yet", hint=f"banyan validate run {closure}")
        signed = read_sign_offs(rig, evidence.evidence_id)
        checked = verify_bundle(evidence_folder(rig, evidence.evidence_id), evidence_id=evidence.evidence_id)
        verdict, reasons = "NO-GO", ["the evidence on disk is not what was written"]
        missing: tuple[str, ...] = ()
        if checked.facts is not None and checked.is_sound:
            judgement = current_judgement(rig, checked.facts, evidence.evidence_id, at=now())
            verdict, missing = judgement.kind.value, judgement.missing_roles
            reasons = [reason.sentence.en for reason in judgement.reasons]
    people = [(each.actor, each.role, each.decision.value, each.signed_at.isoformat()) for each in signed.accepted]
    if as_json:
        print_json(
            {
                "closure": name,
                "evidence_id": evidence.evidence_id,
                "verdict": verdict,
                "reasons": reasons,
                "missing_signatures": list(missing),
                "signatures": [dict(zip(("actor", "role", "decision", "at"), p, strict=True)) for p in people],
            }
        )
        return
    print_line(f"{verdict}  {name} · evidence {evidence.evidence_id[:8]}…{evidence.evidence_id[-4:]}")
    for reason in reasons:
        print_line(f"  {reason}")
    print_table("", ("signed by", "role", "decision", "at"), people)
    if missing:
        print_next(f"banyan gate sign {closure} --as {missing[0]}")


@gate_app.command("sign", epilog="Example: banyan gate sign 38.cases --as steward")
def sign(
    closure: Closure,
    role: Annotated[str, typer.Option("--as", help="Sign in this role: steward, lead.")],
    key: Annotated[
        Path | None, typer.Option("--key", help="Key file; default .banyan/keys/NAME.json of the project.")
    ] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Sign a refusal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign the newest evidence of a closure; a switch needs a steward and a lead, two different people.

    The first time, a key is made for you; its public half goes to keys/NAME.pub of the project.
    """
    from cutover.judgement import sign_evidence
    from sync.workspace import opened

    with opened(current_project()) as workspace:
        actor = OperatingSystemActors(workspace.project.people).current(role)
        path = key or key_file_of(workspace, actor.name)
        rig = rig_of(workspace, closure)
        entry = sign_evidence(rig, closure, actor=actor, key_file=path, accept=not refuse)
    told = {
        "evidence_id": entry.evidence_id,
        "actor": actor.name,
        "role": actor.role,
        "decision": "ACCEPT" if entry.accepted else "REFUSE",
    }
    if as_json:
        print_json(told)
        return
    print_line(f"SIGNED  {rig.closure(closure).name}")
    print_facts(told)
    print_next(f"banyan gate show {closure}")


def key_file_of(workspace: "Workspace", name: str) -> Path:
    """Give a person's key file of this project, made with its public half at the first use."""
    from validation.sign_off import make_key_file

    path = workspace.project.state_folder / "keys" / f"{name}.json"
    public = workspace.project.folder / "keys" / f"{name}.pub"
    if not path.exists():
        if public.exists():
            raise UsageError(
                f"{name} signs with a key that is not on this machine; nothing was signed", hint="--key FILE"
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        public.parent.mkdir(exist_ok=True)
        key = make_key_file(path)
        descriptor = os.open(public, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(key + "\n")
    return path
