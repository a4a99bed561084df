"""Where the requests of each slice go: to the side people can write on, or nowhere while a switch is under way."""

from collections.abc import Iterable
from enum import StrEnum

from store.slices import SliceRow


class Route(StrEnum):
    """What a proxy does with a request of a slice."""

    LEGACY = "legacy"
    CANONICAL = "canonical"
    HOLD = "hold"


def route_of(row: SliceRow) -> Route:
    """Give the route of one slice: while nobody can write, requests are held.

    A new side that is closed since its store restarted holds too: it refuses writes until it is armed.
    """
    if row.phase.legacy_writes:
        return Route.LEGACY
    if row.phase.canonical_writes and row.is_armed:
        return Route.CANONICAL
    return Route.HOLD


def routes_of(rows: Iterable[SliceRow]) -> dict[str, Route]:
    """Give the route of every slice by its name, such as `38.cases`."""
    return {f"{row.department_code}.{row.domain_code}": route_of(row) for row in rows}
