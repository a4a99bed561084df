"""Whether texts, read, say what stands now: asked of what is remembered, of what is there, and of what is written."""

from collections.abc import Mapping, Sequence

import polars as pl

from mappings.lanes import Lane, read_lenses
from mappings.plans import LensPlan

NOW = "now "


def stand_now(board: pl.DataFrame) -> pl.DataFrame:
    """Give the values that stand now under names that leave those of the plans free for what is read."""
    return pl.DataFrame([column.alias(NOW + column.name) for column in board])


def agreements(
    plans: Sequence[LensPlan],
    raws: pl.DataFrame,
    board: pl.DataFrame,
    where: Mapping[int, pl.Series],
    lane: Lane = Lane.AUTO,
) -> dict[int, pl.Series]:
    """Tell, by number of the field, among the rows of `where`, which texts read as the values that stand now."""
    asked = [plan for plan in plans if where[plan.names.number].any()]
    nowhere = pl.Series([False]).new_from_index(0, board.height)
    told = {plan.names.number: nowhere for plan in plans}
    if not asked:
        return told
    if lane.is_fused(board.height):
        agree = _compare(asked, read_lenses(asked, raws, lane), board)
        return told | {number: agree[str(number)] & where[number] for number in (p.names.number for p in asked)}
    for plan in asked:
        number = plan.names.number
        rows = where[number]
        read = read_lenses([plan], raws.select(plan.rule.sources).filter(rows), lane)
        agree = _compare([plan], read, board.select(_values(plan)).filter(rows))
        told[number] = nowhere.scatter(rows.arg_true(), agree[str(number)])
    return told


def _values(plan: LensPlan) -> list[str]:
    return [plan.names.value(number) for number in plan.stated]


def _compare(plans: Sequence[LensPlan], read: pl.DataFrame, board: pl.DataFrame) -> pl.DataFrame:
    asked = [name for plan in plans for name in _values(plan)]
    both = pl.concat([read.select(asked), stand_now(board.select(asked))], how="horizontal")
    return both.select(
        pl.all_horizontal(pl.col(name).eq_missing(pl.col(NOW + name)) for name in _values(plan)).alias(
            str(plan.names.number)
        )
        for plan in plans
    )
