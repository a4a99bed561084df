"""From the texts that crossed an ODBC driver to raw texts: hexadecimal digits become characters, strictly.

What is no text under its encoding is carried as its bytes behind a mark (`banyan.undecoded`).
"""

from collections.abc import Callable
from functools import partial
from typing import Final, assert_never

import polars as pl

from banyan.errors import SourceUnreadable
from banyan.undecoded import MARK, read_text
from connectors.dialects_makes import SQLITE
from connectors.dialects_odbc import Form, OdbcShape

_UTF8: Final = ("utf8", "utf-8")


def read_texts(shape: OdbcShape, crossed: pl.DataFrame, encoding: str) -> pl.DataFrame:
    """Give raw texts. A key that is no text under its encoding is refused by row and column where a server is asked.

    A server could not be asked for such a row by the bytes of its key; a SQLite file can. `encoding` is that of texts
    whose bytes cross as they stand in the file (SQLite); a server gives UTF-8.
    """
    return pl.DataFrame([_read(shape, column, encoding) for column in crossed], schema=crossed.columns)


def _read(shape: OdbcShape, crossed: pl.Series, encoding: str) -> pl.Series:
    form = shape.projection(crossed.name).form
    match form:
        case Form.PLAIN:
            return crossed
        case Form.HEX:
            try:
                plain = crossed.str.decode("hex").cast(pl.String)
            except pl.exceptions.PolarsError:
                plain = None
            if plain is None or plain.str.starts_with(MARK).any():
                return _each(shape, crossed, lambda text: read_text(bytes.fromhex(text), "utf-8"))
            return plain
        case Form.UTF16:
            return _each(shape, crossed, lambda text: read_text(bytes.fromhex(text), "utf-16-le"))
        case Form.BYTES:
            return "\\x" + crossed.str.to_lowercase()
        case Form.CLASSED:
            return _each(shape, crossed, partial(_classed, encoding))
    assert_never(form)


def _each(shape: OdbcShape, crossed: pl.Series, read: Callable[[str], str]) -> pl.Series:
    texts = pl.Series(crossed.name, [None if text is None else read(text) for text in crossed], dtype=pl.String)
    can_be_asked = shape.make is SQLITE or crossed.name not in shape.key
    if not can_be_asked and (marked := texts.str.starts_with(MARK).arg_true()).len():
        raise SourceUnreadable(
            f"table {shape.name}: row {marked[0] + 1} of those read, column {crossed.name} of the key is no text under "
            "the encoding declared; nothing of these rows was passed on",
            hint="correct the key in the legacy system, or ask for a view that leaves its row out",
            table=shape.name,
            record=marked[0] + 1,
            column=crossed.name,
        )
    return texts


def _classed(encoding: str, text: str) -> str:
    match text[0]:
        case "r":
            return repr(float(text[1:]))
        case "b":
            return "0x" + text[1:].lower()
        case "t":
            return read_text(bytes.fromhex(text[1:]), encoding)
        case _:
            return text[1:]
