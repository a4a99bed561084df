"""Identifiers on disk, in buckets: what was seen on either side of any number of records, in constant memory.

An identifier goes to the bucket of its last byte, which is random in computed and in time-ordered identifiers alike.
The files live in a private folder that its owner removes; they hold identifiers and one flag, never a value.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

BUCKETS = 32
_ENTRY = np.dtype([("low", "<u8"), ("high", "<u8"), ("flag", "u1")])


@dataclass(frozen=True, slots=True)
class IdBuckets:
    """Lists of identifiers by name, each in buckets; entries keep their repetitions."""

    folder: Path = field(repr=False)

    def add(self, name: str, ids: pl.Series, *, flag: int = 0) -> None:
        """Append identifiers of 16 bytes to a list, each with the flag."""
        present = ids.drop_nulls()
        if present.is_empty():
            return
        # the bytes as they lie in memory, without a Python object for each identifier
        written = present.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
        start = int(np.frombuffer(written.buffers()[1], np.int64, 1 + written.offset)[-1])
        halves = np.frombuffer(written.buffers()[2], "<u8", 2 * len(written), start).reshape(-1, 2)
        entries = np.empty(len(halves), dtype=_ENTRY)
        entries["low"], entries["high"], entries["flag"] = halves[:, 0], halves[:, 1], flag
        bucket_of = (halves[:, 1] >> np.uint64(56)).astype(np.uint8) % BUCKETS
        for bucket in np.unique(bucket_of):
            with self._path(name, int(bucket)).open("ab") as file:
                file.write(entries[bucket_of == bucket].tobytes())

    def read(self, name: str, bucket: int) -> pl.DataFrame:
        """Read one bucket of a list: columns low, high, flag."""
        path = self._path(name, bucket)
        entries = np.fromfile(path, dtype=_ENTRY) if path.exists() else np.empty(0, dtype=_ENTRY)
        return pl.DataFrame({column: np.ascontiguousarray(entries[column]) for column in ("low", "high", "flag")})

    def missing_from(self, name: str, other: str) -> Iterator[pl.Series]:
        """Give, bucket by bucket, the identifiers of a list that another list does not have."""
        for bucket in range(BUCKETS):
            alone = self.read(name, bucket).join(self.read(other, bucket), on=["low", "high"], how="anti")
            if alone.height:
                yield _identifiers(alone)

    def repeated(self, name: str) -> Iterator[tuple[pl.Series, pl.Series]]:
        """Give, bucket by bucket, the identifiers that stand more than once: flagged at least once, and never."""
        for bucket in range(BUCKETS):
            counted = (
                self.read(name, bucket)
                .group_by("low", "high", maintain_order=True)
                .agg(pl.len().alias("times"), pl.col("flag").max())
                .filter(pl.col("times") > 1)
            )
            if counted.height:
                flagged = counted["flag"] > 0
                yield _identifiers(counted.filter(flagged)), _identifiers(counted.filter(~flagged))

    def sizes(self) -> dict[str, int]:
        """Give how long each list is on disk, so that it can be put back there."""
        return {path.name: path.stat().st_size for path in sorted(self.folder.glob("*.[0-9][0-9]"))}

    def restore(self, sizes: Mapping[str, int]) -> bool:
        """Cut all lists back to what they were; False when one is shorter than that, and nothing can be told of it."""
        now = self.sizes()
        if any(now.get(name, 0) < size for name, size in sizes.items()):
            return False
        for name in now:
            os.truncate(self.folder / name, sizes.get(name, 0))
        return True

    def _path(self, name: str, bucket: int) -> Path:
        return self.folder / f"{name.replace('/', '+')}.{bucket:02d}"  # a table of several files is named file/table


def _identifiers(frame: pl.DataFrame) -> pl.Series:
    halves = frame.select("low", "high").to_numpy().astype("<u8")
    return pl.Series("id", [row.tobytes() for row in halves], dtype=pl.Binary)
