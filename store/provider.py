"""The profile of a provider: where bytes may go, checked before the first one; and what a bucket really does."""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from banyan.config import LandingConfig
from banyan.errors import BanyanError, ConfigurationError
from store.bucket import NOT_WRITTEN, Door, md5_of

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_PORTS = {"http": 80, "https": 443}
_WRITERS = 8
_LEAST_PART = 5 << 20


def check_provider(config: LandingConfig) -> None:
    """Refuse an endpoint or a region that the provider profile does not name; nothing is sent before."""
    endpoint, provider = _origin(config.endpoint_url), config.provider
    allowed = {_origin(one) for one in (*config.allowed_endpoints, *provider.endpoints)}
    problem = ""
    if endpoint is None:
        problem = "it is no URL of http or https with a host and nothing behind it"
    elif endpoint not in allowed:
        problem = "it is not on the allow-list of the provider profile"
    elif endpoint[0] == "http" and endpoint[1] not in _LOOPBACK:
        problem = "it is not encrypted (https)"
    if problem:
        raise ConfigurationError(
            f"the endpoint {config.endpoint_url} of the landing zone is refused: {problem}; nothing was sent",
            hint="correct endpoint_url, or have the endpoint added to the provider profile",
            endpoint=config.endpoint_url,
        )
    is_here = endpoint is not None and endpoint[1] in _LOOPBACK  # what stays on this machine is in no region
    if config.region not in provider.regions and (provider.regions or not is_here):
        known = f"write region: {provider.regions[0]}, or " if provider.regions else ""
        raise ConfigurationError(
            f"the region {config.region or 'that is not named'} of the landing zone is refused: it is not on the "
            "allow-list of the provider profile; nothing was sent",
            hint=f"{known}have the region added under regions of the provider profile",
            region=config.region,
        )


def check_address(config: LandingConfig, url: str) -> None:
    """Refuse a request that would leave the endpoint of the landing zone, as a redirect of a server can make it."""
    parts = urlsplit(url)
    here = _origin(f"{parts.scheme}://{parts.netloc}")
    if here != _origin(config.endpoint_url):
        raise ConfigurationError(
            f"the endpoint {config.endpoint_url} sends us to {parts.hostname}, which it is not; nothing was sent there",
            hint="check bucket, region and endpoint_url of the landing zone",
            endpoint=config.endpoint_url,
        )


def _origin(url: str) -> tuple[str, str, int] | None:
    parts = urlsplit(url)
    plain = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    if parts.scheme not in _PORTS or not parts.hostname or not plain:
        return None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


class Answer(StrEnum):
    """What a bucket does with one question."""

    YES = "yes"
    NO = "no"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One property of a bucket as it was found; banyan needs the required ones."""

    name: str
    answer: Answer
    told: str
    is_required: bool = False

    @property
    def is_enough(self) -> bool:
        """Tell whether banyan can live with this answer."""
        return self.answer is Answer.YES or not self.is_required


def probe(door: Door, stranger: Door, config: LandingConfig) -> Iterator[ProbeResult]:
    """Try a bucket out, under a prefix of its own that is deleted afterwards; `stranger` holds a wrong secret."""
    prefix = f"{config.prefix.strip('/')}/probe-{secrets.token_hex(6)}/".lstrip("/")
    written: list[str] = []

    def key(name: str) -> str:
        written.append(prefix + name)
        return prefix + name

    asked = config.provider.encryption
    checks: tuple[tuple[str, bool, Callable[[], tuple[bool, str]]], ...] = (
        ("conditional PUT", True, lambda: _conditional(door, key("once"))),
        ("one winner of eight writers", True, lambda: _contended(door, key("race"))),
        ("read back", True, lambda: _read_back(door, key("body"))),
        ("wrong Content-MD5 is refused", False, lambda: _wrong_md5(door, key("md5"))),
        ("wrong SHA-256 checksum is refused", False, lambda: _wrong_sha(door, key("sha"))),
        ("multipart", True, lambda: _multipart(door, key("parts"))),
        ("wrong secret is refused", False, lambda: _stranger(stranger, key("stranger"))),
        ("versioning", False, lambda: _versioning(door, key("twice"))),
        ("object lock", False, lambda: _lock(door, key("held"))),
        ("encryption announced", bool(asked), lambda: _encryption(door, key("sse"), asked or "AES256")),
    )
    is_versioned = False
    try:
        for name, is_required, check in checks:
            result = _result(name, check, is_required=is_required)
            is_versioned = is_versioned or (name == "versioning" and result.told.startswith("Enabled"))
            yield result
    finally:
        for one in written:
            door.ask("delete_object", {"Key": one}, {"NoSuchKey": {}})
        if is_versioned:
            _forget_versions(door, prefix)


def _forget_versions(door: Door, prefix: str) -> None:
    """Delete what a versioned bucket keeps of deleted objects, and the marks of their deletion."""
    kept = door.ask("list_object_versions", {"Prefix": prefix})
    for one in (*kept.get("Versions", ()), *kept.get("DeleteMarkers", ())):
        door.ask("delete_object", {"Key": one["Key"], "VersionId": one["VersionId"]}, {"NoSuchVersion": {}})


def _result(name: str, check: Callable[[], tuple[bool, str]], *, is_required: bool) -> ProbeResult:
    try:
        is_so, told = check()
    except BanyanError as error:
        return ProbeResult(name, Answer.REFUSED, str(error.facts.get("code") or error.message), is_required)
    return ProbeResult(name, Answer.YES if is_so else Answer.NO, told, is_required)


def _put(door: Door, key: str, body: bytes, **more: object) -> Mapping[str, Any]:
    return door.ask("put_object", {"Key": key, "Body": body, "ContentMD5": md5_of(body), **more}, NOT_WRITTEN)


def _conditional(door: Door, key: str) -> tuple[bool, str]:
    first = _put(door, key, b"first", IfNoneMatch="*")
    second = _put(door, key, b"second", IfNoneMatch="*")
    kept = door.ask("get_object", {"Key": key})["Body"] == b"first"
    is_kept = "taken" not in first and "taken" in second and kept
    return is_kept, "the second writer is refused" if is_kept else "the second writer overwrote the first"


def _contended(door: Door, key: str) -> tuple[bool, str]:
    with ThreadPoolExecutor(_WRITERS) as pool:
        answers = pool.map(lambda number: _put(door, key, bytes([number]), IfNoneMatch="*"), range(_WRITERS))
        winners = sum("taken" not in answer for answer in answers)
    return winners == 1, f"{winners} of {_WRITERS} concurrent writers were accepted"


def _read_back(door: Door, key: str) -> tuple[bool, str]:
    body = secrets.token_bytes(1 << 16)
    _put(door, key, body)
    is_same = door.ask("get_object", {"Key": key})["Body"] == body
    return is_same, "65 536 bytes came back as sent" if is_same else "other bytes came back"


def _wrong_md5(door: Door, key: str) -> tuple[bool, str]:
    wrong = {"Key": key, "Body": b"body", "ContentMD5": md5_of(b"another")}
    answer = door.ask("put_object", wrong, {"BadDigest": {"bad": True}, "InvalidDigest": {"bad": True}})
    return "bad" in answer, "a damaged body is not kept" if "bad" in answer else "a damaged body is kept: read back"


def _wrong_sha(door: Door, key: str) -> tuple[bool, str]:
    wrong = {"Key": key, "Body": b"body", "ChecksumSHA256": b64encode(hashlib.sha256(b"another").digest()).decode()}
    codes = ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "InvalidRequest")
    answer = door.ask("put_object", wrong, {code: {"bad": True} for code in codes})
    return "bad" in answer, "compared by the server" if "bad" in answer else "not compared: our own digests decide"


def _multipart(door: Door, key: str) -> tuple[bool, str]:
    pieces = [secrets.token_bytes(_LEAST_PART), secrets.token_bytes(1000)]
    upload = {"Key": key, "UploadId": door.ask("create_multipart_upload", {"Key": key})["UploadId"]}
    parts = []
    for number, piece in enumerate(pieces, 1):
        sent = {**upload, "PartNumber": number, "Body": piece, "ContentMD5": md5_of(piece)}
        parts.append({"PartNumber": number, "ETag": door.ask("upload_part", sent)["ETag"]})
    door.ask("complete_multipart_upload", {**upload, "MultipartUpload": {"Parts": parts}})
    is_same = door.ask("get_object", {"Key": key})["Body"] == b"".join(pieces)
    return is_same, "two parts came back as one" if is_same else "other bytes came back"


def _stranger(stranger: Door, key: str) -> tuple[bool, str]:
    codes = ("SignatureDoesNotMatch", "AccessDenied", "InvalidAccessKeyId", "403")
    answer = stranger.ask("put_object", {"Key": key, "Body": b""}, {code: {"refused": True} for code in codes})
    return "refused" in answer, "refused" if "refused" in answer else "accepted: this endpoint authenticates nobody"


def _versioning(door: Door, key: str) -> tuple[bool, str]:
    """Overwrite an object where versions are announced, and read the first one back."""
    told = str(door.ask("get_bucket_versioning", {}).get("Status", "off"))
    if told != "Enabled":
        return False, told
    first = _put(door, key, b"first")
    _put(door, key, b"second")
    read = {"Key": key, "VersionId": str(first.get("VersionId", "null"))}
    is_kept = door.ask("get_object", read, {"NoSuchVersion": {}, "NoSuchKey": {}}).get("Body") == b"first"
    return (
        is_kept,
        "Enabled: what is overwritten can be read" if is_kept else "Enabled, but what is overwritten is gone",
    )


def _lock(door: Door, key: str) -> tuple[bool, str]:
    """Hold an object where locks are announced, and try to delete it; the hold is taken away again."""
    off: dict[str, dict[str, Any]] = {
        code: {} for code in ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration")
    }
    found = door.ask("get_object_lock_configuration", {}, off).get("ObjectLockConfiguration", {})
    told = str(found.get("ObjectLockEnabled", "off"))
    if told != "Enabled":
        return False, told
    version = {"Key": key, "VersionId": str(_put(door, key, b"held", ObjectLockLegalHoldStatus="ON")["VersionId"])}
    refusals = {code: {"refused": True} for code in ("AccessDenied", "InvalidRequest", "ObjectLocked")}
    is_held = "refused" in door.ask("delete_object", version, refusals)
    if is_held:
        door.ask("put_object_legal_hold", {**version, "LegalHold": {"Status": "OFF"}})
    return is_held, "Enabled: a held object is not deleted" if is_held else "Enabled, but a held object was deleted"


def _encryption(door: Door, key: str, wanted: str) -> tuple[bool, str]:
    told = str(_put(door, key, b"", ServerSideEncryption=wanted).get("ServerSideEncryption", "none"))
    return told == wanted, f"asked for {wanted}, announced {told}"
