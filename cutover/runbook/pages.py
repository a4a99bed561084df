"""The two sheets of a cutover night as HTML: for the room, with timers; and for the old site when the link is cut.

Self-contained: one style and one script, each allowed by its hash; complete without the script; nothing from a network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from banyan.departments import Department, Side
from cutover.plan import Plan
from cutover.runbook.steps import steps_of_night
from cutover.runbook.words import NightSpeech
from validation.rendering import content_hash, page_style, render_page, trusted
from validation.text import Language
from validation.wording import domain_title

_FOLDER = Path(__file__).with_name("page")


@dataclass(frozen=True, slots=True)
class Night:
    """What a sheet is written from: the plan, the department, when, who, and what is known of the way back."""

    plan: Plan
    department: Department
    legacy_name: str
    opens_at: datetime | None
    closes_at: datetime | None
    people: Mapping[str, tuple[str, ...]]
    way_back_until: datetime | None
    rollback_seconds: int
    open_statement: str  # what is typed at the old site, with ... for the code
    lease_seconds: int  # after which the old side opens by itself when it is not sealed; 0 when it has no clock


def render_night(night: Night, *, at: datetime, language: Language) -> str:
    """Render the runbook of the night."""
    return _render("night.html.j2", night, at=at, language=language)


def render_isolated(night: Night, *, at: datetime, language: Language) -> str:
    """Render the sheet for the old site: what to do when the line to the new side is cut."""
    return _render("isolated.html.j2", night, at=at, language=language)


def _render(template: str, night: Night, *, at: datetime, language: Language) -> str:
    speech = NightSpeech(language, night.department.time_zone)
    style, script = page_style(_FOLDER / "night.css"), (_FOLDER / "timers.js").read_text(encoding="utf-8")
    domains = [domain_title(domain).say(language) for domain in night.plan.domains]
    shown = {
        "s": speech,
        "night": night,
        "plan": night.plan,
        "steps": steps_of_night(night.plan),
        "to_new": night.plan.to is Side.CANONICAL,
        "domains": " + ".join(domains),
        "at": at,
        "style": trusted(style),
        "style_hash": content_hash(style),
        "script": trusted(script),
        "script_hash": content_hash(script),
    }
    return render_page(_FOLDER, template, shown)
