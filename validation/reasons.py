"""Why a gate says no: one kind, one level when there is one, one sentence in both languages."""

from dataclasses import dataclass
from enum import StrEnum

from validation.text import Text


class ReasonKind(StrEnum):
    """The closed list of reasons for a NO-GO."""

    FAIL = "FAIL"
    ERROR = "ERROR"
    STALE = "STALE"
    NOT_RUN = "NOT RUN"
    UNBALANCED = "UNBALANCED"
    EMPTY = "EMPTY"
    TOTAL = "TOTAL"
    CONTRADICTION = "CONTRADICTION"
    PROFILE = "PROFILE"
    THRESHOLD = "THRESHOLD"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a NO-GO; `level` is empty when it concerns the evidence as a whole."""

    kind: ReasonKind
    level: str
    sentence: Text
