"""Objects that are written once: what a landing zone needs of its medium, and the medium that is a directory."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from banyan.errors import CapacityExhausted, StoreUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Objects(Protocol):
    """Objects that are written once; the media differ in nothing else."""

    @property
    def is_remote(self) -> bool:
        """Tell whether others than the owner of this machine hold the medium."""
        ...

    def create(self, path: str, body: bytes) -> bool:
        """Write an object if there is none of that path; tell whether it was written."""
        ...

    def read(self, path: str) -> bytes | None:
        """Read an object, or None when there is none."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Name the objects whose path starts with a prefix."""
        ...


@dataclass(frozen=True, slots=True)
class Directory:
    """Objects in a local folder of its owner alone."""

    root: Path
    _kept: set[Path] = field(default_factory=set, init=False, repr=False, compare=False)
    """Folders whose own entry this process has seen reach the disk."""

    @property
    def is_remote(self) -> bool:
        """Tell that a local folder is nobody else's."""
        return False

    def create(self, path: str, body: bytes) -> bool:
        """Write a file if there is none of that path: whole or not at all."""
        target = self.root / path
        draft = target.parent / f".draft-{secrets.token_hex(8)}"
        try:
            above = [target.parent, *target.parent.parents]
            folders = [folder for folder in reversed(above) if folder.is_relative_to(self.root)]
            for folder in folders:
                self._make(folder)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, target)  # unlike a rename, refuses to replace what stands
            _sync_directory(target.parent)
            for folder in reversed(folders):
                if folder != self.root and folder not in self._kept:
                    _sync_directory(folder.parent)
            self._kept.update(folders)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in _FULL:
                raise CapacityExhausted(
                    f"the landing zone has no room for {len(body)} bytes; nothing was left there",
                    hint="make room on the disk of the landing zone, then run again",
                    bytes=len(body),
                ) from error
            raise _local_failure(error) from error
        finally:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                draft.unlink()
        return True

    def _make(self, folder: Path) -> None:
        """Make a folder if there is none; one made again has its entry written again."""
        try:
            folder.mkdir(mode=0o700, parents=folder == self.root)
        except FileExistsError:
            return
        self._kept.discard(folder)

    def read(self, path: str) -> bytes | None:
        """Read a file, or None when there is none."""
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _local_failure(error) from error

    def list(self, prefix: str) -> Iterator[str]:
        """Name the files whose path starts with a prefix; drafts are none."""
        for path in (self.root / prefix.partition("/")[0]).rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if name.startswith(prefix) and not path.name.startswith(".") and path.is_file():
                yield name


def _local_failure(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(
        f"the landing zone cannot be used: {error.strerror}; nothing was committed",
        hint="check the directory of the landing zone and its rights",
    )


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
