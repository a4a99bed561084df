"""Which nights a cutover may take, and why not the others: days of the week, excluded periods, changes of the clock."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from cutover.rollout.board_words import DAYS
from cutover.rollout.document import WEEKDAYS, ExcludedKind, RolloutDocument
from validation.text import Text


class NightRule(StrEnum):
    """The rule that a night breaks; the same words in JSON, on the terminal and in tests."""

    FRIDAY = "friday"
    WEEKDAY = "not a cutover night"
    FREEZE = "freeze"
    ELECTION = "election"
    EVENT = "event"
    CLOCK_CHANGE = "change of the clock"
    TOO_EARLY = "before the rollout"


_OF_KIND = {
    ExcludedKind.FREEZE: NightRule.FREEZE,
    ExcludedKind.ELECTION: NightRule.ELECTION,
    ExcludedKind.EVENT: NightRule.EVENT,
}
_FRIDAY = WEEKDAYS.index("friday")


@dataclass(frozen=True, slots=True)
class NightRefusal:
    """Why a night is not allowed, as a rule and as a sentence."""

    rule: NightRule
    sentence: Text


def window_of(document: RolloutDocument, night: date) -> tuple[datetime, datetime]:
    """Give the two aware instants between which a cutover night lies, on the clock of the rollout.

    The hours are hours that pass: on a night on which the clock changes the end moves on the wall.
    """
    zone = ZoneInfo(document.time_zone)
    opens = datetime.combine(night, document.window.opens, tzinfo=zone)
    utc = ZoneInfo("UTC")
    return opens, (opens.astimezone(utc) + timedelta(hours=document.window.hours)).astimezone(zone)


def refuse_night(document: RolloutDocument, night: date, time_zone: str) -> NightRefusal | None:
    """Give why no cutover of a department in this zone may start on a night; None when it may.

    A Friday is refused whatever `nights` says. The morning after counts too: a window that reaches into an excluded
    day is refused. The clock must not change inside the window, neither here nor in the department.
    """
    opens, closes = window_of(document, night)
    weekday = WEEKDAYS[night.weekday()]
    if night.weekday() == _FRIDAY:
        said = Text(
            f"le {night} est un vendredi\u202f: personne ne serait là les deux jours suivants",
            f"{night} is a Friday: nobody would be there on the next two days",
        )
        return NightRefusal(NightRule.FRIDAY, said)
    if weekday not in document.nights:
        known = [DAYS[name] for name in document.nights]
        said = Text(
            f"le {night} est un {DAYS[weekday].fr}\u202f; bascules\u202f: {', '.join(one.fr for one in known)}",
            f"{night} is a {DAYS[weekday].en}; cutovers are on {', '.join(one.en for one in known)}",
        )
        return NightRefusal(NightRule.WEEKDAY, said)
    for period in document.excluded:
        if period.first <= closes.date() and opens.date() <= period.last:
            said = Text(
                f"le {night} tombe dans {period.name} (du {period.first} au {period.last})",
                f"{night} lies in {period.name} ({period.first} to {period.last})",
            )
            return NightRefusal(_OF_KIND[period.kind], said)
    for zone in dict.fromkeys((document.time_zone, time_zone)):
        if opens.astimezone(ZoneInfo(zone)).utcoffset() != closes.astimezone(ZoneInfo(zone)).utcoffset():
            said = Text(
                f"l’heure de {zone} change dans la nuit du {night}",
                f"the clock of {zone} changes in the night of {night}",
            )
            return NightRefusal(NightRule.CLOCK_CHANGE, said)
    if night < document.starts_on:
        said = Text(
            f"le {night} précède le début du déploiement, le {document.starts_on}",
            f"{night} is before the rollout begins, {document.starts_on}",
        )
        return NightRefusal(NightRule.TOO_EARLY, said)
    return None
