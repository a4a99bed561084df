"""A sentence in the two languages of the pages, and numbers as each language writes them."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Language(StrEnum):
    """The languages of the pages, French first."""

    FR = "fr"
    EN = "en"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence said in French and in English."""

    fr: str
    en: str

    @classmethod
    def same(cls, words: str) -> "Text":
        """Give a text that is the same in both languages: a name, a code, a rule."""
        return cls(words, words)

    def say(self, language: Language) -> str:
        """Give the sentence in one language."""
        return self.fr if language is Language.FR else self.en


NO_TEXT = Text("", "")
"""Nothing to say."""


def write_number(value: int | Decimal, language: Language) -> str:
    """Write an exact number: narrow spaces and a comma in French, commas and a point in English."""
    plain = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,d}"
    if language is Language.FR:
        plain = plain.replace(",", "\u202f").replace(".", ",")
    return plain.replace("-", "\u2212")
