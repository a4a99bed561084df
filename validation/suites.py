"""The L2 rules as our own suite files say them: one YAML file a canonical table, checked at the border.

A file that is wrong is refused at file:line:column before any rule is run. What Great Expectations would silently
accept (no rule at all, a share of rows that may break a rule, a query that gives values) is refused here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from banyan.canonical.model import TABLES, TAIL
from banyan.errors import RulesetError
from banyan.findings import Severity
from mappings.diagnostics import Diagnostics, DiagnosticSeverity, suggest
from mappings.yaml_nodes import Steps, YamlFile, read_yaml
from validation.text import Text

SHIPPED = Path(__file__).parent / "suites"
QUERY = "unexpected_rows_query"
COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
_RANGE = ("min_value", "max_value")
EXPECTATIONS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "expect_column_values_to_not_be_null": (("column",),),
    "expect_column_values_to_be_null": (("column",),),
    "expect_column_values_to_be_unique": (("column",),),
    "expect_column_values_to_be_in_set": (("column",), ("value_set",)),
    "expect_column_values_to_not_be_in_set": (("column",), ("value_set",)),
    "expect_column_values_to_be_between": (("column",), _RANGE),
    "expect_column_value_lengths_to_be_between": (("column",), _RANGE),
    "expect_column_values_to_match_regex": (("column",), ("regex",)),
    "expect_column_values_to_not_match_regex": (("column",), ("regex",)),
    "expect_column_pair_values_a_to_be_greater_than_b": (("column_A",), ("column_B",)),
    "unexpected_rows_expectation": ((QUERY,),),
}
"""The expectations a suite may use, each with the arguments it must have (one of each group).

All name the rows that break them. Without a regex the library takes every value for good, and with `mostly` half the
rows may break a rule that passes (both run): the one is demanded, the other refused.
"""
_OPTIONAL = ("strict_min", "strict_max", "or_equal")
_START = "select subselect.key from {batch}"
_OTHER_TABLE = re.compile(r"\bjustice\.", re.IGNORECASE)
_FORBIDDEN = re.compile(r";|--|/\*|\bjoin\b|\bmig\.|\bpg_", re.IGNORECASE)
_BRACES = re.compile(r"\{[^}]*\}?|\}")
_PLACES = ("{batch}", "{department}", "{time_zone}")
_OTHERS = " and ".join(_PLACES[1:])
_PARAMETER = re.compile(r"(?<![:\w]):\w")

NO_DATE, DATES = "a value looks like a date and is none", "put dates between quotes"

Argument = str | int | bool | float | tuple[str, ...]
Words = Annotated[str, Field(min_length=1, pattern=r"\S")]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what it says to people, how much a broken one weighs, who answers for it, and how it is evaluated."""

    rule_id: str
    sentence: Text
    severity: Severity
    owner: str
    expectation: str
    arguments: Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Weighed:
    """A rule to which a project gives another weight: from what to what, who answers for it, and why."""

    rule_id: str
    before: Severity
    after: Severity
    owner: str
    reason: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The rules of one canonical table; fewer rows than its floor prove nothing."""

    name: str
    table: str
    row_floor: int
    rules: tuple[Rule, ...]
    digest: str = field(default="", compare=False)
    weighed: tuple[Weighed, ...] = ()


class Document(BaseModel):
    """A part of a suite file: a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Expectation(Document):
    type: Words
    kwargs: dict[str, str | int | bool | float | tuple[str, ...]]


class RuleDocument(Document):
    """One rule as a suite file writes it."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*\.[a-z0-9_]+$")]
    fr: Words
    en: Words
    severity: Severity
    owner: Words
    expectation: _Expectation


class _Suite(Document):
    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    table: Words
    row_floor: Annotated[int, Field(ge=0)]
    rules: Annotated[tuple[RuleDocument, ...], Field(min_length=1)]


_KEYS: dict[str, type[Document]] = {"rules": RuleDocument, "expectation": _Expectation}


def load_suites(directory: Path = SHIPPED) -> tuple[Suite, ...]:
    """Read every suite of a directory, or refuse them at the first wrong place; changes nothing."""
    paths = sorted(directory.glob("*.yaml"))
    if not paths:
        raise RulesetError(
            f"there is no suite in {directory}; no rule was used",
            hint="write one YAML file a canonical table",
            file=str(directory),
            line=1,
            column=1,
        )
    found = Diagnostics()
    suites: dict[str, Suite] = {}
    rule_ids: set[str] = set()
    for path in paths:
        known = len(found.found)
        file = read_yaml(path, found)
        suite = None if file is None or len(found.found) > known else _read_suite(file, found)
        if file is None or suite is None:
            continue
        if suite.table in suites:
            found.refuse(file.value_mark(("table",)), f"table {suite.table} has a suite already", "keep one of the two")
        for number, rule in enumerate(suite.rules):
            if rule.rule_id in rule_ids:
                place = file.value_mark(("rules", number, "id"))
                found.refuse(place, f"rule {rule.rule_id} exists already", "give it another name")
            rule_ids.add(rule.rule_id)
        suites[suite.table] = suite
    for one in found.in_order():
        if one.severity is DiagnosticSeverity.ERROR:
            raise one.as_error()
    return tuple(suites[table] for table in sorted(suites))


def _read_suite(file: YamlFile, found: Diagnostics) -> Suite | None:
    try:
        # the places come from the nodes, where every scalar is text; the values and their types from YAML itself
        document = _Suite.model_validate(yaml.safe_load(file.text))
    except ValidationError as error:
        refuse_shape(file, error, found)
        return None
    except ValueError:
        found.refuse(file.start, NO_DATE, DATES)
        return None
    if document.table not in TABLES:
        found.refuse(
            file.value_mark(("table",)),
            f"there is no canonical table {document.table}",
            suggest(document.table, TABLES, what="canonical tables"),
        )
        return None
    for number, rule in enumerate(document.rules):
        check_rule(file, ("rules", number), (rule, document.table), found)
    return Suite(
        name=document.suite,
        table=document.table,
        row_floor=document.row_floor,
        rules=tuple(read_rule(each) for each in document.rules),
        digest=sha256(file.text.encode()).hexdigest(),
    )


def read_rule(document: RuleDocument) -> Rule:
    """Make a rule of what a file says of it."""
    return Rule(
        rule_id=document.id,
        sentence=Text(document.fr, document.en),
        severity=document.severity,
        owner=document.owner,
        expectation=document.expectation.type,
        arguments=document.expectation.kwargs,
    )


def check_rule(file: YamlFile, steps: Steps, said: tuple[RuleDocument, str], found: Diagnostics) -> None:
    """Refuse a rule that says nothing sensible of its table, each wrong thing at its place."""
    rule, table = said
    place = (*steps, "expectation", "kwargs")
    said_type, arguments = rule.expectation.type, rule.expectation.kwargs
    if not rule.id.startswith(f"{table}."):
        found.refuse(file.value_mark((*steps, "id")), f"rule {rule.id} is not named after its table {table}",
                     f"call it {table}.{rule.id.partition('.')[2]}")  # fmt: skip
    if said_type not in EXPECTATIONS:
        found.refuse(file.value_mark((*steps, "expectation", "type")), f"there is no expectation {said_type}",
                     suggest(said_type, EXPECTATIONS, what="expectations"))  # fmt: skip
        return
    for group in find_missing_arguments(said_type, arguments):
        found.refuse(file.value_mark(place), f"{said_type} has no {' or '.join(group)}", f"add {group[0]}: ...")
    known = [*(name for group in EXPECTATIONS[said_type] for name in group), *_OPTIONAL]
    columns = [column.name for column in (*TABLES[table].columns, *TAIL)]
    for name, value in arguments.items():
        at = (*place, name)
        if name not in known:
            found.refuse(file.key_mark(at), f"{said_type} has no argument {name} here",
                         suggest(name, known, what="arguments"))  # fmt: skip
        elif name in COLUMN_ARGUMENTS and value not in columns:
            found.refuse(file.value_mark(at), f"table {table} has no column {value}",
                         suggest(str(value), columns, what="columns"))  # fmt: skip
        elif name == QUERY:
            for problem, suggestion in find_query_problems(str(value)):
                found.refuse(file.value_mark(at), problem, suggestion)


def find_missing_arguments(expectation: str, arguments: Mapping[str, object]) -> list[tuple[str, ...]]:
    """List the groups of arguments of which an expectation must have one and has none."""
    return [
        group
        for group in EXPECTATIONS.get(expectation, ())
        if not any(arguments.get(name) not in (None, "", (), []) for name in group)
    ]


def find_query_problems(query: str) -> Iterator[tuple[str, str]]:
    """Say what is wrong with the query of a rule, and how to put it right; nothing when it may be run."""
    words = " ".join(query.split())
    if not words.startswith(_START):
        yield "the query does not begin as it must", f"begin with: {_START} where ..."
    if words.count("{batch}") != 1 or set(_BRACES.findall(words)) - set(_PLACES):
        yield "the query has braces with another meaning", f"write {{batch}} once, {_OTHERS} as needed, nothing else"
    if len(_OTHER_TABLE.findall(words)) > words.count("{department}"):
        yield "the query looks into a table without naming the department", "add: and x.department_code = {department}"
    if (word := _FORBIDDEN.search(words)) is not None:
        yield f"the query may not contain {word.group()}", "use one select with exists or not exists"
    if _PARAMETER.search(words):
        yield (
            "the query has a parameter nobody binds",
            "no colon before a word, except in a cast (::)",
        )


def refuse_shape(
    file: YamlFile, error: ValidationError, found: Diagnostics, *, form: type[Document] | None = None
) -> None:
    """Refuse what has not the form of a suite file, or of another form, each wrong thing at its place."""
    errors = error.errors(include_url=False, include_input=False)
    for one in errors:
        if one["type"] == "too_short" and len(errors) > 1:
            continue  # said of the list because of what is wrong inside it
        length = len(one["loc"])
        while length and not file.has(one["loc"][:length]):
            length -= 1
        steps, rest = one["loc"][:length], one["loc"][length:]
        match one["type"]:
            case "extra_forbidden":
                name = next((step for step in reversed(steps[:-1]) if step in _KEYS), "")
                known = _KEYS.get(str(name), form or _Suite).model_fields
                found.refuse(file.key_mark(steps), f"unknown key {steps[-1]}",
                             suggest(str(steps[-1]), known, what="keys"))  # fmt: skip
            case "missing":
                found.refuse(file.value_mark(steps), f"key {rest[-1]} is missing", f"add {rest[-1]}: ...")
            case _:
                named = next((step for step in reversed(steps) if isinstance(step, str)), "the file")
                found.refuse(
                    file.value_mark(steps),
                    f"{named}: {one['msg']}",
                    "compare with a suite shipped in validation/suites",
                )
