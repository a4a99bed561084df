"""Rows of a server as Arrow, read by a native reader in a child process: its panics and aborts end only the child.

The child serves one query after another. A request is one line of JSON on its standard input, so that no secret stands
in a command line; an answer is a run of Arrow streams, each behind its length, closed by a length of zero and a status.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import polars as pl
import pyarrow as pa

from banyan.errors import SourceUnavailable, SourceUnreadable
from wire.arrow_serve import DONE, LENGTH

_LIFE: Final = "import sys; sys.modules['numpy'] = None; from {} import serve; serve()"
"""What the child runs. Arrow does without numpy, which is half of its start."""
_PIPE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ArrowQuery:
    """One query: where, what to run before it on the same connection, its text, and values to bind where it has any."""

    address: str = field(repr=False)
    query: str = field(repr=False)
    before: Sequence[str] = ()
    values: Sequence[str] = field(default=(), repr=False)


class ArrowChild:
    """A reader in a process of its own; started at the first query, again after it died.

    `serve` is the module whose `serve` is the life of the child.
    """

    def __init__(self, serve: str = "wire.arrow_serve") -> None:
        self._serve = serve
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def read(self, asked: ArrowQuery) -> Iterator[pl.DataFrame]:
        """Read the batches of a query; a child that dies is an error, never an end of the rows."""
        with self._lock:
            process = self._running()
            is_whole = False
            try:
                yield from self._answers(process, asked)
                is_whole = True
            finally:
                if not is_whole:  # the pipe holds the rest of an answer that nobody will read
                    self._end()

    def start(self) -> None:
        """Start the child now, unless it runs: what it loads takes longer than to ask for the first rows."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _answers(self, process: subprocess.Popen[bytes], asked: ArrowQuery) -> Iterator[pl.DataFrame]:
        assert process.stdin is not None
        request = {
            "address": asked.address, "query": asked.query, "before": list(asked.before), "values": list(asked.values)
        }  # fmt: skip
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._died(process) from None
        while True:
            (length,) = LENGTH.unpack(self._take(process, LENGTH.size))
            if length == 0:
                break
            with pa.ipc.open_stream(self._take(process, length)) as stream:
                frame = pl.from_arrow(stream.read_all())
            assert isinstance(frame, pl.DataFrame)
            yield frame
        if self._take(process, 1) != DONE:
            raise SourceUnreadable(
                "the reading child could not read these rows exactly and gave up; nothing of them was kept",
                hint="banyan source scan: a column may have a type this connector does not project",
            )

    def _take(self, process: subprocess.Popen[bytes], length: int) -> bytes:
        assert process.stdout is not None
        taken = process.stdout.read(length)
        if len(taken) != length:
            raise self._died(process)
        return taken

    def _died(self, process: subprocess.Popen[bytes]) -> SourceUnavailable:
        process.wait()
        return SourceUnavailable(
            f"the reading child ended with {process.returncode}; nothing of these rows was kept",
            hint="run the same command again",
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-c", _LIFE.format(self._serve)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a panic prints the value it met
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                start_new_session=True,
                pipesize=_PIPE_BYTES,
            )
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process = None
