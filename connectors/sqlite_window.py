"""The closed window of a SQLite file: where locks and triggers cannot be trusted, the file itself is moved aside.

In the place of the file stands a folder of the same name, so that no program makes an empty file there and writes into
it. The window is shut when nobody holds the file any more: no process of this machine has it open, its lock can be
taken, and its digest stays the same. It has no lease: nothing moves the file back but `open`.
"""

import errno
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import UUID

from banyan.errors import SourceUnavailable, SwitchUncertain
from banyan.ports import FenceAnswer, FenceDefect, FenceMode, FenceState
from connectors.dialects_sqlite import named, touch_one
from connectors.sqlite_cells import read_shape
from connectors.sqlite_connection import Connection, aside_of, heal, is_busy, reading, undone, writing
from connectors.sqlite_door import WINDOW, Effect, FenceRow, check_row, decide, missing, read_row, write_row
from connectors.sqlite_holders import SUFFIXES, look_for_holders
from connectors.sqlite_journal import is_there

_SETTLE_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.05
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class SqliteWindow:
    """The closed window of one closure, which must be the whole file."""

    def __init__(
        self, path: Path, closure: str, *, timeout_seconds: float = 5.0, settle_seconds: float = _SETTLE_SECONDS
    ) -> None:
        self.closure = closure
        self._path = path
        self._aside = aside_of(path)
        self._timeout_seconds = timeout_seconds
        self._settle_seconds = settle_seconds

    def disconnect(self) -> None:
        """Hold nothing open."""

    def close(self, token: int, *, lease_seconds: float, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Move the file aside and keep people out until it is opened; there is no lease.

        The row is asked before anything moves, and again when the file is aside: a late controller moves it back.
        """
        nonces = (nonce_old, nonce_new)
        heal(self._path)
        with reading(self._path) as connection:
            _, answer = self._decide(self._row(connection), "close", token, nonces)
        if not answer.accepted:
            return answer
        self._move_aside()
        answer = self._effect("close", token, nonces)
        if not answer.accepted and self._row_now().mode is FenceMode.OPEN:
            self._move_back()
        return answer

    def seal(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Refuse writers until opened; accepted only while the file stands aside under the same token."""
        return self._effect("seal", token, (nonce_old, nonce_new or nonce_old))

    def open(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Let people in: the file goes back to its place; an old token is refused."""
        answer = self._effect("open", token, (nonce_old, nonce_new or nonce_old))
        if answer.accepted:
            self._move_back()
        return answer

    def beat(self, token: int, *, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Renew the nonce, so that a copy restored from before is recognised."""
        return self._effect("beat", token, (nonce_old, nonce_new))

    def read(self) -> FenceState:
        """Read the state of the fence: what the row says, as far as the place of the file agrees.

        A file in its place is open whatever the row says; one that is aside is closed until it is back.
        """
        row = self._row_now()
        mode = row.mode
        if not self._is_aside():
            mode = FenceMode.OPEN
        elif mode is FenceMode.OPEN:
            mode = FenceMode.CLOSED
        return FenceState(self.closure, row.token, mode, None, UUID(row.nonce))

    def probe(self, table: str) -> bool:
        """Tell whether nobody reaches the table under the file's own name; changes nothing."""
        if self._path.is_dir():
            return True
        if not self._path.exists():  # a program would make an empty file there
            return False
        with undone(self._path, "probing the fence", timeout_seconds=self._timeout_seconds) as connection:
            connection.execute(touch_one(read_shape(connection, table)))
        return False

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which anybody can write; changes nothing."""
        return tuple(table for table in tables if not self.probe(table))

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait until nobody holds the file that was moved aside and its bytes stay the same; tell whether it is so."""
        deadline = time.monotonic() + timeout_seconds
        while not self._is_still():
            if time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the window with what is to be there; an empty list is a sound one."""
        defects = check_row(self._path, self.closure, WINDOW, tables)
        others = {name for name in self._fences() if name != self.closure}
        for other in sorted(others):
            defects.append(FenceDefect("", f"the file is also fenced for {other}: a window shuts the whole file"))
        if self._aside.exists() and self._path.is_file():
            defects.append(FenceDefect("", "the file stands aside, and another one in its place"))
        if not os.access(self._path.parent, os.W_OK | os.X_OK):
            defects.append(FenceDefect("", "this account may not move a file in that folder"))
        return defects

    def _fences(self) -> list[str]:
        with reading(self._path) as connection:
            if not is_there(connection, "banyan_fence"):
                return []
            return [bytes(name).decode() for name, _ in connection.execute(named("fences"))]

    def _is_aside(self) -> bool:
        return self._aside.exists() and not self._path.is_file()

    def _row_now(self) -> FenceRow:
        with reading(self._path) as connection:
            return self._row(connection)

    def _row(self, connection: Connection) -> FenceRow:
        row = read_row(connection, self.closure) if is_there(connection, "banyan_fence") else None
        if row is None:
            raise missing(self.closure)
        return row

    def _decide(
        self, row: FenceRow, what: Effect, token: int, nonces: tuple[UUID, UUID]
    ) -> tuple[FenceRow, FenceAnswer]:
        """Decide about what is: a file that stands in its place was let in by somebody, and its token is spent."""
        seen = row if what == "beat" or self._is_aside() else replace(row, mode=FenceMode.OPEN)
        after, answer = decide(seen, what, token=token, lease_seconds=0, clock=0, nonces=nonces)
        return (row if after == seen else after), answer

    def _effect(self, what: Effect, token: int, nonces: tuple[UUID, UUID]) -> FenceAnswer:
        doing = f"{what} of the window of {self.closure}"
        with writing(self._path, doing, timeout_seconds=self._timeout_seconds) as connection:
            row = self._row(connection)
            after, answer = self._decide(row, what, token, nonces)
            if after != row:
                write_row(connection, after)
        return answer

    def _move_aside(self) -> None:
        """Move the file and what SQLite keeps beside it into a folder of their own; done again it changes nothing."""
        if self._path.is_file():
            if self._aside.exists():
                raise self._uncertain("one file stands aside and another one in its place")
            with undone(self._path, f"closing the window of {self.closure}", begin="EXCLUSIVE",
                        timeout_seconds=self._timeout_seconds):  # fmt: skip
                pass  # the writer in flight has ended, and what one left half done is rolled back
            self._aside.parent.mkdir(mode=0o700, exist_ok=True)
            os.rename(self._path, self._aside)
        try:
            self._path.mkdir(exist_ok=True)
        except FileExistsError:
            raise self._uncertain("a program made another file in its place") from None
        self._gather()

    def _gather(self) -> bool:
        """Move aside what a program left beside the old place; tells whether nothing is left there."""
        for suffix in SUFFIXES:
            left = self._path.with_name(self._path.name + suffix)
            if not left.exists():
                continue
            beside = self._aside.with_name(left.name)
            if beside.exists():
                return False
            os.rename(left, beside)
        return True

    def _move_back(self) -> None:
        """Put the file back into its place, never over another one."""
        if not self._aside.exists():
            return
        if self._path.is_dir():
            try:
                self._path.rmdir()
            except OSError:
                raise self._uncertain("the folder that keeps its place is not empty") from None
        for suffix in SUFFIXES:
            beside = self._aside.with_name(self._aside.name + suffix)
            if beside.exists():
                os.rename(beside, self._path.with_name(self._path.name + suffix))
        self._link_back()
        self._aside.parent.rmdir()

    def _link_back(self) -> None:
        try:
            os.link(self._aside, self._path)  # refused where anything stands, unlike a rename
        except FileExistsError:
            raise self._uncertain("another file stands in its place") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if self._path.exists():
                raise self._uncertain("another file stands in its place") from None
            os.rename(self._aside, self._path)
            return
        os.unlink(self._aside)

    def _is_still(self) -> bool:
        """Tell whether nobody holds the file and two digests of it, some time apart, are the same."""
        if not self._is_aside() or not self._gather():
            return False
        if self._is_held() or not self._is_unlocked():
            return False
        before = self._digest()
        time.sleep(self._settle_seconds)
        return not self._is_held() and self._is_unlocked() and self._digest() == before

    def _is_held(self) -> bool:
        beside = (self._aside.with_name(self._aside.name + suffix) for suffix in SUFFIXES)
        return bool(look_for_holders([self._aside, *beside]).holders)

    def _is_unlocked(self) -> bool:
        try:
            with undone(self._aside, "waiting for writers in flight", begin="EXCLUSIVE", timeout_seconds=0):
                return True
        except SourceUnavailable as error:
            if is_busy(error):
                return False
            raise

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in (self._aside, *(self._aside.with_name(self._aside.name + suffix) for suffix in SUFFIXES[:2])):
            if path.exists():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _uncertain(self, why: str) -> SwitchUncertain:
        return SwitchUncertain(
            f"the window of {self.closure} is neither open nor shut: {why} ({self._path.name}); nothing was written "
            "over",
            hint="look at the folder of the file with the people of the brigade, then banyan switch status",
            closure=self.closure,
            file=self._path.name,
        )
