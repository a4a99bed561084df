"""How long a person may be kept in a role of a case: a pure function over a table of rules with their law.

The rule with the longest term that covers the case wins; a new offence before expiry prolongs everything to the
longest term (CPP R. 40-27). A date that is not known gives no day: the caller counts it, nothing is guessed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum


class Role(StrEnum):
    """Category of a person in a case (LED art. 6), as `participation.role_code` says it."""

    SUSPECT = "SUSPECT"
    VICTIM = "VICTIM"
    COMPLAINANT = "COMPLAINANT"
    WITNESS = "WITNESS"
    MISSING = "MISSING"
    CIVILLY_LIABLE = "CIVILLY_LIABLE"


class Age(StrEnum):
    """Age at the facts, as the terms see it."""

    ADULT = "ADULT"
    MINOR = "MINOR"


class OffenceClass(Enum):
    """Severity of the offence for retention, in growing order."""

    LISTED_MINOR = 1
    ORDINARY = 2
    LISTED_GRAVE = 3


class Start(StrEnum):
    """The day a term starts from."""

    TRANSMITTED = "transmitted"
    RECORDED = "recorded"
    FOUND = "found"


@dataclass(frozen=True, slots=True)
class RetentionDates:
    """The days of a case that terms start from."""

    recorded_on: date | None
    transmitted_on: date | None = None
    found_on: date | None = None


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """One term: for whom, from which severity on, how long, from when, by which law."""

    code: str
    roles: frozenset[Role]
    ages: frozenset[Age]
    offence_class: OffenceClass
    years: int
    start: Start
    basis: str


@dataclass(frozen=True, slots=True)
class RetentionDecision:
    """The last day a participation may be kept and the rule that says so; no day when nothing can be said."""

    until: date | None
    rule_code: str | None


_TAJ = "CPP art. R. 40-27 I"
_TAJ_MINOR = "CPP art. R. 40-27 II (now CJPM art. R. 634-1)"
_TAJ_VICTIM = "CPP art. R. 40-27 III"
_DRAFT = "decree 2011-111, revised 14 July 2021: three years after transmission"
_FOUND = "CPP art. R. 40-27 III: missing persons are erased when found"
_SUSPECT = frozenset((Role.SUSPECT,))
_VICTIM = frozenset((Role.VICTIM, Role.COMPLAINANT))
_OTHERS = frozenset((Role.WITNESS, Role.CIVILLY_LIABLE))
_ADULT, _MINOR_AGE, _ANY_AGE = frozenset((Age.ADULT,)), frozenset((Age.MINOR,)), frozenset(Age)
_MINOR, _ORDINARY, _GRAVE = OffenceClass.LISTED_MINOR, OffenceClass.ORDINARY, OffenceClass.LISTED_GRAVE
_RECORDED = Start.RECORDED

RULES: tuple[RetentionRule, ...] = (
    RetentionRule("TAJ-ADULT-05", _SUSPECT, _ADULT, _MINOR, 5, _RECORDED, _TAJ),
    RetentionRule("TAJ-ADULT-20", _SUSPECT, _ADULT, _ORDINARY, 20, _RECORDED, _TAJ),
    RetentionRule("TAJ-ADULT-40", _SUSPECT, _ADULT, _GRAVE, 40, _RECORDED, _TAJ),
    RetentionRule("TAJ-MINOR-05", _SUSPECT, _MINOR_AGE, _MINOR, 5, _RECORDED, _TAJ_MINOR),
    RetentionRule("TAJ-MINOR-10", _SUSPECT, _MINOR_AGE, _ORDINARY, 10, _RECORDED, _TAJ_MINOR),
    RetentionRule("TAJ-MINOR-20", _SUSPECT, _MINOR_AGE, _GRAVE, 20, _RECORDED, _TAJ_MINOR),
    RetentionRule("TAJ-VICTIM-15", _VICTIM, _ANY_AGE, _MINOR, 15, _RECORDED, _TAJ_VICTIM),
    RetentionRule("LRP-DRAFT-03", _OTHERS, _ANY_AGE, _MINOR, 3, Start.TRANSMITTED, _DRAFT),
    RetentionRule("MISSING-FOUND", frozenset((Role.MISSING,)), _ANY_AGE, _MINOR, 0, Start.FOUND, _FOUND),
)
"""The terms in force. A rule covers its offence class and every graver one, so that terms grow with severity."""


def retention_until(
    role: Role,
    *,
    minor: bool,
    offence_class: OffenceClass,
    dates: RetentionDates,
    rules: Sequence[RetentionRule] = RULES,
) -> RetentionDecision:
    """Give the last day a participation may be kept: the longest of the terms that cover it."""
    decisions = [
        RetentionDecision(_add_years(start, rule.years), rule.code)
        for rule in rules
        if role in rule.roles
        and (Age.MINOR if minor else Age.ADULT) in rule.ages
        and rule.offence_class.value <= offence_class.value
        and (start := _start(rule.start, dates)) is not None
    ]
    return longest(decisions)


def prolonged(dated: Sequence[tuple[date | None, RetentionDecision]]) -> list[RetentionDecision]:
    """Prolong the terms of one suspect's offences, each given with the day it was recorded, in the same order.

    A new offence recorded before the longest term so far has ended prolongs all of them to the longest
    (CPP R. 40-27); one recorded later begins anew. What has no day, or no term, neither prolongs nor is prolonged.
    """
    answers = [decision for _, decision in dated]
    known = sorted(
        (day, place) for place, (day, decision) in enumerate(dated) if day is not None and decision.until is not None
    )
    chain: list[int] = []
    ends = RetentionDecision(None, None)
    for day, place in [*known, (date.max, -1)]:
        if chain and (place < 0 or ends.until is None or day > ends.until):
            for one in chain:
                answers[one] = ends
            chain, ends = [], RetentionDecision(None, None)
        if place >= 0:
            chain.append(place)
            ends = longest([ends, answers[place]])
    return answers


def longest(decisions: Iterable[RetentionDecision]) -> RetentionDecision:
    """Give the decision that keeps longest: a person with several offences is kept for the longest term."""
    known = [one for one in decisions if one.until is not None]
    if not known:
        return RetentionDecision(None, None)
    return max(known, key=lambda one: (one.until or date.min, one.rule_code or ""))


def _start(start: Start, dates: RetentionDates) -> date | None:
    match start:
        case Start.RECORDED:
            return dates.recorded_on
        case Start.TRANSMITTED:
            return dates.transmitted_on
        case Start.FOUND:
            return dates.found_on


def _add_years(day: date, years: int) -> date | None:
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1) if day.year + years <= date.max.year else None
