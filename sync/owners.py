"""Who holds a run or a chunk; a process of this machine that is dead is not waited for."""

import os
import socket
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from store.tables import CHUNK


def this_owner() -> str:
    """Name this process, so that another one can tell whether it is dead: host, process, start of the process."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def is_dead(owner: str) -> bool:
    """Tell whether an owner was a process of this machine that has ended; False when that cannot be known."""
    host, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) != started


def free_chunks_of_the_dead(connection: Connection, run_no: int, *, also: str = "") -> None:
    """End the leases of workers of this machine that are dead, and of one more that is known to carry nothing."""
    leased = (CHUNK.c.run_no == run_no, CHUNK.c.state == "LEASED")
    owners = connection.scalars(sa.select(CHUNK.c.owner).where(*leased).distinct())
    dead = [owner for owner in owners if owner == also or is_dead(owner)]
    if dead:
        ended = sa.func.clock_timestamp() - sa.text("interval '1 second'")
        connection.execute(sa.update(CHUNK).where(*leased, CHUNK.c.owner.in_(dead)).values(lease_until=ended))
