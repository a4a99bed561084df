"""The control totals that the trade knows, as files beside the rules declare them: which rows of the old system, how
an amount and a year are written there, and the same figures asked of the store in SQL.

The old system is counted from its raw text, in pandas, by what stands here: no rule, lens or code map is used. A file
that is wrong is refused at file:line:column before anything is read.

A closure that holds facts or amounts and for which none is declared has not answered that part of L5: the profiles of
a switch ask it. Where there is nothing to count, `none` says so by canonical table, with the reason.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from banyan.canonical.model import TABLES
from mappings.diagnostics import Diagnostics, DiagnosticSeverity, suggest
from mappings.documents import Document, Words, refuse_all
from mappings.yaml_nodes import YamlFile, read_yaml
from validation.questions import find_question_problems
from validation.text import Text

TOTALS_FOLDER = "totals"
COUNTED: tuple[str, ...] = ("case_file", "detention", "evidence", "incident", "item", "offense")
"""The canonical tables of facts and amounts: a closure that fills one of them has a control total, or says why not."""


class AmountForm(StrEnum):
    """How an amount is written in the old system."""

    COMMA = "comma"
    """`1 234,50`, with blanks between the thousands."""
    POINT = "point"
    """`1234.50`."""


class DayForm(StrEnum):
    """How a day is written in the old system."""

    COMPACT = "yyyymmdd"
    """`20190331`; `0` and `99999999` are no day, `20190000` is a year."""
    ISO = "iso"
    """`2019-03-31`, with or without an hour; `0000-00-00` is no day."""
    OLE = "ole"
    """Days since 1899-12-30, with or without a part of a day."""


@dataclass(frozen=True, slots=True)
class DeclaredTotal:
    """One control total: what it is for people, how the old system is counted, and how the store is asked."""

    name: str
    label: Text
    owner: str
    table: str
    """The legacy table whose rows it counts; a closure with that table is asked."""
    floor: int
    """An old system with fewer rows proves nothing."""
    canonical: str = field(repr=False)
    """A query with the columns `id` (of the main record of a row), `year` and `amount`; null where not declared."""
    amount: str = ""
    """The legacy column that is summed; rows are counted where there is none."""
    amount_form: AmountForm = AmountForm.POINT
    day: str = ""
    """The legacy column whose year tells the totals apart; one total where there is none."""
    day_form: DayForm = DayForm.COMPACT
    hour: str = ""
    """The legacy column with the local hour of that day."""
    without: tuple[tuple[str, str], ...] = ()
    """Columns and the text that says that the old system holds the row as deleted."""
    digest: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Give the legacy columns on which it rests: one that waits in quarantine leaves its row out of both sides."""
        return tuple(column for column in (self.amount, self.day, self.hour) if column)

    @property
    def columns(self) -> tuple[str, ...]:
        """Give all legacy columns that are read."""
        return tuple(dict.fromkeys((*self.reads, *(column for column, _ in self.without))))


@dataclass(frozen=True, slots=True)
class DeclaredTotals:
    """All that stands beside the rules: the totals, and the canonical tables of which none can be counted, with why."""

    totals: tuple[DeclaredTotal, ...] = ()
    nowhere: Mapping[str, Text] = field(default_factory=dict)


class _Amount(Document):
    source: Annotated[Words, Field(alias="from")]
    written: AmountForm


class _Year(Document):
    source: Annotated[Words, Field(alias="from")]
    written: DayForm
    hour: Words | None = None


class _Total(Document):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    fr: Words
    en: Words
    owner: Words
    table: Words
    amount: _Amount | None = None
    year: _Year | None = None
    without: Annotated[dict[str, str], Field(default_factory=dict)]
    floor: Annotated[int, Field(ge=0)]
    canonical: Words


class _Reason(Document):
    fr: Words
    en: Words


class _Totals(Document):
    totals: tuple[_Total, ...] = ()
    none: Annotated[dict[str, _Reason], Field(default_factory=dict)]


_KNOWN: dict[str, type[Document]] = {"totals": _Total, "amount": _Amount, "year": _Year, "none": _Reason}


def load_totals(rules: Path | None, columns: Mapping[str, Collection[str]]) -> DeclaredTotals:
    """Read the control totals that stand beside the rules, in the order of their names; none when nobody declared any.

    `columns` are those of each legacy table that has rules. A wrong file is refused whole, at its place.
    """
    folder = None if rules is None else rules / TOTALS_FOLDER
    if folder is None or not folder.is_dir():
        return DeclaredTotals()
    found = Diagnostics()
    totals: dict[str, DeclaredTotal] = {}
    nowhere: dict[str, Text] = {}
    for path in sorted(folder.glob("*.yaml")):
        known = len(found.found)
        file = read_yaml(path, found)
        document = None if file is None or len(found.found) > known else _parse(file, found)
        if file is None or document is None:
            continue
        for number, one in enumerate(document.totals):
            if one.id in totals:
                place = file.value_mark(("totals", number, "id"))
                found.refuse(place, f"total {one.id} exists already", "give it another name")
            total = _total(one)
            _check(file, number, (total, columns), found)
            totals[one.id] = total
        for table, reason in document.none.items():
            if table not in COUNTED:
                hint = suggest(table, COUNTED, what="canonical tables with totals")
                found.refuse(file.key_mark(("none", table)), f"no control total is asked of {table}", hint)
            nowhere[table] = Text(reason.fr, reason.en)
    for problem in found.in_order():
        if problem.severity is DiagnosticSeverity.ERROR:
            raise problem.as_error()
    return DeclaredTotals(tuple(totals[name] for name in sorted(totals)), nowhere)


def _parse(file: YamlFile, found: Diagnostics) -> _Totals | None:
    try:
        return _Totals.model_validate(file.with_nulls())
    except ValidationError as error:
        refuse_all(file, error, found, document=_Totals, known=_KNOWN)
        return None


def _check(
    file: YamlFile, number: int, asked: tuple[DeclaredTotal, Mapping[str, Collection[str]]], found: Diagnostics
) -> None:
    total, columns = asked
    at = ("totals", number)
    if total.table not in columns:
        hint = suggest(total.table, columns, what="legacy tables")
        found.refuse(file.value_mark((*at, "table")), f"no rule reads {total.table}", hint)
        return
    places = {total.amount: ("amount", "from"), total.day: ("year", "from"), total.hour: ("year", "hour")}
    places |= {column: ("without", column) for column, _ in total.without}
    for column in total.columns:
        if column not in columns[total.table]:
            hint = suggest(column, columns[total.table], what="columns")
            steps = (*at, *places[column])
            place = file.key_mark(steps) if "without" in steps else file.value_mark(steps)
            found.refuse(place, f"table {total.table} has no column {column}", hint)
    for problem, hint in find_question_problems(total.canonical, is_canonical=True):
        found.refuse(file.value_mark((*at, "canonical")), problem, hint)
    if not any(f"justice.{table} " in total.canonical for table in TABLES):
        place = file.value_mark((*at, "canonical"))
        found.refuse(place, "the total asks no canonical table", "ask a table of the schema justice")


def _total(one: _Total) -> DeclaredTotal:
    total = DeclaredTotal(
        name=one.id,
        label=Text(one.fr, one.en),
        owner=one.owner,
        table=one.table,
        floor=one.floor,
        canonical=one.canonical,
        amount=one.amount.source if one.amount else "",
        amount_form=one.amount.written if one.amount else AmountForm.POINT,
        day=one.year.source if one.year else "",
        day_form=one.year.written if one.year else DayForm.COMPACT,
        hour=(one.year.hour or "") if one.year else "",
        without=tuple(sorted(one.without.items())),
    )
    return _sealed(total)


def _sealed(total: DeclaredTotal) -> DeclaredTotal:
    meaning = (total.table, total.amount, total.amount_form, total.day, total.day_form, total.hour, total.without,
               total.floor, total.canonical)  # fmt: skip
    return replace(total, digest=sha256(repr(tuple(map(str, meaning))).encode()).hexdigest())
