"""A parcel: one batch as Parquet bytes, and the manifest that commits it.

`encode_parcel` and `decode_parcel` are the only places that see clear bytes: the envelope that encrypts parcels belongs
there. A manifest ends with its own digest, so that a flipped bit of it is found as well.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from banyan.errors import SourceUnreadable, UsageError

_NAME = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*(/[A-Za-z0-9_+=-][A-Za-z0-9_.+=-]*)*")


@dataclass(frozen=True, slots=True)
class Parcel:
    """One committed batch: `sha256` is that of its bytes in the landing zone."""

    name: str
    sha256: str
    rows: int
    bytes: int
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)


def encode_parcel(frame: pl.DataFrame) -> bytes:
    """Write a batch as Parquet; equal rows give equal bytes however the frame was put together."""
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    sink = io.BytesIO()
    pa.parquet.write_table(table, sink, compression="zstd", compression_level=3, row_group_size=1 << 20)
    return sink.getvalue()


def decode_parcel(body: bytes) -> pl.DataFrame:
    """Read the batch that `encode_parcel` wrote."""
    return pl.DataFrame(pl.from_arrow(pa.parquet.read_table(io.BytesIO(body))))


def manifest_path(name: str) -> str:
    """Say where the manifest of a name stands."""
    return f"manifests/{name}.json"


def body_path(parcel: Parcel) -> str:
    """Say where the bytes of a parcel stand."""
    return f"parcels/{parcel.name}/{parcel.sha256}.parquet"


def encode_manifest(parcel: Parcel) -> bytes:
    """Write the manifest of a parcel, with its own digest."""
    content = {
        "bytes": parcel.bytes,
        "metadata": dict(sorted(parcel.metadata.items())),
        "name": parcel.name,
        "rows": parcel.rows,
        "sha256": parcel.sha256,
        "version": 1,
    }
    return _canonical({**content, "~digest": hashlib.sha256(_canonical(content)).hexdigest()})


def decode_manifest(name: str, manifest: bytes) -> Parcel:
    """Read a manifest; refuse one that is not as it was written."""
    try:
        content = json.loads(manifest)
        digest = content.pop("~digest")
        parcel = Parcel(content["name"], content["sha256"], content["rows"], content["bytes"], content["metadata"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(name, "its manifest cannot be read") from None
    if digest != hashlib.sha256(_canonical(content)).hexdigest() or parcel.name != name or content["version"] != 1:
        raise damaged(name, "its manifest is not the one that was written")
    return parcel


def _canonical(content: Mapping[str, object]) -> bytes:
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
