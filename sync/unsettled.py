"""What an attempt that died left half way on the way back: rows to be carried again, though nobody touched them since.

An attempt that died after the commit of the store and before that of the old system has forgotten links and left
tombstones for rows which stand there as they stood: their keys are taken up again from what it meant to do.
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl
from sqlalchemy.engine import Connection

from banyan.records import Position
from store.postgres import raw
from store.unsettled import find_unsettled
from sync.scope import Scope, ScopeFinder
from sync.setting import Setting

GONE = {"id": pl.Binary, "source_key": pl.String}
_MAIN = {"relation": pl.String, "id": pl.Binary}


class Unsettled:
    """The rows of attempts that were remembered here and never committed there."""

    def __init__(self, setting: Setting, connection: Connection, name: str, since: Position | None) -> None:
        names = {number: table for table, number in setting.table_numbers.items()}
        found = find_unsettled(raw(connection), setting.source, name, since)
        self._setting = setting
        self._by_table = {
            names[int(str(number))]: rows for (number,), rows in found.group_by("source_table_no", maintain_order=True)
        }

    @property
    def mains(self) -> pl.DataFrame:
        """Give the records of rows that stand, as if people had changed them again: columns relation, id."""
        alive = {table: rows.filter(~pl.col("is_buried")) for table, rows in self._by_table.items()}
        return mains_of(self._setting, alive)

    @property
    def gone(self) -> dict[str, pl.DataFrame]:
        """Give the rows that were to go, by table: columns id, source_key."""
        buried = {table: rows.filter(pl.col("is_buried")).select(*GONE) for table, rows in self._by_table.items()}
        return {table: rows for table, rows in buried.items() if rows.height}


def mains_of(setting: Setting, rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Name the main records of rows (column id) by table: columns relation, id."""
    rulesets = setting.book.rulesets
    frames = [found.select(pl.lit(rulesets[table].main.table).alias("relation"), "id") for table, found in rows.items()]
    return pl.concat([pl.DataFrame(schema=_MAIN), *frames])


def let_go(setting: Setting, scope: Scope, gone: Mapping[str, pl.DataFrame], finder: ScopeFinder) -> Scope:
    """Let these rows go too (columns id, source_key), by table; one whose record stands is written instead."""
    tables = dict(scope.tables)
    for table, rows in gone.items():
        ruleset = setting.book.rulesets[table]
        found = tables.get(table) or finder.read_rows(ruleset, pl.Series("id", [], pl.Binary))
        known = pl.concat([found.parts[ruleset.main.name]["id"], found.gone["id"]])
        more = rows.filter(~pl.col("id").is_in(known.implode())).select(*GONE)
        if more.height:
            tables[table] = replace(found, gone=pl.concat([found.gone.select(*GONE), more]))
    return replace(scope, tables=tables)
