"""Residue: the raw cells that the forward mapping would lose, packed beside the crosswalk row.

A residue is a sequence of cells. A cell is two characters of field number, one of storage class (`N` null, `T` text),
four of length in bytes, then the UTF-8 text. Numbers are written in base 64 with the characters from `0` (0x30) to
`o` (0x6F), most significant first: up to 4,096 columns and 16 MiB a cell. The field number is the place of the
column in the ruleset, which therefore may only grow at its end.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from banyan.errors import ConservationBroken

HEADER = 7
BASE = 64
ZERO = ord("0")
LONGEST_CELL = BASE**4 - 1


def pack(cells: Mapping[int, pl.Series], kept: Mapping[int, pl.Series], *, height: int) -> pl.Series:
    """Pack, row by row, the raw texts of each field where `kept` is true; a row that keeps nothing has no residue."""
    texts, rows = [], []
    for number in sorted(cells):
        chosen = kept[number].arg_true()
        if len(chosen):
            texts.append(_write_cells(cells[number].gather(chosen), number))
            rows.append(chosen.to_numpy())
    if not rows:
        return pl.Series("residue", [None] * height, dtype=pl.Binary)
    place = np.concatenate(rows)
    order = np.argsort(place, kind="stable")
    return _merge_neighbours(pl.concat(texts).gather(order), np.bincount(place, minlength=height))


def _write_cells(raw: pl.Series, number: int) -> pl.Series:
    text = pl.col("raw")
    size = text.str.len_bytes().fill_null(0)
    if (raw.str.len_bytes() > LONGEST_CELL).any():
        raise ConservationBroken("a cell is too long to be kept as residue; nothing was written", field=number)
    header = [pl.lit(_digit(number // BASE) + _digit(number % BASE))]
    header += [pl.when(text.is_null()).then(pl.lit("N")).otherwise(pl.lit("T"))]
    header += [_character(size // BASE**power % BASE) for power in (3, 2, 1, 0)]
    return raw.alias("raw").to_frame().select(pl.concat_str([*header, text.fill_null("")])).to_series()


def _digit(value: int) -> str:
    return chr(ZERO + value)


_DIGITS = pl.Series("digits", [_digit(value) for value in range(BASE)])


def _character(value: pl.Expr) -> pl.Expr:
    return pl.lit(_DIGITS).gather(value)


def _merge_neighbours(cells: pl.Series, counts: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> pl.Series:
    """Make one binary value of the cells of each row: the same bytes, with fewer offsets."""
    texts = cells.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, content = texts.buffers()
    ends = np.frombuffer(offsets, np.int64, len(texts) + 1 + texts.offset)[texts.offset :]
    starts = np.concatenate([[0], np.cumsum(counts)])
    validity = np.packbits(counts > 0, bitorder="little")
    merged = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(counts),
        [pa.py_buffer(validity), pa.py_buffer(np.ascontiguousarray(ends[starts])), content],
    )
    return pl.Series("residue", merged, dtype=pl.Binary)


def unpack(residue: pl.Series, fields: Sequence[int]) -> dict[int, pl.DataFrame]:
    """Read the cells of the asked fields: `kept` says whether the row kept one, `raw` is its text or null."""
    height = len(residue)
    cells = _find_cells(residue)
    frames = {}
    for number in fields:
        found = cells.filter(pl.col("field") == number)
        frames[number] = (
            pl.DataFrame({"row": pl.Series(np.arange(height), dtype=pl.Int64)})
            .join(found, on="row", how="left", maintain_order="left", validate="1:1")
            .select(pl.col("field").is_not_null().alias("kept"), pl.col("raw"))
        )
    return frames


def _find_cells(residue: pl.Series) -> pl.DataFrame:
    """Walk all residues at once, one cell of each row at a time."""
    remaining = pl.DataFrame({"row": np.arange(len(residue)), "residue": residue}).drop_nulls("residue")
    remaining = remaining.with_columns(position=pl.lit(0, dtype=pl.Int64))
    found = [pl.DataFrame(schema={"row": pl.Int64, "field": pl.Int64, "raw": pl.String})]
    while not remaining.is_empty():
        header = _read_headers(remaining)
        step = remaining.with_columns(header)
        end = pl.col("position") + HEADER + pl.col("size")
        text = pl.col("residue").bin.slice(pl.col("position") + HEADER, pl.col("size"))
        raw = pl.when(pl.col("is_text")).then(text)
        found.append(step.select("row", "field", raw.cast(pl.String).alias("raw")))
        remaining = step.filter(end < pl.col("residue").bin.size()).select("row", "residue", end.alias("position"))
        if (step.select(end > pl.col("residue").bin.size()).to_series()).any():
            raise _unreadable(step.height)
    return pl.concat(found)


def _read_headers(remaining: pl.DataFrame) -> pl.DataFrame:
    header = remaining.select(pl.col("residue").bin.slice(pl.col("position"), HEADER)).to_series()
    if (header.bin.size() != HEADER).any():
        raise _unreadable(remaining.height)
    written = header.to_arrow(compat_level=pl.CompatLevel.oldest())
    start = np.frombuffer(written.buffers()[1], np.int64)[written.offset]
    content = np.frombuffer(written.buffers()[2], np.uint8)[start : start + HEADER * len(header)]
    bytes_of = content.reshape(-1, HEADER)
    digits = bytes_of.astype(np.int64) - ZERO
    is_text = bytes_of[:, 2] == ord("T")
    numeric = np.delete(digits, 2, axis=1)
    if not (is_text | (bytes_of[:, 2] == ord("N"))).all() or (numeric < 0).any() or (numeric >= BASE).any():
        raise _unreadable(remaining.height)
    size = digits[:, 3] * BASE**3 + digits[:, 4] * BASE**2 + digits[:, 5] * BASE + digits[:, 6]
    return pl.DataFrame({"field": digits[:, 0] * BASE + digits[:, 1], "size": size, "is_text": is_text})


def _unreadable(rows: int) -> ConservationBroken:
    return ConservationBroken("residue cannot be read back; no row was written", hint="banyan recon run", rows=rows)
