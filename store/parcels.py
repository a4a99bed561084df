"""A parcel: one batch as encrypted Parquet, and the manifest that commits it.

`encode_parcel` and `decode_parcel` are the only places that see clear bytes. Every byte of a parcel is encrypted and
authenticated (uniform encryption), under a key of its own that is derived from a data key, and bound to its name. A
manifest ends with its own digest, which anyone can compute, and with a seal, which only a holder of the data key can.
"""

import hashlib
import hmac
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
import pyarrow.parquet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyarrow.parquet.encryption import create_decryption_properties, create_encryption_properties

from banyan.errors import SourceUnreadable, UsageError

_NAME = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*(/[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*)*")
_PLAIN, _ENCRYPTED = 1, 2
_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Parcel:
    """One committed batch: `sha256` is that of its bytes in the landing zone, `scope` names its data key."""

    name: str
    sha256: str
    rows: int
    bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    scope: str = ""
    salt: str = ""

    @property
    def is_encrypted(self) -> bool:
        """Tell whether its bytes are encrypted; parcels of the first releases, on a local disk, are not."""
        return bool(self.scope)


def encode_parcel(frame: pl.DataFrame, *, name: str, key: bytes, salt: str) -> bytes:
    """Write a batch as Parquet, zstd, encrypted as a whole under a key that no other parcel has."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.newest()).combine_chunks()
    sink = io.BytesIO()
    pa.parquet.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        row_group_size=1 << 20,
        use_dictionary=_repeating(frame),
        write_statistics=False,  # a parcel is read whole
        encryption_properties=create_encryption_properties(
            _derive(key, f"parcel:{salt}"), aad_prefix=name.encode(), store_aad_prefix=False
        ),
    )
    return sink.getvalue()


def _repeating(frame: pl.DataFrame) -> list[str]:
    """Name the columns that say the same often enough for a dictionary to pay, by a sample."""
    sample = frame.gather_every(max(1, frame.height // _SAMPLE)) if frame.height > _SAMPLE else frame
    return [column.name for column in sample if column.n_unique() * 2 < len(column)]


def decode_parcel(body: bytes, parcel: Parcel, key: bytes | None, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read the batch that `encode_parcel` wrote, or some columns of it."""
    opened = None
    if key is not None:
        opened = create_decryption_properties(
            _derive(key, f"parcel:{parcel.salt}"), aad_prefix=parcel.name.encode(), check_footer_integrity=True
        )
    try:
        table = pa.parquet.read_table(
            io.BytesIO(body), columns=None if columns is None else list(columns), decryption_properties=opened
        )
    except (OSError, pa.ArrowInvalid):
        raise damaged(parcel.name, "its bytes do not open under its data key") from None
    return pl.DataFrame(pl.from_arrow(table))


def manifest_path(name: str) -> str:
    """Say where the manifest of a name stands."""
    return f"manifests/{name}.json"


def body_path(parcel: Parcel) -> str:
    """Say where the bytes of a parcel stand."""
    return f"parcels/{parcel.name}/{parcel.sha256}.parquet"


def key_path(scope: str) -> str:
    """Say where the wrapped data key of a scope stands."""
    return f"keys/{scope}.json"


def encode_manifest(parcel: Parcel, key: bytes) -> bytes:
    """Write the manifest of a parcel, with its own digest and its seal."""
    content = {
        "bytes": parcel.bytes,
        "metadata": dict(sorted(parcel.metadata.items())),
        "name": parcel.name,
        "rows": parcel.rows,
        "salt": parcel.salt,
        "scope": parcel.scope,
        "sha256": parcel.sha256,
        "version": _ENCRYPTED,
    }
    told = canonical(content)
    return canonical({**content, "~digest": hashlib.sha256(told).hexdigest(), "~seal": _seal(key, told)})


def decode_manifest(name: str, manifest: bytes) -> tuple[Parcel, bytes, str]:
    """Read a manifest; gives the parcel, what its seal covers, and the seal. Refuse one that is not as written."""
    try:
        content = json.loads(manifest)
        digest, seal = content.pop("~digest"), content.pop("~seal", "")
        version = content["version"]
        parcel = Parcel(
            content["name"], content["sha256"], content["rows"], content["bytes"], content["metadata"],
            content["scope"] if version == _ENCRYPTED else "", content["salt"] if version == _ENCRYPTED else "",
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(name, "its manifest cannot be read") from None
    told = canonical(content)
    known = version in (_PLAIN, _ENCRYPTED) and (version == _ENCRYPTED) == bool(parcel.scope)
    if digest != hashlib.sha256(told).hexdigest() or parcel.name != name or not known:
        raise damaged(name, "its manifest is not the one that was written")
    return parcel, told, seal


def check_seal(name: str, key: bytes, told: bytes, seal: str) -> None:
    """Refuse a manifest that was not written by a holder of the data key."""
    if not hmac.compare_digest(_seal(key, told), seal):
        raise damaged(name, "its manifest was not sealed with its data key")


def canonical(content: Mapping[str, object]) -> bytes:
    """Write a small document so that equal documents are equal bytes."""
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def damaged(name: str, problem: str) -> SourceUnreadable:
    """Make the error of a parcel that may not be used."""
    return SourceUnreadable(
        f"parcel {name} is damaged: {problem}; no row of it was passed on",
        hint="restore the object from a copy of the landing zone, or read the batch again under a new name",
        parcel=name,
    )


def check_name(name: str) -> None:
    """Refuse a name that is no path of plain words."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a parcel; nothing was written",
            hint="use letters, digits and _ . + = - in parts separated by /, no part starting with a dot",
        )


def _seal(key: bytes, told: bytes) -> str:
    return hmac.new(_derive(key, "manifest"), told, hashlib.sha256).hexdigest()


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"banyan {purpose}".encode()).derive(key)
