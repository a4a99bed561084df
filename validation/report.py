"""The page a steward reads: one self-contained HTML file rendered from evidence, in French or in English.

The page asks nothing of any network: one style, allowed by its hash, no script, no image, no remote address. Whatever
comes from a record is escaped, and what cannot be seen becomes a symbol.
"""

import re
from functools import cache

from jinja2 import Environment

from banyan.findings import VerdictKind
from validation import report_view as view
from validation import wording
from validation.evidence import Bundle
from validation.facts import EvidenceFacts
from validation.gate import Judgement
from validation.profiles import LEVELS
from validation.reasons import ReasonKind
from validation.rendering import REPORT_FOLDER, content_hash, page_environment, page_style, trusted
from validation.speech import Speech
from validation.story import Story
from validation.text import Language

_PAGE_NAME = re.compile(r"[A-Za-z0-9._-]+\.html")


def render_report(facts: EvidenceFacts, judgement: Judgement, bundle: Bundle, story: Story, *, language: str) -> str:
    """Render the validation report of one evidence as a whole HTML page."""
    if judgement.sign_offs.evidence_id != bundle.evidence_id:
        raise ValueError("the sign-offs judged are not about this evidence")
    if story.other_page and not _PAGE_NAME.fullmatch(story.other_page):
        raise ValueError("other_page must be the name of a page in the same folder")
    speech = Speech(Language(language), facts.department.time_zone)
    shown = {
        "s": speech,
        "facts": facts,
        "judgement": judgement,
        "bundle": bundle,
        "story": story,
        **_frame(),
        **_sayings(facts, judgement, story, speech),
        **_prepared(facts, speech),
    }
    return _environment().get_template("report.html.j2").render(shown)


def _frame() -> dict[str, object]:
    style = page_style(REPORT_FOLDER / "page.css")
    return {"style": trusted(style), "style_hash": content_hash(style), "wording": wording, "levels": LEVELS}


def _sayings(facts: EvidenceFacts, judgement: Judgement, story: Story, speech: Speech) -> dict[str, object]:
    missing = [speech.text(wording.role_title(role)) for role in judgement.missing_roles]
    return {
        "verdict_look": view.look_of(judgement, facts.transition),
        "domains": speech.series([speech.text(wording.domain_title(domain)) for domain in facts.domains]),
        "closure": facts.closure.replace("+", " + "),
        "missing": speech.series(missing),
        "writes": view.who_writes(story.phase),
        "is_ended": judgement.kind is VerdictKind.NO_GO
        and any(reason.kind is ReasonKind.STALE and not reason.level for reason in judgement.reasons),
        "cards": view.sign_cards(facts, judgement),
        "steps": view.steps_of(story, speech),
    }


def _prepared(facts: EvidenceFacts, speech: Speech) -> dict[str, object]:
    lists = view.lists_of(facts)
    first_example: dict[str, int] = {}
    for number, example in enumerate(facts.examples, start=1):
        first_example.setdefault(example.cause, number)
    return {
        "lists": lists,
        "list_names": {letter: view.list_range(lists, letter, speech) for letter in "DFQ"},
        "different": view.different_columns(facts),
        "different_values": sum(column.different for column in facts.columns),
        "equal_columns": sum(1 for column in facts.columns if not column.different),
        "equal_tables": view.equal_tables(facts),
        "first_example": first_example,
        "causes_by_name": {cause.name: cause for cause in facts.causes},
        "trip_figures": view.figures_of(facts.round_trip) if facts.round_trip else (),
    }


@cache
def _environment() -> Environment:
    environment = page_environment(REPORT_FOLDER)
    environment.filters["grouped"] = _grouped
    environment.filters["short"] = _short
    return environment


def _grouped(digest: str) -> str:
    return " ".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _short(digest: str) -> str:
    return f"{digest[:8]}\u2026{digest[-4:]}"
