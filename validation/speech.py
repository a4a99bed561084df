"""How a page speaks: its words, numbers and instants in one language, at the clock of the department."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from validation import wording
from validation.page_words import PAGE
from validation.table_words import say_total
from validation.text import Language, Text, write_number


@dataclass(frozen=True, slots=True)
class Speech:
    """Says things in the language of a page."""

    language: Language
    zone: str
    words: Mapping[str, Text] = field(default_factory=lambda: PAGE, repr=False)

    def word(self, name: str, *values: object) -> str:
        """Say a text of the page with its places filled."""
        return self.words[name].say(self.language).format(*values)

    def text(self, text: Text) -> str:
        """Say a text in the language of the page."""
        return text.say(self.language)

    def total(self, label: Text) -> str:
        """Say the label of a total; a canonical table in the words of the trade."""
        return self.text(say_total(label))

    def number(self, value: int | Decimal) -> str:
        """Write an exact number."""
        return write_number(value, self.language)

    def count(self, value: int, noun: str) -> str:
        """Write a number with its noun."""
        return wording.count(value, noun, self.language)

    def instant(self, value: datetime) -> str:
        """Write an instant with its day and the place of the clock."""
        return wording.write_instant(value, self.zone, self.language)

    def day(self, value: datetime) -> str:
        """Write the day of an instant."""
        return wording.write_day(value, self.zone, self.language)

    def date(self, value: str) -> str:
        """Write a day given as ISO 8601."""
        return wording.write_date(date.fromisoformat(value), self.language)

    def seconds(self, value: int) -> str:
        """Write a duration in minutes and seconds."""
        return wording.write_seconds(value, self.language)

    def series(self, words: Sequence[str]) -> str:
        """Join words as a sentence does: a, b and c."""
        last = f" {self.word('and')} "
        return last.join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)
