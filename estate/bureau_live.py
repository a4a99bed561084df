"""People of a brigade at work in their file: cases opened, changed and removed, each in a transaction of its own."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event

from banyan.clock import monotonic
from banyan.errors import SourceUnreadable
from estate.bureau import AFFAIRES
from estate.live import Deed, LiveCounts, LiveEvent, Outcome, Pace, due_deeds

FENCED = "banyan: moved or moving: closed"
"""The words with which a closed fence of triggers refuses a write."""

_NEVER_CHANGED = ("ID", "NUM_AFF")
_SHUT = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_GAVE_WAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WAIT_SECONDS = 2.0


def live_bureau(
    files: Sequence[Path],
    pace: Pace,
    *,
    on_event: Callable[[LiveEvent], None] | None = None,
    stop: Event | None = None,
) -> LiveCounts:
    """Work in the files, each opened for one deed, until the pace ends or `stop` is set; gives what was done.

    A file that a closed window has moved aside, or that a trigger guards, refuses: that is counted.
    """
    stop = stop or Event()
    counts, choice = LiveCounts(), Random(pace.seed)
    deeds = (Deed.INSERT, Deed.UPDATE, Deed.HARD_DELETE)
    for _ in due_deeds(pace, counts, stop):
        (deed,) = choice.choices(deeds, (20, 75, 5))
        event = _try(choice.choice(files), deed, choice)
        counts.add(event)
        if on_event is not None:
            on_event(event)
    return counts


def _try(file: Path, deed: Deed, choice: Random) -> LiveEvent:
    try:
        address = f"{file.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)) as base, base:
            key = _do(base, deed, choice)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if str(error) == FENCED or code in _SHUT:
            return LiveEvent(deed, Outcome.REFUSED, monotonic())
        if code in _GAVE_WAY:
            return LiveEvent(deed, Outcome.ABORTED, monotonic())
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise SourceUnreadable(
            f"{file.name} answered a {deed.value} of a person with {name}; that deed was rolled back"
        ) from None
    return LiveEvent(deed, Outcome.COMMITTED, monotonic(), "AFFAIRES", key)


def _do(base: sqlite3.Connection, deed: Deed, choice: Random) -> str:
    keys = [key for (key,) in base.execute("select ID from AFFAIRES order by ID")]
    if not keys or deed is Deed.INSERT:
        return _open_case(base, choice, keys)
    key = choice.choice(keys)
    if deed is Deed.HARD_DELETE:
        base.execute("delete from SCELLES where ID_AFF = ?", (key,))
        base.execute("delete from AFFAIRES where ID = ?", (key,))
    else:
        column = choice.choice([name for name in AFFAIRES if name not in _NEVER_CHANGED])
        given = f'select "{column}" from AFFAIRES where ID = ?'  # noqa: S608 - our own names
        base.execute(
            f'update AFFAIRES set "{column}" = ({given}) where ID = ?',  # noqa: S608
            (choice.choice(keys), key),
        )
    return str(key)


def _open_case(base: sqlite3.Connection, choice: Random, keys: list[int]) -> str:
    """Open a case that looks like one of the file."""
    likeness = choice.choice(keys) if keys else 0
    columns = ", ".join(f'"{name}"' for name in AFFAIRES if name not in _NEVER_CHANGED)
    done = base.execute(
        f"insert into AFFAIRES (NUM_AFF, {columns}) "  # noqa: S608 - our own names
        f"select (select count(*) + 1 from AFFAIRES) || '/26', {columns} from AFFAIRES where ID = ?",
        (likeness,),
    )
    return str(done.lastrowid)
