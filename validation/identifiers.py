"""Identifiers on disk, in buckets: what was seen on either side of any number of records, in constant memory.

An identifier goes to the bucket of its last byte, which is random in computed and in time-ordered identifiers alike.
The files live in a private folder that its owner removes; they hold identifiers, never a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from validation.digests import halves_of

BUCKETS = 32
_ENTRY = np.dtype([("low", "<u8"), ("high", "<u8")])


@dataclass(frozen=True, slots=True)
class IdBuckets:
    """Lists of identifiers by name, each in buckets."""

    folder: Path = field(repr=False)

    def add(self, name: str, ids: pl.Series) -> None:
        """Append identifiers of 16 bytes to a list."""
        present = ids.drop_nulls()
        if present.is_empty():
            return
        halves = halves_of(present)
        entries = np.empty(len(halves), dtype=_ENTRY)
        entries["low"], entries["high"] = halves[:, 0], halves[:, 1]
        bucket_of = (halves[:, 1] >> np.uint64(56)).astype(np.uint8) % BUCKETS
        for bucket in np.unique(bucket_of):
            with self._path(name, int(bucket)).open("ab") as file:
                file.write(entries[bucket_of == bucket].tobytes())

    def read(self, name: str, bucket: int) -> pl.DataFrame:
        """Read one bucket of a list: columns low, high."""
        path = self._path(name, bucket)
        entries = np.fromfile(path, dtype=_ENTRY) if path.exists() else np.empty(0, dtype=_ENTRY)
        return pl.DataFrame({column: np.ascontiguousarray(entries[column]) for column in ("low", "high")})

    def missing_from(self, name: str, other: str) -> Iterator[pl.Series]:
        """Give, bucket by bucket, the identifiers of a list that another list does not have."""
        for bucket in range(BUCKETS):
            alone = self.read(name, bucket).join(self.read(other, bucket), on=["low", "high"], how="anti")
            if alone.height:
                yield _identifiers(alone)

    def _path(self, name: str, bucket: int) -> Path:
        return self.folder / f"{name.replace('/', '+')}.{bucket:02d}"  # a table of several files is named file/table


def _identifiers(frame: pl.DataFrame) -> pl.Series:
    halves = frame.select("low", "high").to_numpy().astype("<u8")
    return pl.Series("id", [row.tobytes() for row in halves], dtype=pl.Binary)
