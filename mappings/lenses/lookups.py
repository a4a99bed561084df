"""Values of other legacy tables: what the row of a key says, and back to the key that alone says it.

What the other table holds is not known when a rule is compiled: it is read with the batch and seated in the lens. A
lens that nothing was seated in knows no row.
"""

from functools import cache

import polars as pl

from banyan.records import KEY_SEPARATOR
from mappings.lenses.lens import (
    Backward,
    Columns,
    Degradation,
    Forward,
    Lens,
    LensSetting,
    Objection,
    Refusal,
    Steps,
    without_trailing_blanks,
)

LOOKED_UP = {"key": pl.String(), "value": pl.String()}
"""What is read of the other table: the key of each row, and the text of the column that is looked up."""
HOLDS_NUL = "the text looked up holds the character NUL, which no canonical text can hold"


def table_of(target: str) -> str:
    """Give the table of a target written `table.column`."""
    return target.partition(".")[0]


def column_of(target: str) -> str:
    """Give the column of a target written `table.column`."""
    return target.partition(".")[2]


def looking_up(known: pl.DataFrame) -> Lens:
    """Make the lens that looks up in these rows (LOOKED_UP): blanks at the end of a text do not count."""

    @cache  # when a rule is compiled, not when this module is imported: Polars starts its threads with the first query
    def find() -> tuple[pl.DataFrame, pl.DataFrame]:
        rows = known.select("key", without_trailing_blanks(pl.col("value")).alias("value"))
        once = rows.filter(pl.col("key").is_not_null() & ~pl.col("key").is_duplicated())
        return once, rows.filter(pl.col("value").is_not_null() & ~pl.col("value").is_duplicated())

    def forward(columns: Columns, setting: LensSetting) -> Forward:
        table, steps, once = table_of(setting.text("target")), Steps(), find()[0]
        held = [pl.when(column.str.strip_chars(" ") != "").then(column) for column in columns]
        key = steps.let("key", pl.concat_str(held, separator=KEY_SEPARATOR))
        value = steps.let("value", _replaced(key, once["key"], once["value"]))
        stands = key.is_in(once["key"].implode())
        return Forward(
            (value,),
            (
                Objection(key.is_not_null() & ~stands, f"no row of {table} has this key, or several have"),
                Objection(value.str.contains("\x00", literal=True), HOLDS_NUL),
            ),
            steps=steps.taken,
        )

    def backward(values: Columns, setting: LensSetting) -> Backward:
        table, steps, alone = table_of(setting.text("target")), Steps(), find()[1]
        key = steps.let("key", _replaced(values[0], alone["value"], alone["key"]))
        refusal = Refusal(
            values[0].is_not_null() & key.is_null(),
            Degradation.UNKNOWN_REFERENCE,
            f"no row of {table} says this, or several do",
        )
        if setting.inputs == 1:
            return Backward((key,), (refusal,), steps.taken)
        split = key.str.split_exact(KEY_SEPARATOR, setting.inputs - 1)
        return Backward(
            tuple(split.struct.field(f"field_{number}") for number in range(setting.inputs)), (refusal,), steps.taken
        )

    return Lens(forward, backward)


def _replaced(text: pl.Expr, old: pl.Series, new: pl.Series) -> pl.Expr:
    if old.is_empty():
        return pl.when(text.is_not_null()).then(pl.lit(None, dtype=pl.String))
    return text.replace_strict(old, new, default=None, return_dtype=pl.String)


LOOKUP = looking_up(pl.DataFrame(schema=LOOKED_UP))
