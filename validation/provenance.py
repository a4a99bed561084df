"""What evidence was made with: versions, algorithms, the plan by which the old system was read, what the store held.

Nothing here moves with the clock or by chance: the same inputs, judged by the same versions, give the same bytes.
"""

import hmac
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from banyan.records import KeyRange

_TOOL = "banyan-migration"
_PACKAGES = (
    "cryptography", "great-expectations", "numpy", "pandas", "polars", "polars-hash", "psycopg", "pyarrow", "pydantic",
    "SQLAlchemy",
)  # fmt: skip
_PSEUDONYM_BYTES = 16
BY_KEY, BY_PAGES = "key", "pages"


@dataclass(frozen=True, slots=True)
class Version:
    """A program, a package or an algorithm, and which one of it."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """How L4 cut a legacy table: by its key into how many chunks, with a keyed digest of their bounds.

    A table without a key is cut by its pages as statistics stand, which nobody could cut in the same way again: of it
    only that is told.
    """

    table: str
    cut_by: str
    rows_per_chunk: int
    chunks: int = 0
    bounds_digest: str = ""


@dataclass(frozen=True, slots=True)
class BucketFact:
    """How many records a bucket of a canonical table held, and a keyed digest of what they were."""

    table: str
    bucket: int
    records: int
    digest: str


def read_versions() -> tuple[Version, ...]:
    """Give the versions of banyan, of Python, and of the packages that read, map, compare, judge and sign."""
    return (
        Version(_TOOL, _version(_TOOL)),
        Version("python", platform.python_version()),
        *(Version(name, _version(name)) for name in _PACKAGES),
    )


def name_algorithms(bucket_algorithm: str) -> tuple[Version, ...]:
    """Name what the digests, pseudonyms and signatures are made by; buckets by an algorithm of the store's server."""
    from mappings.digest import ENCODING  # not with the module: whoever verifies a bundle reads no rows

    return (
        Version("row digest", f"{ENCODING}, HMAC-SHA256, 16 bytes"),
        Version("record digest of L4", "polars.hash of each column, two sums of 64 bits, seeds drawn for the pass"),
        Version("bucket digest", f"{bucket_algorithm}, exclusive or and sum, seeded; here under HMAC-SHA256"),
        Version("bounds digest", "banyan-bounds/1, HMAC-SHA256"),
        Version("pseudonym", "banyan-pseudonym/1, HMAC-SHA256"),
        Version("evidence", "banyan-evidence/1, SHA-256"),
        Version("signature", "banyan-sign-off/1, ed25519"),
    )


def plan_of(table: str, ranges: Sequence[KeyRange], *, is_keyed: bool, rows_per_chunk: int, key: bytes) -> ChunkPlan:
    """Tell how a legacy table was cut, without telling a key."""
    if not is_keyed:
        return ChunkPlan(table, BY_PAGES, rows_per_chunk)
    bounds = json.dumps(["banyan-bounds/1", table, [[each.low, each.high] for each in ranges]])
    return ChunkPlan(table, BY_KEY, rows_per_chunk, len(ranges), _keyed(key, bounds))


def bucket_facts(digests: Mapping[tuple[str, int], tuple[int, int, int]], key: bytes) -> tuple[BucketFact, ...]:
    """Give the buckets that hold records, by table and number; their digests are keyed once more.

    A small bucket holds one record: what the store's server hashed it to stays in the store.
    """
    return tuple(
        BucketFact(table, bucket, records, _keyed(key, json.dumps(["banyan-bucket/1", table, bucket, xor, total])))
        for (table, bucket), (records, xor, total) in sorted(digests.items())
        if records
    )


def _keyed(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256")[:_PSEUDONYM_BYTES].hex()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
