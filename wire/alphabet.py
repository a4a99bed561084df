"""The letters of a declared encoding, for bytes that no server reads for us: each byte is one letter, or it is UTF-8.

A byte that an encoding of single bytes leaves out is the control character of that number, as MariaDB reads it and as
the lenses of repair do: what was read is written back byte for byte. UTF-8 has no such room: bytes that are none of it
are refused with their place.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import polars as pl

from banyan.errors import ConfigurationError, RowRefused

Raw = bytes | bytearray | memoryview


class NotSpelled(Exception):
    """Bytes are no text of the encoding declared; says where, and never what they are."""

    def __init__(self, encoding: str, at: int, *, row: int = 0, column: str = "") -> None:
        place = f"row {row} of those read, column {column}, byte {at}" if column else f"byte {at} of a text"
        super().__init__(f"is not {encoding}: {place}")
        self.encoding, self.at, self.row, self.column = encoding, at, row, column


@dataclass(frozen=True, slots=True)
class Alphabet:
    """What the bytes of an encoding read as, and the way back; both exact."""

    name: str
    _letters: str = field(repr=False)
    _bytes: object = field(repr=False, compare=False, hash=False)

    @property
    def is_utf8(self) -> bool:
        """Tell whether it is UTF-8, of which some bytes are no text."""
        return not self._letters

    def read(self, raw: Raw) -> str:
        """Give the text that bytes spell; only UTF-8 can refuse."""
        if self._letters:
            return codecs.charmap_decode(bytes(raw), "strict", self._letters)[0]
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError as error:
            raise NotSpelled(self.name, error.start) from None

    def write(self, text: str, *, column: str = "") -> bytes:
        """Give the bytes that spell a text; refuses NUL, and a letter the encoding does not have."""
        if "\0" in text:
            raise _refused("the character NUL, which a text of the legacy system cannot hold", self.name, column)
        if not self._letters or text.isascii():
            return text.encode()
        try:
            return codecs.charmap_encode(text, "strict", self._bytes)[0]  # type: ignore[arg-type]  # by charmap_build
        except UnicodeEncodeError:
            raise _refused(f"a letter that {self.name} does not have", self.name, column) from None

    def rewritten(self, block: bytearray) -> bytes | bytearray:
        """Give a block of rows as UTF-8; one of plain letters costs a look at it and nothing more."""
        return block if block.isascii() else self.read(block).encode()

    def written(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give the texts of a frame as the bytes that spell them, each different text once; plain columns stay."""
        return frame.with_columns(
            self._written(frame[name]) for name, kind in frame.schema.items() if kind == pl.String
        )

    def _written(self, texts: pl.Series) -> pl.Series:
        if self.is_utf8 or texts.str.len_bytes().sum() == texts.str.len_chars().sum():
            return texts
        spelled = {text: self.write(text, column=texts.name) for text in texts.drop_nulls().unique()}
        return pl.Series(texts.name, [None if text is None else spelled[text] for text in texts], dtype=pl.Binary)


@cache
def alphabet_named(encoding: str) -> Alphabet:
    """Give the letters of an encoding by its name; refuses one in which a plain letter is not its own byte."""
    try:
        name = codecs.lookup(encoding).name
        plain = bytes(range(128)).decode(name)
    except (LookupError, UnicodeError):
        raise _unknown(encoding) from None
    if name == "utf-8":
        return Alphabet(name, "", None)
    if plain != bytes(range(128)).decode("ascii") or name == "ascii":
        raise _unknown(encoding)
    letters = [*plain, *(_letter_of(code, name) for code in range(128, 256))]
    if len(set(letters)) < 256:
        raise _unknown(encoding)
    table = "".join(letters)
    return Alphabet(name, table, codecs.charmap_build(table))


def _letter_of(code: int, encoding: str) -> str:
    try:
        return bytes([code]).decode(encoding)
    except UnicodeDecodeError:
        if any(_spells((code, second), encoding) for second in range(1, 256)):
            raise _unknown(encoding) from None  # the first of two bytes or more, which could be cut apart
        return chr(code)


def _spells(codes: Sequence[int], encoding: str) -> bool:
    try:
        return bool(bytes(codes).decode(encoding))
    except UnicodeDecodeError:
        return False


def _unknown(encoding: str) -> ConfigurationError:
    return ConfigurationError(
        f"{encoding!r} is no encoding in which bytes without a declared encoding are read; nothing was read",
        hint="declare utf-8, or an encoding of single bytes such as cp1252, iso-8859-15, cp850",
    )


def _refused(what: str, encoding: str, column: str) -> RowRefused:
    where = f" for the column {column}" if column else ""
    return RowRefused(
        f"a text{where} holds {what}; nothing was written",
        hint="the rule of this column must refuse it: banyan map contract",
        code=encoding,
        column=column,
    )
