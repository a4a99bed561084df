"""Which way changes of a legacy database are found, as the project says for each source."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, assert_never

from banyan.config import SourceConfig
from banyan.departments import Side, SourceRef
from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental, LegacyPort
from connectors.capture import OpenCapture
from connectors.looks import Looks
from connectors.postgresql_capture import JournalCapture
from connectors.postgresql_log import open_log
from connectors.row_version import open_row_version
from connectors.snapshot_diff import open_snapshot_diff
from connectors.ways import Way
from mappings.closure import find_domains
from store.key_log import StoreKeyLog
from store.known_keys import read_known_keys
from store.postgres import asking
from store.row_marks import StoreRowMarks
from store.slices import read_slices
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


def capture_of(
    workspace: Workspace, source: SourceRef, *, only_told: bool = False, way: Way | None = None
) -> OpenCapture:
    """Give the way of capture of a legacy database, the project's if none is named; it remembers in the store."""
    config = workspace.source_config(source)
    match way or config.capture:
        case "journal":
            return JournalCapture
        case "log":
            return open_log(StoreKeyLog(lambda: workspace.engine("banyan_forward"), source))
        case "row_version":
            return open_row_version(tuple(workspace.book(source).rulesets), config.version_column)
        case "snapshot":
            marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
            tables = tuple(workspace.book(source).rulesets)
            return open_snapshot_diff(tables, marks, key=workspace.digest_key, only_told=only_told)
        case _:
            assert_never(way or config.capture)


def mariadb_capture_of(
    workspace: Workspace, source: SourceRef, *, only_told: bool = False, way: Way | None = None
) -> "OpenMariaDBCapture":
    """Give the way of capture of a legacy MariaDB, the project's if none is named; its driver is an extra."""
    from connectors.mariadb_beside import open_beside
    from connectors.mariadb_journal import MariaDBJournal
    from connectors.mariadb_log import open_mariadb_log
    from connectors.mariadb_snapshot import open_mariadb_snapshot

    config = workspace.source_config(source)
    marks = StoreRowMarks(lambda: workspace.engine("banyan_forward"), source)
    tables, known = tuple(workspace.book(source).rulesets), KeysOfTheStore(workspace, source)
    looks = Looks(tables, marks, workspace.digest_key, only_told=only_told)
    match way or config.capture:
        case "journal":
            return open_beside(MariaDBJournal, looks, known)
        case "log":
            return open_beside(open_mariadb_log(known), looks, known)
        case "snapshot":
            return open_mariadb_snapshot(tables, marks, key=workspace.digest_key, only_told=only_told)
        case "row_version":
            raise ConfigurationError(
                f"{source} asks for capture: row_version, which is built for PostgreSQL only: a MariaDB does not tell "
                "who wrote a row last; nothing was read",
                hint="capture: log, capture: journal, or capture: snapshot",
            )
        case _:
            assert_never(way or config.capture)


@dataclass(frozen=True, slots=True)
class KeysOfTheStore:
    """The keys that the canonical store knows of one legacy system, for the sweep of a table."""

    workspace: Workspace = field(repr=False)
    source: SourceRef

    def find(self, table: str, key: tuple[str, ...]) -> list[str]:
        """List those of a table; refuses one whose key is not that of its rule, or whose rows people own elsewhere."""
        ruleset = self.workspace.book(self.source).rulesets.get(table)
        if ruleset is None:  # only looked up: no record of ours stands for its rows
            return []
        if ruleset.key != key:
            raise SourceDrifted(
                f"{table} has the key {', '.join(key)} now, and {ruleset.rule_id} knows its rows by "
                f"{', '.join(ruleset.key)}; no change was read",
                hint="give the rule the key of the table: banyan map lint",
                table=table,
            )
        domains, code = find_domains(ruleset), self.source.department_code
        with asking(self.workspace.engine("banyan_forward")) as connection:
            owned = [one for one in read_slices(connection) if one.department_code == code]
            switched = [one for one in owned if one.domain_code in domains and one.owner is Side.CANONICAL]
            if switched:
                raise SourceDrifted(
                    f"{table} was truncated, altered or written by a statement on the old side, and its rows belong "
                    f"to the new one since {switched[0].closure} was switched; no change was read",
                    hint=f"banyan switch reconcile {switched[0].closure} --keep canonical, by two persons",
                    table=table,
                )
            return read_known_keys(connection, self.source, table)


def find_unfollowed(port: LegacyPort, config: SourceConfig, tables: Sequence[str]) -> list[str]:
    """Name the tables of a legacy database whose changes are not found today: not by its capture, nor by looks."""
    if not config.is_database:
        return []
    found = (CAPTURED_BY[config.capture], Incremental.SNAPSHOT_DIFF)  # a port says so only of what it does look at
    return sorted(name for name in tables if port.capabilities(name).incremental not in found)


def find_looked_at(port: LegacyPort, config: SourceConfig, tables: Sequence[str]) -> list[str]:
    """Name the tables that are compared row by row because the capture of their source can never follow them."""
    if not config.is_database or config.capture == "snapshot":
        return []
    return sorted(name for name in tables if port.capabilities(name).incremental is Incremental.SNAPSHOT_DIFF)
