"""Rows that the old system refuses, however often they are sent: set aside and listed, so that the others go on.

A frame that is refused is sent again in halves, each in a savepoint, until what remains is single rows. Rows of tables
without transactions are sent one by one: no savepoint takes them back. Only what the old system says of a value, a
constraint or a trigger counts as a refusal of the row; all else stops the way back.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from banyan.errors import RowRefused
from banyan.lasting import LastingSession, RowSent
from banyan.ports import ReverseSession
from mappings.model import Ruleset
from mappings.outcomes import REFUSED
from sync.setting import key_column
from sync.writing import REWRITTEN

_MOST: Final = 100
"""More refusals in one chunk are no poison but a change of the old system: it stops, and people look."""


@dataclass(slots=True)
class Refusals:
    """What the old system refused of one chunk: for each table, the legacy keys and why, without any value."""

    causes: dict[str, dict[str, str]] = field(default_factory=dict)
    afterwards: dict[str, dict[str, str]] = field(default_factory=dict)
    """The same of rows that were written before they were refused, where nothing takes them back."""

    def of(self, table: str) -> Mapping[str, str]:
        """Give what was refused of one table."""
        return self.causes.get(table, {})

    def send(
        self, session: ReverseSession, ruleset: Ruleset, rows: pl.DataFrame, *, before: Container[str] = ()
    ) -> tuple[int, int]:
        """Write rows; gives how many were written and how many stood as they were.

        A row that an attempt `before` this one wrote, where it stays, counts as written whoever did it.
        """
        if isinstance(session, LastingSession) and session.is_lasting(ruleset.table):
            taken = list(self._take(ruleset.table, session.upsert_each(ruleset.table, rows)))
            loaded = sum(row.is_changed or row.key in before for row in taken)
            return loaded, len(taken) - loaded
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
        if isinstance(session, LastingSession) and session.is_lasting(ruleset.table):
            for _ in self._take(ruleset.table, session.delete_each(ruleset.table, keys, assign=assign)):
                pass
            return

        def remove(at: int, count: int) -> None:
            session.delete(ruleset.table, keys[at : at + count], assign=assign)

        self._halve(session, ruleset.table, keys, remove)

    def _take(self, table: str, sent: Iterator[RowSent]) -> Iterator[RowSent]:
        """Give the rows that were taken, one by one; those that were not are set aside."""
        for row in sent:
            if row.refusal is None:
                yield row
                continue
            if len(self.of(table)) + len(self.afterwards.get(table, {})) >= _MOST:
                raise row.refusal
            (self.afterwards if row.is_changed else self.causes).setdefault(table, {})[row.key] = _cause(row.refusal)
            if row.is_changed:
                yield row

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
        tables = sorted({part.table for part in ruleset.parts})
        return _listed(self.of(ruleset.table), keys, REFUSED, tables)

    def list_afterwards(self, ruleset: Ruleset, keys: pl.DataFrame) -> pl.DataFrame:
        """List the rows that stand as they were written although the old system gave an error then; `keys` as above."""
        causes = {
            key: f"{cause}, after it was written: it stands"
            for key, cause in self.afterwards.get(ruleset.table, {}).items()
        }
        return _listed(causes, keys, REWRITTEN, [ruleset.main.table])


def _listed(causes: Mapping[str, str], keys: pl.DataFrame, kind: str, tables: list[str]) -> pl.DataFrame:
    refused = pl.DataFrame(
        {"source_key": list(causes), "cause": list(causes.values())},
        schema={"source_key": pl.String, "cause": pl.String},
    ).join(keys.unique("id"), on="source_key")
    return refused.join(pl.DataFrame({"canonical_table": tables}), how="cross").select(
        "source_key",
        pl.col("id").alias("main_id"),
        "canonical_table",
        pl.lit(None, pl.String).alias("column"),
        pl.lit(kind).alias("kind"),
        "cause",
        pl.lit(None, pl.String).alias("legacy_column"),
    )


def _cause(error: RowRefused) -> str:
    where = error.facts.get("constraint") or error.facts.get("column") or "its type or a trigger"
    return f"the old system refuses this row, by {where} ({error.facts['code']})"
