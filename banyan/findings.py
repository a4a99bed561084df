"""What judgement says: findings, levels, verdicts."""

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs."""

    BLOCK = "BLOCK"
    QUARANTINE = "QUARANTINE"
    WARN = "WARN"


class FindingKind(StrEnum):
    """The closed list of discrepancies banyan can name."""

    MISSING_IN_CANONICAL = "MISSING_IN_CANONICAL"
    MISSING_IN_LEGACY = "MISSING_IN_LEGACY"
    DIFFERS = "DIFFERS"
    DUPLICATED = "DUPLICATED"
    UNBALANCED = "UNBALANCED"
    RULE_BROKEN = "RULE_BROKEN"
    DISPOSITION_NOT_APPLIED = "DISPOSITION_NOT_APPLIED"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    UNREADABLE = "UNREADABLE"
    STATISTIC_DIFFERS = "STATISTIC_DIFFERS"
    OPEN_WORK_DIFFERS = "OPEN_WORK_DIFFERS"
    SAMPLE_DIFFERS = "SAMPLE_DIFFERS"
    ANSWER_DIFFERS = "ANSWER_DIFFERS"
    FOREIGN_WRITE = "FOREIGN_WRITE"
    FORGOTTEN = "FORGOTTEN"
    GOLDEN_BROKEN = "GOLDEN_BROKEN"


class LevelState(StrEnum):
    """Result of a validation level; everything but PASS is a NO-GO unless a valid waiver covers it."""

    PASS = "PASS"
    FAIL = "FAIL"
    ERROR = "ERROR"
    STALE = "STALE"
    NOT_RUN = "NOT RUN"


class VerdictKind(StrEnum):
    """What a gate answers."""

    GO = "GO"
    NO_GO = "NO-GO"
    AWAITING = "AWAITING"


@dataclass(frozen=True, slots=True)
class Finding:
    """One discrepancy: where it is, what kind, and the cause when it is known; never a value."""

    kind: FindingKind
    severity: Severity
    table: str
    key: str = field(repr=False)
    column: str | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class LevelResult:
    """What one level found: its state, one sentence, its figures and its findings."""

    level: str
    state: LevelState
    sentence: str
    figures: dict[str, int | str | bool] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """GO, NO-GO or AWAITING, with the reasons in words an officer understands."""

    kind: VerdictKind
    reasons: tuple[str, ...] = ()
