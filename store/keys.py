"""Keys that protect what was received: a key-encryption key outside the cloud account, and data keys wrapped by it.

The key-encryption key is 32 bytes, written as 64 hexadecimal digits in a file of its owner alone or in the environment.
A data key belongs to one department and month. What is sealed here is bound to its place: moved elsewhere, it does not
open.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from banyan.clock import today
from banyan.config import LandingConfig, read_secret
from banyan.errors import ConfigurationError, SourceUnreadable

DEFAULT_KEY_FILE = Path(".banyan") / "landing.key"
_BYTES = 32
_NONCE = 12
_WRAPPED = _NONCE + _BYTES + 16
_SEALED = b"\x01"
_HEX = re.compile(r"[0-9a-f]{64}")


class KeyRing:
    """The key-encryption key in use; no key of it is ever shown."""

    def __init__(self, kek: bytes) -> None:
        self._kek = kek
        self._sealing: dict[str, tuple[AESGCM, bytes]] = {}
        self._opened: dict[tuple[str, bytes], bytes] = {}

    @property
    def fingerprint(self) -> str:
        """Give what tells this key-encryption key from another one, and nothing more."""
        return self.digest("banyan key fingerprint", b"")[:8].hex()

    def wrap(self, scope: str, key: bytes) -> bytes:
        """Encrypt a data key for its scope."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + AESGCM(self._kek).encrypt(nonce, key, scope.encode())

    def unwrap(self, scope: str, wrapped: bytes) -> bytes:
        """Decrypt a data key; refuse one of another scope, of another key-encryption key, or with a flipped bit."""
        known = (scope, wrapped)
        if known not in self._opened:
            try:
                self._opened[known] = AESGCM(self._kek).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], scope.encode())
            except (InvalidTag, ValueError):
                raise SourceUnreadable(
                    f"the data key {scope} does not open: it is damaged, or another key-encryption key wrapped it; "
                    "nothing was read",
                    hint="restore the key file this project was made with from its escrow",
                    scope=scope,
                ) from None
        return self._opened[known]

    def seal(self, department_code: str, clear: bytes, *, place: str) -> bytes:
        """Encrypt one value under the department's data key of this month, which travels with it, wrapped."""
        scope = scope_of(department_code)
        if scope not in self._sealing:
            key = secrets.token_bytes(_BYTES)
            self._sealing[scope] = (AESGCM(key), self.wrap(scope, key))
        cipher, wrapped = self._sealing[scope]
        nonce = secrets.token_bytes(_NONCE)
        name = scope.encode()
        sealed = cipher.encrypt(nonce, clear, place.encode())
        return _SEALED + bytes([len(name)]) + name + wrapped + nonce + sealed

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Decrypt one value; refuse one that was sealed elsewhere or has a flipped bit."""
        start = 2 + sealed[1] if len(sealed) > 1 else 0
        scope, body = sealed[2:start].decode("ascii", "replace"), sealed[start:]
        try:
            if sealed[:1] != _SEALED or len(body) < _WRAPPED + _NONCE:
                raise ValueError
            key = self.unwrap(scope, body[:_WRAPPED])
            nonce, text = body[_WRAPPED : _WRAPPED + _NONCE], body[_WRAPPED + _NONCE :]
            return AESGCM(key).decrypt(nonce, text, place.encode())
        except (InvalidTag, ValueError):
            raise SourceUnreadable(
                "a sealed value does not open: it is damaged, or it does not belong where it stands; nothing was shown",
                hint="restore the store from its backup; the legacy system still holds the value",
            ) from None

    def digest(self, purpose: str, text: bytes) -> bytes:
        """Give a keyed digest: equal texts are equal, and nobody without the key can test a guess."""
        return hmac.new(self._kek, len(purpose).to_bytes(2, "big") + purpose.encode() + text, hashlib.sha256).digest()


def scope_of(department_code: str) -> str:
    """Name the data key of a department in this month."""
    return f"{department_code}/{today():%Y-%m}"


def open_keys(config: LandingConfig, *, folder: Path, has_sealed: Callable[[], bool]) -> KeyRing:
    """Open the key-encryption key of a project.

    A project that names none has one made for it, once, as long as nothing stands encrypted; a key that is named, or
    under which something was encrypted, must be there: without it nothing starts.
    """
    reference = config.key
    path = _path_of(reference, folder)
    if path is not None and not path.exists():
        if reference or has_sealed():
            raise ConfigurationError(
                f"the key-encryption key {path.name} is not there; nothing was read or written",
                hint=f"restore {path} from its escrow; without it what was received cannot be read",
            )
        create_key(path)
    text = path.read_text(encoding="utf-8").strip() if path is not None else read_secret(reference)
    if not _HEX.fullmatch(text):
        raise ConfigurationError(
            "the key-encryption key is not 64 hexadecimal digits; nothing was read or written",
            hint='make one: python -c "import secrets; print(secrets.token_hex(32))"',
        )
    return KeyRing(bytes.fromhex(text))


def create_key(path: Path) -> None:
    """Write a new key-encryption key for its owner alone; one that stands is kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # whole or not at all, and never over one that stands
    except FileExistsError:
        return
    finally:
        draft.unlink()


def key_file(config: LandingConfig, *, folder: Path) -> Path | None:
    """Give the file of the key-encryption key, or None when it comes from the environment."""
    return _path_of(config.key, folder)


def _path_of(reference: str, folder: Path) -> Path | None:
    if not reference:
        return folder / DEFAULT_KEY_FILE
    kind, _, rest = reference.partition(":")
    if kind == "file":
        return folder / rest
    if kind == "env":
        return None
    raise ConfigurationError(
        "key of the landing zone is not a reference; nothing was read or written",
        hint="write key: file:PATH or key: env:NAME, never the key itself",
    )
