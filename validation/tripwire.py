"""L3: did anyone else write? Buckets that nobody marked must look as they did when all their records had been judged.

A bucket that an applier marked, or that people wrote to through the fence, is left to L4 and folded anew afterwards.
Any other bucket with another digest was written to by somebody else: its records written since are named one by one.
Without a fold that can be compared (the first time, after a promotion, an upgrade, other rules) L3 passes only beside a
complete L4, which the gate checks. Nothing is remembered here: the caller writes the fold once L4 has judged the same
records.
"""

import hmac
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy.engine import Connection

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from store.buckets import (
    BUCKETS,
    BucketDigest,
    Folded,
    StoreMoment,
    find_rows_written,
    find_written,
    prune_marks,
    read_digests,
    read_folded,
    read_moment,
    write_folded,
)
from store.postgres import Isolation, transaction
from validation.anchors import Anchor
from validation.subject import Subject

EMPTY = BucketDigest(0, 0, Decimal(0))
REMOVED = "records were removed by nobody known"
WRITTEN = "written by nobody known"
CUT = "the store has forgotten evidence that is anchored in the landing zone: an older backup stands here"

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """What the buckets looked like in one snapshot: to be remembered when their records have been judged, or never."""

    moment: StoreMoment
    digests: Mapping[Place, BucketDigest] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tripwire:
    """The level, and the fold taken at the same moment."""

    level: LevelResult
    fold: Fold


def check_tripwire(
    subject: Subject,
    *,
    rules_digest: str,
    buckets: Collection[int] | None = None,
    forgotten: Sequence[Anchor] = (),
) -> Tripwire:
    """Compare buckets with their last fold in one snapshot; all of them, or only some. `forgotten` anchors are a fault.

    Without a fold there is nothing to compare with: that passes only beside a complete L4, which judges every record.
    """
    tables = subject.canonical_tables
    with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
        moment = read_moment(connection)
        folded = read_folded(connection, subject.department.code, tables)
        digests = _present(connection, subject, buckets)
        comparable = {place: each for place, each in folded.items() if _is_comparable(each, moment)}
        findings = [*_memory(forgotten), *_foreign(connection, subject, comparable, digests)]
    return Tripwire(_conclude(comparable, digests, findings, rules_digest), Fold(moment, digests))


def remember(connection: Connection, subject: Subject, fold: Fold, *, rules_digest: str) -> None:
    """Write a fold down: from now on these buckets must look like this unless somebody known writes to them."""
    prune_marks(connection, subject.department.code, fold=fold.moment.snapshot)
    write_folded(connection, subject.department.code, fold.digests, moment=fold.moment, rules_digest=rules_digest)


def _present(connection: Connection, subject: Subject, buckets: Collection[int] | None) -> dict[Place, BucketDigest]:
    wanted = range(BUCKETS) if buckets is None else sorted(buckets)
    present = {(table, bucket): EMPTY for table in subject.canonical_tables for bucket in wanted}
    for table in subject.canonical_tables:
        found = read_digests(
            connection, table, subject.department.code, seed=_seed(subject.digest_key), buckets=buckets
        )
        present |= {(table, bucket): digest for bucket, digest in found.items()}
    return present


def _seed(digest_key: bytes) -> int:
    """Give the seed of the hash: without the project's key nobody tests a guess against a digest."""
    return int.from_bytes(hmac.digest(digest_key, b"banyan-bucket/1", "sha256")[:8], "big", signed=True)


def _is_comparable(folded: Folded, moment: StoreMoment) -> bool:
    """Tell whether a fold says anything here: another algorithm or incarnation (promoted, restored) does not."""
    return (folded.algorithm, folded.incarnation) == (moment.algorithm, moment.incarnation)


def _memory(forgotten: Sequence[Anchor]) -> Iterator[Finding]:
    for anchor in forgotten:
        yield Finding(FindingKind.FORGOTTEN, Severity.BLOCK, "evidence", anchor.evidence_id, cause=CUT)


def _foreign(
    connection: Connection, subject: Subject, folded: Mapping[Place, Folded], digests: Mapping[Place, BucketDigest]
) -> Iterator[Finding]:
    written = {
        since: find_written(connection, subject.department.code, since)
        for since in {each.snapshot for each in folded.values()}
    }
    bad: dict[tuple[str, str], list[int]] = {}
    for place, now in digests.items():
        then = folded.get(place)
        if then is not None and now != then.digest and place not in written[then.snapshot]:
            bad.setdefault((place[0], then.snapshot), []).append(place[1])
    for (table, since), buckets in sorted(bad.items()):
        rows = find_rows_written(connection, table, subject.department.code, since=since, buckets=buckets)
        named = {row[-1] for row in rows}  # the last byte of an identifier is its bucket
        for row in rows:
            yield Finding(FindingKind.FOREIGN_WRITE, Severity.BLOCK, table, row.hex(), cause=WRITTEN)
        for bucket in buckets:
            lost = folded[table, bucket].digest.records - digests[table, bucket].records
            if lost > 0 or bucket not in named:
                yield Finding(FindingKind.FOREIGN_WRITE, Severity.BLOCK, table, f"bucket {bucket}", cause=REMOVED)


def _conclude(
    folded: Mapping[Place, Folded],
    digests: Mapping[Place, BucketDigest],
    findings: Sequence[Finding],
    rules_digest: str,
) -> LevelResult:
    compared = [place for place in digests if place in folded]
    is_under_other_rules = any(folded[place].rules_digest != rules_digest for place in compared)
    figures: dict[str, int | str | bool] = {
        "buckets": len(digests),
        "compared": len(compared),
        "foreign": len(findings),
        "blocking": len(findings),
        "records": sum(digest.records for digest in digests.values()),
        "first_fold": not compared,
    }
    if findings:
        named = sorted({f"{each.table}: {each.cause}" for each in findings})
        return LevelResult("L3", LevelState.FAIL, "; ".join(named), figures, tuple(findings))
    if is_under_other_rules:
        said = "the buckets were folded under other rules; a complete pass folds them anew"
        return LevelResult("L3", LevelState.PASS, said, figures | {"first_fold": True})
    if not compared:
        return LevelResult(
            "L3", LevelState.PASS, "no fold to compare with: every record is judged by L4 in this run", figures
        )
    return LevelResult("L3", LevelState.PASS, f"{len(compared)} buckets look as they did, or were marked", figures)
