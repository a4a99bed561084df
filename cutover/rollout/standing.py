"""Where a closure stands on the way: its gate, its state in words, and until when it can go back.

The gates G0 to G6 of the gate meetings are labels; they follow from the phase of the slice and the newest verdict, in
the one table below.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from banyan.clock import now
from banyan.departments import Phase, Side
from banyan.findings import VerdictKind
from cutover.ground import find_current
from store.judgements import EvidenceEntry, read_signatures
from store.postgres import transaction
from store.runs import RunState
from store.slices import SliceRow, read_slices
from store.tables import FIGURE, RUN
from sync.workspace import Workspace
from validation.text import Text

GATE_OF: Mapping[Phase, str] = {
    Phase.REGISTERED: "G0",
    Phase.ASSESSED: "G0",
    Phase.MAPPED: "G1",
    Phase.LOADING: "G2",
    Phase.SYNCING: "G3",
    Phase.READY: "G4",
    Phase.FENCING: "G4",
    Phase.DRAINING: "G4",
    Phase.VERIFYING: "G4",
    Phase.SEALING: "G4",
    Phase.LIVE: "G4",
    Phase.R_DRAINING: "G4",
    Phase.R_VERIFYING: "G4",
    Phase.R_OPENING: "G4",
    Phase.ABORTING: "G4",
    Phase.COMPLETING: "G5",
    Phase.RETIRED: "G6",
}
SIGNATURES = 2
"""People who must accept an evidence before a cutover."""
_NOT_BEGUN = Text("Non exécuté", "Not run")
_SIDE_BY_SIDE = (Phase.SYNCING, Phase.READY)


@dataclass(frozen=True, slots=True)
class Standing:
    """One closure on the board: gate, look (one of the shapes of the pages), words, owner, end of the way back."""

    closure: str
    gate: str
    look: str
    word: Text
    is_canonical: bool = False
    way_back_until: datetime | None = None
    is_blocked: bool = False


def standing_of(row: SliceRow, evidence: EvidenceEntry | None, *, signatures: int, at: datetime) -> Standing:
    """Derive a standing from the slice row, the evidence of its closure and the people who accepted it."""
    gate = GATE_OF.get(row.phase, "G4")
    canonical = row.owner is Side.CANONICAL
    if row.phase is Phase.HALT:
        word = Text("Arrêté\u202f: deux personnes", "Halted: two people")
        return Standing(row.closure, gate, "error", word, canonical, is_blocked=True)
    if row.phase is Phase.LIVE:
        return Standing(row.closure, gate, "go", Text("Basculé", "Moved"), canonical, row.deadline)
    if row.phase in (Phase.COMPLETING, Phase.RETIRED):
        return Standing(row.closure, gate, "idle", Text("Clos", "Settled"), canonical)
    if row.phase in _SIDE_BY_SIDE and evidence is not None:
        return _judged(row, evidence, signatures, at)
    if row.phase in _SIDE_BY_SIDE:
        return Standing(row.closure, gate, "go", Text("Parallèle", "In parallel"), canonical)
    if row.phase is Phase.LOADING:
        return Standing(row.closure, gate, "await", Text("Reprise en cours", "Loading"), canonical)
    if gate == "G4":
        return Standing(row.closure, gate, "await", Text("Bascule en cours", "Switching"), canonical)
    return Standing(row.closure, gate, "idle", _NOT_BEGUN, canonical)


def _judged(row: SliceRow, evidence: EvidenceEntry, signatures: int, at: datetime) -> Standing:
    canonical = row.owner is Side.CANONICAL
    if evidence.expires_at is not None and evidence.expires_at < at:
        return Standing(row.closure, "G4", "stale", Text("Périmé", "Stale"), canonical)
    if evidence.verdict.kind is VerdictKind.NO_GO:
        return Standing(row.closure, "G4", "nogo", Text.same("NO-GO"), canonical, is_blocked=True)
    if evidence.verdict.kind is VerdictKind.GO or signatures >= SIGNATURES:
        return Standing(row.closure, "G4", "go", Text.same("GO"), canonical)
    return Standing(row.closure, "G4", "await", Text("Signature attendue", "Awaiting signature"), canonical)


def not_begun(closure: str) -> Standing:
    """Give the standing of a closure nobody has registered yet."""
    return Standing(closure, "G0", "idle", _NOT_BEGUN)


def read_standings(workspace: Workspace) -> dict[str, Standing]:
    """Read where every registered closure stands; changes nothing."""
    moment = now()
    with transaction(workspace.engine("banyan_steward")) as connection:
        rows = {row.closure: row for row in read_slices(connection)}
        standings: dict[str, Standing] = {}
        for name, row in rows.items():
            evidence = find_current(connection, name, at=moment)
            signed = read_signatures(connection, evidence.evidence_id) if evidence else ()
            accepted = {one.actor.name for one in signed if one.accepted}
            standings[name] = standing_of(row, evidence, signatures=len(accepted), at=moment)
        return standings


def read_load_rate(workspace: Workspace) -> int:
    """Give the rows an hour that finished first loads of this project read, 0 when none is known."""
    spent = sa.func.sum(sa.extract("epoch", RUN.c.closed_at - RUN.c.opened_at))
    loads = (RUN.c.kind == "LOAD", RUN.c.state == RunState.DONE.value)
    read = (
        sa.select(sa.func.sum(FIGURE.c.figure))
        .join(RUN, RUN.c.run_no == FIGURE.c.run_no)
        .where(*loads, FIGURE.c.name == "rows.read")
    )
    with transaction(workspace.engine("banyan_steward")) as connection:
        rows, seconds = connection.scalar(read), connection.scalar(sa.select(spent).where(*loads))
    return int(float(rows) * 3600 / float(seconds)) if rows and seconds else 0
