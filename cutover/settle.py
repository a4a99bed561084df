"""After a way back, the legacy owner's values stand: rows with a degraded write-back are read forward again.

What the old system has no place for stays in the canonical store, and stays listed: records without a legacy key, and
columns that no rule fills from the old system. May run again at any time.
"""

from dataclasses import dataclass, field

import sqlalchemy as sa

from banyan.departments import Actor, Closure
from banyan.errors import LeaseLost
from cutover.control import held
from cutover.journal import Word, note
from mappings.model import Ruleset
from store.postgres import transaction
from store.row_tables import DEGRADED_WRITE_BACK
from sync.assembly import Rig


@dataclass(frozen=True, slots=True)
class Settleable:
    """One entry of the list that reading its legacy row again makes right."""

    number: int
    table: str
    key: str = field(repr=False)


def find_settleable(rig: Rig, closure: Closure) -> list[Settleable]:
    """Find the entries whose column, or record, follows from the legacy row again."""
    names = {number: name for name, number in rig.table_numbers.items() if name in closure.tables}
    listed = DEGRADED_WRITE_BACK.c
    query = sa.select(
        listed.degraded_no, listed.source_table_no, listed.source_key, listed.canonical_table, listed.column_name
    ).where(
        listed.department_code == closure.department_code,
        listed.state == "OPEN",
        listed.source_key.is_not(None),
        listed.source_table_no.in_(names),
    )
    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        rows = connection.execute(query.order_by(listed.degraded_no)).fetchall()
    return [
        Settleable(int(row.degraded_no), names[row.source_table_no], str(row.source_key))
        for row in rows
        if _follows(rig.book.rulesets[names[row.source_table_no]], row.canonical_table, row.column_name)
    ]


def settle_rows(rig: Rig, closure: Closure, *, actor: Actor) -> int:
    """Read the listed rows forward again and take the entries off the list; gives how many rows.

    LEGACY must own the closure.
    """
    found = find_settleable(rig, closure)
    if not found:
        return 0
    keys: dict[str, set[str]] = {}
    for entry in found:
        keys.setdefault(entry.table, set()).add(entry.key)
    wanted = sum(len(some) for some in keys.values())
    lane, engine = rig.forward(), rig.forward_engine()
    while engine.advance(lane) is not None:  # a run left open would be resumed in place of ours
        pass
    carried = engine.carry_keys(lane, lane.plan_keys({table: sorted(some) for table, some in keys.items()}))
    if carried is None or carried.total.rows.read < wanted:
        raise LeaseLost(
            f"the {wanted} listed rows of {closure.name} were not read again: another run was open; they stay listed",
            hint=f"banyan switch rollback {closure.name}",
        )
    with transaction(rig.workspace.engine("banyan_reverse")) as connection:
        connection.execute(
            sa.update(DEGRADED_WRITE_BACK)
            .where(DEGRADED_WRITE_BACK.c.degraded_no.in_([entry.number for entry in found]))
            .where(DEGRADED_WRITE_BACK.c.state == "OPEN")
            .values(state="SETTLED")
        )
    with (
        transaction(rig.workspace.engine("banyan_guard")) as connection,
        held(connection, closure.name) as control,
    ):
        note(connection, Word.SETTLED, control.row, actor=actor, facts={"rows": wanted, "entries": len(found)})
    return wanted


def _follows(ruleset: Ruleset, canonical_table: str, column: str | None) -> bool:
    """Tell whether the rules of the legacy row fill this column, or emit the record when none is named.

    Of several parts in one canonical table each must fill it: the list does not say which of them is meant.
    """
    if not column:
        return True
    parts = [part for part in ruleset.parts if part.table == canonical_table]
    return bool(parts) and all(
        column in (*(name for rule in part.fields for name in rule.to), *part.constants, part.attach) for part in parts
    )
