"""The quarantine of a department as people look at it; reading values leaves a trace in the log."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from banyan.departments import Actor
from banyan.undecoded import show_key, show_text
from store.causes import Cause, Entry, find_cause
from store.causes import read_causes as read_open_causes
from store.causes import read_entries as read_open_entries
from store.journal import ProcessingEntry, append_processing
from store.keys import KeyRing
from store.outcomes import sealed_place_of
from store.postgres import transaction
from store.row_tables import DEGRADED_WRITE_BACK

_LINEAGE = sa.table("lineage", sa.column("department_code"), sa.column("part"), sa.column("deleted_at"), schema="mig")


@dataclass(frozen=True, slots=True)
class Look:
    """Who wants to see how much of a cause, and why; without a reason no value is read."""

    department_code: str
    cause: str
    limit: int
    actor: Actor
    reason: str


def read_causes(engine: Engine, code: str) -> tuple[list[Cause], int, int]:
    """Read the open causes of a department, the greatest first; how many rows are loaded; degraded write-backs."""
    with transaction(engine) as connection:
        causes = read_open_causes(connection, code)
        loaded = connection.scalar(
            sa.select(sa.func.count(sa.distinct(sa.literal_column("(table_name, source_key)"))))
            .select_from(_LINEAGE)
            .where(_LINEAGE.c.department_code == code, _LINEAGE.c.deleted_at.is_(None))
        )
        degraded = connection.scalar(
            sa.select(sa.func.count()).where(
                DEGRADED_WRITE_BACK.c.department_code == code, DEGRADED_WRITE_BACK.c.state == "OPEN"
            )
        )
    return causes, int(loaded or 0), int(degraded or 0)


def read_entries(engine: Engine, look: Look, keys: KeyRing | None) -> tuple[Cause, list[dict[str, object]]]:
    """Read entries of one cause; with a reason their values too, in the transaction that writes the log."""
    code = look.department_code
    with transaction(engine) as connection:
        cause = find_cause(connection, code, look.cause)
        entries = list(read_open_entries(connection, code, cause, limit=look.limit))
        shown = [_shown(code, entry, keys if look.reason else None) for entry in entries]
        if look.reason:
            place = f"{code}.{cause.system}/{cause.table}"
            references = tuple(f"{place}/{entry.key}" for entry in entries)
            append_processing(connection, ProcessingEntry(look.actor, code, "consultation", look.reason, references))
    return cause, shown


def _shown(code: str, entry: Entry, keys: KeyRing | None) -> dict[str, object]:
    shown: dict[str, object] = {"key": show_key(entry.key), "column": entry.column, "since": entry.since}
    if keys is not None:
        place = sealed_place_of(code, entry.source_table_no, entry.key, column=entry.column)
        clear = None if entry.raw is None else keys.open(entry.raw, place=place)
        shown["value"] = None if clear is None else show_text(clear.decode("utf-8", "backslashreplace"))
    return shown
