"""SQLite files and databases behind an ODBC driver, opened from the project: read only, or a file both ways.

Their changes are found by looking at every row; what a look saw is remembered in the canonical store. `url` is the path
of the SQLite file, below the project unless it is absolute, or the ODBC connection string, by reference.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from banyan.departments import SourceRef
from banyan.errors import ConfigurationError
from connectors.database import paths_in
from connectors.looks import Looks
from connectors.one_way import OneWayPort
from store.row_marks import StoreRowMarks
from sync.workspace import Workspace

if TYPE_CHECKING:
    from connectors.sqlite_database import SqliteDatabase
    from connectors.sqlite_files import SqliteFiles


def open_one_way(
    workspace: Workspace, source: SourceRef, *, is_followed: bool = True, only_told: bool = False
) -> OneWayPort:
    """Open a legacy system that is only read; nothing of it is read before the first question.

    Opened to be followed, it remembers its looks in the store; else no store need exist.
    """
    config = workspace.source_config(source)
    looks = _looks(workspace, source, only_told=only_told) if is_followed else None
    place = workspace.legacy_urls(source).reader
    match config.medium:
        case "sqlite":
            from connectors.sqlite_port import open_sqlite_file

            path = workspace.project.folder / place
            return open_sqlite_file(path, encoding=_codec(config.encoding), looks=looks)
        case "odbc":
            from connectors.odbc import open_odbc  # its driver is an extra of the installation

            return open_odbc(place, config.schema_name, encoding=_codec(config.encoding), looks=looks)
    raise ConfigurationError(f"{source} is {config.medium}, which is not read one way; nothing was opened")


def open_both_ways(
    workspace: Workspace, source: SourceRef, *, is_followed: bool = True, only_told: bool = False
) -> "SqliteDatabase | SqliteFiles":
    """Open a SQLite file, or several, that are written back behind the fence that the project says."""
    from connectors.sqlite_database import open_sqlite_database
    from connectors.sqlite_files import open_sqlite_files

    config = workspace.source_config(source)
    assert config.fence, "a file without a fence is only read"
    looks = _looks(workspace, source, only_told=only_told) if is_followed else None
    place, encoding = workspace.legacy_urls(source).reader, _codec(config.encoding)
    if config.files:
        return open_sqlite_files(paths_in(place, config.files), config.fence, encoding=encoding, looks=looks)
    return open_sqlite_database(Path(place), config.fence, encoding=encoding, looks=looks)


def _looks(workspace: Workspace, source: SourceRef, *, only_told: bool) -> Looks:
    marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
    return Looks(tuple(workspace.book(source).rulesets), marks, key=workspace.digest_key, only_told=only_told)


def _codec(encoding: str) -> str:
    """Give what Python calls the encoding that PostgreSQL calls UTF8."""
    return "utf-8" if encoding.upper() in ("UTF8", "UTF-8") else encoding
