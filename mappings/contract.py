"""The coexistence contract: what the new system must not do while the way back is promised; read off the rules.

Each term names one kind of degraded write-back, the canonical columns it concerns and the legacy column that is too
narrow for more; a term that can be checked on a value carries the check.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from banyan.canonical.model import TABLES, Kind
from mappings import contract_words as words
from mappings.catalogue import LensSpec, ParameterKind, bind_parameters, find_lens
from mappings.contract_words import FORMS, Sentence, say_cause
from mappings.lenses.lens import Degradation, LensSetting
from mappings.lenses.library import ANSWERED_WITH_IDENTIFIERS, LENSES
from mappings.model import FieldRule, PartRule, RuleBook, Ruleset
from mappings.plans import value_name


class Check(StrEnum):
    """How the target can enforce a term; NONE is for people."""

    MAX_LENGTH = "max_length"
    MAX_LENGTH_TOGETHER = "max_length_together"
    MAX_WRITTEN_LENGTH = "max_written_length"
    ALLOWED_VALUES = "allowed_values"
    READ_ONLY = "read_only"
    REFERENCE_EXISTS = "reference_exists"
    MAX_RECORDS = "max_records"
    ALPHABET = "alphabet"
    NONE = "none"


_WIDTHS = ("n", "max", "width")
UNICODE = frozenset(("UTF8", "UTF-8", "UTF16", "UTF-16", "UNICODE"))


@dataclass(frozen=True, slots=True)
class Term:
    """One term of the contract."""

    check: Check
    degraded: str
    """The kind under which a breach is listed."""
    domain: str
    canonical_table: str
    columns: tuple[str, ...]
    table: str
    legacy_columns: tuple[str, ...]
    rule_id: str
    sentence: Sentence
    limit: int | None = None
    allowed: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    """Canonical columns and texts that say to which records the term applies; empty: to all of the table."""


def contract(book: RuleBook, *, encoding: str = "UTF8") -> tuple[Term, ...]:
    """Give every term that follows from the rules; files that are written once promise no way back and give none."""
    terms = [
        term
        for table in sorted(book.rulesets)
        if not book.rulesets[table].write_once
        for part in book.rulesets[table].parts
        if part.place is None or part.place.number == 1
        for term in _Terms(book, book.rulesets[table], part, encoding).all()
    ]
    distinct = dict.fromkeys(terms)
    return tuple(sorted(distinct, key=lambda one: (one.domain, one.canonical_table, one.table)))


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of one part."""

    book: RuleBook
    ruleset: Ruleset
    part: PartRule
    encoding: str

    def all(self) -> Iterator[Term]:
        yield from self._of_presence()
        for column, value in self.part.constants.items():
            if self.part.place is None or column != self.part.place.column:
                yield self._term(
                    (Check.ALLOWED_VALUES, Degradation.NO_PLACE), words.CONSTANT, columns=(column,), bound=(value,)
                )
        if self.part.attach is not None:
            yield self._term((Check.READ_ONLY, Degradation.NO_PLACE), words.LINK, columns=(self.part.attach,))
        for rule in self.part.fields:
            yield from self._of_field(rule)
        filled = {name for rule in self.part.fields for name in rule.to} | set(self.part.constants)
        filled |= {self.part.attach} if self.part.attach else set()
        empty = tuple(name for name in TABLES[self.part.table].column_names if name not in filled)
        if empty:
            yield self._term((Check.READ_ONLY, Degradation.NO_PLACE), words.UNKNOWN_COLUMNS, columns=empty)

    def _of_presence(self) -> Iterator[Term]:
        part = self.part
        if part.main:
            return
        sentence = words.ONE if part.place is None else words.PLACES
        limit = 1 if part.place is None else part.place.count
        yield self._term((Check.MAX_RECORDS, Degradation.NO_PLACE), sentence, columns=(), bound=limit)
        condition = "" if part.when is None else str(part.when)
        shown = words.SHOWN.within(part="{part}", condition=words.as_it_is(condition), table="{table}")
        always = words.ALWAYS if part.when is None else shown
        yield self._term((Check.NONE, Degradation.NO_PLACE), always, columns=())

    def _of_field(self, rule: FieldRule) -> Iterator[Term]:
        spec = find_lens(rule.lens)
        legacy = rule.sources
        if spec.name == "part":
            yield self._term((Check.READ_ONLY, Degradation.NO_PLACE), words.LINK, columns=rule.to)
            return
        if not rule.writes_back or set(legacy) <= set(self.ruleset.key):
            said = words.SHARED if self.part.share else words.OTHER_FIELD
            other = said.within(columns="{columns}", column=", ".join(legacy), table="{table}")
            yield self._term((Check.READ_ONLY, Degradation.NO_PLACE), other, columns=rule.to, legacy=legacy)
            return
        if rule.lens is not None and spec.name == "ref":
            target = str(bind_parameters(rule.lens)["target"]).split(".")[0]
            refers = words.REFERENCE.within(columns="{columns}", target=target)
            yield self._term(
                (Check.REFERENCE_EXISTS, Degradation.UNKNOWN_REFERENCE), refers, columns=rule.to, legacy=legacy
            )
            return
        yield from self._of_lens(rule, spec)
        for column in legacy:
            if column in self.ruleset.side_effects:
                cause = words.as_it_is(self.ruleset.side_effects[column])
                told = words.REWRITTEN.within(columns="{columns}", column=column, table="{table}", cause=cause)
                yield self._term((Check.NONE, "REWRITTEN"), told, columns=rule.to[:1], legacy=(column,))

    def _of_lens(self, rule: FieldRule, spec: LensSpec) -> Iterator[Term]:
        stated = tuple(name for name, output in zip(rule.to, spec.outputs, strict=False) if not output.derived)
        derived = tuple(name for name in rule.to if name not in stated)
        if derived:
            told = words.DERIVED.within(columns="{columns}", others=", ".join(stated or rule.sources))
            yield self._term((Check.READ_ONLY, Degradation.DERIVED_EDIT), told, columns=derived, legacy=rule.sources)
        if not stated:
            return
        codes = self._codes(rule)
        if codes is not None:
            yield self._term(
                (Check.ALLOWED_VALUES, Degradation.UNKNOWN_CODE), words.CODES, columns=rule.to[:1], legacy=rule.sources,
                bound=codes,
            )  # fmt: skip
        else:
            yield from self._of_width(rule, spec, stated)
            if self.encoding.upper() not in UNICODE and self._is_text(stated[0]):
                told = words.ALPHABET.within(columns="{columns}", encoding=self.encoding)
                yield self._term(
                    (Check.ALPHABET, Degradation.OUT_OF_ALPHABET), told, columns=stated, legacy=rule.sources,
                    bound=(self.encoding,),
                )  # fmt: skip
        for kind, cause in self._refusals(rule, spec):
            if kind is not Degradation.TOO_LONG:
                yield self._form(rule, stated, say_cause(cause), kind)
        if spec.name in FORMS and codes is None:
            yield self._form(rule, stated, FORMS[spec.name], Degradation.NO_PLACE)

    def _of_width(self, rule: FieldRule, spec: LensSpec, stated: tuple[str, ...]) -> Iterator[Term]:
        limit = _width(rule, spec)
        if limit is None:
            return
        check, sentence = Check.MAX_LENGTH, words.WIDTH
        if not self._is_text(stated[0]):
            check, sentence = Check.MAX_WRITTEN_LENGTH, words.WIDTH_WRITTEN
        elif len(stated) > 1:
            check, sentence = Check.MAX_LENGTH_TOGETHER, words.WIDTH_TOGETHER
        yield self._term((check, Degradation.TOO_LONG), sentence, columns=stated, legacy=rule.sources, bound=limit)

    def _form(self, rule: FieldRule, stated: tuple[str, ...], form: Sentence, kind: Degradation) -> Term:
        french, english = words.as_it_is(form.french), words.as_it_is(form.english)
        told = words.FORM.within(columns="{columns}", form_fr=french, form_en=english)
        return self._term((Check.NONE, kind), told, columns=stated, legacy=rule.sources)

    def _codes(self, rule: FieldRule) -> tuple[str, ...] | None:
        name = rule.code_map
        if rule.lens is not None and rule.lens.name == "code":
            name = str(bind_parameters(rule.lens)["map"])
        return None if name is None else tuple(sorted(self.book.code_maps[name].backward()))

    def _refusals(self, rule: FieldRule, spec: LensSpec) -> list[tuple[Degradation, str]]:
        """Ask the lens itself what it refuses to write."""
        if spec.name in ANSWERED_WITH_IDENTIFIERS or spec.name not in LENSES:
            return []
        given = bind_parameters(rule.lens) if rule.lens is not None else {}
        values = tuple(pl.col(value_name(number)) for number in range(len(rule.to)))
        backward = LENSES[spec.name].backward(values, LensSetting(given, "UTC", len(rule.sources)))
        return list(dict.fromkeys((refusal.kind, refusal.cause) for refusal in backward.refusals))

    def _is_text(self, column: str) -> bool:
        return TABLES[self.part.table].column(column).kind is Kind.TEXT

    def _term(
        self,
        breach: tuple[Check, str],
        sentence: Sentence,
        *,
        columns: tuple[str, ...],
        legacy: tuple[str, ...] = (),
        bound: int | tuple[str, ...] = (),
    ) -> Term:
        part = self.part
        limit = bound if isinstance(bound, int) else None
        allowed = bound if isinstance(bound, tuple) else ()
        told = sentence.within(
            columns=", ".join(columns), part=part.place.group if part.place else part.name, table=self.ruleset.table,
            main=self.ruleset.main.name, limit=limit, allowed=", ".join(allowed),
        )  # fmt: skip
        fixed = {column: value for column, value in part.constants.items() if column not in columns}
        if part.place is not None and part.place.column is not None:
            fixed.pop(part.place.column, None)
        return Term(
            check=breach[0],
            degraded=str(breach[1]),
            domain=part.domain.value,
            canonical_table=part.table,
            columns=columns,
            table=self.ruleset.table,
            legacy_columns=legacy,
            rule_id=self.ruleset.rule_id,
            sentence=told,
            limit=limit,
            allowed=allowed,
            only=tuple(fixed.items()),
        )


def _width(rule: FieldRule, spec: LensSpec) -> int | None:
    """Give how many characters the lens may write, where it is told so by a parameter."""
    given = bind_parameters(rule.lens) if rule.lens is not None else {}
    numbers = [one.name for one in spec.parameters if one.kind is ParameterKind.NUMBER]
    return next((int(given[name]) for name in numbers if name in _WIDTHS and name in given), None)
