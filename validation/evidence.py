"""Evidence: a folder anyone can check without network, database or banyan.

The identifier of a bundle is the SHA-256 of its list of files, so `sha256sum --check FILES.sha256` proves the files and
`sha256sum FILES.sha256` prints the identifier. Each bundle names the one before it.
"""

import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from json import loads
from pathlib import Path

from banyan.errors import UsageError
from validation import canonical_json
from validation.evidence_files import BUCKETS, FILES, FORMAT, RUN, conclusion, render_files, render_list
from validation.facts import EvidenceFacts
from validation.gate import examine
from validation.reasons import Reason

_ID = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9._-]+)")
_SOME_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Bundle:
    """An evidence folder and its identifier."""

    evidence_id: str
    folder: Path
    previous_id: str | None = None


class ProblemKind(StrEnum):
    """What can be wrong with a bundle."""

    MISSING = "MISSING"
    EXTRA = "EXTRA"
    CHANGED = "CHANGED"
    LIST = "LIST"
    CHAIN = "CHAIN"
    CONCLUSION = "CONCLUSION"
    UNREADABLE = "UNREADABLE"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a bundle, and in which file."""

    kind: ProblemKind
    file: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a bundle found: it is sound when there is no problem; `reasons` are its NO-GO, recomputed."""

    evidence_id: str
    previous_id: str | None
    problems: tuple[Problem, ...]
    reasons: tuple[Reason, ...]
    facts: EvidenceFacts | None

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing was changed, added or taken away."""
        return not self.problems


def write_bundle(facts: EvidenceFacts, folder: Path, *, previous_id: str | None) -> Bundle:
    """Write an evidence folder whole or not at all; the same evidence written twice is left as it is."""
    if previous_id is not None and not _ID.fullmatch(previous_id):
        raise ValueError("previous_id must be 64 hexadecimal digits, or None for the first of a chain")
    files = render_files(facts, previous_id)
    files[FILES] = render_list(files)
    evidence_id = sha256(files[FILES]).hexdigest()
    if folder.exists():
        return _found_again(folder, evidence_id, previous_id)
    files[RUN] = canonical_json.encode({"evidence_id": evidence_id, "measured_at": facts.measured_at, "run": facts.run})
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".evidence-", dir=folder.parent))
    try:
        for name, content in files.items():
            _write_durably(temporary / name, content)
        _sync_folder(temporary)
        temporary.rename(folder)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(evidence_id, folder, previous_id)


def verify_bundle(folder: Path, *, evidence_id: str = "", previous_id: str = "") -> Verification:
    """Recompute a bundle offline: files, list, identifier, link to the one before, and its conclusion.

    Without `evidence_id` (printed on the page, signed, kept in the ledger) only the folder's own word can be compared.
    """
    on_disk = _read_folder(folder)
    content = {name: each for name, each in on_disk.items() if each is not None}
    found_id = sha256(content.get(FILES, b"")).hexdigest()
    problems = [*_list_problems(on_disk), *_identity_problems(content, found_id, evidence_id)]
    rebuilt = _rebuild(content)
    if isinstance(rebuilt, Problem):
        return Verification(found_id, None, (*problems, rebuilt), (), None)
    facts, previous, concluded = rebuilt
    problems += _content_problems(content, facts, previous)
    if previous_id and previous != previous_id:
        problems.append(Problem(ProblemKind.CHAIN, "manifest.json", "does not follow the evidence expected before it"))
    reasons = examine(facts.profile, facts)
    if canonical_json.to_plain(conclusion(reasons)) != concluded:
        problems.append(Problem(ProblemKind.CONCLUSION, "manifest.json", "the conclusion is not what the facts give"))
    return Verification(found_id, previous, tuple(problems), reasons, facts)


def verify_chain(folders: Sequence[Path]) -> tuple[Verification, ...]:
    """Verify bundles from the first to the last, each naming the one before it."""
    checked: list[Verification] = []
    for folder in folders:
        one = verify_bundle(folder, previous_id=checked[-1].evidence_id if checked else "")
        checked.append(one)
    return tuple(checked)


def walk_chain(folder: Path) -> tuple[Verification, ...]:
    """Verify a bundle and each one before it, from the newest to the first; they stand beside each other by their ids.

    A predecessor that is not there is a bundle with a problem, and the walk ends with it.
    """
    walked = [verify_bundle(folder)]
    while walked[-1].previous_id is not None:
        before = walked[-1].previous_id
        if any(each.evidence_id == before for each in walked):
            break
        walked.append(verify_bundle(folder.parent / before, evidence_id=before))
    return tuple(walked)


def _found_again(folder: Path, evidence_id: str, previous_id: str | None) -> Bundle:
    if not verify_bundle(folder, evidence_id=evidence_id).is_sound:
        raise UsageError(f"{folder.name} holds something else than this evidence; nothing was written")
    return Bundle(evidence_id, folder, previous_id)


def _read_folder(folder: Path) -> dict[str, bytes | None]:
    """Read each entry of a folder; None for what is not a plain file."""
    if not folder.is_dir():
        return {}
    return {
        each.name: each.read_bytes() if each.is_file() and not each.is_symlink() else None for each in folder.iterdir()
    }


def _list_problems(on_disk: dict[str, bytes | None]) -> Iterator[Problem]:
    listed: dict[str, str] = {}
    for line in (on_disk.get(FILES) or b"").decode("utf-8", "replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found[2] in listed:
            yield Problem(ProblemKind.LIST, FILES, "has a line that is not a hash and a name, or a name twice")
        else:
            listed[found[2]] = found[1]
    if FILES not in on_disk:
        yield Problem(ProblemKind.MISSING, FILES, "is missing")
    for name in sorted(listed.keys() | on_disk.keys() - {FILES, RUN}):
        content = on_disk.get(name)
        if name not in on_disk:
            yield Problem(ProblemKind.MISSING, name, "is listed and missing")
        elif name not in listed:
            yield Problem(ProblemKind.EXTRA, name, "is not listed")
        elif content is None:
            yield Problem(ProblemKind.EXTRA, name, "is not a plain file")
        elif sha256(content).hexdigest() != listed[name]:
            yield Problem(ProblemKind.CHANGED, name, "was changed")


def _identity_problems(content: dict[str, bytes], found_id: str, evidence_id: str) -> Iterator[Problem]:
    if evidence_id and found_id != evidence_id:
        yield Problem(ProblemKind.LIST, FILES, "does not give the evidence identifier expected")
    try:
        claimed = loads(content.get(RUN, b"{}")).get("evidence_id")
    except (ValueError, AttributeError):
        claimed = None
    if claimed != found_id:
        yield Problem(ProblemKind.LIST, RUN, "does not name the identifier the list of files gives")


def _rebuild(content: dict[str, bytes]) -> tuple[EvidenceFacts, str | None, object] | Problem:
    try:
        manifest = loads(content["manifest.json"])
        if manifest["format"] != FORMAT:
            return Problem(ProblemKind.UNREADABLE, "manifest.json", f"is not in the format {FORMAT}")
        kept = {**manifest["facts"], "measured_at": _measured_at(content), "findings": _findings(content)}
        if BUCKETS in content:
            kept["buckets"] = _buckets(content)
        previous = manifest["previous_id"]
        if previous is not None and not _ID.fullmatch(previous):
            return Problem(ProblemKind.CHAIN, "manifest.json", "names no evidence before it in a form that exists")
        return canonical_json.from_plain(EvidenceFacts, kept), previous, manifest["conclusion"]
    except (KeyError, TypeError, ValueError, ArithmeticError, csv.Error):
        return Problem(ProblemKind.UNREADABLE, "manifest.json", "or a sheet beside it cannot be read as evidence")


def _findings(content: dict[str, bytes]) -> list[dict[str, str]]:
    names = ("level", "kind", "severity", "table", "pseudonym", "column", "cause")
    lines = csv.reader(io.StringIO(content["findings.csv"].decode("utf-8")), strict=True)
    return [dict(zip(names, line, strict=True)) for line in lines][1:]


def _buckets(content: dict[str, bytes]) -> list[dict[str, str | int]]:
    lines = list(csv.reader(io.StringIO(content[BUCKETS].decode("utf-8")), strict=True))[1:]
    return [
        {"table": table, "bucket": int(bucket), "records": int(records), "digest": digest}
        for table, bucket, records, digest in lines
    ]


def _measured_at(content: dict[str, bytes]) -> str:
    try:
        return str(loads(content.get(RUN, b"{}"))["measured_at"])
    except (ValueError, KeyError, TypeError):
        return _SOME_TIME.isoformat()


def _content_problems(content: dict[str, bytes], facts: EvidenceFacts, previous: str | None) -> Iterator[Problem]:
    """Compare each sheet with what the manifest says, so that no sheet tells another story."""
    expected = render_files(facts, previous)
    for name in sorted(expected.keys() - {"manifest.json", "findings.csv"}):
        if name not in content:
            yield Problem(ProblemKind.MISSING, name, "is missing")
        elif content[name] != expected[name]:
            yield Problem(ProblemKind.CHANGED, name, "does not say what the manifest and the findings say")


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
