"""One difference of each cause, side by side: raw, decoded, rule, expected, found; read again, masked before kept.

Raw is what stands in the old system: its bytes. Where all of them are plain letters the text says the same, and stands
alone; elsewhere both are shown, the bytes and what they were decoded to, which is nothing where they are no text.
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
from banyan.undecoded import find_bytes
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


def find_examples(
    subject: Subject, found: Reconciliation, causes: Sequence[CauseFact], *, encoding: str = "utf-8"
) -> tuple[Example, ...]:
    """Read one record of each cause again on both sides and show its path; changes nothing.

    A record that is gone meanwhile, or that no legacy row explains, gives no example. `encoding` is that of the texts
    in the old system; a database gives them in UTF-8.
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
        if listed.height and (example := _example(subject, cause, listed.row(0, named=True), encoding)) is not None:
            shown.append(example)
    return tuple(shown)


def _example(subject: Subject, cause: CauseFact, place: dict[str, object], encoding: str) -> Example | None:
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
            eyes = Eyes(TABLES[cause.table].column(cause.column).sensitivity, _known_codes(subject, rule))
            raw_value, decoded = eyes.see_cells([rows[name][0] for name in sources if name in rows.columns], encoding)
            return Example(
                cause=cause.name,
                table=cause.table,
                column=cause.column,
                record=pseudonym(subject.digest_key, cause.table, key),
                raw=raw_value,
                rule=" ".join([compiled.ruleset.rule_id, *([_say_rule(rule)] if rule else [])]),
                expected=eyes.see(expected[cause.column][0] if cause.column in expected.columns else None),
                found=eyes.see(stored[cause.column][0] if stored.height else None),
                decoded=decoded,
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


def _bytes_of(cell: str, encoding: str) -> bytes:
    """Give the bytes of a cell as they stand in the old system."""
    known = find_bytes(cell)
    if known is not None:
        return known
    try:
        return cell.encode(encoding)
    except UnicodeEncodeError:  # it was read otherwise than it is declared
        return cell.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Eyes:
    """What may be seen of the values of one column."""

    kind: Sensitivity
    codes: Collection[str]

    def see_cells(self, cells: Sequence[str | None], encoding: str) -> tuple[Masked, Masked | None]:
        """Give what may be seen of the cells that one field reads: their bytes and texts; no texts where both agree."""
        held = [cell for cell in cells if cell is not None]
        texts = [cell for cell in held if find_bytes(cell) is None]
        seen = self._see_all(texts)
        if len(texts) == len(held) and all(text.isascii() for text in texts):
            return seen, None
        spelt = b" ".join(_bytes_of(cell, encoding) for cell in held)
        is_clear = len(texts) == len(held) and not seen.is_masked
        return (Masked(spelt.hex(" ").upper(), is_masked=False) if is_clear else mask_bytes(spelt)), seen

    def _see_all(self, values: Sequence[object]) -> Masked:
        seen = [self.see(value) for value in values]
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
