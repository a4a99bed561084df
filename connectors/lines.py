"""Lines of a text file under a declared encoding, with exact line numbers and byte offsets."""

import codecs
import io
import re
from pathlib import Path
from typing import BinaryIO

from banyan.errors import ConfigurationError, SourceUnreadable

HINT = "correct the declaration of the file, or ask the department for a new export"
DAMAGE = re.compile("[\\udc80-\\udcff]")
"""A byte that has no character, as the error handler `surrogateescape` shows it."""

_BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 64 << 20
"""A longer line, or a field of more characters, is no data: a quote is not closed, or it is another file."""


def checked_encoding(encoding: str) -> str:
    """Give the one name of a declared encoding; refuse one that is unknown or is no encoding of text."""
    try:
        found = codecs.lookup(encoding)
        "".encode(encoding)
    except LookupError:
        raise ConfigurationError(
            f"the encoding {encoding!r} is not known; nothing was read",
            hint="declare an encoding such as utf-8, cp1252, iso-8859-15, cp850",
        ) from None
    return found.name


def identity_of(path: Path) -> tuple[int, int]:
    """Give size and time of change of a file, to notice that somebody wrote while it was read."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


class Lines:
    """The physical lines of a file; bytes without a character stay visible as surrogates and are never passed on."""

    def __init__(self, file: BinaryIO, encoding: str, start: int, name: str) -> None:
        self.line = 0
        self.first_damage: int | None = None
        self.is_returned_twice = False
        """Whether the line read last ends with more than one carriage return: all but one of them are of a field."""
        self._file, self._name, self._encoding = file, name, encoding
        self._offset = file.seek(start)
        self._rest = b""
        self._queue = io.StringIO()
        self._waiting = 0
        self._is_damaged = False
        self._line_offset = 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        if not self.fill():
            raise StopIteration
        text = next(self._queue)
        self._waiting -= 1
        self.line += 1
        self.is_returned_twice = text.endswith(("\r\r\n", "\r\r"))
        if self._is_damaged:
            self._locate(text)
        return text

    @property
    def has_lines(self) -> bool:
        """Tell whether a line of the current block waits."""
        return self._waiting > 0

    def start_record(self) -> None:
        """Forget the damage of the record before."""
        self.first_damage = None

    def fill(self) -> bool:
        """Make sure that a line waits; tell whether there is one."""
        while not self._waiting:
            fresh = self._file.read(_BLOCK_BYTES)
            raw = self._rest + fresh
            if not raw:
                return False
            end = raw.rfind(b"\n") + 1 if fresh else len(raw)
            self._rest = raw[end:]
            if len(self._rest) > MAX_LINE_BYTES:
                raise SourceUnreadable(
                    f"{self._name}:{self.line + 1}: a line of more than {MAX_LINE_BYTES} bytes; it was not passed on",
                    hint=HINT,
                    file=self._name,
                    line=self.line + 1,
                )
            if end:
                self._load(raw[:end])
        return True

    def whole_block(self) -> str | None:
        """Give the text of all lines that wait, without taking them; None when a byte has no character."""
        if self._is_damaged:
            return None
        place = self._queue.tell()
        text = self._queue.read()
        self._queue.seek(place)
        return text

    def take_block(self) -> None:
        """Take all lines that wait."""
        self.line += self._waiting
        self._waiting = 0

    def _load(self, raw: bytes) -> None:
        try:
            text, self._is_damaged = raw.decode(self._encoding), False
        except UnicodeDecodeError:
            text, self._is_damaged = raw.decode(self._encoding, "surrogateescape"), True
        self._queue = io.StringIO(text, newline="\n")
        self._waiting = text.count("\n") + (not text.endswith("\n"))
        self._line_offset = self._offset
        self._offset += len(raw)

    def _locate(self, text: str) -> None:
        damage = DAMAGE.search(text)
        if damage and self.first_damage is None:
            before = text[: damage.start()].encode(self._encoding, "surrogateescape")
            self.first_damage = self._line_offset + len(before)
        self._line_offset += len(text.encode(self._encoding, "surrogateescape"))
