"""What a legacy system calls live work, a fact and a case, in its own codes: declared beside its rules, for L5.

`behaviour/behaviour.yaml` says it of raw text: no rule, lens or code map takes part, so that a rule that is wrong in
the same way twice is found. A list that the old system cannot hold is declared as none, with the reason. What is asked
and declared nowhere is an ERROR, never a silence. A file that is wrong is refused at file:line:column.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from validation.declared_totals import DayForm
from validation.text import Text

BEHAVIOUR_FILE = "behaviour/behaviour.yaml"
LISTS: dict[str, str] = {
    "open_cases": "case_file",
    "missing_persons": "participation",
    "stolen_vehicles": "vehicle",
    "stolen_items": "item",
    "in_custody": "detention",
    "live_seals": "evidence",
}
"""The lists of live work, each with the canonical table whose records it names."""
FACTS, CASES = "offense", "case_file"
"""The canonical tables of what is counted in statistics, and of what is compared to the paper."""

Values = Mapping[str, tuple[str, ...]]
"""Columns, each with the raw texts that are meant, blanks around left out; the empty text is nothing."""


@dataclass(frozen=True, slots=True)
class RawTable:
    """A legacy table that is read: its key, which rows count as deleted, and which columns lead to other tables."""

    key: tuple[str, ...]
    deleted: Values = field(default_factory=dict)
    refers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawDay:
    """Where a day stands, how it is written, and the column of its hour where that one stands apart."""

    column: str
    form: DayForm
    hour: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Give the columns it stands in."""
        return (self.column,) if self.hour is None else (self.column, self.hour)


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows of a legacy table: those that hold one of these texts, and none of those."""

    table: str
    where: Values = field(default_factory=dict)
    unless: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenList:
    """One list of live work: its rows, and the columns that name one of them, `table.column` where a row leads to."""

    list_name: str
    rows: RawRows
    named_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StatisticFacts:
    """What is counted: rows, their index, their day, and the column that names the unit."""

    rows: RawRows
    index: str | None = None
    day: RawDay | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class PaperCases:
    """What has a file on paper: the table, the number on the file, the unit that keeps it, the day it was opened."""

    table: str
    number: str
    opened: RawDay
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All that a legacy system declares for L5, as one department writes it."""

    tables: Mapping[str, RawTable]
    lists: tuple[OpenList, ...] = ()
    nowhere: Mapping[str, Text] = field(default_factory=dict)
    """Lists that the old system cannot hold, with the reason; the new system then names nobody on them either."""
    statistics: StatisticFacts | None = None
    cases: PaperCases | None = None
    digest: str = ""

    def find_list(self, name: str) -> OpenList | None:
        """Find a list of live work by its name; None when it is not declared, or declared as none."""
        return next((each for each in self.lists if each.list_name == name), None)

    def ways(self, table: str, target: str) -> list[tuple[tuple[str, str], ...]]:
        """Give each way from a table to another one, as columns and the tables they lead to; empty to itself."""
        if table == target:
            return [()]
        steps = self.tables[table].refers.items()
        return [((column, to), *rest) for column, to in steps for rest in self.ways(to, target)]

    def way(self, table: str, column: str) -> tuple[tuple[str, str], ...]:
        """Give the way from a table to the one of a column: `table.column`, or a column of its own."""
        target, _, _ = column.rpartition(".")
        return self.ways(table, target or table)[0]

    def tables_of(self, rows: RawRows, columns: Collection[str]) -> tuple[str, ...]:
        """Give the tables that are read for some rows and columns of them; their own one first."""
        on_the_way = (to for column in columns for _, to in self.way(rows.table, column))
        return tuple(dict.fromkeys((rows.table, *on_the_way)))


def required_lists(canonical_tables: Collection[str]) -> tuple[str, ...]:
    """Give the lists of live work that are asked where these canonical tables are filled."""
    return tuple(name for name, table in LISTS.items() if table in canonical_tables)
