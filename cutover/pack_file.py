"""What people declare for a commander's pack, read at the border: `packs/CLOSURE.yaml` of the project.

```yaml
number: 38-01
decision: {fr: Autoriser la bascule de la nuit du 1er décembre., en: Allow the switch in the night of 1 December.}
changes: [{fr: Les 41 unités écrivent dans le nouveau système., en: The 41 units write in the new system.}]
keeps: [{fr: Les numéros de procédure., en: Case numbers.}]
morning: [{fr: Même compte, même carte., en: Same account, same card.}]
reservations:
  - {fr: Trois agents non formés., en: Three officers not trained., owner: J. Collet, due: 2026-12-02}
unknown: [{fr: Au-delà de 600 agents connectés., en: Beyond 600 officers connected.}]
checked:
  - {name: H. Brossard, role: steward, fr: 299 fiches comparées au papier, en: 299 files compared to the paper}
decides: [P. Aubry, N. Tessier]
signs: {commander: P. Aubry, security: A. Delmas}
```
Lengths are bounded: the pack is two sheets of paper.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from banyan.errors import ConfigurationError
from validation.briefing import Checker, Declared, Reservation
from validation.text import Text

FOLDER = "packs"
_Sentence = Annotated[str, Field(min_length=1, max_length=140)]
_Name = Annotated[str, Field(min_length=1, max_length=40)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Said(_Strict):
    fr: _Sentence
    en: _Sentence

    def text(self) -> Text:
        return Text(self.fr, self.en)


class _Reserved(_Said):
    owner: _Name
    due: date


class _Checked(_Said):
    name: _Name
    role: _Name


class _File(_Strict):
    number: str = Field(default="", max_length=20)
    decision: _Said | None = None
    changes: tuple[_Said, ...] = Field(default=(), max_length=2)
    keeps: tuple[_Said, ...] = Field(default=(), max_length=2)
    morning: tuple[_Said, ...] = Field(default=(), max_length=3)
    reservations: tuple[_Reserved, ...] = Field(default=(), max_length=60)
    unknown: tuple[_Said, ...] = Field(default=(), max_length=2)
    checked: tuple[_Checked, ...] = Field(default=(), max_length=3)
    decides: tuple[_Name, ...] = Field(default=(), max_length=2)
    signs: dict[str, _Name] = {}


def read_declared(folder: Path, closure: str) -> Declared | None:
    """Read what was declared for a closure; None when nobody declared anything, which the pack then says."""
    path = folder / FOLDER / f"{closure}.yaml"
    if not path.exists():
        return None
    place = f"{FOLDER}/{path.name}"
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        found = _File.model_validate(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}: not valid YAML; no pack was written", hint=f"correct {place}") from error
    except ValidationError as error:
        first: Any = error.errors(include_input=False, include_url=False)[0]
        at = ".".join(str(step) for step in first["loc"])
        raise ConfigurationError(
            f"{place}: {at}: {first['msg']}; no pack was written", hint=f"correct {place}"
        ) from error
    return Declared(
        number=found.number,
        decision=found.decision.text() if found.decision else None,
        changes=tuple(each.text() for each in found.changes),
        keeps=tuple(each.text() for each in found.keeps),
        morning=tuple(each.text() for each in found.morning),
        reservations=tuple(Reservation(each.text(), each.owner, each.due.isoformat()) for each in found.reservations),
        unknown=tuple(each.text() for each in found.unknown),
        checked=tuple(Checker(each.name, each.role, each.text()) for each in found.checked),
        decides=found.decides,
        signs=dict(found.signs),
    )
