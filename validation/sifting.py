"""What two lists of digests tell of the records of one table: which are equal, and which must be looked at."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.digest_files import Block, DigestFiles, shares_for
from validation.digests import FIRST, HIGH, LOW, Entries, ids_of

_ODD = 1
_HALVES = ["low", "high"]


@dataclass(frozen=True, slots=True)
class Sifted:
    """One share of two lists, sifted: how many records are equal, and the others.

    `suspects` have another digest in the store, or none: block, place in it, id, and whether it is missing there.
    `gone` were compared already and are not in the store. `alone` are in the store and no row emits them. Of
    identifiers that rows emit more than once, `shared` counts those that no main part has, and `doubled` lists the
    others.
    """

    equal: int
    suspects: pl.DataFrame = field(repr=False)
    gone: pl.Series = field(repr=False)
    alone: pl.Series = field(repr=False)
    shared: int
    doubled: pl.Series = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sieve:
    """The records that legacy rows emit into one canonical table, against those that it holds."""

    files: DigestFiles = field(repr=False)
    emitted: tuple[Block, ...]
    held: tuple[Block, ...]
    standing: tuple[Block, ...] | None = None
    """Identifiers that stand in the table now, when what is held was read by an attempt that died."""

    def sift(self, share: int, shares: int) -> Sifted:
        """Sift one share of the records."""
        pieces = [self.files.read(block, share, shares) for block in self.emitted]
        sizes = np.array([len(entries) for entries, _ in pieces], np.int64)
        emitted = _joined([entries for entries, _ in pieces])
        held = self._held(share, shares)
        matches = _match(emitted, held)
        found = matches >= 0
        met = np.zeros(len(held), bool)
        met[matches[found]] = True
        alike = np.zeros(len(emitted), bool)
        alike[found] = (emitted[found, FIRST:] == held[matches[found], FIRST:]).all(axis=1)
        judged = np.repeat(np.array([block.is_judged for block in self.emitted], bool), sizes)
        repeated = np.repeat(np.array([block.is_repeated for block in self.emitted], bool), sizes)
        digested = ~judged & ~repeated
        suspects = np.flatnonzero(digested & ~alike)
        block_of = np.repeat(np.arange(len(sizes)), sizes)[suspects]
        offsets = np.array([first for _, first in pieces], np.int64) - np.cumsum([0, *sizes])[:-1]
        is_main = np.repeat(np.array([block.is_main for block in self.emitted], bool), sizes)
        shared, doubled = _repeated(emitted, is_main)
        return Sifted(
            int((digested & alike).sum()),
            pl.DataFrame(
                {
                    "block": block_of,
                    "place": suspects + offsets[block_of],
                    "id": ids_of(emitted[suspects]),
                    "is_missing": ~found[suspects],
                },
                schema={"block": pl.Int64(), "place": pl.Int64(), "id": pl.Binary(), "is_missing": pl.Boolean()},
            ),
            ids_of(emitted[judged & ~found]),
            ids_of(held[~met]),
            shared,
            doubled,
        )

    def _held(self, share: int, shares: int) -> Entries:
        """Give each record that the table holds once; one that moved while it was read is there twice."""
        held = _once(_joined([self.files.read(block, share, shares)[0] for block in self.held]))
        if self.standing is None:
            return held
        standing = _once(_joined([self.files.read(block, share, shares)[0] for block in self.standing]))
        matches = _match(standing, held)
        known = matches >= 0
        standing[known] = held[matches[known]]
        return standing


@dataclass(slots=True)
class Suspects:
    """Records to be looked at, until there are enough of them."""

    found: list[pl.DataFrame] = field(default_factory=list, repr=False)
    count: int = 0

    def add(self, suspects: pl.DataFrame) -> None:
        """Put some aside."""
        self.found.append(suspects)
        self.count += suspects.height

    def take(self, sieve: Sieve) -> Iterator[tuple[str, pl.DataFrame]]:
        """Give what was put aside by legacy table: source_key and id."""
        every = pl.concat(self.found)
        self.found, self.count = [], 0
        by_table: dict[str, list[pl.DataFrame]] = {}
        for (number,), rows in every.group_by("block", maintain_order=True):
            block = sieve.emitted[int(str(number))]
            keys = sieve.files.keys(block).gather(rows["place"])
            by_table.setdefault(block.table, []).append(pl.DataFrame({"source_key": keys, "id": rows["id"]}))
        for table, frames in by_table.items():
            yield table, pl.concat(frames)


def repeated_in(files: DigestFiles, blocks: list[Block]) -> Iterator[Entries]:
    """Give, share by share, the entries of blocks whose identifier others have too, once each."""
    shares = shares_for(sum(block.entries for block in blocks))
    for share in range(shares):
        entries = _joined([files.read(block, share, shares)[0] for block in blocks])
        rows = _alike(entries).unique(_HALVES, keep="first", maintain_order=True)
        yield entries[rows["row"].to_numpy()]


def _joined(pieces: list[Entries]) -> Entries:
    return np.concatenate([np.empty((0, 4), np.uint64), *pieces])


def _mixed(entries: Entries, factors: tuple[int, int]) -> npt.NDArray[np.uint64]:
    return entries[:, LOW] * np.uint64(factors[0]) + entries[:, HIGH] * np.uint64(factors[1])


def _factors() -> tuple[int, int]:
    return secrets.randbits(64) | _ODD, secrets.randbits(64) | _ODD


def _match(wanted: Entries, among: Entries) -> npt.NDArray[np.int64]:
    """Give for each identifier where it stands among others, each of which stands once; -1 where it does not.

    Both halves are compared. They are found by a mixture of them, which is drawn anew until no two are alike.
    """
    answer = np.full(len(wanted), -1, np.int64)
    if not len(among) or not len(wanted):
        return answer
    while True:
        factors = _factors()
        mixed = _mixed(among, factors)
        order = np.argsort(mixed)
        ordered = mixed[order]
        if not (ordered[1:] == ordered[:-1]).any():
            break
    asked = _mixed(wanted, factors)
    queue = np.argsort(asked)
    places = np.minimum(np.searchsorted(ordered, asked[queue]), len(ordered) - 1)
    candidates = order[places]
    same = (among[candidates, LOW] == wanted[queue, LOW]) & (among[candidates, HIGH] == wanted[queue, HIGH])
    answer[queue[same]] = candidates[same]
    return answer


def _once(entries: Entries) -> Entries:
    """Leave each identifier once, as it was read last."""
    rows = _alike(entries)
    if not rows.height:
        return entries
    kept = np.ones(len(entries), bool)
    kept[rows.filter(pl.col("row") < pl.col("row").max().over(_HALVES))["row"].to_numpy()] = False
    return entries[kept]


def _repeated(entries: Entries, is_main: npt.NDArray[np.bool_]) -> tuple[int, pl.Series]:
    rows = _alike(entries)
    if not rows.height:
        return 0, pl.Series("id", [], dtype=pl.Binary)
    counted = (
        rows.with_columns(pl.Series("main", is_main[rows["row"].to_numpy()]))
        .group_by(_HALVES, maintain_order=True)
        .agg(pl.col("main").any(), pl.col("row").first())
    )
    doubled = counted.filter("main")["row"].to_numpy()
    return counted.height - len(doubled), ids_of(entries[doubled])


def _alike(entries: Entries) -> pl.DataFrame:
    """List the entries whose identifier others have too: columns row, low, high."""
    mixed = _mixed(entries, _factors())
    order = np.argsort(mixed)
    ordered = mixed[order]
    twin = np.zeros(len(entries), bool)
    twin[1:] = ordered[1:] == ordered[:-1]
    twin[:-1] |= twin[1:]
    rows = np.sort(order[twin])
    found = pl.DataFrame({"row": rows, "low": entries[rows, LOW], "high": entries[rows, HIGH]})
    return found.filter(pl.struct(_HALVES).is_duplicated())
