"""A legacy system that came back from a backup: all its rows are written, or read, again before it counts as known.

While CANONICAL owns, the records of the closure are written back whole, as after a first way back. While LEGACY owns,
its rows are read forward whole. Both may run again; the row of the closure is changed afterwards, by whom called.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from banyan.canonical.model import TABLES
from banyan.clock import new_id
from banyan.departments import Closure, Phase, Side
from banyan.errors import LeaseLost, SourceDrifted
from banyan.ports import FenceState
from banyan.records import Position
from mappings.model import Ruleset
from store.canonical import CANONICAL
from store.gaps import close_gaps, find_gaps
from store.outbox import KEYS_SCHEMA, OutboxChanges, head
from store.postgres import transaction
from store.row_tables import CROSSWALK, FILTERED_ROW, QUARANTINE, RECORD_LINK
from store.runs import RunKind
from sync.assembly import Rig
from sync.reverse import ReverseGuard, ReverseLane
from sync.setting import key_column
from sync.sweeping import Start, carry_all, find_all_keys, find_keys, follow_from, read_keys, take_start

RECORDS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class WrittenAgain:
    """What was written in a restored legacy system, and what of it nobody knows."""

    records: int
    removed: int
    strangers: int  # rows that no list of banyan names, written while it was open to people: landed, and taken out


@dataclass(frozen=True, slots=True)
class ReadAgain:
    """What was read forward again: how many keys, of which closures."""

    rows: int
    closures: tuple[str, ...]


def is_history_known(rig: Rig) -> bool:
    """Tell whether the old system still has the history up to which its rows were read."""
    watermark = rig.forward().watermark()
    try:
        if watermark is not None:
            rig.port.changes(watermark)
    except SourceDrifted:
        return False
    return True


def write_again(rig: Rig, closure: Closure, state: FenceState) -> WrittenAgain:
    """Write every record of a closure into its sealed legacy system, and remove what people had removed."""
    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        records = _all_records(connection, rig, closure)
    guard = ReverseGuard(closure.name, state.token, state.nonce)
    engine = rig.reverse_engine()
    for at in range(0, records.height, RECORDS_AT_ONCE):
        some = records.slice(at, RECORDS_AT_ONCE)

        def find(connection: Connection, _: Position, some: pl.DataFrame = some) -> OutboxChanges:
            return OutboxChanges(some, some.height, head(connection))

        setting = rig.setting("banyan_reverse")
        lane = ReverseLane(setting, rig.workspace.landing, lambda: guard, closure, find=find)
        engine.advance(lane, RunKind.REVERSE)
    removed = _remove_buried(rig, closure, state)
    return WrittenAgain(records.height, removed, _set_strangers_aside(rig, closure, state))


def load_again(rig: Rig, closure: Closure) -> ReadAgain:
    """Read every row of a closure forward again, gone ones too. LEGACY must own it.

    One watermark stands for all closures of the system. Where its history is known it stays: what waits of the others
    is still carried. Where it is not, nobody knows what changed in the others: theirs are read again in the same run,
    all that LEGACY owns, and only then is the system followed from before that reading. A closure that is stopped is
    left out: two persons decide about it, and then its rows are read, or written, whole.
    """
    if is_history_known(rig):
        return read_again(rig, (closure,))
    start = take_start(rig)
    others = tuple(found for found in rig.closures if found.name != closure.name and _is_followed(rig, found))
    done = read_again(rig, (closure, *others))
    follow_from(rig, start)
    return done


def read_again(rig: Rig, closures: tuple[Closure, ...]) -> ReadAgain:
    """Read every row of some closures forward again, gone ones too; the watermark stays where it is."""
    engine = rig.forward_engine()
    keys = find_all_keys(rig, [table for closure in closures for table in closure.tables])
    names = tuple(sorted(closure.name for closure in closures))
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        gaps = {name: at for name, at in find_gaps(connection, rig.source).items() if name in keys}
    read = carry_all(rig, engine, keys)
    wanted = sum(len(some) for some in keys.values())
    if wanted and read is None:
        raise LeaseLost(
            f"{', '.join(names)} was not read again: no first copy of {rig.source} is known",
            hint=f"banyan load {rig.source.department_code}",
        )
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        close_gaps(connection, rig.source, gaps)
    return ReadAgain(wanted, names)


def _is_followed(rig: Rig, closure: Closure) -> bool:
    row = rig.slices(closure.name)[0]
    return row.owner is Side.LEGACY and row.phase is not Phase.HALT


def follow_anew(rig: Rig, start: Start) -> bool:
    """Follow a system whose history was replaced from here on, once CANONICAL owns all of it; tells whether it does.

    While its people own another closure, their changes since the backup are missing: the old Position stays, loudly,
    until two persons have decided about that closure too.
    """
    owners = {rig.slices(found.name)[0].owner for found in rig.closures}
    if Side.LEGACY in owners or is_history_known(rig):
        return False
    follow_from(rig, start)
    return True


def known_keys(rig: Rig, closure: Closure) -> dict[str, list[str]]:
    """Give the keys of the rows that stand, by table."""
    return {table: sorted(find_keys(rig, table, is_buried=False)) for table in closure.tables}


def _all_records(connection: Connection, rig: Rig, closure: Closure) -> pl.DataFrame:
    """List the records to write: one for each live legacy row, and those born in the target that have none."""
    code = closure.department_code
    frames = [pl.DataFrame(schema=KEYS_SCHEMA)]
    for table in closure.tables:
        ruleset = rig.book.rulesets[table]
        ids = connection.scalars(
            sa.select(CROSSWALK.c.id).where(
                CROSSWALK.c.department_code == code,
                CROSSWALK.c.source_table_no == rig.table_numbers[table],
                CROSSWALK.c.deleted_at.is_(None),
            )
        )
        frames.append(_keys(ruleset.main.table, closure, [each.bytes for each in ids]))
    for name in TABLES:
        record = CANONICAL[name].c
        alone = sa.select(record.id).where(
            record.department_code == code,
            record.domain_code.in_(closure.domains),
            ~sa.exists().where(CROSSWALK.c.id == record.id, CROSSWALK.c.department_code == code),
            ~sa.exists().where(RECORD_LINK.c.canonical_id == record.id, RECORD_LINK.c.department_code == code),
        )
        frames.append(_keys(name, closure, [each.bytes for each in connection.scalars(alone)]))
    return pl.concat(frames)


def _keys(relation: str, closure: Closure, ids: list[bytes]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "relation": [relation] * len(ids),
            "operation": ["U"] * len(ids),
            "domain_code": [closure.domains[0]] * len(ids),
            "id": ids,
        },
        schema=KEYS_SCHEMA,
    )


def _remove_buried(rig: Rig, closure: Closure, state: FenceState) -> int:
    """Remove again the rows that were removed before and stand in the backup."""
    removed = 0
    with rig.database.reverse_session(closure.name, state.token, nonce=state.nonce) as session:
        for table in reversed(closure.tables):
            ruleset = rig.book.rulesets[table]
            buried = sorted(find_keys(rig, table, is_buried=True) - find_keys(rig, table, is_buried=False))
            there = rig.port.read_keys(table, buried).rows if buried else None
            if there is None or there.is_empty():
                continue
            assign = _soft_delete(ruleset)
            if assign is not None:
                column, value = next(iter(assign.items()))
                there = there.filter(pl.col(column).ne_missing(value))
            keys = there.select(key_column(ruleset)).to_series().to_list()
            if keys:
                removed += session.delete(table, keys, assign=assign)
    return removed


def _soft_delete(ruleset: Ruleset) -> dict[str, str] | None:
    deletes = ruleset.deletes
    return {deletes.column: deletes.value} if deletes is not None and deletes.op == "=" else None


def _set_strangers_aside(rig: Rig, closure: Closure, state: FenceState) -> int:
    """Land the rows that no list of banyan names, then take them out: nobody could read them in the new system."""
    aside = 0
    with rig.database.reverse_session(closure.name, state.token, nonce=state.nonce) as session:
        for table in reversed(closure.tables):
            ruleset = rig.book.rulesets[table]
            keys = sorted(read_keys(rig, table, removed=_soft_delete(ruleset)) - _listed_keys(rig, table))
            if not keys:
                continue
            rows = rig.port.read_keys(table, keys).rows
            rig.workspace.landing.write_parcel(
                f"{rig.source.department_code}/{rig.source.system_code}/{table}/aside-{new_id().hex()}",
                rows.select([column for column in rows.columns if column not in ruleset.drop]),
                metadata={"table": table, "rule": ruleset.rule_id, "why": "unknown in a restored old system"},
            )
            aside += session.delete(table, keys, assign=_soft_delete(ruleset))
    return aside


def _listed_keys(rig: Rig, table: str) -> set[str]:
    """Give the keys of every row that banyan has loaded, buried, kept out or put in quarantine."""
    number = rig.table_numbers[table]
    known = find_keys(rig, table, is_buried=False) | find_keys(rig, table, is_buried=True)
    with transaction(rig.workspace.engine("banyan_judge")) as connection:
        for listed in (FILTERED_ROW.c, QUARANTINE.c):
            known |= set(
                connection.scalars(
                    sa.select(listed.source_key).where(
                        listed.department_code == rig.source.department_code, listed.source_table_no == number
                    )
                )
            )
    return known
