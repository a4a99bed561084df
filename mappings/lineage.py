"""Column lineage: which source column makes which canonical column, by which rule; read off the rules alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from mappings.catalogue import bind_parameters, find_lens
from mappings.lenses.lookups import column_of, table_of
from mappings.lookups import LOOKUP_LENS, target_of
from mappings.model import FieldRule, PartRule, RuleBook, Ruleset


class Way(StrEnum):
    """How a canonical column comes to its value."""

    READ = "read"
    """A lens reads it from the source column."""
    DERIVED = "derived"
    """Recomputed from what the lens reads; it has no way back of its own."""
    LOOKED_UP = "looked up"
    """The text of a column of another table, in the row whose key the rule's own table holds."""
    LOOKUP_KEY = "look-up key"
    """The key of the row of another table whose text it takes."""
    REFERENCE = "reference"
    """The identifier of another row, whose key stands in the source column."""
    KEY = "key"
    """The identifier of the row itself, or of a part beside it, computed from the key."""
    CONSTANT = "constant"
    """A text of the rule."""
    CONDITION = "condition"
    """Whether the record exists at all depends on the source column."""


@dataclass(frozen=True, slots=True)
class ColumnLineage:
    """One step from a source column to a canonical column; `column` is empty where no source column is read."""

    table: str
    column: str
    canonical_table: str
    canonical_column: str
    """Empty where the source column decides whether the record exists."""
    part: str
    domain: str
    rule_id: str
    way: Way
    lens: str
    code_map: str | None
    is_written_back: bool
    """Whether an edit of the canonical column is written into this source column."""


_WAYS = {"ref": Way.REFERENCE, LOOKUP_LENS: Way.LOOKUP_KEY}


def column_lineage(book: RuleBook) -> tuple[ColumnLineage, ...]:
    """Give every step of every rule, tables by name, parts and fields in their order."""
    return tuple(step for table in sorted(book.rulesets) for step in _of_ruleset(book.rulesets[table]))


def _of_ruleset(ruleset: Ruleset) -> Iterator[ColumnLineage]:
    for part in ruleset.parts:
        yield from _of_identity(ruleset, part)
        if part.when is not None:
            yield _step(ruleset, part, part.when.column, "", Way.CONDITION, lens=str(part.when))
        for rule in part.fields:
            yield from _of_field(ruleset, part, rule)
        for column in part.constants:
            yield _step(ruleset, part, "", column, Way.CONSTANT)


def _of_identity(ruleset: Ruleset, part: PartRule) -> Iterator[ColumnLineage]:
    for column in part.share or ruleset.key:
        yield _step(ruleset, part, column, "id", Way.KEY)
        if part.attach is not None:
            yield _step(ruleset, part, column, part.attach, Way.KEY)


def _of_field(ruleset: Ruleset, part: PartRule, rule: FieldRule) -> Iterator[ColumnLineage]:
    spec = find_lens(rule.lens)
    if rule.lens is not None and spec.name == "part":
        sibling = ruleset.part(str(bind_parameters(rule.lens)["name"]))
        for column in sibling.share or ruleset.key:
            yield _step(ruleset, part, column, rule.to[0], Way.KEY)
        return
    if (target := target_of(rule)) is not None:
        looked_up = _step(ruleset, part, column_of(target), rule.to[0], Way.LOOKED_UP, lens=str(rule.lens))
        yield replace(looked_up, table=table_of(target), code_map=rule.code_map)
    for column in rule.sources:
        for name, output in zip(rule.to, spec.outputs, strict=False):
            way = _WAYS.get(spec.name, Way.DERIVED if output.derived else Way.READ)
            yield ColumnLineage(
                table=ruleset.table,
                column=column,
                canonical_table=part.table,
                canonical_column=name,
                part=part.name,
                domain=part.domain.value,
                rule_id=ruleset.rule_id,
                way=way,
                lens=str(rule.lens) if rule.lens is not None else spec.name,
                code_map=rule.code_map,
                is_written_back=rule.writes_back and way is not Way.DERIVED and column not in ruleset.key,
            )


def _step(ruleset: Ruleset, part: PartRule, column: str, to: str, way: Way, *, lens: str = "") -> ColumnLineage:
    return ColumnLineage(
        table=ruleset.table,
        column=column,
        canonical_table=part.table,
        canonical_column=to,
        part=part.name,
        domain=part.domain.value,
        rule_id=ruleset.rule_id,
        way=way,
        lens=lens,
        code_map=None,
        is_written_back=False,
    )
