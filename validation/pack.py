"""A commander's pack on disk: two pages, the lists they point to, what people declared, and the evidence itself.

`pack.json` and the folder `evidence` are the only sources: pages and lists follow from them, so that anyone can make
them again offline and compare. The pack prints the hash of the evidence: that hash is what is signed.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from banyan.errors import UsageError
from validation import canonical_json
from validation.briefing import FORMAT, Briefing
from validation.evidence import Bundle, verify_bundle
from validation.exports import Sheet, as_frame, to_csv
from validation.pack_numbers import HEADER, Row
from validation.pack_page import Pack, render_pack
from validation.text import Language
from validation.trend import read_history

BRIEFING_FILE = "pack.json"
EVIDENCE_FOLDER = "evidence"
MOST_EARLIER = 3
"""Evidence before this one that a pack carries, so that its trends can be made again offline."""


@dataclass(frozen=True, slots=True)
class PackVerification:
    """What a check of a pack found; it is sound when there is no problem. `verdict` is recomputed, never read."""

    evidence_id: str
    digest: str
    verdict: str
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing was changed, added or taken away."""
        return not self.problems


def write_pack(bundle: Bundle, briefing: Briefing, folder: Path) -> Pack:
    """Write a pack whole or not at all, from a sound bundle and the briefing; never replaces a folder."""
    if folder.exists():
        raise UsageError(f"{folder} exists; no pack was written", hint="name another folder with --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pack-", dir=folder.parent) as place:
        draft = Path(place) / folder.name
        _copy_evidence(bundle, draft / EVIDENCE_FOLDER)
        (draft / BRIEFING_FILE).write_bytes(canonical_json.encode(briefing))
        pack = read_pack(draft)
        for name, content in render_files(pack).items():
            path = draft / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        draft.rename(folder)
    return pack


def read_pack(folder: Path) -> Pack:
    """Read what a pack is made from; ValueError with a sentence when it cannot be trusted."""
    try:
        content = (folder / BRIEFING_FILE).read_bytes()
        briefing = canonical_json.from_plain(Briefing, json.loads(content))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{BRIEFING_FILE} cannot be read as a pack") from error
    if briefing.format != FORMAT:
        raise ValueError(f"{BRIEFING_FILE} is not in the format {FORMAT}")
    if canonical_json.encode(briefing) != content:
        raise ValueError(f"{BRIEFING_FILE} is not written as banyan writes it")
    place = folder / EVIDENCE_FOLDER / briefing.evidence_id
    found = verify_bundle(place, evidence_id=briefing.evidence_id)
    if found.facts is None or not found.is_sound:
        said = "; ".join(f"{problem.file} {problem.sentence}" for problem in found.problems)
        raise ValueError(f"the evidence is not what was signed: {said}")
    history = read_history(
        Bundle(briefing.evidence_id, place, found.previous_id), found.facts.closure, most=MOST_EARLIER
    )
    digest = sha256(content).hexdigest()
    return Pack(found.facts, history, briefing, digest, found.previous_id, folder.name)


def render_files(pack: Pack) -> dict[str, bytes]:
    """Give every file that follows from a pack: its pages and its lists, by name."""
    files = {
        f"pack.{language.value}.html": render_pack(pack, language=language).encode("utf-8") for language in Language
    }
    for number in pack.numbers:
        files[f"exceptions/{number.file}"] = to_csv(_list(number.rows))
    degraded = [("degraded", d.table, d.column, "", d.kind.fr, d.kind.en, d.count) for d in pack.facts.degraded]
    files["exceptions/R1-degraded.csv"] = to_csv(_list(tuple(degraded)))
    files["exceptions/R2-reservations.csv"] = to_csv(_reservations(pack))
    return files


def verify_pack(folder: Path, *, evidence_id: str = "") -> PackVerification:
    """Make a pack again from its evidence and its briefing, and compare every byte; opens no database or network.

    Without `evidence_id` (from a signature or the page) a pack forged as a whole cannot be told from a true one.
    """
    try:
        pack = read_pack(folder)
    except ValueError as error:
        return PackVerification("", "", "", (str(error),))
    problems = list(_differences(folder, pack))
    if evidence_id and evidence_id != pack.briefing.evidence_id:
        problems.append("the evidence is not the one that was signed")
    judgement = pack.judgement
    problems += [f"the signature of {each.actor} does not count: {why.en}" for each, why in judgement.sign_offs.refused]
    return PackVerification(pack.briefing.evidence_id, pack.digest, judgement.kind.value, tuple(problems))


def _differences(folder: Path, pack: Pack) -> Iterator[str]:
    expected = render_files(pack)
    known = {BRIEFING_FILE, *expected}
    carried = {pack.briefing.evidence_id, *_previous_ids(folder / EVIDENCE_FOLDER, pack.briefing.evidence_id)}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_carried = path.relative_to(folder).parts[0] == EVIDENCE_FOLDER and (
            len(path.relative_to(folder).parts) == 1 or path.relative_to(folder).parts[1] in carried
        )
        if path.is_symlink() or (not path.is_dir() and name not in known and not is_carried):
            yield f"{name} does not belong to the pack"
    for name, content in expected.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is missing"
        elif path.read_bytes() != content:
            yield f"{name} is not what this version of banyan makes of the evidence and {BRIEFING_FILE}"


def _previous_ids(folder: Path, evidence_id: str) -> Iterator[str]:
    found = verify_bundle(folder / evidence_id)
    for _ in range(MOST_EARLIER):
        if found.previous_id is None or not (folder / found.previous_id).is_dir():
            return
        yield found.previous_id
        found = verify_bundle(folder / found.previous_id)


def _copy_evidence(bundle: Bundle, folder: Path) -> None:
    """Copy the bundle and the sound ones before it, each under its identifier."""
    shutil.copytree(bundle.folder, folder / bundle.evidence_id)
    previous = bundle.previous_id
    for _ in range(MOST_EARLIER):
        if previous is None:
            return
        source = bundle.folder.parent / previous
        found = verify_bundle(source, evidence_id=previous)
        if not found.is_sound:
            return
        shutil.copytree(source, folder / previous)
        previous = found.previous_id


def _list(rows: tuple[Row, ...]) -> pd.DataFrame:
    sheet: Sheet = {name: [row[at] for row in rows] for at, name in enumerate(HEADER)}
    return as_frame(sheet)


def _reservations(pack: Pack) -> pd.DataFrame:
    reservations = pack.reservations
    return as_frame(
        {
            "reservation_fr": [each.text.fr for each in reservations],
            "reservation_en": [each.text.en for each in reservations],
            "owner": [each.owner for each in reservations],
            "due": [each.due for each in reservations],
        }
    )
