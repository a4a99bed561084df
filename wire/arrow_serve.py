"""The life of a reading child: it loads the reader and nothing else, so that it starts fast."""

import json
import os
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final

import pyarrow as pa

LENGTH: Final = struct.Struct(">Q")
DONE: Final = b"K"
FAILED: Final = b"F"
_BATCH_ROWS: Final = 10_000


Request = dict[str, Any]


def serve() -> None:
    """Answer queries through connectorx until the input ends: the life of the child."""
    serve_through(_read)


def serve_through(read: Callable[[Request], Iterable[pa.RecordBatch]]) -> None:
    """Answer queries through a reader until the input ends."""
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # whatever a library prints is not an answer
    for line in sys.stdin.buffer:
        try:
            _answer(read(json.loads(line)), out)
            status = DONE
        except BaseException as error:  # a panic of the reader is no Exception
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            status = FAILED
        out.write(LENGTH.pack(0) + status)
        out.flush()


def _read(request: Request) -> Iterable[pa.RecordBatch]:
    import connectorx

    return connectorx.read_sql(  # type: ignore[no-any-return]
        request["address"],
        request["query"],
        return_type="arrow_stream",
        batch_size=_BATCH_ROWS,
        pre_execution_query=request["before"],
    )


def _answer(batches: Iterable[pa.RecordBatch], out: BinaryIO) -> None:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        written = sink.getvalue()
        out.write(LENGTH.pack(written.size))
        out.write(written)
