"""Who takes part: departments, sides, phases, domains, sources, slices and actors."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_DEPARTMENT_CODE = re.compile(r"[0-9A-Z]{2,6}")


class Side(StrEnum):
    """One of the two worlds that run beside each other."""

    LEGACY = "LEGACY"
    CANONICAL = "CANONICAL"

    @property
    def other(self) -> "Side":
        """Give the opposite side."""
        return Side.CANONICAL if self is Side.LEGACY else Side.LEGACY


class Domain(StrEnum):
    """What is cut over together inside a department."""

    REFERENCE = "reference"
    VEHICLES = "vehicles"
    LOGBOOK = "logbook"
    CASES = "cases"
    DOCUMENTS = "documents"
    CUSTODY = "custody"


class Phase(StrEnum):
    """State of a slice; the table of transitions is in cutover/protocol.py."""

    REGISTERED = "REGISTERED"
    ASSESSED = "ASSESSED"
    MAPPED = "MAPPED"
    LOADING = "LOADING"
    SYNCING = "SYNCING"
    READY = "READY"
    FENCING = "FENCING"
    DRAINING = "DRAINING"
    VERIFYING = "VERIFYING"
    SEALING = "SEALING"
    LIVE = "LIVE"
    R_DRAINING = "R_DRAINING"
    R_VERIFYING = "R_VERIFYING"
    R_OPENING = "R_OPENING"
    ABORTING = "ABORTING"
    COMPLETING = "COMPLETING"
    RETIRED = "RETIRED"
    HALT = "HALT"

    @property
    def owner(self) -> Side | None:
        """Give the side that owns a slice in this phase; HALT keeps what the slice row says."""
        if self is Phase.HALT:
            return None
        return Side.CANONICAL if self in _OWNED_BY_CANONICAL else Side.LEGACY

    @property
    def legacy_writes(self) -> bool:
        """Tell whether people can write in the legacy system in this phase."""
        return self in _LEGACY_OPEN

    @property
    def canonical_writes(self) -> bool:
        """Tell whether people can write in the new system in this phase."""
        return self in (Phase.LIVE, Phase.COMPLETING, Phase.RETIRED)


_OWNED_BY_CANONICAL = frozenset((Phase.LIVE, Phase.R_DRAINING, Phase.R_VERIFYING, Phase.COMPLETING, Phase.RETIRED))
_LEGACY_OPEN = frozenset((Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED, Phase.LOADING, Phase.SYNCING, Phase.READY))


@dataclass(frozen=True, slots=True)
class Department:
    """A territorial unit; its code is text (`2A`, `974`)."""

    code: str
    name: str
    time_zone: str
    wave: int

    def __post_init__(self) -> None:
        if not _DEPARTMENT_CODE.fullmatch(self.code):
            raise ValueError(f"department code {self.code!r} is not 2 to 6 digits and capital letters")


@dataclass(frozen=True, slots=True)
class SourceRef:
    """One legacy system of a department."""

    department_code: str
    system_code: str

    def __str__(self) -> str:
        return f"{self.department_code}.{self.system_code}"


@dataclass(frozen=True, slots=True)
class Closure:
    """The slices of a department that share a legacy table: fenced, drained and flipped together."""

    department_code: str
    domains: tuple[str, ...]
    tables: tuple[str, ...]
    shared_tables: tuple[str, ...]

    @property
    def name(self) -> str:
        """Give the closure's name, such as `38.cases+vehicles`."""
        return f"{self.department_code}.{'+'.join(self.domains)}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: name, role, and how that was authenticated."""

    name: str
    role: str
    authenticated_by: str


class ActorSource(Protocol):
    """The one port through which an identity provider plugs in."""

    def current(self, role: str | None = None) -> Actor:
        """Give the actor of this command, in the role asked for; refuse a role the actor does not hold."""
        ...
