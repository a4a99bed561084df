"""Legacy systems that are only read: SQLite files and databases behind an ODBC driver, opened from the project.

Their changes are found by looking at every row; what a look saw is remembered in the canonical store. `url` is the path
of the SQLite file, below the project unless it is absolute, or the ODBC connection string, by reference.
"""

from banyan.departments import SourceRef
from banyan.errors import ConfigurationError
from connectors.looks import Looks
from connectors.one_way import OneWayPort
from store.row_marks import StoreRowMarks
from sync.workspace import Workspace


def open_one_way(workspace: Workspace, source: SourceRef, *, is_followed: bool = True) -> OneWayPort:
    """Open a legacy system that is only read; nothing of it is read before the first question.

    Opened to be followed, it remembers its looks in the store; else no store need exist.
    """
    config = workspace.source_config(source)
    looks = None
    if is_followed:
        marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
        looks = Looks(tuple(workspace.book(source).rulesets), marks, key=workspace.digest_key)
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


def _codec(encoding: str) -> str:
    """Give what Python calls the encoding that PostgreSQL calls UTF8."""
    return "utf-8" if encoding.upper() in ("UTF8", "UTF-8") else encoding
