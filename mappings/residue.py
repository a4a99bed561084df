"""Residue: the raw cells that the forward mapping would lose, packed beside the crosswalk row.

A residue is a sequence of cells. A cell is two characters of field number, one of storage class (`N` null, `T` text),
four of length in bytes, then the UTF-8 text. Numbers are written in base 64 with the characters from `0` (0x30) to
`o` (0x6F), most significant first: up to 4,096 columns and 16 MiB a cell. The field number is the place of the
column in the ruleset, which therefore may only grow at its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from banyan.errors import ConservationBroken

HEADER = 7
BASE = 64
DIGIT = 6
"""Bits of a digit."""
ZERO = ord("0")
LONGEST_CELL = BASE**4 - 1
SIZES = 4_096
"""Of the sizes below this one the headers are at hand."""
WORTH_JOINING = 3
"""From so many columns on that every row keeps, joining columns costs less than sorting cells."""
NOTHING = -1
"""The size of a null among sizes."""
FEW = 64
"""Below this many rows a call of Polars costs more than the standard library, cell by cell."""

Numbers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


def pack(cells: Mapping[int, pl.Series], kept: Mapping[int, pl.Series], *, height: int) -> pl.Series:
    """Pack, row by row, the raw texts of each field where `kept` is true; a row that keeps nothing has no residue."""
    return (pack_each if height < FEW else pack_many)(cells, kept, height=height)


def pack_each(cells: Mapping[int, pl.Series], kept: Mapping[int, pl.Series], *, height: int) -> pl.Series:
    """Pack a few rows, cell by cell."""
    packed = [b""] * height
    for number in sorted(cells):
        for row, (is_kept, raw) in enumerate(zip(kept[number].to_list(), cells[number].to_list(), strict=True)):
            if is_kept:
                packed[row] += _write_cell(number, raw)
    return pl.Series("residue", [cell or None for cell in packed], dtype=pl.Binary)


def _write_cell(field: int, raw: str | None) -> bytes:
    text = b"" if raw is None else raw.encode()
    if len(text) > LONGEST_CELL:
        raise _too_long(field)
    return _write_header(field, None if raw is None else len(text)).encode() + text


def pack_many(cells: Mapping[int, pl.Series], kept: Mapping[int, pl.Series], *, height: int) -> pl.Series:
    """Pack many rows at once: column by column those that keep what every row keeps, the others cell by cell."""
    numbers = [number for number in sorted(cells) if kept[number].any()]
    always = [number for number in numbers if kept[number].all()]
    if len(always) < WORTH_JOINING:
        return _pack_cells(cells, kept, numbers, height=height)
    more = [kept[number] for number in numbers if number not in always]
    if not more:
        return _pack_columns(cells, always)
    has_more = reduce(or_, more)
    alike, others = (~has_more).arg_true(), has_more.arg_true()
    left, said = ({number: one[number].gather(others) for number in numbers} for one in (cells, kept))
    packed = [
        _pack_columns({number: cells[number].gather(alike) for number in always}, always),
        _pack_cells(left, said, numbers, height=len(others)),
    ]
    return pl.concat(packed).gather(pl.concat([alike, others]).arg_sort())


def _pack_columns(cells: Mapping[int, pl.Series], numbers: Sequence[int]) -> pl.Series:
    """Pack rows that all keep the same columns: their cells stand beside each other already."""
    columns: list[pl.Series] = []
    for number in numbers:
        size = cells[number].str.len_bytes()
        columns += [_headers(number, size), cells[number].fill_null("")]
    named = [column.alias(str(place)) for place, column in enumerate(columns)]
    return pl.DataFrame(named).select(pl.concat_str(pl.all()).cast(pl.Binary).alias("residue"))["residue"]


def _headers(field: int, size: pl.Series) -> pl.Series:
    """Write the headers of one column, by the sizes of its cells; a null has none."""
    longest = int(size.fill_null(0).to_numpy().max(initial=0))
    if longest > LONGEST_CELL:
        raise _too_long(field)
    if longest < SIZES:
        return _known_headers(field).gather(size.fill_null(SIZES))
    asked = size.cast(pl.Int64).fill_null(NOTHING)
    told = asked.unique().sort()
    heads = [_write_header(field, None if each == NOTHING else each) for each in told.to_list()]
    return pl.Series("header", heads).gather(told.search_sorted(asked))


@lru_cache(maxsize=256)
def _known_headers(field: int) -> pl.Series:
    return pl.Series("header", [_write_header(field, size) for size in (*range(SIZES), None)])


def _write_header(field: int, size: int | None) -> str:
    digits = [(size or 0) // BASE**power % BASE for power in (3, 2, 1, 0)]
    head = (field // BASE, field % BASE, ord("N" if size is None else "T") - ZERO, *digits)
    return "".join(chr(ZERO + digit) for digit in head)


def _pack_cells(
    cells: Mapping[int, pl.Series], kept: Mapping[int, pl.Series], numbers: Sequence[int], *, height: int
) -> pl.Series:
    """Pack rows that keep one column or another: every cell is written alone, then those of a row are joined."""
    texts, rows, fields = [], [], []
    for number in numbers:
        chosen = kept[number].to_numpy().nonzero()[0]
        texts.append(cells[number][chosen].alias("raw"))
        rows.append(chosen)
        fields.append(np.full(len(chosen), number))
    if not rows:
        return pl.Series("residue", [None] * height, dtype=pl.Binary)
    place = np.concatenate(rows)
    order = np.argsort(place, kind="stable")
    written = _write_cells(pl.concat(texts)[order], np.concatenate(fields)[order])
    return _merge_neighbours(written, np.bincount(place, minlength=height))


def _write_cells(raws: pl.Series, fields: Numbers) -> pl.Series:
    size = raws.str.len_bytes().fill_null(0).to_numpy()
    if (size > LONGEST_CELL).any():
        raise _too_long(int(fields[size.argmax()]))
    header = np.empty((len(raws), HEADER), np.uint8)
    header[:, 0], header[:, 1] = ZERO + (fields >> DIGIT), ZERO + (fields & BASE - 1)
    header[:, 2] = np.where(raws.is_null().to_numpy(), ord("N"), ord("T"))
    for place, power in enumerate((3, 2, 1, 0), 3):
        header[:, place] = ZERO + (size >> DIGIT * power & BASE - 1)
    starts = np.arange(len(raws) + 1) * HEADER
    headers = pa.LargeStringArray.from_buffers(len(raws), pa.py_buffer(starts), pa.py_buffer(header))
    return pl.DataFrame([pl.Series("header", headers), raws]).select(
        pl.concat_str(["header", "raw"], ignore_nulls=True)
    )["header"]


def _merge_neighbours(cells: pl.Series, counts: Numbers) -> pl.Series:
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
    found = _find_cells(residue)
    nothing = pl.Series("raw", dtype=pl.String).extend_constant(None, len(residue))
    frames = {}
    for number in fields:
        of_field = np.flatnonzero(found.fields == number)
        place = np.full(len(residue), -1)
        place[found.rows[of_field]] = of_field
        kept = place >= 0
        raw = found.texts[_with_nulls(place, kept)] if len(of_field) else nothing
        frames[number] = pl.DataFrame([pl.Series("kept", kept), raw])
    return frames


def _with_nulls(numbers: Numbers, known: Booleans) -> pl.Series:
    """Give numbers, null where they are not known; Arrow's own mask would import pandas."""
    validity = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pl.Series(pa.Array.from_buffers(pa.int64(), len(numbers), [validity, pa.py_buffer(numbers)]))


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of many rows, in the order of their bytes."""

    rows: Numbers
    fields: Numbers
    texts: pl.Series


def _find_cells(residue: pl.Series) -> _Cells:
    """Walk all residues at once, one cell of each row at a time."""
    written = residue.to_arrow(compat_level=pl.CompatLevel.oldest())
    offsets = np.frombuffer(written.buffers()[1], np.int64, len(written) + 1 + written.offset)[written.offset :]
    content = np.frombuffer(written.buffers()[2] or b"", np.uint8)
    rows = np.flatnonzero(residue.is_not_null().to_numpy() & (np.diff(offsets) > 0))
    position, end = offsets[rows], offsets[rows + 1]
    steps = []
    while len(rows):
        if (position + HEADER > end).any():
            raise _unreadable(len(residue))
        field, size, is_text = _read_headers(content[position[:, None] + np.arange(HEADER)])
        start = position + HEADER
        position = start + size
        if (position > end).any():
            raise _unreadable(len(residue))
        steps.append((rows, field, start, size, is_text))
        more = position < end
        rows, position, end = rows[more], position[more], end[more]
    return _gather_cells(written.buffers()[2], steps, rows_in_all=len(residue))


def _gather_cells(content: pa.Buffer | None, steps: Sequence[tuple[Numbers, ...]], *, rows_in_all: int) -> _Cells:
    """Put the cells found in order; their texts are the bytes they lie in, every second piece of them a header."""
    if not steps:
        nothing = np.empty(0, np.int64)
        return _Cells(nothing, nothing, pl.Series("raw", dtype=pl.String))
    rows, fields, start, size, is_text = (np.concatenate(column) for column in zip(*steps, strict=True))
    told = np.sort(rows * BASE**2 + fields)
    if (told[1:] == told[:-1]).any():  # one column twice in one row
        raise _unreadable(rows_in_all)
    order = np.argsort(start, kind="stable")
    borders = np.stack([start, start + size], axis=1)[order].ravel()
    known = np.stack([is_text, np.zeros_like(is_text)], axis=1)[order].ravel()[:-1]
    pieces = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(),
        len(borders) - 1,
        [pa.py_buffer(np.packbits(known, bitorder="little")), pa.py_buffer(np.ascontiguousarray(borders)), content],
    )
    texts = pl.Series("raw", pieces).gather_every(2).cast(pl.String)
    return _Cells(rows[order], fields[order], texts)


def _read_headers(header: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> tuple[Numbers, Numbers, Numbers]:
    digits = header.astype(np.int64) - ZERO
    is_text = header[:, 2] == ord("T")
    numeric = np.delete(digits, 2, axis=1)
    if not (is_text | (header[:, 2] == ord("N"))).all() or (numeric < 0).any() or (numeric >= BASE).any():
        raise _unreadable(len(header))
    size = digits[:, 3] * BASE**3 + digits[:, 4] * BASE**2 + digits[:, 5] * BASE + digits[:, 6]
    return digits[:, 0] * BASE + digits[:, 1], size, is_text


def _too_long(field: int) -> ConservationBroken:
    return ConservationBroken("a cell is too long to be kept as residue; nothing was written", field=field)


def _unreadable(rows: int) -> ConservationBroken:
    return ConservationBroken("residue cannot be read back; no row was written", hint="banyan recon run", rows=rows)
