"""A closure judged: levels run, evidence written and anchored, verdict given.

What the levels measure becomes facts, facts become a bundle whose hash people sign, the store remembers the hash and
the landing zone its head. Only the role `banyan_judge` reads here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.engine import Connection

from banyan.clock import now
from banyan.config import DATABASE_MEDIA
from banyan.departments import Side, SourceRef
from banyan.errors import UsageError
from banyan.findings import LevelResult
from banyan.records import Position
from cutover.acceptance import check
from cutover.behaving import behaviour_of
from cutover.keeping import keep
from cutover.levels import Announce, Measured, Measuring, measure
from cutover.listed import (
    conservation_of,
    degraded_of,
    expired_of,
    filtered_of,
    quarantined_fields_of,
    quarantined_rows_of,
    questions_of,
)
from cutover.signatures import read_sign_offs
from store.buckets import JudgedUpTo, write_judged
from store.judgements import EvidenceEntry, find_last_evidence, write_evidence
from store.outbox import head
from store.postgres import transaction
from sync.assembly import Rig, open_rig
from sync.workspace import Workspace
from validation.anchors import write_anchor
from validation.conservation import RecordBalance
from validation.declared_behaviour import BEHAVIOUR_FILE
from validation.evidence import Bundle
from validation.examples import find_examples
from validation.facts import (
    CauseFact,
    ColumnComparison,
    EvidenceFacts,
    Positions,
    RulesetDigest,
    Total,
    Transition,
    digest_rules,
    pseudonymous,
    rules_digest,
)
from validation.gate import Judgement, judge
from validation.own_suites import suites_of
from validation.profiles import PROFILES
from validation.provenance import bucket_facts, name_algorithms, read_versions
from validation.reconciliation import Reconciliation
from validation.round_trip import RoundTripResult
from validation.rules_worker import RuleWorker
from validation.statistics import total_by_index, total_by_unit
from validation.subject import Subject
from validation.suites import Suite
from validation.text import Text
from validation.tripwire import remember
from validation.waivers import facts_with

_TRANSITIONS: Final = {"rollback": Transition.ROLLBACK, "complete": Transition.COMPLETE}


@dataclass(frozen=True, slots=True)
class Judged:
    """A closure's facts, its evidence bundle and what the gate answers."""

    facts: EvidenceFacts = field(repr=False)
    bundle: Bundle
    judgement: Judgement
    reconciliation: Reconciliation = field(repr=False)
    round_trip: RoundTripResult = field(repr=False)
    measured: Measured = field(repr=False)

    def level(self, name: str) -> LevelResult | None:
        """Give the result of one level."""
        return self.facts.level(name)


def subject_of(rig: Rig, name: str) -> Subject:
    """Give what is judged for a closure: both sides, read as `banyan_judge`."""
    found = rig.closure(name)
    after_load = rig.workspace.source_config(rig.source).after_load
    return Subject(
        department=rig.workspace.project.department(found.department_code),
        source=rig.source,
        port=rig.port,
        engine=rig.workspace.engine("banyan_judge"),
        book=rig.book,
        table_numbers=rig.table_numbers,
        digest_key=rig.workspace.digest_key,
        domains=found.domains,
        written_after=after_load.writes if after_load else {},
        rules=rig.workspace.rules_folder(rig.source),
    )


def rules_of(rig: Rig, name: str) -> str:
    """Digest the rulesets, suites and declarations of live work a closure is judged by."""
    subject = subject_of(rig, name)
    return digest_rules(_rulesets(rig), _suites(subject, _suites_of(rig, subject)))


def _suites_of(rig: Rig, subject: Subject) -> Sequence[Suite]:
    suites = suites_of(rig.workspace.project.folder, subject.department.code)
    return [suite for suite in suites if suite.table in subject.canonical_tables]


def judge_closure(
    rig: Rig,
    name: str,
    *,
    profile: str = "switch",
    announce: Announce = lambda _: None,
    worker: RuleWorker | None = None,
    is_incremental: bool = False,
) -> Judged:
    """Run the levels of a closure, write its evidence, and give the gate's answer; changes no record."""
    if profile not in PROFILES:
        raise UsageError(f"there is no profile {profile}; there are: {', '.join(PROFILES)}")
    found = rig.closure(name)
    subject = subject_of(rig, found.name)
    suites = _suites_of(rig, subject)
    legacy_position = rig.port.head()
    rules = digest_rules(_rulesets(rig), _suites(subject, suites))
    is_replayed = "L5.replay" in PROFILES[profile].parts
    how = Measuring(
        suites,
        rules,
        worker,
        is_incremental=is_incremental,
        mapping_digest=digest_rules(_rulesets(rig), ()),
        is_replayed=is_replayed,
        announce=announce,
    )
    measured = measure(rig, subject, found.name, how)
    with transaction(subject.engine) as connection:
        facts = _facts(rig, subject, connection, measured=measured, asked=(found.name, profile, legacy_position))
        previous = find_last_evidence(connection, found.name)
    source = rig.workspace.source_config(rig.source)
    encoding = "utf-8" if source.medium in DATABASE_MEDIA else source.encoding
    shown = find_examples(subject, measured.reconciliation, facts.causes, encoding=encoding)
    facts = replace(facts, suites=_suites(subject, suites), examples=shown)
    facts = facts_with(facts, check(rig, facts, at=now()))
    bundle, facts = keep(rig, facts, previous)
    judgement = judge(facts.profile, facts, read_sign_offs(rig, bundle.evidence_id), now=now())
    if measured.is_remembered:
        write_anchor(rig.workspace.landing, found.name, evidence_id=bundle.evidence_id, previous_id=bundle.previous_id)
    with transaction(subject.engine) as connection:
        write_evidence(
            connection,
            EvidenceEntry(
                evidence_id=bundle.evidence_id,
                department_code=found.department_code,
                closure=found.name,
                profile=profile,
                verdict=judgement.verdict(),
                legacy_position=Position(facts.positions.legacy),
                canonical_position=Position(facts.positions.canonical),
                rules_digest=rig.book.digest,
                previous_id=bundle.previous_id,
                expires_at=judgement.valid_until,
            ),
        )
        _remember(connection, subject, measured, facts, bundle.evidence_id)
    return Judged(facts, bundle, judgement, measured.reconciliation, measured.round_trip, measured)


def _remember(
    connection: Connection, subject: Subject, measured: Measured, facts: EvidenceFacts, evidence_id: str
) -> None:
    """Fold the buckets whose records were all judged and found right; anything less leaves the last fold as it is."""
    if not measured.is_sound or measured.watermark is None:
        return
    rules = rules_digest(facts)
    moment = measured.tripwire.fold.moment
    before = measured.judged_before
    complete = before.complete_evidence_id if measured.again and before else evidence_id
    # closures that share a table have other suites: what a fold rests on is the rulesets
    remember(connection, subject, measured.tripwire.fold, rules_digest=digest_rules(facts.rulesets, ()))
    write_judged(
        connection,
        JudgedUpTo(
            subject.department.code,
            facts.closure,
            legacy_position=measured.watermark,
            snapshot=moment.snapshot,
            incarnation=moment.incarnation,
            rules_digest=rules,
            evidence_id=evidence_id,
            complete_evidence_id=complete,
            judged_at=measured.began,
        ),
    )


def _rulesets(rig: Rig) -> tuple[RulesetDigest, ...]:
    return tuple(RulesetDigest(ruleset.rule_id, ruleset.digest) for ruleset in rig.book.rulesets.values())


def _suites(subject: Subject, suites: Sequence[Suite]) -> tuple[RulesetDigest, ...]:
    declared = behaviour_of(subject)
    behaviour = () if declared is None else (RulesetDigest(BEHAVIOUR_FILE, declared.digest),)
    return (*(RulesetDigest(suite.name, suite.digest) for suite in suites), *behaviour)


def _facts(
    rig: Rig, subject: Subject, connection: Connection, *, measured: Measured, asked: tuple[str, str, Position]
) -> EvidenceFacts:
    closure, profile, legacy_position = asked
    clean, findings = pseudonymous(measured.levels, subject.digest_key)
    return EvidenceFacts(
        department=subject.department,
        closure=closure,
        system=rig.source.system_code,
        transition=_TRANSITIONS.get(profile, Transition.SWITCH),
        profile=PROFILES[profile],
        rulesets=_rulesets(rig),
        positions=Positions(legacy_position, head(connection)),
        conservation=conservation_of(measured.balances),
        levels=clean,
        measured_at=now(),
        filtered=tuple(filtered_of(connection, subject)),
        quarantined_rows=tuple(quarantined_rows_of(connection, subject)),
        quarantined_fields=tuple(quarantined_fields_of(connection, subject)),
        round_trip=measured.round_trip.figures,
        columns=tuple(
            ColumnComparison(c.table, c.column, c.rule, c.compared, c.equal, c.different)
            for c in measured.reconciliation.columns
        ),
        causes=tuple(
            CauseFact(f"C-{number:02d}", c.table, c.column or "", Text.same(c.cause), c.records)
            for number, c in enumerate(measured.reconciliation.causes, 1)
        ),
        control_totals=measured.totals,
        not_counted=measured.not_counted,
        record_counts=tuple(
            Total(
                Text.same(record.table),
                legacy=record.claimed,
                canonical=record.records,
                explanation=_without_place(record),
            )
            for record in measured.balances.records
        )
        + expired_of(connection, subject),
        statistics=total_by_index(measured.lines) + total_by_unit(measured.lines),
        degraded=tuple(degraded_of(connection, subject)),
        findings=findings,
        is_synthetic=rig.workspace.source_config(rig.source).url.startswith("embedded:"),
        questions=questions_of(measured.answers),
        versions=read_versions(),
        algorithms=name_algorithms(measured.tripwire.fold.moment.algorithm),
        chunks=measured.reconciliation.chunks,
        buckets=bucket_facts(
            {
                place: (each.records, each.xor_digest, int(each.sum_digest))
                for place, each in measured.tripwire.fold.digests.items()
            },
            subject.digest_key,
        ),
    )


def judge_department(workspace: Workspace, source: SourceRef, profile: str) -> str:
    """Judge every closure that the legacy system still owns and that has rules to keep; gives its evidence ids."""
    rig = open_rig(workspace, source)
    ruled = {suite.table for suite in suites_of(workspace.project.folder, source.department_code)}
    evidence = [
        judge_closure(rig, found.name, profile=profile).bundle.evidence_id
        for found in rig.closures
        if rig.slices(found.name)[0].owner is Side.LEGACY and ruled & set(subject_of(rig, found.name).canonical_tables)
    ]
    return ",".join(evidence)


def _without_place(record: RecordBalance) -> Text | None:
    """Explain records that stand on one side only because the old system has no place for them."""
    if not record.without_place or record.records - record.claimed != record.without_place:
        return None
    return Text(
        f"{record.without_place} fiches listées\u202f: l’ancien système n’a pas de place pour elles",
        f"{record.without_place} listed records: the old system has no place for them",
    )
