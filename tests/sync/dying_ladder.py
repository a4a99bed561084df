"""A child process: changes over how a legacy system is followed, and dies after a step of it."""

import os
import signal
import sys
from pathlib import Path

from banyan.config import load_project
from banyan.departments import SourceRef
from sync.assembly import prepare
from sync.engine import Progress
from sync.ladder import change_way
from sync.workspace import Workspace


def main(folder: str, source: str, step: str) -> None:
    def die(progress: Progress) -> None:
        if not progress.waiting and (step == "first chunk" or progress.chunks_done == progress.chunks):
            os.kill(os.getpid(), signal.SIGKILL)

    rig = prepare(Workspace(load_project(Path(folder))), SourceRef(*source.split(".")))
    if step == "installed":
        os.kill(os.getpid(), signal.SIGKILL)
    change_way(rig, watcher=die)


if __name__ == "__main__":
    main(*sys.argv[1:])
