"""Sign-offs: a named person accepts or refuses an evidence hash, with a signature anyone can check offline.

The signed text is the canonical JSON of format, evidence hash, role, decision, actor and instant: a signature moved to
another evidence, role, decision, person or time does not verify.
"""

import base64
import binascii
import itertools
import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from banyan.departments import Actor
from banyan.errors import ConfigurationError, UsageError
from validation import canonical_json
from validation.text import Text

KEY_FORMAT = "banyan-key/1"
SIGN_OFF_FORMAT = "banyan-sign-off/1"
ALGORITHM = "ed25519"


class Decision(StrEnum):
    """What a person says of an evidence."""

    ACCEPT = "ACCEPT"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class SignOff:
    """One person's decision on one evidence hash; `signature` is `ed25519:` and base64."""

    evidence_id: str
    actor: str
    role: str
    decision: Decision
    signed_at: datetime
    signature: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key in memory; never shown."""

    private: bytes = field(repr=False)

    @property
    def public_key(self) -> str:
        """Give the public half as text: `ed25519:` and base64."""
        return _as_text(Ed25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw())


@dataclass(frozen=True, slots=True)
class Signer:
    """Whom the project trusts to sign: a name, a public key and the roles granted."""

    actor: str
    public_key: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckedSignOffs:
    """Sign-offs on one evidence whose signatures, signers and roles were checked; made by `check_sign_offs` only."""

    evidence_id: str
    accepted: tuple[SignOff, ...] = ()
    refused: tuple[tuple[SignOff, Text], ...] = ()


def make_key_file(path: Path) -> str:
    """Write a new key file that only its owner can read, and give its public key; never replace a file."""
    private = Ed25519PrivateKey.generate().private_bytes_raw()
    key = SigningKey(private)
    content = {
        "algorithm": ALGORITHM,
        "format": KEY_FORMAT,
        "private_key": base64.b64encode(private).decode(),
        "public_key": key.public_key,
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path.name} exists; no key was made", hint="name another file") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return key.public_key


def read_key_file(path: Path) -> SigningKey:
    """Read a key file; refuse one that others can read, or of an unknown format or algorithm."""
    try:
        mode, content = path.stat().st_mode, path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the key file {path.name} cannot be read; nothing was signed") from error
    if mode & 0o077:
        raise ConfigurationError(
            f"the key file {path.name} can be read by others; nothing was signed", hint=f"chmod 600 {path.name}"
        )
    try:
        parsed = json.loads(content)
        is_known = parsed["format"] == KEY_FORMAT and parsed["algorithm"] == ALGORITHM
        key = SigningKey(base64.b64decode(parsed["private_key"], validate=True))
        is_whole = is_known and key.public_key == parsed["public_key"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path.name} is not a key file; nothing was signed") from error
    if not is_whole:
        raise ConfigurationError(f"{path.name} is not a {KEY_FORMAT} file for {ALGORITHM}; nothing was signed")
    return key


def sign_message(key: SigningKey, message: bytes) -> str:
    """Sign bytes; gives the signature as text that names its algorithm."""
    return _as_text(Ed25519PrivateKey.from_private_bytes(key.private).sign(message))


def verify_message(public_key: str, message: bytes, signature: str) -> bool:
    """Tell whether the holder of a public key signed these bytes; an algorithm that is not known verifies nothing."""
    raw, public = _as_bytes(signature), _as_bytes(public_key)
    if raw is None or public is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(raw, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_same_person(one: str, other: str) -> bool:
    """Tell whether two names are one person, whatever their spelling."""
    return _same_person(one) == _same_person(other)


def sign(key: SigningKey, evidence_id: str, *, actor: Actor, decision: Decision, signed_at: datetime) -> SignOff:
    """Sign a decision on an evidence hash, in the name and role of an actor."""
    if signed_at.tzinfo is None:
        raise ValueError("signed_at must be an aware instant")
    unsigned = SignOff(evidence_id, actor.name, actor.role, decision, signed_at.astimezone(UTC), "")
    return SignOff(
        evidence_id, actor.name, actor.role, decision, unsigned.signed_at, sign_message(key, _message(unsigned))
    )


def verify(sign_off: SignOff, public_key: str) -> bool:
    """Tell whether a sign-off was signed by the holder of a public key, unchanged since."""
    return sign_off.signed_at.tzinfo is not None and verify_message(public_key, _message(sign_off), sign_off.signature)


def check_sign_offs(sign_offs: Iterable[SignOff], *, evidence_id: str, signers: Sequence[Signer]) -> CheckedSignOffs:
    """Keep the sign-offs on this evidence that verify against a trusted signer; name each other with its reason."""
    trusted = {_same_person(signer.actor): signer for signer in signers}
    accepted: list[SignOff] = []
    refused: list[tuple[SignOff, Text]] = []
    for sign_off in sign_offs:
        reason = _why_refused(sign_off, evidence_id, trusted)
        if reason is None:
            accepted.append(sign_off)
        else:
            refused.append((sign_off, reason))
    return CheckedSignOffs(evidence_id, tuple(accepted), tuple(refused))


def last_words(sign_offs: Iterable[SignOff]) -> tuple[SignOff, ...]:
    """Keep the latest decision of each person in each role."""
    latest: dict[tuple[str, str], SignOff] = {}
    for sign_off in sorted(sign_offs, key=lambda each: each.signed_at):
        latest[_same_person(sign_off.actor), sign_off.role] = sign_off
    return tuple(latest.values())


def missing_roles(roles: Sequence[str], accepted: Iterable[SignOff]) -> tuple[str, ...]:
    """Give the roles for which nobody signed, when nobody counts for two roles."""
    current = [each for each in last_words(accepted) if each.decision is Decision.ACCEPT]
    by_role = [[*(each for each in current if each.role == role), None] for role in roles]
    best: tuple[str, ...] = tuple(roles)
    for choice in itertools.product(*by_role):
        people = [_same_person(each.actor) for each in choice if each is not None]
        missing = tuple(role for role, each in zip(roles, choice, strict=True) if each is None)
        if len(people) == len(set(people)) and len(missing) < len(best):
            best = missing
    return best


def _why_refused(sign_off: SignOff, evidence_id: str, trusted: Mapping[str, Signer]) -> Text | None:
    signer = trusted.get(_same_person(sign_off.actor))
    if sign_off.evidence_id != evidence_id:
        return Text("signée pour une autre preuve", "signed for another evidence")
    if signer is None:
        return Text("personne inconnue du projet", "person unknown to the project")
    if sign_off.role not in signer.roles:
        return Text("rôle que cette personne ne tient pas", "role this person does not hold")
    if any(other.public_key == signer.public_key and other is not signer for other in trusted.values()):
        return Text("clé partagée avec une autre personne", "key shared with another person")
    if not verify(sign_off, signer.public_key):
        return Text("signature qui ne se vérifie pas", "signature that does not verify")
    return None


def _same_person(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _message(sign_off: SignOff) -> bytes:
    return canonical_json.encode(
        {
            "format": SIGN_OFF_FORMAT,
            "evidence_id": sign_off.evidence_id,
            "actor": sign_off.actor,
            "role": sign_off.role,
            "decision": sign_off.decision,
            "signed_at": sign_off.signed_at,
        }
    )


def _as_text(raw: bytes) -> str:
    return f"{ALGORITHM}:{base64.b64encode(raw).decode()}"


def _as_bytes(text: str) -> bytes | None:
    algorithm, _, encoded = text.partition(":")
    if algorithm != ALGORITHM:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
