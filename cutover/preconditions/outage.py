"""Is the time for which nobody can write expected to be short enough?"""

from cutover.preconditions.condition import Obstacle


def fits(expected_ms: int, budget_seconds: float, *, closure: str) -> Obstacle | None:
    """Refuse a change of owner that is expected to be given up by itself; asked of the plan, not of the scene."""
    if expected_ms <= budget_seconds * 1000:
        return None
    sentence = (
        f"nobody could write for about {expected_ms / 1000:.1f} s, and it is given up after {budget_seconds:.0f} s"
    )
    return Obstacle("outage", sentence, f"banyan switch rehearse {closure}")
