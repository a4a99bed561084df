"""The end of the way back: two persons give it up knowingly, then the scaffolding in the old system is removed.

LIVE -> COMPLETING is the decision; COMPLETING -> RETIRED follows once the capture is gone. The old side stays sealed:
the fence is what keeps it as it was archived.
"""

from dataclasses import dataclass

from banyan.departments import Actor, Closure, Phase
from banyan.errors import SwitchRefused
from cutover import protocol
from cutover.control import Writing, held, read_control, write_move
from cutover.decisions import Question, agree
from cutover.gauge import read_way_back
from cutover.journal import Word
from cutover.preconditions.condition import Moment, Obstacle
from cutover.preconditions.registered import find_obstacles
from cutover.protocol import Refusal
from cutover.reading import RigReader
from store.outbox import head, prune
from store.postgres import transaction
from sync.assembly import Rig


@dataclass(frozen=True, slots=True)
class Completion:
    """What giving the way back up means for a closure, and how far it has come."""

    closure: str
    phase: Phase
    epoch: int
    is_done: bool
    listed: int  # values the old system will never have
    promised_until: str
    removed_from: tuple[str, ...] = ()


def complete(rig: Rig, closure: Closure, *, actor: Actor) -> Completion:
    """Give the way back up as one of two persons; the second one's word removes the scaffolding of the old system."""
    control = read_control(rig.workspace.engine("banyan_guard"), closure.name)
    if control.phase is Phase.RETIRED:
        return _tell(rig, closure, is_done=True)
    reader = RigReader(rig, closure)
    scene = reader.scene(Moment.COMPLETE)
    obstacles = find_obstacles(scene, Moment.COMPLETE)
    if obstacles:
        raise _refusal(closure, obstacles)
    if control.phase is Phase.LIVE:
        about = f"LIVE {control.row.epoch}"
        with transaction(rig.workspace.engine("banyan_guard")) as connection, held(connection, closure.name) as same:
            if same.numbers != control.numbers:
                raise _refusal(closure, (Obstacle("phase", "it moved meanwhile", "banyan switch status"),))
            if agree(connection, same, Question.COMPLETE, about=about, actor=actor) is None:
                return _tell(rig, closure, is_done=False)
            waiting = _count_waiting(rig, closure)
            if waiting:  # seen under the lock of the slices: nobody writes meanwhile
                raise _refusal(closure, (_waiting(waiting, closure),))
            found = protocol.change(same.numbers, protocol.COMPLETE, epoch=same.row.epoch)
            assert not isinstance(found, Refusal)
            evidence_id = scene.evidence.evidence_id if scene.evidence else None
            facts = {"outbox_position": head(connection), "evidence_id": evidence_id}
            writing = Writing(deadline=None, evidence_id=evidence_id, words=lambda _: {Word.SWITCHED_OFF: facts})
            write_move(connection, same, found, actor=actor, writing=writing)
    return _retire(rig, closure, actor)


def _retire(rig: Rig, closure: Closure, actor: Actor) -> Completion:
    """Remove the capture of the closure's tables, then commit RETIRED; what is removed already stays so.

    With the last closure of the old system goes all that capture left there: a slot that nobody reads any more keeps
    the log of its server until the disk is full, and a journal keeps growing.
    """
    admin = rig.workspace.legacy_urls(rig.source).admin
    rig.database.remove_capture(admin, None if _is_last(rig, closure) else closure.tables)
    carried = rig.reverse(closure.name).watermark()
    with (
        transaction(rig.workspace.engine("banyan_guard")) as connection,
        held(connection, closure.name) as same,
    ):
        found = protocol.change(same.numbers, protocol.RETIRE, epoch=same.row.epoch)
        if isinstance(found, Refusal):
            raise _refusal(closure, (Obstacle("phase", "it moved meanwhile", "banyan switch status"),))
        write_move(connection, same, found, actor=actor, writing=Writing())
        prune(connection, carried, department_code=closure.department_code, domains=closure.domains)
    return _tell(rig, closure, is_done=True, removed_from=closure.tables)


def _is_last(rig: Rig, closure: Closure) -> bool:
    """Tell whether every other closure of the old system is retired already."""
    others = [found.name for found in rig.closures if found.name != closure.name]
    return all(rig.slices(name)[0].phase is Phase.RETIRED for name in others)


def _count_waiting(rig: Rig, closure: Closure) -> int:
    return rig.reverse(closure.name).queue()


def _tell(rig: Rig, closure: Closure, *, is_done: bool, removed_from: tuple[str, ...] = ()) -> Completion:
    gauge = read_way_back(rig, closure)
    row = read_control(rig.workspace.engine("banyan_guard"), closure.name).row
    until = f"{gauge.until:%Y-%m-%d}" if gauge.until else "-"
    return Completion(closure.name, row.phase, row.epoch, is_done, gauge.listed, until, removed_from)


def _waiting(waiting: int, closure: Closure) -> Obstacle:
    sentence = f"{waiting} records were changed since and wait to be carried back"
    return Obstacle("way back", sentence, f"banyan sync run {closure.department_code}")


def _refusal(closure: Closure, obstacles: tuple[Obstacle, ...]) -> SwitchRefused:
    return SwitchRefused(
        f"the way back of {closure.name} was not given up: {len(obstacles)} "
        f"thing{'s' * (len(obstacles) > 1)} in the way. Nothing was touched",
        hint=obstacles[0].next_command,
        reasons=[f"{obstacle.name:<10} {obstacle.sentence}" for obstacle in obstacles],
        closure=closure.name,
    )
