"""Objects in a bucket of any S3 endpoint; large ones go up in parts, and integrity is ours to check."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from banyan.errors import ConfigurationError

PART_BYTES = 16 << 20
_PROBE = "conditional-write"
_TAKEN = "taken"
NOT_WRITTEN: Mapping[str, Mapping[str, Any]] = {"PreconditionFailed": {_TAKEN: True}}
_ABSENT: Mapping[str, Any] = {}


class Door(Protocol):
    """The client of one bucket."""

    @property
    def bucket(self) -> str:
        """Name the bucket."""
        ...

    def ask(
        self, operation: str, parameters: Mapping[str, object], answers: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Mapping[str, Any]:
        """Call one operation on the bucket; an error code that is in `answers` gives what stands there."""
        ...


class Bucket:
    """Objects of one bucket under one prefix; the endpoint must keep its word on If-None-Match."""

    def __init__(self, door: Door, prefix: str, *, server_encryption: str = "", part_bytes: int = PART_BYTES) -> None:
        self._door, self._prefix = door, f"{prefix.strip('/')}/".lstrip("/")
        self._encryption, self._part_bytes = server_encryption, part_bytes
        self._is_proved = False

    @property
    def is_remote(self) -> bool:
        """Tell that a bucket is held by others."""
        return True

    def create(self, path: str, body: bytes) -> bool:
        """Write an object if there is none of that path; tell whether it was written."""
        self._prove()
        if len(body) > self._part_bytes:
            return self._put_parts(path, body)
        return self._put(path, body)

    def read(self, path: str) -> bytes | None:
        """Read an object, or None when there is none."""
        answer = self._door.ask("get_object", {"Key": self._prefix + path}, {"NoSuchKey": _ABSENT})
        body: bytes | None = answer.get("Body")
        return body

    def list(self, prefix: str) -> Iterator[str]:
        """Name the objects whose path starts with a prefix, page by page."""
        asked: dict[str, object] = {"Prefix": self._prefix + prefix}
        while True:
            page = self._door.ask("list_objects_v2", asked)
            for entry in page.get("Contents", ()):
                yield str(entry["Key"]).removeprefix(self._prefix)
            if not page.get("IsTruncated"):
                return
            asked = {**asked, "ContinuationToken": page["NextContinuationToken"]}

    def _put(self, path: str, body: bytes) -> bool:
        parameters: dict[str, object] = {
            "Key": self._prefix + path,
            "Body": body,
            "ContentMD5": md5_of(body),
            "IfNoneMatch": "*",
            **self._asked_encryption(),
        }
        answer = self._door.ask("put_object", parameters, NOT_WRITTEN)
        if _TAKEN in answer:
            return False
        self._check_encryption(answer)
        return True

    def _put_parts(self, path: str, body: bytes) -> bool:
        """Send a large object in parts. No condition: its path holds its digest, so it can only be itself."""
        key = self._prefix + path
        absent = {code: {_TAKEN: False} for code in ("404", "NoSuchKey", "NotFound")}
        if self._door.ask("head_object", {"Key": key}, absent).get(_TAKEN, True):
            return False
        opened = self._door.ask("create_multipart_upload", {"Key": key, **self._asked_encryption()})
        upload = {"Key": key, "UploadId": opened["UploadId"]}
        try:
            parts = []
            for number, start in enumerate(range(0, len(body), self._part_bytes), 1):
                piece = body[start : start + self._part_bytes]
                sent = {**upload, "PartNumber": number, "Body": piece, "ContentMD5": md5_of(piece)}
                parts.append({"PartNumber": number, "ETag": self._door.ask("upload_part", sent)["ETag"]})
            done = self._door.ask("complete_multipart_upload", {**upload, "MultipartUpload": {"Parts": parts}})
        except BaseException:
            self._door.ask("abort_multipart_upload", upload, {"NoSuchUpload": _ABSENT})
            raise
        self._check_encryption(done)
        return True

    def _asked_encryption(self) -> dict[str, object]:
        return {"ServerSideEncryption": self._encryption} if self._encryption else {}

    def _check_encryption(self, answer: Mapping[str, Any]) -> None:
        """Refuse an endpoint that ignores the encryption it was asked for; some do, silently (measured)."""
        told = answer.get("ServerSideEncryption", "")
        if self._encryption and told != self._encryption:
            raise ConfigurationError(
                f"bucket {self._door.bucket} was asked for encryption {self._encryption} and announces "
                f"{told or 'none'}; what was sent is encrypted by us and was not committed",
                hint="banyan provider probe; then correct provider.encryption of the landing zone",
                bucket=self._door.bucket,
            )

    def _prove(self) -> None:
        """Refuse an endpoint that overwrites in spite of If-None-Match; some clones of S3 do (measured)."""
        if self._is_proved:
            return
        if self._put(_PROBE, b"") and self._put(_PROBE, b""):
            raise ConfigurationError(
                f"the endpoint of bucket {self._door.bucket} ignores If-None-Match: two writers could both commit; "
                "no parcel was written",
                hint="use an endpoint that honours conditional writes, or a local landing zone",
                bucket=self._door.bucket,
            )
        self._is_proved = True


def md5_of(body: bytes) -> str:
    """Give the Content-MD5 of a body: what a server must compare before it keeps it."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
