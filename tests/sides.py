"""Both sides of one closure of a project, whatever store the old side is: what every world of a test can do."""

import sqlalchemy as sa
from signing import make_signed_evidence
from sqlalchemy.pool import NullPool

from banyan.departments import Closure, Phase, Side
from banyan.ports import FenceDefect, FenceState
from cutover.execute import Order
from cutover.judgement import subject_of
from cutover.steps import probe_new_side
from cutover.switching import abort, roll_back
from sync.assembly import Rig
from validation.reconcile import reconcile
from validation.reconciliation import Reconciliation

_BEFORE_THE_FLIP = (Phase.FENCING, Phase.DRAINING, Phase.VERIFYING, Phase.SEALING)


class Sides:
    """Both sides of one closure, as people and controllers meet them; the first copy is made by `load`."""

    rig: Rig
    name: str

    def close(self) -> None:
        """Give every connection back."""
        self.rig.close()
        self.rig.workspace.close()

    @property
    def closure(self) -> Closure:
        return self.rig.closure(self.name)

    @property
    def row(self):
        return self.rig.slices(self.name)[0]

    @property
    def phase(self) -> Phase:
        return self.row.phase

    @property
    def fence(self) -> FenceState:
        door = self.rig.fence(self.name)
        try:
            return door.read()
        finally:
            door.disconnect()

    def look_at_fence(self) -> tuple[FenceState, tuple[str, ...], list[FenceDefect]]:
        """Give its state, the tables in which an ordinary account can write, and what is wrong with it."""
        door = self.rig.fence(self.name)
        try:
            return door.read(), door.find_open(self.closure.tables), door.check_installed(self.closure.tables)
        finally:
            door.disconnect()

    def ask_store(self, query: str, **bound):
        """Ask the canonical store as superuser."""
        engine = sa.create_engine(self.rig.workspace.store_url("postgres"), poolclass=NullPool)
        with engine.begin() as connection:
            found = connection.execute(sa.text(query), bound)
            return [tuple(row) for row in found] if found.returns_rows else []

    def load(self) -> None:
        """Make the first copy and carry everything; the slices then follow."""
        lane = self.rig.forward()
        self.rig.forward_engine().load(lane, lane.plan_load, rules_digest=self.rig.book.digest)
        self.catch_up()
        self.ask_store("update mig.slice set phase = 'SYNCING' where phase in ('REGISTERED', 'LOADING')")

    def catch_up(self) -> int:
        """Carry what waits; gives in how many rounds."""
        lane, carried = self.rig.forward(), 0
        while self.rig.forward_engine().advance(lane) is not None:
            carried += 1
        return carried

    def sign(self, *roles: str, verdict: str = "GO", profile: str = "switch") -> str:
        """Make evidence of the present moment, signed by these roles (a steward and a lead unless said otherwise)."""
        wanted = roles or ("steward", "lead")
        return make_signed_evidence(self.rig, self.name, roles=wanted, profile=profile, verdict=verdict)

    def come_to_rest(self, order: Order) -> None:
        """Bring the closure back under LEGACY, wherever a test left it, carry what waits and sign."""
        if self.phase in _BEFORE_THE_FLIP:
            abort(self.rig, self.closure, order)
        if self.row.owner is Side.CANONICAL or self.phase is Phase.R_OPENING:
            roll_back(self.rig, self.closure, order)
        if self.phase is Phase.ABORTING:
            abort(self.rig, self.closure, order)
        self.catch_up()
        self.sign()

    def legacy_lets_write(self) -> bool:
        """Try to write as an officer, rolled back; every table must say the same."""
        door = self.rig.fence(self.name)
        try:
            found = door.find_open(self.closure.tables)
        finally:
            door.disconnect()
        assert len(found) in (0, len(self.closure.tables)), "the tables of one closure do not say the same"
        return bool(found)

    def new_lets_write(self) -> bool:
        """Try to write as the new application, rolled back."""
        return probe_new_side(self.rig, self.closure)

    def who_writes(self) -> str:
        """Say who can write: both would be the end of the promise."""
        legacy, new = self.legacy_lets_write(), self.new_lets_write()
        return {(True, False): "LEGACY", (False, True): "CANONICAL", (False, False): "NOBODY"}.get(
            (legacy, new), "BOTH"
        )

    def reconcile(self) -> Reconciliation:
        """Read every legacy row again and compare; nothing is moving."""
        return reconcile(subject_of(self.rig, self.name), watermark=None)

    def is_equal(self) -> tuple[str, int]:
        """Say the verdict of that comparison, and how many cells differ."""
        found = self.reconcile().level
        return found.state.value, found.figures["different"]
