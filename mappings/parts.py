"""Parts of a rule: the canonical records a row emits, checked against the canonical model."""

from dataclasses import dataclass

from banyan.canonical.model import TABLES, CanonicalTable, Kind
from banyan.departments import Domain
from mappings.conditions import read_condition
from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import PartDocument, RulesetDocument
from mappings.fields import FieldReader, suggest_lenses
from mappings.model import Condition, FieldRule, PartRule
from mappings.yaml_nodes import Steps, YamlFile


@dataclass(frozen=True, slots=True)
class PartReader:
    """Reads the parts of one rule file."""

    file: YamlFile
    found: Diagnostics
    columns: tuple[str, ...]

    def read_all(self, document: RulesetDocument) -> tuple[PartRule, ...]:
        """Read the parts in order; a part that is wrong is refused and left out."""
        parts: list[PartRule] = []
        names: set[str] = set()
        for number, part in enumerate(document.emit):
            steps: Steps = ("emit", number)
            if part.part in names:
                self.found.refuse(
                    self.file.value_mark((*steps, "part")),
                    f"part {part.part} is written twice",
                    "give each part its own name",
                )
            names.add(part.part)
            read = self._read(part, steps)
            if read is not None:
                parts.append(read)
        self._check_main(document)
        self._check_siblings(document, names)
        return tuple(parts)

    def _check_main(self, document: RulesetDocument) -> None:
        mains = [number for number, part in enumerate(document.emit) if part.main]
        if not mains:
            self.found.refuse(
                self.file.value_mark(("emit",)),
                "no part is the main part",
                "write main: true on the part that carries the identity of the row",
            )
        for number in mains[1:]:
            self.found.refuse(
                self.file.key_mark(("emit", number, "main")), "a second part is main", "keep one main part"
            )

    def _check_siblings(self, document: RulesetDocument, names: set[str]) -> None:
        for number, part in enumerate(document.emit):
            for name, rule in part.fields.items():
                if rule.part is not None and (rule.part not in names or rule.part == part.part):
                    self.found.refuse(
                        self.file.value_mark(("emit", number, "fields", name, "part")),
                        f"unknown sibling part {rule.part}",
                        suggest(rule.part, names - {part.part}, what="sibling parts"),
                    )

    def _read(self, document: PartDocument, steps: Steps) -> PartRule | None:
        domain = self._read_domain(document, steps)
        table = TABLES.get(document.table)
        if table is None:
            self.found.refuse(
                self.file.value_mark((*steps, "table")),
                f"unknown canonical table {document.table}",
                suggest(document.table, TABLES, what="canonical tables"),
            )
            return None
        when = self._read_when(document, steps)
        self._check_attach(document, table, steps)
        self._check_constants(document, table, steps)
        fields = self._read_fields(document, table, steps)
        self._check_filled_once(document, fields, steps)
        if domain is None:
            return None
        return PartRule(
            name=document.part,
            table=document.table,
            domain=domain,
            main=document.main,
            fields=fields,
            when=when,
            attach=document.attach,
            constants=document.constants,
            share=document.share,
            mark=self.file.value_mark(steps),
        )

    def _read_domain(self, document: PartDocument, steps: Steps) -> Domain | None:
        known = {domain.value: domain for domain in Domain}
        if document.domain not in known:
            self.found.refuse(
                self.file.value_mark((*steps, "domain")),
                f"unknown domain {document.domain}",
                suggest(document.domain, known, what="domains"),
            )
        return known.get(document.domain)

    def _read_when(self, document: PartDocument, steps: Steps) -> Condition | None:
        if document.when is None:
            return None
        if document.main:
            self.found.refuse(
                self.file.key_mark((*steps, "when")),
                "the main part has a condition",
                "a row always emits its main part; use a filter to leave rows out",
            )
        return read_condition(self.file, (*steps, "when"), document.when, columns=self.columns, found=self.found)

    def _check_attach(self, document: PartDocument, table: CanonicalTable, steps: Steps) -> None:
        if document.attach is None:
            return
        references = [column.name for column in table.columns if column.kind is Kind.UUID]
        if document.main or document.attach not in references:
            problem = (
                "the main part attaches to nothing"
                if document.main
                else f"column {document.attach} of {table.name} cannot hold an id"
            )
            self.found.refuse(
                self.file.value_mark((*steps, "attach")),
                problem,
                "remove attach" if document.main else suggest(document.attach, references, what="columns"),
            )

    def _check_constants(self, document: PartDocument, table: CanonicalTable, steps: Steps) -> None:
        kinds = {column.name: column.kind for column in table.columns}
        for name in document.constants:
            mark = self.file.key_mark((*steps, "constants", name))
            if name not in kinds:
                self.found.refuse(mark, f"unknown column {name} of {table.name}", suggest(name, kinds, what="columns"))
            elif kinds[name] is not Kind.TEXT:
                self.found.refuse(
                    mark,
                    f"column {name} is {kinds[name].value}, a constant is text",
                    suggest_lenses(kinds[name]),
                )

    def _read_fields(self, document: PartDocument, table: CanonicalTable, steps: Steps) -> tuple[FieldRule, ...]:
        reader = FieldReader(self.file, self.found, self.columns, table)
        read = (reader.read(name, field, (*steps, "fields", name)) for name, field in document.fields.items())
        return tuple(rule for rule in read if rule is not None)

    def _check_filled_once(self, document: PartDocument, fields: tuple[FieldRule, ...], steps: Steps) -> None:
        filled = set(document.constants)
        if document.attach is not None:
            filled.add(document.attach)
        for rule in fields:
            for column in rule.to:
                if column in filled:
                    self.found.refuse(
                        rule.mark,
                        f"column {column} of part {document.part} is filled twice",
                        "keep one of the field, the constant and attach",
                    )
                filled.add(column)
