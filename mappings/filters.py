"""Filters: why a row is not loaded, by name and with a legal basis."""

from dataclasses import dataclass

from mappings.conditions import read_condition, refuse_column
from mappings.diagnostics import Diagnostics
from mappings.documents import FilterDocument
from mappings.model import FilterRule, Parent, Retention
from mappings.yaml_nodes import Steps, YamlFile


@dataclass(frozen=True, slots=True)
class FilterReader:
    """Reads the filters of one rule file."""

    file: YamlFile
    found: Diagnostics
    columns: tuple[str, ...]

    def read_all(self, documents: tuple[FilterDocument, ...]) -> tuple[FilterRule, ...]:
        """Read the filters in order; one that is wrong is refused and left out."""
        names: set[str] = set()
        rules: list[FilterRule] = []
        for number, document in enumerate(documents):
            steps: Steps = ("filters", number)
            if document.rule in names:
                self.found.refuse(
                    self.file.value_mark((*steps, "rule")),
                    f"filter {document.rule} is written twice",
                    "give each filter its own name",
                )
            names.add(document.rule)
            given = [key for key in ("when", "retention", "parent", "judged") if self.file.has((*steps, key))]
            if len(given) != 1:
                self.found.refuse(
                    self.file.value_mark(steps),
                    f"filter {document.rule} says {' and '.join(given) or 'no reason'}",
                    "give exactly one of when, retention, parent and judged",
                )
                continue
            rules.append(self._read(document, steps))
        return tuple(rules)

    def _read(self, document: FilterDocument, steps: Steps) -> FilterRule:
        condition = None
        if document.when is not None:
            condition = read_condition(
                self.file, (*steps, "when"), document.when, columns=self.columns, found=self.found
            )
        return FilterRule(
            name=document.rule,
            basis=document.legal_basis,
            basis_fr=document.legal_basis_fr or document.legal_basis,
            condition=condition,
            retention=self._read_retention(document, steps),
            parent=self._read_parent(document, steps),
            judged=document.judged is not None,
            mark=self.file.value_mark(steps),
        )

    def _read_retention(self, document: FilterDocument, steps: Steps) -> Retention | None:
        retention = document.retention
        if retention is None:
            return None
        for number, column in enumerate(retention.columns):
            self._check_column(column, (*steps, "retention", "columns", number), offset=0)
        return Retention(retention.columns, retention.before.replace("-", ""))

    def _read_parent(self, document: FilterDocument, steps: Steps) -> Parent | None:
        if document.parent is None:
            return None
        table, column = document.parent.split(" via ")
        self._check_column(column, (*steps, "parent"), offset=len(table) + len(" via "))
        return Parent(table, column)

    def _check_column(self, column: str, steps: Steps, *, offset: int) -> None:
        if column not in self.columns:
            refuse_column(self.file, column, file_mark=(steps, offset), columns=self.columns, found=self.found)
