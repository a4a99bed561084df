"""Is the fence of the old side the one that was installed, is it known to us, and can it be proved?"""

from banyan.errors import BanyanError
from banyan.ports import FenceMode
from cutover.preconditions.condition import Obstacle, Scene

_LOOK = "banyan switch status"


def is_installed(scene: Scene) -> Obstacle | None:
    """Refuse while the fence of a table is missing, disabled or not the one installed."""
    fence = scene.rig.fence(scene.closure.name)
    try:
        defects = fence.check_installed(scene.closure.tables)
    finally:
        fence.disconnect()
    if not defects:
        return None
    first = f"{defects[0].table}: {defects[0].problem}" if defects[0].table else defects[0].problem
    sentence = f"the fence of the old system is not sound in {len(defects)} places, first {first}"
    return Obstacle("fence", sentence, f"banyan source grants {scene.row.department_code}")


def is_ours(scene: Scene) -> Obstacle | None:
    """Refuse when the fence is of another history, or holds a token that was never given."""
    if scene.fence.nonce != scene.row.nonce:
        sentence = "the old system is not the one banyan knows: it was restored, or another hand worked its fence"
        return Obstacle("fence", sentence, "banyan guard --once, and two people")
    if scene.fence.token > scene.row.epoch:
        sentence = "the old system has seen a later move than the new one remembers"
        return Obstacle("fence", sentence, "banyan guard --once, and two people")
    return None


def is_open(scene: Scene) -> Obstacle | None:
    """Refuse a switch while the old side is closed already."""
    if scene.fence.mode is FenceMode.OPEN or not scene.fence.is_shut:
        return None
    return Obstacle("fence", "the old system is closed already", f"{_LOOK} {scene.closure.name}")


def is_sealed(scene: Scene) -> Obstacle | None:
    """Refuse a rollback while the old side could be written by others than the way back."""
    if scene.fence.mode is FenceMode.SEALED:
        return None
    return Obstacle("fence", "the old system is not sealed", "banyan guard --once, and two people")


def can_be_proved(scene: Scene) -> Obstacle | None:
    """Refuse when an ordinary account is refused although the fence is open: a later refusal would prove nothing."""
    if scene.fence.is_shut:
        return None
    fence = scene.rig.fence(scene.closure.name)
    try:
        writable = fence.find_open(scene.closure.tables)
        refused = [table for table in scene.closure.tables if table not in writable]
    except BanyanError as error:
        return Obstacle("probe", f"the fence cannot be proved: {error.message}", error.hint or _LOOK)
    finally:
        fence.disconnect()
    if not refused:
        return None
    sentence = f"an ordinary account is refused on {', '.join(refused)} although the old system is open"
    return Obstacle("probe", sentence, f"banyan source grants {scene.row.department_code}")
