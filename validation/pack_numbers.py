"""The six numbers of a commander's pack, from facts alone: threshold, measure, trend and the list of exceptions.

What no level measures is said to be not asked; nothing is deduced from silence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from banyan.findings import FindingKind, LevelState, Severity
from validation.cause_words import say_text
from validation.facts import EvidenceFacts, FindingLine
from validation.reconciliation import EXPLAINED
from validation.retention_total import find_expired
from validation.text import Language, Text, write_number
from validation.trend import History
from validation.waivers import find_unaccepted

HEADER = ("list", "table", "column", "record", "reason_fr", "reason_en", "count")
Row = tuple[str | int, ...]
_PIECES = frozenset(("document", "evidence", "custody_transfer"))
_WITH_PIECES = frozenset(("documents", "custody"))
"""Canonical tables of documents and seals, and the domains that hold them."""


class Standing(StrEnum):
    """Where a number stands against its threshold."""

    REACHED = "REACHED"
    WAIVED = "WAIVED"
    MISSED = "MISSED"
    NOT_RUN = "NOT RUN"
    NOT_ASKED = "NOT ASKED"
    NOT_CONCERNED = "NOT CONCERNED"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of one evidence: where it stands, what was measured, and the gap to its threshold."""

    standing: Standing
    sentences: tuple[Text, ...] = ()
    gap: int | None = None


@dataclass(frozen=True, slots=True)
class SixNumber:
    """One of the six: its place, its list of exceptions, and its gaps over the evidence, the present one last."""

    place: int
    name: str
    measure: Measure
    gaps: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def file(self) -> str:
        """Give the name of its list of exceptions."""
        return f"E{self.place}-{self.name.replace('_', '-')}.csv"


def six_numbers(facts: EvidenceFacts, history: History) -> tuple[SixNumber, ...]:
    """Give the six numbers of an evidence, with their trend over those before it."""
    found = []
    for place, (name, (measure, listed)) in enumerate(_NUMBERS.items(), 1):
        past = [each.gap for each in map(measure, history.earlier) if each.gap is not None]
        now = measure(facts)
        gaps = (*past, now.gap) if now.gap is not None else ()
        found.append(SixNumber(place, name, now, gaps, tuple(listed(facts))))
    return tuple(found)


def _open_work(facts: EvidenceFacts) -> Measure:
    known = _part(facts, "open_work")
    if known is not None:
        return known
    figures = _figures(facts)
    counted = {side: _sum(figures, f"_{side}") for side in ("legacy", "filtered", "canonical")}
    different = _number(figures, "open_work_different")
    alive = counted["legacy"] - counted["filtered"]
    said = (
        _say("{0} sur {1}", "{0} of {1}", counted["canonical"], alive),
        _say("noms qui diffèrent\u202f: {0}", "names that differ: {0}", different),
    )
    return Measure(_judged(facts, "open_work", FindingKind.OPEN_WORK_DIFFERS), said, different)


def _history(facts: EvidenceFacts) -> Measure:
    if not facts.rows.read:
        return Measure(Standing.NOT_RUN)
    unexplained = sum(abs(line.rows.read - line.rows.accounted) for line in facts.conservation)
    said = [
        _say("{0} lues", "{0} read", facts.rows.read),
        _say("inexpliquées\u202f: {0}", "unexplained: {0}", unexplained),
    ]
    level = facts.level("L4")
    different = level.figures.get("different") if level else None
    if level is None or type(different) is not int or level.state not in (LevelState.PASS, LevelState.FAIL):
        return Measure(Standing.MISSED if unexplained else Standing.NOT_RUN, tuple(said))
    said.append(_say("fiches différentes\u202f: {0}", "records that differ: {0}", different))
    standing = Standing.REACHED
    if unexplained or not facts.rows.is_balanced or not facts.parts.is_balanced:
        standing = Standing.MISSED
    elif level.state is LevelState.FAIL or different:
        standing = Standing.MISSED if find_unaccepted(facts, "L4") or not facts.waivers else Standing.WAIVED
    return Measure(standing, tuple(said), unexplained + different)


def _evidence(facts: EvidenceFacts) -> Measure:
    """Measure documents, seals and their movements record by record, as L4 compared them; no file is opened."""
    if not _WITH_PIECES & set(facts.domains):
        return Measure(Standing.NOT_CONCERNED)
    level = facts.level("L4")
    if level is None or level.state not in (LevelState.PASS, LevelState.FAIL):
        return Measure(Standing.NOT_RUN)
    compared = {
        table: max(each.compared for each in facts.columns if each.table == table)
        for table in {each.table for each in facts.columns} & _PIECES
    }
    different = sum(cause.rows for cause in facts.causes if cause.table in _PIECES and cause.sentence.en != EXPLAINED)
    if not compared and not different:
        return Measure(Standing.NOT_CONCERNED)
    said = [
        _say("fiches comparées\u202f: {0}", "records compared: {0}", sum(compared.values())),
        _say("écarts\u202f: {0}", "differences: {0}", different),
    ]
    figures = _figures(facts)
    if "open_work_live_seals_canonical" in figures:
        seals = _number(figures, "open_work_live_seals_canonical")
        alive = _number(figures, "open_work_live_seals_legacy") - _number(figures, "open_work_live_seals_filtered")
        said.append(_say("scellés par leur numéro\u202f: {0} sur {1}", "seals by number: {0} of {1}", seals, alive))
    left = [line for line in find_unaccepted(facts, "L4") if line.table in _PIECES]
    standing = Standing.REACHED
    if different:
        standing = Standing.MISSED if left or not facts.waivers else Standing.WAIVED
    return Measure(standing, tuple(said), different)


def _statistics(facts: EvidenceFacts) -> Measure:
    known = _part(facts, "statistics")
    if known is not None:
        return known
    figures = _figures(facts)
    different = _number(figures, "statistics_different")
    said = (
        _say(
            "{0} lignes par index, mois et unité",
            "{0} lines by index, month and unit",
            _number(figures, "statistics_lines"),
        ),
        _say("inexpliqués\u202f: {0}", "unexplained: {0}", different),
    )
    return Measure(_judged(facts, "statistics", FindingKind.STATISTIC_DIFFERS), said, different)


def _queries(facts: EvidenceFacts) -> Measure:
    known = _part(facts, "replay")
    if known is not None:
        return known
    figures = _figures(facts)
    different = _number(figures, "replay_different")
    said = (
        _say(
            "{0} recherches, {1} réponses", "{0} queries, {1} answers",
            _number(figures, "replay_questions"), _number(figures, "replay_rows"),
        ),
        _say("manques\u202f: {0}", "misses: {0}", different),
    )  # fmt: skip
    return Measure(_judged(facts, "replay", FindingKind.ANSWER_DIFFERS), said, different)


def _retention(facts: EvidenceFacts) -> Measure:
    loaded = find_expired(facts)
    if loaded is None:
        return Measure(Standing.NOT_ASKED)
    said = (
        _say("échues et chargées\u202f: {0}", "past term and loaded: {0}", loaded),
        _say("écartées\u202f: {0}", "filtered: {0}", facts.rows.filtered),
    )
    return Measure(Standing.MISSED if loaded else Standing.REACHED, said, loaded)


def _part(facts: EvidenceFacts, part: str) -> Measure | None:
    """Say why a part of L5 has no figure to show; None when it was measured."""
    figures, level = _figures(facts), facts.level("L5")
    state = figures.get(f"{part}_state")
    if state in (LevelState.PASS.value, LevelState.FAIL.value):
        return None
    if state is None and level is not None and part in str(figures.get("parts", "")).split("+"):
        return Measure(Standing.NOT_CONCERNED)
    is_asked = "L5" in facts.profile.asked and part in facts.profile.parts_of("L5")
    return Measure(Standing.NOT_RUN if is_asked or state is not None else Standing.NOT_ASKED)


def _judged(facts: EvidenceFacts, part: str, kind: FindingKind) -> Standing:
    if _figures(facts).get(f"{part}_state") == LevelState.PASS.value:
        return Standing.REACHED
    left = [line for line in find_unaccepted(facts, "L5") if line.kind is kind]
    is_listed = any(line.kind is kind for line in facts.findings)
    return Standing.WAIVED if facts.waivers and is_listed and not left else Standing.MISSED


def _figures(facts: EvidenceFacts) -> dict[str, int | str | bool]:
    level = facts.level("L5")
    return dict(level.figures) if level else {}


def _number(figures: dict[str, int | str | bool], name: str) -> int:
    figure = figures.get(name, 0)
    return figure if type(figure) is int else 0


def _sum(figures: dict[str, int | str | bool], side: str) -> int:
    return sum(_number(figures, name) for name in figures if name.startswith("open_work_") and name.endswith(side))


def _say(fr: str, en: str, *numbers: int) -> Text:
    return Text(
        fr.format(*(write_number(number, Language.FR) for number in numbers)),
        en.format(*(write_number(number, Language.EN) for number in numbers)),
    )


def _found(*kinds: FindingKind) -> Callable[[EvidenceFacts], Iterable[Row]]:
    def listed(facts: EvidenceFacts) -> Iterable[Row]:
        return (_finding(line) for line in facts.findings if line.kind in kinds and line.severity is Severity.BLOCK)

    return listed


def _finding(line: FindingLine) -> Row:
    cause = say_text(Text.same(line.cause or line.kind.value))
    return (line.level, line.table, line.column, line.pseudonym, cause.fr, cause.en, 1)


def _history_rows(facts: EvidenceFacts) -> Iterable[Row]:
    yield from (("quarantined", q.table, "", "", q.cause.fr, q.cause.en, q.rows) for q in facts.quarantined_rows)
    yield from (("field", q.table, q.column, "", q.cause.fr, q.cause.en, q.fields) for q in facts.quarantined_fields)
    yield from (_finding(line) for line in facts.findings if line.level == "L4" and line.severity is Severity.BLOCK)


def _statistics_rows(facts: EvidenceFacts) -> Iterable[Row]:
    for total in facts.statistics:
        if total.difference:
            why = total.explanation or Text("sans explication", "unexplained")
            label = Text(f"{total.label.fr}\u202f: {why.fr}", f"{total.label.en}: {why.en}")
            yield ("statistic", "", "", "", label.fr, label.en, abs(int(total.difference)))
    yield from _found(FindingKind.STATISTIC_DIFFERS)(facts)


def _filtered_rows(facts: EvidenceFacts) -> Iterable[Row]:
    for each in facts.filtered:
        yield ("filtered", each.table, "", each.rule, each.reason.fr, each.reason.en, each.rows)


def _piece_rows(facts: EvidenceFacts) -> Iterable[Row]:
    blocking = (line for line in facts.findings if line.level == "L4" and line.severity is Severity.BLOCK)
    return (_finding(line) for line in blocking if line.table in _PIECES)


_NUMBERS: dict[str, tuple[Callable[[EvidenceFacts], Measure], Callable[[EvidenceFacts], Iterable[Row]]]] = {
    "open_work": (_open_work, _found(FindingKind.OPEN_WORK_DIFFERS)),
    "history": (_history, _history_rows),
    "evidence": (_evidence, _piece_rows),
    "statistics": (_statistics, _statistics_rows),
    "queries": (_queries, _found(FindingKind.ANSWER_DIFFERS)),
    "retention": (_retention, _filtered_rows),
}
