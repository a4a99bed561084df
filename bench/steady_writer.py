"""A process of its own that changes one row a transaction at a steady rate, and says when each was committed.

Its clock is that of the whole machine (CLOCK_MONOTONIC), so that another process can say how old a change is. Whoever
starts it is told the rate it kept, and refuses a measurement below it: a writer that shares its interpreter with the
reader it measures slows down with it, and calls that a good lag.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

HANDS = 4
"""So many connections write: one alone waits too long for its answers on a busy machine."""
TOGETHER = threading.Barrier(HANDS + 1)
KEPT = 0.97
"""The part of the rate asked for below which a measurement is none."""


@dataclass(frozen=True)
class Written:
    """One change: the key of its row, the number written into it, and when its commit was answered."""

    key: str
    number: int
    committed: float


@dataclass(frozen=True)
class Order:
    """What to write: by which make of server, one statement of a number and a key, so many a second."""

    make: str
    address: str
    statement: str
    rate: int
    seconds: float


class SteadyWriter:
    """The writing process, ready to begin."""

    def __init__(self, order: Order, keys: list[str]) -> None:
        self._order = order
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process.stdin.write(json.dumps([vars(order), keys]) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "ready\n":
            raise SystemExit("the writer did not start")

    def begin(self) -> None:
        """Let it write."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    @property
    def has_ended(self) -> bool:
        """Tell whether it has nothing more to write; what it says waits to be read."""
        import select

        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def end(self) -> tuple[list[Written], float]:
        """Wait for its end; gives what it wrote and the rate it kept. Ends the run when that is not what was asked."""
        told = self._process.stdout.read()
        if self._process.wait() or not told:
            raise SystemExit("the writer died: there is nothing to measure")
        seconds, rows = json.loads(told)
        rate = len(rows) / seconds
        if rate < KEPT * self._order.rate:
            raise SystemExit(f"the writer kept {rate:.0f} changes/s of {self._order.rate}: this is no measurement")
        return [Written(*row) for row in rows], rate


def connect(make: str, address: str) -> Callable[[str, tuple[int, str]], None]:
    """Open a connection on which each statement commits alone."""
    if make == "postgresql":
        import psycopg

        connection = psycopg.connect(address.replace("+psycopg", ""), autocommit=True, prepare_threshold=1)
        return lambda statement, bound: connection.execute(statement, bound)
    import pymysql
    from sqlalchemy.engine import make_url

    at = make_url(address)
    other = pymysql.connect(
        host=at.host, port=at.port, user=at.username, database=at.database, charset="utf8mb4", autocommit=True
    )
    cursor = other.cursor()
    return lambda statement, bound: cursor.execute(statement, bound)


def keep_writing(order: Order, keys: list[str], hand: int, began: list[float]) -> list[tuple[str, int, float]]:
    """Write the changes of one of the hands, each to keys of its own; gives what was committed when."""
    write = connect(order.make, order.address)
    TOGETHER.wait()  # all are connected
    TOGETHER.wait()  # and told to begin
    rows: list[tuple[str, int, float]] = []
    while (elapsed := time.perf_counter() - began[0]) < order.seconds:
        for _ in range(int(elapsed * order.rate / HANDS) - len(rows)):
            number = len(rows) * HANDS + hand + 1
            key = keys[number % len(keys)]
            write(order.statement, (number, key))
            rows.append((key, number, time.perf_counter()))
        time.sleep(0.001)
    return rows


def main() -> None:
    """Write as ordered on the first line, from the second line on."""
    told, keys = json.loads(sys.stdin.readline())
    order, began = Order(**told), [0.0]
    with ThreadPoolExecutor(HANDS) as hands:
        waiting = [hands.submit(keep_writing, order, keys[hand::HANDS], hand, began) for hand in range(HANDS)]
        TOGETHER.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        began[0] = time.perf_counter()
        TOGETHER.wait()
        rows = sorted((row for one in waiting for row in one.result()), key=lambda row: row[2])
    print(json.dumps([time.perf_counter() - began[0], rows]), flush=True)


if __name__ == "__main__":
    main()
