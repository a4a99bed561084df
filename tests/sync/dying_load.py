"""A child process: loads a legacy system of a project and dies, or is frozen, at a named step of its second chunk."""

import os
import signal
import sys
from pathlib import Path

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import open_rig
from sync.engine import SyncEngine
from sync.lane import Step
from sync.workspace import Workspace


def main(folder: str, step: str, by: str = "KILL", source: str = "38.ORION") -> None:
    passed: list[Step] = []

    def die(here: Step) -> None:
        passed.append(here)
        if passed.count(Step(step)) == 2:
            os.kill(os.getpid(), signal.Signals[f"SIG{by}"])

    rig = open_rig(Workspace(load_project(Path(folder))), SourceRef(*source.split(".")))
    lane = rig.forward()
    engine = SyncEngine(rig.workspace.engine("banyan_forward"), checkpoint=die)
    engine.load(lane, lane.plan_load, rules_digest=rig.book.digest)


if __name__ == "__main__":
    main(*sys.argv[1:])
