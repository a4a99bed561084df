"""How a legacy system differs from what was agreed with it, as values, and what the project says of each kind."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from banyan.config import DriftConfig, DriftPolicy
from banyan.ports import SourceColumn
from mappings.fates import find_uses
from mappings.model import Mark, Ruleset

_INTEGERS = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 5}
_INTEGER = re.compile(rf"(?P<base>{'|'.join(_INTEGERS)})(?:\(\d+\))?(?P<rest>(?: unsigned| zerofill)*)")
_LISTED = re.compile(r"(?P<base>enum|set)\((?P<items>.*)\)", re.DOTALL)
_ITEM = re.compile(r"'(?:[^']|'')*'")
_TEXTS = ("tinytext", "text", "mediumtext", "longtext")
_GROWING = frozenset(("varchar", "nvarchar", "varbinary", "bit varying", "decimal", "numeric", "number"))
_SIZED = re.compile(r"(?P<base>.+?)\((?P<size>\d+)(?:,\s*(?P<scale>\d+))?\)(?P<rest>.*)")


class DriftKind(StrEnum):
    """What became of a column since it was agreed, or of the codes that stand in it."""

    ADDED = "added"
    REMOVED = "removed"
    RETYPED = "retyped"
    WIDENED = "widened"
    NEW_CODES = "new codes"


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference, with the lines of the rules that it touches."""

    kind: DriftKind
    table: str
    column: str
    told: str
    marks: tuple[Mark, ...]

    def __str__(self) -> str:
        return f"{self.table}.{self.column} {self.told}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A difference and what the project lets it lead to today."""

    drift: Drift
    policy: DriftPolicy
    is_stopping: bool


def policy_of(config: DriftConfig, kind: DriftKind) -> DriftPolicy:
    """Give what the project says of a kind of change."""
    return {
        DriftKind.ADDED: config.added,
        DriftKind.REMOVED: config.removed,
        DriftKind.RETYPED: config.retyped,
        DriftKind.WIDENED: config.widened,
        DriftKind.NEW_CODES: config.new_codes,
    }[kind]


def judge(drift: Drift, ruleset: Ruleset, config: DriftConfig, *, today: date) -> Judged:
    """Tell whether a difference stops: by policy, when what is ignored has expired, or when a rule would go blind."""
    policy = policy_of(config, drift.kind)
    is_blind = drift.kind is DriftKind.REMOVED and drift.column not in ruleset.drop
    return Judged(drift, policy, stops(policy, today=today) or is_blind)


def stops(policy: DriftPolicy, *, today: date) -> bool:
    """Tell whether a policy stops a run on a day: by its word, or because what it ignores has expired."""
    return policy.policy == "stop" or (policy.until is not None and today > policy.until)


def compare_columns(
    ruleset: Ruleset, here: Sequence[SourceColumn], agreed: Sequence[SourceColumn]
) -> tuple[Drift, ...]:
    """Compare the columns of a table with its rule, and their types with what was agreed."""
    found: list[Drift] = []
    names = {column.name for column in here}
    for column in here:
        if column.name not in ruleset.columns:
            told = f"is new and has no fate ({column.type_name})"
            found.append(Drift(DriftKind.ADDED, ruleset.table, column.name, told, (_start(ruleset),)))
    gone = [name for name in ruleset.columns if name not in names and not name.startswith("$")]
    found += [Drift(DriftKind.REMOVED, ruleset.table, name, "is gone", marks_of(ruleset, name)) for name in gone]
    before = {column.name: column.type_name for column in agreed}
    for column in here:
        was = before.get(column.name)
        if was is None or was == column.type_name or column.name not in ruleset.columns:
            continue
        kind = DriftKind.WIDENED if is_wider(was, column.type_name) else DriftKind.RETYPED
        told = f"was {was} and is {column.type_name}"
        found.append(Drift(kind, ruleset.table, column.name, told, marks_of(ruleset, column.name)))
    return tuple(found)


def is_wider(was: str, now: str) -> bool:
    """Tell whether every value of one type has a place, unchanged and written alike, in another one."""
    whole = _INTEGER.fullmatch(was), _INTEGER.fullmatch(now)
    if whole[0] is not None and whole[1] is not None:
        return _holds(whole[0], whole[1])
    listed = _LISTED.fullmatch(was), _LISTED.fullmatch(now)
    if listed[0] is not None and listed[1] is not None:
        return _lists(listed[0], listed[1])
    if was in _TEXTS and now in _TEXTS:
        return _TEXTS.index(was) < _TEXTS.index(now)
    old, new = _SIZED.fullmatch(was), _SIZED.fullmatch(now)
    if old is None:
        return False
    if new is None:
        return old["base"] == "varchar" and now in ("varchar", *_TEXTS[1:])
    if (old["base"], old["rest"]) != (new["base"], new["rest"]) or not _keeps_text(old["base"], old["rest"]):
        return False
    scales = int(old["scale"] or 0), int(new["scale"] or 0)
    return int(new["size"]) - scales[1] >= int(old["size"]) - scales[0] and scales[0] == scales[1]


def _holds(old: re.Match[str], new: re.Match[str]) -> bool:
    """Tell whether one whole number type holds all of another one; zeros that fill a number follow its width."""
    if "zerofill" in old["rest"] or "zerofill" in new["rest"]:
        return False
    ranks = _INTEGERS[old["base"]], _INTEGERS[new["base"]]
    if ("unsigned" in old["rest"]) == ("unsigned" in new["rest"]):
        return ranks[1] >= ranks[0]
    return "unsigned" in old["rest"] and ranks[1] > ranks[0]


def _lists(old: re.Match[str], new: re.Match[str]) -> bool:
    """Tell whether a list of allowed values holds another one; a set is written in the order of its list."""
    if old["base"] != new["base"]:
        return False
    before, after = _ITEM.findall(old["items"]), _ITEM.findall(new["items"])
    return after[: len(before)] == before if old["base"] == "set" else set(before) <= set(after)


def _keeps_text(base: str, rest: str) -> bool:
    """Tell whether a larger size writes a value as before: char pads, and a MariaDB clock writes more zeros."""
    return base in _GROWING or (base in ("timestamp", "time") and rest.startswith(" with"))


def marks_of(ruleset: Ruleset, column: str) -> tuple[Mark, ...]:
    """Give the lines of a rule that speak of a source column: where it is listed, and every field that reads it."""
    listed = ruleset.marks.get(column)
    fields = tuple(rule.mark for _, rule in find_uses(ruleset.parts, column))
    return tuple(dict.fromkeys(mark for mark in (listed, *fields) if mark is not None and mark.line))


def tolerates_additions(config: DriftConfig, *, today: date) -> bool:
    """Tell whether rows are read though their table has columns without a fate."""
    policy = config.added
    return policy.policy == "quarantine" or (policy.until is not None and today <= policy.until)


def tolerates_removals(config: DriftConfig, *, today: date) -> bool:
    """Tell whether rows are read though a column is gone that their rule drops anyway."""
    return config.removed.until is not None and today <= config.removed.until


def _start(ruleset: Ruleset) -> Mark:
    return ruleset.marks.get("", Mark(f"{ruleset.table}.yaml", 1, 1))
