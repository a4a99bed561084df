"""A reconciliation that outlives its process: what it read and judged is kept chunk by chunk, so that the same command
goes on.

What is kept is about one subject, one set of rules and one incarnation of both sides; anything else, a day that has
passed, or a machine that started anew, and the pass begins again. What changed or was written since the pass began is
judged again when it is taken up, so that a kept chunk never hides what happened while nobody looked.
"""

import fcntl
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import polars as pl

from banyan.clock import now
from banyan.records import KeyRange, Position
from store.buckets import read_moment
from store.postgres import transaction
from validation.digest_files import DigestFiles
from validation.digests import Secret
from validation.incremental import find_touched
from validation.reconciliation import Tally
from validation.subject import Subject

_STATE = "state.json"
_LISTED, _HELD = "listed.parquet", "held.parquet"
_LONGEST = timedelta(hours=24)
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_COUNTS = ("rows", "judged", "explained", "doubled", "shared", "different_records", "rounds", "listed_count")
_COUNTERS = ("compared", "different", "tolerated", "causes")
_DRAWN_BYTES = 16

State = dict[str, Any]


@dataclass(slots=True)
class Pass:
    """One pass over both sides: since when, how far it has come, and what it found; kept when it has a place.

    Its works have names, and steps: to read a legacy table or the records of a canonical one, and to sift them.
    """

    subject: Subject = field(repr=False)
    folder: Path
    files: DigestFiles = field(repr=False)
    watermark: Position | None
    tally: Tally = field(repr=False)
    touched: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Keys by legacy table that changed, or whose records were written, since the pass began: to be judged again."""
    is_kept: bool = False
    _beginning: State = field(default_factory=dict, repr=False)
    _plans: dict[str, list[KeyRange]] = field(default_factory=dict, repr=False)
    _done: dict[str, int] = field(default_factory=dict, repr=False)

    def plan(self, work: str, make: Callable[[], Sequence[KeyRange]]) -> list[KeyRange]:
        """Give the ranges that a table is read in: made once, the same in each attempt."""
        if work not in self._plans:
            self._plans[work] = list(make())
        return self._plans[work]

    def planned(self, table: str) -> Sequence[KeyRange]:
        """Give the ranges that a legacy table was read in; none before it was."""
        return tuple(self._plans.get(table, ()))

    def done(self, work: str) -> int:
        """Tell how many steps of a work are done."""
        return self._done.get(work, 0)

    def note(self, work: str, number: int) -> None:
        """Keep all that was found up to this step, counted from 1; it stands whole or not at all."""
        self._done[work] = number
        if not self.is_kept:
            return
        frames = [frame.with_columns(pl.lit(name).alias("held_table")) for name, held in self.tally.held_back.items()
                  for frame in held]  # fmt: skip
        for name, found in ((_LISTED, self.tally.listed), (_HELD, frames)):
            if found:
                pl.concat(found).write_parquet(self.folder / f"{name}.new")
                (self.folder / f"{name}.new").replace(self.folder / f"{name}.{sum(self._done.values())}")
        state = {
            "beginning": self._beginning,
            "plans": {name: [[keys.low, keys.high] for keys in plan] for name, plan in self._plans.items()},
            "done": self._done,
            "files": self.files.written(),
            "tally": _written(self.tally),
        }
        (self.folder / f"{_STATE}.new").write_text(json.dumps(state), encoding="utf-8")
        (self.folder / f"{_STATE}.new").replace(self.folder / _STATE)
        for path in (*self.folder.glob(f"{_LISTED}.*"), *self.folder.glob(f"{_HELD}.*")):
            if path.suffix != f".{sum(self._done.values())}":
                path.unlink()


@contextmanager
def open_pass(subject: Subject, watermark: Position | None, *, kept_in: Path | None = None) -> Iterator[Pass]:
    """Open a pass: taken up where an earlier attempt died, when there is one to take up in this place; else begun.

    Without a place, or while another process keeps a pass there, nothing is kept. What was kept is removed at the end.
    """
    lock = _lock(kept_in) if kept_in is not None else None
    if kept_in is None or lock is None:
        with TemporaryDirectory(prefix="banyan-") as folder:
            yield Pass(subject, Path(folder), _files(subject, Path(folder), _draw()), watermark, Tally())
        return
    with lock:
        identity = _identity(subject)
        going = _take_up(subject, kept_in, identity) or _begin(subject, kept_in, identity, watermark)
        yield going
        _empty(kept_in)


def _lock(folder: Path) -> IO[str] | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (folder / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "lock":
            path.unlink()


def _draw() -> bytes:
    return secrets.token_bytes(_DRAWN_BYTES)


def _files(subject: Subject, folder: Path, drawn: bytes) -> DigestFiles:
    return DigestFiles(folder, Secret(subject.digest_key, drawn))


def _identity(subject: Subject) -> str:
    """Digest what a pass is about: who, under which rules, in which incarnation of both sides, on which machine."""
    with transaction(subject.engine) as connection:
        incarnation = read_moment(connection).incarnation
    about = {
        "form": 2,
        "digests": pl.__version__,
        "source": [subject.department.code, subject.source.system_code],
        "domains": sorted(subject.domains),
        "rules": {table: subject.book.rulesets[table].digest for table in subject.tables},
        "unsaid": {table: list(columns) for table, columns in sorted(subject.written_after.items())},
        "sides": [subject.port.incarnation(), incarnation],
        "boot": _BOOT.read_text(encoding="ascii") if _BOOT.exists() else os.getpid(),
        "chunk": subject.rows_per_chunk,
    }
    return sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _begin(subject: Subject, folder: Path, identity: str, watermark: Position | None) -> Pass:
    _empty(folder)
    with transaction(subject.engine) as connection:
        snapshot = read_moment(connection).snapshot
    drawn = _draw()
    beginning = {
        "identity": identity,
        "drawn": drawn.hex(),
        "watermark": watermark,
        "position": subject.port.head(),
        "snapshot": snapshot,
        "at": now().isoformat(),
    }
    files = _files(subject, folder, drawn)
    return Pass(subject, folder, files, watermark, Tally(), is_kept=True, _beginning=beginning)


def _take_up(subject: Subject, folder: Path, identity: str) -> Pass | None:
    """Read what an earlier attempt kept; None when it is about something else, too old, or no longer what it was."""
    try:
        state: State = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # nobody died here, or nothing whole was left
    beginning = state["beginning"]
    if beginning["identity"] != identity or now() - datetime.fromisoformat(beginning["at"]) > _LONGEST:
        return None
    tally = _read(state["tally"], folder, sum(state["done"].values()))
    touched = find_touched(
        subject, since=Position(beginning["position"]), snapshot=beginning["snapshot"], until=subject.port.head()
    )
    files = _files(subject, folder, bytes.fromhex(beginning["drawn"]))
    if _is_in_doubt(tally, touched, subject.rows_per_chunk) or not files.restore(state["files"]):
        return None
    tally.resumed = sum(state["done"].get(work, 0) for work in state["plans"])
    tally.moving |= {(table, key) for table, keys in touched.items() for key in keys}
    return Pass(
        subject,
        folder,
        files,
        None if beginning["watermark"] is None else Position(beginning["watermark"]),
        tally,
        {table: tuple(sorted(keys)) for table, keys in touched.items()},
        is_kept=True,
        _beginning=beginning,
        _plans={name: [KeyRange(low, high) for low, high in plan] for name, plan in state["plans"].items()},
        _done=state["done"],
    )


def _is_in_doubt(tally: Tally, touched: Mapping[str, set[str]], most: int) -> bool:
    """Tell whether a difference that was counted may be none any more, or whether too much changed to judge again."""
    if (
        sum(len(keys) for keys in touched.values()) > most
        or tally.listed_count < sum(frame.height for frame in tally.listed)
        or sum(tally.causes.values()) - tally.explained > tally.listed_count
    ):
        return True
    return any(
        key in touched.get(table, ())
        for frame in tally.listed
        for table, key in frame.select("legacy_table", "source_key").iter_rows()
    )


def _written(tally: Tally) -> State:
    plain: State = {name: getattr(tally, name) for name in _COUNTS}
    plain |= {name: [[*cell, count] for cell, count in getattr(tally, name).items()] for name in _COUNTERS}
    plain["moving"] = sorted(tally.moving)
    plain["rules"] = [[*cell, sorted(rules)] for cell, rules in tally.rules.items()]
    return plain


def _read(plain: State, folder: Path, chunks: int) -> Tally:
    tally = Tally(**{name: plain[name] for name in _COUNTS})
    for name in _COUNTERS:
        setattr(tally, name, Counter({tuple(cell): count for *cell, count in plain[name]}))
    tally.moving = {(table, key) for table, key in plain["moving"]}
    tally.rules = {(table, column): set(rules) for table, column, rules in plain["rules"]}
    if (path := folder / f"{_LISTED}.{chunks}").exists():
        tally.listed = [pl.read_parquet(path)]
    if (path := folder / f"{_HELD}.{chunks}").exists():
        held = pl.read_parquet(path)
        for (table,), frame in held.group_by("held_table", maintain_order=True):
            tally.held_back[str(table)] = [frame.drop("held_table")]
    return tally
