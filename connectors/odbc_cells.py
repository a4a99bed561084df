"""From the texts that crossed an ODBC driver to raw texts: hexadecimal digits become characters, strictly."""

from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

import polars as pl

from banyan.errors import SourceUnreadable
from connectors.dialects_odbc import Form, OdbcShape

_UTF8: Final = ("utf8", "utf-8")


def read_texts(shape: OdbcShape, crossed: pl.DataFrame, encoding: str) -> pl.DataFrame:
    """Give raw texts; refuses one that is no text under its encoding, naming row, column and byte but no value.

    `encoding` is that of texts whose bytes cross as they stand in the file (SQLite); a server gives UTF-8.
    """
    return pl.DataFrame([_read(shape, column, encoding) for column in crossed], schema=crossed.columns)


def _read(shape: OdbcShape, crossed: pl.Series, encoding: str) -> pl.Series:
    form = shape.projection(crossed.name).form
    match form:
        case Form.PLAIN:
            return crossed
        case Form.HEX:
            try:
                return crossed.str.decode("hex").cast(pl.String)
            except pl.exceptions.PolarsError:
                return _each(shape, crossed, lambda text: bytes.fromhex(text).decode("utf-8"))
        case Form.UTF16:
            return _each(shape, crossed, lambda text: bytes.fromhex(text).decode("utf-16-le"))
        case Form.BYTES:
            return "\\x" + crossed.str.to_lowercase()
        case Form.CLASSED:
            return _each(shape, crossed, partial(_classed, encoding))
    assert_never(form)


def _each(shape: OdbcShape, crossed: pl.Series, read: Callable[[str], str]) -> pl.Series:
    texts: list[str | None] = []
    for row, text in enumerate(crossed, 1):
        try:
            texts.append(None if text is None else read(text))
        except UnicodeDecodeError as error:
            raise SourceUnreadable(
                f"table {shape.name} is not {error.encoding}: row {row} of those read, column {crossed.name}, byte "
                f"offset {error.start} of the value; nothing of these rows was passed on",
                hint="declare the encoding that the application wrote, then read again",
                table=shape.name,
                record=row,
                column=crossed.name,
                offset=error.start,
            ) from None
    return pl.Series(crossed.name, texts, dtype=pl.String)


def _classed(encoding: str, text: str) -> str:
    match text[0]:
        case "r":
            return repr(float(text[1:]))
        case "b":
            return "0x" + text[1:].lower()
        case "t":
            return bytes.fromhex(text[1:]).decode(encoding)
        case _:
            return text[1:]
