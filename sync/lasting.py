"""Tables without transactions on the way back: what is written there stays, so it is noted in the store before.

Who dies between a row and the commit of the Position leaves rows written that no transaction of ours covers. The next
attempt finds them noted: it writes them again, takes them for no work of a stranger, and judges the rows as they stood
before. The rows as they stood lie in the landing zone; the note holds keys and keyed digests only (decision 0041).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl
from sqlalchemy.engine import Connection

from banyan.lasting import LastingPort
from mappings.digest import hash_rows
from mappings.engine import Compiled
from store.ahead import Meant, find_noted, mark_known, mark_written, note_rows, strike_out
from store.landing import LandingZone
from store.ledger import Ledger
from store.postgres import raw, transaction
from store.runs import ChunkLease
from sync.conflicts import BEFORE, parcel_name
from sync.setting import Psycopg, Setting, key_column


@dataclass(frozen=True, slots=True)
class Found:
    """Legacy rows as the way back must take them: as they stood before any attempt that died wrote them."""

    rows: pl.DataFrame = field(repr=False)
    written: frozenset[str] = field(default=frozenset(), repr=False)
    """Keys of rows that an attempt before this one wrote."""
    kept: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of them whose note stands as it is: nothing but the note tells how they stood before."""


class Lasting:
    """The tables of a closure that no transaction protects, and what is noted of their rows."""

    def __init__(self, setting: Setting, landing: LandingZone, tables: Iterable[str]) -> None:
        port = setting.port
        self._setting = setting
        self._landing = landing
        self.tables = tuple(name for name in tables if isinstance(port, LastingPort) and port.is_lasting(name))

    def find(self, connection: Connection) -> dict[str, pl.DataFrame]:
        """Find what earlier attempts noted, by table; empty when each of them came to its end."""
        found = {name: find_noted(raw(connection), self._setting.place(name, 0)) for name in self.tables}
        return {name: noted for name, noted in found.items() if noted.height}

    def orphans(self, noted: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        """Give rows that a dead attempt may have inserted: they go if people have removed their records since."""
        return {table: rows.filter(pl.col("row_hash").is_null()) for table, rows in noted.items()}

    def as_before(self, compiled: Compiled, noted: pl.DataFrame | None, rows: pl.DataFrame) -> Found:
        """Give rows as they stood before a dead attempt wrote them: those the crosswalk knows already, as they are."""
        if noted is None:
            return Found(rows)
        now = self._hashes(compiled, rows).rename({"row_hash": "now"})
        both = noted.join(now, on="source_key", how="left")
        written = both.filter(pl.col("is_written") | pl.col("row_hash").ne_missing(pl.col("now")))
        unknown = both.filter(~pl.col("is_known"), pl.col("row_hash").ne_missing(pl.col("now")))
        stood = [
            self._read_before(compiled, (int(str(run)), int(str(chunk)), int(str(attempt))), group["source_key"])
            for (run, chunk, attempt), group in unknown.filter(pl.col("row_hash").is_not_null()).group_by(
                "run_no", "chunk_no", "attempt"
            )
        ]
        others = rows.filter(~_key(compiled).is_in(unknown["source_key"].implode()))
        return Found(
            pl.concat([others, *stood], how="diagonal").select(rows.columns),
            frozenset(written["source_key"]),
            frozenset(unknown["source_key"]),
        )

    def note(self, lease: ChunkLease, meant: Mapping[str, tuple[Compiled, Found, pl.DataFrame]]) -> None:
        """Note, and commit, which rows are about to be written: by table its rows, and the ids of their keys."""
        with transaction(self._setting.engine) as connection:
            Ledger(connection).hold_chunk(lease)
            for table, (compiled, found, keys) in meant.items():
                place = self._setting.place(table, lease.run_no)
                stood = keys.join(self._hashes(compiled, found.rows), on="source_key", how="left")
                rows = [
                    Meant(key, main_id, digest, key in found.written)
                    for key, main_id, digest in stood.select("source_key", "id", "row_hash").iter_rows()
                    if key not in found.kept
                ]
                note_rows(raw(connection), place, lease, rows)
                mark_written(raw(connection), place, sorted(found.kept))

    def mark_known(self, connection: Psycopg) -> None:
        """Say, in the transaction that writes the crosswalk, that it knows what stands in these tables."""
        for table in self.tables:
            mark_known(connection, self._setting.place(table, 0))

    def strike_out(self, connection: Psycopg) -> None:
        """Forget what was noted, in the transaction that ends the chunk."""
        for table in self.tables:
            strike_out(connection, self._setting.place(table, 0))

    def _hashes(self, compiled: Compiled, rows: pl.DataFrame) -> pl.DataFrame:
        digests = hash_rows(rows, compiled.hashed, key=self._setting.digest_key)
        return rows.select(key_column(compiled.ruleset), digests.alias("row_hash"))

    def _read_before(self, compiled: Compiled, chunk: tuple[int, int, int], keys: pl.Series) -> pl.DataFrame:
        name = parcel_name(self._setting, compiled.ruleset.table, chunk=chunk, moment=BEFORE)
        rows = self._landing.read_parcel(name)
        return rows.filter(_key(compiled).is_in(keys.implode()))


def _key(compiled: Compiled) -> pl.Expr:
    return key_column(compiled.ruleset)
