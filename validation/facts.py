"""What a gate is shown: plain values counted elsewhere, never by subtraction, never a value of a person's record."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256

from banyan.departments import Department
from banyan.findings import FindingKind, LevelResult, Severity
from banyan.records import PartCounts, RowCounts
from validation import canonical_json
from validation.masking import Masked, pseudonym
from validation.profiles import Profile
from validation.provenance import BucketFact, ChunkPlan, Version
from validation.text import NO_TEXT, Text

_PSEUDONYM = re.compile(r"[0-9a-f]{16,64}")


class Transition(StrEnum):
    """What the evidence is for."""

    SWITCH = "switch to CANONICAL"
    ROLLBACK = "rollback to LEGACY"
    COMPLETE = "end of the way back"


@dataclass(frozen=True, slots=True)
class RulesetDigest:
    """A ruleset that gave the rows their meaning, such as `T_PROC@1`, with the digest of its file."""

    rule_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Positions:
    """Where both sides stood when the evidence was taken; opaque."""

    legacy: str
    canonical: str


@dataclass(frozen=True, slots=True)
class TableConservation:
    """The two conservation equations of one legacy table."""

    table: str
    rows: RowCounts
    parts: PartCounts = field(default_factory=PartCounts)


@dataclass(frozen=True, slots=True)
class FilteredRows:
    """A list of rows that a named rule kept out, and who decided it."""

    table: str
    rule: str
    reason: Text
    rows: int
    decided_by: Text = NO_TEXT


@dataclass(frozen=True, slots=True)
class QuarantinedRows:
    """A list of rows that wait in quarantine for one cause."""

    table: str
    cause: Text
    rows: int
    next_command: str = ""


@dataclass(frozen=True, slots=True)
class QuarantinedFields:
    """A list of fields of loaded rows that wait in quarantine for one cause."""

    table: str
    column: str
    cause: Text
    fields: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something was tried, held, or is listed as degraded instead."""

    tried: int
    held: int
    listed: int = 0

    @property
    def is_complete(self) -> bool:
        """Tell whether each try held or is listed."""
        return self.tried == self.held + self.listed


@dataclass(frozen=True, slots=True)
class RoundTripFigures:
    """The four figures of the way back, always told apart."""

    rows: int
    rows_identical: int
    exact_without_residue: int
    fields: int
    residue_only_fields: int
    put_get: Tally
    fields_touched_ok: Tally


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """One canonical column, legacy re-read and mapped again against what is stored."""

    table: str
    column: str
    rule: str
    compared: int
    equal: int
    different: int


@dataclass(frozen=True, slots=True)
class CauseFact:
    """A group of differences that share one explanation."""

    name: str
    table: str
    column: str
    sentence: Text
    rows: int


@dataclass(frozen=True, slots=True)
class Total:
    """One figure of the trade on both sides: exact, integer or decimal, never a float."""

    label: Text
    legacy: int | Decimal
    canonical: int | Decimal
    explanation: Text | None = None
    problem: Text | None = None
    """Why the two figures prove nothing, or disagree although they look alike; it closes the gate."""
    digest: str = ""
    """Of what was declared to be counted; none where nobody declares it."""

    @property
    def difference(self) -> int | Decimal:
        """Give what the new system has more (or less)."""
        return self.canonical - self.legacy


@dataclass(frozen=True, slots=True)
class NotCounted:
    """A canonical table of facts or amounts of which no control total can be counted, and why."""

    table: str
    reason: Text


@dataclass(frozen=True, slots=True)
class QuestionFact:
    """A recorded question as both sides answered it, by counts only; its rows are named in the findings."""

    name: str
    sentence: Text
    digest: str
    is_absolute: bool
    legacy: int
    explained: int
    canonical: int
    moving: int
    different: int
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Example:
    """One difference side by side: raw, decoded when that is another thing, rule, expected, found; all masked."""

    cause: str
    table: str
    column: str
    record: str
    raw: Masked
    rule: str
    expected: Masked
    found: Masked
    decoded: Masked | None = None
    note: Text = NO_TEXT

    def __post_init__(self) -> None:
        _require_pseudonym(self.record)


@dataclass(frozen=True, slots=True)
class DegradedWriteBack:
    """Edits the legacy system cannot say, counted by kind."""

    kind: Text
    table: str
    column: str
    count: int


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding as evidence keeps it: the row is named by its keyed pseudonym only."""

    level: str
    kind: FindingKind
    severity: Severity
    table: str
    pseudonym: str
    column: str = ""
    cause: str = ""

    def __post_init__(self) -> None:
        _require_pseudonym(self.pseudonym)


@dataclass(frozen=True, slots=True)
class WaiverFact:
    """A waiver as evidence keeps it: what it accepts, frozen, and the two people who answer for it."""

    number: int
    level: str
    rule: str
    cause: str
    records: tuple[str, ...] = field(repr=False)
    records_digest: str
    up_to: int
    until: datetime
    rules_digest: str
    reason: str
    author: str
    approver: str

    def __post_init__(self) -> None:
        for record in self.records:
            _require_pseudonym(record)


@dataclass(frozen=True, slots=True)
class EvidenceFacts:
    """Everything a verdict rests on. `measured_at` and `run` are told beside the hash, not in it."""

    department: Department
    closure: str
    system: str
    transition: Transition
    profile: Profile
    rulesets: tuple[RulesetDigest, ...]
    positions: Positions
    conservation: tuple[TableConservation, ...]
    levels: tuple[LevelResult, ...]
    measured_at: datetime
    filtered: tuple[FilteredRows, ...] = ()
    quarantined_rows: tuple[QuarantinedRows, ...] = ()
    quarantined_fields: tuple[QuarantinedFields, ...] = ()
    round_trip: RoundTripFigures | None = None
    columns: tuple[ColumnComparison, ...] = ()
    causes: tuple[CauseFact, ...] = ()
    control_totals: tuple[Total, ...] = ()
    statistics: tuple[Total, ...] = ()
    examples: tuple[Example, ...] = ()
    degraded: tuple[DegradedWriteBack, ...] = ()
    findings: tuple[FindingLine, ...] = field(default=(), repr=False)
    suites: tuple[RulesetDigest, ...] = ()
    waivers: tuple[WaiverFact, ...] = ()
    run: str = ""
    is_synthetic: bool = False
    questions: tuple[QuestionFact, ...] = ()
    record_counts: tuple[Total, ...] = ()
    """Records that the store claims to have loaded against those it holds: its own account, never the old system's."""
    versions: tuple[Version, ...] = ()
    algorithms: tuple[Version, ...] = ()
    chunks: tuple[ChunkPlan, ...] = ()
    """How L4 cut each legacy table; empty when it judged keys and not tables."""
    buckets: tuple[BucketFact, ...] = field(default=(), repr=False)
    not_counted: tuple[NotCounted, ...] = ()
    """Facts and amounts of which it is declared that no control total can be counted."""

    def __post_init__(self) -> None:
        if self.measured_at.tzinfo is None:
            raise ValueError("measured_at must be an aware instant")
        if any(level.findings for level in self.levels):
            raise ValueError("a level still carries raw keys; pass it through `pseudonymous` first")

    @property
    def rows(self) -> RowCounts:
        """Give the legacy equation of the whole closure."""
        return sum((line.rows for line in self.conservation), RowCounts())

    @property
    def parts(self) -> PartCounts:
        """Give the canonical equation of the whole closure."""
        return sum((line.parts for line in self.conservation), PartCounts())

    @property
    def domains(self) -> tuple[str, ...]:
        """Give the domains of the closure."""
        return tuple(self.closure.partition(".")[2].split("+"))

    def level(self, name: str) -> LevelResult | None:
        """Find the result of a level; None when it was not run."""
        return next((level for level in self.levels if level.level == name), None)


def rules_digest(facts: EvidenceFacts) -> str:
    """Digest what gave the findings their meaning: rulesets and suites; a waiver holds under the same ones only."""
    return digest_rules(facts.rulesets, facts.suites)


def digest_rules(rulesets: Sequence[RulesetDigest], suites: Sequence[RulesetDigest]) -> str:
    """Digest rulesets and suites, in whatever order they were read."""
    named = {"rulesets": sorted(rulesets, key=_by_rule), "suites": sorted(suites, key=_by_rule)}
    return sha256(canonical_json.encode(named)).hexdigest()


def _by_rule(each: RulesetDigest) -> str:
    return each.rule_id


def pseudonymous(
    levels: Sequence[LevelResult], digest_key: bytes
) -> tuple[tuple[LevelResult, ...], tuple[FindingLine, ...]]:
    """Take the raw keys out of levels: give the levels without findings, and the findings under pseudonyms."""
    lines = tuple(
        FindingLine(
            level=level.level,
            kind=found.kind,
            severity=found.severity,
            table=found.table,
            pseudonym=pseudonym(digest_key, found.table, found.key),
            column=found.column or "",
            cause=found.cause,
        )
        for level in levels
        for found in level.findings
    )
    return tuple(replace(level, findings=()) for level in levels), lines


def _require_pseudonym(text: str) -> None:
    if not _PSEUDONYM.fullmatch(text):
        raise ValueError(
            "a row is named in evidence by its keyed pseudonym (16 to 64 hexadecimal digits), not by its key"
        )
