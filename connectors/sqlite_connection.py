"""Connections to a SQLite file: the door of sqlite3, values as they stand in the file, its errors in our words.

Reading is one transaction on a file opened read-only. Writing is one transaction that holds the file's one place for a
writer from its beginning, and never makes a file that is not there. A file that a closed window has moved aside is
found there.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from banyan.errors import (
    BanyanError,
    RowRefused,
    SourceUnavailable,
    SourceUnreadable,
    StoreFenced,
    SwitchUncertain,
)

Connection = sqlite3.Connection
LOCK_SECONDS: Final = 5.0
FENCED: Final = "banyan: moved or moving: closed"
_BUSY: Final = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_OF_THE_ROW: Final = frozenset((sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG))
_NAMED: Final = re.compile(r"(?:CHECK|UNIQUE|NOT NULL) constraint failed: (\w+(?:\.\w+)?(?:, \w+\.\w+)*)")
_FULL: Final = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM))


Text = bytearray
"""The bytes of a text, to tell them from those of a blob: the other type of bytes that sqlite3 makes by itself."""

Value = int | float | bytes | bytearray | None


def aside_of(path: Path) -> Path:
    """Give where a closed window keeps a file: under its own name, in a folder beside its place."""
    return path.parent / f".banyan-closed-{path.name}" / path.name


def place_of(path: Path) -> Path:
    """Give where a file stands now: in its place, or aside while a closed window is shut."""
    aside = aside_of(path)
    return aside if aside.exists() else path


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Open a file read-only, in one transaction, and say what is wrong with it in our words."""
    try:
        with closing(_connect(place_of(path), "ro", LOCK_SECONDS)) as connection:
            connection.execute("BEGIN")
            yield connection
    except sqlite3.OperationalError as error:
        raise SourceUnavailable(
            f"{path.name} cannot be opened or is locked ({error.sqlite_errorname}); nothing more was read",
            hint="check the path, the rights of the reader and who has the file open",
            file=path.name,
        ) from error
    except sqlite3.DatabaseError as error:
        raise SourceUnreadable(
            f"{path.name} is no SQLite file that can be read ({error.sqlite_errorname}); nothing more was read",
            hint="check the file: PRAGMA integrity_check",
            file=path.name,
        ) from error


def ask_watched(connection: Connection, question: str) -> tuple[list[Any], set[str]] | None:
    """Ask one question, and give the rows with the tables it names; None when it names what is not there."""
    named: set[str] = set()

    def note(action: int, first: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and first:
            named.add(first)
        return sqlite3.SQLITE_OK

    connection.set_authorizer(note)
    try:
        return connection.execute(question).fetchall(), named
    except sqlite3.Error:
        return None
    finally:
        connection.set_authorizer(None)


@contextmanager
def writing(
    path: Path, doing: str, *, begin: str = "IMMEDIATE", timeout_seconds: float = LOCK_SECONDS
) -> Iterator[Connection]:
    """Open a transaction that waits for the one writer, commits when left without an error, and else changes nothing.

    A commit that fails for another reason than a reader at work may have taken place: nobody tries it again.
    """
    try:
        connection = _connect(place_of(path), "rw", timeout_seconds)
    except sqlite3.Error as error:
        raise explain(error, path, doing) from None
    with closing(connection):
        try:
            connection.execute(f"BEGIN {begin}")
            yield connection
        except sqlite3.Error as error:
            _roll_back(connection)
            raise explain(error, path, doing) from None
        except BaseException:
            _roll_back(connection)
            raise
        _commit(connection, path, doing)


@contextmanager
def undone(
    path: Path, doing: str, *, begin: str = "IMMEDIATE", timeout_seconds: float = LOCK_SECONDS
) -> Iterator[Connection]:
    """Open the same transaction on a file in exactly this place, for what is to be undone: nothing of it stays."""
    try:
        with closing(_connect(path, "rw", timeout_seconds)) as connection:
            connection.execute(f"BEGIN {begin}")
            yield connection
            _roll_back(connection)
    except sqlite3.Error as error:
        raise explain(error, path, doing) from None


@contextmanager
def attempted(connection: Connection, path: Path, doing: str) -> Iterator[None]:
    """Try what follows in a savepoint of an open transaction; an error takes back only that, and says what was refused.

    A trigger or a constraint of the file may roll the whole transaction back: then nothing is left to go on with.
    """
    connection.execute("SAVEPOINT banyan_attempt")
    try:
        yield
    except (sqlite3.Error, RowRefused) as error:
        if not connection.in_transaction:
            raise SourceUnreadable(
                f"{doing}: {path.name} ended the whole transaction over one row; nothing was written",
                hint="look for ON CONFLICT ROLLBACK and RAISE(ROLLBACK) in its schema",
                file=path.name,
            ) from None
        connection.execute("ROLLBACK TO banyan_attempt")
        connection.execute("RELEASE banyan_attempt")
        if isinstance(error, RowRefused):
            raise
        raise explain(error, path, doing) from None
    connection.execute("RELEASE banyan_attempt")


def copy_whole(path: Path, target: Path) -> None:
    """Copy a file as it stands at one moment, beside the people who write in it."""
    with reading(path) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)


def heal(path: Path) -> None:
    """Let SQLite roll back what a program that died left half done; a file that is only read cannot be healed."""
    place = place_of(path)
    if place.with_name(f"{place.name}-journal").exists():
        with undone(place, "rolling back what a dead program left", begin="DEFERRED") as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def is_busy(error: BanyanError) -> bool:
    """Tell whether a transaction gave up behind another one."""
    return bool(error.facts.get("is_busy"))


def explain(error: sqlite3.Error, path: Path, doing: str) -> BanyanError:
    """Say what an error means; its own message may carry a value and is not passed on."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    facts: dict[str, Any] = {"file": path.name, "reason": name}
    if str(error) == FENCED:  # a text of our own trigger
        return StoreFenced(f"{doing}: the fence of {path.name} is closed; nothing was written", **facts)
    if code in _BUSY:
        return SourceUnavailable(
            f"{doing}: another program is at work in {path.name} and has not ended in time; nothing was changed",
            hint="run the same command again; banyan doctor says who has the file open",
            is_busy=True,
            **facts,
        )
    if code in _FULL:
        return SourceUnavailable(
            f"{doing}: {path.name} cannot be opened or written ({name}); nothing was changed",
            hint="check the path, the rights of this account on the file and its folder, and the disk",
            **facts,
        )
    kind: type[BanyanError] = SourceUnreadable
    if code in _OF_THE_ROW:
        kind, facts = RowRefused, facts | {"code": name, "constraint": _constraint(str(error))}
    return kind(
        f"{doing}: {path.name} refused it ({name}); nothing was changed",
        hint="banyan source scan, then map lint: a constraint or a type of the file says no",
        **facts,
    )


def _constraint(told: str) -> str:
    """Find the constraint or columns that SQLite names; of what a trigger says nothing is passed on."""
    found = _NAMED.fullmatch(told)
    return found.group(1) if found else ""


def _connect(path: Path, mode: str, timeout_seconds: float) -> Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=timeout_seconds)
    connection.text_factory = Text
    return connection


def _commit(connection: Connection, path: Path, doing: str) -> None:
    try:
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:  # a reader kept it out: certainly not done
            raise explain(error, path, doing) from None
        raise SwitchUncertain(
            f"{doing}: the commit in {path.name} failed half way ({type(error).__name__}): it may have taken place",
            hint="banyan switch status, which reads the file",
            file=path.name,
        ) from None


def _roll_back(connection: Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")
