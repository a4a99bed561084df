"""The landing zone: what was received, kept as it was received, written once.

A parcel is one batch as Parquet. Its bytes stand under their own SHA-256; its manifest, a small object written by a
single conditional PUT, is the commit: before it there is no parcel, after it nobody replaces it.

    manifests/<name>.json            name, digest, rows, bytes, metadata; its own digest last
    parcels/<name>/<sha256>.parquet

A writer that died between the two leaves bytes that nobody reads and that a second try of the same batch takes over.
Every PUT is read back before it counts.
"""

import base64
import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, assert_never
from urllib.parse import urlsplit

import polars as pl

from banyan.config import LandingConfig, read_secret
from banyan.errors import (
    BanyanError,
    CapacityExhausted,
    ConfigurationError,
    ConservationBroken,
    SourceUnreadable,
    StoreUnavailable,
)
from store.parcels import (
    Parcel,
    body_path,
    check_name,
    damaged,
    decode_manifest,
    decode_parcel,
    encode_manifest,
    encode_parcel,
    manifest_path,
)

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ROOM = {"InsufficientStorage", "QuotaExceeded", "EntityTooLarge", "XMinioStorageFull"}
_PROBE = "conditional-write"
_T = TypeVar("_T")
_TRANSIENT = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ConditionalRequestConflict"}


class LandingZone(Protocol):
    """Where parcels are written once, found and read back."""

    def write_parcel(self, name: str, frame: pl.DataFrame, *, metadata: Mapping[str, str]) -> Parcel:
        """Commit a batch under a name.

        The same rows again change nothing and give the parcel that stands, with the metadata of its first writing;
        other rows are refused and the parcel that stands is kept.
        """
        ...

    def read_parcel(self, name: str) -> pl.DataFrame:
        """Read a batch back; refuse it when one bit is not the one that was written."""
        ...

    def list_parcels(self, prefix: str = "") -> tuple[Parcel, ...]:
        """List the committed parcels whose name starts with a prefix, by name."""
        ...


def open_landing(config: LandingConfig, *, folder: Path) -> LandingZone:
    """Open the landing zone of a project; nothing is sent before the endpoint was found on the allow-list.

    A local `path` that is not absolute starts at the project's `folder`.
    """
    match config.kind:
        case "local":
            return _Landing(_Directory(folder / config.path))
        case "s3":
            _check_endpoint(config)
            return _Landing(_Bucket(config))
        case _:
            assert_never(config.kind)


class _Objects(Protocol):
    """Objects that are written once; the two media differ in nothing else."""

    def create(self, path: str, body: bytes) -> bool:
        """Write an object if there is none of that path; tell whether it was written."""
        ...

    def read(self, path: str) -> bytes | None:
        """Read an object, or None when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Name the objects whose path starts with a prefix."""
        ...


@dataclass(frozen=True, slots=True)
class _Landing:
    objects: _Objects = field(repr=False)

    def write_parcel(self, name: str, frame: pl.DataFrame, *, metadata: Mapping[str, str]) -> Parcel:
        check_name(name)
        body = encode_parcel(frame)
        parcel = Parcel(name, hashlib.sha256(body).hexdigest(), len(frame), len(body), dict(metadata))
        standing = self._find(name)
        if standing is None:
            self._create(body_path(parcel), body, name)
            manifest = encode_manifest(parcel)
            if self.objects.create(manifest_path(name), manifest):
                if self.objects.read(manifest_path(name)) != manifest:
                    raise StoreUnavailable(
                        f"the manifest of parcel {name} was not read back as written; the parcel may not be used",
                        hint="check the medium of the landing zone",
                        parcel=name,
                    )
                return parcel
            standing = self._find(name)
        if standing is None or standing != parcel:
            raise ConservationBroken(
                f"parcel {name} stands already with other rows; it was kept, the new rows were not committed",
                hint="give the batch the name of its own run and chunk",
                parcel=name,
            )
        return standing

    def read_parcel(self, name: str) -> pl.DataFrame:
        check_name(name)
        parcel = self._find(name)
        if parcel is None:
            raise SourceUnreadable(
                f"there is no committed parcel {name}; nothing was read", hint="list the parcels", parcel=name
            )
        body = self.objects.read(body_path(parcel))
        if body is None or hashlib.sha256(body).hexdigest() != parcel.sha256:
            raise damaged(name, "its bytes are gone" if body is None else "its digest is not the one of its manifest")
        frame = decode_parcel(body)
        if len(frame) != parcel.rows:
            raise damaged(name, f"{len(frame)} rows where its manifest says {parcel.rows}")
        return frame

    def list_parcels(self, prefix: str = "") -> tuple[Parcel, ...]:
        if prefix:
            check_name(prefix.removesuffix("/"))
        start = manifest_path("").removesuffix(".json")
        paths = self.objects.list(start + prefix)
        names = sorted(path.removeprefix(start).removesuffix(".json") for path in paths)
        found = (self._find(name) for name in names)
        return tuple(parcel for parcel in found if parcel is not None)

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
        return None if manifest is None else decode_manifest(name, manifest)


# A directory.


@dataclass(frozen=True, slots=True)
class _Directory:
    root: Path

    def create(self, path: str, body: bytes) -> bool:
        target = self.root / path
        draft = target.parent / f".draft-{secrets.token_hex(8)}"
        try:
            for directory in reversed([target.parent, *target.parent.parents]):
                if directory.is_relative_to(self.root):
                    directory.mkdir(mode=0o700, parents=directory == self.root, exist_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, target)  # unlike a rename, refuses to replace what stands
            for directory in (target.parent, *target.parent.relative_to(self.root).parents):
                _sync_directory(self.root / directory)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in _FULL:
                raise CapacityExhausted(
                    f"the landing zone has no room for {len(body)} bytes; nothing was left there",
                    hint="make room on the disk of the landing zone, then run again",
                    bytes=len(body),
                ) from error
            raise _local_failure(error) from error
        finally:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                draft.unlink()
        return True

    def read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _local_failure(error) from error

    def list(self, prefix: str) -> Iterator[str]:
        for path in (self.root / prefix.partition("/")[0]).rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if name.startswith(prefix) and not path.name.startswith(".") and path.is_file():
                yield name


def _local_failure(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the landing zone cannot be used: {error.strerror}; nothing was committed",
        hint="check the directory of the landing zone and its rights",
    )


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# A bucket.


def _check_endpoint(config: LandingConfig) -> None:
    endpoint = _origin(config.endpoint_url)
    problem = ""
    if endpoint is None:
        problem = "it is no URL of http or https with a host and nothing behind it"
    elif endpoint not in {_origin(allowed) for allowed in config.allowed_endpoints}:
        problem = "it is not on the allow-list of the provider profile"
    elif endpoint[0] == "http" and endpoint[1] not in _LOOPBACK:
        problem = "it is not encrypted (https)"
    if problem:
        raise ConfigurationError(
            f"the endpoint {config.endpoint_url} of the landing zone is refused: {problem}; nothing was sent",
            hint="correct endpoint_url, or have the endpoint added to the provider profile",
            endpoint=config.endpoint_url,
        )


def _origin(url: str) -> tuple[str, str, int] | None:
    parts = urlsplit(url)
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        return None
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _resolved(reference: str, name: str) -> str:
    if not reference.startswith(("env:", "file:")):
        raise ConfigurationError(
            f"{name} of the landing zone is not a reference; nothing was sent",
            hint=f"write {name}: env:NAME or {name}: file:PATH, never the secret",
        )
    return read_secret(reference)


class _Bucket:
    """Objects of one bucket under one prefix; the endpoint must keep its word on If-None-Match."""

    def __init__(self, config: LandingConfig) -> None:
        import boto3
        from botocore.config import Config

        self._bucket, self._prefix = config.bucket, f"{config.prefix.strip('/')}/".lstrip("/")
        self._is_proved = False
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=config.endpoint_url,
            region_name=config.region,
            aws_access_key_id=_resolved(config.access_key, "access_key"),
            aws_secret_access_key=_resolved(config.secret_key, "secret_key"),
            config=Config(
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"mode": "standard", "total_max_attempts": 4},
                s3={"addressing_style": "path"},
                proxies={},  # a proxy of the environment is not on the allow-list
            ),
        )

    def create(self, path: str, body: bytes) -> bool:
        self._prove()
        return self._put(path, body)

    def read(self, path: str) -> bytes | None:
        def get() -> bytes:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
            return body

        return self._ask(get, answers={"NoSuchKey": None})

    def list(self, prefix: str) -> Iterator[str]:
        def pages() -> list[str]:
            asked = self._client.get_paginator("list_objects_v2")
            found = asked.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            return [str(entry["Key"]) for page in found for entry in page.get("Contents", ())]

        for key in self._ask(pages, answers={}) or ():
            yield key.removeprefix(self._prefix)

    def _put(self, path: str, body: bytes) -> bool:
        def put() -> bool:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + path,
                Body=body,
                ContentMD5=base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
                IfNoneMatch="*",
            )
            return True

        return bool(self._ask(put, answers={"PreconditionFailed": False}))

    def _prove(self) -> None:
        """Refuse an endpoint that overwrites in spite of If-None-Match; some clones of S3 do (measured)."""
        if self._is_proved:
            return
        if self._put(_PROBE, b"") and self._put(_PROBE, b""):
            raise ConfigurationError(
                f"the endpoint of bucket {self._bucket} ignores If-None-Match: two writers could both commit; "
                "no parcel was written",
                hint="use an endpoint that honours conditional writes, or a local landing zone",
                bucket=self._bucket,
            )
        self._is_proved = True

    def _ask(self, call: Callable[[], _T], *, answers: Mapping[str, _T | None]) -> _T | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in answers:
                return answers[code]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise _refusal(self._bucket, code, status) from error
        except BotoCoreError as error:
            raise StoreUnavailable(
                f"bucket {self._bucket} does not answer ({type(error).__name__}); nothing was committed",
                hint="check the network and the endpoint, then run again",
                bucket=self._bucket,
            ) from error


def _refusal(bucket: str, code: str, status: int) -> BanyanError:
    if code in _NO_ROOM or status == 507:
        return CapacityExhausted(
            f"bucket {bucket} has no room left ({code}); nothing was committed",
            hint="raise the quota of the bucket, then run again",
            bucket=bucket,
        )
    if status >= 500 or code in _TRANSIENT:
        return StoreUnavailable(
            f"bucket {bucket} does not serve at the moment ({code}); nothing was committed",
            hint="run again",
            bucket=bucket,
        )
    return ConfigurationError(
        f"bucket {bucket} refuses ({code}); nothing was committed",
        hint="check bucket, region, keys and rights of the landing zone",
        bucket=bucket,
    )
