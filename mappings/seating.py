"""Who stands where in a repeating group: records born in the target find a free place of their row, or have none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record without a place yet, and the number it asks for, if it says one."""

    record_id: bytes
    wanted: int | None = None


@dataclass(frozen=True, slots=True)
class Seating:
    """The places given, by number, and the records for which the row has none left."""

    seated: Mapping[int, bytes]
    standing: tuple[bytes, ...]


def seat(taken: frozenset[int], waiting: Sequence[Waiting], *, count: int) -> Seating:
    """Give free places: first to those who ask for one, then in the order of the identifiers.

    Nobody who has a place is moved. The order does not depend on how the records were read.
    """
    seated: dict[int, bytes] = {}
    free = [number for number in range(1, count + 1) if number not in taken]
    later: list[Waiting] = []
    for one in sorted(waiting, key=lambda each: each.record_id):
        if one.wanted in free and one.wanted not in seated:
            seated[one.wanted] = one.record_id
        else:
            later.append(one)
    left = [number for number in free if number not in seated]
    seated |= {number: one.record_id for number, one in zip(left, later, strict=False)}
    return Seating(seated, tuple(one.record_id for one in later[len(left) :]))
