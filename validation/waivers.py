"""Waivers: a steward accepts findings of one rule and one cause, named one by one, until a date and up to a count.

A waiver is frozen: its set of findings (by keyed pseudonyms), the rules it was given under, its author, another person
who approved it. It lapses by itself when one finding more appears, when a rule changes, and on its last day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256

from banyan.departments import Actor
from banyan.findings import Severity
from validation import canonical_json
from validation.facts import EvidenceFacts, FindingLine, WaiverFact, rules_digest
from validation.sign_off import Signer, SigningKey, is_same_person, sign_message, verify_message
from validation.text import Text

FORMAT = "banyan-waiver/1"
MOST_RECORDS = 10_000
"""Findings one waiver may accept: more than that is a rule to change, not an exception to accept."""


class Lapse(StrEnum):
    """Why a waiver does not hold."""

    NOT_APPROVED = "NOT APPROVED"
    ONE_PERSON = "ONE PERSON"
    BAD_SIGNATURE = "BAD SIGNATURE"
    EXPIRED = "EXPIRED"
    RULES_CHANGED = "RULES CHANGED"
    COUNT_GREW = "COUNT GREW"
    OTHER_RECORDS = "OTHER RECORDS"


LAPSES: Mapping[Lapse, Text] = {
    Lapse.NOT_APPROVED: Text("personne ne l’a approuvée", "nobody has approved it"),
    Lapse.ONE_PERSON: Text("son auteur l’a approuvée lui-même", "its author approved it"),
    Lapse.BAD_SIGNATURE: Text("une signature ne se vérifie pas", "a signature does not verify"),
    Lapse.EXPIRED: Text("sa date est passée", "its date has passed"),
    Lapse.RULES_CHANGED: Text("les règles ont changé depuis", "the rules have changed since"),
    Lapse.COUNT_GREW: Text("il y a plus de constats qu’elle n’en accepte", "there are more findings than it accepts"),
    Lapse.OTHER_RECORDS: Text(
        "des fiches qu’elle ne nomme pas sont touchées", "records it does not name are concerned"
    ),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a waiver is about: a closure, a level, the rule (a table, or a column of it) and the cause."""

    closure: str
    level: str
    rule: str
    cause: str


@dataclass(frozen=True, slots=True)
class WaiverRequest:
    """What an author asks to accept, complete but for who signs."""

    scope: Scope
    records: tuple[str, ...] = field(repr=False)
    up_to: int
    until: datetime
    rules_digest: str
    reason: str

    @property
    def records_digest(self) -> str:
        """Give the digest that freezes the set of findings."""
        return digest_of(self.records)


@dataclass(frozen=True, slots=True)
class Approval:
    """The second person, and what they signed."""

    actor: Actor
    signature: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Waiver:
    """A waiver as it was written down, with its approval once there is one."""

    number: int
    request: WaiverRequest
    author: Actor
    signature: str
    decided_at: datetime
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class CheckedWaivers:
    """Waivers of a closure told apart: those that hold, and those that do not, each with the reason."""

    holding: tuple[Waiver, ...] = ()
    lapsed: tuple[tuple[Waiver, Lapse], ...] = ()


def rule_of(line: FindingLine) -> str:
    """Name what a finding is about, as waivers do: the table, and the column when there is one."""
    return f"{line.table}.{line.column}" if line.column else line.table


def cause_of(line: FindingLine) -> str:
    """Name why, as waivers do: the cause, or the kind of the finding when no cause is known."""
    return line.cause or line.kind.value


def digest_of(records: Iterable[str]) -> str:
    """Digest a set of pseudonyms: the same set, in any order, has the same digest."""
    return sha256("\n".join(sorted(set(records))).encode("ascii")).hexdigest()


def request_waiver(
    facts: EvidenceFacts, scope: Scope, *, up_to: int | None, until: datetime, reason: str
) -> WaiverRequest:
    """Freeze the findings of one level, rule and cause that an evidence lists; refuses with ValueError when it cannot.

    Only listed findings can be accepted: a level that fails without a list keeps the gate closed.
    """
    records = tuple(sorted({line.pseudonym for line in facts.findings if _is_about(line, scope)}))
    if not records:
        raise ValueError(f"the evidence lists no blocking finding of {scope.level} {scope.rule}: {scope.cause}")
    if len(records) > MOST_RECORDS:
        raise ValueError(f"{len(records)} findings are more than the {MOST_RECORDS} a waiver may accept")
    if up_to is not None and up_to < len(records):
        raise ValueError(f"there are {len(records)} findings already, more than {up_to}")
    if until.tzinfo is None:
        raise ValueError("until must be an aware instant")
    if not reason.strip():
        raise ValueError("a waiver needs a reason")
    return WaiverRequest(scope, records, up_to or len(records), until, rules_digest(facts), reason.strip())


def sign_waiver(key: SigningKey, request: WaiverRequest, author: Actor) -> str:
    """Sign a waiver as its author."""
    return sign_message(key, _message(request, author, "AUTHOR", author))


def approve_waiver(key: SigningKey, waiver: Waiver, approver: Actor, *, approved_at: datetime) -> Approval:
    """Sign a waiver as the second person; refuses with ValueError when that is its author."""
    if is_same_person(approver.name, waiver.author.name):
        raise ValueError("the person who approves a waiver is not the one who asked for it")
    signature = sign_message(key, _message(waiver.request, waiver.author, "APPROVER", approver))
    return Approval(approver, signature, approved_at.astimezone(UTC))


def check_waivers(
    waivers: Iterable[Waiver], facts: EvidenceFacts, *, signers: Sequence[Signer], at: datetime
) -> CheckedWaivers:
    """Tell which waivers hold for these facts at an instant: signed by two trusted people, and nothing changed."""
    holding: list[Waiver] = []
    lapsed: list[tuple[Waiver, Lapse]] = []
    for waiver in waivers:
        lapse = _why_lapsed(waiver, facts, signers, at)
        if lapse is None:
            holding.append(waiver)
        else:
            lapsed.append((waiver, lapse))
    return CheckedWaivers(tuple(holding), tuple(lapsed))


def facts_with(facts: EvidenceFacts, checked: CheckedWaivers) -> EvidenceFacts:
    """Give the facts with the waivers they rest on: those that hold and that accept something of them."""
    used = [each for each in checked.holding if any(_is_about(line, each.request.scope) for line in facts.findings)]
    return replace(facts, waivers=tuple(fact_of(each) for each in used))


def fact_of(waiver: Waiver) -> WaiverFact:
    """Give a waiver as evidence keeps it."""
    request, approval = waiver.request, waiver.approval
    return WaiverFact(
        number=waiver.number,
        level=request.scope.level,
        rule=request.scope.rule,
        cause=request.scope.cause,
        records=request.records,
        records_digest=request.records_digest,
        up_to=request.up_to,
        until=request.until,
        rules_digest=request.rules_digest,
        reason=request.reason,
        author=waiver.author.name,
        approver=approval.actor.name if approval else "",
    )


def without_expired(facts: EvidenceFacts, at: datetime) -> EvidenceFacts:
    """Give the facts as they stand at an instant: waivers past their date accept nothing any more."""
    return replace(facts, waivers=tuple(each for each in facts.waivers if each.until > at))


def find_unaccepted(facts: EvidenceFacts, level: str) -> tuple[FindingLine, ...]:
    """Give the blocking findings of a level that no waiver of the evidence accepts.

    A waiver whose facts do not hold (two names alike, another set than its digest, other rules, more findings than it
    accepts) accepts nothing: this is recomputed offline, and believes no word of the waiver about itself.
    """
    rules = rules_digest(facts)
    left = [line for line in facts.findings if line.level == level and line.severity is Severity.BLOCK]
    for waiver in facts.waivers:
        about = [line for line in left if waiver.level == level and _is_named(line, waiver)]
        if about and _why_void(waiver, {line.pseudonym for line in about}, rules) is None:
            left = [line for line in left if line not in about]
    return tuple(left)


def _why_void(waiver: WaiverFact, found: set[str], rules: str) -> Lapse | None:
    if not waiver.approver:
        return Lapse.NOT_APPROVED
    if is_same_person(waiver.author, waiver.approver):
        return Lapse.ONE_PERSON
    if waiver.rules_digest != rules:
        return Lapse.RULES_CHANGED
    if len(found) > waiver.up_to:
        return Lapse.COUNT_GREW
    if digest_of(waiver.records) != waiver.records_digest or not found <= set(waiver.records):
        return Lapse.OTHER_RECORDS
    return None


def _why_lapsed(waiver: Waiver, facts: EvidenceFacts, signers: Sequence[Signer], at: datetime) -> Lapse | None:
    fact = fact_of(waiver)
    found = {line.pseudonym for line in facts.findings if _is_about(line, waiver.request.scope)}
    void = _why_void(fact, found, rules_digest(facts))
    if void is not None:
        return void
    if waiver.request.until <= at:
        return Lapse.EXPIRED
    return None if _is_signed_by_two(waiver, signers) else Lapse.BAD_SIGNATURE


def _is_signed_by_two(waiver: Waiver, signers: Sequence[Signer]) -> bool:
    if waiver.approval is None:
        return False
    keys = []
    for part, actor, signature in (
        ("AUTHOR", waiver.author, waiver.signature),
        ("APPROVER", waiver.approval.actor, waiver.approval.signature),
    ):
        signer = next((each for each in signers if is_same_person(each.actor, actor.name)), None)
        if signer is None or actor.role not in signer.roles:
            return False
        if not verify_message(signer.public_key, _message(waiver.request, waiver.author, part, actor), signature):
            return False
        keys.append(signer.public_key)
    return len(set(keys)) == len(keys)


def _is_about(line: FindingLine, scope: Scope) -> bool:
    same = (line.level, rule_of(line), cause_of(line)) == (scope.level, scope.rule, scope.cause)
    return same and line.severity is Severity.BLOCK


def _is_named(line: FindingLine, waiver: WaiverFact) -> bool:
    return rule_of(line) == waiver.rule and cause_of(line) == waiver.cause


def _message(request: WaiverRequest, author: Actor, part: str, actor: Actor) -> bytes:
    return canonical_json.encode(
        {
            "format": FORMAT,
            "scope": request.scope,
            "records_digest": request.records_digest,
            "up_to": request.up_to,
            "until": request.until,
            "rules_digest": request.rules_digest,
            "reason": request.reason,
            "author": author.name,
            "part": part,
            "actor": actor.name,
            "role": actor.role,
        }
    )
