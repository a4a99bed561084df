"""What only a source of write-once files may say, and what a part that many rows share may say elsewhere.

A record number names a row for as long as nobody writes the file again. A shared part follows from its columns alone:
its id is computed from their raw texts, in any source. Where rows change, no field of it writes back: one edit would
have to be written into every row that shares the record, and would give it another id. Its columns live as residue
then, and an edit of the shared record is listed as degraded.
"""

from dataclasses import dataclass

from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import RulesetDocument
from mappings.model import MEDIUM_COLUMNS, FieldRule, Mark, PartRule
from mappings.yaml_nodes import Steps, YamlFile

_ONCE = "write_once: true says so under source, and only of files that nobody writes again"


def check_medium_columns(file: YamlFile, document: RulesetDocument, found: Diagnostics) -> None:
    """Refuse columns of the medium that do not exist, and all of them unless the source is write-once."""
    for number, column in enumerate(document.columns):
        if not column.startswith("$"):
            continue
        mark = file.value_mark(("columns", number))
        if column not in MEDIUM_COLUMNS:
            found.refuse(
                mark, f"unknown column of the medium {column}", suggest(column, MEDIUM_COLUMNS, what="columns")
            )
        elif not document.source.write_once:
            found.refuse(mark, f"column {column} means nothing where rows come and go", _ONCE)


def check_shared(file: YamlFile, document: RulesetDocument, parts: tuple[PartRule, ...], found: Diagnostics) -> None:
    """Refuse shared parts whose rows could say different things of one record."""
    numbers = {part.part: number for number, part in enumerate(document.emit)}
    for part in parts:
        if part.share:
            _SharedPart(file, document, part, found, ("emit", numbers[part.name])).check()


@dataclass(frozen=True, slots=True)
class _SharedPart:
    """One shared part, checked at its place."""

    file: YamlFile
    document: RulesetDocument
    part: PartRule
    found: Diagnostics
    steps: Steps

    def check(self) -> None:
        place = self.file.key_mark((*self.steps, "share"))
        if self.part.main:
            self.found.refuse(place, "the main part is shared", "a row has its own main part; share another one")
        if self.part.attach is not None:
            self.found.refuse(
                self.file.key_mark((*self.steps, "attach")),
                f"part {self.part.name} is shared and attached to one row",
                "let the main part refer to it: {part: " + self.part.name + "}",
            )
        self._check_columns()
        if self.part.when is not None and self.part.when.column not in self.part.share:
            self._refuse_reading(self.part.when.column, self.file.value_mark((*self.steps, "when")))
        for rule in self.part.fields:
            self._check_field(rule)

    def _check_columns(self) -> None:
        for number, column in enumerate(self.part.share):
            mark = self.file.value_mark((*self.steps, "share", number))
            if column not in self.document.columns:
                self.found.refuse(
                    mark,
                    f"unknown source column {column}",
                    suggest(column, self.document.columns, what="columns"),
                )
            elif column in self.document.drop:
                self.found.refuse(mark, f"column {column} is dropped", "an id may not rest on what is not kept")

    def _check_field(self, rule: FieldRule) -> None:
        if rule.lens is not None and rule.lens.name == "part":
            self.found.refuse(
                rule.mark,
                f"part {self.part.name} is shared and refers to a part of one row",
                "let the part of the row refer to the shared one",
            )
        if rule.writes_back and not self.document.source.write_once:
            self.found.refuse(
                rule.mark,
                f"part {self.part.name} is shared by rows that may change, and no row alone can write "
                f"{rule.to[0]} back",
                "write_back: false keeps its columns as residue, and lists an edit as degraded",
            )
        for column in rule.sources:
            if column not in self.part.share:
                self._refuse_reading(column, rule.mark)

    def _refuse_reading(self, column: str, mark: Mark) -> None:
        self.found.refuse(
            mark,
            f"part {self.part.name} is shared and reads column {column}, which its share does not name",
            "name the column in share, or move the field to the part of the row",
        )
