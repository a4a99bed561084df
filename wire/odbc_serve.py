"""The life of a child that reads a database behind an ODBC driver in bulk; a driver may abort, and ends only the child.

Every column it is asked for is text (connectors/dialects_odbc.py); one longer than its room is an error, never cut.
"""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from wire.arrow_serve import Request, serve_through

_BATCH_ROWS: Final = 20_000
_BATCH_BYTES: Final = 32 << 20
_LONGEST_TEXT: Final = 16 << 10


def serve() -> None:
    """Answer queries through arrow-odbc until the input ends."""
    serve_through(_read)


def _read(request: Request) -> Iterator[pa.RecordBatch]:
    from arrow_odbc import TextEncoding, connect

    connection = connect(request["address"])
    for line in request["before"]:
        connection.execute(line)
    yield from connection.read_arrow_batches(
        request["query"],
        batch_size=_BATCH_ROWS,
        parameters=request["values"],
        max_bytes_per_batch=_BATCH_BYTES,
        max_text_size=_LONGEST_TEXT,
        payload_text_encoding=TextEncoding.UTF8,
        fetch_concurrently=False,
    )
