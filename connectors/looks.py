"""Changes found by looking: every row is compared with the hash it had at the look before. Needs no log and no right.

A look marks; what it found changed waits in the store under the number of the look, which is the Position. Only keys
and keyed hashes are kept. Works for any medium whose rows can be read whole.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from banyan.errors import SourceDrifted, SourceRestored
from banyan.ports import RowMarks
from banyan.records import KEY_SEPARATOR, ChangedKey, Position
from connectors.history import DECIDE, SWEEP

_HASH_BYTES: Final = 16
HashesOf = Callable[[str], Iterator[pl.DataFrame]]
"""Gives the keys and hashes of all rows of a table, some rows at a time: source_key, row_hash."""


@dataclass(frozen=True, slots=True)
class Looks:
    """The looks at the tables of one legacy system, and where they are remembered."""

    tables: Sequence[str]
    marks: RowMarks = field(repr=False)
    key: bytes = field(repr=False)
    only_told: bool = False
    """Give what the last look found and never look: for who counts what waits, again and again."""

    def look(self, incarnation: str, hashes_of: HashesOf) -> Position:
        """Look at every row and give the Position of this look; the first look only marks."""
        if self.only_told:
            return self._remembered(incarnation)
        place = self.marks.sweep(incarnation, ((table, hashes_of(table)) for table in self.tables))
        return _position(incarnation, place.reached)

    def last(self, incarnation: str, hashes_of: HashesOf) -> Position:
        """Give the Position of the last look; rows are read beside it, and compared by the next one."""
        last = self.marks.read_place()
        if last is None or last.capture != incarnation:
            return self.look(incarnation, hashes_of)
        return _position(incarnation, last.reached)

    def _remembered(self, incarnation: str) -> Position:
        last = self.marks.read_place()
        if last is None or last.capture != incarnation:
            raise SourceRestored(
                "the last look was at another incarnation of this source; no row was read",
                hint=DECIDE,
            )
        return _position(incarnation, last.reached)

    def changes(
        self, incarnation: str, since: Position, until: Position | None, hashes_of: HashesOf
    ) -> list[ChangedKey]:
        """List the keys found changed between two looks; without the second one, looks now, or tells of the last look.

        Refuses looks that the store does not remember; a Position of another source is refused before anything is
        looked at, so that the marks of the one it belongs to stay.
        """
        low = _read_look(since, incarnation)
        high = _read_look(self.look(incarnation, hashes_of) if until is None else until, incarnation)
        last = self.marks.read_place()
        is_known = last is not None and last.capture == incarnation
        if last is None or not is_known or min(low, high) < last.started or max(low, high) > last.reached:
            raise SourceDrifted(
                "the hashes behind this Position are not in the store any more; nothing was compared",
                hint=SWEEP,
            )
        if low >= high:  # who carries changes has looked again since the other one asked
            return []
        return self.marks.read(_sees(low), _sees(high))

    def prune(self, incarnation: str, before: Position) -> int:
        """Forget what was found up to a look; gives how many keys."""
        look = _read_look(before, incarnation)
        return self.marks.prune(_sees(look), started=look)

    def keyed(self, content: bytes) -> bytes:
        """Hash what a row holds so that nobody without the key can test a guess."""
        return hashlib.blake2b(content, digest_size=_HASH_BYTES, key=self.key[:64]).digest()

    def hash_rows(self, rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
        """Give key and hash of each row of texts, all columns counted.

        A row without a whole key is left out: it cannot be followed, and the first copy puts it in quarantine.
        """
        whole = rows.drop_nulls(list(key))
        keys = whole.select(pl.concat_str(list(key), separator=KEY_SEPARATOR)).to_series()
        written = whole.select(pl.concat_str(map(_told_apart, whole.columns)).cast(pl.Binary)).to_series()
        hashes = [self.keyed(row) for row in written.to_list()]
        return pl.DataFrame({"source_key": keys, "row_hash": pl.Series(hashes, dtype=pl.Binary)})


def _told_apart(column: str) -> pl.Expr:
    """Write a cell so that no two different rows are written alike: the text behind its length, null as no length."""
    text = pl.col(column)
    return pl.concat_str(pl.lit("t"), text.str.len_bytes().cast(pl.String), pl.lit(":"), text).fill_null("n")


def _sees(look: int) -> str:
    """Write a look as the snapshot that sees every look up to it."""
    return f"{look + 1}:{look + 1}:"


def _position(incarnation: str, look: int) -> Position:
    return Position(json.dumps({"incarnation": incarnation, "look": look}, sort_keys=True))


def _read_look(position: Position, incarnation: str) -> int:
    try:
        read = json.loads(position)
        named, look = str(read["incarnation"]), int(read["look"])
    except (ValueError, KeyError, TypeError):
        raise SourceDrifted("a Position of this source cannot be read; no row was compared") from None
    if named != incarnation:
        raise SourceRestored(
            "the Position belongs to another incarnation of this source; no row was compared",
            hint=DECIDE,
        )
    return look
