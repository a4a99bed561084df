"""Which way of capture a Position was taken by: what only the connectors, who write Positions, can tell."""

import json
from typing import Final, Literal

from banyan.records import Position

Way = Literal["journal", "log", "row_version", "snapshot"]

_SPEAKS_OF: Final[tuple[tuple[str, Way], ...]] = (
    ("look", "snapshot"),
    ("floor", "row_version"),
    ("batch", "journal"),
    ("entry", "journal"),
    ("files", "journal"),
    ("log", "log"),
    ("snapshot", "journal"),
)
"""What the Position of each way speaks of, the more particular first: a log speaks of a snapshot as well."""


def find_way(position: Position) -> Way | None:
    """Name the way of capture that wrote a Position; None for files that are read once, and for what is no Position."""
    try:
        told = json.loads(position)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    if "way" in told:  # looks beside a log or a journal
        return find_way(Position(str(told["way"])))
    return next((way for word, way in _SPEAKS_OF if word in told), None)
