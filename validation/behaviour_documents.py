"""The shape of `behaviour/behaviour.yaml`, checked at the border; every refusal carries its place."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from mappings.diagnostics import Diagnostics, DiagnosticSeverity, suggest
from mappings.documents import Document, Words, refuse_all
from mappings.several_files import split_table
from mappings.yaml_nodes import Steps, YamlFile, read_yaml
from validation.declared_behaviour import (
    BEHAVIOUR_FILE,
    LISTS,
    Behaviour,
    OpenList,
    PaperCases,
    RawDay,
    RawRows,
    RawTable,
    StatisticFacts,
)
from validation.declared_totals import DayForm
from validation.text import Text

_Values = Annotated[dict[Words, tuple[str, ...]], Field(default_factory=dict)]


class _Table(Document):
    key: Annotated[tuple[Words, ...], Field(min_length=1)]
    deleted: _Values
    refers: Annotated[dict[Words, Words], Field(default_factory=dict)]


class _Rows(Document):
    table: Words
    where: _Values
    unless: _Values
    departments: Annotated[
        dict[Words, dict[Words, tuple[str, ...]]],
        Field(default_factory=dict, description="`where` of the departments that write other codes"),
    ]


class _List(_Rows):
    list: Words
    name: Annotated[tuple[Words, ...], Field(min_length=1)]


class _Day(Document):
    column: Words
    form: Literal["yyyymmdd", "iso", "ole"]
    hour: Words | None = None


class _Statistics(_Rows):
    index: Words | None = None
    day: _Day | None = None
    unit: Words | None = None


class _Cases(Document):
    table: Words
    number: Words
    opened: _Day
    unit: Words | None = None


class _Reason(Document):
    fr: Words
    en: Words


class _Behaviour(Document):
    tables: Annotated[dict[Words, _Table], Field(min_length=1)]
    lists: tuple[_List, ...] = ()
    none: Annotated[dict[Words, _Reason], Field(default_factory=dict)]
    statistics: _Statistics | None = None
    cases: _Cases | None = None


def load_behaviour(
    rules: Path | None, columns: Mapping[str, Collection[str]], *, department: str = ""
) -> Behaviour | None:
    """Read what a legacy system declares for L5, as one department writes it; None when nothing is declared.

    `columns` are those of each legacy table that has rules. A wrong file is refused whole, at its place.
    """
    path = None if rules is None else rules / BEHAVIOUR_FILE
    if path is None or not path.is_file():
        return None
    found = Diagnostics()
    file = read_yaml(path, found)
    document = None if file is None or found.found else _parse(file, found)
    if file is not None and document is not None:
        bare = {split_table(table)[1]: names for table, names in columns.items()}
        _Checking(file, document, bare, found).check()
    for problem in found.in_order():
        if problem.severity is DiagnosticSeverity.ERROR:
            raise problem.as_error()
    return None if document is None else _behaviour(document, department)


def _parse(file: YamlFile, found: Diagnostics) -> _Behaviour | None:
    try:
        return _Behaviour.model_validate(file.with_nulls())
    except ValidationError as error:
        known: dict[str, type[Document]] = {
            "tables": _Table,
            "lists": _List,
            "statistics": _Statistics,
            "cases": _Cases,
            "none": _Reason,
        }
        refuse_all(file, error, found, document=_Behaviour, known=known)
        return None


@dataclass(slots=True)
class _Checking:
    file: YamlFile
    document: _Behaviour
    columns: Mapping[str, Collection[str]]
    found: Diagnostics

    def check(self) -> None:
        for name, table in self.document.tables.items():
            self._check_table(name, table)
        if self.found.found:
            return
        for place, name in (*((("none", each), each) for each in self.document.none), *self._listed()):
            if name not in LISTS:
                self._refuse(place, f"there is no list {name}", suggest(name, LISTS, what="lists"))
        for number, each in enumerate(self.document.lists):
            self._check_rows(("lists", number), each, each.name)
            if each.list in self.document.none or each.list in [one.list for one in self.document.lists[:number]]:
                self._refuse(("lists", number, "list"), f"list {each.list} is declared twice", "leave one of them out")
        if (counted := self.document.statistics) is not None:
            day = () if counted.day is None else (counted.day.column, *filter(None, (counted.day.hour,)))
            more = [*day, *filter(None, (counted.index, counted.unit))]
            self._check_rows(("statistics",), counted, more)
        if (paper := self.document.cases) is not None:
            named = [paper.number, paper.opened.column, *filter(None, (paper.unit,))]
            self._check_rows(("cases",), _Rows.model_validate({"table": paper.table}), named)

    def _listed(self) -> list[tuple[Steps, str]]:
        return [(("lists", number, "list"), each.list) for number, each in enumerate(self.document.lists)]

    def _check_table(self, name: str, table: _Table) -> None:
        if name not in self.columns:
            self._refuse(("tables", name), f"no rule reads {name}", suggest(name, self.columns, what="legacy tables"))
            return
        for column in (*table.key, *table.deleted, *table.refers):
            self._check_column(("tables", name), name, column)
        for column, to in table.refers.items():
            if to not in self.document.tables or len(self.document.tables[to].key) > 1:
                hint = "declare it under tables, with a key of one column"
                self._refuse(("tables", name, "refers", column), f"{column} leads to {to}, which cannot be found", hint)
            elif self._returns(name, to):
                hint = "leave out one of the columns"
                self._refuse(("tables", name, "refers", column), f"{column} leads back to {name}", hint)

    def _returns(self, name: str, to: str) -> bool:
        seen, waiting = {to}, [to]
        while waiting:
            here = self.document.tables.get(waiting.pop())
            after = set() if here is None else set(here.refers.values()) - seen
            seen |= after
            waiting += after
        return name in seen

    def _check_rows(self, at: Steps, rows: _Rows, named: Collection[str]) -> None:
        if rows.table not in self.document.tables:
            hint = suggest(rows.table, self.document.tables, what="tables of this file")
            self._refuse((*at, "table"), f"{rows.table} is not declared under tables", hint)
            return
        there = [column for values in rows.departments.values() for column in values]
        for column in (*rows.where, *rows.unless, *there):
            self._check_column(at, rows.table, column)
        known = _behaviour(self.document, "")
        for column in named:
            target, _, own = column.rpartition(".")
            if target and target not in self.document.tables:
                self._refuse(at, f"{target} is not declared under tables", "declare it there")
                continue
            ways = known.ways(rows.table, target or rows.table)
            if len(ways) != 1:
                said = "no way" if not ways else "more than one way"
                self._refuse(
                    at, f"there is {said} from {rows.table} to {target}", "say under refers which column leads"
                )
            self._check_column(at, target or rows.table, own)

    def _check_column(self, at: Steps, table: str, column: str) -> None:
        if column not in self.columns[table]:
            hint = suggest(column, self.columns[table], what="columns")
            self._refuse(at, f"table {table} has no column {column}", hint)

    def _refuse(self, at: Steps, problem: str, hint: str) -> None:
        self.found.refuse(self.file.value_mark(at), problem, hint)


def _behaviour(document: _Behaviour, department: str) -> Behaviour:
    counted, paper = document.statistics, document.cases
    return Behaviour(
        tables={name: RawTable(one.key, one.deleted, one.refers) for name, one in document.tables.items()},
        lists=tuple(OpenList(each.list, _rows(each, department), each.name) for each in document.lists),
        nowhere={name: Text(reason.fr, reason.en) for name, reason in document.none.items()},
        statistics=None
        if counted is None
        else StatisticFacts(
            _rows(counted, department), counted.index, None if counted.day is None else _day(counted.day), counted.unit
        ),
        cases=None if paper is None else PaperCases(paper.table, paper.number, _day(paper.opened), paper.unit),
        digest=sha256(document.model_dump_json().encode()).hexdigest(),
    )


def _rows(rows: _Rows, department: str) -> RawRows:
    return RawRows(rows.table, {**rows.where, **rows.departments.get(department, {})}, rows.unless)


def _day(day: _Day) -> RawDay:
    return RawDay(day.column, DayForm(day.form), day.hour)
