from pathlib import Path

from mappings.catalogue import LENSES
from mappings.catalogue_page import render_lenses

PAGE = Path(__file__).parents[2] / "docs" / "lenses.md"


def test_the_page_of_lenses_is_what_the_catalogue_says():
    assert PAGE.read_text(encoding="utf-8") == render_lenses(), "python -m mappings.catalogue_page > docs/lenses.md"


def test_every_lens_has_its_place_on_the_page():
    titles = [line.removeprefix("### ") for line in render_lenses().splitlines() if line.startswith("### ")]

    assert sorted(titles) == sorted(LENSES)
