"""What is told of each row once its fields were read: which parts it has, to which rows it refers, what it would lose.

The expressions follow from the rule alone; they are built once, when it is compiled.
"""

from collections.abc import Iterable
from typing import assert_never

import polars as pl

from mappings.fate_masks import holds
from mappings.plans import LensPlan, PartPlan, ReferencePlan, SiblingPlan


def judge_rows(parts: Iterable[PartPlan], carried: Iterable[str]) -> tuple[pl.Expr, ...]:
    """Give the expressions over a board of read fields; `carried` columns are written back by no field."""
    held = (pl.col(column).is_not_null().alias(carried_name(column)) for column in carried)
    return (*(expression for part in parts for expression in _judge(part)), *held)


def place_rows(parts: Iterable[PartPlan]) -> tuple[pl.Expr, ...]:
    """Give the expressions that tell which parts a row has and to which rows it refers, without what it would lose."""
    return tuple(
        expression
        for part in parts
        for expression in (
            _present(part).alias(present_name(part)),
            *(plan.key().alias(referred_name(part, plan)) for plan in part.fields if isinstance(plan, ReferencePlan)),
        )
    )


def _present(part: PartPlan) -> pl.Expr:
    return holds(part.rule.when) if part.rule.when else pl.lit(value=True)


def _judge(part: PartPlan) -> list[pl.Expr]:
    """Tell which rows have a part, to which rows it refers, and which source columns would lose their text."""
    when, present = part.rule.when, _present(part)
    told = []
    for plan in part.fields:
        match plan:
            case LensPlan():
                told += [_lost_by_lens(plan, column, None if when is None else present) for column in plan.owned]
            case ReferencePlan():
                told.append(plan.key().alias(referred_name(part, plan)))
                comes_back = plan.key().is_not_null() & present
                told += [(pl.col(column).is_not_null() & ~comes_back).alias(lost_text(column)) for column in plan.owned]
            case SiblingPlan():
                pass
            case _:
                assert_never(plan)
    return [present.alias(present_name(part)), *told]


def _lost_by_lens(plan: LensPlan, column: str, present: pl.Expr | None) -> pl.Expr:
    lost = pl.col(plan.losses[plan.rule.sources.index(column)])
    if present is not None:
        lost = (present & lost) | (~present & pl.col(column).is_not_null())
    return lost.alias(lost_text(column))


def present_name(part: PartPlan) -> str:
    """Name the column that tells whether a row has a part."""
    return f"has {part.rule.name}"


def lost_text(column: str) -> str:
    """Name the column that tells whether a row would lose the text of a source column."""
    return f"loses {column}"


def carried_name(column: str) -> str:
    """Name the column that tells whether a column that no field writes back holds a text."""
    return f"carries {column}"


def referred_name(part: PartPlan, plan: ReferencePlan) -> str:
    """Name the column that holds the key of the row that a reference leads to."""
    return f"{part.rule.name} refers by {plan.output}"
