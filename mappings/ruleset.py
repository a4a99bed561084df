"""Rule files become rulesets: read, checked at the border with file:line:column, then trusted inside."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from banyan.errors import RulesetError
from mappings.code_map_files import CODE_MAPS_FILE, read_code_maps
from mappings.conditions import read_condition
from mappings.crosschecks import check_book
from mappings.diagnostics import Diagnostic, Diagnostics, DiagnosticSeverity, suggest
from mappings.documents import RulesetDocument, parse_ruleset
from mappings.fates import find_uses
from mappings.filters import FilterReader
from mappings.model import Deviation, Mark, PartRule, RuleBook, Ruleset
from mappings.overlays import Overlay, read_overlay
from mappings.parts import PartReader
from mappings.seal import seal_book, seal_ruleset, used_code_maps
from mappings.write_once import check_medium_columns, check_shared
from mappings.yaml_nodes import YamlFile, read_yaml


@dataclass(frozen=True, slots=True)
class ReadRules:
    """What a directory of rules says: the book unless there are errors, and every remark."""

    book: RuleBook | None
    diagnostics: tuple[Diagnostic, ...] = field(default=())


def load_rulebook(directory: Path, *, department: str = "") -> RuleBook:
    """Read all rules of a legacy system, as a department reads them, or refuse them at the first wrong place."""
    read = read_rulebook(directory, department=department)
    if read.book is not None:
        return read.book
    errors = [one for one in read.diagnostics if one.severity is DiagnosticSeverity.ERROR]
    raise errors[0].as_error()


def read_rulebook(directory: Path, *, department: str = "") -> ReadRules:
    """Read all rules of a legacy system and every remark about them; refuses nothing by itself.

    With a department, its overlay is laid over the rules before they are checked.
    """
    if not directory.is_dir():
        raise RulesetError(
            f"{directory} is not a directory of rules; nothing was read",
            hint="name a directory such as rules/orion, with one YAML file a table and code_maps.yaml",
            file=str(directory),
            line=1,
            column=1,
        )
    found = Diagnostics()
    overlay = read_overlay(directory, department, found)
    code_maps = read_code_maps(directory, overlay, found)
    rulesets: dict[str, Ruleset] = {}
    for path in sorted(directory.glob("*.yaml")):
        if path.name == CODE_MAPS_FILE:
            continue
        ruleset = _read_file(path, overlay, found)
        if ruleset is None:
            continue
        if ruleset.table in rulesets:
            first = rulesets[ruleset.table].marks[""].file
            found.refuse(ruleset.marks[""], f"table {ruleset.table} has a rule already", f"see {first}")
            continue
        rulesets[ruleset.table] = ruleset
    if not rulesets and not found.has_errors:
        found.refuse(Mark(str(directory), 1, 1), "there is no rule here", "write one YAML file a table")
    _check_one_system(rulesets, found)
    if overlay is not None and rulesets:
        overlay.check(next(iter(rulesets.values())).system, sorted(rulesets))
    if not found.has_errors:
        check_book(rulesets, code_maps, found)
    if found.has_errors:
        return ReadRules(None, found.in_order())
    deviations = () if overlay is None else tuple(sorted(overlay.deviations, key=lambda one: one.mark.line))
    sealed = {
        table: seal_ruleset(_named(ruleset, department, deviations), code_maps) for table, ruleset in rulesets.items()
    }
    system = next(iter(sealed.values())).system
    book = RuleBook(system, sealed, code_maps, department=department, deviations=deviations)
    return ReadRules(seal_book(book), found.in_order())


def load_ruleset_file(path: Path, *, department: str = "") -> RuleBook:
    """Read one rule file with the code maps beside it, or refuse it; what it says of other tables is not checked."""
    found = Diagnostics()
    overlay = read_overlay(path.parent, department, found)
    code_maps = read_code_maps(path.parent, overlay, found)
    ruleset = _read_file(path, overlay, found)
    if ruleset is None or found.has_errors:
        raise next(one for one in found.in_order() if one.severity is DiagnosticSeverity.ERROR).as_error()
    sealed = seal_ruleset(ruleset, code_maps)
    used = {name: code_maps[name] for name in sorted(used_code_maps(ruleset)) if name in code_maps}
    return seal_book(RuleBook(ruleset.system, {ruleset.table: sealed}, used, department=department))


def _named(ruleset: Ruleset, department: str, deviations: tuple[Deviation, ...]) -> Ruleset:
    """Let the name of a ruleset that deviates say so, in every crosswalk row and in every report: `T_PROC@1+31`."""
    subjects = {one.subject for one in deviations}
    deviates = ruleset.table in subjects or bool(used_code_maps(ruleset) & subjects)
    return replace(ruleset, rule_id=f"{ruleset.rule_id}+{department}") if deviates else ruleset


def _check_one_system(rulesets: dict[str, Ruleset], found: Diagnostics) -> None:
    systems = sorted({ruleset.system for ruleset in rulesets.values()})
    for ruleset in rulesets.values():
        if ruleset.system != systems[0]:
            found.refuse(
                ruleset.marks["source.system"],
                f"system {ruleset.system} beside {systems[0]}",
                "keep the rules of one legacy system in one directory",
            )


def _read_file(path: Path, overlay: Overlay | None, found: Diagnostics) -> Ruleset | None:
    file = read_yaml(path, found)
    if file is not None and overlay is not None:
        overlay.lay_over_rule(file)
    document = None if file is None else parse_ruleset(file, found)
    if file is None or document is None:
        return None
    reader = _RulesetReader(file, document, found)
    return reader.read()


@dataclass(frozen=True, slots=True)
class _RulesetReader:
    file: YamlFile
    document: RulesetDocument
    found: Diagnostics

    def read(self) -> Ruleset | None:
        document, file, found = self.document, self.file, self.found
        known_problems = len(found.found)
        if document.draft is not None:
            self.found.refuse(
                file.key_mark(("draft",)),
                f"the rule of {document.source.table} is a draft that nobody confirmed",
                "read each guess, confirm or change it, then remove the line draft:",
            )
        self._check_columns()
        check_medium_columns(file, document, found)
        source = document.source
        deletes = None
        if source.deletes is not None:
            deletes = read_condition(file, ("source", "deletes"), source.deletes, columns=document.columns, found=found)
        parts = PartReader(file, found, document.columns).read_all(document)
        check_shared(file, document, parts, found)
        filters = FilterReader(file, found, document.columns).read_all(document.filters)
        if len(found.found) == known_problems:
            self._check_fates(parts)
            self._check_owners(parts)
        if len(found.found) > known_problems:
            return None
        rule_name, version = document.rule.split("@")
        return Ruleset(
            rule_id=f"{rule_name}@{version}",
            version=int(version),
            system=source.system,
            table=source.table,
            key=source.key,
            columns=document.columns,
            parts=parts,
            deletes=deletes,
            filters=filters,
            residue_only=document.residue_only,
            drop={column: one.legal_basis for column, one in document.drop.items()},
            side_effects=document.side_effects,
            write_once=source.write_once,
            key_reuse=source.key_reuse,
            marks=self._marks(),
        )

    def _marks(self) -> dict[str, Mark]:
        marks = {"": self.file.start, "source.system": self.file.value_mark(("source", "system"))}
        for number, column in enumerate(self.document.columns):
            marks[column] = self.file.value_mark(("columns", number))
        for column in self.document.side_effects:
            marks[f"side_effects.{column}"] = self.file.key_mark(("side_effects", column))
        return marks

    def _check_columns(self) -> None:
        columns = self.document.columns
        for number, column in enumerate(columns):
            if column in columns[:number]:
                mark = self.file.value_mark(("columns", number))
                self.found.refuse(mark, f"column {column} is listed twice", "list each source column once")
        for number, column in enumerate(self.document.source.key):
            self._check_known(column, self.file.value_mark(("source", "key", number)))
        self._check_key_reuse()
        for section in ("residue_only", "drop", "side_effects"):
            for column in getattr(self.document, section):
                self._check_known(column, self.file.key_mark((section, column)))

    def _check_key_reuse(self) -> None:
        source = self.document.source
        for number, column in enumerate(source.key_reuse):
            mark = self.file.value_mark(("source", "key_reuse", number))
            self._check_known(column, mark)
            if column in source.key:
                self.found.refuse(
                    mark, f"column {column} is the key itself", "name columns that change when the key is used again"
                )
            elif column in self.document.drop:
                self.found.refuse(
                    mark, f"column {column} is dropped", "what is not kept cannot tell that a key is used again"
                )
        if source.key_reuse and source.write_once:
            self.found.refuse(
                self.file.key_mark(("source", "key_reuse")),
                "a file that is written once uses no key again",
                "remove key_reuse, or write_once",
            )

    def _check_known(self, column: str, mark: Mark) -> None:
        if column not in self.document.columns:
            self.found.refuse(
                mark,
                f"unknown source column {column}",
                suggest(column, self.document.columns, what="columns"),
            )

    def _check_fates(self, parts: tuple[PartRule, ...]) -> None:
        document, file = self.document, self.file
        for number, column in enumerate(document.columns):
            fates = [
                name
                for name, holds in (
                    ("the key", column in document.source.key),
                    ("mapped", column not in document.source.key and bool(find_uses(parts, column))),
                    ("residue_only", column in document.residue_only),
                    ("dropped", column in document.drop),
                )
                if holds
            ]
            if not fates:
                self.found.refuse(
                    file.value_mark(("columns", number)),
                    f"column {column} has no fate",
                    f"column {column} has no fate; map it, keep it as residue, or drop it with a legal basis",
                )
            elif len(fates) > 1:
                section = "drop" if column in document.drop else "residue_only"
                self.found.refuse(
                    file.key_mark((section, column)),
                    f"column {column} has {len(fates)} fates: {' and '.join(fates)}",
                    "keep one: map it, keep it as residue, or drop it with a legal basis",
                )

    def _check_owners(self, parts: tuple[PartRule, ...]) -> None:
        for number, column in enumerate(self.document.columns):
            uses = find_uses(parts, column)
            owners = [(part, rule) for part, rule in uses if rule.writes_back]
            if column in self.document.source.key:
                continue
            if len(owners) > 1:
                names = " and ".join(f"{part.name}.{rule.to[0]}" for part, rule in owners)
                self.found.refuse(
                    owners[1][1].mark,
                    f"column {column} feeds {names}, and both write it back",
                    "declare the owner: write_back: false on every other field",
                )
            elif uses and not owners and not all(part.share for part, _ in uses):
                self.found.refuse(
                    self.file.value_mark(("columns", number)),
                    f"column {column} is mapped and no field writes it back",
                    "leave write_back out on the field that owns it",
                )
