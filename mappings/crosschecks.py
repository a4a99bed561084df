"""Checks between rule files: references to parts of other tables, code maps, parents of filters."""

from collections.abc import Mapping

from banyan.canonical.model import TABLES
from mappings.catalogue import bind_parameters
from mappings.closure import following_fields
from mappings.diagnostics import Diagnostics, suggest
from mappings.lenses.lookups import column_of, table_of
from mappings.lookups import target_of
from mappings.model import CodeMap, FieldRule, FilterRule, PartRule, Ruleset

REFERENCES: Mapping[str, str] = {
    "author_id": "enforcement_official",
    "lead_official_id": "enforcement_official",
    "official_id": "enforcement_official",
    "reporting_official_id": "enforcement_official",
    "unit_id": "enforcement_unit",
    "reporting_unit_id": "enforcement_unit",
    "parent_unit_id": "enforcement_unit",
    "parent_case_id": "case_file",
    "master_identity_id": "person_identity",
}
"""What a reference points to where its name does not say it: `<table>_id` does."""


def referenced_table(column: str) -> str | None:
    """Give the canonical table a reference column points to."""
    named = column.removesuffix("_id")
    return REFERENCES.get(column, named if named in TABLES else None)


def check_book(rulesets: Mapping[str, Ruleset], code_maps: Mapping[str, CodeMap], found: Diagnostics) -> None:
    """Refuse what points to something no rule of the book has."""
    for ruleset in rulesets.values():
        for part in ruleset.parts:
            _check_attached(ruleset, part, found)
            for rule in part.fields:
                _check_codes(rule, code_maps, found)
                _check_reference(ruleset, rule, rulesets, found)
                _check_lookup(rule, rulesets, found)
        for one in ruleset.filters:
            _check_followed(ruleset, one, rulesets, found)


def _check_followed(ruleset: Ruleset, one: FilterRule, rulesets: Mapping[str, Ruleset], found: Diagnostics) -> None:
    """Refuse to follow what no record refers to: the rows loaded before their parent is kept out are found by it."""
    if one.parent is None:
        return
    table = one.parent.table
    if table not in rulesets:
        what = f"filter {one.name} follows unknown table {table}"
        found.refuse(one.mark, what, suggest(table, rulesets, what="tables"))
        return
    target = f"{table}.{rulesets[table].main.name}"
    fields = [field for _, field in following_fields(ruleset, one)]
    if not any(field.lens and str(bind_parameters(field.lens)["target"]) == target for field in fields):
        found.refuse(
            one.mark,
            f"filter {one.name} follows {table}, and no record refers to it by {one.parent.column}",
            f"emit a reference: lens: ref({target}) from {one.parent.column}",
        )


def _check_codes(rule: FieldRule, code_maps: Mapping[str, CodeMap], found: Diagnostics) -> None:
    name = rule.code_map
    if rule.lens is not None and rule.lens.name == "code":
        name = str(bind_parameters(rule.lens)["map"])
    if name is not None and name not in code_maps:
        found.refuse(rule.mark, f"unknown code map {name}", suggest(name, code_maps, what="code maps"))
        return
    for code in rule.conflict.codes if rule.conflict is not None and name is not None else ():
        if code not in (known := [entry.strip() for entry in code_maps[str(name)].entries]):
            found.refuse(
                rule.mark, f"code {code} to prefer is not in code map {name}", suggest(code, known, what="codes")
            )


def _check_attached(ruleset: Ruleset, part: PartRule, found: Diagnostics) -> None:
    if part.attach is not None:
        _check_points(part.attach, ruleset.main.table, part, found)


def _check_points(column: str, table: str, place: PartRule | FieldRule, found: Diagnostics) -> None:
    wanted = referenced_table(column)
    if wanted is not None and wanted != table:
        found.refuse(
            place.mark,
            f"column {column} refers to {wanted}, not to {table}",
            f"refer to a part whose table is {wanted}",
        )


def _check_reference(ruleset: Ruleset, rule: FieldRule, rulesets: Mapping[str, Ruleset], found: Diagnostics) -> None:
    if rule.lens is None or rule.lens.name not in ("ref", "part"):
        return
    given = bind_parameters(rule.lens)
    if rule.lens.name == "part":
        _check_points(rule.to[0], ruleset.part(str(given["name"])).table, rule, found)
        return
    target = str(given["target"])
    table, _, name = target.partition(".")
    if table not in rulesets:
        found.refuse(rule.mark, f"unknown table {table} in a reference", suggest(table, rulesets, what="tables"))
        return
    names = {part.name: part for part in rulesets[table].parts}
    if name not in names:
        found.refuse(rule.mark, f"unknown part {name} of {table}", suggest(name, names, what="parts"))
        return
    if names[name].share:
        found.refuse(
            rule.mark,
            f"part {name} of {table} is shared: its id does not follow from a key of {table}",
            "refer to the main part, or to a part of its own row",
        )
        return
    _check_points(rule.to[0], names[name].table, rule, found)


def _check_lookup(rule: FieldRule, rulesets: Mapping[str, Ruleset], found: Diagnostics) -> None:
    """Refuse a look-up of what no rule describes, of what may not be held, and of a key that is not the table's."""
    target = target_of(rule)
    if target is None:
        return
    table, column = table_of(target), column_of(target)
    if table not in rulesets:
        found.refuse(rule.mark, f"unknown table {table} in a look-up", suggest(table, rulesets, what="tables"))
        return
    other = rulesets[table]
    if column not in other.columns:
        found.refuse(
            rule.mark, f"unknown column {column or '(none)'} of {table}", suggest(column, other.columns, what="columns")
        )
    elif column in other.drop:
        found.refuse(
            rule.mark, f"column {column} of {table} is dropped", "what may not be held is not looked up either"
        )
    if other.filters:
        found.refuse(
            rule.mark,
            f"rows of {table} may be kept out, and their texts may not come in through a look-up",
            "refer to the record of that row with lens: ref(...)",
        )
    if len(rule.sources) != len(other.key):
        found.refuse(
            rule.mark,
            f"the key of {table} has {len(other.key)} column(s), {len(rule.sources)} given",
            f"the key of {table} is {' and '.join(other.key)}",
        )
