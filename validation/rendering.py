"""How pages are rendered: everything escaped, one style allowed by its hash; the door of jinja2."""

import base64
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from validation.speech import Speech
from validation.visible import visible

REPORT_FOLDER = Path(__file__).with_name("report")
_SHARED_STYLES = ("tokens.css", "base.css")


@cache
def page_environment(folder: Path) -> Environment:
    """Give the environment of the templates of a folder: whatever they show is made visible, then escaped."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"grouped": _grouped, "short": _short, "numbered": _numbered}
    return environment


def render_page(folder: Path, template: str, shown: Mapping[str, object]) -> str:
    """Render one template of a folder as a whole page."""
    return page_environment(folder).get_template(template).render(shown)


@cache
def page_style(style_file: Path) -> str:
    """Give the one style of a page: the shared tokens and shapes, then what this kind of page adds."""
    shared = [(REPORT_FOLDER / name).read_text(encoding="utf-8") for name in _SHARED_STYLES]
    return "".join((*shared, style_file.read_text(encoding="utf-8")))


def content_hash(text: str) -> str:
    """Give the hash by which a page's policy allows its one style or script (CSP, sha256 in base64)."""
    return base64.b64encode(sha256(text.encode()).digest()).decode()


def trusted(text: str) -> Markup:
    """Mark a text of our own (style, script) as markup; never a value."""
    return Markup(text)


def _shown(value: object) -> object:
    """Make each text visible before it is escaped; what the templates themselves wrote stays as it is."""
    if value is None:
        raise ValueError("a page shows None nowhere")
    return value if isinstance(value, Markup) else visible(str(value))


def _grouped(digest: str) -> str:
    return " ".join(digest[at : at + 8] for at in range(0, len(digest), 8))


def _short(digest: str) -> str:
    return f"{digest[:8]}\u2026{digest[-4:]}"


def _numbered(count: int, speech: Speech) -> str:
    return speech.number(count)
