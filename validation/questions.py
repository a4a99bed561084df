"""The recorded questions of officers, as files beside the rules say them: what they ask of the old system, in its SQL.

Each question has the same question in canonical SQL beside it. The first column of both answers is the key of the row
(its legacy key; the identifier of its main record), the others are what the officer reads. A file that is wrong is
refused at file:line:column before anything is asked.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from banyan.canonical.model import TABLES
from banyan.departments import Department
from mappings.diagnostics import Diagnostics, DiagnosticSeverity, suggest
from mappings.documents import Document, Words, refuse_all
from mappings.yaml_nodes import YamlFile, read_yaml
from validation.text import Text

QUESTIONS_FOLDER = "questions"
_START = re.compile(r"\s*(select|with)\b", re.IGNORECASE)
_FORBIDDEN = re.compile(
    r";|--|/\*|#|\b(insert|update|delete|merge|truncate|create|alter|drop|grant|revoke|copy|call|do|set|lock|into|outfile"
    r"|nextval|setval|dblink\w*|pg_\w+|lo_\w+|load_file|sleep|benchmark)\b|\bmig\.",
    re.IGNORECASE,
)
_PLACES = (":department", ":time_zone")
_PARAMETER = re.compile(r"(?<![:\w]):[a-z]\w*")


@dataclass(frozen=True, slots=True)
class Question:
    """One recorded question: what it is for people, and how each side is asked."""

    name: str
    sentence: Text
    owner: str
    table: str
    """The legacy table whose rows it lists; a closure with that table is asked."""
    records: str
    """The canonical table of the main record of such a row."""
    reads: tuple[str, ...]
    """Legacy columns of that table on which the answer rests: one that waits in quarantine explains its row."""
    floor: int
    """An answer of the old system with fewer rows proves nothing."""
    is_absolute: bool
    """Whether quarantine explains nothing: a wanted vehicle that nobody finds any more is a miss."""
    legacy: str = field(repr=False)
    canonical: str = field(repr=False)
    digest: str = ""

    def concerns(self, tables: Collection[str]) -> bool:
        """Tell whether the rows it lists are of these legacy tables."""
        return self.table in tables


class _Question(Document):
    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    fr: Words
    en: Words
    owner: Words
    table: Words
    records: Words
    reads: Annotated[tuple[str, ...], Field(min_length=1)]
    floor: Annotated[int, Field(ge=0)]
    absolute: bool = False
    legacy: Words
    canonical: Words


class _Questions(Document):
    questions: tuple[_Question, ...]


def load_questions(rules: Path | None, columns: Mapping[str, Collection[str]]) -> tuple[Question, ...] | None:
    """Read the questions that stand beside the rules, in the order of their names; None when nobody recorded any.

    `columns` are those of each legacy table that has rules. A wrong file is refused whole, at its place.
    """
    folder = None if rules is None else rules / QUESTIONS_FOLDER
    if folder is None or not folder.is_dir():
        return None
    found = Diagnostics()
    questions: dict[str, Question] = {}
    for path in sorted(folder.glob("*.yaml")):
        known = len(found.found)
        file = read_yaml(path, found)
        document = None if file is None or len(found.found) > known else _parse(file, found)
        if file is None or document is None:
            continue
        for number, one in enumerate(document.questions):
            if one.id in questions:
                place = file.value_mark(("questions", number, "id"))
                found.refuse(place, f"question {one.id} exists already", "give it another name")
            _check(file, ("questions", number), (one, columns), found)
            questions[one.id] = _question(one)
    for problem in found.in_order():
        if problem.severity is DiagnosticSeverity.ERROR:
            raise problem.as_error()
    return tuple(questions[name] for name in sorted(questions))


def bound(department: Department) -> dict[str, str]:
    """Give what the canonical form of a question may ask by name."""
    return {"department": department.code, "time_zone": department.time_zone}


def find_question_problems(query: str, *, is_canonical: bool) -> Iterator[tuple[str, str]]:
    """Say what is wrong with one form of a question, and how to put it right; nothing when it may be asked."""
    if not _START.match(query):
        yield "the question is no query", "begin with: select"
    if (word := _FORBIDDEN.search(query)) is not None:
        yield f"a question may not contain {word.group()}", "one query that reads and nothing else"
    asked = set(_PARAMETER.findall(query))
    if is_canonical and ":department" not in asked:
        yield "the question does not name the department", "add: and department_code = :department"
    if asked - set(_PLACES if is_canonical else ()):
        only = " and ".join(_PLACES) if is_canonical else "nothing"
        yield "the question has a parameter nobody binds", f"only {only} can be asked by name"


def _parse(file: YamlFile, found: Diagnostics) -> _Questions | None:
    try:
        return _Questions.model_validate(file.with_nulls())
    except ValidationError as error:
        refuse_all(file, error, found, document=_Questions, known={"questions": _Question})
        return None


def _check(
    file: YamlFile,
    at: tuple[str | int, ...],
    asked: tuple[_Question, Mapping[str, Collection[str]]],
    found: Diagnostics,
) -> None:
    one, columns = asked
    if one.table not in columns:
        hint = suggest(one.table, columns, what="legacy tables")
        found.refuse(file.value_mark((*at, "table")), f"no rule reads {one.table}", hint)
    if one.records not in TABLES:
        hint = suggest(one.records, TABLES, what="canonical tables")
        found.refuse(file.value_mark((*at, "records")), f"there is no canonical table {one.records}", hint)
    for number, name in enumerate(one.reads):
        if name not in columns.get(one.table, (name,)):
            hint = suggest(name, columns[one.table], what="columns")
            found.refuse(file.value_mark((*at, "reads", number)), f"table {one.table} has no column {name}", hint)
    for form, query in (("legacy", one.legacy), ("canonical", one.canonical)):
        for problem, hint in find_question_problems(query, is_canonical=form == "canonical"):
            found.refuse(file.value_mark((*at, form)), problem, hint)


def _question(one: _Question) -> Question:
    forms = "\0".join(
        (one.table, one.records, *one.reads, str(one.floor), str(one.absolute), one.legacy, one.canonical)
    )
    return Question(
        name=one.id,
        sentence=Text(one.fr, one.en),
        owner=one.owner,
        table=one.table,
        records=one.records,
        reads=one.reads,
        floor=one.floor,
        is_absolute=one.absolute,
        legacy=one.legacy,
        canonical=one.canonical,
        digest=sha256(forms.encode()).hexdigest(),
    )
