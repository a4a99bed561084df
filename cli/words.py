"""The three words that stand before a line: fine, waiting for a person, refused."""

from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """What a person should do about a line: nothing, something soon, something now."""

    OK = "ok"
    WAIT = "WAIT"
    NO = "NO"


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing that was looked at: a word, a sentence, and the command that changes it."""

    word: Word
    sentence: str
    following: str = ""
