"""Arrow to and from COPY: how rows of any number cross between PostgreSQL and Polars.

Reading goes through COPY ... (FORMAT csv) and the CSV reader of Polars, the cheapest lossless text path measured;
writing through pgpq's binary encoder. Identifiers are quoted by psycopg; values are always bound or copied.
"""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from time import sleep
from typing import Any, Final

import numpy as np
import pgpq
import polars as pl
import psycopg
import pyarrow as pa
from psycopg import pq, sql

from banyan.canonical.columns import Kind
from banyan.errors import SourceUnavailable
from wire.alphabet import Alphabet, NotSpelled, alphabet_named
from wire.encoded import alphabet_of, spelled
from wire.kinds import POLARS_TYPES

_BLOCK_BYTES = 8 << 20
_FLOWING_BYTES, _PAUSE_SECONDS = 128 << 10, 0.001
"""From how much on rows are said to flow, and how long they are waited for before the driver waits for them."""
_FEW_KEYS = 1_000
_BINARY_HEADER, _BINARY_END = 19, 2
_UUID = 16
_UUID_ROW = 2 + 4 + _UUID
"""How many bytes binary COPY writes before the first row, after the last, and for a row of one uuid."""
_UUID_ROWS = 100_000
_HEARD: Final[dict[Kind, Callable[[bytes], object]]] = {
    Kind.UUID: lambda cell: bytes.fromhex(cell.replace(b"-", b"").decode()),
    Kind.BYTES: lambda cell: bytes.fromhex(cell[2:].decode()),
    Kind.SMALLINT: int,
    Kind.INTEGER: int,
    Kind.BIGINT: int,
    Kind.BOOLEAN: lambda cell: {b"t": True, b"f": False, b"true": True, b"false": False}[cell],
}
"""How the few cells of a small result are read one by one; the other kinds are read by Polars."""


def copy_out(
    connection: psycopg.Connection[Any],
    query: sql.Composable,
    kinds: Mapping[str, Kind],
    parameters: Sequence[object] | Mapping[str, object] = (),
) -> Iterator[pl.DataFrame]:
    """Stream the rows of a query as frames of the kinds given, in the order of `kinds`; memory is bounded.

    Every column must be projected as text by the query, UUIDs as text and bytes as hex (`\\x...`). A connection
    that dies while streaming raises SourceUnavailable: it never looks like an end of rows.
    """
    names = list(kinds)
    statement = sql.SQL("copy ({}) to stdout (format csv)").format(query)
    try:
        with connection.cursor() as cursor, cursor.copy(statement, parameters or None) as copy:
            for block in _blocks(copy, connection.pgconn):
                frame = _lettered(block, names, alphabet_of(connection))
                yield frame.select([_typed(name, kinds[name]) for name in names])
    except psycopg.OperationalError as error:
        raise SourceUnavailable("the connection ended while rows were read; what was read is not used") from error


def stream_uuids(
    connection: psycopg.Connection[Any], query: sql.Composable, parameters: Sequence[object] = ()
) -> Iterator[pl.Series]:
    """Stream the uuids of a query that projects one column without a null, as 16 bytes each; memory is bounded.

    Binary COPY writes each of them in as many bytes: they are cut out all at once, none is read alone. What arrives
    waits in a nameless file.
    """
    statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
    with TemporaryFile(buffering=_BLOCK_BYTES) as file:
        with connection.cursor() as cursor, cursor.copy(statement, parameters or None) as copy:
            for block in _blocks(copy, connection.pgconn):
                file.write(block)
        left = (file.tell() - _BINARY_HEADER - _BINARY_END) // _UUID_ROW
        file.seek(_BINARY_HEADER)
        while left > 0:
            rows = np.frombuffer(file.read(min(left, _UUID_ROWS) * _UUID_ROW), np.uint8).reshape(-1, _UUID_ROW)
            left -= len(rows)
            written = np.ascontiguousarray(rows[:, _UUID_ROW - _UUID :])
            buffers = [None, pa.py_buffer(np.arange(len(rows) + 1, dtype=np.int64) * _UUID), pa.py_buffer(written)]
            yield pl.Series("id", pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(rows), buffers))


def read_frame(
    connection: psycopg.Connection[Any],
    query: sql.Composable,
    kinds: Mapping[str, Kind],
    parameters: Sequence[object] | Mapping[str, object] = (),
    *,
    asked: int | None = None,
) -> pl.DataFrame:
    """Read the rows of a query into one frame: at once where few keys are `asked` for, otherwise through COPY."""
    if asked is not None and asked <= _FEW_KEYS:
        return read_at_once(connection, query, kinds, parameters)
    frames = list(copy_out(connection, query, kinds, parameters))
    return pl.concat(frames) if frames else pl.DataFrame(schema={name: POLARS_TYPES[kinds[name]] for name in kinds})


def read_at_once(
    connection: psycopg.Connection[Any],
    query: sql.Composable,
    kinds: Mapping[str, Kind],
    parameters: Sequence[object] | Mapping[str, object] = (),
) -> pl.DataFrame:
    """Read the rows of a query that has few: the same frame as `copy_out`, in one round trip.

    What a column says is the text its type writes, to the byte, as in COPY; no value goes through a driver's types.
    """
    alphabet = alphabet_of(connection)
    text = bytes.decode if alphabet is None else alphabet.read
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute(spelled(connection, query), parameters or None)
        found = cursor.pgresult
        assert found is not None  # a statement that ran has a result
        columns = [
            [None if (cell := found.get_value(row, at)) is None else hear(cell) for row in range(found.ntuples)]
            for at, kind in enumerate(kinds.values())
            for hear in [_HEARD.get(kind, text)]
        ]
    heard = {name: POLARS_TYPES[kind] if kind in _HEARD else pl.String() for name, kind in kinds.items()}
    frame = pl.DataFrame(columns, schema=heard, orient="col")
    late = [_typed(name, kind) for name, kind in kinds.items() if kind not in (*_HEARD, Kind.TEXT)]
    return frame.with_columns(late) if late else frame


def _blocks(copy: psycopg.Copy, connection: pq.abc.PGconn) -> Iterator[bytearray]:
    """Give the rows of a COPY in blocks of whole rows: waits as the driver waits, then takes at once what has arrived.

    The driver gives a row at a time through several layers, which costs more than all the rest of the way; a pump in a
    thread of its own costs more still, by what two threads hand each other.
    """
    block = bytearray()
    for first in copy:
        block += first
        size = _take(connection, block)
        if len(block) >= _BLOCK_BYTES:
            yield block
            block = bytearray()
        if size < 0:  # the end of the rows, which only the result of the statement makes a good one
            result = connection.get_result()
            while connection.get_result() is not None:
                pass
            if result is None or result.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.OperationalError if result is None else psycopg.errors.error_from_result(result)
            break
    if block:
        yield block


def _take(connection: pq.abc.PGconn, block: bytearray) -> int:
    """Add the rows to a block that have arrived; gives -1 at the end of the rows, 0 where the driver waits for more.

    Once rows flow, a moment is let pass when there are none: to wake up for each of the server's packets costs both
    sides as much as the rows that are in it.
    """
    take, has_paused = connection.get_copy_data, False
    while True:
        known = len(block)
        size, row = take(1)
        while size > 0:
            block += row
            size, row = take(1)
        if size < 0 or len(block) >= _BLOCK_BYTES:
            return size
        if len(block) > known:
            has_paused = False
        elif has_paused or known < _FLOWING_BYTES:
            return 0
        else:
            sleep(_PAUSE_SECONDS)
            has_paused = True
        connection.consume_input()


def _lettered(block: bytearray, names: list[str], alphabet: Alphabet | None) -> pl.DataFrame:
    """Parse a block of rows whose letters only an alphabet tells; cell by cell where one of them is none."""
    if alphabet is None:
        return _parsed(block, names)
    try:
        return _parsed(alphabet.rewritten(block), names)
    except NotSpelled:
        every = alphabet_named("latin-1")  # reads every byte: the cells can be told apart
        crossed = _parsed(every.rewritten(block), names)
        return crossed.select(_read_each(column, every, alphabet) for column in crossed)


def _read_each(column: pl.Series, every: Alphabet, alphabet: Alphabet) -> pl.Series:
    """Read each different text of a column that was parsed byte for byte."""
    if column.str.len_bytes().sum() == column.str.len_chars().sum():
        return column
    read = {text: alphabet.read(every.write(text)) for text in column.drop_nulls().unique()}
    return pl.Series(column.name, [None if text is None else read[text] for text in column], dtype=pl.String)


def _parsed(block: bytes | bytearray, names: list[str]) -> pl.DataFrame:
    """Parse whole rows as the server writes them: an empty text in quotes, nothing as nothing."""
    written = bytes(block)
    if written.startswith(BOM_UTF8):  # the reader takes one away from the head of what it is given: here, a letter
        written = BOM_UTF8 + written
    return pl.read_csv(written, has_header=False, schema=dict.fromkeys(names, pl.String()), raise_if_empty=False)


def _typed(name: str, kind: Kind) -> pl.Expr:
    column = pl.col(name)
    match kind:
        case Kind.TEXT:
            return column
        case Kind.UUID:
            return column.str.replace_all("-", "", literal=True).str.decode("hex")
        case Kind.BYTES:
            return column.str.strip_prefix("\\x").str.decode("hex")
        case Kind.DATE:
            return column.str.to_date("%Y-%m-%d")
        case Kind.INSTANT:  # the query projects instants in UTC
            return column.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
        case Kind.SMALLINT:
            return column.cast(pl.Int16)
        case Kind.INTEGER:
            return column.cast(pl.Int32)
        case Kind.BIGINT:
            return column.cast(pl.Int64)
        case Kind.NUMERIC:
            return column.cast(pl.Decimal(18, 4))
        case Kind.BOOLEAN:
            return column.replace_strict({"t": True, "f": False, "true": True, "false": False}, return_dtype=pl.Boolean)
        case Kind.DOUBLE:
            return column.cast(pl.Float64)


def text_projection(column: str, kind: Kind) -> sql.Composable:
    """Project one column as the text `copy_out` expects for its kind."""
    name = sql.Identifier(column)
    match kind:
        case Kind.INSTANT:
            return sql.SQL("to_char({} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')").format(name)
        case Kind.DATE:
            return sql.SQL("to_char({}, 'YYYY-MM-DD')").format(name)
        case _:
            return sql.SQL("{}::text").format(name)


def copy_in(connection: psycopg.Connection[Any], table: sql.Composable, frame: pl.DataFrame) -> int:
    """Copy a frame into a table by binary COPY, columns by name; gives the number of rows sent.

    The column types must be exactly those of the table: binary COPY does not cast. Binary columns of 16 bytes go into
    uuid columns as they are; categoricals go as the texts they stand for.
    """
    if frame.is_empty():
        return 0
    named = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)]
    if named:
        frame = frame.with_columns(pl.col(named).cast(pl.String))
    alphabet = alphabet_of(connection)
    if alphabet is not None:
        frame = alphabet.written(frame)
    batches = _encodable(frame.to_arrow(compat_level=pl.CompatLevel.newest())).to_batches()
    encoder = pgpq.ArrowToPostgresBinaryEncoder(batches[0].schema)
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in frame.columns)
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(table, columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        for batch in batches:
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    return frame.height


def _encodable(table: pa.Table) -> pa.Table:
    """Give the encoder the layouts it knows: string views stay (no cost), byte views become plain bytes."""
    fields = [pa.field(field.name, pa.binary()) if field.type == pa.binary_view() else field for field in table.schema]
    return table.cast(pa.schema(fields))
