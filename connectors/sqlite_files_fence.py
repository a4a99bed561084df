"""One fence in several SQLite files: shut when every file is shut, open as soon as one of them is.

All files hold the same nonce and are asked the same effects. An effect that one file refuses is refused; what others
did before it is undone by the abort that follows, or finished by the same effect once more.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from banyan.errors import ConfigurationError
from banyan.ports import FenceAnswer, FenceDefect, FenceMode, FenceState
from connectors.postgresql_writers import Writer
from connectors.sqlite_door import Kind
from connectors.sqlite_fence import SqliteFence, find_sqlite_writers, install_sqlite_fence, open_sqlite_fence
from connectors.sqlite_files import tables_by_file
from connectors.sqlite_window import SqliteWindow

Door = SqliteFence | SqliteWindow
_Answer = TypeVar("_Answer")
_RANK = {FenceMode.OPEN: 0, FenceMode.CLOSED: 1, FenceMode.SEALED: 2}


class FilesFence:
    """The fence of one closure in all files of a legacy system."""

    def __init__(self, closure: str, doors: Mapping[str, Door]) -> None:
        self.closure = closure
        self._doors = dict(doors)

    def disconnect(self) -> None:
        """Hold nothing open."""

    def close(self, token: int, *, lease_seconds: float, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Refuse writers of every file until the lease ends; one close for each token."""
        return self._effect(
            lambda door: door.close(token, lease_seconds=lease_seconds, nonce_old=nonce_old, nonce_new=nonce_new)
        )

    def seal(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Refuse writers until opened; accepted only while every file is held under the same token."""
        return self._effect(lambda door: door.seal(token, nonce_old=nonce_old, nonce_new=nonce_new))

    def open(self, token: int, *, nonce_old: UUID, nonce_new: UUID | None = None) -> FenceAnswer:
        """Let writers into every file; an old token is refused."""
        return self._effect(lambda door: door.open(token, nonce_old=nonce_old, nonce_new=nonce_new))

    def beat(self, token: int, *, nonce_old: UUID, nonce_new: UUID) -> FenceAnswer:
        """Renew the nonce, so that a copy restored from before is recognised."""
        return self._effect(lambda door: door.beat(token, nonce_old=nonce_old, nonce_new=nonce_new))

    def read(self) -> FenceState:
        """Read the state of the least shut file; a nonce that few files hold is told, for it is the doubtful one."""
        states = self._ask(lambda _, door: door.read())
        weakest = min(states.values(), key=lambda state: (_RANK[state.mode], state.token))
        leases = [state.lease_seconds for state in states.values() if state.lease_seconds is not None]
        held = Counter(state.nonce for state in states.values())
        doubtful = min(held, key=lambda nonce: held[nonce])
        lease = min(leases) if leases and weakest.mode is FenceMode.CLOSED else weakest.lease_seconds
        return replace(weakest, closure=self.closure, lease_seconds=lease, nonce=doubtful)

    def probe(self, table: str) -> bool:
        """Tell whether a write into the table of its file is refused; changes nothing."""
        file, _, name = table.partition("/")
        return self._door(file).probe(name)

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which anybody can write; changes nothing."""
        return tuple(table for table in tables if not self.probe(table))

    def wait_in_flight(self, timeout_seconds: float) -> bool:
        """Wait for who still writes in any of the files, in all of them at a time; tell whether nobody is left."""
        return all(self._ask(lambda _, door: door.wait_in_flight(timeout_seconds)).values())

    def check_installed(self, tables: Sequence[str]) -> list[FenceDefect]:
        """Compare the fence in each file with what was installed; each defect names its file."""
        asked = tables_by_file(tables)
        found = self._ask(lambda file, door: door.check_installed(asked.get(file, [])))
        defects = [
            FenceDefect(
                f"{file}/{one.table}" if one.table else "", one.problem if one.table else f"{file}: {one.problem}"
            )
            for file, those in found.items()
            for one in those
        ]
        if defects:
            return defects
        nonces = self._ask(lambda _, door: door.read().nonce)
        odd = ", ".join(file for file, nonce in nonces.items() if nonce != next(iter(nonces.values())))
        return (
            [FenceDefect("", f"the fence of {odd} belongs to another incarnation than the first file's")] if odd else []
        )

    def _effect(self, work: Callable[[Door], FenceAnswer]) -> FenceAnswer:
        """Ask one file after the other; the first refusal is the answer, and names its file."""
        answers: list[FenceAnswer] = []
        for door in self._doors.values():
            answer = work(door)
            if not answer.accepted:
                return answer
            answers.append(answer)
        leases = [answer.lease_seconds for answer in answers if answer.lease_seconds is not None]
        return replace(answers[0], lease_seconds=min(leases) if leases else None)

    def _ask(self, question: Callable[[str, Door], _Answer]) -> dict[str, _Answer]:
        """Put a question to all files at a time: a window waits a second for each to be still."""
        with ThreadPoolExecutor(len(self._doors)) as threads:
            asked = {file: threads.submit(question, file, door) for file, door in self._doors.items()}
            return {file: answer.result() for file, answer in asked.items()}

    def _door(self, file: str) -> Door:
        if file not in self._doors:
            raise ConfigurationError(f"{file} is no file of {self.closure}; nothing was asked")
        return self._doors[file]


def open_files_fence(
    paths: Mapping[str, Path], closure: str, kind: Kind, *, timeout_seconds: float = 5.0
) -> FilesFence:
    """Open the doors to the fence of a closure in all files; nothing is opened before the first question."""
    doors = {
        name: open_sqlite_fence(path, closure, kind, timeout_seconds=timeout_seconds) for name, path in paths.items()
    }
    return FilesFence(closure, doors)


def install_files_fence(paths: Mapping[str, Path], closure: str, kind: Kind, tables: Sequence[str]) -> UUID:
    """Install the fence of a closure in all files, open, under one nonce; installed again it keeps its state."""
    nonce: UUID | None = None
    asked = tables_by_file(tables)
    for name, path in paths.items():
        made = install_sqlite_fence(path, closure, kind, asked.get(name, []), nonce=nonce or uuid4())
        nonce = nonce or made
    assert nonce is not None, "a set of files has one at least"
    return nonce


def find_files_writers(paths: Mapping[str, Path], tables: Sequence[str]) -> list[Writer]:
    """Look once at who has one of the files open on this machine: whoever has may write in every table of it."""
    asked = tables_by_file(tables)
    found = {
        replace(writer, table=f"{name}/{writer.table}")
        for name, path in paths.items()
        for writer in find_sqlite_writers(path, asked.get(name, []))
    }
    return sorted(found, key=lambda writer: (writer.account, writer.table))
