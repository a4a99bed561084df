"""Cells whose bytes are no text of the encoding declared: carried as a mark and their bytes, never as a guess.

The mark is a character that Unicode keeps out of texts. A text that begins with it all the same is carried as its
bytes too, so that no two cells of a table read alike.
"""

from typing import Final

from banyan.records import KEY_SEPARATOR

MARK: Final = "\ufdd0x"
NOT_DECODED: Final = "its bytes are no text of the encoding that is declared for its source"
KEY_NOT_DECODED: Final = "the bytes of the key are no text of the encoding that is declared for its source"


def read_text(raw: bytes, encoding: str) -> str:
    """Give the text that bytes spell; where they spell none, the mark and the bytes in hexadecimal."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return MARK + raw.hex()
    return MARK + raw.hex() if text.startswith(MARK) else text


def show_text(text: str) -> str:
    """Give a raw text as people may read and type it: `0x` and the bytes in hexadecimal where it is none."""
    raw = find_bytes(text)
    return text if raw is None else f"0x{raw.hex()}"


def show_key(key: str) -> str:
    """Give the text of a legacy key as people may read and type it, each of its columns as a text is shown."""
    return KEY_SEPARATOR.join(show_text(part) for part in key.split(KEY_SEPARATOR))


def find_shown_key(shown: str) -> str:
    """Give the key in which each column that was shown as its bytes stands for them; any other one as it is."""
    parts = shown.split(KEY_SEPARATOR)
    return KEY_SEPARATOR.join(part if (raw := find_shown(part)) is None else raw for part in parts)


def find_shown(shown: str) -> str | None:
    """Give the raw text of a cell that was shown as its bytes; None when that is not how it was shown."""
    if not shown.startswith("0x"):
        return None
    try:
        return MARK + bytes.fromhex(shown.removeprefix("0x")).hex()
    except ValueError:
        return None


def find_bytes(text: str) -> bytes | None:
    """Give the bytes that stand behind the mark; None for a text that was read."""
    if not text.startswith(MARK):
        return None
    try:
        return bytes.fromhex(text.removeprefix(MARK))
    except ValueError:  # another source keeps this character in its texts
        return None
