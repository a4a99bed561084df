"""The files of an evidence bundle, from facts to bytes: no clock, no chance, so that same facts give same bytes."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from hashlib import sha256

from banyan.findings import Severity
from banyan.records import PART_COUNTS, ROW_COUNTS
from validation import canonical_json
from validation.facts import EvidenceFacts, Total
from validation.gate import examine
from validation.reasons import Reason
from validation.visible import csv_cell

FORMAT = "banyan-evidence/1"
FILES = "FILES.sha256"
RUN = "run.json"
BUCKETS = "buckets.csv"
_BESIDE = ("measured_at", "run", "findings", "buckets")
"""Facts that the manifest leaves out: times and run go to run.json, findings and buckets to files of their own."""
_LATER = ("questions", "versions", "algorithms", "chunks", "not_counted")
"""Facts that evidence did not always have; where there are none the manifest is silent, as that of earlier evidence."""


def render_files(facts: EvidenceFacts, previous_id: str | None) -> dict[str, bytes]:
    """Give the hashed files of a bundle by name."""
    sheets = {
        "columns.csv": _columns(facts),
        "conservation.csv": _conservation(facts),
        "findings.csv": _findings(facts),
        "levels.json": _levels(facts),
        "lists.csv": _lists(facts),
        "manifest.json": _manifest(facts, previous_id),
        "totals.csv": _totals(facts),
        "waivers.csv": _waivers(facts),
    }
    later = {"questions.csv": _questions(facts)} if facts.questions else {}
    return sheets | later | ({BUCKETS: _buckets(facts)} if facts.buckets else {})


def render_list(files: dict[str, bytes]) -> bytes:
    """Give the list of files in the format of sha256sum, sorted by name."""
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode("ascii")


def conclusion(reasons: Sequence[Reason]) -> dict[str, object]:
    """Give what the facts alone conclude, in words that do not change with the wording of pages."""
    return {"is_no_go": bool(reasons), "reasons": [f"{reason.kind} {reason.level}".rstrip() for reason in reasons]}


def _manifest(facts: EvidenceFacts, previous_id: str | None) -> bytes:
    kept = {each.name: getattr(facts, each.name) for each in fields(facts) if each.name not in _BESIDE}
    for name in _LATER:
        if not kept[name]:
            del kept[name]
    return canonical_json.encode(
        {
            "format": FORMAT,
            "previous_id": previous_id,
            "facts": kept,
            "conclusion": conclusion(examine(facts.profile, facts)),
            "not_asked": facts.profile.unasked_checks,
        }
    )


def _levels(facts: EvidenceFacts) -> bytes:
    found = Counter(line.level for line in facts.findings)
    blocking = Counter(line.level for line in facts.findings if line.severity is Severity.BLOCK)
    return canonical_json.encode(
        [
            {
                "level": level.level,
                "state": level.state,
                "sentence": level.sentence,
                "figures": level.figures,
                "is_asked": level.level in facts.profile.asked,
                "findings": found[level.level],
                "blocking": blocking[level.level],
            }
            for level in facts.levels
        ]
    )


def _conservation(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("table", *ROW_COUNTS, *(f"parts_{name}" for name in PART_COUNTS))]
    for name, rows, parts in [
        *((line.table, line.rows, line.parts) for line in facts.conservation),
        ("TOTAL", facts.rows, facts.parts),
    ]:
        lines.append(
            (
                name,
                *(getattr(rows, each) for each in ROW_COUNTS),
                *(getattr(parts, each) for each in PART_COUNTS),
            )
        )
    return _csv(lines)


def _lists(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("list", "table", "column", "rule", "reason_fr", "reason_en", "count")]
    lines += [("filtered", f.table, "", f.rule, f.reason.fr, f.reason.en, f.rows) for f in facts.filtered]
    lines += [("quarantined_rows", q.table, "", "", q.cause.fr, q.cause.en, q.rows) for q in facts.quarantined_rows]
    lines += [
        ("quarantined_fields", q.table, q.column, "", q.cause.fr, q.cause.en, q.fields)
        for q in facts.quarantined_fields
    ]
    lines += [("degraded", d.table, d.column, "", d.kind.fr, d.kind.en, d.count) for d in facts.degraded]
    return _csv(lines)


def _totals(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("kind", "label_fr", "label_en", "legacy", "canonical", "explanation_en")]
    lines += [_total("control", each) for each in facts.control_totals]
    lines += [_total("records", each) for each in facts.record_counts]
    lines += [_total("statistic", each) for each in facts.statistics]
    return _csv(lines)


def _total(kind: str, each: Total) -> Sequence[object]:
    said = each.problem or each.explanation
    return kind, each.label.fr, each.label.en, each.legacy, each.canonical, said.en if said else ""


def _questions(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [
        ("question", "digest", "legacy", "explained", "canonical", "moving", "different", "answered", "absolute")
    ]
    for q in facts.questions:
        counts = (q.legacy, q.explained, q.canonical, q.moving, q.different)
        lines.append((q.name, q.digest, *counts, q.is_answered, q.is_absolute))
    return _csv(lines)


def _buckets(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("table", "bucket", "records", "digest")]
    lines += sorted((each.table, each.bucket, each.records, each.digest) for each in facts.buckets)
    return _csv(lines)


def _columns(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("table", "column", "rule", "compared", "equal", "different")]
    lines += [(c.table, c.column, c.rule, c.compared, c.equal, c.different) for c in facts.columns]
    return _csv(lines)


def _waivers(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [
        ("waiver", "level", "rule", "cause", "records", "up_to", "until", "author", "approver", "reason")
    ]
    lines += [
        (
            w.number,
            w.level,
            w.rule,
            w.cause,
            len(w.records),
            w.up_to,
            w.until.isoformat(),
            w.author,
            w.approver,
            w.reason,
        )
        for w in facts.waivers
    ]
    return _csv(lines)


def _findings(facts: EvidenceFacts) -> bytes:
    lines: list[Sequence[object]] = [("level", "kind", "severity", "table", "record", "column", "cause")]
    lines += sorted((f.level, f.kind, f.severity, f.table, f.pseudonym, f.column, f.cause) for f in facts.findings)
    return _csv(lines)


def _csv(lines: Iterable[Sequence[object]]) -> bytes:
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerows([csv_cell(cell) for cell in line] for line in lines)
    return sheet.getvalue().encode("utf-8")
