"""Comparison to the paper: a sample drawn by lot, read by people against their files, and what it proves.

Drawn with a seed, in strata (unit and year) in proportion, so that anyone draws the same list again. Presented blind:
the list names cases in an order drawn by lot and tells nothing of what any level found. The bound is exact (Clopper and
Pearson, one side, 95 %; hypergeometric for a finite base), computed here with integers and the standard library.
"""

import csv
import hashlib
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from validation.text import Language, Text, write_number
from validation.visible import csv_cell

CONFIDENCE_PERCENT = 95
HEADER = ("number", "table", "key", "record", "unit", "year", "answer", "remark")
_PARTS_PER_MILLION = 1_000_000


class Answer(StrEnum):
    """What a reader says of one record: the new system says what the file says, it does not, or there is no file."""

    SAME = "same"
    DIFFERENT = "different"
    NO_FILE = "no file"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One record that may be drawn: its legacy table and key, how its unit names it, and its stratum."""

    table: str
    key: str
    record: str = field(repr=False)
    unit: str
    year: str


@dataclass(frozen=True, slots=True)
class LotRequest:
    """How many to draw (None: as many as the share to rule out needs), that share per million, and the seed."""

    size: int | None
    most_per_million: int
    seed: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn: from how many, with which seed, under which rules, in the order it is read."""

    closure: str
    rules_digest: str
    population: int
    seed: int
    drawn: tuple[Candidate, ...] = field(repr=False)

    @property
    def digest(self) -> str:
        """Give the digest of the list, so that the list that comes back is the one that went out."""
        lines = "\n".join(f"{each.table}|{each.key}" for each in self.drawn)
        return hashlib.sha256(f"{self.closure}|{self.seed}|{self.population}\n{lines}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SampleResult:
    """What readers said: how many were read, how many differ, how many had no file, and the remaining ones."""

    sample: Sample
    same: int
    different: tuple[Candidate, ...]
    no_file: int
    unread: int

    @property
    def read(self) -> int:
        """Give how many records were compared with their file."""
        return self.same + len(self.different)


def size_needed(population: int, *, most_per_million: int, defects: int = 0) -> int:
    """Give how many records must be read, with at most so many defects, to say at 95 % that fewer are wrong."""
    low, high = 1, population
    if not _supports(population, population, defects, most_per_million):
        return population
    while low < high:
        middle = (low + high) // 2
        if _supports(population, middle, defects, most_per_million):
            high = middle
        else:
            low = middle + 1
    return low


def draw_sample(candidates: Sequence[Candidate], size: int, *, seed: int, closure: str, rules_digest: str) -> Sample:
    """Draw records by lot: each stratum in proportion to its size, at least one of each while there is room."""
    strata: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda each: (each.table, each.key)):
        strata.setdefault((candidate.unit, candidate.year), []).append(candidate)
    lot = Random(seed)
    shares = _shares({stratum: len(rows) for stratum, rows in strata.items()}, min(size, len(candidates)))
    drawn = [each for stratum in sorted(shares) for each in lot.sample(strata[stratum], shares[stratum])]
    lot.shuffle(drawn)
    return Sample(closure, rules_digest, len(candidates), seed, tuple(drawn))


def _shares(sizes: dict[tuple[str, str], int], wanted: int) -> dict[tuple[str, str], int]:
    """Share a number among strata by the largest remainders, in whole numbers; every stratum first gets its floor."""
    total = sum(sizes.values())
    shares = {stratum: wanted * size // total for stratum, size in sizes.items()}
    order = sorted(sizes, key=lambda stratum: (-(wanted * sizes[stratum] % total), stratum))
    left = wanted - sum(shares.values())
    for stratum in [*order, *order]:
        if not left:
            break
        if shares[stratum] < sizes[stratum]:
            shares[stratum] += 1
            left -= 1
    return shares


def write_list(sample: Sample) -> str:
    """Give the list as a sheet for the steward: answers are to be filled in, nothing else."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(HEADER)
    for number, each in enumerate(sample.drawn, 1):
        writer.writerow(
            (number, each.table, csv_cell(each.key), csv_cell(each.record), csv_cell(each.unit), each.year, "", "")
        )
    return sheet.getvalue()


def read_answers(sample: Sample, sheet: str) -> SampleResult:
    """Read the sheet back; ValueError for a line that was not drawn, is missing, stands twice or answers otherwise."""
    lines = list(csv.DictReader(io.StringIO(sheet)))
    if not lines or tuple(lines[0]) != HEADER:
        raise ValueError("the sheet does not have the columns it went out with")
    drawn = {str(number): each for number, each in enumerate(sample.drawn, 1)}
    answers: dict[str, str] = {}
    for line in lines:
        number = line["number"]
        each = None if number in answers else drawn.get(number)
        if each is None or (line["table"], line["key"]) != (each.table, csv_cell(each.key)):
            raise ValueError(f"line {number} was not drawn, or stands twice")
        answers[number] = (line["answer"] or "").strip().lower()
    if len(answers) != len(drawn):
        raise ValueError(f"{len(drawn) - len(answers)} lines of the sheet are missing")
    unknown = set(answers.values()) - {"", *Answer}
    if unknown:
        raise ValueError(f"an answer is one of: {', '.join(Answer)}; {len(unknown)} other words were found")
    counted = Counter(answers.values())
    different = tuple(drawn[number] for number, answer in answers.items() if answer == Answer.DIFFERENT)
    return SampleResult(sample, counted[Answer.SAME], different, counted[Answer.NO_FILE], counted[""])


def upper_bound_per_million(population: int, read: int, defects: int) -> int:
    """Give the share of wrong records that may still be there at 95 %, per million, rounded up: the exact bound."""
    if not read:
        return _PARTS_PER_MILLION
    low, high = 0, _PARTS_PER_MILLION
    while low < high:
        middle = (low + high) // 2
        if _supports(population, read, defects, middle):
            high = middle
        else:
            low = middle + 1
    return low


def _supports(population: int, read: int, defects: int, per_million: int) -> bool:
    """Tell whether so few defects would come by chance at most once in twenty if so many records were wrong."""
    wrong = -(-population * per_million // _PARTS_PER_MILLION)  # rounded up: at least so many
    if wrong <= defects:
        return False
    return _chance(population, read, defects, wrong) <= (100 - CONFIDENCE_PERCENT) / 100


def _chance(population: int, read: int, defects: int, wrong: int) -> float:
    """Give the chance of finding at most so many wrong records among those read, drawn without putting them back."""
    return sum(
        math.exp(
            _log_choose(wrong, found) + _log_choose(population - wrong, read - found) - _log_choose(population, read)
        )
        for found in range(min(defects, wrong, read) + 1)
        if read - found <= population - wrong
    )


def _log_choose(many: int, some: int) -> float:
    return math.lgamma(many + 1) - math.lgamma(some + 1) - math.lgamma(many - some + 1)


def sentence(result: SampleResult) -> Text:
    """Say what the sample proves, in the words that are signed."""
    bound = upper_bound_per_million(result.sample.population, result.read, len(result.different))
    fr, en = (_percent(bound, language) for language in (Language.FR, Language.EN))
    return Text(
        f"{write_number(result.read, Language.FR)} dossiers tirés au sort sur"
        f" {write_number(result.sample.population, Language.FR)} et comparés au papier,"
        f" {write_number(len(result.different), Language.FR)} différents\u202f: on peut dire à"
        f" {CONFIDENCE_PERCENT}\u202f% que moins de {fr}\u202f% des dossiers diffèrent.",
        f"{write_number(result.read, Language.EN)} records drawn by lot from"
        f" {write_number(result.sample.population, Language.EN)} and compared to the paper,"
        f" {write_number(len(result.different), Language.EN)} different: one may say at"
        f" {CONFIDENCE_PERCENT}% that fewer than {en}% of the records differ.",
    )


def sample_level(result: SampleResult | None, *, rules_digest: str) -> LevelResult | None:
    """Judge the sample part of L5: None when none was drawn, STALE when the rules changed since it was read."""
    if result is None:
        return None
    bound = upper_bound_per_million(result.sample.population, result.read, len(result.different))
    figures: dict[str, int | str | bool] = {
        "part": "sample",
        "population": result.sample.population,
        "drawn": len(result.sample.drawn),
        "read": result.read,
        "different": len(result.different),
        "no_file": result.no_file,
        "no_file_per_hundred": -(-100 * result.no_file // len(result.sample.drawn)),
        "unread": result.unread,
        "bound_per_million": bound,
        "seed": result.sample.seed,
        "list": result.sample.digest,
    }
    findings = tuple(
        Finding(FindingKind.SAMPLE_DIFFERS, Severity.BLOCK, each.table, each.key, cause="it differs from the paper")
        for each in result.different
    )
    said = sentence(result).en
    if result.sample.rules_digest != rules_digest:
        return LevelResult("L5", LevelState.STALE, f"sample: the rules have changed since it was read; {said}", figures)
    if result.unread or not result.read:
        return LevelResult("L5", LevelState.NOT_RUN, f"sample: {result.unread} records are still to be read", figures)
    state = LevelState.FAIL if findings else LevelState.PASS
    return LevelResult("L5", state, said, figures, findings)


def _percent(per_million: int, language: Language) -> str:
    whole, rest = divmod(per_million, 10_000)
    digits = f"{rest:04d}".rstrip("0")[:2] if rest else ""
    if rest and len(f"{rest:04d}".rstrip("0")) > 2:  # never rounded down: it is a bound
        whole, cents = divmod(whole * 100 + rest // 100 + 1, 100)
        digits = f"{cents:02d}"
    comma = "," if language is Language.FR else "."
    return f"{whole}{comma}{digits}" if digits else str(whole)
