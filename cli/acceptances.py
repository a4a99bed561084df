"""`banyan gate waive|request|accept`: findings accepted by two people, and signatures given on another workstation."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from banyan.config import OperatingSystemActors
from banyan.errors import UsageError
from cli.judgements import AsJson, Closure, rig_of
from cli.keys import key_file_of
from cli.places import current_project
from cli.tables import print_facts, print_json, print_line, print_next, print_table

if TYPE_CHECKING:
    from validation.waivers import Waiver

WAIVE_EXAMPLE = (
    "Example: banyan gate waive 38.cases --as steward --level L2 --rule person_identity"
    " --cause person_identity.surname_present --until 2026-12-31 --reason 'letter of 3 November'"
)
REQUEST_EXAMPLE = "Example: banyan gate request 38.cases --as lead --for paul --out request.json"
ACCEPT_EXAMPLE = "Example: banyan gate accept request.signed.json"
_KEY = "Key file; default .banyan/keys/NAME.json of the project."


def waive(
    closure: Closure,
    role: Annotated[str, typer.Option("--as", help="Your role: steward, lead.")] = "",
    level: Annotated[str, typer.Option("--level", help="The level that failed: L2, L4 or L5.")] = "",
    rule: Annotated[str, typer.Option("--rule", help="The table, or table.column, of the findings.")] = "",
    cause: Annotated[str, typer.Option("--cause", help="The cause of the findings, as the evidence says it.")] = "",
    until: Annotated[str, typer.Option("--until", help="The last day it holds, YYYY-MM-DD.")] = "",
    up_to: Annotated[
        int | None, typer.Option("--up-to", min=1, help="At most so many; default: those there are.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why these findings are accepted; no person's data.")] = "",
    approve: Annotated[int | None, typer.Option("--approve", help="Approve waiver NUMBER of another person.")] = None,
    key: Annotated[Path | None, typer.Option("--key", help=_KEY)] = None,
    as_json: AsJson = False,
) -> None:
    """Accept findings of one rule and cause until a day, or approve what another person asks; without --as, list.

    A waiver names its findings one by one. It lapses when one more appears, when a rule changes, and after its day.
    """
    from cutover import acceptance
    from sync.workspace import opened
    from validation.waivers import Scope

    with opened(current_project()) as workspace:
        rig = rig_of(workspace, closure)
        name = rig.closure(closure).name
        if not role:
            _tell_waivers(acceptance.list_waivers(rig, name), as_json=as_json)
            return
        actor = OperatingSystemActors(workspace.project.people).current(role)
        path = key or key_file_of(workspace, actor.name)
        if approve is not None:
            waiver = acceptance.approve(rig, name, approve, actor=actor, key_file=path)
        else:
            _refuse_incomplete({"level": level, "rule": rule, "cause": cause, "until": until, "reason": reason})
            waiver = acceptance.ask_waiver(
                rig,
                Scope(name, level, rule, cause),
                until=_end_of(until, rig.workspace.project.department(name.partition(".")[0]).time_zone),
                up_to=up_to,
                reason=reason,
                signed_by=(actor, path),
            )
    _tell_waivers([waiver], as_json=as_json)
    if not as_json and approve is None:
        print_next(f"another person: banyan gate waive {closure} --approve {waiver.number} --as lead")
    elif not as_json:
        print_next(f"banyan validate run {closure}")


def request(
    closure: Closure,
    role: Annotated[str, typer.Option("--as", help="The role that signs: steward, lead.")],
    person: Annotated[str, typer.Option("--for", help="Who signs, as `people` of banyan.yaml names them.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("request.json"),
    as_json: AsJson = False,
) -> None:
    """Write a request for one person to sign the evidence on another workstation; changes nothing."""
    from cutover.signatures import request_signature
    from sync.workspace import opened
    from validation.sign_requests import write_request

    with opened(current_project()) as workspace:
        made = request_signature(rig_of(workspace, closure), closure, person=person, role=role)
    write_request(made, out)
    told = {"evidence_id": made.evidence_id, "closure": made.closure, "verdict": made.verdict, "file": str(out)}
    if as_json:
        print_json(told)
        return
    print_line(f"REQUEST  {made.closure} for {person}, {role}")
    print_facts(told)
    print_next(f"there: banyan gate sign {out} --key KEYFILE")


def accept(
    signed: Annotated[Path, typer.Argument(metavar="FILE", help="What `gate sign REQUEST` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Take a decision signed on another workstation: checked against the public key the project knows, then written."""
    from cutover.signatures import accept_signature
    from sync.workspace import opened
    from validation.sign_requests import read_signed

    decision = read_signed(signed)
    with opened(current_project()) as workspace:
        entry = accept_signature(rig_of(workspace, decision.closure), decision)
    told = {
        "evidence_id": entry.evidence_id,
        "actor": entry.actor.name,
        "role": entry.actor.role,
        "decision": "ACCEPT" if entry.accepted else "REFUSE",
    }
    if as_json:
        print_json(told)
        return
    print_line(f"SIGNED  {decision.closure}")
    print_facts(told)
    print_next(f"banyan gate show {decision.closure}")


def sign_elsewhere(path: Path, key: Path | None, *, out: Path | None, is_refused: bool, as_json: bool) -> None:
    """Sign a request file with a key file; needs no project and no network."""
    from banyan.clock import now
    from validation.sign_off import Decision, read_key_file
    from validation.sign_requests import read_request, sign_request, write_signed

    if key is None:
        raise UsageError("a request is signed with a key file; nothing was signed", hint="--key KEYFILE")
    asked = read_request(path)
    decision = Decision.REFUSE if is_refused else Decision.ACCEPT
    done = sign_request(asked, read_key_file(key), decision=decision, signed_at=now())
    target = out or path.with_suffix(".signed.json")
    write_signed(done, target)
    told = {
        "evidence_id": asked.evidence_id,
        "closure": asked.closure,
        "verdict": asked.verdict,
        "actor": asked.actor,
        "role": asked.role,
        "decision": decision.value,
        "file": str(target),
    }
    if as_json:
        print_json(told)
        return
    print_line(f"SIGNED  {asked.closure}")
    print_facts(told)
    print_next(f"in the project: banyan gate accept {target.name}")


def _refuse_incomplete(said: dict[str, str]) -> None:
    missing = [f"--{name}" for name, value in said.items() if not value.strip()]
    if missing:
        raise UsageError(f"a waiver needs {', '.join(missing)}; nothing was written", hint=WAIVE_EXAMPLE)


def _end_of(day: str, zone: str) -> datetime:
    """Give the end of a day at the clock of the department."""
    from zoneinfo import ZoneInfo

    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=ZoneInfo(zone))
    except ValueError as error:
        raise UsageError(f"{day!r} is not a day; nothing was written", hint="--until 2026-12-31") from error
    return (start + timedelta(days=1)).astimezone(UTC)


def _tell_waivers(waivers: "list[Waiver] | tuple[Waiver, ...]", *, as_json: bool) -> None:
    names = ("waiver", "level", "rule", "cause", "records", "up to", "until", "author", "approver")
    lines = [
        (
            each.number,
            each.request.scope.level,
            each.request.scope.rule,
            each.request.scope.cause,
            len(each.request.records),
            each.request.up_to,
            each.request.until.isoformat(timespec="minutes"),
            each.author.name,
            each.approval.actor.name if each.approval else "",
        )
        for each in waivers
    ]
    if as_json:
        print_json([dict(zip(names, line, strict=True)) for line in lines])
        return
    print_table("", names, lines)
