"""How results look: tables and verdict lines for people, JSON for machines; Rich only draws.

Whatever is shown passes `visible`: control characters, escape sequences and bidirectional overrides are shown as
symbols, so that hostile content in a file name or a code cannot act on the terminal.
"""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_BIDI = {
    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f",
}  # fmt: skip


def visible(text: str) -> str:
    """Show what would act on a terminal as a symbol instead."""
    out = []
    for character in text:
        if character in _BIDI:
            out.append(f"⟨U+{ord(character):04X}⟩")
        elif character == "\x7f":
            out.append("␡")
        elif ord(character) < 0x20:
            out.append(chr(0x2400 + ord(character)))
        elif unicodedata.category(character) == "Cc":
            out.append(f"⟨U+{ord(character):04X}⟩")
        else:
            out.append(character)
    return "".join(out)


def thousands(number: float) -> str:
    """Write a count with spaces between thousands, as the pages do."""
    return f"{number:,}".replace(",", " ")


def print_line(text: str = "") -> None:
    """Write one line of result."""
    sys.stdout.write("\n".join(visible(part) for part in text.split("\n")) + "\n")


def print_json(result: object) -> None:
    """Write a result for machines: one JSON document, keys in order."""
    sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table readable without colour; numbers stand on the right."""
    if title:
        print_line(title)
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(head), *(len(row[at]) for row in texts)]) for at, head in enumerate(columns)]
    numeric = [
        bool(rows) and all(isinstance(row[at], int | float | None) for row in rows) for at in range(len(columns))
    ]
    print_line("  " + "  ".join(_pad(head, widths[at], numeric[at]) for at, head in enumerate(columns)).rstrip())
    for row in texts:
        print_line("  " + "  ".join(_pad(text, widths[at], numeric[at]) for at, text in enumerate(row)).rstrip())


def print_facts(facts: Mapping[str, Any]) -> None:
    """Write names and values, one a line, aligned."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        print_line(f"  {name.ljust(width)}  {_cell(value)}")


def print_next(command: str) -> None:
    """Write the command to run next."""
    print_line(f"next  {command}")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return thousands(value)
    if isinstance(value, float):
        return f"{value:.2f}"
    return visible(str(value))


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
