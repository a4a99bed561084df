"""Progress on standard error: one line that moves for people, one line now and then elsewhere, JSON for machines."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from banyan.clock import monotonic
from cli.tables import thousands, visible

if TYPE_CHECKING:
    from sync.engine import Progress

_BAR = 20
_SECONDS_BETWEEN_LINES = 5.0


def show_progress(title: str, *, as_json: bool) -> "Callable[[Progress], None]":
    """Give a watcher that tells how far a run is."""
    last = [float("-inf")]

    def watch(progress: "Progress") -> None:
        is_over = progress.chunks_done == progress.chunks and not progress.waiting
        if as_json:
            sys.stderr.write(json.dumps(_event(title, progress), sort_keys=True) + "\n")
        elif sys.stderr.isatty():
            end = "\n" if is_over else ""
            sys.stderr.write(f"\r\x1b[K{visible(progress_line(title, progress))}{end}")
        elif is_over or monotonic() - last[0] >= _SECONDS_BETWEEN_LINES:
            last[0] = monotonic()
            sys.stderr.write(visible(progress_line(title, progress)) + "\n")
        sys.stderr.flush()

    return watch


def progress_line(title: str, progress: "Progress") -> str:
    """Say how far a run is, at which rate, and how long is left, in one line."""
    if progress.waiting:
        place = f" · chunk {progress.chunks_done} of {progress.chunks}" if progress.chunks else ""
        return f"{title}  waits: {progress.waiting}{place}"
    share = progress.chunks_done / progress.chunks if progress.chunks else 1.0
    filled = round(share * _BAR)
    return (
        f"{title}  {'█' * filled}{'░' * (_BAR - filled)}  {share * 100:.0f} %  {thousands(progress.rows)} rows  "
        f"{thousands(round(progress.rows_per_second))} rows/s · {duration(progress.seconds_left)} left · "
        f"chunk {progress.chunks_done} of {progress.chunks}"
    )


def duration(seconds: float) -> str:
    """Write a duration for people: `40 s`, `3 min 32 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _event(title: str, progress: "Progress") -> dict[str, object]:
    return {
        "event": "waiting" if progress.waiting else "progress",
        "what": title,
        "run_no": progress.run_no,
        "chunks_done": progress.chunks_done,
        "chunks": progress.chunks,
        "rows": progress.rows,
        "seconds": round(progress.seconds, 3),
        "seconds_left": round(progress.seconds_left, 3),
        "rows_per_second": round(progress.rows_per_second, 1),
        "waiting": progress.waiting,
    }
