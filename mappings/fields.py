"""Fields of a part: lenses with their parameters, canonical columns with their kinds, all checked at their place."""

from dataclasses import dataclass

from banyan.canonical.model import CanonicalTable, Kind
from mappings.catalogue import LENSES, VERBATIM, LensSpec, ParameterKind
from mappings.conditions import refuse_column
from mappings.conflict_policies import find_conflict_problem, read_conflict
from mappings.diagnostics import Diagnostics, suggest
from mappings.documents import FieldDocument
from mappings.expression import ExpressionError, ParsedLens, parse_lens
from mappings.model import FieldRule, LensCall, Mark, Scalar, Severity
from mappings.tolerances import find_tolerance_problem, read_tolerance
from mappings.yaml_nodes import Steps, YamlFile


@dataclass(frozen=True, slots=True)
class FieldReader:
    """Reads the fields of one part of one rule file."""

    file: YamlFile
    found: Diagnostics
    columns: tuple[str, ...]
    table: CanonicalTable

    def read(self, name: str, document: FieldDocument, steps: Steps) -> FieldRule | None:
        """Read one field; one that is wrong is refused and gives nothing."""
        known = len(self.found.found)
        if document.guess is not None:
            self.found.refuse(
                self.file.key_mark((*steps, "guess")),
                f"the lens of column {name} is a guess that nobody confirmed",
                f"write lens: {document.guess} in place of guess: where it is right, or another lens",
            )
            return None
        to = (name, *document.also)
        self._check_targets(to, steps)
        sources = self._read_sources(document, steps)
        lens, spec = self._read_lens(document, steps)
        if spec is not None:
            self._check_inputs(spec, sources, steps)
            self._check_outputs(spec, to, document, steps)
        tolerance = read_tolerance(document.tolerance)
        if tolerance is not None and (problem := find_tolerance_problem(tolerance, to, self.table, lens)):
            self.found.refuse(self.file.value_mark((*steps, "tolerance")), *problem)
        conflict = read_conflict(document.conflict)
        if conflict is not None:
            problem = find_conflict_problem(conflict, lens, document.code_map, writes_back=document.write_back)
            if problem is not None:
                self.found.refuse(self.file.value_mark((*steps, "conflict")), *problem)
        if len(self.found.found) > known:
            return None
        return FieldRule(
            to=to,
            sources=sources,
            lens=lens,
            code_map=document.code_map,
            severity=Severity(document.severity),
            writes_back=document.write_back,
            tolerance=tolerance,
            conflict=conflict,
            mark=self.file.key_mark(steps),
        )

    def _check_targets(self, to: tuple[str, ...], steps: Steps) -> None:
        known = self.table.column_names
        for number, column in enumerate(to):
            if column in known:
                continue
            mark = self.file.key_mark(steps) if number == 0 else self._also_mark(steps, number - 1)
            self.found.refuse(
                mark,
                f"unknown column {column} of {self.table.name}",
                suggest(column, known, what="columns"),
            )

    def _also_mark(self, steps: Steps, number: int) -> Mark:
        return self.file.value_mark((*steps, "also", number))

    def _read_sources(self, document: FieldDocument, steps: Steps) -> tuple[str, ...]:
        if document.source is None:
            if document.part is None:
                self.found.refuse(
                    self.file.value_mark(steps),
                    "a field has neither from nor part",
                    "name its source column with from, or a sibling part with part",
                )
            return ()
        if document.part is not None:
            self.found.refuse(
                self.file.key_mark((*steps, "part")), "a field has both from and part", "keep one of the two"
            )
        single = isinstance(document.source, str)
        sources = (document.source,) if isinstance(document.source, str) else document.source
        for number, column in enumerate(sources):
            if column not in self.columns:
                place = (*steps, "from") if single else (*steps, "from", number)
                refuse_column(self.file, column, file_mark=(place, 0), columns=self.columns, found=self.found)
        return sources

    def _read_lens(self, document: FieldDocument, steps: Steps) -> tuple[LensCall | None, LensSpec | None]:
        if document.part is not None:
            for key in ("lens", "code_map", "also"):
                if self.file.has((*steps, key)):
                    self.found.refuse(
                        self.file.key_mark((*steps, key)),
                        f"a sibling part takes no {key}",
                        f"remove {key}",
                    )
            return LensCall("part", (document.part,)), LENSES["part"]
        if document.lens is None:
            return None, VERBATIM
        place = (*steps, "lens")
        try:
            parsed = parse_lens(document.lens)
        except ExpressionError as error:
            self.found.refuse(self.file.mark_inside(place, error.offset), error.message, error.suggestion)
            return None, None
        spec = LENSES.get(parsed.call.name)
        if spec is None or spec.name == "part":
            self.found.refuse(
                self.file.mark_inside(place, parsed.name_offset),
                f"unknown lens {parsed.call.name}",
                suggest(parsed.call.name, LENSES.keys() - {"part"}, what="lenses"),
            )
            return None, None
        self._check_parameters(spec, parsed, place)
        return parsed.call, spec

    def _check_parameters(self, spec: LensSpec, parsed: ParsedLens, place: Steps) -> None:
        call = parsed.call
        given: dict[str, tuple[Scalar, int]] = {}
        for number, value in enumerate(call.args):
            offset = parsed.argument_offsets[number]
            if number >= len(spec.parameters):
                self.found.refuse(
                    self.file.mark_inside(place, offset),
                    f"lens {spec.name} takes {len(spec.parameters)} parameters",
                    _usage(spec),
                )
                return
            given[spec.parameters[number].name] = (value, offset)
        for number, (name, value) in enumerate(call.kwargs.items(), start=len(call.args)):
            offset = parsed.argument_offsets[number]
            if name in given or name not in {parameter.name for parameter in spec.parameters}:
                problem = "is given twice" if name in given else "is unknown"
                self.found.refuse(
                    self.file.mark_inside(place, offset),
                    f"parameter {name} of lens {spec.name} {problem}",
                    _usage(spec, name),
                )
                return
            given[name] = (value, offset)
        self._check_values(spec, given, place)

    def _check_values(self, spec: LensSpec, given: dict[str, tuple[Scalar, int]], place: Steps) -> None:
        for parameter in spec.parameters:
            if parameter.name not in given:
                if parameter.required:
                    self.found.refuse(
                        self.file.mark_inside(place, 0),
                        f"lens {spec.name} lacks its parameter {parameter.name}",
                        _usage(spec),
                    )
                continue
            value, offset = given[parameter.name]
            is_number = isinstance(value, int)
            wanted_number = parameter.kind is ParameterKind.NUMBER
            if is_number != wanted_number or (isinstance(value, int) and value < 0):
                wanted = "a whole number" if wanted_number else "a text"
                self.found.refuse(
                    self.file.mark_inside(place, offset),
                    f"parameter {parameter.name} of lens {spec.name} must be {wanted}",
                    _usage(spec),
                )

    def _check_inputs(self, spec: LensSpec, sources: tuple[str, ...], steps: Steps) -> None:
        fewest, most = spec.inputs
        if sources and not fewest <= len(sources) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            self.found.refuse(
                self.file.value_mark((*steps, "from")),
                f"lens {spec.name} reads {wanted} source column(s), {len(sources)} given",
                f"{spec.name} reads: {spec.domain}",
            )

    def _check_outputs(self, spec: LensSpec, to: tuple[str, ...], document: FieldDocument, steps: Steps) -> None:
        if len(to) > len(spec.outputs):
            self.found.refuse(
                self._also_mark(steps, len(spec.outputs) - 1),
                f"lens {spec.name} yields {len(spec.outputs)} column(s), {len(to)} named",
                f"{spec.name} yields: {', '.join(output.name for output in spec.outputs)}",
            )
            return
        kinds = {column.name: column.kind for column in self.table.columns}
        for number, (column, output) in enumerate(zip(to, spec.outputs, strict=False)):
            wanted = kinds.get(column)
            if wanted is None or wanted in output.kinds:
                continue
            mark = self.file.key_mark(steps) if number == 0 else self._also_mark(steps, number - 1)
            self.found.refuse(
                mark,
                f"column {column} is {wanted.value}, lens {spec.name} yields {_kinds(output.kinds)}",
                suggest_lenses(wanted),
            )
        if document.code_map is not None and Kind.TEXT not in spec.outputs[0].kinds:
            self.found.refuse(
                self.file.key_mark((*steps, "code_map")),
                f"lens {spec.name} yields no code",
                "a code map follows a lens that yields text",
            )


def _kinds(kinds: frozenset[Kind]) -> str:
    return " or ".join(sorted(kind.value for kind in kinds))


def suggest_lenses(kind: Kind) -> str:
    """Say which lenses fill a column of a kind."""
    names = sorted(spec.name for spec in LENSES.values() if kind in spec.outputs[0].kinds)
    return f"lenses that yield {kind.value}: {', '.join(names)}" if names else f"no lens yields {kind.value}"


def _usage(spec: LensSpec, word: str = "") -> str:
    if not spec.parameters:
        return f"write {spec.name} without parameters"
    names = [parameter.name for parameter in spec.parameters]
    usage = f"write {spec.name}({', '.join(f'{name}: ...' for name in names)})"
    return f"{suggest(word, names, what='parameters')}; {usage}" if word else usage
