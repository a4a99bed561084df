"""The calendar as a file that any calendar program opens (iCalendar, RFC 5545)."""

from datetime import UTC, date, datetime, timedelta

from icalendar import Calendar, Event

from cutover.rollout.document import Rollout
from cutover.rollout.nights import window_of
from cutover.rollout.plan import PlannedCutover, PlannedRehearsal, RolloutPlan


def calendar_of(rollout: Rollout, plan: RolloutPlan, *, made_at: datetime) -> bytes:
    """Give the bytes of an .ics file: rehearsals, cutover nights, last days of the way back, excluded periods.

    Cutover nights carry instants in UTC, which every program reads alike; days are whole days. The same plan gives the
    same identifiers, so that importing it again moves the events and doubles none.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//banyan//rollout//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-timezone", rollout.document.time_zone)
    for rehearsal in plan.rehearsals:
        calendar.add_component(_rehearsal(rollout, rehearsal, made_at))
    for cutover in plan.cutovers:
        calendar.add_component(_night(rollout, cutover, made_at))
        last = _whole_day(
            f"way-back-{cutover.closure}", f"Last day to go back: {cutover.closure}", cutover.way_back_until, made_at
        )
        calendar.add_component(last)
    for number, period in enumerate(rollout.document.excluded):
        event = _whole_day(f"excluded-{number}", f"No cutover: {period.name}", period.first, made_at)
        event["dtend"].dt = period.last + timedelta(days=1)
        calendar.add_component(event)
    written: bytes = calendar.to_ical()
    return written


def _rehearsal(rollout: Rollout, rehearsal: PlannedRehearsal, made_at: datetime) -> Event:
    name = rollout.departments[rehearsal.department].name
    event = _whole_day(
        f"rehearsal-{rehearsal.department}",
        f"Rehearsal: {rehearsal.department} {name} (team {rehearsal.team})",
        rehearsal.first,
        made_at,
    )
    event["dtend"].dt = rehearsal.last + timedelta(days=1)
    return event


def _night(rollout: Rollout, cutover: PlannedCutover, made_at: datetime) -> Event:
    opens, closes = window_of(rollout.document, cutover.night)
    event = _event(f"cutover-{cutover.closure}", f"Cutover: {cutover.closure} (team {cutover.team})", made_at)
    event.add("dtstart", opens.astimezone(UTC))
    event.add("dtend", closes.astimezone(UTC))
    event.add("status", "CONFIRMED" if cutover.is_decided else "TENTATIVE")
    event.add("description", f"banyan switch run {cutover.closure}\nWay back until {cutover.way_back_until}.")
    return event


def _whole_day(identifier: str, summary: str, day: date, made_at: datetime) -> Event:
    event = _event(identifier, summary, made_at)
    event.add("dtstart", day)
    event.add("dtend", day + timedelta(days=1))
    event.add("transp", "TRANSPARENT")
    return event


def _event(identifier: str, summary: str, made_at: datetime) -> Event:
    event = Event()
    event.add("uid", f"{identifier}@banyan")
    event.add("dtstamp", made_at.astimezone(UTC))
    event.add("summary", summary)
    return event
