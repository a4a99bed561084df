"""Digests on disk: what was read of either side of any number of records, a file for each chunk, sorted.

A file holds the entries of one chunk in the order of the last two bytes of their identifiers, which are random in
computed and in time-ordered identifiers alike: all files can be read share by share, in constant memory. The folder is
private, its owner removes it, and no value of a record is in it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from validation.digests import HIGH, Entries, Secret

_WIDTH = 32
_PLACES = 1 << 16
ENTRIES_PER_SHARE = 400_000
"""How many entries of both sides are looked at together, about."""


@dataclass(frozen=True, slots=True)
class Block:
    """One file: to which list it belongs, from which legacy table its records come, and what is known of them.

    The records of a judged block were compared already, those of a repeated one are the same as others of its chunk:
    of both only the identifiers count. A main block holds the main parts of its rows.
    """

    name: str
    listed: str
    entries: int
    table: str = ""
    is_main: bool = False
    is_judged: bool = False
    is_repeated: bool = False
    sealed_bytes: int | None = None
    """How long its sealed keys are, when it has any."""


@dataclass(slots=True)
class DigestFiles:
    """The files of one pass, and the list of those that are whole."""

    folder: Path
    secret: Secret = field(repr=False)
    blocks: list[Block] = field(default_factory=list, repr=False)

    def add(self, block: Block, entries: Entries, *, keys: pl.Series | None = None) -> None:
        """Write the entries of a block, and sealed beside them the key of each; a block of that name is replaced."""
        places = (entries[:, HIGH] >> np.uint64(48)).astype(np.uint16)
        order = np.argsort(places, kind="stable")
        self._path(block).write_bytes(entries[order].tobytes())
        if keys is not None:
            sealed = self.secret.seal(block.name, keys.gather(order))
            self._keys(block).write_bytes(sealed)
            block = replace(block, sealed_bytes=len(sealed))
        self.blocks.append(block)

    def drop(self, listed: str) -> None:
        """Leave the blocks of a list out, which is written anew."""
        self.blocks = [block for block in self.blocks if block.listed != listed]

    def of(self, listed: str) -> list[Block]:
        """Give the blocks of a list."""
        return [block for block in self.blocks if block.listed == listed]

    def count(self, *lists: str) -> int:
        """Count the entries of some lists."""
        return sum(block.entries for block in self.blocks if block.listed in lists)

    def read(self, block: Block, share: int, shares: int) -> tuple[Entries, int]:
        """Read the entries of a block that fall into one of so many shares, and where the first of them stands."""
        if not block.entries:
            return np.empty((0, 4), np.uint64), 0
        mapped = np.memmap(self._path(block), np.uint64, "r").reshape(-1, 4)
        first, after = (_place_of(mapped, bound * _PLACES // shares) for bound in (share, share + 1))
        return np.array(mapped[first:after]), first

    def keys(self, block: Block) -> pl.Series:
        """Read the keys of the records of a block, in the order of its entries."""
        return self.secret.unseal(block.name, self._keys(block).read_bytes())

    def written(self) -> list[dict[str, Any]]:
        """Give the list of the files, to be kept."""
        return [asdict(block) for block in self.blocks]

    def restore(self, written: list[dict[str, Any]]) -> bool:
        """Take a kept list up and remove all other files; False when a file is missing or not as long as it was."""
        self.blocks = [Block(**one) for one in written]
        if any(
            _size(self._path(block)) != _WIDTH * block.entries
            or (block.sealed_bytes is not None and _size(self._keys(block)) != block.sealed_bytes)
            for block in self.blocks
        ):
            return False
        kept = {path.name for block in self.blocks for path in (self._path(block), self._keys(block))}
        for path in self._files():
            if path.name not in kept:
                path.unlink()
        return True

    def _files(self) -> Iterator[Path]:
        yield from self.folder.glob("*.digests")
        yield from self.folder.glob("*.keys")

    def _path(self, block: Block) -> Path:
        return self.folder / f"{_plain(block.name)}.digests"

    def _keys(self, block: Block) -> Path:
        return self.folder / f"{_plain(block.name)}.keys"


def shares_for(entries: int) -> int:
    """Give into how many shares so many entries are cut."""
    return min(_PLACES, 1 + entries // ENTRIES_PER_SHARE)


def _place_of(entries: Entries, bound: int) -> int:
    """Find where the entries begin whose last two bytes are no less than a bound."""
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if int(entries[middle, HIGH]) >> 48 < bound:
            low = middle + 1
        else:
            high = middle
    return low


def _plain(name: str) -> str:
    return name.replace("/", "+")  # a table of several files is named file/table


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1
