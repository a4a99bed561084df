"""One difference of each cause, side by side: raw, rule, expected, found; read again, masked before it is kept.

A text is kept in clear only when its column says nothing of a person and it is a known code, or as short as one: a name
that somebody typed into a code column is masked as well.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from banyan.canonical.columns import Sensitivity
from banyan.canonical.model import TABLES
from mappings.engine import apply_forward
from mappings.model import FieldRule, PartRule
from store.postgres import Isolation, raw, transaction
from store.records import read_records
from validation.facts import CauseFact, Example
from validation.masking import ABSENT, Masked, mask, mask_bytes, pseudonym, show
from validation.reconciliation import Reconciliation
from validation.subject import Subject, kept_columns, look_up
from validation.text import Text

MOST = 12
"""Examples that an evidence keeps, one a cause: enough to see what a cause is."""
_CODE = re.compile(r"\w{1,3}|\d{1,6}")


def find_examples(subject: Subject, found: Reconciliation, causes: Sequence[CauseFact]) -> tuple[Example, ...]:
    """Read one record of each cause again on both sides and show its path; changes nothing.

    A record that is gone meanwhile, or that no legacy row explains, gives no example.
    """
    shown: list[Example] = []
    for cause in causes:
        if len(shown) == MOST:
            break
        listed = found.differences.filter(
            (pl.col("canonical_table") == cause.table)
            & (pl.col("column") == cause.column)
            & (pl.col("cause") == cause.sentence.en)
            & pl.col("legacy_table").is_in(list(subject.tables))
            & pl.col("source_key").is_not_null()
        )
        if listed.height and (example := _example(subject, cause, listed.row(0, named=True))) is not None:
            shown.append(example)
    return tuple(shown)


def _example(subject: Subject, cause: CauseFact, place: dict[str, object]) -> Example | None:
    table, key = str(place["legacy_table"]), str(place["source_key"])
    compiled = subject.compiled(table)
    rows = kept_columns(compiled, subject.port.read_keys(table, (key,)).rows)
    if rows.is_empty():
        return None
    wanted = pl.Series("id", [place["id"]], dtype=pl.Binary)
    with transaction(subject.engine, isolation=Isolation.REPEATABLE_READ) as connection:
        mapped = apply_forward(compiled, rows, look_up(raw(connection), subject, compiled, rows))
        stored = read_records(raw(connection), cause.table, subject.department.code, wanted)
    for part in subject.parts(table):
        expected = mapped.parts[part.name].filter(pl.col("id").is_in(wanted.implode()))
        if part.table == cause.table and expected.height:
            rule = _rule_of(part, cause.column)
            sources = rule.sources if rule else ()
            eyes = _Eyes(TABLES[cause.table].column(cause.column).sensitivity, _known_codes(subject, rule))
            return Example(
                cause=cause.name,
                table=cause.table,
                column=cause.column,
                record=pseudonym(subject.digest_key, cause.table, key),
                raw=eyes.see_row([rows[name][0] for name in sources if name in rows.columns]),
                rule=" ".join([compiled.ruleset.rule_id, *([_say_rule(rule)] if rule else [])]),
                expected=eyes.see(expected[cause.column][0] if cause.column in expected.columns else None),
                found=eyes.see(stored[cause.column][0] if stored.height else None),
                note=Text.same(", ".join(sources)),
            )
    return None


def _rule_of(part: PartRule, column: str) -> FieldRule | None:
    return next((rule for rule in part.fields if column in rule.to), None)


def _say_rule(rule: FieldRule) -> str:
    if rule.lens is not None:
        return str(rule.lens)
    return f"code({rule.code_map})" if rule.code_map else "as it stands"


def _known_codes(subject: Subject, rule: FieldRule | None) -> frozenset[str]:
    """Give the texts that the code map of a rule knows on either side: those are codes, whoever typed them."""
    known = subject.book.code_maps.get(rule.code_map) if rule and rule.code_map else None
    return frozenset({*known.entries, *known.entries.values()}) if known else frozenset()


@dataclass(frozen=True, slots=True)
class _Eyes:
    """What may be seen of the values of one column."""

    kind: Sensitivity
    codes: Collection[str]

    def see_row(self, values: Sequence[object]) -> Masked:
        """Give what may be seen of the raw texts of a legacy row that one field reads."""
        seen = [self.see(value) for value in values if value is not None]
        if not seen:
            return ABSENT
        return Masked(" ".join(each.text for each in seen), is_masked=any(each.is_masked for each in seen))

    def see(self, value: object) -> Masked:
        """Give what may be seen of one value."""
        if isinstance(value, bytes):
            return mask_bytes(value)
        if value is None:
            return ABSENT
        text = value.isoformat() if isinstance(value, date | datetime) else str(value)
        if isinstance(value, str) and text not in self.codes and not _CODE.fullmatch(text):
            return mask(text)
        return show(text, self.kind)
