"""A child process: replays table t_objet of department 38 and dies at a named step of its first chunk, by kill -9."""

import os
import signal
import sys
from pathlib import Path

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import open_rig
from sync.movement import actor_of
from sync.replay import replay
from sync.settled import replay_decided
from sync.workspace import opened


def main(folder: str, what: str, step: str) -> None:
    def die(here) -> None:
        if here.value == step:
            os.kill(os.getpid(), signal.SIGKILL)

    with opened(load_project(Path(folder))) as workspace:
        rig = open_rig(workspace, SourceRef("38", "ORION"))
        actor = actor_of(workspace)
        if what == "parcels":
            replay(rig, actor, ("t_objet",), checkpoint=die)
        else:
            replay_decided(rig, actor, checkpoint=die)


if __name__ == "__main__":
    main(*sys.argv[1:])
