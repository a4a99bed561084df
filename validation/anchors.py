"""Anchors: the head of a chain of evidence, written outside the store by one conditional PUT that nobody repeats.

Whoever restores an older store, cuts the last evidence off a chain or writes a chain anew, cannot take back what the
landing zone holds: the anchor names an evidence that is not there, or another one in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from store.landing import LandingZone


@dataclass(frozen=True, slots=True)
class Anchor:
    """The head of a chain at its place: the evidence, and the one before it."""

    place: int
    evidence_id: str
    previous_id: str | None


def read_anchors(landing: LandingZone, closure: str) -> tuple[Anchor, ...]:
    """Read the anchors of a closure from the landing zone, in the order of the chain."""
    return tuple(
        Anchor(
            int(parcel.name.rpartition("/")[2]),
            parcel.metadata["evidence_id"],
            parcel.metadata["previous_id"] or None,
        )
        for parcel in landing.list_parcels(_folder(closure) + "/")
    )


def write_anchor(landing: LandingZone, closure: str, *, evidence_id: str, previous_id: str | None) -> Anchor:
    """Anchor an evidence after the last one; the same one again changes nothing.

    Two judgements that end at once cannot both take a place: the second is refused by the medium, and says so.
    """
    standing = read_anchors(landing, closure)
    if standing and standing[-1].evidence_id == evidence_id:
        return standing[-1]
    anchor = Anchor(standing[-1].place + 1 if standing else 1, evidence_id, previous_id)
    landing.write_parcel(
        f"{_folder(closure)}/{anchor.place:08d}",
        pl.DataFrame({"evidence_id": [evidence_id], "previous_id": [previous_id or ""]}),
        metadata={"evidence_id": evidence_id, "previous_id": previous_id or ""},
    )
    return anchor


def find_forgotten(anchors: Sequence[Anchor], known: Sequence[str]) -> tuple[Anchor, ...]:
    """Find the anchors whose evidence a store or a folder does not have any more: it was cut, rewritten or restored."""
    return tuple(anchor for anchor in anchors if anchor.evidence_id not in known)


def find_broken_links(anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
    """Find the anchors that do not follow the one before them."""
    previous: str | None = None
    broken = []
    for number, anchor in enumerate(anchors, 1):
        if anchor.place != number or anchor.previous_id != previous:
            broken.append(anchor)
        previous = anchor.evidence_id
    return tuple(broken)


def compare_chain(anchors: Sequence[Anchor], walked: Sequence[str]) -> tuple[str, ...]:
    """Compare a chain, from its newest evidence to its first, with its anchors; says each thing that is wrong."""
    problems = [f"anchor {each.place} does not follow the one before it" for each in find_broken_links(anchors)]
    chain = list(reversed(walked))
    anchored = [anchor.evidence_id for anchor in anchors]
    if not anchors:
        return ("nothing of this chain is anchored in the landing zone",)
    if chain == anchored:
        return tuple(problems)
    if anchored[: len(chain)] == chain:
        missing = len(anchored) - len(chain)
        return (*problems, f"{missing} later evidence is anchored: this is not the newest, or the tail was cut")
    return (*problems, "the chain is not the one that was anchored: it was written anew")


def _folder(closure: str) -> str:
    department, _, domains = closure.partition(".")
    return f"{department}/anchors/evidence/{domains}"
