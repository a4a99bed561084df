"""Decisions of stewards as rules read them: sealed texts are opened, and laid over the rules of a legacy system."""

from collections.abc import Sequence
from typing import assert_never

from banyan.departments import SourceRef
from mappings.decided import CodeMeans, ReadsAs, with_decisions
from mappings.model import ReadAs, RuleBook
from store.decisions import Decided, DecisionKind
from store.keys import KeyRing
from sync.workspace import Workspace

_TEXT = "decision text"


def lay_over(workspace: Workspace, source: SourceRef, decided: Sequence[Decided]) -> RuleBook:
    """Give the rules of a legacy system with decisions laid over them; without any, the rules themselves."""
    book = workspace.book(source)
    codes, values = [], []
    for what in decided:
        match what.kind:
            case DecisionKind.CODE:
                codes.append(code_of(what))
            case DecisionKind.VALUE:
                values.append(value_of(workspace.landing.keys, source, what))
            case _:
                assert_never(what.kind)
    return with_decisions(book, codes, values)


def code_of(what: Decided) -> CodeMeans:
    """Give a decision about a code as rules read it."""
    return CodeMeans(what.code_map or "", what.code or "", what.means or "")


def value_of(keys: KeyRing, source: SourceRef, what: Decided) -> ReadsAs:
    """Give a decision about a value as rules read it; refuses a text that was sealed for another place."""
    place = _place(source, what.table or "", what.column or "")
    raw = keys.open(what.raw or b"", place=place).decode()
    text = None if what.read_as is None else keys.open(what.read_as, place=place).decode()
    return _read_as(keys, source, (what.table or "", what.column or ""), texts=(raw, text))


def seal_code(meaning: CodeMeans) -> Decided:
    """Give a decision about a code as the store keeps it."""
    return Decided(DecisionKind.CODE, code_map=meaning.code_map, code=meaning.code, means=meaning.means)


def seal_value(keys: KeyRing, source: SourceRef, table: str, *, column: str, texts: tuple[str, str | None]) -> Decided:
    """Give a decision about a value as the store keeps it: sealed for its column, found again by a keyed digest."""
    place, (raw, text) = _place(source, table, column), texts
    return Decided(
        DecisionKind.VALUE,
        table=table,
        column=column,
        raw_digest=digest_text(keys, source, table, column=column, text=raw),
        raw=keys.seal(source.department_code, raw.encode(), place=place),
        read_as=None if text is None else keys.seal(source.department_code, text.encode(), place=place),
    )


def digest_text(keys: KeyRing, source: SourceRef, table: str, *, column: str, text: str) -> bytes:
    """Give the keyed digest by which a decision about a raw text of a column is found again."""
    return keys.digest(_TEXT, f"{_place(source, table, column)}\x1f{text}".encode())


def _read_as(keys: KeyRing, source: SourceRef, where: tuple[str, str], *, texts: tuple[str, str | None]) -> ReadsAs:
    table, column = where
    raw, text = texts
    told = "\x1f".join((_place(source, table, column), raw, "-" if text is None else f"={text}"))
    return ReadsAs(table, ReadAs(column, raw, text, keys.digest(_TEXT, told.encode()).hex()))


def _place(source: SourceRef, table: str, column: str) -> str:
    return f"decision/{source}/{table}/{column}"
