"""Arrow to and from COPY: how rows of any number cross between PostgreSQL and Polars.

Reading goes through COPY ... (FORMAT csv) and pyarrow, the only lossless text path measured; writing through pgpq's
binary encoder. Identifiers are quoted by psycopg; values are always bound or copied.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pgpq
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.csv as pc
from psycopg import sql

from banyan.canonical.columns import Kind
from banyan.errors import SourceUnavailable

_NULL = "\\N"
_BLOCK_BYTES = 4 << 20


def copy_out(
    connection: psycopg.Connection[Any],
    query: sql.Composable,
    kinds: Mapping[str, Kind],
    parameters: Sequence[object] | Mapping[str, object] = (),
) -> Iterator[pl.DataFrame]:
    """Stream the rows of a query as frames of the kinds given, in the order of `kinds`; memory is bounded.

    Every column must be projected as text by the query, UUIDs as text and bytes as hex (`\\x...`). A connection
    that dies while streaming raises SourceUnavailable: a dead pump never looks like an end of rows.
    """
    names = list(kinds)
    statement = sql.SQL("copy ({}) to stdout (format csv, null {}, force_quote *)").format(query, sql.Literal(_NULL))
    read_end, write_end = os.pipe()
    failures: list[BaseException] = []

    def pump() -> None:
        try:
            with (
                os.fdopen(write_end, "wb", 1 << 20) as pipe,
                connection.cursor() as cursor,
                cursor.copy(statement, parameters or None) as copy,
            ):
                for block in copy:
                    pipe.write(block)
        except BrokenPipeError:
            pass  # the reader stopped asking
        except Exception as error:  # noqa: BLE001 - handed over to the reading side
            failures.append(error)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        with os.fdopen(read_end, "rb") as stream:
            yield from _frames(stream, names, kinds, failures, thread)
    finally:
        thread.join()


def _frames(
    stream: BinaryIO,
    names: list[str],
    kinds: Mapping[str, Kind],
    failures: list[BaseException],
    thread: threading.Thread,
) -> Iterator[pl.DataFrame]:
    try:
        reader = pc.open_csv(
            stream,
            read_options=pc.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=pc.ParseOptions(newlines_in_values=True),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[_NULL],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        thread.join()
        _raise_first(failures)
        if "Empty CSV file" in str(error):
            return
        raise
    for batch in reader:
        frame = pl.DataFrame(pl.from_arrow(batch))
        yield frame.select([_typed(name, kinds[name]) for name in names])
    thread.join()
    _raise_first(failures)


def _raise_first(failures: list[BaseException]) -> None:
    if not failures:
        return
    error = failures[0]
    if isinstance(error, psycopg.OperationalError):
        raise SourceUnavailable("the connection ended while rows were read; what was read is not used") from error
    raise error


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
    uuid columns as they are.
    """
    if frame.is_empty():
        return 0
    batches = _encodable(frame.rechunk().to_arrow(compat_level=pl.CompatLevel.newest())).to_batches()
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
