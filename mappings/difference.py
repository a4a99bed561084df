"""What is different between two readings of the rules: two versions, or two departments; meaning, never layout."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mappings.model import CodeMap, FieldRule, FilterRule, PartRule, RuleBook, Ruleset
from mappings.wording import say_filter


class ChangeKind(StrEnum):
    """What happened to one thing that a rule says."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One thing that two readings of the rules say differently."""

    subject: str
    """The legacy table, or `code map NAME`."""
    place: str
    kind: ChangeKind
    before: str | None
    after: str | None


def difference(before: RuleBook, after: RuleBook) -> tuple[RuleChange, ...]:
    """Give what the second book says otherwise than the first: tables by name, then code maps."""
    changes: list[RuleChange] = []
    for table in sorted({*before.rulesets, *after.rulesets}):
        changes += _compare(table, _said(before.rulesets.get(table)), _said(after.rulesets.get(table)))
    for name in sorted({*before.code_maps, *after.code_maps}):
        mine, other = before.code_maps.get(name), after.code_maps.get(name)
        changes += _compare(f"code map {name}", _said_by_codes(mine), _said_by_codes(other))
    return tuple(changes)


def _compare(subject: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[RuleChange]:
    for place in [*before, *(one for one in after if one not in before)]:
        old, new = before.get(place), after.get(place)
        if old == new:
            continue
        kind = ChangeKind.ADDED if old is None else ChangeKind.REMOVED if new is None else ChangeKind.CHANGED
        yield RuleChange(subject, place, kind, old, new)


def _said(ruleset: Ruleset | None) -> dict[str, str]:
    """Write a ruleset as one text for each thing it says, under a name that does not depend on its order."""
    if ruleset is None:
        return {}
    said = {
        "rule": ruleset.rule_id,
        "system": ruleset.system,
        "key": ", ".join(ruleset.key),
        "columns": ", ".join(ruleset.columns),
        "deletes": str(ruleset.deletes or ""),
        "key_reuse": ", ".join(ruleset.key_reuse),
        "write_once": str(ruleset.write_once).lower(),
    }
    for part in ruleset.parts:
        said |= _said_by_part(part)
    said |= {f"filter {one.name}": _filter(one) for one in ruleset.filters}
    said |= {f"residue_only {column}": reason for column, reason in ruleset.residue_only.items()}
    said |= {f"drop {column}": basis for column, basis in ruleset.drop.items()}
    said |= {f"side effect on {column}": text for column, text in ruleset.side_effects.items()}
    return said


def _said_by_part(part: PartRule) -> dict[str, str]:
    said = {
        f"part {part.name}": f"{part.table} in {part.domain.value}{', main' if part.main else ''}",
        **({f"{part.name} when": str(part.when)} if part.when else {}),
        **({f"{part.name} attach": part.attach} if part.attach else {}),
        **({f"{part.name} share": ", ".join(part.share)} if part.share else {}),
    }
    said |= {f"{part.name}.{column}": f"always {value!r}" for column, value in part.constants.items()}
    return said | {f"{part.name}.{rule.to[0]}": _field(rule) for rule in part.fields}


def _field(rule: FieldRule) -> str:
    words = [f"from {', '.join(rule.sources)}"] if rule.sources else []
    words.append(f"by {rule.lens or 'verbatim'}")
    if rule.code_map:
        words.append(f"through code map {rule.code_map}")
    if len(rule.to) > 1:
        words.append(f"also {', '.join(rule.to[1:])}")
    words.append(f"severity {rule.severity.value}")
    if not rule.writes_back:
        words.append("not written back")
    if rule.tolerance:
        words.append(f"tolerance {rule.tolerance}")
    if rule.conflict:
        words.append(f"conflict {rule.conflict}")
    return " ".join(words)


def _filter(rule: FilterRule) -> str:
    return f"{say_filter(rule)} ({rule.basis})"


def _said_by_codes(code_map: CodeMap | None) -> dict[str, str]:
    if code_map is None:
        return {}
    said = {f"code {code!r}": canonical for code, canonical in code_map.entries.items()}
    backward = code_map.backward()
    return said | {f"written back for {canonical}": repr(source) for canonical, source in backward.items()}
