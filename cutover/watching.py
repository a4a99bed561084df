"""What the watchdog looks at: the seal and the fence of the old side, the way back, and who writes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from banyan.departments import Actor, Closure, Phase
from banyan.errors import SourceUnavailable
from banyan.ports import FenceMode, FenceState
from connectors.database import DatabaseFence
from cutover.control import Control, committed, held, next_nonce
from cutover.gauge import find_alarm, read_way_back
from cutover.journal import Word, note
from cutover.restored import is_history_known
from store.postgres import transaction
from store.tables import SLICE
from store.watch import write_seen
from sync.assembly import Rig

RENEWED_EVERY: Final = timedelta(hours=1)
_ASK: Final = "two people decide: banyan switch reconcile {}"
_RESTORED: Final = "the old side is not the one banyan knows: restored from a backup, or worked by another hand"


def look(rig: Rig, closure: Closure, control: Control) -> Iterator[str]:
    """Say what is not as it must be: in LIVE sealed with our token and nonce on every table, at rest open and known."""
    row = control.row
    if control.phase is Phase.HALT:
        yield f"{closure.name} is stopped until two people have decided"
        return
    if control.phase not in (Phase.SYNCING, Phase.READY, Phase.LIVE):
        return
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
        yield from _look_at(fence, state, closure, control)
    finally:
        fence.disconnect()
    if control.phase is not Phase.LIVE and state.nonce == row.nonce and not is_history_known(rig):
        yield f"the old side has another history than the one that was read; {_ASK.format(closure.name)}"
    if control.phase is Phase.LIVE and state.nonce == row.nonce:
        alarm = find_alarm(read_way_back(rig, closure))
        if alarm:
            yield alarm


def _look_at(fence: DatabaseFence, state: FenceState, closure: Closure, control: Control) -> Iterator[str]:
    row = control.row
    if state.nonce != row.nonce:
        yield _RESTORED
        if control.phase is Phase.LIVE:
            yield f"the old side is {state.mode.value}; {_ASK.format(closure.name)}"
        return
    if state.token > row.epoch:
        yield f"the old side holds token {state.token}, later than epoch {row.epoch}"
    for defect in fence.check_installed(closure.tables):
        yield f"the fence of the old side is not sound: {defect.table} {defect.problem}".replace("  ", " ")
    if control.phase is not Phase.LIVE:
        return
    if state.mode is not FenceMode.SEALED:
        yield f"the old side is {state.mode.value} while the new system owns: both could write"
    for table in fence.find_open(closure.tables):
        yield f"the old side lets people write in {table} while the new system owns"


def keep_shut(rig: Rig, closure: Closure, control: Control) -> Iterator[str]:
    """Seal at once an old side that came back from a backup while the new system owns; its rows wait for people."""
    if control.phase is not Phase.LIVE or not control.row.is_armed:
        return
    row = control.row
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
        if state.nonce in (row.nonce, next_nonce(row.nonce)) or state.mode is FenceMode.SEALED:
            return
        known = {"nonce_old": state.nonce, "nonce_new": state.nonce}
        if fence.close(row.epoch, lease_seconds=60, **known).accepted and fence.seal(row.epoch, **known).accepted:
            yield "sealed the old side, which had come back open from a backup"
    finally:
        fence.disconnect()


def keep_open(rig: Rig, closure: Closure, control: Control) -> Iterator[str]:
    """Open an old side that owns, is known, and stands shut: somebody has died between his commit and his opening."""
    row = control.row
    if control.phase not in (Phase.SYNCING, Phase.READY) or not row.is_armed:
        return
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
        if not state.is_shut or state.nonce != row.nonce or state.token > row.epoch:
            return
        if fence.open(row.epoch, nonce_old=row.nonce).accepted:  # refused when a later token has closed it since
            yield "opened the old side, which owns and stood shut"
    finally:
        fence.disconnect()


def renew(rig: Rig, closure: Closure, control: Control, *, now: datetime, actor: Actor) -> Iterator[str]:
    """Renew the nonce at rest when it is an hour old, so that a backup made before is recognised when it comes back.

    The fence turns first and the row commits after it, under the row's lock; a death in between is finished here.
    """
    row = control.row
    if control.phase not in (Phase.SYNCING, Phase.READY, Phase.LIVE) or not row.is_armed:
        return
    wanted = FenceMode.SEALED if control.phase is Phase.LIVE else FenceMode.OPEN
    engine = rig.workspace.engine("banyan_guard")
    fence = rig.fence(closure.name)
    try:
        state = fence.read()
        is_half_done = state.nonce == next_nonce(row.nonce)
        with transaction(engine) as connection:
            changed_at = connection.scalar(
                sa.select(sa.func.max(SLICE.c.updated_at)).where(SLICE.c.closure == closure.name)
            )
        is_due = state.nonce == row.nonce and changed_at is not None and now - changed_at >= RENEWED_EVERY
        if state.mode is not wanted or not (is_half_done or is_due):
            return
        with (
            committed(f"the renewal of the nonce of {closure.name}"),
            transaction(engine) as connection,
            held(connection, closure.name) as same,
        ):
            if same.numbers != control.numbers:
                return
            turned = next_nonce(row.nonce)
            if not fence.beat(state.token, nonce_old=row.nonce, nonce_new=turned).accepted:
                return
            connection.execute(
                sa.update(SLICE)
                .where(SLICE.c.closure == closure.name)
                .values(nonce=turned, updated_at=sa.func.clock_timestamp())
            )
            note(connection, Word.GUARD, row, actor=actor, facts={"renewed": True})
    finally:
        fence.disconnect()
    yield "finished the renewal of the nonce" if is_half_done else "renewed the nonce of the old side"


def remember_writers(rig: Rig) -> None:
    """Remember which accounts write in the old system, or may, at this moment; one that cannot be asked is left out."""
    tables = [table for closure in rig.closures for table in closure.tables]
    try:
        writers = rig.guarded.find_writers(rig.workspace.legacy_urls(rig.source).guard, tables)
    except SourceUnavailable:  # the look at each closure says so
        return
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        write_seen(connection, rig.source, [(w.account, w.table, w.application) for w in writers])
