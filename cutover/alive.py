"""Is the watchdog alive? It leaves a heartbeat in the store; who looks at the store sees when it has stopped."""

import os
import socket
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.engine import Engine

from banyan.clock import now
from banyan.errors import BanyanError
from store.postgres import transaction
from store.watch import GuardBeat, read_beats, write_beat
from sync.workspace import Workspace

NAME: Final = "guard"
_PATIENCE: Final = 5  # missed beats after which a watchdog counts as dead
_LEAST_SECONDS: Final = 30.0


@dataclass(slots=True)
class Heart:
    """The heartbeat of one watchdog."""

    period_seconds: float
    started_at: datetime = field(default_factory=now)

    def beat(self, workspace: Workspace, *, is_sure: bool) -> bool:
        """Leave a sign of life; tells whether the store took it. A store that is away is no reason to stop watching."""
        beat = GuardBeat(
            guard=f"{NAME}@{socket.gethostname()}",
            host=socket.gethostname(),
            process_id=os.getpid(),
            period_seconds=max(1, round(self.period_seconds)),
            started_at=self.started_at,
            beat_at=now(),
            is_sure=is_sure,
            age_seconds=0.0,
        )
        try:
            with transaction(workspace.engine("banyan_guard")) as connection:
                write_beat(connection, beat)
        except BanyanError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """Whether a watchdog watches, and since when not."""

    is_alive: bool
    sentence: str
    age_seconds: float | None
    is_sure: bool = True


def read_sign_of_life(engine: Engine) -> SignOfLife:
    """Read whether a watchdog is alive, by its last heartbeat."""
    with transaction(engine) as connection:
        beats = read_beats(connection)
    if not beats:
        return SignOfLife(is_alive=False, sentence="no guard has ever watched this store", age_seconds=None)
    last = beats[0]
    patience = max(_LEAST_SECONDS, _PATIENCE * last.period_seconds)
    if last.age_seconds <= patience:
        told = f"the guard on {last.host} is alive, last seen {last.age_seconds:.0f} s ago"
        return SignOfLife(is_alive=True, sentence=told, age_seconds=last.age_seconds, is_sure=last.is_sure)
    told = f"the guard on {last.host} is dead: last seen {_duration(last.age_seconds)} ago"
    return SignOfLife(is_alive=False, sentence=told, age_seconds=last.age_seconds, is_sure=last.is_sure)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def print_unit(folder: str, python: str, account: str = "banyan") -> str:
    """Write the systemd unit of the watchdog of a project."""
    return f"""\
[Unit]
Description=banyan guard of {folder}
Documentation=man:systemd.service(5)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User={account}
WorkingDirectory={folder}
# secrets by reference: names as in banyan.yaml, one NAME=VALUE a line, readable by root only
EnvironmentFile=-/etc/banyan/guard.env
ExecStart={python} -m cli.main -C {folder} guard
Restart=always
RestartSec=2
# the first signal asks for an orderly end between two deeds
KillSignal=SIGINT
TimeoutStopSec=60
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={folder}

[Install]
WantedBy=multi-user.target
"""
