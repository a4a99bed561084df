"""What becomes of each source column: exactly one fate, or the rule is refused."""

from dataclasses import dataclass

from mappings.model import FateKind, FieldRule, PartRule, Ruleset


@dataclass(frozen=True, slots=True)
class ColumnFate:
    """The fate of one source column, the rule that decides it, and where it goes or why it does not."""

    table: str
    column: str
    fate: FateKind
    rule: str
    reason: str


def find_uses(parts: tuple[PartRule, ...], column: str) -> tuple[tuple[PartRule, FieldRule], ...]:
    """Give the fields that read a source column, with their parts."""
    return tuple((part, rule) for part in parts for rule in part.fields if column in rule.sources)


def find_fate(ruleset: Ruleset, column: str) -> ColumnFate:
    """Give the fate of a column of an accepted ruleset."""
    uses = find_uses(ruleset.parts, column)
    targets = ", ".join(f"{part.table}.{'+'.join(rule.to)}" for part, rule in uses)
    if column in ruleset.key:
        reason = "identity of the row, kept in the crosswalk"
        fate, reason = FateKind.KEY, f"{reason}; {targets}" if targets else reason
    elif uses:
        fate, reason = FateKind.MAPPED, targets
    elif column in ruleset.residue_only:
        fate, reason = FateKind.RESIDUE_ONLY, ruleset.residue_only[column]
    else:
        fate, reason = FateKind.DROPPED, ruleset.drop[column]
    return ColumnFate(ruleset.table, column, fate, ruleset.rule_id, reason)
