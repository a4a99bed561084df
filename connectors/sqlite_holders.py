"""Who has a file open on this machine, and whether it stands on a share, where nobody here can tell.

Read from /proc: a process of another account shows what it has open to the administrator only, and one on another
machine to nobody. What cannot be seen is counted.
"""

import os
import pwd
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIXES: Final = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a file while it works."""
_SHARES: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "ceph", "fuse.gluster", "davfs", "ncpfs")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
"""How the kernel writes a blank in the name of a place."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a file open."""

    process: int
    account: str
    program: str


@dataclass(frozen=True, slots=True)
class Looked:
    """Who was seen holding a file, and how many processes did not let us look."""

    holders: tuple[Holder, ...]
    unseen: int


def look_for_holders(paths: Sequence[Path]) -> Looked:
    """Look once at every other process of this machine for one of these files, under whatever name it was opened."""
    wanted = set()
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        wanted.add((status.st_dev, status.st_ino))
    holders, unseen = [], 0
    for process in _processes():
        opened = _opened_by(process)
        if opened is None:
            unseen += 1
        elif wanted & opened:
            holders.append(_holder(process))
    return Looked(tuple(holders), unseen)


def share_of(path: Path) -> str:
    """Give the kind of share that a file stands on; empty on a disk of this machine."""
    return find_share(path, Path("/proc/self/mountinfo").read_text(encoding="utf-8"))


def find_share(path: Path, mounts: str) -> str:
    """Give the kind of share that a file stands on, as a table of mounts tells it."""
    best, kind = "", ""
    here = os.path.realpath(path)
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        place = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), before.split()[4])
        inside = here == place or here.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):
            best, kind = place, after.split()[0]
    return kind if kind.startswith(_SHARES) else ""


def _processes() -> Iterator[int]:
    own = os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != own:
            yield int(entry)


def _opened_by(process: int) -> set[tuple[int, int]] | None:
    """Give device and number of each file a process has open; None when it may not be seen, nothing when it is gone."""
    folder = f"/proc/{process}/fd"
    found = set()
    try:
        for name in os.listdir(folder):
            try:
                status = os.stat(f"{folder}/{name}")
            except OSError:  # closed since
                continue
            found.add((status.st_dev, status.st_ino))
    except PermissionError:
        return None
    except OSError:
        return set()
    return found


def _holder(process: int) -> Holder:
    try:
        number = os.stat(f"/proc/{process}").st_uid
        program = Path(f"/proc/{process}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return Holder(process, "gone", "")
    try:
        account = pwd.getpwuid(number).pw_name
    except KeyError:
        account = str(number)
    return Holder(process, account, program)
