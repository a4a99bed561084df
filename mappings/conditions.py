"""Conditions of a rule file: read, checked against the source columns, refused at the character."""

from collections.abc import Collection

from mappings.diagnostics import Diagnostics, suggest
from mappings.expression import ExpressionError, parse_condition
from mappings.model import Condition
from mappings.repeats import offset_as_written
from mappings.yaml_nodes import Steps, YamlFile


def read_condition(
    file: YamlFile,
    steps: Steps,
    expression: str,
    *,
    columns: Collection[str],
    found: Diagnostics,
    written: str | None = None,
) -> Condition | None:
    """Read the condition at a path; one that is wrong is refused and gives nothing.

    `written` is the text as it stands in the file, where the expression is one place of a repeating group.
    """
    as_written = expression if written is None else written
    try:
        condition = parse_condition(expression)
    except ExpressionError as error:
        offset = offset_as_written(as_written, expression, error.offset)
        found.refuse(file.mark_inside(steps, offset), error.message, error.suggestion)
        return None
    if condition.column not in columns:
        offset = offset_as_written(as_written, expression, expression.index(condition.column))
        refuse_column(file, condition.column, file_mark=(steps, offset), columns=columns, found=found)
        return None
    return condition


def refuse_column(
    file: YamlFile,
    column: str,
    *,
    file_mark: tuple[Steps, int],
    columns: Collection[str],
    found: Diagnostics,
) -> None:
    """Refuse a word that is not a source column."""
    steps, offset = file_mark
    found.refuse(
        file.mark_inside(steps, offset),
        f"unknown source column {column}",
        suggest(column, columns, what="columns"),
    )
