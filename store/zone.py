"""A landing zone over any medium: parcels and manifests written once, encrypted, and read back before they count."""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from banyan.errors import ConfigurationError, ConservationBroken, SourceUnreadable, StoreUnavailable
from store.keys import KeyRing, scope_of
from store.objects import Objects
from store.parcels import (
    Parcel,
    body_path,
    canonical,
    check_name,
    check_seal,
    damaged,
    decode_manifest,
    decode_parcel,
    encode_manifest,
    encode_parcel,
    key_path,
    manifest_path,
)


@dataclass(frozen=True, slots=True)
class Zone:
    """Parcels of one project on one medium; the key-encryption key is opened at the first parcel."""

    objects: Objects = field(repr=False)
    open_keys: Callable[[Callable[[], bool]], KeyRing] = field(repr=False)
    _opened: dict[str, KeyRing] = field(default_factory=dict, repr=False)
    _data_keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> KeyRing:
        """Give the keys of the project; refuses to start without the one under which parcels stand."""
        if "" not in self._opened:
            self._opened[""] = self.open_keys(lambda: next(iter(self.objects.list("keys/")), None) is not None)
        return self._opened[""]

    def write_parcel(self, name: str, frame: pl.DataFrame, *, metadata: Mapping[str, str]) -> Parcel:
        """Commit a batch under a name; the same rows again give the parcel that stands, other rows are refused."""
        check_name(name)
        standing = self._find(name)
        if standing is None:
            scope, salt = scope_of(name.partition("/")[0]), secrets.token_hex(16)
            key = self._data_key(scope, may_create=True)
            body = encode_parcel(frame, name=name, key=key, salt=salt)
            digest = hashlib.sha256(body).hexdigest()
            parcel = Parcel(name, digest, len(frame), len(body), dict(metadata), scope, salt)
            self._create(body_path(parcel), body, name)
            manifest = encode_manifest(parcel, key)
            if self.objects.create(manifest_path(name), manifest):
                if self.objects.read(manifest_path(name)) != manifest:
                    raise StoreUnavailable(
                        f"the manifest of parcel {name} was not read back as written; the parcel may not be used",
                        hint="check the medium of the landing zone",
                        parcel=name,
                    )
                return parcel
            standing = self._find(name)
        if standing is None or not _same(self._rows(standing), frame):
            raise ConservationBroken(
                f"parcel {name} stands already with other rows; it was kept, the new rows were not committed",
                hint="give the batch the name of its own run and chunk",
                parcel=name,
            )
        return standing

    def read_parcel(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a batch back, whole or some columns; refuse it when one bit is not the one that was written."""
        check_name(name)
        parcel = self._find(name)
        if parcel is None:
            raise SourceUnreadable(
                f"there is no committed parcel {name}; nothing was read", hint="list the parcels", parcel=name
            )
        return self._rows(parcel, columns)

    def list_parcels(self, prefix: str = "") -> tuple[Parcel, ...]:
        """List the committed parcels whose name starts with a prefix, by name."""
        if prefix:
            check_name(prefix.removesuffix("/"))
        start = manifest_path("").removesuffix(".json")
        paths = self.objects.list(start + prefix)
        names = sorted(path.removeprefix(start).removesuffix(".json") for path in paths)
        found = (self._find(name) for name in names)
        return tuple(parcel for parcel in found if parcel is not None)

    def _rows(self, parcel: Parcel, columns: Sequence[str] | None = None) -> pl.DataFrame:
        body = self.objects.read(body_path(parcel))
        if body is None or hashlib.sha256(body).hexdigest() != parcel.sha256:
            problem = "its bytes are gone" if body is None else "its digest is not the one of its manifest"
            raise damaged(parcel.name, problem)
        key = self._data_key(parcel.scope) if parcel.is_encrypted else None
        frame = decode_parcel(body, parcel, key, columns)
        if len(frame) != parcel.rows:
            raise damaged(parcel.name, f"{len(frame)} rows where its manifest says {parcel.rows}")
        return frame

    def _create(self, path: str, body: bytes, name: str) -> None:
        self.objects.create(path, body)
        if self.objects.read(path) != body:
            raise StoreUnavailable(
                f"parcel {name} was not read back as written; it was not committed",
                hint="check the medium of the landing zone, then run again",
                parcel=name,
            )

    def _find(self, name: str) -> Parcel | None:
        manifest = self.objects.read(manifest_path(name))
        if manifest is None:
            return None
        parcel, told, seal = decode_manifest(name, manifest)
        if parcel.is_encrypted:
            check_seal(name, self._data_key(parcel.scope), told, seal)
        elif self.objects.is_remote:  # anyone with the credentials of a bucket could have put it there
            raise damaged(name, "it is not encrypted, in a bucket that others hold")
        return parcel

    def _data_key(self, scope: str, *, may_create: bool = False) -> bytes:
        """Give the data key of a department and month; it is made by whoever needs it first."""
        if scope in self._data_keys:
            return self._data_keys[scope]
        keys = self.keys
        standing = self.objects.read(key_path(scope))
        if standing is None and may_create:
            wrapped = keys.wrap(scope, secrets.token_bytes(32))
            document = _key_document(scope, wrapped, keys.fingerprint)
            self.objects.create(key_path(scope), document)  # of several at once, one stands
            standing = self.objects.read(key_path(scope))
        self._data_keys[scope] = self._unwrap(scope, standing)
        return self._data_keys[scope]

    def _unwrap(self, scope: str, document: bytes | None) -> bytes:
        try:
            found = json.loads(document or b"")
            wrapped, fingerprint = bytes.fromhex(found["wrapped"]), str(found["kek"])
            is_known = document == _key_document(scope, wrapped, fingerprint)
        except (ValueError, KeyError, TypeError):
            is_known = False
        if not is_known:
            raise SourceUnreadable(
                f"the data key {scope} of the landing zone is gone or damaged; no parcel of it was read or written",
                hint="restore the object from a copy of the landing zone",
                scope=scope,
            )
        if fingerprint != self.keys.fingerprint:
            raise ConfigurationError(
                f"the data key {scope} was wrapped by another key-encryption key ({fingerprint}) than this project's "
                f"({self.keys.fingerprint}); nothing was read or written",
                hint="restore the key file this project was made with from its escrow",
            )
        return self.keys.unwrap(scope, wrapped)


def _key_document(scope: str, wrapped: bytes, fingerprint: str) -> bytes:
    content = {"kek": fingerprint, "scope": scope, "version": 1, "wrapped": wrapped.hex()}
    return canonical({**content, "~digest": hashlib.sha256(canonical(content)).hexdigest()})


def _same(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    return left.schema == right.schema and left.equals(right)
