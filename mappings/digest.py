"""Digests of legacy rows: equal rows are equal across years, and nobody without the key can test a guess.

Encoding, version 1: `B1|<number of columns>`, then each cell in order, each after the unit separator U+001F. A null
is U+001E `N`; in a text, U+001E is written U+001E `E` and U+001F is written U+001E `F`. A bare U+001F stands between
cells only, and no text is written as U+001E `N`, so no two rows share an encoding.
Digest: the first 16 bytes of HMAC-SHA256 of that encoding; the key of the HMAC is the lower-case hexadecimal text of
the department's digest key. Golden vectors in the tests freeze both.
"""

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np
import polars as pl
import polars_hash as plh

from mappings.unhex import unhex

ENCODING = "B1"
SEPARATOR = "\x1f"
ESCAPE = "\x1e"
DIGEST_BYTES = 16
FEW = 64
"""Below this many rows a call of Polars costs more than the standard library, row by row."""


def encode_rows(rows: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """Write the version 1 encoding of the named text columns of each row."""
    plain = _write_rows(rows, columns, is_marked=False)
    nulls = sum(rows[column].null_count() for column in columns)
    if _count_marks(plain) == (rows.height * len(columns), nulls):
        return plain  # every mark in it is one of ours
    return _write_rows(rows, columns, is_marked=True)


def _count_marks(texts: pl.Series) -> tuple[int, int]:
    """Count the separators and the escapes in all texts together: in UTF-8 no other character holds their bytes."""
    written = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = written.buffers()
    if not len(written) or content is None:
        return 0, 0
    borders = np.frombuffer(offsets, np.int64, len(written) + 1 + written.offset)[written.offset :]
    held = np.frombuffer(content, np.uint8)[borders[0] : borders[-1]]
    return int(np.count_nonzero(held == ord(SEPARATOR))), int(np.count_nonzero(held == ord(ESCAPE)))


def _write_rows(rows: pl.DataFrame, columns: Sequence[str], *, is_marked: bool) -> pl.Series:
    cells = [_cell(pl.col(column), is_marked=is_marked) for column in columns]
    return rows.select(
        pl.concat_str([pl.lit(f"{ENCODING}|{len(columns)}"), *cells], separator=SEPARATOR).alias("encoded")
    ).to_series()


def _cell(text: pl.Expr, *, is_marked: bool) -> pl.Expr:
    """Write one column; the texts of the rare batch that holds a separator are escaped first."""
    if is_marked:
        text = text.str.replace_all(ESCAPE, f"{ESCAPE}E", literal=True)
        text = text.str.replace_all(SEPARATOR, f"{ESCAPE}F", literal=True)
    return text.fill_null(f"{ESCAPE}N")


def hash_rows(rows: pl.DataFrame, columns: Sequence[str], *, key: bytes) -> pl.Series:
    """Compute the digest of each row over the named columns: 16 bytes; a few rows with the standard library."""
    if rows.height >= FEW:
        return hash_many(rows, columns, key=key)
    each = [reference_row_hash(cells, key=key) for cells in rows[list(columns)].iter_rows()]
    return pl.Series("row_hash", each, dtype=pl.Binary)


def hash_many(rows: pl.DataFrame, columns: Sequence[str], *, key: bytes) -> pl.Series:
    """Compute the digest of each row over the named columns, all rows at once."""
    encoded = encode_rows(rows, columns).to_frame()
    digest = plh.col("encoded").chash.hmac_sha256(key=key.hex())
    told = encoded.select(digest.alias("row_hash")).to_series()
    return unhex(told, width=64, digits=tuple(range(2 * DIGEST_BYTES)))


def reference_row_hash(cells: Sequence[str | None], *, key: bytes) -> bytes:
    """Compute the digest of one row with the standard library: what the vectorised one must equal."""
    written = f"{ENCODING}|{len(cells)}"
    for cell in cells:
        text = None if cell is None else cell.replace(ESCAPE, f"{ESCAPE}E").replace(SEPARATOR, f"{ESCAPE}F")
        written += SEPARATOR + (f"{ESCAPE}N" if text is None else text)
    return hmac.new(key.hex().encode(), written.encode(), hashlib.sha256).digest()[:DIGEST_BYTES]
