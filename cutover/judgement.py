"""A closure judged: levels run, evidence written, verdict given; and the signatures it waits for.

What the levels measure becomes facts, facts become a bundle whose hash people sign, and the store remembers the hash.
Only the role `banyan_judge` reads here; `banyan_steward` writes signatures.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from banyan.clock import now
from banyan.departments import Actor, Side, SourceRef
from banyan.errors import GateClosed, UsageError
from banyan.findings import LevelResult, VerdictKind
from banyan.records import Position
from cutover.listed import (
    conservation_of,
    degraded_of,
    filtered_of,
    quarantined_fields_of,
    quarantined_rows_of,
    statistics_of,
)
from store.judgements import (
    EvidenceEntry,
    SignatureEntry,
    find_last_evidence,
    read_signatures,
    write_evidence,
    write_signature,
)
from store.outbox import head
from store.postgres import transaction
from sync.assembly import Rig, open_rig
from sync.workspace import Workspace
from validation.conservation import RecordBalance, judge_balances, read_balances
from validation.evidence import Bundle, write_bundle
from validation.extraction import check_extraction
from validation.facts import (
    CauseFact,
    ColumnComparison,
    EvidenceFacts,
    Positions,
    RulesetDigest,
    Total,
    Transition,
    pseudonymous,
)
from validation.gate import Judgement, judge
from validation.level_two import run_rules
from validation.profiles import PROFILES
from validation.reconcile import Reconciliation, reconcile
from validation.round_trip import RoundTripResult, check_round_trip
from validation.rules_worker import RuleWorker
from validation.sign_off import CheckedSignOffs, Decision, Signer, SignOff, check_sign_offs, read_key_file, sign
from validation.statistics import FACTS_TABLE, StatisticLine, total_by_index
from validation.subject import Subject
from validation.suites import load_suites
from validation.text import Text

FRESHNESS = timedelta(hours=24)
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """A closure's facts, its evidence bundle and what the gate answers."""

    facts: EvidenceFacts = field(repr=False)
    bundle: Bundle
    judgement: Judgement
    reconciliation: Reconciliation = field(repr=False)
    round_trip: RoundTripResult = field(repr=False)

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
    )


def judge_closure(
    rig: Rig,
    name: str,
    *,
    profile: str = "switch",
    announce: Announce = lambda _: None,
    worker: RuleWorker | None = None,
) -> Judged:
    """Run the levels of a closure, write its evidence, and give the gate's answer; changes no record."""
    if profile not in PROFILES:
        raise UsageError(f"there is no profile {profile}; there are: {', '.join(PROFILES)}")
    found = rig.closure(name)
    subject = subject_of(rig, found.name)
    legacy_position = rig.port.head()
    watermark = rig.forward().watermark()
    announce("L0 extraction")
    levels = [check_extraction(subject, rig.workspace.landing)]
    announce("L1 conservation")
    balances = read_balances(subject)
    levels.append(judge_balances(balances))
    announce("L2 rules")
    url = rig.workspace.store_url("banyan_judge")
    suites = [suite for suite in load_suites() if suite.table in subject.canonical_tables]
    levels.append(run_rules(url, found.department_code, suites, worker=worker).level)
    announce("L4 reconciliation")
    reconciliation = reconcile(subject, watermark=watermark)
    levels.append(reconciliation.level)
    lines: tuple[StatisticLine, ...] = ()
    if FACTS_TABLE in subject.tables:
        announce("L5 statistics")
        with transaction(subject.engine) as connection:
            statistics, lines = statistics_of(connection, subject)
        levels.append(statistics)
    announce("L6 round trip")
    round_trip = check_round_trip(subject)
    levels.append(round_trip.level)
    clean, findings = pseudonymous(levels, subject.digest_key)
    with transaction(subject.engine) as connection:
        facts = EvidenceFacts(
            department=subject.department,
            closure=found.name,
            system=rig.source.system_code,
            transition=Transition.SWITCH,
            profile=PROFILES[profile],
            rulesets=tuple(RulesetDigest(r.rule_id, r.digest) for r in rig.book.rulesets.values()),
            positions=Positions(legacy_position, head(connection)),
            conservation=conservation_of(balances),
            levels=clean,
            measured_at=now(),
            filtered=tuple(filtered_of(connection, subject)),
            quarantined_rows=tuple(quarantined_rows_of(connection, subject)),
            quarantined_fields=tuple(quarantined_fields_of(connection, subject)),
            round_trip=round_trip.figures,
            columns=tuple(
                ColumnComparison(c.table, c.column, c.rule, c.compared, c.equal, c.different)
                for c in reconciliation.columns
            ),
            causes=tuple(
                CauseFact(f"C-{number:02d}", c.table, c.column or "", Text.same(c.cause), c.records)
                for number, c in enumerate(reconciliation.causes, 1)
            ),
            control_totals=tuple(
                Total(
                    Text.same(record.table),
                    legacy=record.claimed,
                    canonical=record.records,
                    explanation=_without_place(record),
                )
                for record in balances.records
            ),
            statistics=total_by_index(lines),
            degraded=tuple(degraded_of(connection, subject)),
            findings=findings,
            is_synthetic=rig.workspace.source_config(rig.source).url.startswith("embedded:"),
        )
        previous = find_last_evidence(connection, found.name)
    bundle = _write(rig, facts, previous)
    judgement = judge(facts.profile, facts, read_sign_offs(rig, bundle.evidence_id), now=now(), freshness=FRESHNESS)
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
    return Judged(facts, bundle, judgement, reconciliation, round_trip)


def judge_department(workspace: Workspace, source: SourceRef, profile: str) -> str:
    """Judge every closure that the legacy system still owns and that has rules to keep; gives its evidence ids."""
    rig = open_rig(workspace, source)
    ruled = {suite.table for suite in load_suites()}
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


def evidence_folder(rig: Rig, evidence_id: str) -> Path:
    """Give the folder of an evidence bundle of the project."""
    return rig.workspace.project.folder / "evidence" / evidence_id


def _write(rig: Rig, facts: EvidenceFacts, previous: EvidenceEntry | None) -> Bundle:
    """Write the bundle under its own identifier; the same facts after the same evidence are the same bundle."""
    root = rig.workspace.project.folder / "evidence"
    root.mkdir(exist_ok=True)
    previous_id = previous.evidence_id if previous else None
    with tempfile.TemporaryDirectory(prefix=".evidence-", dir=root) as place:
        bundle = write_bundle(facts, Path(place) / "bundle", previous_id=previous_id)
        folder = root / bundle.evidence_id
        if not folder.exists():
            shutil.move(bundle.folder, folder)
    return Bundle(bundle.evidence_id, folder, previous_id)


def sign_evidence(rig: Rig, name: str, *, actor: Actor, key_file: Path, accept: bool = True) -> SignatureEntry:
    """Sign the newest evidence of a closure; refuses when the gate's facts say NO-GO."""
    found = rig.closure(name)
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        evidence = find_last_evidence(connection, found.name)
    if evidence is None:
        raise UsageError(
            f"{found.name} has no evidence yet; nothing was signed", hint=f"banyan validate run {found.name}"
        )
    if evidence.verdict.kind is VerdictKind.NO_GO and accept:
        raise GateClosed(
            f"the evidence {evidence.evidence_id[:8]}… of {found.name} says NO-GO; nothing was signed",
            hint=f"banyan validate report {found.name}",
            reasons=evidence.verdict.reasons,
        )
    decision = Decision.ACCEPT if accept else Decision.REFUSE
    signed = sign(read_key_file(key_file), evidence.evidence_id, actor=actor, decision=decision, signed_at=now())
    entry = SignatureEntry(evidence.evidence_id, actor, accept, signed.signature, signed.signed_at)
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        if not write_signature(connection, entry):
            raise UsageError(f"{actor.name} has already signed the evidence {evidence.evidence_id[:8]}…; it stands")
    return entry


def read_sign_offs(rig: Rig, evidence_id: str) -> CheckedSignOffs:
    """Read and check the signatures on an evidence hash against the people the project trusts."""
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        entries = read_signatures(connection, evidence_id)
    sign_offs = [
        SignOff(
            evidence_id=entry.evidence_id,
            actor=entry.actor.name,
            role=entry.actor.role,
            decision=Decision.ACCEPT if entry.accepted else Decision.REFUSE,
            signed_at=entry.signed_at,
            signature=entry.signature,
        )
        for entry in entries
    ]
    return check_sign_offs(sign_offs, evidence_id=evidence_id, signers=read_signers(rig))


def read_signers(rig: Rig) -> Sequence[Signer]:
    """Give whom the project trusts to sign: `people` of banyan.yaml with a public key in `keys/NAME.pub`."""
    folder = rig.workspace.project.folder / "keys"
    return [
        Signer(name, (folder / f"{name}.pub").read_text(encoding="ascii").strip(), tuple(roles))
        for name, roles in rig.workspace.project.people.items()
        if (folder / f"{name}.pub").exists()
    ]


def current_judgement(rig: Rig, facts: EvidenceFacts, evidence_id: str, *, at: datetime) -> Judgement:
    """Give what the gate answers now to facts already measured, with the signatures given since."""
    return judge(facts.profile, facts, read_sign_offs(rig, evidence_id), now=at, freshness=FRESHNESS)
