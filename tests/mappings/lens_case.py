"""One lens with what to feed it, and the texts and values that many lenses are fed."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import strategies as st

from mappings.model import LensCall

NOISE = "aéZ 0129/.,-+()OI\u00a0'"
DAYS = st.dates(date(1000, 1, 1), date(9999, 12, 31))
NOISES = st.none() | st.text(NOISE)
WORDS = st.text("ABCÉ'-", min_size=1, max_size=6)
MINUTES = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)).map(
    lambda instant: instant.replace(second=0, microsecond=0)
)
AMOUNTS = st.integers(-(10**7), 10**7).map(lambda cents: Decimal(cents).scaleb(-2))


GRADES = {"1": "GARDIEN", "2": "BRIGADIER", "3": "BRIGADIER ", "4": "MAJOR  ", "5": None, "6": " ", "7": "a\x00b"}
"""What another table says, by key: two rows say the same but for a blank, two say nothing, one cannot be told."""
POSTS = {"38\x1f1": "ACCUEIL", "38\x1f2": "BAC", "69\x1f1": "BAC"}
LOOKED_UP = {"grade.label": GRADES, "post.label": POSTS}


@dataclass(frozen=True)
class Case:
    """One lens with its parameters, texts of its domain, and canonical values that the old system can hold."""

    name: str
    call: LensCall | None
    table: str
    to: tuple[str, ...]
    domain: st.SearchStrategy
    values: st.SearchStrategy
    sources: tuple[str, ...] = ("a",)
    code_map: str | None = None

    def __str__(self):
        return self.name


def one(strategy):
    return strategy.map(lambda value: (value,))


def padded(size):
    return st.text("ABC1 ", min_size=1, max_size=size).map(lambda text: text.ljust(size)).filter(str.strip)


def amount_text(value):
    text = f"{abs(value):,.2f}".replace(",", " ").replace(".", ",")
    return text if value >= 0 else f"-{text}"


def implied_text(value):
    return str(int(value.scaleb(2)))
