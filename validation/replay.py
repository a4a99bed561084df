"""Query replay: what an investigator found yesterday is found today. Recorded questions, put to both sides.

Answers are counted line by line in constant memory; only where a line is not answered as often on both sides are its
rows looked at, by key. What a named rule filtered is explained by that list; what waits in quarantine too, unless the
question is absolute. No rule, lens or code map is used: a question says in SQL what its officers mean by the codes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from banyan.errors import BanyanError, UsageError
from banyan.findings import Finding, FindingKind, LevelResult, LevelState, Severity
from banyan.ports import LegacyPort, Questionable
from validation.open_work import CANONICAL_ONLY, LEGACY_ONLY
from validation.questions import Question

PART = "replay"
_ROWS_A_PIECE = 20_000
_DIGITS = 8

Row = tuple[object, ...]
Line = tuple[str, ...]
Rows = Iterable[list[Row]]
Identities = Callable[[Collection[str]], Mapping[str, str]]
"""From legacy keys of a table to the identifiers of their main records; a key without a record is left out."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Legacy keys of the table of a question that lists explain, and those that moved and are not judged yet."""

    filtered: Collection[str] = field(default=(), repr=False)
    waiting: Mapping[str, Collection[str | None]] = field(default_factory=dict, repr=False)
    """Rows in quarantine, with their columns; None for the whole row."""
    moving: Collection[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One question as both sides answered it: rows on each, how many are explained, and those that differ."""

    question: Question
    legacy: int = 0
    explained: int = 0
    canonical: int = 0
    moving: int = 0
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    """Why it could not be answered; never a word of a server, which may hold a value."""


@dataclass(slots=True)
class _Counted:
    rows: int = 0
    passed: int = 0
    lines: Counter[Line] = field(default_factory=Counter)


def replay(
    question: Question,
    port: LegacyPort,
    *,
    ask: Callable[[str], Rows],
    left_out: LeftOut,
    identities: Identities,
) -> Answer:
    """Put one question to both sides and compare the answers; what cannot be asked is a problem, never a silence."""
    if not isinstance(port, Questionable):
        return Answer(question, problem="the old system answers no question in SQL")
    explained = _explained(question, left_out)
    known = identities(explained - set(left_out.filtered)) if explained else {}
    try:
        width: set[int] = set()
        legacy = _count(port.answer(question.legacy), explained, width)
        canonical = _count(ask(question.canonical), set(known.values()), width)
        if len(width) > 1:
            return Answer(question, problem="both sides do not answer with as many columns")
        if legacy.rows < question.floor:
            return Answer(question, legacy.rows, problem=f"the old system answers fewer rows than {question.floor}")
        different = {
            line
            for line in {*legacy.lines, *canonical.lines}
            if legacy.lines.get(line, 0) != canonical.lines.get(line, 0)
        }
        moving = 0
        findings: tuple[Finding, ...] = ()
        if different:
            here = _keys(port.answer(question.legacy), different, explained)
            there = _keys(ask(question.canonical), different, set(known.values()))
            moving, findings = _name(question, here, there, moved=left_out.moving, identities=identities)
    except BanyanError as error:
        return Answer(question, problem=f"it could not be asked ({_why(error)})")
    return Answer(question, legacy.rows, legacy.passed, canonical.rows, moving, findings)


def ask_canonical(connection: sa.Connection, values: Mapping[str, str]) -> Callable[[str], Iterator[list[Row]]]:
    """Give how questions are put to the store: in pieces, in the transaction given, with what they may ask by name."""

    def ask(query: str) -> Iterator[list[Row]]:
        asked = {name: value for name, value in values.items() if f":{name}" in query}
        streamed = {"stream_results": True, "max_row_buffer": _ROWS_A_PIECE}
        try:
            with (
                connection.begin_nested(),  # what one question breaks is not broken for the next
                connection.execute(sa.text(query), asked, execution_options=streamed) as rows,
            ):
                yield from ([tuple(row) for row in piece] for piece in rows.partitions(_ROWS_A_PIECE))
        except sa.exc.DBAPIError as error:
            raise UsageError(
                "the store refused a question; nothing was changed", why=type(error.orig).__name__
            ) from None

    return ask


def replay_level(answers: Collection[Answer]) -> LevelResult:
    """Judge the replay part of L5: each question exact or explained, or the rows that differ.

    No question at all, and one that could not be answered, are an ERROR: they prove nothing.
    """
    problems = [each for each in answers if each.problem]
    findings = tuple(finding for each in answers for finding in each.findings)
    figures: dict[str, int | str | bool] = {
        "part": PART,
        "questions": len(answers),
        "answered": len(answers) - len(problems),
        "rows": sum(each.legacy for each in answers),
        "explained": sum(each.explained for each in answers),
        "moving": sum(each.moving for each in answers),
        "different": len(findings),
        "errors": len(problems) + (not answers),
    }
    if not answers:
        return LevelResult("L5", LevelState.ERROR, "queries: no question is recorded for this closure", figures)
    if problems:
        said = "; ".join(f"{each.question.name}: {each.problem}" for each in problems)
        return LevelResult("L5", LevelState.ERROR, f"queries: {said}", figures, findings)
    if findings:
        wrong = "; ".join(f"{each.question.name}: {len(each.findings)}" for each in answers if each.findings)
        return LevelResult("L5", LevelState.FAIL, f"queries that miss or add rows: {wrong}", figures, findings)
    said = f"queries: {len(answers)} questions, {figures['rows']} rows, {figures['explained']} explained"
    return LevelResult("L5", LevelState.PASS, said, figures)


def _why(error: BanyanError) -> str:
    """Give the server's own name or number for what went wrong; its words may hold a value of a record."""
    return str(
        error.facts.get("why") or error.facts.get("sqlstate") or error.facts.get("errno") or type(error).__name__
    )


def _explained(question: Question, left_out: LeftOut) -> set[str]:
    waiting = () if question.is_absolute else left_out.waiting.items()
    rests_on = {None, *question.reads}
    return {*left_out.filtered, *(key for key, columns in waiting if rests_on & set(columns))}


def _split(row: Row) -> tuple[str, Line]:
    key, *rest = ("" if cell is None else str(cell).strip() for cell in row)
    return key, tuple(rest)


def _count(pieces: Rows, passed: Collection[str], width: set[int]) -> _Counted:
    counted = _Counted()
    for piece in pieces:
        width.update(map(len, piece[:1]))
        counted.rows += len(piece)
        for key, line in map(_split, piece):
            if key in passed:
                counted.passed += 1
            else:
                counted.lines[line] += 1
    return counted


def _keys(pieces: Rows, lines: Collection[Line], passed: Collection[str]) -> dict[Line, list[str]]:
    found: dict[Line, list[str]] = defaultdict(list)
    for piece in pieces:
        for key, line in map(_split, piece):
            if line in lines and key not in passed:
                found[line].append(key)
    return found


def _name(
    question: Question,
    here: Mapping[Line, list[str]],
    there: Mapping[Line, list[str]],
    *,
    moved: Collection[str],
    identities: Identities,
) -> tuple[int, tuple[Finding, ...]]:
    """Name the rows of the lines that differ: those that only one side answers, one by one, by key."""
    known = identities({*moved, *(key for keys in here.values() for key in keys)})
    still = {key: known.get(key, "") for key in moved}
    moving, findings = 0, []
    for line in sorted({*here, *there}):
        old, new = here.get(line, []), Counter(there.get(line, []))
        only_old = []
        for key in sorted(old):
            if new[known.get(key, "")] > 0:
                new[known[key]] -= 1
            else:
                only_old.append(key)
        only_new = sorted(new.elements())
        sides = ((LEGACY_ONLY, only_old, still.keys()), (CANONICAL_ONLY, only_new, set(still.values())))
        for cause, keys, awaited in sides:
            moving += sum(key in awaited for key in keys)
            findings += [_finding(question, key, cause) for key in keys if key not in awaited]
    return moving, tuple(findings)


def _finding(question: Question, key: str, cause: str) -> Finding:
    # the digest stands in the cause: what was accepted of one question is not accepted of another of that name
    said = f"query {question.name} {question.digest[:_DIGITS]}: {cause}"
    return Finding(FindingKind.ANSWER_DIFFERS, Severity.BLOCK, question.records, key, cause=said)
