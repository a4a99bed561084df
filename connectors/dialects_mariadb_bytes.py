"""SQL for texts of MariaDB whose character set leaves bytes out: the server would read each of them as a question mark.

Such a cell is carried as its bytes behind a mark (`banyan.undecoded`), bound as these bytes, and written as these.
Statements are built from the names of character sets, as the catalogue gives them, and from hexadecimal.
"""

from collections.abc import Sequence
from typing import Final

from banyan.undecoded import MARK, find_bytes

Places = list[tuple[str, str]]
"""For each column of a key, what is compared and the place of its value."""
Bounds = tuple[str, ...]

GAPS: Final = {
    "ascii": bytes(range(0x80, 0x100)),
    "armscii8": bytes.fromhex("a4a5a9abacff"),
    "cp1250": bytes.fromhex("8183889098"),
    "cp1251": bytes.fromhex("98"),
    "cp1256": bytes.fromhex("8a8f989a9faac0ff"),
    "cp1257": bytes.fromhex("8183888a8c90989a9c9fa1a5"),
    "dec8": bytes.fromhex("a4a6acadaeafb4b8bed0def0feff"),
    "geostd8": bytes.fromhex("8183888a8c8d8e8f9098999a9c9d9e9fe6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfeff"),
    "greek": bytes.fromhex("a4a5aaaed2ff"),
    "hebrew": bytes.fromhex("a1bfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddefbfcff"),
    "hp8": bytes.fromhex("ff"),
    "swe7": bytes(range(0x7F, 0x100)),
    "tis620": bytes.fromhex("a0dbdcdddefcfdfe"),
}
"""The character sets of single bytes that leave bytes out, and which."""


def spell(cell: str, encoding: str) -> str:
    """Project a cell to its text, or to the mark and its bytes where one of them is left out.

    Nothing is converted to find that out: in a statement that writes, a strict server makes of it an error.
    """
    if encoding not in GAPS:
        return cell
    left_out = f"X'{(b'[' + GAPS[encoding] + b']').hex()}'"
    marked = f"concat(_utf8mb4 X'{MARK.encode().hex()}', lower(hex({cell})))"
    return f"if(binary {cell} regexp {left_out}, {marked}, convert({cell} using utf8mb4))"


def place_key(letters: Sequence[str], places: Places, parts: Sequence[str]) -> tuple[Places, list[Bounds]]:
    """Give what each column of a key is compared with, and what is bound there.

    A part that is carried as its bytes is written as a value of its column: the collation of the column holds.
    """
    placed: Places = []
    bounds: list[Bounds] = []
    for encoding, (term, place), part in zip(letters, places, parts, strict=True):
        raw = find_bytes(part) if encoding in GAPS else None
        placed.append((term, place) if raw is None else (term, f"_{encoding} X'{raw.hex()}'"))
        bounds.append((part,) if raw is None else ())
    return placed, bounds


def value_of(text: str | None, encoding: str) -> str | bytes | None:
    """Give what is bound where a raw text is written: its bytes where it is carried as them."""
    raw = find_bytes(text) if text is not None and encoding in GAPS else None
    return text if raw is None else raw
