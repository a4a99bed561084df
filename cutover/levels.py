"""The levels of a closure, run one after the other as the role that only judges; nothing is written here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from banyan.clock import monotonic, now
from banyan.departments import Side
from banyan.errors import UsageError
from banyan.findings import FindingKind, LevelResult, LevelState
from banyan.records import Position
from cutover.behaving import open_work_of, statistics_of
from cutover.listed import replay_of
from cutover.samples import read_sample
from cutover.totals import totals_coverage, totals_of
from store.buckets import JudgedUpTo, read_judged, read_moment
from store.judgements import read_evidence_ids
from store.ledger import LedgerReader
from store.postgres import transaction
from sync.assembly import Rig
from validation.anchors import find_broken_links, find_forgotten, read_anchors
from validation.behaviour import combine
from validation.conservation import Balances, judge_balances, read_balances
from validation.counted import with_totals
from validation.declared_behaviour import CASES
from validation.extraction import check_extraction
from validation.facts import NotCounted, Total
from validation.golden_level import with_golden
from validation.incremental import Again, plan_again
from validation.level_two import run_rules
from validation.rechecking import Patience
from validation.reconcile import reconcile
from validation.reconciliation import Reconciliation
from validation.replay import Answer, replay_level
from validation.round_trip import RoundTripResult, check_round_trip
from validation.rules_worker import RuleWorker
from validation.sampling import SampleResult, sample_level
from validation.statistics import StatisticLine
from validation.subject import Progress, Subject
from validation.suites import Suite
from validation.tripwire import Tripwire, check_tripwire
from validation.unapplied import find_unapplied, with_unapplied

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What the levels of a closure found, with what the facts are made of."""

    levels: tuple[LevelResult, ...]
    balances: Balances = field(repr=False)
    reconciliation: Reconciliation = field(repr=False)
    round_trip: RoundTripResult = field(repr=False)
    tripwire: Tripwire = field(repr=False)
    lines: tuple[StatisticLine, ...] = field(repr=False)
    watermark: Position | None
    judged_before: JudgedUpTo | None
    began: datetime
    """When the measuring began."""
    sample: SampleResult | None = field(default=None, repr=False)
    again: Again | None = field(default=None, repr=False)
    answers: tuple[Answer, ...] = field(default=(), repr=False)
    totals: tuple[Total, ...] = field(default=(), repr=False)
    """Control totals of the trade, counted on both sides."""
    not_counted: tuple[NotCounted, ...] = ()

    @property
    def is_remembered(self) -> bool:
        """Tell whether the store holds all evidence that is anchored: only its own chain is anchored further."""
        return all(found.kind is not FindingKind.FORGOTTEN for found in self.tripwire.level.findings)

    @property
    def is_sound(self) -> bool:
        """Tell whether all records were judged and found right: only then is a fold worth remembering."""
        asked = {level.level: level.state for level in self.levels}
        return all(asked.get(name) is LevelState.PASS for name in ("L1", "L3", "L4")) and not self.reconciliation.moving


@dataclass(frozen=True, slots=True)
class Measuring:
    """How the levels are run: with which worker, under which rules, whether only what changed, and whom to tell."""

    suites: Sequence[Suite]
    rules_digest: str
    worker: RuleWorker | None = None
    is_incremental: bool = False
    mapping_digest: str = ""
    """Digest of the rulesets alone: buckets are shared by closures whose suites differ."""
    is_replayed: bool = False
    """Whether the recorded questions are put to both sides, which costs the old system as many queries."""
    announce: Announce = lambda _: None


def measure(rig: Rig, subject: Subject, closure: str, how: Measuring) -> Measured:
    """Run the levels of a closure in order; changes no record."""
    announce, began = how.announce, now()
    with transaction(subject.engine) as connection:
        judged = read_judged(connection, closure)
    watermark = rig.forward().watermark()
    again = _again(subject, judged, watermark, how=how, on=began.date()) if how.is_incremental else None
    announce("L0 extraction")
    medium = rig.workspace.source_config(rig.source).medium
    levels = [check_extraction(subject, rig.workspace.landing, medium=medium)]
    announce("L1 conservation")
    balances = read_balances(subject)
    levels.append(judge_balances(balances))
    announce("L2 rules")
    url = rig.workspace.store_url("banyan_judge")
    rules = run_rules(url, subject.department.code, how.suites, worker=how.worker).level
    levels.append(with_unapplied(rules, find_unapplied(subject)))
    announce("L3 tripwire")
    tripwire = _tripwire(rig, subject, closure, how=how, again=again)
    levels.append(tripwire.level)
    announce("L4 reconciliation")
    reconciliation = reconcile(
        subject,
        watermark=watermark,
        keys_by_table=again.keys if again else None,
        watcher=tell_progress(announce),
        patience=patience_of(subject),
        kept_in=kept_in(rig, closure),
    )
    announce("L4 golden records")
    reconciliation = with_golden(reconciliation, subject)
    levels.append(reconciliation.level)
    announce("L5 behaviour")
    behaviour = _behaviour(rig, subject, closure, how=how, watermark=watermark)
    announce("control totals")
    totals, coverage = totals_of(subject, watermark), totals_coverage(subject)
    levels.append(with_totals(behaviour.level, coverage))
    announce("L6 round trip")
    round_trip = check_round_trip(subject)
    levels.append(round_trip.level)
    return Measured(
        tuple(levels),
        balances,
        reconciliation,
        round_trip,
        tripwire,
        behaviour.lines,
        watermark,
        judged_before=judged,
        began=began,
        sample=behaviour.sample,
        again=again,
        answers=behaviour.answers,
        totals=totals,
        not_counted=coverage.not_counted,
    )


def _again(
    subject: Subject, judged: JudgedUpTo | None, watermark: Position | None, *, how: Measuring, on: date
) -> Again:
    with transaction(subject.engine) as connection:
        incarnation = read_moment(connection).incarnation
    known = (how.rules_digest, incarnation)
    if judged is None or watermark is None or (judged.rules_digest, judged.incarnation) != known:
        raise UsageError(
            "there is no complete judgement of this store under these rules to start from; nothing was judged",
            hint="run it once without --incremental",
        )
    again = plan_again(subject, judged, until=watermark, on=on)
    how.announce(
        f"again: {again.changed} keys changed, {again.written} written, {again.sliced} of {len(again.slices)} slices"
    )
    return again


def _tripwire(rig: Rig, subject: Subject, closure: str, *, how: Measuring, again: Again | None) -> Tripwire:
    anchors = read_anchors(rig.workspace.landing, closure)
    with transaction(subject.engine) as connection:
        known = read_evidence_ids(connection, closure)
    forgotten = {*find_forgotten(anchors, known), *find_broken_links(anchors)}
    return check_tripwire(
        subject,
        rules_digest=how.mapping_digest,
        buckets=again.buckets if again else None,
        forgotten=sorted(forgotten, key=lambda anchor: anchor.place),
    )


@dataclass(frozen=True, slots=True)
class _Behaviour:
    level: LevelResult
    lines: tuple[StatisticLine, ...]
    sample: SampleResult | None
    answers: tuple[Answer, ...]


def _behaviour(rig: Rig, subject: Subject, closure: str, *, how: Measuring, watermark: Position | None) -> _Behaviour:
    parts: list[LevelResult] = []
    not_concerned: list[str] = []
    lines: tuple[StatisticLine, ...] = ()
    counted = statistics_of(subject, watermark, patience_of(subject))
    if counted is None:
        not_concerned.append("statistics")
    else:
        statistics, lines = counted
        parts.append(statistics)
    live = open_work_of(subject, watermark, patience_of(subject))
    if live is None:
        not_concerned.append("open_work")
    else:
        parts.append(live)
    if CASES not in subject.canonical_tables:
        not_concerned.append("sample")  # the paper is the file of a case
    sample = read_sample(rig.workspace.project.folder, closure)
    level = sample_level(sample, rules_digest=how.rules_digest)
    if level is not None:
        parts.append(level)
    answers: tuple[Answer, ...] = ()
    if how.is_replayed:
        how.announce("L5 queries")
        with transaction(subject.engine) as connection:
            replayed = replay_of(connection, subject, watermark)
        if replayed is not None:
            answers = replayed
            parts.append(replay_level(replayed))
    return _Behaviour(combine(parts, not_concerned=not_concerned), lines, sample, answers)


def kept_in(rig: Rig, name: str) -> Path:
    """Give where a reconciliation of a closure is kept until it is done, so that a later command can take it up."""
    return rig.workspace.project.folder / ".banyan" / "reconciliation" / rig.closure(name).name


def patience_of(subject: Subject) -> Patience:
    """Give how L4 and L5 wait for the canonical side: by the watermark its applier commits."""

    def applied() -> Position | None:
        with transaction(subject.engine) as connection:
            return LedgerReader(connection).find_watermark(subject.source, Side.CANONICAL)

    return Patience(applied)


def tell_progress(announce: Announce, *, clock: Callable[[], float] = monotonic) -> Callable[[Progress], None]:
    """Tell each chunk of a long table as it is done, with the time that is left at the pace of this attempt.

    The clock of a table starts with the first chunk told: what an attempt that died had done took none of this time.
    """
    began: dict[str, tuple[float, int]] = {}

    def tell(progress: Progress) -> None:
        start, before = began.setdefault(progress.table, (clock(), progress.chunks_done))
        if progress.chunks < 2:
            return
        done = progress.chunks_done - before
        left = (clock() - start) / done * (progress.chunks - progress.chunks_done) if done else None
        eta = "" if left is None else f", about {left:.0f} s left"
        announce(f"L4 {progress.table} {progress.chunks_done} of {progress.chunks}{eta}")

    return tell
