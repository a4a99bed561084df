"""The way by which a source is followed: the one its Position was written by, and the one that the project says."""

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from banyan.departments import Actor, Phase, Side, SourceRef
from banyan.errors import ConfigurationError, StoreFenced
from banyan.records import Position
from connectors.ways import Way, find_way
from store.journal import JournalEntry, append_journal, read_journal
from store.ledger import LedgerReader
from store.postgres import transaction
from store.tables import SLICE

if TYPE_CHECKING:
    from uuid import UUID

    from banyan.departments import Closure
    from sync.assembly import Rig

_BEFORE: Final = (Phase.REGISTERED, Phase.ASSESSED, Phase.MAPPED)
_AT_REST: Final = (Phase.LOADING, Phase.SYNCING, Phase.READY)
_BY_LOOKING: Final = ("snapshot", "row_version")
_FIRST_EPOCH: Final = 1
_FENCED: Final = "FENCED"


def find_last_way(rig: "Rig") -> Way | None:
    """Name the way by which a source was followed until now; None before its first copy."""
    with transaction(rig.workspace.engine("banyan_forward")) as connection:
        reader = LedgerReader(connection)
        last = reader.find_watermark(rig.source, Side.CANONICAL)
        if last is None:
            run = reader.find_open_run(rig.source, Side.CANONICAL)
            last = None if run is None else run.until_position
    return None if last is None else find_way(last)


def find_left_way(rig: "Rig") -> Way | None:
    """Name the way by which a source was followed until now, when the project says another one."""
    way = find_last_way(rig)
    return None if way == rig.workspace.source_config(rig.source).capture else way


def refuse_another_way(position: Position, source: SourceRef, capture: str) -> None:
    """Refuse a Position that another way of capture wrote: what it stands for, this one cannot tell."""
    way = find_way(position)
    if way is not None and way != capture:
        raise ConfigurationError(
            f"{source} was followed with capture: {way} until now, and banyan.yaml says capture: {capture}; nothing "
            "was read",
            hint=f"banyan load {source.department_code}, which changes over and loses nothing; or say capture: {way}",
            source=str(source),
        )


def refuse_while_moving(rig: "Rig", way: Way) -> None:
    """Refuse to change how a source is followed while one of its closures moves or belongs to the new side."""
    for found in rig.closures:
        row = rig.slices(found.name)[0]
        if row.owner is not Side.LEGACY or row.phase not in (*_BEFORE, *_AT_REST):
            raise StoreFenced(
                f"{found.name} is {row.phase.value} and owned by {row.owner.value}: how {rig.source} is followed is "
                "not changed meanwhile; nothing was installed, removed or read",
                hint=f"put capture: {way} back into banyan.yaml; banyan switch status {found.name}",
                closure=found.name,
            )


def know_first_fence(rig: "Rig", closure: "Closure", nonce: "UUID", actor: Actor) -> None:
    """Let the slices of a closure know a fence that was installed after their first copy, once; the journal says so.

    Only of a source that was only read until now and never switched: anywhere else a fence with another nonce stands in
    a restored copy, and two persons decide.
    """
    row = rig.slices(closure.name)[0]
    is_new = row.nonce != nonce and row.epoch == _FIRST_EPOCH and row.phase in _AT_REST
    if not is_new or find_last_way(rig) not in _BY_LOOKING:
        return
    with transaction(rig.workspace.engine("banyan_guard")) as connection:
        if any(entry["kind"] == _FENCED for entry in read_journal(connection, closure=closure.name)):
            return
        done = connection.execute(
            sa.update(SLICE).where(SLICE.c.closure == closure.name, SLICE.c.epoch == _FIRST_EPOCH).values(nonce=nonce)
        )
        facts = {"slices": done.rowcount}
        append_journal(connection, JournalEntry(actor, _FENCED, closure.name, row.phase, row.phase, row.epoch, facts))
