"""Keys that the old system used again: found by what the rule says must all change, given a new epoch, never an update.

A brigade deletes person 4711 and its next person gets the number. Read as an update, a stranger would inherit the file
of the first one. `key_reuse: [nom, ddn]` says what tells them apart: when each of these columns says something else
than the row of that key did before, the key stands for somebody else and its epoch grows by one. With it change the
identifiers of all parts of the row, and of whatever refers to it.
"""

import polars as pl

from mappings.fate_masks import key_of_row
from mappings.identity import FIRST_EPOCH
from mappings.model import Ruleset

EPOCHS = {"table": pl.String(), "key": pl.String(), "epoch": pl.Int16()}
"""The columns of `MapContext.epochs`."""


def find_reused(ruleset: Ruleset, before: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
    """Give the keys whose row is about something else now than before; both are raw texts with their key columns.

    A column that is blank on either side says nothing, so that filling in what was missing is never taken for it, and
    neither is a correction of only some of the columns.
    """
    if not ruleset.key_reuse:
        return pl.Series("key", [], pl.String)
    sides = [
        rows.select(key_of_row(ruleset).alias("key"), *(_said(name).alias(name) for name in ruleset.key_reuse))
        for rows in (before, now)
    ]
    both = sides[0].join(sides[1], on="key", how="inner", suffix=" now")
    changed = [(pl.col(name) != pl.col(f"{name} now")).fill_null(value=False) for name in ruleset.key_reuse]
    return both.filter(pl.all_horizontal(changed))["key"].unique(maintain_order=True)


def _said(column: str) -> pl.Expr:
    """Give what a column says, blanks at its ends and capitals left aside; null where it says nothing."""
    text = pl.col(column).str.strip_chars(" ").str.to_lowercase()
    return pl.when(text != "").then(text)


def grow_epochs(ruleset: Ruleset, reused: pl.Series, known: pl.DataFrame | None) -> pl.DataFrame:
    """Give the epochs of a table's keys, those that were used again one higher: for `MapContext.epochs`."""
    held = pl.DataFrame(schema=EPOCHS) if known is None else known.select(list(EPOCHS)).cast(EPOCHS)  # type: ignore[arg-type]
    mine = pl.col("table") == ruleset.table
    again = pl.DataFrame({"key": reused}, schema={"key": pl.String}).unique("key", maintain_order=True)
    grown = again.join(held.filter(mine), on="key", how="left", maintain_order="left").select(
        pl.lit(ruleset.table).alias("table"),
        "key",
        (pl.col("epoch").fill_null(FIRST_EPOCH) + 1).cast(pl.Int16).alias("epoch"),
    )
    others = held.join(grown.select("table", "key"), on=["table", "key"], how="anti", maintain_order="left")
    return pl.concat([others, grown])


def epochs_of(adopted: pl.DataFrame) -> pl.DataFrame:
    """Give the epochs of keys that were used again, for `MapContext.epochs`, from keys that are not as computed."""
    return adopted.filter(pl.col("epoch") > FIRST_EPOCH).select("table", "key", "epoch")
