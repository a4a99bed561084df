"""What stewards decided about values that no rule could carry, laid over the rules: they stay as they are written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mappings.model import CodeMap, ReadAs, RuleBook
from mappings.seal import seal_book, seal_ruleset


@dataclass(frozen=True, slots=True)
class CodeMeans:
    """A source code that a code map did not know, and what it means."""

    code_map: str
    code: str
    means: str


@dataclass(frozen=True, slots=True)
class ReadsAs:
    """A raw text of one column that is read as another one wherever it stands; the row keeps it as residue."""

    table: str
    how: ReadAs = field(repr=False)


def with_decisions(book: RuleBook, codes: Iterable[CodeMeans], values: Iterable[ReadsAs]) -> RuleBook:
    """Give the rules with decisions laid over them, sealed anew: evidence made without them expires.

    What a rule file says itself stands: a decision about a code that its map knows by now changes nothing.
    """
    maps = dict(book.code_maps)
    for one in codes:
        if one.code_map in maps:
            maps[one.code_map] = _with_code(maps[one.code_map], one)
    read_as: dict[str, tuple[ReadAs, ...]] = {}
    for value in values:
        read_as[value.table] = (*read_as.get(value.table, ()), value.how)
    if maps == book.code_maps and not read_as:
        return book
    sealed = {table: seal_ruleset(ruleset, maps, read_as.get(table, ())) for table, ruleset in book.rulesets.items()}
    return seal_book(replace(book, rulesets=sealed, code_maps=maps, read_as=read_as))


def _with_code(code_map: CodeMap, decided: CodeMeans) -> CodeMap:
    if decided.code in code_map.entries:
        return code_map
    entries: Mapping[str, str] = {**code_map.entries, decided.code: decided.means}
    first = code_map.backward().get(decided.means)
    preferred = {} if first is None else {decided.means: first}  # what is written back does not move
    return replace(code_map, entries=entries, reverse_preferred={**code_map.reverse_preferred, **preferred})
