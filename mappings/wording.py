"""A ruleset told in words, rule by rule: what a steward reads to say yes, and an engineer to find the line."""

from collections.abc import Iterator
from dataclasses import dataclass

from mappings.catalogue import Law, LensSpec, bind_parameters, find_lens
from mappings.fates import find_uses
from mappings.lenses.lookups import column_of, table_of
from mappings.lookups import target_of
from mappings.model import (
    CodeMap,
    Conflict,
    FieldRule,
    FilterRule,
    PartRule,
    Policy,
    RuleBook,
    Ruleset,
    Severity,
    ToleranceKind,
)

_LAWS = {
    Law.ISO: "everything comes back as it was",
    Law.EMBED: "what the old system cannot write is listed as degraded",
    Law.LOSSY: "only the residue brings the old text back",
}
_SEVERITIES = {
    Severity.FIELD: "a text it cannot read leaves the field empty, is kept as residue and listed in quarantine",
    Severity.ROW: "a text it cannot read keeps the whole row in quarantine",
    Severity.WARN: "a text it cannot read leaves the field empty, is kept as residue and counted",
}
_TOLERANCES = {
    ToleranceKind.SECOND: "instants less than a second apart say the same when both sides are compared",
    ToleranceKind.MINUTE: "instants less than a minute apart say the same when both sides are compared",
    ToleranceKind.DECIMALS: "what the legacy type does not hold of a number says nothing when both sides are compared",
    ToleranceKind.TRAILING_BLANKS: "blanks at the end say nothing when both sides are compared",
}


@dataclass(frozen=True, slots=True)
class Saying:
    """One sentence about a ruleset: what it is about, and what is said."""

    about: str
    sentence: str


def explain_ruleset(ruleset: Ruleset, book: RuleBook) -> tuple[Saying, ...]:
    """Say what a ruleset does with a row of its table, in the order in which it happens."""
    return (
        *_of_row(ruleset),
        *(Saying(f"filter {one.name}", f"the row is not loaded when {say_filter(one)}; {one.basis}")
          for one in ruleset.filters),
        *(saying for part in ruleset.parts for saying in _of_part(part, ruleset, book)),
        *(Saying(column, f"lives only as residue, unread and brought back as it was: {reason}")
          for column, reason in ruleset.residue_only.items()),
        *(Saying(column, f"is not carried over, not even held: {basis}") for column, basis in ruleset.drop.items()),
        *(Saying(column, f"the old system changes it by itself: {told}; what it changes is read back")
          for column, told in ruleset.side_effects.items()),
        *(Saying(one.subject, f"is said otherwise in {book.department} until {one.until}: {', '.join(one.changes)}; "
                              f"{one.reason}; {one.owner} answers for it")
          for one in book.deviations if one.subject == ruleset.table),
    )  # fmt: skip


def _of_row(ruleset: Ruleset) -> Iterator[Saying]:
    key = " and ".join(ruleset.key)
    yield Saying("row", f"is known by {key}; the rule is {ruleset.rule_id} of the system {ruleset.system}")
    if ruleset.key_reuse:
        told = " and ".join(ruleset.key_reuse)
        yield Saying("row", f"its key is used again when {told} all say something else: a new epoch, never an update")
    if ruleset.deletes is not None:
        yield Saying("row", f"counts as deleted when {ruleset.deletes}")
    if ruleset.write_once:
        yield Saying("row", "stands in a file that is written once: nothing is written back")


def say_filter(rule: FilterRule) -> str:
    """Say when a filter keeps a row out."""
    if rule.condition is not None:
        return str(rule.condition)
    if rule.parent is not None:
        return f"its row of {rule.parent.table}, named by {rule.parent.column}, is not loaded"
    if rule.retention is not None:
        columns, day = rule.retention.columns, rule.retention.before
        return f"the latest readable date of {', '.join(columns)} is before {day[:4]}-{day[4:6]}-{day[6:]}"
    return "the terms of retention say that it may be kept no longer"


def _of_part(part: PartRule, ruleset: Ruleset, book: RuleBook) -> Iterator[Saying]:
    role = "the record of the row itself" if part.main else "a record beside it"
    when = f", when {part.when}" if part.when else ", always" if not part.main else ""
    yield Saying(part.name, f"{role}: {part.table} in the domain {part.domain.value}{when}")
    if part.place is not None:
        place = part.place
        yield Saying(part.name, f"stands in place {place.number} of {place.count} of the group {place.group}")
    if part.share:
        yield Saying(part.name, f"is one record for all rows that agree in {', '.join(part.share)}")
    if part.attach is not None:
        yield Saying(f"{part.name}.{part.attach}", f"is the identifier of {ruleset.main.name}")
    for column, value in part.constants.items():
        yield Saying(f"{part.name}.{column}", f"is always {value!r}; no legacy column holds it")
    for rule in part.fields:
        yield Saying(f"{part.name}.{' and '.join(rule.to)}", say_field(rule, ruleset, book))


def say_field(rule: FieldRule, ruleset: Ruleset, book: RuleBook) -> str:
    """Say how a field is read and written back."""
    spec = find_lens(rule.lens)
    if rule.lens is not None and spec.name == "part":
        return f"is the identifier of the part {bind_parameters(rule.lens)['name']} of the same row"
    sources = " and ".join(rule.sources)
    if rule.lens is not None and spec.name == "ref":
        target, _, part = str(bind_parameters(rule.lens)["target"]).partition(".")
        told = f"is the identifier of {part} in the row of {target} whose key is {sources}"
        return f"{told}; {_way_back(rule, ruleset, spec)}"
    if (looked_up := target_of(rule)) is not None:
        told = f"is {column_of(looked_up)} of the row of {table_of(looked_up)} whose key is {sources}"
        codes = "" if rule.code_map is None else _say_codes(book.code_maps[rule.code_map])
        return f"{told}{codes}; {_SEVERITIES[rule.severity]}; {_way_back(rule, ruleset, spec)}"
    lens = "as it stands" if rule.lens is None else f"by {rule.lens} ({spec.domain})"
    codes = "" if rule.code_map is None else _say_codes(book.code_maps[rule.code_map])
    told = f"is read from {sources} {lens}{codes}; {_SEVERITIES[rule.severity]}; {_way_back(rule, ruleset, spec)}"
    return f"{told}; {_TOLERANCES[rule.tolerance.kind]}" if rule.tolerance else told


def _say_codes(code_map: CodeMap) -> str:
    return f", then through the code map {code_map.name} ({len(code_map.entries)} codes; any other is refused)"


def _way_back(rule: FieldRule, ruleset: Ruleset, spec: LensSpec) -> str:
    if ruleset.write_once:
        return "nothing is written back"
    if not rule.writes_back:
        owners = [one for column in rule.sources for _, one in find_uses(ruleset.parts, column) if one.writes_back]
        if not owners:
            return "it is not written back: several rows share the record, and its columns live as residue"
        return "it is not written back: another field owns the column"
    if set(rule.sources) <= set(ruleset.key):
        return "the key is never written by a field"
    told = f"on the way back {_LAWS[spec.law]}"
    return f"{told}; {_say_conflict(rule.conflict)}" if rule.conflict else told


def _say_conflict(conflict: Conflict) -> str:
    changed = "where the old system changed it behind its fence, "
    match conflict.policy:
        case Policy.LEGACY:
            return f"{changed}its value stands"
        case Policy.LATEST:
            return f"{changed}the later of both stands"
        case Policy.PREFER:
            return f"{changed}the first of {', '.join(conflict.codes)} stands"
