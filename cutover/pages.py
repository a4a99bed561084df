"""The pages of a closure: rendered from its evidence, in French and English, beside it and never inside it."""

from dataclasses import replace
from pathlib import Path

from validation.evidence import Bundle
from validation.facts import EvidenceFacts
from validation.gate import Judgement
from validation.report import render_report
from validation.story import Story
from validation.text import Language


def write_pages(
    facts: EvidenceFacts, judgement: Judgement, bundle: Bundle, story: Story, *, folder: Path
) -> dict[Language, Path]:
    """Write `report.fr.html` and `report.en.html`, each naming the other; gives where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Language, Path] = {}
    for language in Language:
        other = Language.EN if language is Language.FR else Language.FR
        html = render_report(
            facts,
            judgement,
            bundle,
            replace(story, other_page=f"report.{other.value}.html"),
            language=language.value,
        )
        path = folder / f"report.{language.value}.html"
        path.write_text(html, encoding="utf-8")
        written[language] = path
    return written
