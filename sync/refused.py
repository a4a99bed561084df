"""Rows that the old system refuses, however often they are sent: set aside and listed, so that the others go on.

A frame that is refused is sent again in halves, each in a savepoint, until what remains is single rows. Only what the
old system says of a value, a constraint or a trigger counts as a refusal of the row; all else stops the way back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from banyan.errors import RowRefused
from banyan.ports import ReverseSession
from mappings.model import Ruleset
from mappings.outcomes import REFUSED
from sync.setting import key_column

_MOST: Final = 100
"""More refusals in one chunk are no poison but a change of the old system: it stops, and people look."""


@dataclass(slots=True)
class Refusals:
    """What the old system refused of one chunk: for each table, the legacy keys and why, without any value."""

    causes: dict[str, dict[str, str]]

    def of(self, table: str) -> Mapping[str, str]:
        """Give what was refused of one table."""
        return self.causes.get(table, {})

    def send(self, session: ReverseSession, ruleset: Ruleset, rows: pl.DataFrame) -> tuple[int, int]:
        """Write rows; gives how many were written and how many stood as they were."""
        done = [0, 0]

        def write(at: int, count: int) -> None:
            written = session.upsert(ruleset.table, rows.slice(at, count))
            done[0] += written.inserted + written.updated
            done[1] += written.untouched

        keys = rows.select(key_column(ruleset)).to_series().to_list()
        self._halve(session, ruleset.table, keys, write)
        return done[0], done[1]

    def delete(self, session: ReverseSession, ruleset: Ruleset, keys: Sequence[str]) -> None:
        """Delete rows by key, or mark them deleted where that is how the old system deletes."""
        deletes = ruleset.deletes
        assign = {deletes.column: deletes.value} if deletes is not None and deletes.op == "=" else None

        def remove(at: int, count: int) -> None:
            session.delete(ruleset.table, keys[at : at + count], assign=assign)

        self._halve(session, ruleset.table, keys, remove)

    def _halve(
        self, session: ReverseSession, table: str, keys: Sequence[str], work: Callable[[int, int], None]
    ) -> None:
        waiting = [(0, len(keys))] if keys else []
        while waiting:
            at, count = waiting.pop()
            try:
                with session.attempt(table):
                    work(at, count)
            except RowRefused as error:
                if len(self.of(table)) >= _MOST:
                    raise
                if count == 1:
                    self.causes.setdefault(table, {})[keys[at]] = _cause(error)
                else:
                    half = count // 2
                    waiting += [(at + half, count - half), (at, half)]

    def list(self, ruleset: Ruleset, keys: pl.DataFrame) -> pl.DataFrame:
        """List the refused rows of a table as degraded write-backs, once for each part; `keys`: id, source_key."""
        causes = self.of(ruleset.table)
        refused = pl.DataFrame(
            {"source_key": list(causes), "cause": list(causes.values())},
            schema={"source_key": pl.String, "cause": pl.String},
        ).join(keys.unique("id"), on="source_key")
        tables = pl.DataFrame({"canonical_table": sorted({part.table for part in ruleset.parts})})
        return refused.join(tables, how="cross").select(
            "source_key",
            pl.col("id").alias("main_id"),
            "canonical_table",
            pl.lit(None, pl.String).alias("column"),
            pl.lit(REFUSED).alias("kind"),
            "cause",
            pl.lit(None, pl.String).alias("legacy_column"),
        )


def _cause(error: RowRefused) -> str:
    where = error.facts.get("constraint") or error.facts.get("column") or "its type or a trigger"
    return f"the old system refuses this row, by {where} ({error.facts['code']})"
