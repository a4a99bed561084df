"""Masking: the shape of a value stays, its content is never written. Masked means absent, not hidden.

The same strictness holds for raw bytes: an unmasked hexadecimal text is the name.
"""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass

from banyan.canonical.model import Sensitivity

STAR = "*"
_LONGEST = 32
_LETTERS_TO_KEEP_ENDS = 4
_KEPT_SIGNS = frozenset(" -'.,:;/()+_\u2019")
_YEAR_FIRST = re.compile(r"(1[5-9]|20)\d\d([-/.]?)[01]\d(\2)([0-3]\d)")
_DAY_FIRST = re.compile(r"([0-3]\d)([-/.])[01]\d(\2)(1[5-9]|20)\d\d")


@dataclass(frozen=True, slots=True)
class Masked:
    """A value as it may be printed: its shape, or itself when its column says nothing of a person."""

    text: str
    is_masked: bool = True


ABSENT = Masked("", is_masked=False)
"""No value at all (SQL null); an empty text is `Masked("")`."""


def mask(value: str | None) -> Masked:
    """Keep the shape of a value: `D****T`, `19**-**-12`; below four letters nothing of it."""
    if value is None:
        return ABSENT
    if found := _YEAR_FIRST.fullmatch(value):
        return Masked(f"{found[1]}**{found[2]}**{found[3]}{found[4]}")
    if found := _DAY_FIRST.fullmatch(value):
        return Masked(f"{found[1]}{found[2]}**{found[3]}{found[4]}**")
    kept = _ends(value) if sum(map(str.isalpha, value)) >= _LETTERS_TO_KEEP_ENDS else frozenset()
    shape = "".join(_cover(sign, is_kept=at in kept) for at, sign in enumerate(value[:_LONGEST]))
    return Masked(shape + (f"\u2026 ({len(value)})" if len(value) > _LONGEST else ""))


def mask_bytes(value: bytes | None) -> Masked:
    """Give the bytes of a raw value as hexadecimal pairs, all covered: only their number is said."""
    if value is None:
        return ABSENT
    pairs = " ".join(["**"] * min(len(value), _LONGEST // 2))
    return Masked(pairs + (f" \u2026 ({len(value)})" if len(value) > _LONGEST // 2 else ""))


def show(value: str | None, sensitivity: Sensitivity) -> Masked:
    """Give a value as a report may print it: in clear only when its column is not about a person."""
    if sensitivity is not Sensitivity.NONE:
        return mask(value)
    return ABSENT if value is None else Masked(value, is_masked=False)


def pseudonym(digest_key: bytes, table: str, key: str) -> str:
    """Name a row without telling its key: 32 hexadecimal digits of a keyed digest, same row, same name."""
    if not digest_key:
        raise ValueError("a pseudonym needs a digest key; without one a key can be guessed back")
    parts = (table.encode(), key.encode("utf-8", "surrogatepass"))
    message = b"banyan-pseudonym/1" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.new(digest_key, message, hashlib.sha256).hexdigest()[:32]


def _ends(value: str) -> frozenset[int]:
    """Give the places of the first and last sign when they are letters; a digit is never kept."""
    content = [at for at, sign in enumerate(value) if sign not in _KEPT_SIGNS]
    return frozenset(at for at in (content[0], content[-1]) if value[at].isalpha())


def _cover(sign: str, *, is_kept: bool) -> str:
    is_shape = sign in _KEPT_SIGNS or unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp")
    return sign if is_kept or is_shape else STAR
