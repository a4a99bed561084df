"""What a page promises whoever reads it: structure, names, contrast, one style by its hash, nothing that acts."""

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser

VOID = {"meta", "br", "path", "circle", "use", "input", "link", "img"}
NARROW = "\u202f"
STATES = ("go", "nogo", "waived", "await", "idle", "error")


class Outline(HTMLParser):
    """What a page is made of: headings, links, ids, tables, attributes that act, text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.acting: list[str] = []
        self.files: list[str] = []
        self.bare_states: list[str] = []
        self.regions: list[dict[str, str | None]] = []
        self.text = ""
        self._state = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " " if tag in ("td", "th", "div", "li", "p", "dt", "dd", "b", "br", "span") else ""
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        named = dict(attrs)
        if tag == "svg" and not _is_named_or_hidden(named):
            self.acting.append("svg without a name")
        if "scroll" in (named.get("class") or "").split():
            self.regions.append(named)
        if tag == "span" and "st" in (named.get("class") or "").split():
            self._state = named["class"] or ""
            self.bare_states.append(self._state)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("aria-labelledby", "aria-describedby"):
                self.references.extend((value or "").split())
            if name == "href" and (value or "").startswith("#"):
                self.references.append((value or "")[1:])
            if name in ("style", "src", "srcset", "data", "poster", "background") or name.startswith("on"):
                self.acting.append(f"{tag} {name}")
            if name == "href" and not (value or "").startswith("#"):
                self.files.append(value or "")
            if name == "href" and not re.fullmatch(r"#[\w-]+|[\w.-]+\.html|exceptions/[\w-]+\.csv", value or ""):
                self.acting.append(f"{tag} {name}={value}")
        if tag == "th" and not named.get("scope"):
            self.acting.append("th without scope")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag
        if tag == "span":
            self._state = ""

    def handle_data(self, data: str) -> None:
        if self._state and data.strip():
            self.bare_states.remove(self._state)
            self._state = ""
        if not self.open or self.open[-1] != "style":
            self.text += data


def _is_named_or_hidden(named: dict[str, str | None]) -> bool:
    return named.get("aria-hidden") == "true" or bool(named.get("role") == "img" and named.get("aria-label"))


def text_of(html: str) -> str:
    """What a page says, in one line."""
    return " ".join(Outline(html).text.replace(NARROW, "~").split()).replace("~", NARROW)


def find_broken_promises(html: str) -> list[str]:
    """Everything that a page promises and does not keep."""
    outline = Outline(html)
    broken = list(outline.acting)
    if outline.open:
        broken.append(f"left open: {outline.open}")
    if outline.headings.count(1) != 1:
        broken.append("not one h1")
    broken += [f"h{a} to h{b}" for a, b in zip(outline.headings, outline.headings[1:], strict=False) if b > a + 1]
    broken += [f"id {name} twice" for name in set(outline.ids) if outline.ids.count(name) > 1]
    broken += [f"nothing has the id {name}" for name in set(outline.references) - set(outline.ids)]
    if outline.tags.count("table") != outline.tags.count("caption"):
        broken.append("a table without a caption")
    forbidden = {"script", "img", "link", "iframe", "object", "embed", "form", "base"}
    broken += [f"<{tag}>" for tag in forbidden & set(outline.tags)]
    broken += [f"{look}: a state by colour alone" for look in outline.bare_states]
    broken += ["a table that the keyboard cannot reach" for each in outline.regions if each.get("tabindex") != "0"]
    return [*broken, *_style_problems(html)]


def _style_problems(html: str) -> Iterator[str]:
    style = html.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    wanted = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; base-uri 'none'"
    if policy is None or policy[1] != wanted:
        yield "the policy is not the strict one"
    if html.count("<style") != 1 or re.search(r"url\(|@import|https?://", html):
        yield "something outside the page is named"
    yield from find_low_contrast(style)


def find_low_contrast(style: str) -> Iterator[str]:
    """Each ink that cannot be read on its ground, in the light theme, the dark one and on paper."""
    light = _tokens(style.split("@media")[0])
    dark = _tokens(style.split(':root[data-theme="dark"] {')[1].split("}")[0])
    printed = _tokens(style.split("@media print")[1].split("}")[0])
    for name, theme in (("light", light), ("dark", light | dark), ("print", light | printed)):
        pairs = [(ink, ground, 4.5) for ink in ("ink", "ink-2", "accent") for ground in ("page", "surface", "sunken")]
        pairs += [(state, ground, 4.5) for state in STATES for ground in (f"{state}-bg", "page", "surface")]
        pairs += [("ink", f"{state}-bg", 4.5) for state in STATES]
        pairs += [("line-2", "surface", 3), ("focus", "surface", 3), ("focus", "page", 3), ("chart", "surface", 3)]
        for ink, ground, least in pairs:
            if _contrast(theme[ink], theme[ground]) < least:
                yield f"{name}: {ink} on {ground}"


def _tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,6})\b", block))


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
