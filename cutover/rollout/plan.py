"""The earliest feasible calendar: when each department rehearses, runs in parallel, moves and can still go back.

Nights are filled one after the other, wave by wave. Each cutover remembers what it had to wait for, so that the longest
chain of waiting, the critical path, can be read from the last cutover back to the first day.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from math import ceil

from banyan.errors import UsageError
from cutover.rollout.document import Rollout, RolloutDepartment
from cutover.rollout.nights import refuse_night

HORIZON_DAYS = 3660
"""How far ahead nights are tried; a calendar that does not fit in ten years is refused."""


@dataclass(frozen=True, slots=True)
class PlannedRehearsal:
    """The days a department rehearses; parallel running begins on `last`."""

    department: str
    wave: int
    team: str
    first: date
    last: date
    because: str
    after: str | None


@dataclass(frozen=True, slots=True)
class PlannedCutover:
    """The night of one closure, what it waited for, and until when one can go back."""

    closure: str
    department: str
    wave: int
    team: str
    night: date
    parallel_from: date
    way_back_until: date
    is_decided: bool
    because: str
    after: str | None

    @property
    def slice_days(self) -> int:
        """Give the days for which both systems must be kept for this closure, times its slices."""
        slices = self.closure.split(".", 1)[1].count("+") + 1
        return slices * (self.way_back_until - self.parallel_from).days


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The whole calendar as a value: the same for the table, the page, the calendar file and the comparison."""

    rehearsals: tuple[PlannedRehearsal, ...]
    cutovers: tuple[PlannedCutover, ...]
    critical_path: tuple[str, ...] = field(default=())

    @property
    def ends_on(self) -> date | None:
        """Give the night of the last cutover."""
        return max((one.night for one in self.cutovers), default=None)

    @property
    def slice_days(self) -> int:
        """Give the cost of coexistence: slices times days for which both systems are kept."""
        return sum(one.slice_days for one in self.cutovers)

    def find_cutover(self, closure: str) -> PlannedCutover:
        """Give the cutover of one closure."""
        return next(one for one in self.cutovers if one.closure == closure)


def plan_rollout(rollout: Rollout, *, today: date) -> RolloutPlan:
    """Compute the earliest feasible calendar; decided dates stand as they are, everything else goes around them.

    No night before today is proposed: what has moved stands under `decided` with its night.

    Raises UsageError when some closure finds no night within ten years.
    """
    rehearsals = {one.department: one for one in _plan_rehearsals(rollout)}
    cutovers = _Filling(rollout, rehearsals, today).fill()
    plan = RolloutPlan(tuple(rehearsals.values()), tuple(cutovers))
    return RolloutPlan(plan.rehearsals, plan.cutovers, tuple(_critical_path(plan)))


def rehearsal_days(rollout: Rollout, department: RolloutDepartment) -> int:
    """Give the days of a rehearsal: the declared ones, and the days its rows need at the measured rate."""
    rate = rollout.rows_per_hour or rollout.document.rows_per_hour
    if not rate or not department.rows:
        return rollout.document.rehearsal_days
    return rollout.document.rehearsal_days + ceil(department.rows / rate / rollout.document.load_hours_per_day)


def _plan_rehearsals(rollout: Rollout) -> Iterator[PlannedRehearsal]:
    free: dict[str, tuple[date, str]] = {}
    for wave in rollout.document.waves:
        begins = wave.not_before or rollout.document.starts_on
        for code in wave.departments:
            team_free, busy_with = free.get(wave.team, (rollout.document.starts_on, ""))
            first = max(begins, team_free)
            waits = busy_with if busy_with and team_free > begins else None
            because = f"team {wave.team} rehearses {busy_with} until {team_free}" if waits else f"begins on {begins}"
            last = first + timedelta(days=rehearsal_days(rollout, rollout.departments[code]))
            yield PlannedRehearsal(
                code, wave.number, wave.team, first, last, because, f"rehearse {waits}" if waits else None
            )
            free[wave.team] = (last, code)


@dataclass(slots=True)
class _Filling:
    """Nights being filled."""

    rollout: Rollout
    rehearsals: dict[str, PlannedRehearsal]
    today: date
    placed: dict[str, PlannedCutover] = field(default_factory=dict)
    on_night: Counter[date] = field(default_factory=Counter)
    of_team: dict[tuple[str, date], str] = field(default_factory=dict)
    in_week: Counter[tuple[str, int, int]] = field(default_factory=Counter)
    held_by: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def fill(self) -> list[PlannedCutover]:
        for closure, night in self.rollout.document.decided.items():
            code = closure.split(".", 1)[0]
            if code in self.rehearsals:
                self._take(closure, self.rehearsals[code].team, night)
        night = self.rollout.document.starts_on
        for _ in range(HORIZON_DAYS):
            if self._is_complete():
                break
            self._fill_night(night)
            night += timedelta(days=1)
        else:
            missing = next(c for d in self.rollout.departments.values() for c in d.closures if c not in self.placed)
            because = self.held_by.get(missing, ("no night is allowed", None))[0]
            raise UsageError(
                f"{missing} finds no night before {night}: {because}; nothing was planned",
                hint="widen nights, teams or excluded periods in rollout.yaml",
            )
        return sorted(self.placed.values(), key=lambda one: (one.night, one.wave, one.closure))

    def _is_complete(self) -> bool:
        return all(closure in self.placed for one in self.rollout.departments.values() for closure in one.closures)

    def _fill_night(self, night: date) -> None:
        for wave in self.rollout.document.waves:
            for code in wave.departments:
                department = self.rollout.departments[code]
                following = next((one for one in department.closures if one not in self.placed), None)
                if following is not None:
                    self._try(following, department, night)

    def _try(self, closure: str, department: RolloutDepartment, night: date) -> None:
        decided = self.rollout.document.decided.get(closure)
        if decided is not None:
            if night >= decided:
                self._place(closure, decided)
            return
        ready, because, after = self._earliest(closure, department)
        if ready is None or night < max(ready, self.today):
            return
        self.held_by.setdefault(closure, (because, after))
        team = self.rehearsals[department.code].team
        refusal = refuse_night(self.rollout.document, night, department.time_zone)
        if refusal is not None:
            return
        if full := self._is_full(team, night):
            self.held_by[closure] = (full, self._busy_with(team, night))
            return
        self._take(closure, team, night)
        because, after = self.held_by[closure]
        self._place(closure, night, because=because, after=after)

    def _earliest(self, closure: str, department: RolloutDepartment) -> tuple[date | None, str, str | None]:
        """Give the first day a closure could go, why, and what it waits for; no day while something is not placed."""
        document = self.rollout.document
        rehearsal = self.rehearsals[department.code]
        bounds = [
            (
                rehearsal.last + timedelta(days=document.parallel_days),
                f"{document.parallel_days} days in parallel after the rehearsal",
                f"rehearse {department.code}",
            )
        ]
        for before, gap, said in self._waits_for(closure, department):
            if before not in self.placed:
                return None, "", None
            bounds.append((self.placed[before].night + timedelta(days=gap), said, before))
        return max(bounds, key=lambda bound: bound[0])

    def _waits_for(self, closure: str, department: RolloutDepartment) -> Iterator[tuple[str, int, str]]:
        document = self.rollout.document
        at = department.closures.index(closure)
        if at:
            before = department.closures[at - 1]
            yield before, document.days_between, f"{document.days_between} days after {before}"
        for before in document.after.get(closure, ()):
            yield before, 1, f"after {before}"
        earlier = [wave for wave in document.waves if wave.number < department.wave]
        if earlier:
            for code in earlier[-1].departments:
                for last in self.rollout.departments[code].closures[-1:]:
                    yield last, 1, f"wave {earlier[-1].number} ends with {last}"

    def _is_full(self, team: str, night: date) -> str:
        document = self.rollout.document
        week = night.isocalendar()
        allowed = next(one for one in document.teams if one.name == team).nights_per_week
        if self.on_night[night] >= document.cutovers_per_night:
            return f"{document.cutovers_per_night} cutovers a night"
        if (team, night) in self.of_team:
            return f"team {team} carries one cutover a night"
        if self.in_week[team, week.year, week.week] >= allowed:
            return f"team {team} has {allowed} nights a week"
        return ""

    def _busy_with(self, team: str, night: date) -> str | None:
        """Give what a team carried last, up to a night: what a closure waits for when the team is full."""
        taken = [one for holder, one in self.of_team if holder == team and one <= night]
        return self.of_team[team, max(taken)] if taken else None

    def _take(self, closure: str, team: str, night: date) -> None:
        week = night.isocalendar()
        self.on_night[night] += 1
        self.of_team.setdefault((team, night), closure)
        self.in_week[team, week.year, week.week] += 1

    def _place(self, closure: str, night: date, *, because: str = "decided", after: str | None = None) -> None:
        rehearsal = self.rehearsals[closure.split(".", 1)[0]]
        self.placed[closure] = PlannedCutover(
            closure=closure,
            department=rehearsal.department,
            wave=rehearsal.wave,
            team=rehearsal.team,
            night=night,
            parallel_from=rehearsal.last,
            way_back_until=night + timedelta(days=self.rollout.way_back_days),
            is_decided=closure in self.rollout.document.decided,
            because=because,
            after=after,
        )


def _critical_path(plan: RolloutPlan) -> Iterator[str]:
    """Give the chain of what the last cutover waited for, first thing first."""
    if not plan.cutovers:
        return
    waits = {f"rehearse {one.department}": one.after for one in plan.rehearsals}
    waits |= {one.closure: one.after for one in plan.cutovers}
    chain: list[str] = []
    at: str | None = plan.cutovers[-1].closure
    while at is not None and at not in chain:
        chain.append(at)
        at = waits.get(at)
    yield from reversed(chain)
