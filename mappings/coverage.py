"""Total coverage: every source column of every table with its fate; the loader refuses anything less."""

from mappings.fates import ColumnFate, find_fate
from mappings.model import RuleBook


def coverage(book: RuleBook) -> tuple[ColumnFate, ...]:
    """Give the fate of each column of each table, tables by name, columns in their order."""
    return tuple(
        find_fate(book.rulesets[table], column)
        for table in sorted(book.rulesets)
        for column in book.rulesets[table].columns
    )
