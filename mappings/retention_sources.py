"""Where a legacy system says what the terms of retention ask: which tables and columns hold role, age, offence, days.

One small file beside the rules of a system, `retention/participations.yaml`; a system without it has no terms, and
rules that leave rows to be judged are refused.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from banyan.errors import RulesetError
from mappings.diagnostics import Diagnostics
from mappings.documents import Document, refuse_all
from mappings.model import Mark, RuleBook
from mappings.retention import OffenceClass
from mappings.yaml_nodes import YamlFile, read_yaml

FILE = Path("retention") / "participations.yaml"
_Name = Annotated[str, Field(min_length=1)]


class ParticipationSource(Document):
    """The table of participations: one row a role of a person in a case."""

    table: _Name
    key: _Name
    person: _Name
    case: _Name
    role: _Name
    role_map: _Name
    minor: _Name
    minor_yes: _Name = "O"


class CaseSource(Document):
    """The table of cases: its days, YYYYMMDD, its series in the list of archives, and whether it is open."""

    table: _Name
    key: _Name
    recorded: _Name
    transmitted: _Name
    series: _Name
    status: _Name
    status_map: _Name
    open_status: _Name = "OPEN"


class OffenceSource(Document):
    """The table of offences of cases."""

    table: _Name
    case: _Name
    code: _Name


class DispositionSource(Document):
    """The table of what courts decided on participations."""

    table: _Name
    key: _Name
    participation: _Name
    effect: _Name
    effect_map: _Name


class RetentionSources(Document):
    """What one legacy system says of retention, and the offence codes of each class but the ordinary one."""

    person: _Name
    participation: ParticipationSource
    case: CaseSource
    offence: OffenceSource
    disposition: DispositionSource
    classes: Annotated[dict[Literal["LISTED_MINOR", "LISTED_GRAVE"], tuple[str, ...]], Field(default_factory=dict)]

    @property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """Give the legacy columns that are read, by table."""
        who, case, offence, decided = self.participation, self.case, self.offence, self.disposition
        return {
            case.table: (case.key, case.recorded, case.transmitted, case.series, case.status),
            offence.table: (offence.case, offence.code),
            who.table: (who.key, who.person, who.case, who.role, who.minor),
            decided.table: (decided.key, decided.participation, decided.effect),
        }

    @property
    def offence_classes(self) -> dict[str, OffenceClass]:
        """Give the class of each listed offence code; every other one is ordinary."""
        return {code: OffenceClass[name] for name, codes in self.classes.items() for code in codes}


def load_retention_sources(directory: Path, book: RuleBook) -> RetentionSources | None:
    """Read what a system says of retention, checked against its rules; None where no file says anything."""
    path = directory / FILE
    judged = sorted(table for table, ruleset in book.rulesets.items() if ruleset.is_judged)
    if not path.exists():
        if judged:
            raise RulesetError(
                f"the rules of {', '.join(judged)} leave rows to be judged and {FILE} is missing; nothing was read",
                hint=f"write {FILE}, or remove `judged` from the filters",
                file=str(path),
                line=1,
                column=1,
            )
        return None
    found = Diagnostics()
    file = read_yaml(path, found)
    document = None if file is None else _parse(file, found)
    if file is not None and document is not None:
        _check(file, document, book, found)
    for problem in found.in_order():
        raise problem.as_error()
    return document


def _parse(file: YamlFile, found: Diagnostics) -> RetentionSources | None:
    known: dict[str, type[Document]] = {
        "participation": ParticipationSource,
        "case": CaseSource,
        "offence": OffenceSource,
        "disposition": DispositionSource,
    }
    try:
        return RetentionSources.model_validate(file.root)
    except ValidationError as error:
        refuse_all(file, error, found, document=RetentionSources, known=known)
        return None


def _check(file: YamlFile, document: RetentionSources, book: RuleBook, found: Diagnostics) -> None:
    """Refuse tables, columns and code maps that the rules do not have."""
    for table, columns in (*document.columns.items(), (document.person, ())):
        ruleset = book.rulesets.get(table)
        if ruleset is None:
            found.refuse(file.start, f"table {table} has no rule", "name tables of the rules beside this file")
            continue
        for column in columns:
            if column not in ruleset.columns:
                found.refuse(file.start, f"table {table} has no column {column}", "name columns of its rule")
    for name in (document.participation.role_map, document.case.status_map, document.disposition.effect_map):
        if name not in book.code_maps:
            found.refuse(Mark(file.name, 1, 1), f"unknown code map {name}", "name a code map of the rules")
