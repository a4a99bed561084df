"""The Gantt chart of the waves as positions on a drawing: what the page turns into SVG, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cutover.rollout.document import Rollout
from cutover.rollout.plan import PlannedCutover, RolloutPlan

WIDTH, LEFT, TOP, ROW = 1080.0, 150.0, 38.0, 40.0
"""Units of the drawing: its width, where time begins, where the waves begin, the height of a wave."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of time of a wave: `kind` is rehearsal, parallel, cutovers or way_back."""

    kind: str
    x: float
    width: float
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class WaveRow:
    """One wave of the chart."""

    number: int
    departments: tuple[str, ...]
    y: float
    bars: tuple[Bar, ...]

    def bar(self, kind: str) -> Bar | None:
        """Find the stretch of a kind."""
        return next((bar for bar in self.bars if bar.kind == kind), None)


@dataclass(frozen=True, slots=True)
class Band:
    """An excluded period across the chart; `level` alternates so that names do not touch."""

    name: str
    x: float
    width: float
    level: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole drawing."""

    height: float
    months: tuple[tuple[date, float], ...]
    waves: tuple[WaveRow, ...]
    bands: tuple[Band, ...]
    today: float | None


def draw_chart(rollout: Rollout, plan: RolloutPlan, *, today: date) -> Chart:
    """Place waves, excluded periods and today on the drawing."""
    first = min(one.first for one in plan.rehearsals).replace(day=1)
    last = max([one.way_back_until for one in plan.cutovers] or [first + timedelta(days=31)]) + timedelta(days=1)
    scale = (WIDTH - LEFT) / (last - first).days

    def x(day: date) -> float:
        return round(LEFT + (day - first).days * scale, 1)

    waves = tuple(
        WaveRow(wave.number, wave.departments, TOP + 20 + ROW * place, _bars(plan, wave.number, x))
        for place, wave in enumerate(rollout.document.waves)
    )
    bands = tuple(
        Band(period.name, x(max(period.first, first)), round(_days(period.first, period.last) * scale, 1), place % 2)
        for place, period in enumerate(rollout.document.excluded)
        if first <= period.last and period.first <= last
    )
    height = TOP + 20 + ROW * len(waves) + 16
    now = x(today) if first <= today <= last else None
    return Chart(height, tuple((month, x(month)) for month in _months(first, last)), waves, bands, now)


def _bars(plan: RolloutPlan, number: int, x: Callable[[date], float]) -> tuple[Bar, ...]:
    rehearsals = [one for one in plan.rehearsals if one.wave == number]
    cutovers = [one for one in plan.cutovers if one.wave == number]
    stretches: list[tuple[str, date, date]] = []
    if rehearsals:
        stretches.append(("rehearsal", min(one.first for one in rehearsals), max(one.last for one in rehearsals)))
    if cutovers:
        stretches += _after_rehearsal(cutovers, max(one.last for one in rehearsals))
    return tuple(
        Bar(kind, x(begins), round(max(x(ends) - x(begins), 2.0), 1), begins, ends) for kind, begins, ends in stretches
    )


def _after_rehearsal(cutovers: Sequence[PlannedCutover], rehearsed: date) -> list[tuple[str, date, date]]:
    first, last = min(one.night for one in cutovers), max(one.night for one in cutovers)
    stretches = [("parallel", rehearsed, first)] if first > rehearsed else []
    return [*stretches, ("cutovers", first, last), ("way_back", last, max(one.way_back_until for one in cutovers))]


def _days(first: date, last: date) -> int:
    return (last - first).days + 1


def _months(first: date, last: date) -> list[date]:
    months = []
    month = first
    while month <= last:
        months.append(month)
        month = (month + timedelta(days=32)).replace(day=1)
    step = 1 + len(months) // 13
    return months[::step]
