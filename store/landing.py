"""The landing zone: what was received, kept as it was received, encrypted, written once.

A parcel is one batch as encrypted Parquet. Its bytes stand under their own SHA-256; its manifest, a small object
written by a single conditional PUT, is the commit: before it there is no parcel, after it nobody replaces it.

    keys/<department>/<month>.json   data key, wrapped by the key-encryption key, which is never in the landing zone
    manifests/<name>.json            name, digest, rows, bytes, metadata; its own digest and its seal last
    parcels/<name>/<sha256>.parquet

A writer that died between the two leaves bytes that nobody reads. Every PUT is read back before it counts. This is the
only module that opens a connection to an object store.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, assert_never

import polars as pl

from banyan.config import LandingConfig, read_secret
from banyan.errors import BanyanError, CapacityExhausted, ConfigurationError, StoreUnavailable
from store.bucket import Bucket
from store.keys import KeyRing, open_keys
from store.objects import Directory, Objects
from store.parcels import Parcel
from store.provider import check_address, check_provider
from store.zone import Zone

_NO_ROOM = {"InsufficientStorage", "QuotaExceeded", "EntityTooLarge", "XMinioStorageFull"}
_TRANSIENT = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "ConditionalRequestConflict"}


class LandingZone(Protocol):
    """Where parcels are written once, found and read back."""

    @property
    def keys(self) -> KeyRing:
        """Give the keys of the project; refuses to start without the one under which parcels stand."""
        ...

    def write_parcel(self, name: str, frame: pl.DataFrame, *, metadata: Mapping[str, str]) -> Parcel:
        """Commit a batch under a name.

        The same rows again change nothing and give the parcel that stands, with the metadata of its first writing;
        other rows are refused and the parcel that stands is kept.
        """
        ...

    def read_parcel(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a batch back, whole or some columns; refuse it when one bit is not the one that was written."""
        ...

    def list_parcels(self, prefix: str = "") -> tuple[Parcel, ...]:
        """List the committed parcels whose name starts with a prefix, by name."""
        ...


def open_landing(config: LandingConfig, *, folder: Path) -> LandingZone:
    """Open the landing zone of a project; nothing is sent before endpoint and region were found on the allow-list.

    A local `path` and a key file that are not absolute start at the project's `folder`.
    """

    def keys(has_sealed: Callable[[], bool]) -> KeyRing:
        return open_keys(config, folder=folder, has_sealed=has_sealed)

    return Zone(_open_objects(config, folder), keys)


def _open_objects(config: LandingConfig, folder: Path) -> Objects:
    match config.kind:
        case "local":
            return Directory(folder / config.path)
        case "s3":
            return Bucket(S3Door(config), config.prefix, server_encryption=config.provider.encryption)
        case _:
            assert_never(config.kind)


class S3Door:
    """A client of one bucket that asks nothing off the allow-list, and says failures in our words."""

    def __init__(self, config: LandingConfig, *, secret: str | None = None) -> None:
        import boto3
        from botocore.config import Config

        check_provider(config)
        self.bucket = config.bucket
        self._client = boto3.session.Session().client(
            "s3",
            endpoint_url=config.endpoint_url,
            region_name=config.region,
            aws_access_key_id=_resolved(config.access_key, "access_key"),
            aws_secret_access_key=secret or _resolved(config.secret_key, "secret_key"),
            config=Config(
                request_checksum_calculation=config.provider.checksums,
                response_checksum_validation=config.provider.checksums,
                retries={"mode": "standard", "total_max_attempts": 4},
                connect_timeout=10,
                read_timeout=60,
                s3={"addressing_style": "path"},
                proxies={},  # a proxy of the environment is not on the allow-list
            ),
        )

        def refuse_elsewhere(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
            check_address(config, str(request.url))  # a redirect of the server is no way off the list

        self._client.meta.events.register("before-send.s3", refuse_elsewhere)

    def ask(
        self, operation: str, parameters: Mapping[str, object], answers: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Mapping[str, Any]:
        """Call one operation on the bucket; an error code that is in `answers` gives what stands there."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.bucket, **parameters)
            if "Body" in answer:
                answer["Body"] = answer["Body"].read()
            return answer
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if answers is not None and code in answers:
                return answers[code]
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise _refusal(self.bucket, code, status) from error
        except BotoCoreError as error:
            raise StoreUnavailable(
                f"bucket {self.bucket} does not answer ({type(error).__name__}); nothing was committed",
                hint="check the network and the endpoint, then run again",
                bucket=self.bucket,
            ) from error


def _resolved(reference: str, name: str) -> str:
    if not reference.startswith(("env:", "file:")):
        raise ConfigurationError(
            f"{name} of the landing zone is not a reference; nothing was sent",
            hint=f"write {name}: env:NAME or {name}: file:PATH, never the secret",
        )
    return read_secret(reference)


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
        code=code,
    )
