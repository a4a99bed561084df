"""Parts of a rule: the canonical records a row emits, checked against the canonical model."""

from dataclasses import dataclass

from banyan.canonical.model import TABLES, CanonicalTable, Kind
from banyan.departments import Domain
from mappings.conditions import read_condition
from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import PartDocument, RulesetDocument
from mappings.fields import FieldReader, suggest_lenses
from mappings.model import Condition, FieldRule, PartRule
from mappings.repeats import SpreadPart, check_index, check_repeats, spread
from mappings.yaml_nodes import Steps, YamlFile


@dataclass(frozen=True, slots=True)
class PartReader:
    """Reads the parts of one rule file."""

    file: YamlFile
    found: Diagnostics
    columns: tuple[str, ...]

    def read_all(self, document: RulesetDocument) -> tuple[PartRule, ...]:
        """Read the parts in order; a part that is wrong is refused and left out."""
        check_repeats(self.file, document, self.found)
        parts: list[PartRule] = []
        wrong: set[Steps] = set()
        everything = spread(document)
        for part in everything:
            if part.steps in wrong:
                continue  # the other places of a group would be refused for the same reason
            known = len(self.found.found)
            read = self._read(part)
            if read is not None:
                parts.append(read)
            if len(self.found.found) > known:
                wrong.add(part.steps)
        self._check_names(everything)
        self._check_main(document)
        self._check_siblings(everything)
        return tuple(parts)

    def _check_names(self, parts: tuple[SpreadPart, ...]) -> None:
        names: set[str] = set()
        for part in parts:
            if part.document.part in names:
                self.found.refuse(
                    self.file.value_mark((*part.steps, "part")),
                    f"part {part.document.part} is written twice",
                    "give each part its own name",
                )
            names.add(part.document.part)

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

    def _check_siblings(self, parts: tuple[SpreadPart, ...]) -> None:
        names = {part.document.part for part in parts}
        refused: set[Steps] = set()
        for part in parts:
            for name, rule in part.document.fields.items():
                steps: Steps = (*part.steps, "fields", name, "part")
                if rule.part is None or (rule.part in names and rule.part != part.document.part) or steps in refused:
                    continue
                refused.add(steps)
                self.found.refuse(
                    self.file.value_mark(steps),
                    f"unknown sibling part {rule.part}",
                    suggest(rule.part, names - {part.document.part}, what="sibling parts"),
                )

    def _read(self, part: SpreadPart) -> PartRule | None:
        document, steps = part.document, part.steps
        domain = self._read_domain(document, steps)
        table = TABLES.get(document.table)
        if table is None:
            self.found.refuse(
                self.file.value_mark((*steps, "table")),
                f"unknown canonical table {document.table}",
                suggest(document.table, TABLES, what="canonical tables"),
            )
            return None
        when = self._read_when(part)
        self._check_attach(document, table, steps)
        self._check_constants(document, table, steps)
        check_index(self.file, part, table, self.found)
        fields = self._read_fields(document, table, steps)
        self._check_filled_once(part, fields)
        if domain is None:
            return None
        index = {} if part.place is None or part.place.column is None else {part.place.column: str(part.place.number)}
        return PartRule(
            name=document.part,
            table=document.table,
            domain=domain,
            main=document.main,
            fields=fields,
            when=when,
            attach=document.attach,
            constants={**document.constants, **index},
            share=() if part.place else document.share,
            place=part.place,
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

    def _read_when(self, part: SpreadPart) -> Condition | None:
        document, steps = part.document, part.steps
        if document.when is None:
            return None
        if document.main:
            self.found.refuse(
                self.file.key_mark((*steps, "when")),
                "the main part has a condition",
                "a row always emits its main part; use a filter to leave rows out",
            )
        return read_condition(
            self.file,
            (*steps, "when"),
            document.when,
            columns=self.columns,
            found=self.found,
            written=part.written.when,
        )

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

    def _check_filled_once(self, part: SpreadPart, fields: tuple[FieldRule, ...]) -> None:
        document = part.document
        filled = set(document.constants)
        if part.place is not None and part.place.column is not None:
            if part.place.column in filled:
                self.found.refuse(
                    self.file.value_mark((*part.steps, "repeat", "index")),
                    f"column {part.place.column} of part {part.place.group} is filled twice",
                    "keep one of the constant and the index",
                )
            filled.add(part.place.column)
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
