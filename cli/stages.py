"""Where the demo is told: three departments, how their people work in the old system, and how its tables are dumped.

ORION's officers and MAREL's work over connections, in a thread; the people of a brigade open their file from a program
of their own, as anybody does whose file stands on a share.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from banyan.departments import SourceRef
from banyan.errors import SourceUnavailable

if TYPE_CHECKING:
    from estate.live import LiveCounts, Pace
    from estate.new_application import Desk
    from sync.assembly import Rig

_SECONDS = 600


class LegacyUsers(Protocol):
    """People at work in the old system until they are sent home."""

    committed: int
    """How many of their deeds were kept."""
    refused: int
    """How many of their writes the fence refused."""

    def __enter__(self) -> Self:
        """Let them begin; gives back when they are at work."""
        ...

    def __exit__(self, *_: object) -> None:
        """Send them home; what they had begun is finished."""
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """One department of the demo: its legacy system, the closure that moves, what its people have on their desks."""

    source: SourceRef
    closure: str
    title: str
    desk: "Desk"
    edits: int
    people: Callable[["Rig", int, int], LegacyUsers]
    dump: Callable[["Rig", str, Path], object]
    is_followed_by_airflow: bool = False


class Officers:
    """Officers who work over connections, in a thread of this process."""

    def __init__(self, live: Callable[["Pace", threading.Event], "LiveCounts"], rate: int, seed: int) -> None:
        from estate.live import Pace

        self.committed = self.refused = 0
        self._stop = threading.Event()
        pace = Pace(rate_per_second=rate, seconds=_SECONDS, seed=seed)
        self._thread = threading.Thread(target=lambda: self._note(live(pace, self._stop)), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _note(self, counts: "LiveCounts") -> None:
        self.committed, self.refused = sum(counts.committed.values()), counts.refused


class Brigade:
    """The people of the brigades at their files, in a program of their own: `banyan estate live`."""

    def __init__(self, folder: Path, rate: int, seed: int) -> None:
        self.committed = self.refused = 0
        self._command = [
            sys.executable, "-m", "cli.main", "estate", "live", str(folder), "--department", "48", "--rate", str(rate),
            "--seconds", str(_SECONDS), "--seed", str(seed), "--json",
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        self._process.stderr.readline()  # they say when they are at work
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        told, _said = self._process.communicate(timeout=60)
        try:
            counts = json.loads(told)
        except ValueError:
            raise SourceUnavailable(
                f"the people of the brigades ended with {self._process.returncode} and told nothing; it stays"
            ) from None
        self.committed, self.refused = int(counts["committed"]), int(counts["refused"])


def stages() -> dict[str, Stage]:
    """Give the departments of the demo, by code, in the order in which they are told."""
    from estate.new_application import BUREAU_DESK, MAREL_DESK, ORION_DESK

    return {
        "38": Stage(
            SourceRef("38", "ORION"), "38.cases+vehicles", "ISÈRE 38 · cases + vehicles (one closure)", ORION_DESK,
            1_000, _officers_of_orion, _dump_orion, is_followed_by_airflow=True,
        ),
        "48": Stage(
            SourceRef("48", "BUREAU"), "48.cases+custody+vehicles", "LOZÈRE 48 · SQLite, a file a brigade",
            BUREAU_DESK, 200, _people_of_brigades, _dump_bureau,
        ),
        "974": Stage(
            SourceRef("974", "MAREL"), "974.cases", "LA RÉUNION 974 · MariaDB, cases", MAREL_DESK, 200,
            _officers_of_marel, _dump_marel,
        ),
    }  # fmt: skip


def _officers_of_orion(rig: "Rig", rate: int, seed: int) -> LegacyUsers:
    from estate.live import live

    url = rig.workspace.legacy_urls(rig.source).application
    return Officers(lambda pace, stop: live(url, pace, stop=stop), rate, seed)


def _officers_of_marel(rig: "Rig", rate: int, seed: int) -> LegacyUsers:
    from estate.marel_live import live_marel

    url = rig.workspace.legacy_urls(rig.source).application
    return Officers(lambda pace, stop: live_marel(url, pace, department="974", stop=stop), rate, seed)


def _people_of_brigades(rig: "Rig", rate: int, seed: int) -> LegacyUsers:
    return Brigade(Path(rig.workspace.legacy_urls(rig.source).application), rate, seed)


def _dump_orion(rig: "Rig", table: str, path: Path) -> int:
    from wire.dump import dump_table

    return dump_table(rig.workspace.legacy_urls(rig.source).admin, ("orion", table), _key(rig, table), path)


def _dump_marel(rig: "Rig", table: str, path: Path) -> int:
    from wire.dump import dump_mariadb_table

    return dump_mariadb_table(rig.workspace.legacy_urls(rig.source).admin, table, _key(rig, table), path)


def _dump_bureau(rig: "Rig", table: str, path: Path) -> int:
    from connectors.sqlite_connection import place_of
    from mappings.several_files import split_table
    from wire.dump import dump_sqlite_table

    file, name = split_table(table)
    folder = Path(rig.workspace.legacy_urls(rig.source).reader)
    return dump_sqlite_table(place_of(folder / f"{file}.db"), name, _key(rig, table), path)


def _key(rig: "Rig", table: str) -> str:
    return rig.book.rulesets[table].key[0]
