"""Signing on another workstation: a request goes out as a file, a signed file comes back and is checked here.

Both files are JSON that a person can read. A signature names its algorithm (`ed25519:` today), so that a card may be
added without another format. Nothing in a file is believed: what counts is the signature over the evidence hash by a
key the project trusts, for a request whose evidence stands in the store.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from banyan.departments import Actor
from banyan.errors import ConfigurationError, UsageError
from validation import canonical_json
from validation.sign_off import SIGN_OFF_FORMAT, Decision, SigningKey, SignOff, sign

REQUEST_FORMAT = "banyan-sign-request/1"
ALGORITHMS = ("ed25519",)


@dataclass(frozen=True, slots=True)
class SignRequest:
    """What one named person is asked to sign, with what the gate said of it when the request was written."""

    evidence_id: str
    closure: str
    verdict: str
    reasons: tuple[str, ...]
    actor: str
    role: str
    algorithms: tuple[str, ...] = ALGORITHMS
    format: str = REQUEST_FORMAT


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A decision as it comes back: the sign-off, and the closure it was asked for."""

    closure: str
    sign_off: SignOff
    format: str = SIGN_OFF_FORMAT


def write_request(request: SignRequest, path: Path) -> None:
    """Write a request to a new file; never replace one."""
    _write(path, canonical_json.to_plain(request))


def read_request(path: Path) -> SignRequest:
    """Read a request; refuse a file of another kind, or one that asks for an algorithm this program has not."""
    plain = _read(path, REQUEST_FORMAT)
    try:
        request = canonical_json.from_plain(SignRequest, plain)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{path.name} is not a request to sign; nothing was signed") from error
    if not set(ALGORITHMS) & set(request.algorithms):
        raise ConfigurationError(
            f"{path.name} asks for {', '.join(request.algorithms)}; this program signs with {', '.join(ALGORITHMS)};"
            " nothing was signed"
        )
    return request


def sign_request(request: SignRequest, key: SigningKey, *, decision: Decision, signed_at: datetime) -> SignedFile:
    """Sign a request in the name and role it was made out to; refuse to accept evidence that says NO-GO."""
    if decision is Decision.ACCEPT and request.verdict == "NO-GO":
        raise UsageError("the evidence of this request says NO-GO; nothing was signed", hint="--refuse")
    actor = Actor(request.actor, request.role, "key file")
    signed = sign(key, request.evidence_id, actor=actor, decision=decision, signed_at=signed_at)
    return SignedFile(request.closure, signed)


def write_signed(signed: SignedFile, path: Path) -> None:
    """Write a signed decision to a new file; never replace one."""
    _write(path, canonical_json.to_plain(signed))


def read_signed(path: Path) -> SignedFile:
    """Read a signed decision; its signature is checked by who knows whom the project trusts."""
    plain = _read(path, SIGN_OFF_FORMAT)
    try:
        return canonical_json.from_plain(SignedFile, plain)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{path.name} is not a signed decision; nothing was accepted") from error


def _write(path: Path, plain: object) -> None:
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(json.dumps(plain, indent=1, sort_keys=True) + "\n")
    except FileExistsError as error:
        raise UsageError(f"{path.name} exists; nothing was written", hint="name another file with --out") from error


def _read(path: Path, form: str) -> dict[str, object]:
    try:
        plain: dict[str, object] = json.loads(path.read_text(encoding="ascii"))
        is_known = isinstance(plain, dict) and plain.get("format") == form
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be read as {form}; nothing was done") from error
    if not is_known:
        raise ConfigurationError(f"{path.name} is not in the format {form}; nothing was done")
    return plain
