"""Connections to a PostgreSQL database that has no encoding: it keeps bytes, and what is declared says their letters.

The session says LATIN1. Towards a database in SQL_ASCII the server converts nothing then and accepts every byte but
NUL, and the driver takes each byte as one character; under SQL_ASCII itself it could send no statement with an accent.
Letters are made of the bytes here, by the alphabet declared: of statements, values, results and blocks of COPY.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.abc import Query
from psycopg.adapt import Buffer, Dumper, Loader

from wire.alphabet import Alphabet

SESSION_ENCODING = "LATIN1"
NO_ENCODING = "SQL_ASCII"
"""What a server calls the encoding of a database that has none."""

_TEXT_TYPES: tuple[int | str, ...] = (0, "bpchar", "text", "varchar", '"char"')
Values = Sequence[Any] | Mapping[str, Any] | None


class EncodedConnection(psycopg.Connection[Any]):
    """A connection whose texts are spelled by an alphabet; without one it is a plain connection."""

    alphabet: Alphabet | None = None

    def spell(self, alphabet: Alphabet) -> None:
        """Speak bytes from now on, and read them by this alphabet."""
        self.pgconn.exec_(f"set client_encoding to '{SESSION_ENCODING}'".encode())
        self.alphabet = alphabet
        dumper, loader, naming = _adapters(alphabet)
        self.adapters.register_dumper(str, dumper)
        self.adapters.register_loader("name", naming)
        for kind in _TEXT_TYPES:
            self.adapters.register_loader(kind, loader)
        self.cursor_factory = EncodedCursor
        self.server_cursor_factory = EncodedServerCursor


class EncodedCursor(psycopg.Cursor[Any]):
    """A cursor whose statements are spelled by the alphabet of its connection."""

    def execute(
        self, query: Query, params: Values = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> "EncodedCursor":
        """Run a statement."""
        return super().execute(spelled(self.connection, query), params, prepare=prepare, binary=binary)

    @contextmanager
    def copy(
        self, statement: Query, params: Values = None, *, writer: psycopg.copy.Writer | None = None
    ) -> Iterator[psycopg.Copy]:
        """Run a COPY."""
        with super().copy(spelled(self.connection, statement), params, writer=writer) as copy:
            yield copy


class EncodedServerCursor(psycopg.ServerCursor[Any]):
    """A cursor of the server whose question is spelled by the alphabet of its connection."""

    def execute(  # type: ignore[override]  # nobody passes more
        self, query: Query, params: Values = None, *, binary: bool | None = None
    ) -> "EncodedServerCursor":
        """Ask a question."""
        return super().execute(spelled(self.connection, query), params, binary=binary)


def alphabet_of(connection: psycopg.Connection[Any]) -> Alphabet | None:
    """Give the alphabet of a connection; None where the server itself knows its encoding."""
    return connection.alphabet if isinstance(connection, EncodedConnection) else None


def spelled(connection: psycopg.Connection[Any], query: Query | sql.Composable) -> bytes:
    """Give the bytes of a statement as a server takes them."""
    alphabet = alphabet_of(connection)
    match query:
        case bytes():
            return query
        case sql.Composable() if alphabet is None:
            return query.as_bytes(connection)
        case sql.Composable():
            text = query.as_string()
        case _:
            text = str(query)
    return text.encode() if alphabet is None else alphabet.write(text)


def respelled(connection: psycopg.Connection[Any], text: str) -> str:
    """Give a text of a server's message, which the driver read byte for byte, in its letters."""
    alphabet = alphabet_of(connection)
    return text if alphabet is None else alphabet.read(text.encode("latin-1"))


@cache
def _adapters(alphabet: Alphabet) -> tuple[type[Dumper], type[Loader], type[Loader]]:
    class SpelledText(Dumper):
        def dump(self, obj: str) -> Buffer:
            return alphabet.write(obj)

    class ReadText(Loader):
        def load(self, data: Buffer) -> str:
            return alphabet.read(data)

    class ReadName(Loader):
        def load(self, data: Buffer) -> str:
            return alphabet.read_name(data)

    return SpelledText, ReadText, ReadName
