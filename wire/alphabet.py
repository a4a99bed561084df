"""The letters of a declared encoding, for bytes that no server reads for us: each byte is one letter, or it is UTF-8.

A byte that an encoding of single bytes leaves out is the control character of that number, as MariaDB reads it and as
the lenses of repair do: what was read is written back byte for byte. UTF-8 has no such room: a cell whose bytes are
none of it is carried as these bytes behind a mark (`banyan.undecoded`), and a name is refused.
"""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import polars as pl

from banyan.errors import ConfigurationError, RowRefused
from banyan.undecoded import MARK, find_bytes, read_text

Raw = bytes | bytearray | memoryview


class NotSpelled(Exception):
    """Bytes are no text of the encoding declared; says where, and never what they are."""

    def __init__(self, encoding: str, at: int) -> None:
        super().__init__(f"is not {encoding}: byte {at}")
        self.encoding, self.at = encoding, at


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
        """Give the text that the bytes of a cell spell; the mark and the bytes where they are no UTF-8."""
        if self._letters:
            return codecs.charmap_decode(bytes(raw), "strict", self._letters)[0]
        return read_text(bytes(raw), self.name)

    def read_name(self, raw: Raw) -> str:
        """Give the name that bytes spell; refuses one that is no UTF-8, which no statement could speak of."""
        if self._letters:
            return self.read(raw)
        try:
            return bytes(raw).decode()
        except UnicodeDecodeError as error:
            raise NotSpelled(self.name, error.start) from None

    def write(self, text: str, *, column: str = "") -> bytes:
        """Give the bytes that spell a text; refuses NUL, and a letter the encoding does not have."""
        carried = None if self._letters else find_bytes(text)
        if "\0" in text or (carried and b"\0" in carried):
            raise _refused("the character NUL, which a text of the legacy system cannot hold", self.name, column)
        if carried is not None:
            return carried
        if not self._letters or text.isascii():
            return text.encode()
        try:
            return codecs.charmap_encode(text, "strict", self._bytes)[0]  # type: ignore[arg-type]  # by charmap_build
        except UnicodeEncodeError:
            raise _refused(f"a letter that {self.name} does not have", self.name, column) from None

    def rewritten(self, block: bytearray) -> bytes | bytearray:
        """Give a block of rows as UTF-8; one of plain letters costs a look at it and nothing more.

        Refuses a block that holds a cell which is not carried as its letters: it is to be read cell by cell.
        """
        if block.isascii():
            return block
        if self._letters:
            return self.read(block).encode()
        if (at := block.find(MARK.encode())) >= 0:
            raise NotSpelled(self.name, at)
        self.read_name(block)
        return block

    def written(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give the texts of a frame as the bytes that spell them, each different text once; plain columns stay."""
        return frame.with_columns(
            self._written(frame[name]) for name, kind in frame.schema.items() if kind == pl.String
        )

    def _written(self, texts: pl.Series) -> pl.Series:
        is_plain = texts.str.len_bytes().sum() == texts.str.len_chars().sum()
        if is_plain or (self.is_utf8 and not texts.str.starts_with(MARK).any()):
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
