"""What a scan remembers of each row, so that the next one can tell what changed without saying so: keyed hashes only.

A row whose bytes changed while its stamp did not is a hidden change: a synchronisation that trusts the stamp loses it.
A key taken below the greatest one of the last scan is a key used again.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

_STAMP: Final = re.compile(r"(^|_)(maj|modif\w*|update\w*|upd|stamp|changed?|mtime)(_|$)", re.IGNORECASE)
_HASH_BYTES: Final = 16


def find_stamps(columns: Sequence[str]) -> tuple[str, ...]:
    """Name the columns that look like the instant of the last change, by their names."""
    return tuple(name for name in columns if _STAMP.search(name))


@dataclass(slots=True)
class RowHashes:
    """The hashes of the rows of one table, gathered batch by batch."""

    key: tuple[str, ...]
    stamps: tuple[str, ...]
    secret: bytes = field(repr=False)
    frames: list[pl.DataFrame] = field(default_factory=list, repr=False)

    def add(self, rows: pl.DataFrame) -> None:
        """Hash one batch; a row without a whole key cannot be followed and is left out."""
        whole = rows.drop_nulls(list(self.key))
        number = pl.col(self.key[0]).str.strip_chars(" ").cast(pl.Int64, strict=False) if len(self.key) == 1 else None
        self.frames.append(
            pl.DataFrame(
                {
                    "key": self._hashed(whole.select(self.key)),
                    "row": self._hashed(whole),
                    "stamp": self._hashed(whole.select(self.stamps)) if self.stamps else [b""] * whole.height,
                    "number": whole.select(number).to_series() if number is not None else [None] * whole.height,
                },
                schema={"key": pl.Binary, "row": pl.Binary, "stamp": pl.Binary, "number": pl.Int64},
            )
        )

    def frame(self) -> pl.DataFrame:
        """Give all of them."""
        schema = {"key": pl.Binary, "row": pl.Binary, "stamp": pl.Binary, "number": pl.Int64}
        return pl.concat([pl.DataFrame(schema=schema), *self.frames])

    def _hashed(self, rows: pl.DataFrame) -> list[bytes]:
        return [
            hashlib.blake2b(repr(row).encode(), digest_size=_HASH_BYTES, key=self.secret[:64]).digest()
            for row in rows.iter_rows()
        ]


def compare_with_last(file: Path, now: RowHashes) -> dict[str, int | None] | None:
    """Compare with the scan before, and remember this one; None when there was none before."""
    here = now.frame()
    told = None
    if file.exists():
        before = pl.read_parquet(file)
        both = before.join(here, on="key", suffix="_now")
        changed = both.filter(pl.col("row") != pl.col("row_now"))
        came = here.join(before, on="key", how="anti")
        greatest = before["number"].max()
        reused = came.filter(pl.col("number") <= greatest).height if isinstance(greatest, int) else None
        told = {
            "changed": changed.height,
            "changed_without_stamp": changed.filter(pl.col("stamp") == pl.col("stamp_now")).height,
            "came": came.height,
            "gone": before.join(here, on="key", how="anti").height,
            "keys_used_again": reused,
        }
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    here.write_parquet(fresh)
    fresh.replace(file)
    return told
