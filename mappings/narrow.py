"""A ruleset narrowed to some columns: to write back what these said, and nothing else of the row.

Whoever asks what two or three columns said pays for those: fields that write none of them and parts that hold no such
field are left aside. Each text is the one that the whole row would have.
"""

from collections.abc import Sequence
from dataclasses import replace

from mappings.compile import Compiled
from mappings.plans import FieldPlan, LensPlan, PartPlan, SiblingPlan


def narrow(compiled: Compiled, columns: Sequence[str]) -> Compiled:
    """Keep the parts and fields from which these columns are written, with what these read; the main part stays."""
    wanted = _needed(compiled, set(columns) - set(compiled.ruleset.key))
    parts = tuple(_narrow_part(part, wanted) for part in compiled.parts)
    kept = tuple(part for part in parts if part.fields or part.rule.main)
    return replace(compiled, parts=kept, carried=tuple(one for one in compiled.carried if one in wanted))


def _needed(compiled: Compiled, wanted: set[str]) -> set[str]:
    """Add the columns that the fields of these read beside them, and those that say whether their part is there."""
    key, found = set(compiled.ruleset.key), set(wanted)
    while True:
        for part in compiled.parts:
            asked = [plan for plan in part.fields if _writes(plan, found)]
            found |= {column for plan in asked for column in plan.rule.sources}
            if asked and part.rule.when is not None:
                found.add(part.rule.when.column)
        found -= key
        if found == wanted:
            return found
        wanted = set(found)


def _writes(plan: FieldPlan, columns: set[str]) -> bool:
    return not isinstance(plan, SiblingPlan) and not columns.isdisjoint(plan.owned)


def _narrow_part(part: PartPlan, columns: set[str]) -> PartPlan:
    fields = tuple(plan for plan in part.fields if _writes(plan, columns))
    outputs = {
        name
        for plan in fields
        for name in ([one.name for one in plan.outputs] if isinstance(plan, LensPlan) else [plan.output])
    }
    dtypes = {name: dtype for name, dtype in part.dtypes.items() if name in outputs}
    return replace(part, fields=fields, dtypes=dtypes)
