"""The page of a scan: one self-contained HTML file, rendered from the document beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mappings.survey import LEAST_ROWS_OF_A_CODE
from validation.rendering import content_hash, page_style, render_page, trusted

_FOLDER: Final = Path(__file__).with_name("pages")


def render_scan(scan: Mapping[str, Any]) -> str:
    """Render a scan as one HTML page; the same scan gives the same bytes."""
    style = page_style(_FOLDER / "scan.css")
    shown = {"scan": scan, "style": trusted(style), "style_hash": content_hash(style), "least": LEAST_ROWS_OF_A_CODE}
    return render_page(_FOLDER, "scan.html.j2", shown)
