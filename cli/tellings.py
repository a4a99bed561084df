"""What a page tells beside the evidence: owner, phase, whether the way back is open; and announcements on stderr."""

import sys
from typing import TYPE_CHECKING

from banyan.departments import Side
from cli.tables import visible

if TYPE_CHECKING:
    from sync.assembly import Rig
    from validation.story import Story


def announce_on_stderr(what: str) -> None:
    """Say what begins, on standard error."""
    sys.stderr.write(f"  … {visible(what)}\n")
    sys.stderr.flush()


def story_of(rig: "Rig", name: str) -> "Story":
    """Tell the present state of a closure: phase, owner, and whether it can go back."""
    from banyan.ports import FenceMode
    from validation.story import Story, WayBack
    from validation.text import Text

    row = rig.slices(name)[0]
    blocked: list[Text] = []
    if row.owner is Side.CANONICAL:
        state = rig.fence(name).read()
        if state.mode is not FenceMode.SEALED or state.nonce != row.nonce:
            blocked.append(
                Text("la barrière de l’ancien système n’est pas scellée", "the legacy fence is not sealed as known")
            )
        queue = rig.reverse(name).queue()
        if queue:
            blocked.append(
                Text(
                    f"{queue} fiches modifiées restent à écrire dans l’ancien système",
                    f"{queue} changed records are still to be written in the legacy system",
                )
            )
    return Story(
        phase=row.phase,
        owner=row.owner,
        way_back=WayBack(is_open=row.owner is Side.CANONICAL and not blocked, blocked_by=tuple(blocked)),
    )
