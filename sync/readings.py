"""What a steward reads in cells that are no text of the encoding declared: exact bytes, or all by a code page."""

import codecs
from collections.abc import Sequence

from banyan.departments import SourceRef
from banyan.errors import UsageError
from banyan.undecoded import KEY_NOT_DECODED, NOT_DECODED, find_bytes, find_shown
from store.causes import Cause, Entry
from store.keys import KeyRing
from store.outcomes import sealed_place_of

Reading = tuple[str, str | None]


def is_undecoded(cause: Cause) -> bool:
    """Tell whether the cells of a cause are no text of the encoding declared."""
    return cause.sentence == NOT_DECODED or cause.sentence.endswith(f": {NOT_DECODED}")


def readings_of(cause: Cause, values: Sequence[Reading]) -> list[Reading]:
    """Give what a steward typed with the raw texts as the source gives them: bytes are typed as they are shown."""
    if cause.sentence == KEY_NOT_DECODED:
        raise UsageError(
            f"{cause.name} is about keys: a row is known by its key as the old system writes it, and no reading of "
            "these bytes is taken for it; nothing was changed",
            hint="correct the key in the old system: the next `banyan sync run` brings its row in",
        )
    if not is_undecoded(cause):
        return list(values)
    found: list[Reading] = []
    for shown, reading in values:
        raw = find_shown(shown)
        if raw is None:
            raise UsageError(
                f"{cause.name} is about bytes that are no text, and one of its values is not given as bytes; nothing "
                "was changed",
                hint="--value 0x..=TEXT, as `banyan quarantine show` gives the left one; or --encoding cp850",
            )
        found.append((raw, reading))
    return found


def read_by_encoding(
    keys: KeyRing, source: SourceRef, cause: Cause, entries: Sequence[Entry], *, encoding: str
) -> tuple[list[Reading], int]:
    """Read the listed cells of a cause by another encoding, each once; gives how many are no text of that one either.

    Each reading holds for exactly these bytes; a cell that comes later with other ones waits for its own.
    """
    if not is_undecoded(cause):
        raise UsageError(
            f"{cause.name} ({cause.sentence}) is about texts that were read: an encoding changes nothing of them; "
            "nothing was changed",
            hint="--value TEXT=TEXT, or --code CODE=MEANING",
        )
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise UsageError(
            f"there is no encoding {encoding}; nothing was changed", hint="such as cp850, cp437, mac-roman or cp1252"
        ) from None
    found: dict[str, str] = {}
    unread = 0
    for entry in entries:
        place = sealed_place_of(source.department_code, entry.source_table_no, entry.key, column=entry.column)
        text = "" if entry.raw is None else keys.open(entry.raw, place=place).decode()
        spelled = _spell(find_bytes(text), encoding)
        if spelled is None:
            unread += 1
        else:
            found[text] = spelled
    return list(found.items()), unread


def _spell(raw: bytes | None, encoding: str) -> str | None:
    try:
        return None if raw is None else raw.decode(encoding)
    except UnicodeDecodeError:
        return None
