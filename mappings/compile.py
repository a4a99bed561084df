"""From an accepted ruleset to plans that run: lenses bound to their columns, canonical types, code maps and zone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import polars as pl

from banyan.canonical.model import TABLES, CanonicalTable
from banyan.errors import ConfigurationError
from mappings.binding import bind_lens
from mappings.catalogue import bind_parameters, find_lens
from mappings.judging import judge_rows, place_rows
from mappings.lenses.codes import through_code_map
from mappings.lenses.lens import Lens, LensSetting
from mappings.lenses.library import LENSES
from mappings.lenses.lookups import looking_up
from mappings.model import CodeMap, FieldRule, PartRule, RuleBook, Ruleset, Scalar
from mappings.outcomes import TERM_COLUMNS, MapContext
from mappings.plans import FieldNames, FieldPlan, LensPlan, OutputPlan, PartPlan, ReferencePlan, SiblingPlan
from wire.kinds import POLARS_TYPES


@dataclass(frozen=True, slots=True)
class Compiled:
    """A ruleset that runs, for one source: `mappings.engine` maps rows with it and writes them back."""

    ruleset: Ruleset
    source: str
    """`<department>.<system>`, as identifiers hold it."""
    parts: tuple[PartPlan, ...] = field(repr=False)
    carried: tuple[str, ...]
    """Source columns that no field writes back: always residue unless null."""
    judging: tuple[pl.Expr, ...] = field(default=(), repr=False, compare=False)
    """What is told of each row once its fields were read."""
    placing: tuple[pl.Expr, ...] = field(default=(), repr=False, compare=False)
    """What of it records follow from."""

    @property
    def main(self) -> PartPlan:
        """Give the part that carries the identity of the row."""
        return next(part for part in self.parts if part.rule.main)

    @property
    def lenses(self) -> tuple[LensPlan, ...]:
        """Give the fields that lenses answer, of all parts."""
        return tuple(plan for part in self.parts for plan in part.lenses)

    @property
    def hashed(self) -> tuple[str, ...]:
        """Give the source columns that count in the digest of a row: all but the dropped ones."""
        return tuple(column for column in self.ruleset.columns if column not in self.ruleset.drop)

    @property
    def telling(self) -> tuple[str, ...]:
        """Give the source columns that fates and records follow from; of the others only residue is made."""
        ruleset, conditions = self.ruleset, [part.rule.when for part in self.parts]
        told = {column for plan in self.parts for field_plan in plan.fields for column in field_plan.rule.sources}
        told |= {*ruleset.key, *(column for part in self.parts for column in part.rule.share)}
        for rule in ruleset.filters:
            conditions.append(rule.condition)
            told |= set(rule.retention.columns if rule.retention else ()) | (
                {rule.parent.column} if rule.parent else set()
            )
        told |= {condition.column for condition in (ruleset.deletes, *conditions) if condition}
        return tuple(column for column in self.hashed if column in told)

    @property
    def owned(self) -> tuple[str, ...]:
        """Give the source columns that a field writes back."""
        return tuple(column for part in self.parts for column in part.owned)

    @property
    def written(self) -> tuple[str, ...]:
        """Give the columns of a row written back: the key, then mapped and residue-only ones, in source order."""
        others = set(self.owned) | set(self.carried)
        return (*self.ruleset.key, *(column for column in self.ruleset.columns if column in others))


@dataclass(frozen=True, slots=True)
class _Builder:
    """What the plans of one ruleset share while they are built."""

    ruleset: Ruleset
    book: RuleBook
    context: MapContext
    claimed: set[str]
    numbers: Iterator[int] = field(default_factory=count)

    def build_part(self, rule: PartRule) -> PartPlan:
        """Build the plan of one part."""
        table = self._table(rule)
        fields = tuple(self._build_field(table, field_rule) for field_rule in rule.fields)
        filled = {name for field_rule in rule.fields for name in field_rule.to}
        filled |= set(rule.constants) | ({rule.attach} if rule.attach else set())
        if rule.main and self.ruleset.is_judged and set(TERM_COLUMNS) <= set(table.column_names):
            filled |= set(TERM_COLUMNS)
        dtypes = {column.name: POLARS_TYPES[column.kind] for column in table.columns if column.name in filled}
        if len(dtypes) != len(filled):
            raise self._refuse(f"part {rule.name} fills columns that {table.name} does not have")
        constants = {
            name: pl.lit(value, dtype=pl.String).cast(dtypes[name]).alias(name)
            for name, value in rule.constants.items()
        }
        return PartPlan(rule, fields, dtypes, constants)

    def _table(self, rule: PartRule) -> CanonicalTable:
        if rule.table not in TABLES:
            raise self._refuse(f"part {rule.name} goes to {rule.table}, which is not a canonical table")
        return TABLES[rule.table]

    def _build_field(self, table: CanonicalTable, rule: FieldRule) -> FieldPlan:
        parameters = bind_parameters(rule.lens) if rule.lens else {}
        match find_lens(rule.lens).name:
            case "part":
                return SiblingPlan(rule, rule.to[0], str(parameters["name"]))
            case "ref":
                owner, part = str(parameters["target"]).split(".", 1)
                return ReferencePlan(rule, rule.to[0], owner, part, self._is_main(owner, part), self._claim(rule))
            case _:
                return self._build_lens(table, rule, parameters)

    def _build_lens(self, table: CanonicalTable, rule: FieldRule, parameters: dict[str, Scalar]) -> LensPlan:
        spec = find_lens(rule.lens)
        setting = LensSetting(parameters, self.context.time_zone, len(rule.sources))
        outputs = tuple(
            OutputPlan(name, POLARS_TYPES[table.column(name).kind], output.derived)
            for name, output in zip(rule.to, spec.outputs, strict=False)
        )
        if len(outputs) != len(rule.to):
            raise self._refuse(f"field {rule.to[0]} asks more of the lens {spec.name} than it yields")
        names, owned = FieldNames(next(self.numbers)), self._claim(rule)
        values = tuple(pl.col(names.value(number)) for number in range(len(outputs)))
        raws = tuple(self._raw(column) for column in rule.sources)
        code_map = self._code_map(rule, parameters)

        def bind(lens: Lens) -> LensPlan:
            if code_map is not None:
                lens = through_code_map(lens, code_map)
            elif lens.is_dated:
                raise self._refuse(f"field {rule.to[0]} needs a code_map for its lens {spec.name}")
            try:
                directions = lens.forward(raws, setting), lens.backward(values, setting)
            except ValueError as error:
                raise self._refuse(f"field {rule.to[0]}: {error}") from error
            bound = bind_lens(rule, outputs, names=names, owned=owned, directions=directions)
            decided = {column: tuple(texts) for column in rule.sources if (texts := self._decided(column))}
            return replace(bound, reads_nul=lens.reads_nul, decided=decided)

        if spec.name == "lookup":
            return replace(bind(LENSES[spec.name]), seat=lambda known: bind(looking_up(known)))
        return bind(LENSES[spec.name])

    def _raw(self, column: str) -> pl.Expr:
        """Give a source column as its lens reads it: as it stands, but for the texts that were decided otherwise."""
        texts = self._decided(column)
        return pl.col(column).replace(list(texts), list(texts.values())) if texts else pl.col(column)

    def _decided(self, column: str) -> dict[str, str | None]:
        """Give the raw texts of a source column that were decided to be read as other ones."""
        return {one.raw: one.text for one in self.book.read_as.get(self.ruleset.table, ()) if one.column == column}

    def _code_map(self, rule: FieldRule, parameters: dict[str, Scalar]) -> CodeMap | None:
        name = rule.code_map
        if rule.lens is not None and rule.lens.name == "code":
            name = str(parameters["map"])
        if name is None:
            return None
        if name not in self.book.code_maps:
            raise self._refuse(f"field {rule.to[0]} names the code map {name}, which the rule book does not have")
        return self.book.code_maps[name]

    def _is_main(self, table: str, part: str) -> bool:
        """Tell whether a part is the main one of its table; a table without rules has no other part."""
        ruleset = self.book.rulesets.get(table)
        return ruleset is None or ruleset.main.name == part

    def _claim(self, rule: FieldRule) -> tuple[str, ...]:
        """Give a field the source columns that no earlier field writes back; the key is never written by a field."""
        if not rule.writes_back:
            return ()
        free = tuple(column for column in rule.sources if column not in self.claimed)
        self.claimed.update(free)
        return free

    def _refuse(self, message: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.ruleset.rule_id}: {message}; nothing was mapped",
            hint="banyan map lint",
            rule=self.ruleset.rule_id,
        )


_KEPT = 256
_compiled: dict[tuple[int, int, str, str], tuple[Ruleset, RuleBook, Compiled]] = {}
"""What was compiled last, by the identity of ruleset and book, which are kept with it; a digest would not tell a
ruleset from the same one without its filters."""


def compile_ruleset(ruleset: Ruleset, book: RuleBook, context: MapContext) -> Compiled:
    """Give what maps the rows of one source table, for the source and zone of the context; it is built once."""
    place = (id(ruleset), id(book), context.source, context.time_zone)
    known = _compiled.pop(place, None) or (ruleset, book, _build(ruleset, book, context))
    _compiled[place] = known
    if len(_compiled) > _KEPT:
        del _compiled[next(iter(_compiled))]
    return known[2]


def _build(ruleset: Ruleset, book: RuleBook, context: MapContext) -> Compiled:
    builder = _Builder(ruleset, book, context, set(ruleset.key))
    parts = tuple(builder.build_part(rule) for rule in ruleset.parts)
    owned = {column for part in parts for column in part.owned}
    carried = tuple(
        column
        for column in ruleset.columns
        if column not in owned and column not in ruleset.key and column not in ruleset.drop
    )
    return Compiled(ruleset, context.source, parts, carried, judge_rows(parts, carried), place_rows(parts))
