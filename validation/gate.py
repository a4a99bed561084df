"""The gate: pure judgement of evidence. Everything but PASS is NO-GO, and a doubt is a no.

`examine` weighs the facts alone and can be recomputed offline by anyone who holds the evidence; `judge` adds what
changes with time and people: age and sign-offs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from banyan.findings import LevelResult, LevelState, Severity, Verdict, VerdictKind
from validation import consistency
from validation.facts import EvidenceFacts
from validation.profiles import PARTS, Profile, Threshold
from validation.reasons import Reason, ReasonKind
from validation.sign_off import CheckedSignOffs, Decision, last_words, missing_roles
from validation.text import Language, Text, write_number
from validation.waivers import find_unaccepted, without_expired
from validation.wording import measured, role_title, write_instant

CLOCK_TOLERANCE = timedelta(minutes=5)
WAIVABLE = ("L2", "L4", "L5")
"""Levels that name each finding, so that it can be accepted one by one; no equation and no foreign write can be."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reasons in both languages, who still has to sign, and until when it holds."""

    kind: VerdictKind
    reasons: tuple[Reason, ...]
    missing_roles: tuple[str, ...]
    sign_offs: CheckedSignOffs
    valid_until: datetime

    def verdict(self, language: Language = Language.FR) -> Verdict:
        """Give the verdict with its reasons in one language; for AWAITING the reasons say who is missing."""
        sentences = [reason.sentence for reason in self.reasons]
        if self.kind is VerdictKind.AWAITING:
            sentences = [awaiting(role) for role in self.missing_roles]
        return Verdict(self.kind, tuple(sentence.say(language) for sentence in sentences))


def awaiting(role: str) -> Text:
    """Say who still has to sign."""
    title = role_title(role)
    return Text(f"Signature attendue\u202f: {title.fr}", f"Signature awaited: {title.en}")


def judge(
    profile: Profile,
    facts: EvidenceFacts,
    sign_offs: CheckedSignOffs,
    *,
    now: datetime,
    freshness: timedelta | None = None,
) -> Judgement:
    """Answer GO, NO-GO or AWAITING for what a profile asks, at an instant; changes nothing.

    Evidence is as fresh as the profile demands unless said otherwise, and ends with the first waiver it rests on.
    """
    span = timedelta(hours=profile.freshness_hours) if freshness is None else freshness
    valid_until = min([facts.measured_at + span, *(waiver.until for waiver in facts.waivers)])
    standing = without_expired(facts, now)
    reasons = [*examine(profile, standing), *_ages(facts, now, valid_until), *_refusals(sign_offs)]
    missing = missing_roles(profile.roles, sign_offs.accepted)
    if reasons:
        kind = VerdictKind.NO_GO
    elif missing:
        kind = VerdictKind.AWAITING
    else:
        kind = VerdictKind.GO
    return Judgement(kind, tuple(reasons), missing, sign_offs, valid_until)


def examine(profile: Profile, facts: EvidenceFacts) -> tuple[Reason, ...]:
    """Give every reason why the facts alone do not satisfy a profile; empty means they do."""
    return (
        *_levels(profile, facts),
        *consistency.find_broken_conservation(facts),
        *consistency.find_unexplained_totals(facts),
        *consistency.find_contradictions(profile, facts),
    )


def _levels(profile: Profile, facts: EvidenceFacts) -> Iterator[Reason]:
    if facts.profile != profile:
        yield Reason(
            ReasonKind.PROFILE,
            "",
            Text(
                f"La preuve répond au profil «\u202f{facts.profile.title.fr}\u202f»"
                f" et non à «\u202f{profile.title.fr}\u202f» tel qu’il est demandé aujourd’hui.",
                f"The evidence answers the profile “{facts.profile.title.en}”,"
                f" not “{profile.title.en}” as it is asked today.",
            ),
        )
    names = [level.level for level in facts.levels]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Reason(
            ReasonKind.CONTRADICTION,
            name,
            Text(f"{name} figure deux fois dans la preuve.", f"{name} stands twice in the evidence."),
        )
    for name in profile.asked:
        yield from _asked(name, facts)
        yield from _parts(profile, name, facts.level(name))
    for threshold in profile.thresholds:
        yield from _over(threshold, facts.level(threshold.level))
    for level in facts.levels:
        if level.level not in profile.asked and level.state in (LevelState.FAIL, LevelState.ERROR):
            yield from _asked(level.level, facts)
        if level.state is LevelState.PASS and _blocking(facts, level):
            yield Reason(
                ReasonKind.CONTRADICTION,
                level.level,
                Text(
                    f"{level.level} se dit conforme mais garde des constats bloquants.",
                    f"{level.level} says PASS but keeps blocking findings.",
                ),
            )


def _parts(profile: Profile, name: str, level: LevelResult | None) -> Iterator[Reason]:
    """Give a reason for each part of a level that is asked and that the level did not answer."""
    if level is None or level.state is not LevelState.PASS:
        return
    answered = str(level.figures.get("parts", "")).split("+")
    for part in profile.parts_of(name):
        if part not in answered:
            title = PARTS[name][part]
            yield Reason(
                ReasonKind.NOT_RUN,
                name,
                Text(f"{title.fr}\u202f: demandé et non exécuté.", f"{title.en}: asked and was not run."),
            )


def _over(threshold: Threshold, level: LevelResult | None) -> Iterator[Reason]:
    """Give a reason when a level passes with a figure over its threshold, or without that figure."""
    if level is None or level.state is not LevelState.PASS:
        return  # said by the state itself
    part = threshold.figure.partition("_")[0]
    if part in PARTS.get(threshold.level, {}) and f"{part}_state" not in level.figures:
        return  # a part that was not run, or whose tables the closure does not have, is said by the part
    figure = level.figures.get(threshold.figure)
    if type(figure) is int and figure <= threshold.most:
        return
    label = threshold.label
    shown_fr = write_number(figure, Language.FR) if type(figure) is int else "on ne sait pas combien de"
    shown_en = write_number(figure, Language.EN) if type(figure) is int else "nobody knows how many"
    yield Reason(
        ReasonKind.THRESHOLD,
        threshold.level,
        Text(
            f"{threshold.level}\u202f: {shown_fr} {label.fr}, {write_number(threshold.most, Language.FR)} au plus.",
            f"{threshold.level}: {shown_en} {label.en}, at most {write_number(threshold.most, Language.EN)}.",
        ),
    )


def is_accepted(facts: EvidenceFacts, level: LevelResult) -> bool:
    """Tell whether waivers accept every single finding of a level that failed; a finding not listed never is."""
    if level.level not in WAIVABLE or not facts.waivers:
        return False
    listed = sum(line.level == level.level and line.severity is Severity.BLOCK for line in facts.findings)
    return bool(listed) and listed == level.figures.get("blocking") and not find_unaccepted(facts, level.level)


def _asked(name: str, facts: EvidenceFacts) -> Iterator[Reason]:
    level = facts.level(name) or LevelResult(name, LevelState.NOT_RUN, "")
    match level.state:
        case LevelState.PASS:
            return
        case LevelState.FAIL:
            if is_accepted(facts, level):
                return
            found = Text(measured(level, Language.FR).rstrip("."), measured(level, Language.EN).rstrip("."))
            yield Reason(
                ReasonKind.FAIL,
                name,
                Text(f"{name} n’est pas conforme\u202f: {found.fr}.", f"{name} failed: {found.en}."),
            )
        case LevelState.ERROR:
            yield Reason(
                ReasonKind.ERROR,
                name,
                Text(
                    f"{name} s’est arrêté avant la fin. On ne sait pas\u202f: donc non.",
                    f"{name} stopped before its end. We do not know: so, no.",
                ),
            )
        case LevelState.STALE:
            yield Reason(
                ReasonKind.STALE,
                name,
                Text(
                    f"{name} est périmé\u202f: les lignes ou les règles ont changé depuis.",
                    f"{name} is stale: rows or rules changed since.",
                ),
            )
        case LevelState.NOT_RUN:
            yield Reason(
                ReasonKind.NOT_RUN,
                name,
                Text(f"{name} est demandé et n’a pas été exécuté.", f"{name} is asked and was not run."),
            )
        case _:
            assert_never(level.state)


def _blocking(facts: EvidenceFacts, level: LevelResult) -> bool:
    return any(line.level == level.level and line.severity is Severity.BLOCK for line in facts.findings)


def _ages(facts: EvidenceFacts, now: datetime, valid_until: datetime) -> Iterator[Reason]:
    zone = facts.department.time_zone
    if now > valid_until:
        yield Reason(
            ReasonKind.STALE,
            "",
            Text(
                f"La preuve ne vaut plus depuis le {write_instant(valid_until, zone, Language.FR)}.",
                f"The evidence ended on {write_instant(valid_until, zone, Language.EN)}.",
            ),
        )
    if facts.measured_at > now + CLOCK_TOLERANCE:
        yield Reason(
            ReasonKind.ERROR,
            "",
            Text(
                f"La preuve est datée de l’avenir\u202f: {write_instant(facts.measured_at, zone, Language.FR)}."
                " Une horloge est fausse.",
                f"The evidence is dated in the future: {write_instant(facts.measured_at, zone, Language.EN)}."
                " A clock is wrong.",
            ),
        )


def _refusals(sign_offs: CheckedSignOffs) -> Iterator[Reason]:
    for sign_off in last_words(sign_offs.accepted):
        if sign_off.decision is Decision.REFUSE:
            title = role_title(sign_off.role)
            yield Reason(
                ReasonKind.REFUSED,
                "",
                Text(
                    f"{sign_off.actor}, {title.fr}, a refusé cette preuve.",
                    f"{sign_off.actor}, {title.en}, refused this evidence.",
                ),
            )
