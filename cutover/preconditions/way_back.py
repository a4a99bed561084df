"""Is the way back open? Before a switch it is tried with a canary; before a rollback it must be short."""

import sqlalchemy as sa

from banyan.departments import Phase
from banyan.errors import BanyanError
from cutover.preconditions.condition import Obstacle, Scene
from store.postgres import transaction
from store.row_tables import CROSSWALK

RECORDS_WAITING = 20_000
_CANARIES = 20


def was_tried(scene: Scene) -> Obstacle | None:
    """Refuse a switch unless one row can be written back and read again, in a transaction that is rolled back.

    What the rules declare as a side effect, a stamp or an upper-cased name, may come back changed.
    """
    canary = _find_canary(scene)
    if canary is None:
        return None
    table, key = canary
    port = scene.rig.database
    try:
        with port.rehearsal_session(scene.closure.name, scene.fence.token, nonce=scene.fence.nonce) as session:
            before = session.read_back(table, [key])
            session.upsert(table, before)
            after = session.read_back(table, [key])
    except BanyanError as error:
        sentence = f"the way back was tried on {table} and failed: {error.message}"
        return Obstacle("way back", sentence, error.hint or f"banyan source grants {scene.row.department_code}")
    stamped = list(scene.rig.book.rulesets[table].side_effects)
    if before.height != 1 or not before.drop(stamped, strict=False).equals(after.drop(stamped, strict=False)):
        return Obstacle("way back", f"a row of {table} written back is not the same row", "banyan map lint")
    return None


def is_short(scene: Scene) -> Obstacle | None:
    """Refuse a rollback while too many records wait to be carried back: carry them first, nobody is closed out."""
    try:
        waiting = scene.rig.reverse(scene.closure.name).queue()
    except BanyanError as error:
        sentence = f"the way back cannot be read: {error.message}"
        return Obstacle("way back", sentence, error.hint or "banyan guard --once")
    if waiting <= RECORDS_WAITING:
        return None
    sentence = f"{waiting} records wait to be carried back"
    return Obstacle("way back", sentence, f"banyan sync run {scene.row.department_code}")


def is_walked_to_its_end(scene: Scene) -> Obstacle | None:
    """Refuse to give the way back up while the old system does not hold all that people did in the new one."""
    if scene.row.phase is Phase.COMPLETING:  # given up already: nothing is carried back any more
        return None
    try:
        waiting = scene.rig.reverse(scene.closure.name).queue()
    except BanyanError as error:
        sentence = f"the way back cannot be read: {error.message}"
        return Obstacle("way back", sentence, error.hint or "banyan guard --once")
    if not waiting:
        return None
    sentence = f"{waiting} records wait to be carried back: the old system would be archived without them"
    return Obstacle("way back", sentence, f"banyan sync run {scene.row.department_code}")


def _find_canary(scene: Scene) -> tuple[str, str] | None:
    """Find a row that was carried over and still stands: its table and key."""
    tables = {number: name for name, number in scene.rig.table_numbers.items() if name in scene.closure.tables}
    query = (
        sa.select(CROSSWALK.c.source_table_no, CROSSWALK.c.source_key)
        .where(CROSSWALK.c.department_code == scene.row.department_code, CROSSWALK.c.deleted_at.is_(None))
        .where(CROSSWALK.c.source_table_no.in_(tables))
        .limit(_CANARIES)
    )
    with transaction(scene.rig.workspace.engine("banyan_forward")) as connection:
        rows = connection.execute(query).fetchall()
    for number, key in rows:  # one may have been removed since by a person
        if scene.rig.port.read_keys(tables[number], [key]).rows.height == 1:
            return tables[number], str(key)
    return None
