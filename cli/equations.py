"""The two conservation equations as a person reads them."""

from typing import TYPE_CHECKING

from cli.tables import thousands

if TYPE_CHECKING:
    from banyan.records import PartCounts, RowCounts

FATES = ("read", "loaded", "unchanged", "deleted", "filtered", "quarantined", "in_flight")


def rows_equation(rows: "RowCounts") -> str:
    """Say what became of the rows that were read; fates nobody had are left out."""
    terms = [(getattr(rows, name), name.replace("_", " ")) for name in FATES[1:]]
    said = " + ".join(f"{thousands(count)} {name}" for count, name in terms if count) or "0"
    return f"{thousands(rows.read)} read = {said}"


def parts_equation(parts: "PartCounts") -> str:
    """Say where the parts that rows emitted were placed, and how many of them stand beside the first of their row."""
    return (
        f"{thousands(parts.emitted)} emitted = {thousands(parts.inserted)} inserted + "
        f"{thousands(parts.updated)} updated + {thousands(parts.unchanged)} unchanged + "
        f"{thousands(parts.merged)} merged; {thousands(parts.split)} split"
    )
