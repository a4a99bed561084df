"""What is wrong with decided dates: every conflict with its rule, its sentence and its line in `rollout.yaml`."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from cutover.rollout.document import Rollout, RolloutDepartment
from cutover.rollout.nights import refuse_night
from cutover.rollout.plan import PlannedRehearsal, plan_rollout
from validation.text import Text


@dataclass(frozen=True, slots=True)
class Conflict:
    """One reason why a decided date cannot stand."""

    closure: str
    night: date
    rule: str
    sentence: Text
    place: str


def check_rollout(rollout: Rollout) -> tuple[Conflict, ...]:
    """Give every conflict of the decided dates, in the order of the nights; an empty answer means they can stand."""
    decided = rollout.document.decided
    known = {closure: one for one in rollout.departments.values() for closure in one.closures}
    found = list(_unknown(rollout, known))
    whole = {closure: night for closure, night in decided.items() if closure in known}
    rehearsals = {one.department: one for one in plan_rollout(rollout, today=rollout.document.starts_on).rehearsals}
    for closure, night in whole.items():
        refusal = refuse_night(rollout.document, night, known[closure].time_zone)
        if refusal is not None:
            found.append(_conflict(rollout, closure, refusal.rule.value, refusal.sentence))
        found += _too_soon(rollout, closure, rehearsals[known[closure].code])
        found += _open_dependencies(rollout, closure, known[closure].closures)
    found += _overfull(rollout, {closure: rehearsals[known[closure].code].team for closure in whole})
    return tuple(sorted(found, key=lambda one: (one.night, one.closure, one.rule)))


def _conflict(rollout: Rollout, closure: str, rule: str, sentence: Text) -> Conflict:
    return Conflict(closure, rollout.document.decided[closure], rule, sentence, rollout.places.get(closure, ""))


def _unknown(rollout: Rollout, known: Mapping[str, RolloutDepartment]) -> Iterator[Conflict]:
    for closure in rollout.document.decided:
        if closure in known:
            continue
        whole = next((one for one in known if share_a_slice(one, closure)), None)
        if whole is None:
            said = Text(f"aucune vague ne contient {closure}", f"no wave holds a closure named {closure}")
            yield _conflict(rollout, closure, "unknown", said)
        else:
            told = known[whole].say_whole(whole)
            said = Text(f"{closure} n’est pas un ensemble\u202f; {told.fr}", f"{closure} is not a closure; {told.en}")
            yield _conflict(rollout, closure, "part of a closure", said)


def share_a_slice(one: str, other: str) -> bool:
    """Tell whether two names speak of one slice: `38.cases` and `38.cases+vehicles`."""
    (code, _, domains), (other_code, _, other_domains) = one.partition("."), other.partition(".")
    return code == other_code and bool(set(domains.split("+")) & set(other_domains.split("+")))


def _too_soon(rollout: Rollout, closure: str, rehearsal: PlannedRehearsal) -> Iterator[Conflict]:
    days = rollout.document.parallel_days
    earliest = rehearsal.last + timedelta(days=days)
    if rollout.document.decided[closure] < earliest:
        said = Text(
            f"{rehearsal.department} termine sa répétition le {rehearsal.last}, puis {days} jours en parallèle\u202f: "
            f"le {earliest} au plus tôt",
            f"{rehearsal.department} ends its rehearsal on {rehearsal.last} and runs {days} days in parallel: "
            f"{earliest} at the earliest",
        )
        yield _conflict(rollout, closure, "too soon", said)


def _open_dependencies(rollout: Rollout, closure: str, order: tuple[str, ...]) -> Iterator[Conflict]:
    """A closure waits for those before it in its department and for those its `after` names."""
    decided = rollout.document.decided
    for before in (*order[: order.index(closure)], *rollout.document.after.get(closure, ())):
        night = decided.get(before)
        if night is None:
            said = Text(
                f"{closure} vient après {before}, qui n’a pas de date",
                f"{closure} comes after {before}, which has no date",
            )
            yield _conflict(rollout, closure, "open dependency", said)
        elif night >= decided[closure]:
            said = Text(
                f"{closure} vient après {before}, prévu le {night}",
                f"{closure} comes after {before}, which is planned for {night}",
            )
            yield _conflict(rollout, closure, "open dependency", said)


def _overfull(rollout: Rollout, team_of: dict[str, str]) -> Iterator[Conflict]:
    document = rollout.document
    nights: dict[date, list[str]] = defaultdict(list)
    teams: dict[tuple[str, date], str] = {}
    weeks: dict[tuple[str, int, int], set[date]] = defaultdict(set)
    allowed = {team.name: team.nights_per_week for team in document.teams}
    for closure in sorted(team_of, key=lambda one: (document.decided[one], one)):
        night, team = document.decided[closure], team_of[closure]
        if len(nights[night]) >= document.cutovers_per_night:
            said = Text(
                f"la nuit du {night} porte déjà {' et '.join(nights[night])}",
                f"the night of {night} already has {' and '.join(nights[night])}",
            )
            yield _conflict(rollout, closure, "capacity", said)
        if (team, night) in teams:
            said = Text(
                f"l’équipe {team} porte déjà {teams[team, night]} le {night}",
                f"team {team} already carries {teams[team, night]} on {night}",
            )
            yield _conflict(rollout, closure, "two cutovers for one team", said)
        in_week = weeks[team, night.isocalendar().year, night.isocalendar().week]
        in_week.add(night)
        if len(in_week) > allowed[team]:
            said = Text(
                f"l’équipe {team} a {allowed[team]} nuits par semaine\u202f; le {night} en est une de plus",
                f"team {team} has {allowed[team]} nights a week; {night} is one more",
            )
            yield _conflict(rollout, closure, "capacity", said)
        nights[night].append(closure)
        teams.setdefault((team, night), closure)
