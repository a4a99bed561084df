"""Digests of rules: SHA-256 of a canonical form that says the meaning and nothing of the layout."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mappings.catalogue import bind_parameters
from mappings.model import CodeMap, FieldRule, FilterRule, PartRule, ReadAs, RuleBook, Ruleset

_FORM = "banyan-ruleset-1"


def seal_ruleset(ruleset: Ruleset, code_maps: Mapping[str, CodeMap], read_as: Sequence[ReadAs] = ()) -> Ruleset:
    """Give the ruleset with its digest; it moves with the rule, its code maps, and what was decided about its texts."""
    used = {name: _code_map(code_maps[name]) for name in used_code_maps(ruleset) if name in code_maps}
    decided = [sorted([one.column, one.digest] for one in read_as)] if read_as else []
    return replace(ruleset, digest=_sha256([_FORM, _ruleset(ruleset), used, *decided]))


def seal_book(book: RuleBook) -> RuleBook:
    """Give the rule book with its digest: all rulesets and all code maps."""
    rulesets = {table: ruleset.digest for table, ruleset in book.rulesets.items()}
    code_maps = {name: _code_map(one) for name, one in book.code_maps.items()}
    return replace(book, digest=_sha256([_FORM, book.system, rulesets, code_maps]))


def used_code_maps(ruleset: Ruleset) -> frozenset[str]:
    """Give the names of the code maps a ruleset uses."""
    rules = [rule for part in ruleset.parts for rule in part.fields]
    named = {rule.code_map for rule in rules if rule.code_map is not None}
    called = {
        str(bind_parameters(rule.lens)["map"]) for rule in rules if rule.lens is not None and rule.lens.name == "code"
    }
    return frozenset(named | called)


def _sha256(form: object) -> str:
    text = json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _ruleset(ruleset: Ruleset) -> dict[str, object]:
    return {
        "rule_id": ruleset.rule_id,
        "system": ruleset.system,
        "table": ruleset.table,
        "key": list(ruleset.key),
        "columns": list(ruleset.columns),
        "deletes": _text(ruleset.deletes),
        "filters": [_filter(one) for one in ruleset.filters],
        "parts": [_part(one) for one in ruleset.parts],
        "residue_only": dict(ruleset.residue_only),
        "drop": dict(ruleset.drop),
        "side_effects": dict(ruleset.side_effects),
        **({"write_once": True} if ruleset.write_once else {}),
        **({"key_reuse": list(ruleset.key_reuse)} if ruleset.key_reuse else {}),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _filter(rule: FilterRule) -> dict[str, object]:
    retention, parent = rule.retention, rule.parent
    return {
        "name": rule.name,
        "basis": rule.basis,
        "condition": _text(rule.condition),
        "retention": None if retention is None else [list(retention.columns), retention.before],
        "parent": None if parent is None else [parent.table, parent.column],
        **({"judged": True} if rule.judged else {}),
        **({"basis_fr": rule.basis_fr} if rule.basis_fr not in ("", rule.basis) else {}),
    }


def _part(part: PartRule) -> dict[str, object]:
    return {
        "name": part.name,
        "table": part.table,
        "domain": part.domain.value,
        "main": part.main,
        "when": _text(part.when),
        "attach": part.attach,
        "constants": dict(part.constants),
        "fields": [_field(rule) for rule in part.fields],
        **({"share": list(part.share)} if part.share else {}),
        **({"place": [part.place.group, part.place.number, part.place.count]} if part.place else {}),
    }


def _field(rule: FieldRule) -> dict[str, object]:
    lens = None if rule.lens is None else [rule.lens.name, bind_parameters(rule.lens)]
    return {
        "to": list(rule.to),
        "sources": list(rule.sources),
        "lens": lens,
        "code_map": rule.code_map,
        "severity": rule.severity.value,
        "writes_back": rule.writes_back,
        **({"tolerance": str(rule.tolerance)} if rule.tolerance else {}),
        **({"conflict": str(rule.conflict)} if rule.conflict else {}),
    }


def _code_map(code_map: CodeMap) -> list[object]:
    return [sorted(code_map.entries.items()), sorted(code_map.reverse_preferred.items())]
