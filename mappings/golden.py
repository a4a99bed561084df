"""Golden records: invented legacy rows that say what a ruleset must make of them, checked there and back.

They stand beside the rules, `golden/<table>.yaml`, and hold no row of a real person. Each one is mapped, written back
untouched (which must give the very bytes), and, for each edit it lists, written back once more: the legacy columns that
it names change, and no other.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from banyan.canonical.model import TABLES
from banyan.records import KEY_SEPARATOR
from mappings.diagnostics import Diagnostic, Diagnostics, suggest
from mappings.engine import Compiled, Lookups, MapContext, Mapped, apply_forward, compile_ruleset, write_back
from mappings.explain import fate_of, own_references, with_owners
from mappings.golden_documents import EditDocument, Expected, GoldenDocument, ReferenceDocument, parse_golden
from mappings.golden_values import read_value, show_value
from mappings.identity import NAMESPACE, reference_uuid5
from mappings.lenses.lookups import LOOKED_UP
from mappings.model import Mark, PartRule, RuleBook
from mappings.residue import unpack
from mappings.yaml_nodes import Steps, YamlFile, read_yaml

GOLDEN_FOLDER = "golden"
_TAIL = ("id", "department_code", "domain_code", "origin", "source_key", "main_id")


@dataclass(frozen=True, slots=True)
class GoldenDifference:
    """One thing that a golden record expects and the rules do not do; its values are invented and may be shown."""

    place: str
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """What became of one golden record."""

    table: str
    name: str
    mark: Mark
    differences: tuple[GoldenDifference, ...]

    @property
    def holds(self) -> bool:
        """Tell whether the rules do what the record expects."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class GoldenRun:
    """All golden records of a directory: results, what could not be read, and the tables that have none."""

    results: tuple[GoldenResult, ...]
    diagnostics: tuple[Diagnostic, ...]
    without: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Tell whether everything was read and every record holds."""
        return not self.diagnostics and all(one.holds for one in self.results)


def run_golden(book: RuleBook, directory: Path, *, tables: Collection[str] = ()) -> GoldenRun:
    """Run the golden records of a directory of rules, or of these tables, against the rules as they are."""
    found = Diagnostics()
    results: list[GoldenResult] = []
    seen: set[str] = set()
    for path in sorted((directory / GOLDEN_FOLDER).glob("*.yaml")):
        file = read_yaml(path, found)
        document = None if file is None else parse_golden(file, found)
        if file is None or document is None or (tables and document.golden not in tables):
            continue
        if document.golden not in book.rulesets:
            hint = suggest(document.golden, book.rulesets, what="tables")
            found.refuse(file.value_mark(("golden",)), f"unknown table {document.golden}", hint)
            continue
        seen.add(document.golden)
        context = MapContext(document.department, book.system, document.time_zone, bytes(32), date(2000, 1, 1))
        compiled = compile_ruleset(book.rulesets[document.golden], book, context)
        for number, record in enumerate(document.records):
            bench = _Bench(compiled, context, record, file, ("records", number), found)
            results.append(bench.run())
    without = tuple(sorted(set(tables or book.rulesets) - seen))
    return GoldenRun(tuple(results), found.in_order(), without)


@dataclass(slots=True)
class _Bench:
    """One golden record on the bench."""

    compiled: Compiled
    context: MapContext
    record: GoldenDocument
    file: YamlFile
    steps: Steps
    found: Diagnostics
    differences: list[GoldenDifference] = field(default_factory=list)

    def run(self) -> GoldenResult:
        ruleset = self.compiled.ruleset
        if self._knows_its_columns():
            mapped = self._map()
            self._judge_fate(mapped)
            if not self.differences and self.record.fate == "LOADED":
                self._judge_records(mapped)
                self._judge_cells(mapped)
                self._judge_way_back(mapped, EditDocument(edit={}, writes={}, degraded={}), "untouched", steps=())
                for number, edit in enumerate(self.record.edits):
                    self._judge_way_back(mapped, edit, f"edit {number + 1}", steps=("edits", number, "edit"))
        mark = self.file.value_mark((*self.steps, "name"))
        return GoldenResult(ruleset.table, self.record.name, mark, tuple(self.differences))

    def _knows_its_columns(self) -> bool:
        known, before = self.compiled.ruleset.columns, len(self.found.found)
        for column in self.record.row:
            if column not in known:
                mark = self.file.key_mark((*self.steps, "row", column))
                self.found.refuse(mark, f"unknown source column {column}", suggest(column, known, what="columns"))
        return len(self.found.found) == before

    def _expect(self, place: str, expected: object, found: object) -> None:
        if expected != found:
            self.differences.append(GoldenDifference(place, _said(expected), _said(found)))

    def _rows(self) -> pl.DataFrame:
        columns = self.compiled.hashed
        return pl.DataFrame(
            [{column: self.record.row.get(column) for column in columns}], schema=dict.fromkeys(columns, pl.String)
        )

    def _map(self) -> Mapped:
        filtered = {table: pl.Series("key", keys, pl.String) for table, keys in self.record.filtered.items()}
        context = MapContext(
            self.context.department_code, self.context.system_code, self.context.time_zone, self.context.digest_key,
            as_of=self.context.as_of, filtered=filtered, looked_up=self._looked_up(),
        )  # fmt: skip
        return apply_forward(self.compiled, self._rows(), context)

    def _looked_up(self) -> dict[str, pl.DataFrame]:
        return {
            target: pl.DataFrame({"key": list(rows), "value": list(rows.values())}, schema=LOOKED_UP)
            for target, rows in self.record.looked_up.items()
        }

    def _judge_fate(self, mapped: Mapped) -> None:
        fate, reason = fate_of(mapped)
        self._expect("fate", self.record.fate, fate.value)
        if self.record.reason is not None:
            self._expect("reason", self.record.reason, reason)

    def _judge_records(self, mapped: Mapped) -> None:
        ids = self._ids(mapped)
        for part in self.compiled.ruleset.parts:
            expected, frame = self.record.records.get(part.name), mapped.parts[part.name]
            if expected is None or frame.is_empty():
                self._expect(f"record {part.name}", "there" if expected is not None else "absent",
                             "absent" if frame.is_empty() else "there")  # fmt: skip
                continue
            found = {name: value for name, value in frame.row(0, named=True).items() if name not in _TAIL}
            for name in sorted({*expected, *(one for one, value in found.items() if value is not None)}):
                wanted = self._wanted(part, expected, name, ids)
                self._expect(f"record {part.name}.{name}", wanted, show_value(found.get(name)))
        for name in self.record.records:
            if name not in ids and name not in mapped.parts:
                self._expect(f"record {name}", "there", "no such part")

    def _ids(self, mapped: Mapped) -> dict[str, bytes]:
        """Give the identifier of each part of the row, to be referred to."""
        return {name: frame["id"][0] for name, frame in mapped.parts.items() if not frame.is_empty()}

    def _wanted(self, part: PartRule, expected: Expected, name: str, ids: Mapping[str, bytes]) -> str | None:
        wanted = expected.get(name)
        if isinstance(wanted, ReferenceDocument):
            return show_value(self._identifier(wanted, ids))
        return wanted

    def _identifier(self, reference: ReferenceDocument, ids: Mapping[str, bytes]) -> bytes | None:
        if reference.part is not None:
            return ids.get(reference.part)
        table, _, part = str(reference.ref).partition(".")
        key = reference.key if isinstance(reference.key, str) else KEY_SEPARATOR.join(reference.key or ())
        return reference_uuid5(self.context.source, table, part, key=key)

    def _judge_cells(self, mapped: Mapped) -> None:
        rejected = dict(mapped.rejected_fields.select("column", "cause").rows())
        for column in sorted({*self.record.rejected, *rejected}):
            self._expect(f"rejected {column}", self.record.rejected.get(column), rejected.get(column))
        ruleset = self.compiled.ruleset
        cells = unpack(mapped.crosswalk["residue"], range(len(ruleset.columns)))
        kept = {ruleset.columns[number] for number, cell in cells.items() if cell["kept"][0]}
        owned = kept - set(self.compiled.carried)
        self._expect("residue", ", ".join(sorted(self.record.residue)), ", ".join(sorted(owned)))

    def _judge_way_back(self, mapped: Mapped, edit: EditDocument, name: str, *, steps: Steps) -> None:
        parts = with_owners(mapped, self.compiled)
        ids = self._ids(mapped)
        lookups = own_references(self.compiled, mapped, self._rows())
        known = dict(lookups.keys_by_id)
        for part, values in edit.edit.items():
            if part not in parts:
                self._expect(f"{name}: part {part}", "there", "no such part")
                return
            place = (*self.steps, *steps, part)
            parts[part] = parts[part].clear() if values is None else self._edited(part, values, parts, (ids, place))
            for reference in (values or {}).values():
                if isinstance(reference, ReferenceDocument) and reference.ref is not None:
                    table, key = reference.ref.split(".")[0], reference.key
                    text = key if isinstance(key, str) else KEY_SEPARATOR.join(key or ())
                    more = pl.DataFrame({"id": [self._identifier(reference, ids)], "key": [text]})
                    known[table] = pl.concat([known[table], more]) if table in known else more
        rows = self._rows()
        written = write_back(self.compiled, parts, mapped.crosswalk, Lookups(known, rows, self._looked_up()))
        after = written.rows.row(0, named=True)
        for column in self.compiled.written:
            wanted = edit.writes[column] if column in edit.writes else self.record.row.get(column)
            self._expect(f"{name}: writes {column}", wanted, after[column])
        degraded = dict(written.degraded.select("column", "kind").rows())
        for column in sorted({*edit.degraded, *degraded}):
            self._expect(f"{name}: degraded {column}", edit.degraded.get(column), degraded.get(column))

    def _edited(
        self,
        name: str,
        values: Expected,
        parts: Mapping[str, pl.DataFrame],
        known: tuple[Mapping[str, bytes], Steps],
    ) -> pl.DataFrame:
        """Change a record, or let it be born beside the others."""
        frame, (ids, place) = parts[name], known
        part = self.compiled.ruleset.part(name)
        if frame.is_empty():
            main_id = ids[self.compiled.ruleset.main.name]
            born = uuid.uuid5(NAMESPACE, f"golden {name}").bytes
            record: dict[str, object] = dict(part.constants) | {"id": born, "main_id": main_id}
            record |= {part.attach: main_id} if part.attach else {}
        else:
            record = frame.row(0, named=True)
        for column, value in values.items():
            record[column] = self._new_value(part, column, value, (ids, (*place, column)))
        typed = {name: record.get(name) for name in frame.columns}
        return pl.DataFrame([typed], schema_overrides=dict(frame.schema), strict=False)

    def _new_value(
        self,
        part: PartRule,
        column: str,
        value: ReferenceDocument | str | None,
        known: tuple[Mapping[str, bytes], Steps],
    ) -> object:
        ids, place = known
        table = TABLES[part.table]
        if column not in table.column_names:
            hint = suggest(column, table.column_names, what="columns")
            self.found.refuse(self.file.key_mark(place), f"unknown column {column} of {table.name}", hint)
            return None
        if isinstance(value, ReferenceDocument):
            return self._identifier(value, ids)
        kind = table.column(column).kind
        try:
            return read_value(value, kind)
        except (ValueError, KeyError, ArithmeticError):
            self.found.refuse(self.file.value_mark(place), f"column {column} is {kind.value}", "write a value of it")
            return None


def _said(value: object) -> str | None:
    return None if value is None else str(value)
