"""The assessment of a legacy system before anything is decided: its tables, what they hold from afar, what is around.

Reads only, in the ranges of a first copy; the result holds counts, names and approved codes, never a value of a person.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from banyan.clock import monotonic, now, today
from banyan.departments import SourceRef
from banyan.errors import ConfigurationError, SourceUnreadable
from banyan.ports import LegacyPort
from banyan.records import KeyRange
from cli.scan_marks import RowHashes, compare_with_last, find_stamps
from connectors.database import paths_in
from connectors.surroundings import Reference, Surroundings, look_around_mariadb, look_around_postgresql
from connectors.surroundings_sqlite import look_around_sqlite
from mappings.model import Ruleset
from mappings.survey import TableSurvey, count_orphans
from sync.workspace import Workspace

_ROWS_A_RANGE: Final = 20_000
_NIGHT_HOURS: Final = 8.0
_NOT_READ: Final = (ConfigurationError, SourceUnreadable)
"""A right that is missing, a type without a text, a cell that cannot be told: the other tables are scanned."""
DAYS_A_TABLE, DAYS_A_COLUMN, DAYS_A_CODE, DAYS_AN_ENCODING, DAYS_A_NEIGHBOUR = 0.5, 0.05, 0.02, 1.0, 0.5
"""A first figure of the effort, in days of one person: what the estimate multiplies by what it counts."""


@dataclass(slots=True)
class _Read:
    """One table as far as it was read."""

    survey: TableSurvey = field(repr=False)
    total: int
    seconds: float = 0.0
    is_whole: bool = True
    compared: dict[str, int | None] | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """Who is assessed: the port, the rules that exist, and how many rows of each table are read (0: all)."""

    workspace: Workspace = field(repr=False)
    source: SourceRef
    port: LegacyPort = field(repr=False)
    rulesets: dict[str, Ruleset] = field(repr=False)
    rows: int = 0

    def run(self, tables: Sequence[str], watch: Callable[[str], None]) -> dict[str, Any]:
        """Read the tables and give the assessment as one document."""
        around = look_around(self.workspace, self.source)
        columns: dict[str, list[str]] = {}
        unread: list[str] = []
        for name in tables:
            try:
                columns[name] = [column.name for column in self.port.columns(name)]
            except _NOT_READ as error:
                unread.append(f"columns of {name}: {error.message}")
        keys = {name: self.port.key_columns(name) for name in columns}
        references = find_references(around, columns, keys)
        watched: dict[str, list[str]] = {name: [] for name in tables}
        for one in references:
            watched[one.table].append(one.column)
            watched[one.parent].append(one.parent_column)
        read: dict[str, _Read] = {}
        for name in columns:
            watch(name)
            try:
                read[name] = self._read(name, keys[name], watched[name])
            except _NOT_READ as error:
                unread.append(f"rows of {name}: {error.message}")
        told = [self._told(name, read[name], keys[name], around) for name in read]
        references = [one for one in references if one.table in read and one.parent in read]
        for table in told:
            table["orphans"] = _orphans(str(table["table"]), references, read)
        return {
            "source": str(self.source),
            "medium": self.workspace.source_config(self.source).medium,
            "made_at": now().isoformat(timespec="seconds"),
            "encoding": around.encoding,
            "tables": told,
            "callers": [asdict(caller) for caller in around.callers],
            "jobs": [list(job) for job in around.jobs],
            "counted_since": around.counted_since.isoformat() if around.counted_since else None,
            "unseen": [*unread, *around.unseen],
            "hidden": list(around.hidden),
            "window": _window(list(read.values())),
            "effort": _effort(told),
        }

    def _read(self, name: str, key: tuple[str, ...], watched: Sequence[str]) -> _Read:
        types = {column.name: column.type_name for column in self.port.columns(name)}
        read = _Read(TableSurvey(types, key, watched, today=today()), self.port.count(name))
        hashes = RowHashes(key, find_stamps(list(types)), self.workspace.digest_key)
        for rows in self._batches(name, read):
            read.survey.add(rows)
            if key:
                hashes.add(rows)
        if read.is_whole and key:
            folder = self.workspace.project.state_folder / "scans" / str(self.source)
            file = hashlib.sha256(name.encode()).hexdigest()[:16]
            read.compared = compare_with_last(folder / f"{file}.parquet", hashes)
        return read

    def _batches(self, name: str, read: _Read) -> Iterator[pl.DataFrame]:
        ranges = self.port.plan_ranges(name, max(_ROWS_A_RANGE, 0 if self.port.key_columns(name) else read.total))
        seen = 0
        for keys in ranges or [KeyRange(None, None)]:
            if self.rows and seen >= self.rows:
                read.is_whole = False
                return
            started = monotonic()
            rows = self.port.read_range(name, keys).rows
            read.seconds += monotonic() - started
            seen += rows.height
            yield rows

    def _told(self, name: str, read: _Read, key: tuple[str, ...], around: Surroundings) -> dict[str, Any]:
        survey, ruleset = read.survey, self.rulesets.get(name)
        activity = around.activity.get(name)
        return {
            "table": name,
            "rows": read.total,
            "rows_read": survey.rows,
            "is_whole": read.is_whole,
            "key": list(key),
            "rows_without_key": survey.key_faults,
            "padded_keys": survey.padded_keys,
            "stamps": list(find_stamps([column.name for column in survey.columns])),
            "since_last_scan": read.compared,
            "rule": ruleset.rule_id if ruleset is not None else None,
            "columns": [column.told(ruleset) for column in survey.columns],
            "writers": list(around.writers.get(name, ())),
            "triggers": list(around.triggers.get(name, ())),
            "views": list(around.views.get(name, ())),
            "routines": list(around.routines.get(name, ())),
            "activity": asdict(activity) if activity is not None else None,
        }


def look_around(workspace: Workspace, source: SourceRef) -> Surroundings:
    """Look at what stands around the tables; a medium without a catalogue says so."""
    config = workspace.source_config(source)
    match config.medium:
        case "postgresql":
            return look_around_postgresql(workspace.legacy_urls(source).reader, config.schema_name)
        case "mariadb":
            return look_around_mariadb(workspace.legacy_urls(source).reader, config.schema_name)
        case "sqlite":
            place = Path(workspace.legacy_urls(source).reader)
            return look_around_sqlite(paths_in(str(place), config.files) if config.files else {"": place})
    return Surroundings(
        unseen=(f"who connects, triggers, views and jobs: {config.medium} shows none of them",),
        hidden=("writers", "triggers", "views", "routines"),
    )


def find_references(
    around: Surroundings, columns: dict[str, list[str]], keys: dict[str, tuple[str, ...]]
) -> list[Reference]:
    """Give the references that are declared, and those that the names of columns speak of: a key of one column."""
    found = {
        (one.table, one.column): one for one in around.references if one.table in columns and one.parent in columns
    }
    owners: dict[str, list[str]] = {}
    for table, key in keys.items():
        if len(key) == 1:
            owners.setdefault(key[0].lower(), []).append(table)
    for table, names in columns.items():
        for name in names:
            for parent in owners.get(name.lower(), []):
                if len(owners[name.lower()]) == 1 and parent != table:
                    found.setdefault((table, name), Reference(table, name, parent, keys[parent][0]))
    return [found[place] for place in sorted(found)]


def _orphans(table: str, references: Sequence[Reference], read: dict[str, _Read]) -> list[dict[str, Any]]:
    """Count rows without a parent; None where a table was not read whole."""
    told = []
    for one in references:
        if one.table != table:
            continue
        is_known = read[one.table].is_whole and read[one.parent].is_whole
        children, parents = read[one.table].survey.hashes(one.column), read[one.parent].survey.hashes(one.parent_column)
        told.append(
            {"column": one.column, "parent": one.parent, "rows": count_orphans(children, parents) if is_known else None}
        )
    return told


def _window(read: Sequence[_Read]) -> dict[str, Any]:
    """Forecast the time of a first reading, from the pace measured here; the writing beside it is not in it."""
    rows, seconds, total = sum(r.survey.rows for r in read), sum(r.seconds for r in read), sum(r.total for r in read)
    pace = rows / seconds if seconds > 0 else None
    hours = total / pace / 3600 if pace else None
    return {
        "rows": total,
        "rows_per_second": round(pace) if pace else None,
        "reading_hours": round(hours, 2) if hours is not None else None,
        "fits_a_night": hours <= _NIGHT_HOURS if hours is not None else None,
    }


def _effort(tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Estimate the effort from what was counted; a first figure, and its parts."""
    filled = [one for one in tables if one["rows"]]
    without = [one for one in filled if one["rule"] is None]
    columns = [column for one in without for column in one["columns"]]
    doubtful = [one for one in filled if any(column["encoding"] for column in one["columns"])]
    counted = {
        "tables without a rule": (len(without), DAYS_A_TABLE),
        "columns without a rule": (len(columns), DAYS_A_COLUMN),
        "codes to decide": (sum(len(c["codes"]) + c["codes_not_shown"] for c in columns), DAYS_A_CODE),
        "tables with doubtful encodings": (len(doubtful), DAYS_AN_ENCODING),
        "triggers, routines and views": (
            sum(len(t[kind]) for t in filled for kind in ("triggers", "routines", "views")), DAYS_A_NEIGHBOUR,
        ),
    }  # fmt: skip
    parts = {name: {"count": count, "days": round(count * days, 1)} for name, (count, days) in counted.items()}
    return {"days": round(sum(part["days"] for part in parts.values()), 1), "parts": parts}
