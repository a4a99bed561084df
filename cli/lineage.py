"""One row followed from the legacy system to the new one and back: what `trace` and `map try` show.

Whoever asks is written into the processing log, with the reason, before anything is read.
"""

from dataclasses import dataclass, field

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.departments import Actor, SourceRef
from banyan.errors import SourceDrifted, UsageError
from banyan.records import KEY_SEPARATOR
from banyan.undecoded import find_shown_key, show_key
from cli.passages import find_passages
from mappings.explain import RowTrial, try_row
from mappings.model import Ruleset
from mappings.residue import unpack
from store.journal import ProcessingEntry, append_processing, read_journal
from store.postgres import raw, transaction
from store.records import find_crosswalk_by_key, find_links, read_records
from store.row_tables import DEGRADED_WRITE_BACK, FILTERED_ROW, QUARANTINE
from sync.assembly import Rig
from sync.setting import look_up

CASE = "case"
_LINEAGE = sa.table(
    "lineage",
    *map(sa.column, ("department_code", "system_code", "table_name", "source_key", "canonical_table", "canonical_id")),
    schema="mig",
)
_CASE_FILE = sa.table(
    "case_file",
    *map(sa.column, ("id", "department_code", "case_number", "case_number_normalised")),
    schema="justice",
)


@dataclass(frozen=True, slots=True)
class RowPlace:
    """One legacy row by name: system, table, key."""

    source: SourceRef
    table: str
    key: str

    def __str__(self) -> str:
        return f"{self.source}/{self.table}/{show_key(self.key).replace(KEY_SEPARATOR, ',')}"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A canonical record as it stands, beside what the rules make of the legacy row now."""

    part: str
    table: str
    record_id: str
    columns: dict[str, tuple[object, object]] = field(repr=False)
    """By column: mapped now, stored."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that is known of one legacy row."""

    place: RowPlace
    trial: RowTrial | None = field(repr=False)
    records: tuple[StoredRecord, ...] = field(repr=False)
    crosswalk: dict[str, object] | None
    residue_columns: tuple[str, ...]
    runs: tuple[dict[str, object], ...]
    lists: dict[str, list[dict[str, object]]]
    journal: tuple[dict[str, object], ...]


def find_row(rig: Rig, kind: str, key: str) -> RowPlace:
    """Find the legacy row that a person names: table and key, a case by its number, a record by its id."""
    if kind in rig.book.rulesets:
        parts = len(rig.book.rulesets[kind].key)
        return RowPlace(rig.source, kind, _meant(rig, kind, key.replace(",", KEY_SEPARATOR) if parts > 1 else key))
    code = rig.source.department_code
    conditions: list[sa.ColumnElement[bool]] = [_LINEAGE.c.department_code == code]
    if kind == CASE:
        same = sa.or_(_CASE_FILE.c.case_number == key, _CASE_FILE.c.case_number_normalised == key,
                      sa.func.rtrim(_CASE_FILE.c.case_number) == key)  # fmt: skip
        ids = sa.select(_CASE_FILE.c.id).where(_CASE_FILE.c.department_code == code, same)
        conditions += [_LINEAGE.c.canonical_id.in_(ids), _LINEAGE.c.table_name == _case_table(rig)]
    elif kind in {part.table for ruleset in rig.book.rulesets.values() for part in ruleset.parts}:
        conditions += [_LINEAGE.c.canonical_id == sa.cast(key, sa.Uuid()), _LINEAGE.c.system_code.is_not(None)]
    else:
        known = ", ".join((CASE, *sorted(rig.book.rulesets)))
        raise UsageError(f"there is no kind {kind}; there are {known}; nothing was read", hint="banyan trace --help")
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        query = sa.select(_LINEAGE.c.table_name, _LINEAGE.c.source_key).where(*conditions).distinct()
        rows = connection.execute(query.order_by(_LINEAGE.c.table_name, _LINEAGE.c.source_key)).fetchall()
    if len(rows) != 1:
        keys = ", ".join(f"{row.table_name} {code}:{row.source_key}" for row in rows[:5]) or "none is loaded"
        raise UsageError(
            f"{len(rows)} rows of {rig.source} answer to this {kind}: {keys}; nothing was shown",
            hint=f"banyan trace t_proc {code}:KEY --reason TEXT   (a filtered row has a legacy key only)",
        )
    return RowPlace(rig.source, rows[0].table_name, rows[0].source_key)


def _meant(rig: Rig, table: str, typed: str) -> str:
    """Give the key that a person typed: `0x..` is that text where a row has it, and otherwise bytes of no text."""
    shown = find_shown_key(typed)
    is_known = shown == typed or not rig.port.read_keys(table, [typed]).rows.is_empty()
    return typed if is_known else shown


def _case_table(rig: Rig) -> str:
    return next(name for name, ruleset in rig.book.rulesets.items() if ruleset.main.table == "case_file")


def log_consultation(rig: Rig, actor: Actor, reason: str, references: tuple[str, ...]) -> None:
    """Write who looks at which records and why; commits before anything is shown."""
    entry = ProcessingEntry(actor, rig.source.department_code, "consultation", reason, references)
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        append_processing(connection, entry)


def try_place(rig: Rig, place: RowPlace) -> RowTrial | None:
    """Map one legacy row as it is now and write it back, nothing stored; None when the old system has no such row."""
    setting, ruleset = rig.setting("banyan_forward"), _ruleset(rig, place.table)
    kept = [column for column in ruleset.columns if column not in ruleset.drop]  # dropped columns are shown to nobody
    found = rig.port.read_keys(place.table, [place.key]).rows
    missing = [column for column in kept if column not in found.columns]
    if missing:
        raise SourceDrifted(
            f"{place.table} has no column {', '.join(missing)} that {ruleset.rule_id} describes; nothing was mapped",
            hint=f"banyan source scan {rig.source}.{place.table}",
        )
    rows = found.select(kept)
    if rows.is_empty():
        return None
    with transaction(setting.engine) as connection:
        context = look_up(raw(connection), setting, ruleset, rows)
    return try_row(setting.compiled(place.table), rows.row(0, named=True), context)


def trace_row(rig: Rig, place: RowPlace) -> Trace:
    """Collect everything that is known of one legacy row."""
    setting, ruleset = rig.setting("banyan_forward"), _ruleset(rig, place.table)
    trial = try_place(rig, place)
    rows_place = setting.place(place.table, 0)
    with transaction(setting.engine) as connection:
        crosswalk = find_crosswalk_by_key(raw(connection), rows_place, [place.key])
        links = find_links(raw(connection), rig.source.department_code, crosswalk["id"])
        ids = {row["part"]: (row["canonical_table"], row["canonical_id"]) for row in links.iter_rows(named=True)}
        if crosswalk.height and crosswalk["deleted_at"][0] is None:
            ids = {ruleset.main.name: (ruleset.main.table, crosswalk["id"][0])} | ids
        records = tuple(_stored(connection, rig, part, (table, one, trial)) for part, (table, one) in ids.items())
    with transaction(rig.workspace.engine("banyan_steward")) as connection:
        runs = find_passages(connection, rig, ruleset, place.key, crosswalk=crosswalk)
        lists = _lists(connection, rows_place.source_table_no, place)
        entries = [
            entry
            for found in rig.closures
            if place.table in found.tables
            for entry in read_journal(connection, closure=found.name)
        ]
    shown = ("sequence", "at", "actor", "kind", "closure", "from_phase", "to_phase", "epoch")
    return Trace(
        place,
        trial,
        records,
        _crosswalk(crosswalk),
        _residue_columns(ruleset, crosswalk),
        runs,
        lists,
        tuple({name: entry[name] for name in shown} for entry in entries[-10:]),
    )


def _ruleset(rig: Rig, table: str) -> Ruleset:
    found = rig.book.rulesets.get(table)
    if found is None:
        known = ", ".join(sorted(rig.book.rulesets))
        raise UsageError(f"no rule is about {table}; there are rules for {known}; nothing was read")
    return found


def _stored(connection: Connection, rig: Rig, part: str, found: tuple[str, bytes, RowTrial | None]) -> StoredRecord:
    table, identity, trial = found
    ids = pl.Series("id", [identity], dtype=pl.Binary)
    stored = read_records(raw(connection), table, rig.source.department_code, ids)
    here: dict[str, object] = stored.row(0, named=True) if stored.height else {}
    mapped = {} if trial is None else dict(trial.records.get(part, {}))
    names = [name for name in (mapped or here) if name not in ("id", "source_key", "main_id")]
    return StoredRecord(
        part, table, identity.hex(), {name: (_plain(mapped.get(name)), _plain(here.get(name))) for name in names}
    )


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _crosswalk(crosswalk: pl.DataFrame) -> dict[str, object] | None:
    if crosswalk.is_empty():
        return None
    row = crosswalk.row(0, named=True)
    return {
        name: _plain(row[name])
        for name in ("id", "rule_id", "run_no", "key_epoch", "row_hash", "deleted_at", "deleted_reason")
    }


def _residue_columns(ruleset: Ruleset, crosswalk: pl.DataFrame) -> tuple[str, ...]:
    if crosswalk.is_empty():
        return ()
    kept = unpack(crosswalk["residue"].head(1), range(len(ruleset.columns)))
    return tuple(name for number, name in enumerate(ruleset.columns) if kept[number]["kept"][0])


def _lists(connection: Connection, number: int, place: RowPlace) -> dict[str, list[dict[str, object]]]:
    code = place.source.department_code
    quarantine, filtered, degraded = QUARANTINE.c, FILTERED_ROW.c, DEGRADED_WRITE_BACK.c
    queries = {
        "quarantine": sa.select(
            quarantine.quarantine_no, quarantine.column_name, quarantine.cause, quarantine.state, quarantine.run_no
        ).where(quarantine.department_code == code, quarantine.source_table_no == number,
                quarantine.source_key == place.key),
        "filtered": sa.select(filtered.rule, filtered.run_no).where(
            filtered.department_code == code, filtered.source_table_no == number, filtered.source_key == place.key
        ),
        "degraded": sa.select(
            degraded.canonical_table, degraded.column_name, degraded.kind, degraded.cause, degraded.state
        ).where(degraded.department_code == code, degraded.source_table_no == number,
                degraded.source_key == place.key),
    }  # fmt: skip
    return {name: [dict(row) for row in connection.execute(query).mappings()] for name, query in queries.items()}
