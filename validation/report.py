"""The page a steward reads: one self-contained HTML file rendered from evidence, in French or in English.

The page asks nothing of any network: one style, allowed by its hash, no script, no image, no remote address. Whatever
comes from a record is escaped, and what cannot be seen becomes a symbol.
"""

import re

from banyan.findings import VerdictKind
from validation import report_view as view
from validation import wording
from validation.cause_words import say_text
from validation.evidence import Bundle
from validation.facts import EvidenceFacts, rules_digest
from validation.gate import Judgement
from validation.position_words import say_position
from validation.profiles import LEVELS
from validation.reasons import ReasonKind
from validation.rendering import REPORT_FOLDER, content_hash, page_style, render_page, trusted
from validation.speech import Speech
from validation.story import Story
from validation.text import Language, Text
from validation.trend import NO_HISTORY, History, column_lines, draw_path, waiver_lines

_MOST_LINES = 15
"""Lines of a table that a page shows; the sheets of the evidence hold all of them."""
_YEARS = 6
"""Years of a control total that a page shows besides those that nothing explains."""
_PAGE_NAME = re.compile(r"[A-Za-z0-9._-]+\.html")


def render_report(
    facts: EvidenceFacts,
    judgement: Judgement,
    bundle: Bundle,
    story: Story,
    *,
    language: str,
    history: History = NO_HISTORY,
) -> str:
    """Render the validation report of one evidence as a whole HTML page; `history` gives the trend of its figures."""
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
        **_accepted(facts, judgement, speech),
        **_moved(facts, history),
    }
    return render_page(REPORT_FOLDER, "report.html.j2", shown)


def _frame() -> dict[str, object]:
    style = page_style(REPORT_FOLDER / "page.css")
    return {"style": trusted(style), "style_hash": content_hash(style), "wording": wording, "levels": LEVELS}


def _sayings(facts: EvidenceFacts, judgement: Judgement, story: Story, speech: Speech) -> dict[str, object]:
    missing = [speech.text(wording.role_title(role)) for role in judgement.missing_roles]
    return {
        "verdict_look": view.look_of(judgement, facts),
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
    shown = view.shown_totals(facts.control_totals, _YEARS)
    statistics = view.shown_statistics(facts.statistics, _MOST_LINES)
    left = sum(bool(total.difference) for total in facts.statistics) - len(statistics)
    first_example: dict[str, int] = {}
    for number, example in enumerate(facts.examples, start=1):
        first_example.setdefault(example.cause, number)
    return {
        "lists": lists,
        "list_names": {letter: view.list_range(lists, letter, speech) for letter in "DFQ"},
        "shown_lists": lists[:_MOST_LINES],
        "left_lists": speech.count(len(lists) - _MOST_LINES, "line") if len(lists) > _MOST_LINES else "",
        "different_values": sum(column.different for column in facts.columns),
        "shown_totals": shown,
        "left_totals": speech.count(len(facts.control_totals) - len(shown), "total"),
        "unequal_statistics": statistics,
        "left_statistics": speech.count(left, "line") if left else "",
        "equal_statistics": sum(1 for total in facts.statistics if not total.difference),
        "open_work": view.open_work_lines(facts),
        "paper": view.paper_sentence(facts),
        "equal_columns": sum(1 for column in facts.columns if not column.different),
        "equal_tables": view.equal_tables(facts),
        "first_example": first_example,
        "causes_by_name": {cause.name: cause for cause in facts.causes},
        "rules_digest": rules_digest(facts),
        "trip_figures": view.figures_of(facts.round_trip) if facts.round_trip else (),
    }


def _accepted(facts: EvidenceFacts, judgement: Judgement, speech: Speech) -> dict[str, object]:
    waivers = waiver_lines(facts)
    counted = [line for line in waivers if line.is_counted]
    return {
        "waivers": waivers,
        "accepted_levels": view.accepted_levels(facts, judgement),
        "accepted_findings": speech.count(sum(line.used for line in counted), "finding"),
        "accepting_waivers": speech.count(len(counted), "waiver"),
    }


def _moved(facts: EvidenceFacts, history: History) -> dict[str, object]:
    lines = column_lines(facts, history)
    return {
        "different": lines,
        "shown_causes": sum(len(line.causes) for line in lines),
        "shown_differences": sum(line.different for line in lines),
        "differing_noun": "value" if all(line.column for line in lines) else "difference",
        "history": history,
        "runs": len(history.earlier) + 1,
        "spark_of": draw_path,
        "say_cause": say_text,
        "say_position": say_position,
        "same": Text.same,
    }
