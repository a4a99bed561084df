"""Who flows to whom: a route is a legacy system and the side it flows to, and knows its reverse."""

from dataclasses import dataclass

from banyan.departments import Side, SourceRef


@dataclass(frozen=True, slots=True)
class Route:
    """The flow of one legacy system of a department towards a side."""

    source: SourceRef
    to: Side

    def reversed(self) -> "Route":
        """Give the same route, the other way."""
        return Route(self.source, self.to.other)

    def __str__(self) -> str:
        return f"{self.source} -> {self.to.value}"
