"""Reads what planning and preconditions ask: slices, evidence, fence, journal. Changes nothing."""

from dataclasses import dataclass, field
from typing import Final

from banyan.clock import monotonic, now
from banyan.departments import Closure, Side
from banyan.errors import BanyanError
from cutover.alive import read_sign_of_life
from cutover.control import control_of
from cutover.declared import ROLLOUT_FILE, read_declarations
from cutover.gauge import REHEARSED_WITHIN, read_way_back
from cutover.ground import find_ground
from cutover.journal import Account, PastSwitch, read_account
from cutover.preconditions.condition import Moment, Obstacle, Scene
from cutover.preconditions.registered import find_obstacles
from cutover.proof import read_proof
from store.judgements import EvidenceEntry
from store.postgres import transaction
from store.slices import SliceRow, read_closure
from sync.assembly import Rig
from validation.profiles import COMPLETING, SWITCHING

_ASKED: Final = 3
_RESTS_ON: Final[dict[Moment, tuple[str, ...]]] = {Moment.SWITCH: SWITCHING, Moment.COMPLETE: COMPLETING}
"""Which profiles of evidence a change of owner rests on; a rollback rests on none (docs/decisions/0032)."""
_CLOSED_WINDOW: Final = (
    "a closed window: the whole file is moved aside, waited for until no program holds it, and its digest is compared "
    "twice; there is no lease: only opening moves it back"
)


@dataclass(frozen=True, slots=True)
class RigReader:
    """Reads one closure of one legacy system; what `plan_switch` is given."""

    rig: Rig = field(repr=False)
    closure: Closure

    def row(self) -> SliceRow:
        """Read the slice row that stands for the closure."""
        with transaction(self.rig.workspace.engine("banyan_guard")) as connection:
            return control_of(read_closure(connection, self.closure.name)).row

    def evidence(self, profiles: tuple[str, ...] = SWITCHING) -> EvidenceEntry | None:
        """Find the newest evidence of the closure that was made for a switch, or for what is named."""
        with transaction(self.rig.workspace.engine("banyan_guard")) as connection:
            return find_ground(connection, self.closure.name, profiles)

    def evidence_id(self) -> str | None:
        """Find the identity of the evidence that a switch rests on."""
        found = self.evidence()
        return found.evidence_id if found else None

    def rules_digest(self) -> str:
        """Give the digest of the rules."""
        return self.rig.book.digest

    def account(self) -> Account:
        """Read the journal of the closure."""
        with transaction(self.rig.workspace.engine("banyan_guard")) as connection:
            return read_account(connection, self.closure.name)

    def past(self, to: Side) -> PastSwitch | None:
        """Find what is usual of the last changes of owner to this side."""
        return self.account().find_usual(to)

    def link_us(self) -> int:
        """Measure one question to the old system and its answer, in microseconds: the shortest of three."""
        fence = self.rig.fence(self.closure.name)
        took: list[float] = []
        try:
            fence.read()  # connects
            for _ in range(_ASKED):
                began = monotonic()
                fence.read()
                took.append(monotonic() - began)
        finally:
            fence.disconnect()
        return round(min(took) * 1_000_000)

    def count_changed(self, to: Side) -> int | None:
        """Count the rows to compare inside the fence, as it stands now; None when that cannot be known."""
        try:
            if to is Side.LEGACY:
                return self.rig.reverse(self.closure.name).queue()
            evidence = self.evidence()
            if evidence is None or not evidence.legacy_position:
                return None
            changes = self.rig.port.changes(evidence.legacy_position, self.rig.port.head())
        except BanyanError:  # the precondition that reads the same says why
            return None
        return sum(change.table in self.closure.tables for change in changes)

    def scene(self, moment: Moment) -> Scene:
        """Read the scene that preconditions look at, and verify the evidence that the moment rests on."""
        profiles = _RESTS_ON.get(moment)
        evidence = self.evidence(profiles or SWITCHING)
        proof = read_proof(self.rig, evidence, profiles) if evidence and profiles else None
        fence = self.rig.fence(self.closure.name)
        try:
            state = fence.read()
        finally:
            fence.disconnect()
        return Scene(self.rig, self.closure, self.row(), state, evidence, proof)

    def remarks(self, to: Side) -> tuple[str, ...]:
        """Say what a person should know before a change of owner, and what stops nothing."""
        found: list[str] = []
        sign = read_sign_of_life(self.rig.workspace.engine("banyan_guard"))
        if not sign.is_alive:
            found.append(f"{sign.sentence}: what is late is given up by nobody")
        if self.rig.guarded.fence == "closed_window":
            found.append(_CLOSED_WINDOW)
        if to is Side.CANONICAL:
            if not read_declarations(self.rig.workspace.project.folder).knows_writers_of(self.rig.source):
                found.append(f"not asked: who else writes in the old system ({ROLLOUT_FILE} declares no writers)")
            rehearsal = self.account().find_rehearsal()
            if rehearsal is None or now() - rehearsal.at > REHEARSED_WITHIN:
                found.append("going there and back was not rehearsed within the last 14 days")
        else:
            gauge = read_way_back(self.rig, self.closure)
            if gauge.listed:
                found.append(f"{gauge.listed} values the old system cannot say stay on the list")
        return tuple(found)

    def obstacles(self, to: Side) -> tuple[Obstacle, ...]:
        """Say what stands in the way of moving the closure to a side."""
        moment = Moment.SWITCH if to is Side.CANONICAL else Moment.ROLLBACK
        return find_obstacles(self.scene(moment), moment)
