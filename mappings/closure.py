"""What must move together, and in which order tables are mapped: both follow from the rules alone.

What moves is a slice: the rows of a legacy table that a domain reads, and the records of a canonical table that carry
the domain. A rule ties the slices of its legacy table to those of the records it emits, and the rows of one legacy
table have one owner: so a table that two domains read ties these domains. A canonical table that two domains fill does
not: each of its records carries its domain, and the fence asks for it.
"""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from banyan.departments import Closure
from banyan.errors import RulesetError, SwitchRefused
from mappings.catalogue import bind_parameters
from mappings.model import FieldRule, FilterRule, PartRule, RuleBook, Ruleset


def closure(book: RuleBook, department: str) -> tuple[Closure, ...]:
    """Give the sets of domains that share a legacy table, directly or through others, with those tables."""
    groups: list[set[str]] = []
    for ruleset in book.rulesets.values():
        joined = find_domains(ruleset)
        apart = [group for group in groups if not group & joined]
        for group in groups:
            if group & joined:
                joined |= group
        groups = [*apart, joined]
    return tuple(_closure(book, department, group) for group in sorted(groups, key=sorted))


def canonical_slices(book: RuleBook, found: Closure) -> tuple[str, ...]:
    """Give the canonical tables in which a closure owns records: those that carry one of its domains."""
    parts = [part for table in found.tables for part in book.rulesets[table].parts]
    return tuple(sorted({part.table for part in parts if part.domain.value in found.domains}))


def find_whole(known: Iterable[Closure], named: Iterable[str]) -> Closure | None:
    """Give the closure that these domains cut: some of its domains are among them, and others are not, or strangers
    stand beside them; None when they cut none.
    """
    wanted = set(named)
    return next((one for one in known if wanted & set(one.domains) and wanted != set(one.domains)), None)


def say_tie(whole: Closure) -> str:
    """Say what ties the domains of a closure: the legacy tables that more than one of them reads."""
    joint = ", ".join(whole.shared_tables)
    return f"{whole.name} moves as a whole" + (f": {joint} is read by more than one of its domains" if joint else "")


def refuse_part(known: Iterable[Closure], department: str, named: Iterable[str], *, untouched: str) -> None:
    """Refuse domains that are to move, or to be carried, without the rest of their closure."""
    domains = sorted(set(named))
    whole = find_whole(known, domains)
    if whole is not None:
        raise SwitchRefused(
            f"{department}.{'+'.join(domains)} is not a closure; {say_tie(whole)}; {untouched}",
            hint=f"banyan map closure {department}",
            closure=whole.name,
            shared=whole.shared_tables,
        )


def find_cut(known: Iterable[Closure], listed: Iterable[str]) -> Closure | None:
    """Give the closure of which a list of several closures holds a part only; None when it holds each whole or not."""
    wanted = set(listed)
    return next((one for one in known if 0 < len(wanted & set(one.domains)) < len(one.domains)), None)


def find_domains(ruleset: Ruleset) -> set[str]:
    """Give the domains that a table emits into."""
    return {part.domain.value for part in ruleset.parts}


def _closure(book: RuleBook, department: str, group: set[str]) -> Closure:
    tables = sorted(table for table, ruleset in book.rulesets.items() if find_domains(ruleset) & group)
    shared = tuple(table for table in tables if len(find_domains(book.rulesets[table])) > 1)
    return Closure(department, tuple(sorted(group)), tuple(tables), shared)


def find_references(ruleset: Ruleset) -> frozenset[str]:
    """Give the tables a table refers to, by a reference of a field or by a filter that follows a parent."""
    lenses = [rule.lens for part in ruleset.parts for rule in part.fields if rule.lens is not None]
    named = {str(bind_parameters(lens)["target"]).split(".")[0] for lens in lenses if lens.name == "ref"}
    parents = {one.parent.table for one in ruleset.filters if one.parent is not None}
    return frozenset((named | parents) - {ruleset.table})


def following_fields(ruleset: Ruleset, rule: FilterRule) -> list[tuple[PartRule, FieldRule]]:
    """Give the fields that refer to the parent a filter follows, by the same column, each with its part."""
    parent = rule.parent
    if parent is None:
        return []
    return [
        (part, field)
        for part in ruleset.parts
        for field in part.fields
        if field.lens is not None
        and field.lens.name == "ref"
        and field.sources == (parent.column,)
        and str(bind_parameters(field.lens)["target"]).split(".")[0] == parent.table
    ]


def load_order(book: RuleBook) -> tuple[str, ...]:
    """Give the tables so that each comes after those it refers to; equal ones by name."""
    sorter = TopologicalSorter({table: find_references(book.rulesets[table]) for table in book.rulesets})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        mark = book.rulesets[error.args[1][0]].marks.get("")
        raise RulesetError(
            f"the tables {cycle} refer to each other in a circle; no order was given",
            hint="keep one of these references as residue",
            file="" if mark is None else mark.file,
            line=1,
            column=1,
        ) from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return tuple(order)
