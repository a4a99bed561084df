"""A legacy database of any make, for what needs more than a port: opened, captured, fenced and watched alike.

The driver of a make is loaded when a source of that make is opened, not before: it is an extra of the installation.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable
from uuid import UUID

from banyan.errors import ConfigurationError
from banyan.ports import LegacyFence, LegacyPort, ReverseSession
from banyan.records import Position
from connectors.postgresql_writers import Writer


@runtime_checkable
class DatabasePort(LegacyPort, Protocol):
    """A legacy system that is a database: capture is installed in it, and connections are given back."""

    schema: str

    def close(self) -> None:
        """Give back every connection."""
        ...

    def plan_capture(self, tables: Sequence[str]) -> list[str]:
        """Write the statements that would install the capture of these tables; runs none of them."""
        ...

    def install_capture(self, admin_url: str, tables: Sequence[str]) -> None:
        """Install the capture of these tables; what is installed already stays."""
        ...

    def remove_capture(self, admin_url: str, tables: Sequence[str] | None = None) -> None:
        """Remove the capture of these tables, or of all; Positions taken before become void with the last one."""
        ...

    def prune(self, before: Position) -> int:
        """Forget the changes up to a Position nobody needs any more; gives the number of entries removed."""
        ...

    def rehearsal_session(self, closure: str, token: int, *, nonce: UUID) -> AbstractContextManager[ReverseSession]:
        """Open a transaction of the reverse applier that is always rolled back: the canary of READY."""
        ...


class DatabaseFence(LegacyFence, Protocol):
    """The fence of a closure in a legacy database, reached over connections that are given back."""

    closure: str

    def find_open(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Give the tables in which an ordinary application account can write; changes nothing."""
        ...

    def disconnect(self) -> None:
        """Close the connections; the fence stays as it is."""
        ...


@dataclass(frozen=True, slots=True)
class Guarded:
    """The schema of a legacy database in which a fence stands, and the make of its server; of a file, which fence."""

    medium: str
    schema: str
    fence: Literal["", "triggers", "closed_window"] = ""
    files: tuple[str, ...] = ()
    """The names of the files, when one fence stands in several of one folder; empty: one file."""

    @property
    def has_codes(self) -> bool:
        """Tell whether a fence can be opened by a code over the telephone: a file has no server that compares one."""
        return self.medium != "sqlite"

    def write_opening(self, closure: str, code: str) -> str:
        """Write what the owner of the fence types in at the old site to open it by a code."""
        match self.medium:
            case "postgresql":
                return f"select banyan.open_by_code('{closure}', '{code}')"
            case "mariadb":
                from connectors.dialects_mariadb import home_of, quoted

                return f"call {quoted(home_of(self.schema))}.open_by_code('{closure}', '{code}')"
        raise self._unknown()

    def open_fence(self, guard_url: str, closure: str, *, probe_url: str) -> DatabaseFence:
        """Open the door to the fence of a closure; nothing is connected before the first question."""
        match self.medium:
            case "postgresql":
                from connectors.postgresql_fence import open_postgresql_fence

                return open_postgresql_fence(guard_url, closure, schema=self.schema, probe_url=probe_url)
            case "mariadb":
                from connectors.mariadb_fence import open_mariadb_fence

                return open_mariadb_fence(guard_url, closure, schema=self.schema, probe_url=probe_url)
            case "sqlite" if self.fence and self.files:
                from connectors.sqlite_files_fence import open_files_fence

                return open_files_fence(paths_in(guard_url, self.files), closure, self.fence)
            case "sqlite" if self.fence:
                from connectors.sqlite_fence import open_sqlite_fence

                return open_sqlite_fence(Path(guard_url), closure, self.fence)
        raise self._unknown()

    def install_fence(self, admin_url: str, closure: str, tables: Sequence[str]) -> UUID:
        """Install the fence of a closure, open; installed again it keeps its state. Gives its nonce."""
        match self.medium:
            case "postgresql":
                from connectors.postgresql_fence import install_fence

                return install_fence(admin_url, closure, tables, schema=self.schema)
            case "mariadb":
                from connectors.mariadb_fence_plan import install_fence as install_mariadb_fence

                return install_mariadb_fence(admin_url, closure, tables, schema=self.schema)
            case "sqlite" if self.fence and self.files:
                from connectors.sqlite_files_fence import install_files_fence

                return install_files_fence(paths_in(admin_url, self.files), closure, self.fence, tables)
            case "sqlite" if self.fence:
                from connectors.sqlite_fence import install_sqlite_fence

                return install_sqlite_fence(Path(admin_url), closure, self.fence, tables)
        raise self._unknown()

    def keep_code_key(self, admin_url: str, closure: str, key: bytes) -> None:
        """Leave with the fence the key of its telephone codes; nobody but the owner of the fence can read it."""
        match self.medium:
            case "postgresql":
                from connectors.postgresql_fence import keep_code_key

                keep_code_key(admin_url, closure, key)
            case "mariadb":
                from connectors.mariadb_fence_plan import keep_code_key as keep_mariadb_code_key

                keep_mariadb_code_key(admin_url, closure, key, schema=self.schema)
            case "sqlite":
                pass  # nobody in the file could compare a code with it
            case _:
                raise self._unknown()

    def find_writers(self, guard_url: str, tables: Sequence[str]) -> list[Writer]:
        """Look once at who writes, or may write, in these tables; banyan's own accounts are left out."""
        match self.medium:
            case "postgresql":
                from connectors.postgresql_writers import find_writers

                return find_writers(guard_url, tables, schema=self.schema)
            case "mariadb":
                from connectors.mariadb_fence import find_mariadb_writers

                return find_mariadb_writers(guard_url, tables, schema=self.schema)
            case "sqlite" if self.files:
                from connectors.sqlite_files_fence import find_files_writers

                return find_files_writers(paths_in(guard_url, self.files), tables)
            case "sqlite":
                from connectors.sqlite_fence import find_sqlite_writers

                return find_sqlite_writers(Path(guard_url), tables)
        raise self._unknown()

    def _unknown(self) -> ConfigurationError:
        return ConfigurationError(
            f"a source of {self.medium} has no fence; nothing was changed", hint="banyan source capabilities"
        )


def paths_in(folder: str, files: Sequence[str]) -> dict[str, Path]:
    """Give the path of each file of a folder, by the name its tables bear."""
    return {name.partition(".")[0]: Path(folder) / name for name in files}


def mariadb_way(capture: str, source: str) -> Literal["journal", "log"]:
    """Give the way of capture of a MariaDB; one that looks at rows needs the store, and is opened there."""
    match capture:
        case "journal" | "log":
            return capture
    raise ConfigurationError(
        f"{source} asks for capture: {capture}, which remembers rows in a store; nothing was read",
        hint="capture: log, or capture: journal",
    )
