"""Look-ups of a batch: the tables that its rule looks up, read whole; and the rows to read again when those change.

A row that looks up another one says what that one says. When the other row changes, the rows that hold its key are
carried again, and so are those that hold the key of a row that says the same: whether a key can be written back from
its text depends on nobody else saying it.
"""

from collections.abc import Mapping, Sequence

import polars as pl

from banyan.ports import LegacyPort
from banyan.records import KEY_SEPARATOR
from mappings.lenses.lookups import LOOKED_UP
from mappings.lookups import Lookup, find_lookups, looked_up_tables, refuse_too_many, say_rows
from mappings.model import RuleBook, Ruleset

ROWS_PER_READ = 50_000


def read_looked_up(port: LegacyPort, book: RuleBook, ruleset: Ruleset) -> dict[str, pl.DataFrame]:
    """Read what a ruleset looks up, for `MapContext.looked_up`; each table once, whatever the batch holds."""
    rows = {table: _read_whole(port, book, ruleset, table) for table in looked_up_tables(ruleset)}
    return say_rows(book, ruleset, rows)


def _read_whole(port: LegacyPort, book: RuleBook, ruleset: Ruleset, table: str) -> pl.DataFrame:
    refuse_too_many(ruleset, table, port.count(table))
    kept = [column for column in book.rulesets[table].columns if column not in book.rulesets[table].drop]
    ranges = port.plan_ranges(table, ROWS_PER_READ)
    nothing = pl.DataFrame(schema=dict.fromkeys(kept, pl.String))
    return pl.concat([nothing, *(port.read_range(table, keys).rows.select(kept) for keys in ranges)])


def find_lookers(port: LegacyPort, book: RuleBook, changed: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Give, by table, the keys of the rows that look up rows that changed; nothing where none is looked up."""
    found: dict[str, list[str]] = {}
    for table, ruleset in book.rulesets.items():
        asked = [one for one in find_lookups(ruleset) if changed.get(one.table)]
        if not asked:
            continue
        said = read_looked_up(port, book, ruleset)
        keys = {one: _say_the_same(said[one.target], changed[one.table]) for one in asked}
        for rows in port.plan_ranges(table, ROWS_PER_READ):
            batch = port.read_range(table, rows).rows
            found.setdefault(table, []).extend(_lookers(ruleset, batch, keys))
    return {table: sorted(set(keys)) for table, keys in found.items() if keys}


def _say_the_same(said: pl.DataFrame, changed: Sequence[str]) -> pl.Series:
    """Give the keys that changed and those of the rows that say what one of them says now."""
    moved = pl.DataFrame({"key": list(changed)}, schema={"key": pl.String})
    now = said.cast(LOOKED_UP).join(moved, on="key", how="semi")  # type: ignore[arg-type]
    same = said.join(now.select("value"), on="value", how="semi")
    return pl.concat([moved["key"], same["key"]]).unique()


def _lookers(ruleset: Ruleset, batch: pl.DataFrame, keys: Mapping[Lookup, pl.Series]) -> list[str]:
    own = pl.concat_str([pl.col(name) for name in ruleset.key], separator=KEY_SEPARATOR)
    holds = [
        pl.concat_str([pl.col(name) for name in one.sources], separator=KEY_SEPARATOR).is_in(wanted.implode())
        for one, wanted in keys.items()
    ]
    return batch.filter(pl.any_horizontal(holds).fill_null(value=False)).select(own).to_series().to_list()
