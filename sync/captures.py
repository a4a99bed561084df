"""Which way changes of a legacy database are found, as the project says for each source."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, assert_never

from banyan.config import SourceConfig
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError
from banyan.ports import Incremental, LegacyPort
from connectors.capture import OpenCapture
from connectors.postgresql_capture import JournalCapture
from connectors.postgresql_log import open_log
from connectors.row_version import open_row_version
from connectors.snapshot_diff import open_snapshot_diff
from store.key_log import StoreKeyLog
from store.row_marks import StoreRowMarks
from sync.workspace import Workspace

if TYPE_CHECKING:
    from connectors.mariadb_capture import OpenMariaDBCapture

CAPTURED_BY: Final = {
    "journal": Incremental.JOURNAL,
    "log": Incremental.LOG,
    "row_version": Incremental.WATERMARK,
    "snapshot": Incremental.SNAPSHOT_DIFF,
}
"""What each way of capture promises of a table it follows."""


def capture_of(workspace: Workspace, source: SourceRef) -> OpenCapture:
    """Give the way of capture of a legacy database; what it remembers stands in the canonical store."""
    config = workspace.source_config(source)
    match config.capture:
        case "journal":
            return JournalCapture
        case "log":
            return open_log(StoreKeyLog(lambda: workspace.engine("banyan_forward"), source))
        case "row_version":
            return open_row_version(tuple(workspace.book(source).rulesets), config.version_column)
        case "snapshot":
            marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
            return open_snapshot_diff(tuple(workspace.book(source).rulesets), marks, key=workspace.digest_key)
        case _:
            assert_never(config.capture)


def mariadb_capture_of(workspace: Workspace, source: SourceRef) -> "OpenMariaDBCapture":
    """Give the way of capture of a legacy MariaDB; its driver is an extra of the installation."""
    from connectors.mariadb_journal import MariaDBJournal
    from connectors.mariadb_log import MariaDBLog
    from connectors.mariadb_snapshot import open_mariadb_snapshot

    config = workspace.source_config(source)
    match config.capture:
        case "journal":
            return MariaDBJournal
        case "log":
            return MariaDBLog
        case "snapshot":
            marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
            return open_mariadb_snapshot(tuple(workspace.book(source).rulesets), marks, key=workspace.digest_key)
        case "row_version":
            raise ConfigurationError(
                f"{source} asks for capture: row_version, which is built for PostgreSQL only: a MariaDB does not tell "
                "who wrote a row last; nothing was read",
                hint="capture: log, capture: journal, or capture: snapshot",
            )
        case _:
            assert_never(config.capture)


def find_unfollowed(port: LegacyPort, config: SourceConfig, tables: Sequence[str]) -> list[str]:
    """Name the tables of a legacy database whose changes its way of capture does not find today."""
    if not config.is_database:
        return []
    wanted = CAPTURED_BY[config.capture]
    return sorted(name for name in tables if port.capabilities(name).incremental is not wanted)
