"""Hexadecimal texts of one width as bytes, by a table: a third of what decoding them one by one costs."""

import numpy as np
import polars as pl
import pyarrow as pa

_NIBBLES = np.zeros(256, np.uint8)
for _value, _digit in enumerate(b"0123456789abcdef"):
    _NIBBLES[_digit] = _value


def unhex(texts: pl.Series, *, width: int, digits: tuple[int, ...]) -> pl.Series:
    """Give the bytes whose digits stand at these places of texts, all of `width` characters; null stays null."""
    known = texts.drop_nulls()
    if known.is_empty():
        return pl.Series(texts.name, dtype=pl.Binary).extend_constant(None, len(texts))
    written = known.to_arrow(compat_level=pl.CompatLevel.oldest())
    start = int(np.frombuffer(written.buffers()[1], np.int64, 1 + written.offset)[-1])
    content = np.frombuffer(written.buffers()[2] or b"", np.uint8)[start : start + width * len(known)]
    nibbles = _NIBBLES[content.reshape(-1, width)[:, list(digits)]]
    size = len(digits) // 2
    decoded = np.ascontiguousarray(nibbles[:, 0::2] << 4 | nibbles[:, 1::2])
    offsets = np.arange(len(known) + 1) * size
    answer = pl.Series(
        texts.name,
        pa.LargeBinaryArray.from_buffers(
            pa.large_binary(), len(known), [None, pa.py_buffer(offsets), pa.py_buffer(decoded)]
        ),
    )
    if len(known) == len(texts):
        return answer
    present = texts.is_not_null()
    place = present.cum_sum().cast(pl.Int64) - 1
    return answer.gather(place.zip_with(present, pl.Series([None], dtype=pl.Int64)))
