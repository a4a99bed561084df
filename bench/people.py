"""People who write, in a process of their own.

Whoever waits for a controller does not run inside it: sixteen people who are refused and try again some hundred times a
second would take turns with it in one interpreter, and be most of the outage that they measure.
"""

from multiprocessing import get_context
from multiprocessing.connection import Connection

from torture import Desks, Write


class People:
    """So many people at their desks, writing."""

    def __init__(self, desks: Desks) -> None:
        context = get_context("spawn")
        self._told, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(desks, theirs), daemon=True)
        self._process.start()
        self._told.recv()

    def stop(self) -> list[Write]:
        """Let them go home; gives what was acknowledged."""
        self._told.send("stop")
        writes: list[Write] = self._told.recv()
        self._process.join(20)
        return writes


def _work(desks: Desks, told: Connection) -> None:
    writers = desks.start()
    told.send("at work")
    told.recv()
    for writer in writers:
        writer.stop()
    told.send([write for writer in writers for write in writer.writes])
