"""Texts read under the wrong code page, put right where the mistake proves itself, and what no text should hold.

A repair is proven by its own reverse: the repaired text, mistaken again, is the raw text, letter by letter. Where it
is not proven the text stands as it was found; where it is, it is counted and its raw text kept as residue.
"""

import polars as pl

from mappings.lenses.lens import (
    Backward,
    Columns,
    Degradation,
    Forward,
    Lens,
    LensSetting,
    Objection,
    Refusal,
    Steps,
    null_if_empty,
)

REPAIRED = "a text that was read under the wrong code page; the repaired text was taken"
LOOKS_MISTAKEN = "the old system would read it as a text under the wrong code page"
FRENCH = "àâäçéèêëîïôöœùûüÿæÀÂÄÇÉÈÊËÎÏÔÖŒÙÛÜŸÆ°§²«»’‘“”–—…€µ£¨\u00a0\u202f"
"""The letters and signs beyond ASCII that French texts hold."""
PLAIN = frozenset(FRENCH) | {chr(code) for code in range(0x20, 0x7F)} | {"\t", "\n", "\r"}
EBCDIC_SIGNS = "{}[]\\|@#~`^"
CP297 = {
    0x44: "@", 0x48: "\\", 0x4A: "°", 0x51: "{", 0x54: "}", 0x5A: "§", 0x6A: "ù", 0x79: "µ", 0x7B: "£", 0x7C: "à",
    0x90: "[", 0xA0: "`", 0xA1: "¨", 0xB1: "#", 0xB5: "]", 0xBD: "~", 0xC0: "é", 0xD0: "è", 0xDD: "¦", 0xE0: "ç",
}  # fmt: skip
"""Where the French page of mainframes differs from the international one, page 500."""


def _letters_of(page: str) -> dict[int, str]:
    """Give the character of each byte above ASCII; a byte that the page leaves out is the control of that number."""
    letters = {}
    for code in range(0x80, 0x100):
        try:
            letters[code] = bytes([code]).decode(page)
        except UnicodeDecodeError:
            letters[code] = chr(code)
    return letters


def _single_bytes(was: str, read_as: str) -> dict[str, str]:
    right, wrong = _letters_of(was), _letters_of(read_as)
    return {wrong[code]: right[code] for code in right if wrong[code] != right[code]}


def _doubled(read_as: str) -> dict[str, str]:
    """Give, for each French letter, what its UTF-8 bytes look like when they are read as another page."""
    letters = _letters_of(read_as)
    more = {chr(code) for code in range(0xA0, 0x180)} | set(FRENCH)
    return {"".join(letters[byte] for byte in letter.encode()): letter for letter in sorted(more) if ord(letter) > 0x7F}


def _mainframe() -> dict[str, str]:
    return {bytes([code]).decode("cp500"): letter for code, letter in CP297.items()}


def _mistakes() -> dict[str, dict[str, str]]:
    return {
        "utf8_as_cp1252": _doubled("cp1252"),
        "utf8_as_latin1": _doubled("latin-1"),
        "cp850_as_cp1252": _single_bytes("cp850", "cp1252"),
        "cp1252_as_cp850": _single_bytes("cp1252", "cp850"),
        "cp297_as_cp500": _mainframe(),
    }


MISTAKES = _mistakes()
"""For each mistake: what a letter looks like under the wrong page, and the letter it is."""


def _mistake_of(setting: LensSetting) -> str:
    given = [setting.text(name) for name in ("double", "mixed") if name in setting.parameters]
    known = {
        "double": [name for name in MISTAKES if name.startswith("utf8")],
        "mixed": [name for name in MISTAKES if not name.startswith("utf8")],
    }
    if len(given) != 1:
        raise ValueError("text.repair takes either double or mixed")
    kind = "double" if "double" in setting.parameters else "mixed"
    if given[0] not in known[kind]:
        raise ValueError(f"{kind} is one of {', '.join(known[kind])}")
    return given[0]


def repair(text: pl.Expr, mistake: str, steps: Steps) -> pl.Expr:
    """Give the repaired text, null where there is nothing to repair or the repair is not proven."""
    letters = MISTAKES[mistake]
    wrong, right = list(letters), list(letters.values())
    righted = steps.let("righted", text.str.replace_many(wrong, right, leftmost=True))
    again = righted.str.replace_many(right, wrong, leftmost=True)
    changed = steps.let("changed", righted != text)
    proven = changed & (again == text)
    if not mistake.startswith("utf8"):
        proven &= _is_strange(text, mistake) & ~_is_strange(righted, mistake)
    return pl.when(proven).then(righted)


def _is_strange(text: pl.Expr, mistake: str) -> pl.Expr:
    """Tell whether a text holds a character that no plain French text holds."""
    signs = EBCDIC_SIGNS if mistake == "cp297_as_cp500" else ""
    plain = "".join(sorted(PLAIN - set(signs)))
    return text.str.strip_chars(plain).str.len_bytes() > 0


def _repair_forward(columns: Columns, setting: LensSetting) -> Forward:
    steps = Steps()
    repaired = steps.let("repaired", repair(columns[0], _mistake_of(setting), steps))
    return Forward(
        (pl.coalesce(repaired, columns[0]),), (), (Objection(repaired.is_not_null(), REPAIRED),), steps.taken
    )


def _repair_backward(values: Columns, setting: LensSetting) -> Backward:
    steps = Steps()
    mistaken = steps.let("mistaken", repair(values[0], _mistake_of(setting), steps))
    refusal = Refusal(mistaken.is_not_null(), Degradation.NO_PLACE, LOOKS_MISTAKEN)
    return Backward((values[0],), (refusal,), steps.taken)


CONTROLS = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]"
HOLDS_CONTROL = "the old system's field holds no line, tab or control character"


def _control_free_forward(columns: Columns, setting: LensSetting) -> Forward:
    visible = columns[0].str.replace_all(CONTROLS, "").str.replace_all("[\t\r\n]+", " ")
    return Forward((null_if_empty(visible.str.strip_chars_end(" ")),))


def _control_free_backward(values: Columns, setting: LensSetting) -> Backward:
    holds = Refusal(values[0].str.contains(f"{CONTROLS}|[\t\r\n]"), Degradation.OUT_OF_ALPHABET, HOLDS_CONTROL)
    return Backward((values[0],), (holds,))


REPAIR = Lens(_repair_forward, _repair_backward)
CONTROL_FREE = Lens(_control_free_forward, _control_free_backward, reads_nul=True)
