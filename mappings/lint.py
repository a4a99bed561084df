"""Remarks about accepted rules, before any row is read: what is allowed and yet deserves a second look."""

from datetime import date, timedelta

from mappings.catalogue import Law, bind_parameters, find_lens
from mappings.diagnostics import Diagnostic, Diagnostics
from mappings.fates import find_uses
from mappings.lens_spec import DATE
from mappings.model import NOWHERE, FieldRule, PartRule, RuleBook, Ruleset
from mappings.seal import used_code_maps

SOON = timedelta(days=30)


def lint(book: RuleBook, *, as_of: date | None = None) -> list[Diagnostic]:
    """Give the remarks about a rule book, by place; a book without remarks gives none.

    With a day, deviations that ended before it are errors: nobody answers for them any more.
    """
    found = Diagnostics()
    if as_of is not None:
        _check_ends(book, as_of, found)
    for ruleset in book.rulesets.values():
        _warn_side_effects(ruleset, found)
        _warn_unfiltered_children(book, ruleset, found)
        for part in ruleset.parts:
            _warn_never_emitted_alone(part, found)
            for rule in part.fields:
                _warn_lossy(rule, found)
                _warn_precision_forgotten(rule, found)
    _warn_unused_code_maps(book, found)
    return list(found.in_order())


def _check_ends(book: RuleBook, as_of: date, found: Diagnostics) -> None:
    for one in book.deviations:
        if one.until < as_of:
            found.refuse(
                one.mark,
                f"the deviation of {one.subject} in {book.department} ended on {one.until}",
                f"ask {one.owner}: remove it, or agree on a new day",
            )
        elif one.until - as_of <= SOON:
            found.warn(
                one.mark,
                f"the deviation of {one.subject} in {book.department} ends on {one.until}",
                f"ask {one.owner} what follows",
            )


def _warn_lossy(rule: FieldRule, found: Diagnostics) -> None:
    spec = find_lens(rule.lens)
    if spec.law is Law.LOSSY and rule.writes_back:
        found.warn(
            rule.mark,
            f"lens {spec.name} forgets: column {rule.to[0]} comes back only through residue",
            "use a lens that keeps what it reads, or say write_back: false",
        )


def _warn_precision_forgotten(rule: FieldRule, found: Diagnostics) -> None:
    spec = find_lens(rule.lens)
    # a whole day says by itself how precise it is; of an instant that is a day alone, nothing else says it
    is_plain = spec.outputs[0].kinds == DATE
    names = [output.name for output in spec.outputs if not (is_plain and output.derived)]
    kept = names[: len(rule.to)]
    if "precision_code" in names and "precision_code" not in kept and rule.severity != "warn":
        found.warn(
            rule.mark,
            f"column {rule.to[0]} forgets how precise it is",
            "name a precision column in also, or accept it with severity: warn",
        )


def _warn_never_emitted_alone(part: PartRule, found: Diagnostics) -> None:
    if not part.fields and not part.constants:
        found.warn(part.mark, f"part {part.name} fills no column", "give it fields, or remove it")
    if part.when is not None and not any(part.when.column in rule.sources for rule in part.fields):
        found.warn(
            part.mark,
            f"part {part.name} depends on column {part.when.column}, which none of its fields reads",
            "without it a record born in the target cannot say whether the part exists",
        )


def _warn_side_effects(ruleset: Ruleset, found: Diagnostics) -> None:
    for column in ruleset.side_effects:
        owners = [rule for _, rule in find_uses(ruleset.parts, column) if rule.writes_back]
        if not owners and column not in ruleset.residue_only:
            found.warn(
                ruleset.marks.get(f"side_effects.{column}", NOWHERE),
                f"side effect on column {column}, which is never written back",
                "remove the side effect, or map the column",
            )


def _warn_unfiltered_children(book: RuleBook, ruleset: Ruleset, found: Diagnostics) -> None:
    followed = {one.parent.table for one in ruleset.filters if one.parent is not None}
    for part in ruleset.parts:
        for rule in part.fields:
            if rule.lens is None or rule.lens.name != "ref":
                continue
            target = str(bind_parameters(rule.lens)["target"]).split(".")[0]
            if target in followed or target == ruleset.table or not book.rulesets[target].filters:
                continue
            found.warn(
                rule.mark,
                f"rows of {ruleset.table} stay when their row of {target} is filtered",
                f"add a filter with parent: {target} via {rule.sources[0]}",
            )


def _warn_unused_code_maps(book: RuleBook, found: Diagnostics) -> None:
    used = frozenset[str]().union(*(used_code_maps(ruleset) for ruleset in book.rulesets.values()))
    for name, code_map in book.code_maps.items():
        if name not in used:
            found.warn(code_map.mark, f"code map {name} is not used", "remove it, or name it in a field")
