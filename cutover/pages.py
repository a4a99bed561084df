"""The pages and tables of a closure: made from its evidence, in French and English, beside it and never inside it."""

from dataclasses import replace
from pathlib import Path

from validation.evidence import Bundle
from validation.exports import write_exports
from validation.facts import EvidenceFacts
from validation.gate import Judgement
from validation.report import render_report
from validation.story import Story
from validation.text import Language
from validation.trend import read_history


def write_pages(
    facts: EvidenceFacts, judgement: Judgement, bundle: Bundle, story: Story, *, folder: Path
) -> dict[Language, Path]:
    """Write `report.fr.html` and `report.en.html`, each naming the other; gives where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    history = read_history(bundle, facts.closure)
    written: dict[Language, Path] = {}
    for language in Language:
        other = Language.EN if language is Language.FR else Language.FR
        html = render_report(
            facts,
            judgement,
            bundle,
            replace(story, other_page=f"report.{other.value}.html"),
            language=language.value,
            history=history,
        )
        path = folder / f"report.{language.value}.html"
        path.write_text(html, encoding="utf-8")
        written[language] = path
    return written


def write_tables(facts: EvidenceFacts, bundle: Bundle, *, folder: Path) -> tuple[Path, ...]:
    """Write the figures of an evidence as CSV files and a workbook, in both languages; gives where they are."""
    history = read_history(bundle, facts.closure)
    return tuple(
        path for language in Language for path in write_exports(facts, folder, language=language, history=history)
    )
