"""The history of a legacy system: whether a Position belongs to it, and what to do where it does not."""

import re
from typing import Final

from banyan.errors import SourceDrifted, SourceRestored

DECIDE: Final = (
    "isolate the legacy system; banyan switch status; then banyan switch reconcile, by two persons. One that is only "
    "read: banyan sync sweep DEPT --reason TEXT"
)
"""What to do about a legacy system that has another history than the one that was read."""

SWEEP: Final = "banyan sync sweep DEPT --reason TEXT: every row is read again, and followed from there"
"""What to do where the history is the same, and what was written down of it is gone."""

_CAPTURE: Final = re.compile(r"-?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def refuse_incarnation(expected: str, found: str) -> None:
    """Refuse a Position of another history, or of another capture of the same one."""
    if expected == found:
        return
    if _CAPTURE.sub("", expected) == _CAPTURE.sub("", found):
        raise SourceDrifted(
            "the Position belongs to another incarnation of this database (its capture was installed anew): changes "
            "are missing; nothing was read",
            hint=SWEEP,
            expected=expected,
            found=found,
        )
    raise SourceRestored(
        "the Position belongs to another incarnation of this database (restored, promoted, or another server); "
        "nothing was read",
        hint=DECIDE,
        expected=expected,
        found=found,
    )
