"""The only source of time and of new identifiers; every instant is aware and in UTC."""

import os
import time
from datetime import UTC, date, datetime


def now() -> datetime:
    """Give the present instant, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Give the present day in UTC."""
    return now().date()


def monotonic() -> float:
    """Give seconds of a clock that never steps back, for durations only."""
    return time.monotonic()


def new_id() -> bytes:
    """Give a new time-ordered identifier: the 16 bytes of a version 7 UUID (RFC 9562, 5.7)."""
    milliseconds = time.time_ns() // 1_000_000
    random = bytearray(os.urandom(10))
    random[0] = (random[0] & 0x0F) | 0x70
    random[2] = (random[2] & 0x3F) | 0x80
    return milliseconds.to_bytes(6, "big") + bytes(random)
