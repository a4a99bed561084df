"""Hostile content shown as symbols: nothing that comes from a record acts on a page, a sheet or a terminal."""

import re
import unicodedata

_SUSPECT = re.compile(r"[^ -~]")
_FORMULA_STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_SECOND_CELL = re.compile(r"([;,|\t\r\n]\s*[\"']?)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")


def visible(text: str) -> str:
    """Show each control, format, bidirectional and unpaired character as a symbol; leave the rest as it is."""
    return _SUSPECT.sub(_symbol, text)


def _symbol(match: re.Match[str]) -> str:
    character = match.group()
    number = ord(character)
    if number < 0x20:
        return chr(0x2400 + number)
    if number == 0x7F:
        return "\u2421"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return f"\u27e6U+{number:04X}\u27e7"
    return character


def csv_cell(value: object) -> str:
    """Give a cell no spreadsheet computes: an apostrophe before what starts a formula, symbols for the rest.

    Sheets of some languages split on semicolons, so what follows a separator inside a cell is disarmed as well.
    """
    text = str(value)
    if _NUMBER.fullmatch(text):
        return text
    disarmed = _SECOND_CELL.sub(r"\1'", text)
    if text.lstrip(" ")[:1] and text.lstrip(" ")[0] in _FORMULA_STARTS:
        disarmed = "'" + disarmed
    return visible(disarmed)
