"""Signatures as files beside a bundle: whoever holds the folder can tell offline who signed it, and by which key.

A file names its evidence in its own name and in what was signed; it lies beside the bundle and never in it, so that a
signature changes no byte of what it is about. It carries the public key; whether that key is the person's own is told
by `keys/NAME.pub`, from the project or from wherever the reader trusts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from validation import canonical_json
from validation.sign_off import SignOff, verify

FORMAT = "banyan-signature/1"
_ENDING = "signature.json"
_NAMED_BY = 16


class Trust(StrEnum):
    """What a detached signature is worth to whoever reads it here."""

    KNOWN = "KNOWN"
    """It verifies under the key that the keys at hand give for this person."""
    UNKNOWN = "UNKNOWN"
    """It verifies, under a key that none of the keys at hand names: it is somebody's, and nobody says whose."""
    BROKEN = "BROKEN"
    """It is not a signature of this evidence, or not under the key known for this person."""


@dataclass(frozen=True, slots=True)
class Detached:
    """A decision on an evidence as its file holds it, with the public key it verifies under."""

    closure: str
    sign_off: SignOff
    public_key: str
    format: str = FORMAT


@dataclass(frozen=True, slots=True)
class Found:
    """A file beside a bundle: what it says, when it can be read, and what it is worth here."""

    file: str
    signature: Detached | None
    trust: Trust
    reason: str = ""


def write_detached(bundle: Path, evidence_id: str, signatures: Sequence[Detached]) -> tuple[Path, ...]:
    """Write each signature of an evidence beside its bundle, unless its file is there; gives the files."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for each in signatures:
        named = sha256(each.sign_off.signature.encode()).hexdigest()[:_NAMED_BY]
        path = bundle.parent / f"{evidence_id}.{named}.{_ENDING}"
        if not path.exists():
            content = json.dumps(canonical_json.to_plain(each), indent=1, sort_keys=True) + "\n"
            draft = path.with_name(f".{path.name}.new")
            draft.write_text(content, encoding="ascii")
            draft.replace(path)
        written.append(path)
    return tuple(written)


def find_detached(bundle: Path, evidence_id: str, *, keys: Path | None = None) -> tuple[Found, ...]:
    """Read and verify the signatures beside a bundle, offline; `keys` holds NAME.pub of the people one trusts.

    Without `keys` the folder `keys` of the project around the bundle is looked into, when there is one.
    """
    folder = bundle.resolve().parent
    trusted = _read_keys(folder.parent / "keys" if keys is None else keys)
    return tuple(_check(path, evidence_id, trusted) for path in sorted(folder.glob(f"{evidence_id}.*.{_ENDING}")))


def _check(path: Path, evidence_id: str, trusted: dict[str, str]) -> Found:
    try:
        signature = canonical_json.from_plain(Detached, json.loads(path.read_text(encoding="ascii")))
    except (OSError, ValueError, TypeError, KeyError):
        return Found(path.name, None, Trust.BROKEN, "cannot be read as a signature")
    sign_off = signature.sign_off
    known = trusted.get(sign_off.actor)
    if signature.format != FORMAT:
        return Found(path.name, signature, Trust.BROKEN, f"is not in the format {FORMAT}")
    if sign_off.evidence_id != evidence_id:
        return Found(path.name, signature, Trust.BROKEN, "was given for another evidence")
    if not verify(sign_off, signature.public_key):
        return Found(path.name, signature, Trust.BROKEN, "does not verify")
    if known is not None and known != signature.public_key:
        return Found(path.name, signature, Trust.BROKEN, "is under another key than the one known for this person")
    return Found(path.name, signature, Trust.UNKNOWN if known is None else Trust.KNOWN)


def _read_keys(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {path.stem: path.read_text(encoding="ascii").strip() for path in sorted(folder.glob("*.pub"))}
