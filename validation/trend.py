"""How figures moved: the evidence before this one, read back along its chain, and each column and cause beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from banyan.findings import Severity
from validation.cause_words import DEGRADED
from validation.evidence import Bundle, verify_bundle
from validation.facts import CauseFact, ColumnComparison, EvidenceFacts, WaiverFact
from validation.waivers import cause_of, find_unaccepted, rule_of

MOST_EARLIER = 7
"""Evidence shown beside the present one: eight points are a trend, more are a wall."""
_CENT = Decimal("0.01")
_HEIGHT, _TOP, _FLOOR = 18, 3, 21


@dataclass(frozen=True, slots=True)
class History:
    """Facts of the evidence before this one, the oldest first; cut where the chain could not be followed further."""

    earlier: tuple[EvidenceFacts, ...] = field(default=(), repr=False)
    is_cut: bool = False


NO_HISTORY = History()
"""Nothing before: the first evidence of a chain."""


@dataclass(frozen=True, slots=True)
class CauseLine:
    """A cause of differences: whether the evidence before did not have it, and the waiver that accepts it."""

    cause: CauseFact
    is_new: bool
    waiver: int | None


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column that differs or did, or a whole record (`column` empty): its figures of each evidence, and its causes.

    `counts` are the differences of each evidence that compared it, the present one last.
    """

    table: str
    column: str
    rule: str
    compared: int | None
    equal: int | None
    different: int
    per_10000: Decimal | None
    counts: tuple[int, ...]
    causes: tuple[CauseLine, ...]

    @property
    def is_worse(self) -> bool:
        """Tell whether there are more differences than in the evidence before."""
        return len(self.counts) > 1 and self.counts[-1] > self.counts[-2]


@dataclass(frozen=True, slots=True)
class WaiverLine:
    """A waiver of an evidence: how many findings it accepts now, and whether it counts at all."""

    waiver: WaiverFact
    used: int
    is_counted: bool


def read_history(bundle: Bundle, closure: str, *, most: int = MOST_EARLIER) -> History:
    """Read the evidence before a bundle, as long as each is there, sound and about the same closure."""
    earlier: list[EvidenceFacts] = []
    previous, seen = bundle.previous_id, {bundle.evidence_id}
    while previous is not None and len(earlier) < most:
        if previous in seen:
            return History(tuple(reversed(earlier)), is_cut=True)
        seen.add(previous)
        found = verify_bundle(bundle.folder.parent / previous, evidence_id=previous)
        if found.facts is None or not found.is_sound or found.facts.closure != closure:
            return History(tuple(reversed(earlier)), is_cut=True)
        earlier.append(found.facts)
        previous = found.previous_id
    return History(tuple(reversed(earlier)))


def column_lines(facts: EvidenceFacts, history: History) -> tuple[ColumnLine, ...]:
    """Give the columns and records that differ, or did in the evidence before; what grew first, then the most."""
    runs = (*history.earlier, facts)
    lines = [_column_line(column, runs) for column in facts.columns]
    lines += [_record_line(table, runs) for table in sorted({each.table for each in facts.causes if not each.column})]
    shown = [line for line in lines if any(line.counts)]
    return tuple(sorted(shown, key=lambda line: (not line.is_worse, -line.different, line.table, line.column)))


def waiver_lines(facts: EvidenceFacts) -> tuple[WaiverLine, ...]:
    """Give the waivers of an evidence, each with what it accepts now, recomputed; one that is void counts nothing."""
    lines = []
    for waiver in facts.waivers:
        about = [
            line
            for line in facts.findings
            if line.level == waiver.level
            and line.severity is Severity.BLOCK
            and (rule_of(line), cause_of(line)) == (waiver.rule, waiver.cause)
        ]
        left = set(find_unaccepted(facts, waiver.level))
        used = len({line.pseudonym for line in about})
        lines.append(WaiverLine(waiver, used, bool(about) and not left & set(about)))
    return tuple(lines)


def draw_path(counts: Sequence[int]) -> tuple[str, str]:
    """Draw counts as the path of a line 100 wide, and give where it ends (`y`); the greatest count stands on top."""
    most = max(counts) or 1
    step = Decimal(100) / max(len(counts) - 1, 1)
    points = [
        f"{(step * at).quantize(Decimal('0.1'))} {(_FLOOR - Decimal(_HEIGHT * count) / most).quantize(Decimal('0.1'))}"
        for at, count in enumerate(counts)
    ]
    return "M" + "L".join(points), points[-1].partition(" ")[2]


def _column_line(column: ColumnComparison, runs: Sequence[EvidenceFacts]) -> ColumnLine:
    place = (column.table, column.column)
    known = [each for run in runs for each in run.columns if (each.table, each.column) == place]
    rate = Decimal(column.different * 10_000) / Decimal(column.compared or 1)
    return ColumnLine(
        column.table,
        column.column,
        column.rule,
        column.compared,
        column.equal,
        column.different,
        rate.quantize(_CENT),
        tuple(each.different for each in known),
        _causes(place, runs),
    )


def _record_line(table: str, runs: Sequence[EvidenceFacts]) -> ColumnLine:
    counts = tuple(sum(cause.rows for cause in _caused(run, (table, ""))) for run in runs if run.columns or run.causes)
    return ColumnLine(table, "", "", None, None, counts[-1], None, counts, _causes((table, ""), runs))


def _causes(place: tuple[str, str], runs: Sequence[EvidenceFacts]) -> tuple[CauseLine, ...]:
    *earlier, facts = runs
    before = {each.sentence.en for each in _caused(earlier[-1], place)} if earlier else set()
    accepted = {
        (line.waiver.rule, line.waiver.cause): line.waiver.number for line in waiver_lines(facts) if line.is_counted
    }
    rule = ".".join(part for part in place if part)
    return tuple(
        CauseLine(
            cause,
            is_new=bool(earlier) and cause.sentence.en not in before,
            waiver=accepted.get((rule, cause.sentence.en)),
        )
        for cause in _caused(facts, place)
    )


def _caused(facts: EvidenceFacts, place: tuple[str, str]) -> list[CauseFact]:
    mine = [cause for cause in facts.causes if (cause.table, cause.column) == place]
    return [cause for cause in mine if cause.sentence.en != DEGRADED]
