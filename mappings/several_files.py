"""The rules of a legacy system that stands in several files: each file is a system of its own, under one set of rules.

The same keys stand in all files. So every table is one of its file, `480010/AFFAIRES`, with a number of its own in the
store: crosswalk, identifiers, positions and findings name the file, and a reference never leaves it.
"""

from collections.abc import Sequence
from dataclasses import replace

from mappings.catalogue import LENSES
from mappings.lens_spec import ParameterKind
from mappings.model import FieldRule, FilterRule, LensCall, PartRule, RuleBook, Ruleset, Scalar
from mappings.seal import seal_book, seal_ruleset

_OF_TABLES = (ParameterKind.REFERENCE, ParameterKind.COLUMN)


def table_in(file: str, table: str) -> str:
    """Name the table of one file."""
    return f"{file}/{table}"


def split_table(name: str) -> tuple[str, str]:
    """Give the file and the table of a name; no file for a table of a system that stands in one place."""
    file, _, table = name.rpartition("/")
    return file, table


def spread(book: RuleBook, files: Sequence[str]) -> RuleBook:
    """Give the rules once for each file, by the names of its tables; without files, the rules as they are."""
    if not files:
        return book
    rulesets = [
        seal_ruleset(_in_file(ruleset, file), book.code_maps) for file in files for ruleset in book.rulesets.values()
    ]
    return seal_book(replace(book, rulesets={ruleset.table: ruleset for ruleset in rulesets}))


def _in_file(ruleset: Ruleset, file: str) -> Ruleset:
    return replace(
        ruleset,
        table=table_in(file, ruleset.table),
        parts=tuple(_part(part, file) for part in ruleset.parts),
        filters=tuple(_filter(one, file) for one in ruleset.filters),
    )


def _part(part: PartRule, file: str) -> PartRule:
    return replace(part, fields=tuple(_field(rule, file) for rule in part.fields))


def _field(rule: FieldRule, file: str) -> FieldRule:
    return rule if rule.lens is None else replace(rule, lens=_lens(rule.lens, file))


def _lens(call: LensCall, file: str) -> LensCall:
    parameters = LENSES[call.name].parameters
    named = [one.name for one in parameters if one.kind in _OF_TABLES]

    def said(name: str, value: Scalar) -> Scalar:
        return table_in(file, str(value)) if name in named else value

    args = tuple(said(one.name, value) for one, value in zip(parameters, call.args, strict=False))
    return LensCall(call.name, args, {name: said(name, value) for name, value in call.kwargs.items()})


def _filter(rule: FilterRule, file: str) -> FilterRule:
    parent = rule.parent
    return rule if parent is None else replace(rule, parent=replace(parent, table=table_in(file, parent.table)))
