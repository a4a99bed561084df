"""The project's configuration: one frozen value read from `banyan.yaml`; the only reader of the environment.

Secrets are references, never values: `env:NAME`, `file:PATH`, `airflow:CONN_ID`, or `embedded:NAME` for the embedded
servers.
"""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from banyan.connections import read_connection
from banyan.departments import Actor, Department, Domain, SourceRef
from banyan.errors import ConfigurationError, UsageError

PROJECT_FILE = "banyan.yaml"
ROLES = ("engineer", "steward", "lead", "security", "auditor")
FILE_MEDIA = ("dbf", "csv", "xlsx")
DATABASE_MEDIA = ("postgresql", "mariadb")
ONE_WAY_MEDIA = ("sqlite", "odbc")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9]+")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AfterLoadConfig(_Strict):
    """One statement that follows the load, for what no single row can say, and the columns it writes."""

    statement: str
    writes: dict[str, tuple[str, ...]]


class DriftPolicy(_Strict):
    """What a change of a legacy system leads to; what is ignored is ignored until a day."""

    policy: Literal["stop", "quarantine", "ignore"]
    until: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        return {"policy": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _dated(self) -> "DriftPolicy":
        if (self.policy == "ignore") != (self.until is not None):
            raise ValueError("what is ignored, and nothing else, says until when: {policy: ignore, until: DAY}")
        return self


class DriftConfig(_Strict):
    """What each kind of change of a legacy system leads to."""

    added: DriftPolicy = DriftPolicy(policy="stop")
    removed: DriftPolicy = DriftPolicy(policy="stop")
    retyped: DriftPolicy = DriftPolicy(policy="stop")
    widened: DriftPolicy = DriftPolicy(policy="quarantine")
    new_codes: DriftPolicy = DriftPolicy(policy="quarantine")

    @model_validator(mode="after")
    def _possible(self) -> "DriftConfig":
        if self.removed.policy == "quarantine":
            raise ValueError("a column that is gone has no value to put in quarantine: stop, or ignore until a day")
        return self


class PlaintextConfig(_Strict):
    """A legacy system that is far away and cannot speak TLS: who answers for it, and until when."""

    owner: Annotated[str, Field(min_length=1)]
    until: date


class SourceConfig(_Strict):
    """One legacy system: its medium, where it is, and the rules that give it meaning."""

    medium: Literal["postgresql", "mariadb", "sqlite", "odbc", "dbf", "csv", "xlsx"]
    url: str = Field(repr=False)
    schema_name: Annotated[str, Field(alias="schema")] = ""
    encoding: str = "UTF8"
    rules: str
    fence_url: str = Field(default="", repr=False)
    reverse_url: str = Field(default="", repr=False)
    admin_url: str = Field(default="", repr=False)
    application_url: str = Field(default="", repr=False)
    write_once: bool = False
    drift: DriftConfig = DriftConfig()
    capture: Literal["journal", "log", "row_version", "snapshot"] = "journal"
    fence: Literal["", "triggers", "closed_window"] = ""
    files: tuple[str, ...] = ()
    version_column: str = ""
    plaintext: PlaintextConfig | None = None
    after_load: AfterLoadConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_way(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        if isinstance(given, dict) and given.get("medium") in ONE_WAY_MEDIA and not given.get("fence"):
            return {"capture": "snapshot"} | given
        return given

    @model_validator(mode="after")
    def _once(self) -> "SourceConfig":
        if self.write_once and self.medium not in FILE_MEDIA:
            raise ValueError(f"write_once speaks of files that nobody writes again, and {self.medium} is not one")
        if self.fence and self.medium != "sqlite":
            raise ValueError(f"fence is chosen for a SQLite file; {self.medium} has one kind of its own, or none")
        if self.files:
            self._check_files()
        if self.medium in ONE_WAY_MEDIA and not self.fence and self.capture != "snapshot":
            raise ValueError(f"changes of {self.medium} are found by looking at every row: capture: snapshot")
        if self.fence and self.capture != "journal":
            raise ValueError("a file that is written back knows its own echoes by a journal: capture: journal")
        if self.after_load and not self.write_once:
            raise ValueError("after_load follows the load of files that are written once; other rows come and go")
        return self

    def _check_files(self) -> None:
        """Refuse files that no table could be named after."""
        if not self.fence:
            raise ValueError(
                "files names the files of one folder, of a SQLite source with a fence: fence: closed_window"
            )
        if any(not _FILE_NAME.fullmatch(name) for name in self.files):
            raise ValueError("files names files in the folder that url names: letters, digits, - and _, one suffix")
        if len(set(self.file_names)) < len(self.files):
            raise ValueError("two of the files have one name: their tables could not be told apart")

    @property
    def file_names(self) -> tuple[str, ...]:
        """Give what the tables of each file are named after: its name without the suffix."""
        return tuple(name.partition(".")[0] for name in self.files)

    @property
    def declared_encoding(self) -> str:
        """Give the encoding that the project says in so many words; empty where it says none: none is guessed."""
        return self.encoding if "encoding" in self.model_fields_set else ""

    @property
    def is_database(self) -> bool:
        """Tell whether it is a database both ways: captured, fenced and written back."""
        return (self.medium in DATABASE_MEDIA and not self.is_only_read) or bool(self.fence)

    @property
    def is_one_way(self) -> bool:
        """Tell whether it is a database that is only read."""
        return (self.medium in ONE_WAY_MEDIA and not self.fence) or self.is_only_read

    @property
    def is_only_read(self) -> bool:
        """Tell whether it is a server where the project names the reading account alone, and nothing is installed."""
        others = (self.admin_url, self.fence_url, self.reverse_url)
        is_looked_at = self.capture in ("snapshot", "row_version") and not self.url.startswith("embedded:")
        return self.medium in DATABASE_MEDIA and is_looked_at and not any(others)


class DepartmentConfig(_Strict):
    """One department with its legacy systems."""

    name: str
    time_zone: str
    wave: int = 1
    sources: dict[str, SourceConfig]
    domains: tuple[Domain, ...]


class ProviderConfig(_Strict):
    """The profile of a cloud provider: where bytes may go, and what its object store is asked for."""

    name: str = ""
    endpoints: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    checksums: Literal["when_required", "when_supported"] = "when_required"
    encryption: Literal["", "AES256", "aws:kms"] = ""


class LandingConfig(_Strict):
    """Where parcels are kept: a local folder, or a bucket on an allowed endpoint; and the key that protects them."""

    kind: Literal["local", "s3"] = "local"
    path: str = "landing"
    bucket: str = ""
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    access_key: str = Field(default="", repr=False)
    secret_key: str = Field(default="", repr=False)
    allowed_endpoints: tuple[str, ...] = ()
    provider: ProviderConfig = ProviderConfig()
    key: str = ""


class TargetConfig(_Strict):
    """The canonical PostgreSQL: embedded by default, or the URL of a PostgreSQL 18 or newer."""

    url: str = Field(default="embedded:target", repr=False)
    database: str = "banyan"
    port: int | None = None


class ProxyConfig(_Strict):
    """One HAProxy that routes requests by slice: its runtime socket, its map, and where that map lies on this disk."""

    name: str
    socket: str
    map: str
    file: str = ""


class _ProjectFile(_Strict):
    project: str
    target: TargetConfig = TargetConfig()
    landing: LandingConfig = LandingConfig()
    departments: dict[str, DepartmentConfig] = Field(default_factory=dict)
    people: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    proxies: tuple[ProxyConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A migration project: where it is and what it says."""

    folder: Path
    name: str
    target: TargetConfig
    landing: LandingConfig
    departments: Mapping[str, DepartmentConfig]
    people: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proxies: tuple[ProxyConfig, ...] = ()

    def department(self, code: str) -> Department:
        """Give a department of the project; refuse an unknown code with the list of known ones."""
        found = self.departments.get(code)
        if found is None:
            known = ", ".join(sorted(self.departments)) or "none"
            raise UsageError(f"department {code} is not in {PROJECT_FILE}; it knows: {known}", department=code)
        return Department(code, found.name, found.time_zone, found.wave)

    def source(self, reference: SourceRef) -> SourceConfig:
        """Give a legacy system of a department."""
        self.department(reference.department_code)
        found = self.departments[reference.department_code].sources.get(reference.system_code)
        if found is None:
            known = ", ".join(sorted(self.departments[reference.department_code].sources)) or "none"
            raise UsageError(f"{reference} is not in {PROJECT_FILE}; department has: {known}")
        return found

    @property
    def state_folder(self) -> Path:
        """Give the folder of what banyan itself keeps on disk."""
        return self.folder / ".banyan"


def load_project(path: Path) -> Project:
    """Read `banyan.yaml` of a folder (or the file itself) into one frozen value."""
    file = path / PROJECT_FILE if path.is_dir() else path
    if not file.exists():
        raise ConfigurationError(
            f"there is no {PROJECT_FILE} in {file.parent}; nothing was read",
            hint=f"banyan init {file.parent}    or    banyan -C FOLDER ...",
        )
    try:
        raw = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        parsed = _ProjectFile.model_validate(raw)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file.name}:{mark.line + 1}:{mark.column + 1}" if mark else file.name
        raise ConfigurationError(f"{place}: not valid YAML; nothing was read") from error
    except ValidationError as error:
        raise ConfigurationError(f"{file.name}: {_first_problem(error)}; nothing was read") from error
    for code, department in parsed.departments.items():
        Department(code, department.name, department.time_zone, department.wave)
    return Project(
        folder=file.parent.resolve(),
        name=parsed.project,
        target=parsed.target,
        landing=parsed.landing,
        departments=parsed.departments,
        people=parsed.people,
        proxies=parsed.proxies,
    )


def _first_problem(error: ValidationError) -> str:
    first: Any = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"{place}: {first['msg']}"


def read_secret(reference: str) -> str:
    """Resolve a secret given by reference (`env:NAME`, `file:PATH`, `airflow:CONN_ID`); a bare text is itself."""
    kind, _, rest = reference.partition(":")
    if kind == "env":
        value = os.environ.get(rest)
        if value is None:
            raise ConfigurationError(f"the environment has no {rest}; nothing was opened", hint=f"export {rest}=...")
        return value
    if kind == "file":
        try:
            return Path(rest).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(f"the secret file {rest} cannot be read; nothing was opened") from error
    if kind == "airflow":
        name = f"AIRFLOW_CONN_{rest.upper()}"
        return read_connection(name, read_secret(f"env:{name}").strip())
    return reference


def real_files_folder() -> Path | None:
    """Give the folder of real files for the examples, from BANYAN_REAL_DATA."""
    folder = os.environ.get("BANYAN_REAL_DATA")
    return Path(folder) if folder else None


@dataclass(frozen=True, slots=True)
class OperatingSystemActors:
    """Actors authenticated by the operating system, with the roles the project gives them."""

    people: Mapping[str, tuple[str, ...]]
    name: str = ""

    def current(self, role: str | None = None) -> Actor:
        """Give the person at the keyboard in a role the project grants; refuse any other."""
        name = self.name or os.environ.get("BANYAN_ACTOR") or getpass.getuser()
        granted = self.people.get(name, ())
        wanted = role or (granted[0] if granted else "engineer")
        if role is not None and role not in granted:
            raise UsageError(
                f"{name} does not hold the role {role} in this project; nothing was signed",
                hint=f"add `{name}: [{role}]` under `people` in {PROJECT_FILE}",
            )
        return Actor(name=name, role=wanted, authenticated_by="operating system")
