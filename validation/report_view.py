"""What the report page shows, prepared from facts: lists with their names, columns that differ, steps, sign cards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from banyan.departments import Phase
from banyan.findings import FindingKind, LevelState, VerdictKind
from validation.cause_words import list_title
from validation.facts import EvidenceFacts, RoundTripFigures, Total
from validation.gate import Judgement
from validation.page_words import PAGE
from validation.reasons import ReasonKind
from validation.sampling import Candidate, Sample, SampleResult, sentence
from validation.sign_off import Decision, SignOff, last_words
from validation.speech import Speech
from validation.story import Story, Switched, WentAgain, WentBack
from validation.text import Text

_OPEN_WORK = "open_work_"
_SOME_RECORD = Candidate("", "", "", "", "")


@dataclass(frozen=True, slots=True)
class ListLine:
    """A list of rows that were not loaded, with the name the page gives it."""

    name: str
    table: str
    reason: Text
    rows: int
    decided_by: Text


@dataclass(frozen=True, slots=True)
class SignCard:
    """A role that must sign, and the sign-off that stands for it."""

    role: str
    sign_off: SignOff | None
    is_refused: bool


@dataclass(frozen=True, slots=True)
class VerdictLook:
    """Colour, shape and word of a verdict, and the names of what it permits and what it does not."""

    look: str
    shape: str
    word: Text
    permits: str
    forbids: str


@dataclass(frozen=True, slots=True)
class OpenWorkLine:
    """One list of live work on both sides: how many, how many a named rule filtered, and how many names differ."""

    title: Text
    legacy: int
    filtered: int
    canonical: int
    different: int


@dataclass(frozen=True, slots=True)
class Line:
    """A measured line: its name, what it says, and whether it holds (None when that is not the question)."""

    name: str
    sentences: tuple[str, ...]
    is_held: bool | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the way back, out of how many, and whether it must and does hold."""

    name: str
    number: int
    total: int
    is_held: bool | None


def look_of(judgement: Judgement, facts: EvidenceFacts) -> VerdictLook:
    """Say how a verdict looks; a doubt, an old age and a GO that rests on waivers are said as such."""
    purpose = facts.transition.name.lower()
    if judgement.kind is VerdictKind.GO and facts.waivers:
        return VerdictLook("waived", "waived", PAGE["go_waived"], f"permits_{purpose}", f"forbids_{purpose}")
    if judgement.kind is VerdictKind.GO:
        return VerdictLook("go", "go", Text.same("GO"), f"permits_{purpose}", f"forbids_{purpose}")
    if judgement.kind is VerdictKind.AWAITING:
        return VerdictLook("await", "await", PAGE["awaiting"], "permits_sign", f"forbids_sign_{purpose}")
    kinds = {reason.kind for reason in judgement.reasons}
    look, shape, word = "nogo", "nogo", Text.same("NO-GO")
    if kinds == {ReasonKind.STALE}:
        look, shape, word = "idle", "stale", PAGE["stale"]
    elif kinds <= {ReasonKind.ERROR, ReasonKind.STALE}:
        look, shape, word = "error", "error", PAGE["error"]
    return VerdictLook(look, shape, word, "permits_nothing", f"forbids_nothing_{purpose}")


def who_writes(phase: Phase) -> str:
    """Name who can write in a phase."""
    if phase.legacy_writes:
        return "writes_legacy"
    return "writes_canonical" if phase.canonical_writes else "writes_nobody"


def lists_of(facts: EvidenceFacts) -> tuple[ListLine, ...]:
    """Name each list of rows that were not loaded."""
    return (*_filtered(facts), *_deleted(facts), *_quarantined(facts))


def list_range(lists: tuple[ListLine, ...], letter: str, speech: Speech) -> str:
    """Name the lists of one fate: one, or the first and the last."""
    names = [line.name for line in lists if line.name.startswith(letter)]
    if not names:
        return ""
    return speech.word("list", names[0] if len(names) == 1 else f"{names[0]} \u2013 {names[-1]}")


def _filtered(facts: EvidenceFacts) -> Iterator[ListLine]:
    words = PAGE["by_rule"]
    for number, each in enumerate(facts.filtered, start=1):
        reason = Text(words.fr.format(each.reason.fr, each.rule), words.en.format(each.reason.en, each.rule))
        yield ListLine(f"F-{number:02d}", each.table, reason, each.rows, each.decided_by)


def _deleted(facts: EvidenceFacts) -> Iterator[ListLine]:
    with_deletes = (line for line in facts.conservation if line.rows.deleted)
    for number, line in enumerate(with_deletes, start=1):
        name = f"D-{number:02d}"
        yield ListLine(name, line.table, PAGE["deleted_reason"], line.rows.deleted, PAGE["legacy_decides"])


def _quarantined(facts: EvidenceFacts) -> Iterator[ListLine]:
    for number, each in enumerate(facts.quarantined_rows, start=1):
        yield ListLine(f"Q-{number:02d}", each.table, each.cause, each.rows, PAGE["to_repair"])


def accepted_levels(facts: EvidenceFacts, judgement: Judgement) -> frozenset[str]:
    """Give the levels that failed and that the gate takes because waivers accept each of their findings."""
    refused = {reason.level for reason in judgement.reasons}
    failed = {level.level for level in facts.levels if level.state is LevelState.FAIL}
    return frozenset(failed - refused)


def open_work_lines(facts: EvidenceFacts) -> tuple[OpenWorkLine, ...]:
    """Give the lists of live work that L5 compared, each with what it counted; none when it was not run."""
    level = facts.level("L5")
    figures = level.figures if level else {}
    found = []
    for name in figures:
        if name.startswith(_OPEN_WORK) and name.endswith("_legacy"):
            place = name.removesuffix("_legacy")
            legacy, filtered, canonical = (
                int(figures.get(f"{place}_{side}", 0)) for side in ("legacy", "filtered", "canonical")
            )
            title = list_title(place.removeprefix(_OPEN_WORK))
            said = f"{title.en}: "
            named = [line for line in facts.findings if line.kind is FindingKind.OPEN_WORK_DIFFERS]
            differ = sum(line.cause.startswith(said) for line in named)
            found.append(OpenWorkLine(title, legacy, filtered, canonical, differ))
    return tuple(found)


def shown_totals(totals: Sequence[Total], years: int) -> list[Total]:
    """Give the totals that a page shows: each declared one, its newest years, and all that nothing explains."""
    found: list[Total] = []
    for _, lines in groupby(totals, key=lambda total: total.digest or total.label.en):
        for number, total in enumerate(lines):
            is_open = total.problem is not None or (total.difference and total.explanation is None)
            if number <= years or is_open:
                found.append(total)
    return found


def shown_statistics(statistics: Sequence[Total], most: int) -> list[Total]:
    """Give the unequal statistics that a page shows: all that nothing explains, then the widest explained ones."""
    unequal = [total for total in statistics if total.difference]
    explained = [total for total in unequal if total.explanation is not None]
    widest = sorted(range(len(explained)), key=lambda at: abs(Decimal(explained[at].difference)), reverse=True)[:most]
    return [
        *(total for total in unequal if total.explanation is None),
        *(explained[at] for at in sorted(widest)),
    ]


def paper_sentence(facts: EvidenceFacts) -> Text | None:
    """Say what the sample compared to the paper proves; None when none was read to its end."""
    level = facts.level("L5")
    figures = level.figures if level else {}
    counts = [figures.get(name) for name in ("sample_read", "sample_population", "sample_different")]
    if figures.get("sample_state") not in (LevelState.PASS.value, LevelState.FAIL.value):
        return None
    read, population, different = (count if type(count) is int else 0 for count in counts)
    drawn = Sample(facts.closure, "", population, 0, ())
    return sentence(SampleResult(drawn, read - different, (_SOME_RECORD,) * different, 0, 0))


def equal_tables(facts: EvidenceFacts) -> list[tuple[str, int, int]]:
    """Give for each canonical table how many columns have no difference, and how many values were compared."""
    found: dict[str, tuple[int, int]] = {}
    for column in facts.columns:
        if not column.different:
            columns, compared = found.get(column.table, (0, 0))
            found[column.table] = (columns + 1, compared + column.compared)
    return [(table, columns, compared) for table, (columns, compared) in sorted(found.items())]


def sign_cards(facts: EvidenceFacts, judgement: Judgement) -> list[SignCard]:
    """Give a card for each role that must sign; a refusal is shown before an acceptance."""
    roles = facts.profile.roles
    return [sign_card(judgement, role, is_counted=role not in judgement.missing_roles) for role in roles]


def sign_card(judgement: Judgement, role: str, *, is_counted: bool) -> SignCard:
    """Give the card of one role; an acceptance that does not count is not shown."""
    latest = last_words(judgement.sign_offs.accepted)
    refused = next((each for each in latest if each.role == role and each.decision is Decision.REFUSE), None)
    accepted = next((each for each in latest if each.role == role and each.decision is Decision.ACCEPT), None)
    return SignCard(role, refused or (accepted if is_counted else None), refused is not None)


def figures_of(trip: RoundTripFigures) -> tuple[Figure, ...]:
    """Give the figures of the way back, each told apart."""
    edits, touched = trip.put_get, trip.fields_touched_ok
    return (
        Figure("rt_identical", trip.rows_identical, trip.rows, trip.rows_identical == trip.rows),
        Figure("rt_exact", trip.exact_without_residue, trip.rows, None),
        Figure("rt_residue", trip.residue_only_fields, trip.fields, None),
        Figure("rt_putget", edits.held, edits.tried, edits.is_complete),
        Figure("rt_touched", touched.held, touched.tried, touched.is_complete),
    )


def steps_of(story: Story, speech: Speech) -> tuple[Line, ...]:
    """Tell the switches so far, in order."""
    steps = []
    if story.switched is not None:
        steps.append(_switched(story.switched, speech))
    if story.edits is not None:
        sentence = speech.word("s_edits_count", speech.count(story.edits, "edit"))
        steps.append(Line("s_edits", (sentence,), None))
    if story.went_back is not None:
        steps.append(_went_back(story.went_back, speech))
    if story.went_again is not None:
        steps.append(_went_again(story.went_again, speech))
    return tuple(steps)


def _switched(step: Switched, speech: Speech) -> Line:
    sentences = _outage(step.outage_ms, speech)
    if step.expected_outage_ms is not None:
        sentences += (speech.word("s_expected", speech.number(step.expected_outage_ms)),)
    return Line("s_switched", (*sentences, speech.word("s_refused", speech.number(step.refused_legacy_writes))), None)


def _went_back(step: WentBack, speech: Speech) -> Line:
    found, lost = speech.count(step.edits - step.lost, "edit"), speech.number(step.lost)
    untouched = speech.number(step.untouched_identical), speech.number(step.untouched_rows)
    sentences = (
        *_outage(step.outage_ms, speech),
        speech.word("s_back_edits", found, lost),
        speech.word("s_back_rows", *untouched),
    )
    return Line("s_back", sentences, not step.lost and step.untouched_identical == step.untouched_rows)


def _went_again(step: WentAgain, speech: Speech) -> Line:
    counts = speech.word("s_again_count", speech.number(step.duplicates), speech.number(step.lost))
    return Line("s_again", (*_outage(step.outage_ms, speech), counts), not step.duplicates and not step.lost)


def _outage(outage_ms: int | None, speech: Speech) -> tuple[str, ...]:
    return () if outage_ms is None else (speech.word("s_outage", speech.number(outage_ms)),)
