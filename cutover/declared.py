"""What people declared in `rollout.yaml`: who writes in an old system, who reads it, how long one can go back.

```yaml
writers:
  - {account: orion_app, tables: [38.ORION.*], owner: SIC 38, declared: 2026-03-02}
consumers:
  - {name: monthly statistics, tables: [38.ORION.t_proc], owner: SSMSI, declared: 2026-03-02, moved: 2026-10-01}
way_back: {days: 90}
```
Other parts of the file belong to the calendar and are not read here.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from banyan.departments import SourceRef
from banyan.errors import ConfigurationError

ROLLOUT_FILE = "rollout.yaml"
WAY_BACK_DAYS = 90


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tables: tuple[str, ...] = Field(min_length=1)
    owner: str = Field(min_length=1)
    declared: date

    def covers(self, source: SourceRef, table: str) -> bool:
        """Tell whether the entry speaks of a table: `38.ORION.t_proc`, or `38.ORION.*` for all of a system."""
        return f"{source}.*" in self.tables or f"{source}.{table}" in self.tables


class DeclaredWriter(_Entry):
    """An account that is known to write, with who answers for it."""

    account: str = Field(min_length=1)


class DeclaredConsumer(_Entry):
    """Somebody who reads the old system; `moved` is the day on which the new one became its source."""

    name: str = Field(min_length=1)
    moved: date | None = None


class _WayBack(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(default=WAY_BACK_DAYS, ge=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    writers: tuple[DeclaredWriter, ...] = ()
    consumers: tuple[DeclaredConsumer, ...] = ()
    way_back: _WayBack = _WayBack()


@dataclass(frozen=True, slots=True)
class Declarations:
    """Declared writers and consumers of a project, and the days for which a way back is promised."""

    writers: tuple[DeclaredWriter, ...] = ()
    consumers: tuple[DeclaredConsumer, ...] = ()
    way_back_days: int = WAY_BACK_DAYS

    def knows_writers_of(self, source: SourceRef) -> bool:
        """Tell whether anybody has declared who writes in a legacy system at all."""
        return any(table.startswith(f"{source}.") for writer in self.writers for table in writer.tables)

    def is_declared(self, source: SourceRef, account: str, table: str) -> bool:
        """Tell whether an account is declared as a writer of a table."""
        return any(writer.account == account and writer.covers(source, table) for writer in self.writers)

    def consumers_of(self, source: SourceRef, tables: tuple[str, ...]) -> tuple[DeclaredConsumer, ...]:
        """Give the consumers of any of these tables."""
        return tuple(c for c in self.consumers if any(c.covers(source, table) for table in tables))


def read_declarations(folder: Path) -> Declarations:
    """Read what a project declares; without the file nothing is declared."""
    path = folder / ROLLOUT_FILE
    if not path.exists():
        return Declarations()
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        parsed = _File.model_validate(raw)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{ROLLOUT_FILE}:{mark.line + 1}:{mark.column + 1}" if mark else ROLLOUT_FILE
        raise ConfigurationError(
            f"{place}: not valid YAML; nothing was read", hint=f"correct {ROLLOUT_FILE}"
        ) from error
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
        at = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(
            f"{ROLLOUT_FILE}: {at}: {first['msg']}; nothing was read", hint=f"correct {ROLLOUT_FILE}"
        ) from error
    return Declarations(parsed.writers, parsed.consumers, parsed.way_back.days)
