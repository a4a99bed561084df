"""The calendar part of `rollout.yaml`, read at the border: nights, teams, waves, excluded periods, decided dates.

```yaml
rollout:
  time_zone: Europe/Paris
  starts_on: 2026-09-01
  nights: [tuesday, thursday]
  window: {opens: "21:00", hours: 9}
  teams: [{name: north, nights_per_week: 2}]
  waves: [{number: 1, team: north, departments: ["48", "23"]}]
  excluded: [{name: End of year freeze, kind: freeze, first: 2026-12-18, last: 2027-01-04}]
  departments:
    "48": {name: Lozère, time_zone: Europe/Paris, rows: 360000, closures: [[reference], [cases, documents]]}
  decided: {38.reference: 2026-12-03}
```
A department that `banyan.yaml` knows needs no entry: its closures come from its rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from banyan.departments import Domain
from banyan.errors import ConfigurationError
from cutover.declared import ROLLOUT_FILE
from mappings.diagnostics import Diagnostics
from mappings.yaml_nodes import read_yaml
from validation.text import Text

PARALLEL_DAYS = 14
"""Days both systems run side by side before a cutover: gate G3 asks for at least 14."""
_FRIDAY = "friday"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ExcludedKind(StrEnum):
    """Why no cutover may take place in a period."""

    FREEZE = "freeze"
    ELECTION = "election"
    EVENT = "event"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NightWindow(_Strict):
    """When a cutover night opens, on the clock of the rollout, and how many hours it lasts."""

    opens: time = time(21, 0)
    hours: int = Field(default=9, ge=1, le=12)


class Team(_Strict):
    """People who carry a cutover: one a night, and so many nights a week."""

    name: str = Field(min_length=1)
    nights_per_week: int = Field(default=2, ge=1, le=7)


class Wave(_Strict):
    """Departments that go together, carried by one team."""

    number: int = Field(ge=1)
    team: str
    departments: tuple[str, ...] = Field(min_length=1)
    not_before: date | None = None


class Excluded(_Strict):
    """A period without cutovers; both days belong to it."""

    name: str = Field(min_length=1)
    kind: ExcludedKind
    first: date
    last: date

    @model_validator(mode="after")
    def _in_order(self) -> "Excluded":
        if self.last < self.first:
            raise ValueError("last is before first")
        return self


class PlannedDepartment(_Strict):
    """A department that has no configuration yet: its closures and volume as they are expected."""

    name: str = Field(min_length=1)
    time_zone: str = "Europe/Paris"
    rows: int = Field(default=0, ge=0)
    closures: tuple[tuple[Domain, ...], ...] = ()


class RolloutDocument(_Strict):
    """What people decided about the calendar."""

    time_zone: str = "Europe/Paris"
    starts_on: date
    nights: tuple[str, ...] = Field(default=("tuesday", "thursday"), min_length=1)
    window: NightWindow = NightWindow()
    cutovers_per_night: int = Field(default=2, ge=1)
    rehearsal_days: int = Field(default=20, ge=1)
    rows_per_hour: int = Field(default=0, ge=0)
    load_hours_per_day: int = Field(default=8, ge=1, le=24)
    parallel_days: int = Field(default=PARALLEL_DAYS, ge=PARALLEL_DAYS)
    days_between: int = Field(default=2, ge=1)
    teams: tuple[Team, ...] = Field(min_length=1)
    waves: tuple[Wave, ...] = Field(min_length=1)
    excluded: tuple[Excluded, ...] = ()
    departments: dict[str, PlannedDepartment] = Field(default_factory=dict)
    after: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    decided: dict[str, date] = Field(default_factory=dict)

    @field_validator("nights")
    @classmethod
    def _known_nights(cls, nights: tuple[str, ...]) -> tuple[str, ...]:
        for night in nights:
            if night not in WEEKDAYS:
                raise ValueError(f"{night} is not a day of the week in English, in small letters")
            if night == _FRIDAY:
                raise ValueError("no cutover starts on a Friday: nobody would be there on the next two days")
        return nights

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{zone} is not a time zone of the tz database, such as Europe/Paris") from error
        return zone

    @model_validator(mode="after")
    def _joined(self) -> "RolloutDocument":
        teams = {team.name for team in self.teams}
        seen: dict[str, int] = {}
        for wave in self.waves:
            if wave.team not in teams:
                raise ValueError(f"wave {wave.number} names team {wave.team}, which is not declared under teams")
            for code in wave.departments:
                if code in seen:
                    raise ValueError(f"department {code} stands in waves {seen[code]} and {wave.number}")
                seen[code] = wave.number
        numbers = [wave.number for wave in self.waves]
        if numbers != sorted(set(numbers)):
            raise ValueError("waves are listed by their number, each once")
        return self


@dataclass(frozen=True, slots=True)
class RolloutDepartment:
    """A department on the calendar: its zone, its wave, its closures in the order they go, its volume in rows."""

    code: str
    name: str
    time_zone: str
    wave: int
    closures: tuple[str, ...]
    rows: int = 0
    ties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By closure: the legacy tables that tie its domains, where its rules are known."""

    def say_whole(self, closure: str) -> Text:
        """Say that a closure moves at once, and by which tables."""
        tables = ", ".join(self.ties.get(closure, ()))
        return Text(
            f"ses règles déplacent {closure} en une fois" + (f" ({tables} en commun)" if tables else ""),
            f"its rules move {closure} at once" + (f" ({tables} in common)" if tables else ""),
        )


@dataclass(frozen=True, slots=True)
class Rollout:
    """All that a calendar is computed from."""

    document: RolloutDocument
    departments: Mapping[str, RolloutDepartment]
    way_back_days: int
    rows_per_hour: int = 0
    places: Mapping[str, str] = field(default_factory=dict)

    def team_of(self, wave: int) -> Team:
        """Give the team that carries a wave."""
        name = next(one.team for one in self.document.waves if one.number == wave)
        return next(team for team in self.document.teams if team.name == name)


def read_rollout(folder: Path) -> tuple[RolloutDocument, dict[str, str]]:
    """Read the calendar of a project and the place (file:line:column) of each decided date; refuse what is unclear."""
    path = folder / ROLLOUT_FILE
    if not path.exists():
        raise ConfigurationError(
            f"{folder} has no {ROLLOUT_FILE}; nothing was planned", hint="banyan rollout --help shows how it begins"
        )
    found = Diagnostics()
    file = read_yaml(path, found)
    if file is None or found.has_errors:
        first = found.in_order()[0]
        raise ConfigurationError(f"{first.place}: {first.message}; nothing was planned", hint=first.suggestion)
    raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or "rollout" not in raw:
        raise ConfigurationError(
            f"{ROLLOUT_FILE} has no key rollout; nothing was planned", hint="banyan rollout --help shows how it begins"
        )
    try:
        document = RolloutDocument.model_validate(raw["rollout"])
    except ValidationError as error:
        problem: Any = error.errors(include_input=False, include_url=False)[0]
        mark = file.value_mark(("rollout", *problem["loc"]))
        said = str(problem["msg"]).removeprefix("Value error, ")
        where = ".".join(str(step) for step in problem["loc"])
        raise ConfigurationError(
            f"{mark}: {where + ': ' if where else ''}{said}; nothing was planned", hint=f"correct {ROLLOUT_FILE}"
        ) from error
    places = {closure: str(file.key_mark(("rollout", "decided", closure))) for closure in document.decided}
    return document, places
