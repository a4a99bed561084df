"""The suites of a project, in its folder `suites`: rules of its own and other weights, laid over those shipped.

A file stands for one canonical table, in the form of the shipped ones; a folder named after a department holds what is
said for it alone. What is shipped is never taken away: rules are added, a floor may only rise, and a
rule that weighs something else says so with an owner and a reason, which the level repeats in the evidence.

```yaml
suite: case_file
table: case_file
row_floor: 1000
rules: []          # as in the shipped suites; may be left out
weigh:
  - {id: case_file.case_number_normalised_present, severity: BLOCK, owner: steward, reason: "letter 12 of 3 March"}
```
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from banyan.canonical.model import TABLES
from banyan.findings import Severity
from mappings.diagnostics import Diagnostics, DiagnosticSeverity, suggest
from mappings.yaml_nodes import YamlFile, read_yaml
from validation.suites import (
    DATES,
    NO_DATE,
    Document,
    Rule,
    RuleDocument,
    Suite,
    Weighed,
    Words,
    check_rule,
    load_suites,
    read_rule,
    refuse_shape,
)

FOLDER = "suites"


class _Weight(Document):
    id: Words
    severity: Severity
    owner: Words
    reason: Words


class _OwnSuite(Document):
    suite: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    table: Words
    row_floor: Annotated[int, Field(ge=0)] = 0
    rules: tuple[RuleDocument, ...] = ()
    weigh: tuple[_Weight, ...] = ()


def suites_of(project: Path, department_code: str) -> tuple[Suite, ...]:
    """Give the shipped suites with what a project says, then what it says for one department, laid over them."""
    return lay_over(load_suites(), project, department_code)


def lay_over(suites: Sequence[Suite], project: Path, department_code: str) -> tuple[Suite, ...]:
    """Lay what a project says over suites, or refuse it at the first wrong place; changes nothing."""
    laid = {suite.table: suite for suite in suites}
    found = Diagnostics()
    for folder in (project / FOLDER, project / FOLDER / department_code):
        for path in sorted(folder.glob("*.yaml")):
            _lay(path, laid, found)
    for one in found.in_order():
        if one.severity is DiagnosticSeverity.ERROR:
            raise one.as_error()
    return tuple(laid[table] for table in sorted(laid))


def _lay(path: Path, laid: dict[str, Suite], found: Diagnostics) -> None:
    known = len(found.found)
    file = read_yaml(path, found)
    document = None if file is None or len(found.found) > known else _read(file, found)
    if file is None or document is None:
        return
    _Layer(file, document, laid, found).check()
    if len(found.found) > known:
        return
    under = laid.get(document.table, Suite(document.suite, document.table, 0, ()))
    weights = {each.id: each for each in document.weigh}
    rules = (*under.rules, *(read_rule(each) for each in document.rules))
    laid[document.table] = replace(
        under,
        row_floor=max(under.row_floor, document.row_floor),
        rules=tuple(_weighed(rule, weights) for rule in rules),
        digest=sha256(f"{under.digest}\n{file.text}".encode()).hexdigest(),
        weighed=(*under.weighed, *_said(under, weights)),
    )


def _read(file: YamlFile, found: Diagnostics) -> _OwnSuite | None:
    try:
        document = _OwnSuite.model_validate(yaml.safe_load(file.text))
    except ValidationError as error:
        refuse_shape(file, error, found, form=_OwnSuite)
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
    return document


@dataclass(frozen=True, slots=True)
class _Layer:
    """One file of a project before it is laid over the suites."""

    file: YamlFile
    document: _OwnSuite
    laid: Mapping[str, Suite]
    found: Diagnostics

    def check(self) -> None:
        """Refuse a file that says nothing, a rule that exists already, a weight of no rule or the same as before."""
        file, document, found = self.file, self.document, self.found
        if not document.rules and not document.weigh and not document.row_floor:
            found.refuse(file.start, "this suite says nothing", "write rules, weigh, or a row_floor")
        under = self.laid.get(document.table)
        severities = {rule.rule_id: rule.severity for rule in (under.rules if under else ())}
        for number, rule in enumerate(document.rules):
            check_rule(file, ("rules", number), (rule, document.table), found)
            if rule.id in severities:
                place = file.value_mark(("rules", number, "id"))
                found.refuse(place, f"rule {rule.id} exists already", "give it another name, or write it under weigh")
            severities[rule.id] = rule.severity
        weighed: set[str] = set()
        for number, weight in enumerate(document.weigh):
            place = file.value_mark(("weigh", number, "id"))
            if under is None or weight.id not in {rule.rule_id for rule in under.rules}:
                known = [rule.rule_id for rule in (under.rules if under else ())]
                found.refuse(place, f"there is no rule {weight.id} to weigh", suggest(weight.id, known, what="rules"))
            elif severities[weight.id] is weight.severity:
                found.refuse(place, f"rule {weight.id} weighs {weight.severity} already", "take this line out")
            elif weight.id in weighed:
                found.refuse(place, f"rule {weight.id} is weighed twice", "keep one of the two")
            weighed.add(weight.id)


def _weighed(rule: Rule, weights: Mapping[str, _Weight]) -> Rule:
    weight = weights.get(rule.rule_id)
    return rule if weight is None else replace(rule, severity=weight.severity)


def _said(under: Suite, weights: Mapping[str, _Weight]) -> Iterator[Weighed]:
    for rule in under.rules:
        if (weight := weights.get(rule.rule_id)) is not None:
            yield Weighed(rule.rule_id, rule.severity, weight.severity, weight.owner, weight.reason)


def say_weights(suites: Sequence[Suite]) -> str:
    """Say in one sentence which rules weigh something else in this project; empty where none does."""
    said = [
        f"{each.rule_id} {each.before.value} -> {each.after.value} ({each.owner}: {each.reason})"
        for suite in suites
        for each in suite.weighed
    ]
    return f"weighed otherwise by the project: {', '.join(said)}" if said else ""
