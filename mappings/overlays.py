"""Deviations of one department, laid over the rules of its system: declared, owned, dated and counted.

An overlay never copies a rule. It names the fields, codes and columns that are different in one department, and each
of them takes the place of the one in the rule before anything is checked: so a deviation is checked as a rule is, and
what it says wrong is refused in the overlay file, at its place.
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import CODE_MAPS_KEY
from mappings.model import Deviation
from mappings.overlay_documents import DeviationDocument, OverlayDocument, parse_overlay
from mappings.yaml_nodes import Steps, YamlFile, read_yaml

OVERLAYS_FOLDER = "overlays"


def find_overlays(directory: Path) -> tuple[str, ...]:
    """Give the departments that have an overlay in a directory of rules."""
    return tuple(sorted(path.stem for path in (directory / OVERLAYS_FOLDER).glob("*.yaml")))


def read_overlay(directory: Path, department: str, found: Diagnostics) -> "Overlay | None":
    """Read the overlay of a department; without a file there is nothing to lay over."""
    path = directory / OVERLAYS_FOLDER / f"{department}.yaml"
    if not department or not path.exists():
        return None
    file = read_yaml(path, found)
    document = None if file is None else parse_overlay(file, found)
    if file is None or document is None:
        return None
    if document.overlay != department:
        found.refuse(
            file.value_mark(("overlay",)),
            f"the file of department {department} speaks of department {document.overlay}",
            f"name the file {document.overlay}.yaml, or write overlay: {department!r}",
        )
    return Overlay(file, document, found)


@dataclass(slots=True)
class Overlay:
    """The overlay of one department while rules are read."""

    file: YamlFile
    document: OverlayDocument
    found: Diagnostics
    deviations: list[Deviation] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)

    @property
    def department(self) -> str:
        """Give the department."""
        return self.document.overlay

    def lay_over_rule(self, rule: YamlFile) -> None:
        """Put what deviates of a table in the place of what its rule file says."""
        table = _at(rule.root, ("source", "table"))
        for number, one in enumerate(self.document.deviations):
            if one.table is not None and one.table == table:
                self._used.add(number)
                self._lay_fields(rule, one, number)
                self._lay_columns(rule, one, number)
                self._declare(one, number, (*one.fields, *one.columns))

    def lay_over_code_maps(self, code_maps: YamlFile) -> None:
        """Put codes that deviate in the place of those of the file of code maps; a map of its own is added."""
        for number, one in enumerate(self.document.deviations):
            if one.code_map is None:
                continue
            self._used.add(number)
            place: Steps = (CODE_MAPS_KEY, one.code_map)
            for section, texts in (("entries", one.entries), ("reverse_preferred", one.reverse_preferred)):
                for code in texts:
                    self._lay(code_maps, (*place, section, code), ("deviations", number, section, code))
            self._declare(one, number, tuple(one.entries) or tuple(one.reverse_preferred))

    def _lay_fields(self, rule: YamlFile, one: DeviationDocument, number: int) -> None:
        emitted = _at(rule.root, ("emit",))
        parts = emitted if isinstance(emitted, list) else []
        places = {str(_at(part, ("part",))): at for at, part in enumerate(parts)}
        for name in one.fields:
            here: Steps = ("deviations", number, "fields", name)
            part, _, column = name.rpartition(".")
            if part not in places:
                self.found.refuse(
                    self.file.key_mark(here),
                    f"unknown part {part or name} of {one.table}",
                    f"write part.column; {suggest(part, places, what='parts')}",
                )
                continue
            self._lay(rule, ("emit", places[part], "fields", column), here)

    def _lay_columns(self, rule: YamlFile, one: DeviationDocument, number: int) -> None:
        for name, local in one.columns.items():
            here: Steps = ("deviations", number, "columns", name)
            columns = _at(rule.root, ("columns",))
            known = columns if isinstance(columns, list) else []
            if name in known:
                self.found.refuse(
                    self.file.key_mark(here),
                    f"column {name} of {one.table} is every department's",
                    "an overlay adds columns of its own; to map one otherwise, name its field",
                )
                continue
            mapped = any(name in str(rest.source) for rest in one.fields.values())
            if (local.residue_only is not None) + (local.drop is not None) + mapped != 1:
                self.found.refuse(
                    self.file.key_mark(here),
                    f"column {name} has no fate, or more than one",
                    "give exactly one: a field that reads it, residue_only with a reason, or drop with a legal basis",
                )
                continue
            rule.add_name(("columns", len(known)), name, self.file, here)
            for section in ("residue_only", "drop"):
                if self.file.has((*here, section)):
                    rule.graft((section, name), self.file, (*here, section))

    def _lay(self, rule: YamlFile, steps: Steps, here: Steps) -> None:
        if _at(rule.root, steps) == _at(self.file.root, here):
            self.found.warn(
                self.file.key_mark(here), f"{here[-1]} says what the rule says already", "remove it from the overlay"
            )
        rule.graft(steps, self.file, here)

    def _declare(self, one: DeviationDocument, number: int, changes: tuple[str, ...]) -> None:
        mark = self.file.value_mark(("deviations", number))
        if not changes:
            self.found.refuse(
                mark, "this deviation changes nothing", "name fields, columns or codes, or remove the deviation"
            )
            return
        try:
            until = date.fromisoformat(one.until)
        except ValueError:
            self.found.refuse(
                self.file.value_mark(("deviations", number, "until")),
                f"{one.until} is no day",
                "write a day that exists",
            )
            return
        subject = str(one.table or one.code_map)
        self.deviations.append(
            Deviation(
                subject, changes, one.owner, until, one.reason, self.file.value_mark(("deviations", number, "until"))
            )
        )

    def check(self, system: str, tables: list[str]) -> None:
        """Refuse what is about another system, about no table and no code map, or about a table nobody has."""
        if self.document.system != system:
            self.found.refuse(
                self.file.value_mark(("system",)),
                f"system {self.document.system} over the rules of {system}",
                f"write system: {system}",
            )
        for number, one in enumerate(self.document.deviations):
            steps: Steps = ("deviations", number)
            if (one.table is None) == (one.code_map is None):
                self.found.refuse(
                    self.file.value_mark(steps),
                    "a deviation is about one table, or about one code map",
                    "give exactly one of table and code_map",
                )
            elif one.table is not None and number not in self._used:
                self.found.refuse(
                    self.file.value_mark((*steps, "table")),
                    f"unknown table {one.table}",
                    suggest(one.table, tables, what="tables"),
                )
            self._check_sections(one, steps)

    def _check_sections(self, one: DeviationDocument, steps: Steps) -> None:
        foreign = ("entries", "reverse_preferred") if one.table is not None else ("fields", "columns")
        for section in foreign:
            if self.file.has((*steps, section)):
                about = "a table" if one.table is not None else "a code map"
                self.found.refuse(
                    self.file.key_mark((*steps, section)),
                    f"a deviation of {about} has no {section}",
                    f"remove {section}",
                )


def _at(value: object, steps: Steps) -> object:
    for step in steps:
        try:
            value = value[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return value
