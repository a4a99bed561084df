"""The board of the project lead: gates by department and domain, blockers, ways back and the calendar, as one page.

Self-contained HTML: one style allowed by its hash, no script, no remote address, no value of a record.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from banyan.departments import Domain
from cutover.rollout.board_words import DAYS, BoardSpeech
from cutover.rollout.check import Conflict
from cutover.rollout.document import Rollout, RolloutDepartment
from cutover.rollout.gantt import draw_chart
from cutover.rollout.plan import PlannedCutover, RolloutPlan
from cutover.rollout.standing import Standing, not_begun
from validation.rendering import content_hash, page_style, render_page, trusted
from validation.text import Language
from validation.wording import domain_title

_FOLDER = Path(__file__).with_name("page")


@dataclass(frozen=True, slots=True)
class Cell:
    """One closure in the matrix; a department without a rule for a domain has an empty one."""

    title: str
    span: int
    gate: str = ""
    look: str = "idle"
    word: str = ""
    sub: str = ""
    is_canonical: bool = False


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One department of the matrix."""

    code: str
    name: str
    wave: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Blocker:
    """What stands in the way, and the command that lifts it."""

    closure: str
    sentence: str
    command: str


@dataclass(frozen=True, slots=True)
class WayBackLine:
    """Until when one closure can go back."""

    closure: str
    night: str
    until: str
    look: str
    word: str


@dataclass(frozen=True, slots=True)
class Board:
    """All that the page shows beside the chart."""

    at: datetime
    departments: tuple[BoardRow, ...]
    domain_titles: tuple[str, ...]
    slices: int
    moved: int
    blockers: tuple[Blocker, ...]
    ways_back: tuple[WayBackLine, ...]
    next_night: date | None
    next_closures: tuple[str, ...]
    rule_sentence: str
    excluded_sentence: str


def render_board(
    rollout: Rollout,
    plan: RolloutPlan,
    *,
    standings: Mapping[str, Standing],
    conflicts: Iterable[Conflict],
    at: datetime,
    language: Language,
) -> str:
    """Render the board as one HTML page."""
    speech = BoardSpeech(language, rollout.document.time_zone)
    today = at.astimezone(ZoneInfo(rollout.document.time_zone)).date()
    style = page_style(_FOLDER / "board.css")
    shown = {
        "s": speech,
        "board": _board(rollout, plan, standings, tuple(conflicts), at=at, speech=speech),
        "chart": draw_chart(rollout, plan, today=today),
        "style": trusted(style),
        "style_hash": content_hash(style),
    }
    return render_page(_FOLDER, "board.html.j2", shown)


def _board(
    rollout: Rollout,
    plan: RolloutPlan,
    standings: Mapping[str, Standing],
    conflicts: tuple[Conflict, ...],
    *,
    at: datetime,
    speech: BoardSpeech,
) -> Board:
    known = {closure for one in rollout.departments.values() for closure in one.closures}
    there = {closure: standings.get(closure, not_begun(closure)) for closure in known}
    today = at.astimezone(ZoneInfo(rollout.document.time_zone)).date()
    coming = [one for one in plan.cutovers if one.night >= today and not there[one.closure].is_canonical]
    night = min((one.night for one in coming), default=None)
    blocked = [one for one in there.values() if one.is_blocked]
    nights = [DAYS[name].say(speech.language) for name in rollout.document.nights]
    return Board(
        at=at,
        departments=tuple(_row(one, plan, there, speech) for one in rollout.departments.values()),
        domain_titles=tuple(domain_title(domain.value).say(speech.language) for domain in Domain),
        slices=sum(_size(closure) for closure in known),
        moved=sum(_size(closure) for closure, one in there.items() if one.is_canonical),
        blockers=(
            *(Blocker(one.closure, one.sentence.say(speech.language), "banyan rollout check") for one in conflicts),
            *(Blocker(c.closure, speech.word("blocked", c.closure), f"banyan gate show {c.closure}") for c in blocked),
        ),
        ways_back=tuple(_way_back(one, there[one.closure], speech) for one in plan.cutovers),
        next_night=night,
        next_closures=tuple(one.closure for one in coming if one.night == night),
        rule_sentence=speech.word("rule", ", ".join(nights)),
        excluded_sentence=_excluded(rollout, speech),
    )


def _excluded(rollout: Rollout, speech: BoardSpeech) -> str:
    said = [
        f"{one.name}, {speech.short_day(one.first)} – {speech.short_day(one.last)}" for one in rollout.document.excluded
    ]
    return speech.word("excluded", "\u202f; ".join(said)) if said else speech.word("nothing_excluded")


def _row(
    department: RolloutDepartment, plan: RolloutPlan, there: Mapping[str, Standing], speech: BoardSpeech
) -> BoardRow:
    """Give the cells of a department: neighbouring domains of one closure share a cell, others repeat it."""
    of_domain = {domain: closure for closure in department.closures for domain in closure.split(".", 1)[1].split("+")}
    cells: list[Cell] = []
    domains = list(Domain)
    at = 0
    while at < len(domains):
        closure = of_domain.get(domains[at].value)
        span = 1
        while closure and at + span < len(domains) and of_domain.get(domains[at + span].value) == closure:
            span += 1
        title = " + ".join(domain_title(one.value).say(speech.language) for one in domains[at : at + span])
        if closure is None:
            cells.append(Cell(title, span, sub=speech.word("no_slice")))
        else:
            cells.append(_cell(title, span, there[closure], plan.find_cutover(closure), speech))
        at += span
    return BoardRow(department.code, department.name, department.wave, tuple(cells))


def _cell(title: str, span: int, standing: Standing, planned: PlannedCutover, speech: BoardSpeech) -> Cell:
    if standing.way_back_until is not None:
        sub = speech.word("until", speech.short_day(standing.way_back_until.date()))
    elif standing.is_canonical:
        sub = ""
    else:
        sub = speech.word("nights_of", speech.short_day(planned.night))
    word = standing.word.say(speech.language)
    return Cell(title, span, standing.gate, standing.look, word, sub, standing.is_canonical)


def _way_back(planned: PlannedCutover, standing: Standing, speech: BoardSpeech) -> WayBackLine:
    kind = speech.word("decided" if planned.is_decided else "planned")
    night = f"{speech.day(planned.night)} ({kind})"
    if standing.way_back_until is not None:
        until = speech.day(standing.way_back_until.date())
        return WayBackLine(planned.closure, night, until, "go", speech.word("way_back_open"))
    until = speech.day(planned.way_back_until)
    return WayBackLine(planned.closure, night, until, "idle", speech.word("not_moved"))


def _size(closure: str) -> int:
    return closure.count("+") + 1
