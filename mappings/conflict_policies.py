"""Policies of conflicts: whose value stands where the old system changed a field behind its fence.

Declared at a field and read by the way back alone; without one the owner's value is written. The research asks for
them by domain: the later of two times for a detention, the measure that protects the person most, and nothing written
over a document.
"""

import re
from typing import Final

from mappings.model import Conflict, LensCall, Policy

CONFLICT_PATTERN: Final = r"^(legacy|latest|prefer\([^,()]+(,[^,()]+)+\))$"
_SORTED: Final = ("date.yyyymmdd", "date.iso", "date.zero_iso", "instant.local", "instant.iso_local")
"""Lenses whose legacy texts sort as the times they say."""


def read_conflict(written: str | None) -> Conflict | None:
    """Read a policy as a rule file writes it: legacy, latest, prefer(CSS, REL)."""
    if written is None:
        return None
    if written.startswith("prefer("):
        return Conflict(Policy.PREFER, tuple(code.strip() for code in re.split(",", written[7:-1])))
    return Conflict(Policy(written))


def find_conflict_problem(
    conflict: Conflict, lens: LensCall | None, code_map: str | None, *, writes_back: bool
) -> tuple[str, str] | None:
    """Say why a field cannot have a policy, and what to write; nothing when it can."""
    if not writes_back:
        return "another field owns the column on the way back", "declare conflict at the field that writes it back"
    if conflict.policy is Policy.LATEST and (lens is None or lens.name not in _SORTED):
        return "the texts of this field do not sort as times", f"use legacy, or one of: {', '.join(_SORTED)}"
    if conflict.policy is Policy.PREFER and code_map is None:
        return "a field without a code map has no codes to prefer", "use legacy or latest"
    return None
