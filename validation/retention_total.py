"""Rows past their term that are loaded all the same: a count of the evidence, so that the gate sees it too."""

from validation.facts import EvidenceFacts, Total
from validation.text import Text

_LABEL = Text("Lignes échues à la dernière revue, pourtant chargées", "Rows past their term at the last review, loaded")


def expired_total(loaded: int) -> Total:
    """Give the count of rows that must not be there: none is the only good figure."""
    return Total(_LABEL, legacy=0, canonical=loaded)


def find_expired(facts: EvidenceFacts) -> int | None:
    """Find how many rows past their term are loaded; None when no evidence of terms was taken."""
    counts = (*facts.record_counts, *facts.control_totals)  # where evidence taken earlier holds it
    return next((int(total.canonical) for total in counts if total.label == _LABEL), None)
