"""Worker processes that carry the chunks of one run beside the process that opened it, on the cores it leaves free.

They share nothing but the ledger: each takes the next free chunk under its own name. A worker lives no longer than who
started it, and what it held when it died is free again.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from banyan.config import load_project
from banyan.departments import SourceRef
from banyan.errors import BanyanError
from store.ledger import LedgerReader
from store.postgres import transaction
from store.runs import Run
from sync.assembly import Rig, open_rig
from sync.workspace import opened

_END_SECONDS = 10


class Workers:
    """Processes that wait to be told which run they carry."""

    def __init__(self, started: list[subprocess.Popen[str]]) -> None:
        self._started = started

    def carry(self, run: Run) -> None:
        """Let them carry the chunks of a run that nobody holds."""
        for worker in self._started:
            assert worker.stdin is not None
            worker.stdin.write(f"{run.run_no}\n")
            worker.stdin.flush()

    def wait(self) -> None:
        """Wait until none of them carries a chunk; one that failed has said why, and its chunk is free."""
        for worker in self._started:
            worker.wait()


@contextmanager
def beside(rig: Rig, workers: int) -> Iterator[Workers]:
    """Start so many processes that read the same legacy system; they end with the block, whatever ends it."""
    folder, source = rig.workspace.project.folder, rig.source
    order = [sys.executable, "-m", "sync.workers", str(folder), source.department_code, source.system_code]
    started: list[subprocess.Popen[str]] = []
    try:
        started += [subprocess.Popen(order, stdin=subprocess.PIPE, text=True) for _ in range(workers)]
        yield Workers(started)
    finally:
        for worker in started:
            assert worker.stdin is not None
            worker.stdin.close()  # which ends it at once
        for worker in started:
            try:
                worker.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:  # stopped by somebody, or its machine is: what it holds is not committed
                worker.kill()
                worker.wait()


def _work(folder: Path, source: SourceRef) -> None:
    """Carry what whoever started this process names, until nothing is free or that process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it, whose end is enough
    with opened(load_project(folder)) as workspace:
        rig = open_rig(workspace, source)
        try:
            lane = rig.forward()
            told = sys.stdin.readline()
            if told:
                threading.Thread(target=_end_with_the_other, daemon=True).start()
                with transaction(workspace.engine("banyan_forward")) as connection:
                    run = LedgerReader(connection).read_run(int(told))
                rig.forward_engine(throttle=rig.throttle()).carry_all(lane, run)
        finally:
            rig.close()


def _end_with_the_other() -> None:
    sys.stdin.read()
    os._exit(0)  # what was not committed is taken back by the server; its chunk is free


if __name__ == "__main__":
    try:
        _work(Path(sys.argv[1]), SourceRef(sys.argv[2], sys.argv[3]))
    except BanyanError as error:
        sys.stderr.write(f"a worker of {sys.argv[2]}/{sys.argv[3]} ended: {error}\n")
        sys.exit(1)
