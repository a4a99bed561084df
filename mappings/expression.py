"""The small grammar of rules: lens calls and conditions, parsed by hand so that errors name the character.

lens       name | name ( argument , ... )      argument   value | word : value
condition  column op text                      op         = | != | starts
value      "text" | 'text' | whole number | word        name, word   letters, digits, _ and . between them, perhaps
                                                                     after a $ (a column of the medium)
Inside quotes a backslash escapes the quote and itself.
"""

import re
from dataclasses import dataclass
from typing import cast

from mappings.model import Condition, LensCall, Operator, Scalar

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?![\w.]))
      | (?P<word>\$?[A-Za-z_]\w*(?:\.\w+)*)
      | (?P<sign>!=|[(),:=])""",
    re.VERBOSE,
)
_OPERATORS = ("=", "!=", "starts")


class ExpressionError(ValueError):
    """An expression cannot be parsed at an offset counted from 0."""

    def __init__(self, offset: int, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class ParsedLens:
    """A lens call with the offsets of its name and of each argument, for errors found later."""

    call: LensCall
    name_offset: int
    argument_offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    offset: int


class _Tokens:
    """The tokens of an expression, taken one by one."""

    def __init__(self, expression: str) -> None:
        self._tokens = _scan(expression)
        self._next = 0

    def peek(self, ahead: int = 0) -> _Token:
        """Give a token without taking it; the last one is `end`."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self, kind: str, wanted: str, *, sign: str = "") -> _Token:
        """Take a token of a kind (and sign), or say what was wanted there."""
        token = self.peek()
        if token.kind != kind or (sign and token.text != sign):
            got = "the end" if token.kind == "end" else token.text
            raise ExpressionError(token.offset, f"expected {wanted}, found {got}", _form(wanted))
        self._next += 1
        return token

    def has_sign(self, sign: str) -> bool:
        """Tell whether the next token is this sign."""
        return self.peek().kind == "sign" and self.peek().text == sign


def parse_lens(expression: str) -> ParsedLens:
    """Read a lens call such as `name.use_name(sep: " EP. ", max: 40)`."""
    tokens = _Tokens(expression)
    name = tokens.take("word", "the name of a lens")
    args: list[Scalar] = []
    kwargs: dict[str, Scalar] = {}
    offsets: list[int] = []
    if tokens.has_sign("("):
        tokens.take("sign", "(", sign="(")
        while not tokens.has_sign(")"):
            offsets.append(tokens.peek().offset)
            _take_argument(tokens, args, kwargs)
            if not tokens.has_sign(")"):
                tokens.take("sign", "a comma or )", sign=",")
        tokens.take("sign", ")", sign=")")
    tokens.take("end", "the end of the lens")
    ordered = tuple(offsets)
    return ParsedLens(LensCall(name.text, tuple(args), kwargs), name.offset, ordered)


def _take_argument(tokens: _Tokens, args: list[Scalar], kwargs: dict[str, Scalar]) -> None:
    first = tokens.peek()
    following = tokens.peek(1)
    if first.kind == "word" and following.kind == "sign" and following.text == ":":
        tokens.take("word", "the name of a parameter")
        tokens.take("sign", "a colon", sign=":")
        if first.text in kwargs:
            raise ExpressionError(first.offset, f"parameter {first.text} is given twice", "give it once")
        kwargs[first.text] = _take_value(tokens)
        return
    if kwargs:
        raise ExpressionError(
            first.offset, "a parameter without a name follows a named one", "name it, or put it first"
        )
    args.append(_take_value(tokens))


def parse_condition(expression: str) -> Condition:
    """Read a condition such as `top_supp = 'O'`, `tel != ''` or `num_proc starts '99999/'`."""
    tokens = _Tokens(expression)
    column = tokens.take("word", "the name of a column")
    operator = tokens.peek()
    if operator.text not in _OPERATORS or operator.kind not in ("sign", "word"):
        raise ExpressionError(operator.offset, "expected =, != or starts", _form("condition"))
    tokens.take(operator.kind, "an operator")
    value = tokens.take("text", "a text in quotes")
    tokens.take("end", "the end of the condition")
    return Condition(column.text, cast(Operator, operator.text), _unquote(value.text))


def condition_column_offset(expression: str) -> int:
    """Give the offset of the column in a condition, for errors found later."""
    return len(expression) - len(expression.lstrip())


def _take_value(tokens: _Tokens) -> Scalar:
    token = tokens.peek()
    match token.kind:
        case "text":
            return _unquote(tokens.take("text", "a value").text)
        case "number":
            return int(tokens.take("number", "a value").text)
        case _:
            return tokens.take("word", "a value").text


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1])


def _scan(expression: str) -> list[_Token]:
    tokens: list[_Token] = []
    offset = 0
    while offset < len(expression):
        if expression[offset].isspace():
            offset += 1
            continue
        found = _TOKEN.match(expression, offset)
        if found is None:
            raise _unreadable(expression, offset)
        tokens.append(_Token(cast(str, found.lastgroup), found.group(), offset))
        offset = found.end()
    tokens.append(_Token("end", "", len(expression)))
    return tokens


def _unreadable(expression: str, offset: int) -> ExpressionError:
    if expression[offset] in "\"'":
        return ExpressionError(offset, "a quote is opened and never closed", "close the quote")
    return ExpressionError(offset, f"unexpected character {expression[offset]}", "put texts between quotes")


def _form(wanted: str) -> str:
    if "lens" in wanted or "comma" in wanted or "value" in wanted:
        return "write a lens as name, name(value) or name(word: value), such as text.max(40)"
    return "write a condition as column = 'text', column != 'text' or column starts 'text'"
