"""Which way changes of a legacy database are found, as the project says for each source."""

from typing import assert_never

from banyan.departments import SourceRef
from connectors.capture import OpenCapture
from connectors.postgresql_capture import JournalCapture
from connectors.postgresql_log import open_log
from connectors.row_version import open_row_version
from connectors.snapshot_diff import open_snapshot_diff
from store.key_log import StoreKeyLog
from store.row_marks import StoreRowMarks
from sync.workspace import Workspace


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
