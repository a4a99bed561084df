"""The project as Airflow reads it: department by department, so that a bad one does not hide the others."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from banyan.config import PROJECT_FILE, DepartmentConfig, LandingConfig, Project, TargetConfig
from banyan.departments import Department
from banyan.errors import ConfigurationError

PROJECT_VARIABLE = "BANYAN_PROJECT"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # half of the parse time of 100 departments was YAML


@dataclass(frozen=True, slots=True)
class DepartmentsRead:
    """The project with its readable departments, and why each other one was refused."""

    project: Project = field(repr=False)
    refused: Mapping[str, str]


def find_project_folder() -> Path:
    """Give the folder of the migration project, from BANYAN_PROJECT."""
    folder = os.environ.get(PROJECT_VARIABLE)
    if not folder:
        raise ConfigurationError(
            f"{PROJECT_VARIABLE} does not name the folder of a migration project; no DAG was made",
            hint="banyan airflow render",
        )
    return Path(folder)


def read_departments(folder: Path) -> DepartmentsRead:
    """Read `banyan.yaml`; a department that cannot be read is refused alone, the rest of the file must be right."""
    raw = _read_file(folder / PROJECT_FILE)
    departments: dict[str, DepartmentConfig] = {}
    refused: dict[str, str] = {}
    for key, value in (raw.get("departments") or {}).items():
        code = str(key)
        try:
            if not isinstance(key, str):
                raise ValueError(f"write the code between quotes: '{code}'")
            config = DepartmentConfig.model_validate(value)
            Department(code, config.name, config.time_zone, config.wave)
        except ValidationError as error:
            refused[code] = _first_problem(error)
        except ValueError as error:
            refused[code] = str(error)
        else:
            departments[code] = config
    try:
        target = TargetConfig.model_validate(raw.get("target") or {})
        landing = LandingConfig.model_validate(raw.get("landing") or {})
    except ValidationError as error:
        raise ConfigurationError(f"{PROJECT_FILE}: {_first_problem(error)}; no DAG was made") from None
    project = Project(
        folder=folder.resolve(),
        name=str(raw.get("project", "")),
        target=target,
        landing=landing,
        departments=departments,
        people=raw.get("people") or {},
    )
    return DepartmentsRead(project, refused)


def refuse(refused: Mapping[str, str]) -> None:
    """Raise when a department was refused, naming each with its reason."""
    if refused:
        reasons = "; ".join(f"{code}: {reason}" for code, reason in sorted(refused.items()))
        raise ConfigurationError(
            f"{PROJECT_FILE}: no DAG was made for {', '.join(sorted(refused))} ({reasons}); the others are untouched",
            hint="banyan airflow check",
        )


def _read_file(file: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read; no DAG was made", hint="banyan airflow check") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file.name}:{mark.line + 1}:{mark.column + 1}" if mark else file.name
        raise ConfigurationError(f"{place}: not valid YAML; no DAG was made") from None
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{file.name}: not a project; no DAG was made")
    return raw


def _first_problem(error: ValidationError) -> str:
    first: Any = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
