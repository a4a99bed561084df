"""A way back to tables without transactions that dies once so many of their rows were written: as a process, or not."""

import json
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from marels import MAREL, MarelWorkspace
from projects import ENVIRONMENT

from banyan.config import load_project
from store.runs import RunKind
from sync.assembly import open_rig


class DyingPort:
    """A legacy system whose applier dies once so many rows of a table without transactions were written."""

    def __init__(self, port, rows, die):
        self._port, self._rows, self._die = port, rows, die

    def __getattr__(self, name):
        return getattr(self._port, name)

    @contextmanager
    def reverse_session(self, *given, **named):
        with self._port.reverse_session(*given, **named) as session:
            yield DyingSession(session, self._rows, self._die)


class DyingSession:
    def __init__(self, session, rows, die):
        self._session, self._rows, self._die = session, rows, die

    def __getattr__(self, name):
        return getattr(self._session, name)

    def _count(self, sent):
        for row in sent:
            self._rows -= row.is_changed
            if self._rows < 0:
                self._die()
            yield row

    def upsert_each(self, *given, **named):
        return self._count(self._session.upsert_each(*given, **named))

    def delete_each(self, *given, **named):
        return self._count(self._session.delete_each(*given, **named))


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    said = json.loads(sys.stdin.readline())
    os.environ.update(ENVIRONMENT)
    rig = open_rig(MarelWorkspace(load_project(Path(said["folder"]))), MAREL)
    if said["rows"] is not None:
        rig = replace(rig, port=DyingPort(rig.port, said["rows"], kill))

    def die(step):
        if step.value == said["step"]:
            kill()

    rig.reverse_engine(checkpoint=die).advance(rig.reverse(said["name"]), RunKind.REVERSE)


if __name__ == "__main__":
    main()
