"""The door of a fence in a SQLite file: one row a closure, locked first, its clock read second, then compared.

A fence of triggers holds a lease on the clock of the machine that opens the file. A closed window holds none: nothing
lets people in by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

from banyan.errors import BanyanError, ConfigurationError
from banyan.ports import FenceAnswer, FenceDefect, FenceMode
from connectors.dialects_sqlite import named
from connectors.sqlite_connection import Connection, aside_of, reading
from connectors.sqlite_journal import is_there

Kind = Literal["triggers", "closed_window"]
Effect = Literal["close", "seal", "open", "beat"]
WINDOW: Final[Kind] = "closed_window"


@dataclass(frozen=True, slots=True)
class FenceRow:
    """The row of one fence as it stands in the file."""

    closure: str
    kind: Kind
    token: int
    mode: FenceMode
    lease_until: float | None
    nonce: str = field(repr=False)


def read_row(connection: Connection, closure: str) -> FenceRow | None:
    """Read the row of a fence; None when there is none."""
    found = connection.execute(named("read_fence"), (closure,)).fetchone()
    if found is None:
        return None
    kind: Kind = WINDOW if bytes(found[0]).decode() == WINDOW else "triggers"
    lease = None if found[3] is None else float(found[3])
    return FenceRow(closure, kind, int(found[1]), FenceMode(bytes(found[2]).decode()), lease, bytes(found[4]).decode())


def read_clock(connection: Connection) -> float:
    """Read the clock of the machine that has the file open, in seconds."""
    return float(connection.execute(named("clock")).fetchone()[0])


def is_shut(connection: Connection, path: Path, row: FenceRow) -> bool:
    """Tell whether people are kept out at this moment."""
    if row.kind == WINDOW:
        return row.mode is not FenceMode.OPEN and aside_of(path).exists()
    return row.mode is FenceMode.SEALED or _has_lease(row, read_clock(connection))


def decide(
    row: FenceRow, what: Effect, *, token: int, lease_seconds: float, clock: float, nonces: tuple[UUID, UUID]
) -> tuple[FenceRow, FenceAnswer]:
    """Decide as every door does; the row is given as it must be written, unchanged when the answer is a refusal."""
    old, new = str(nonces[0]), str(nonces[1])
    if row.nonce not in (old, new):
        return row, FenceAnswer(accepted=False, reason="another incarnation")
    is_mine = row.token == token
    is_held = is_mine and (row.mode is FenceMode.SEALED or _has_lease(row, clock))
    match what:
        case "close":
            if row.mode is FenceMode.SEALED and is_mine:  # a late close never downgrades a seal
                return row, FenceAnswer(accepted=True, reason="already sealed")
            if token < row.token:
                return row, FenceAnswer(accepted=False, reason="old token")
            if is_mine and not is_held:  # one close for each token
                return row, FenceAnswer(accepted=False, reason="token used")
            lease = None if row.kind == WINDOW else lease_seconds
            until = None if lease is None else clock + lease
            closed = replace(row, mode=FenceMode.CLOSED, token=token, lease_until=until, nonce=new)
            return closed, FenceAnswer(accepted=True, reason="closed", lease_seconds=lease)
        case "seal":
            if not is_held:
                return row, FenceAnswer(accepted=False, reason="lease or token lost")
            return replace(row, mode=FenceMode.SEALED, nonce=new), FenceAnswer(accepted=True, reason="sealed")
        case "open":
            if token < row.token:
                return row, FenceAnswer(accepted=False, reason="old token")
            opened = replace(row, mode=FenceMode.OPEN, token=token, lease_until=None, nonce=new)
            return opened, FenceAnswer(accepted=True, reason="opened")
        case "beat":
            if not is_mine:
                return row, FenceAnswer(accepted=False, reason="another token")
            left = row.lease_until - clock if row.mode is FenceMode.CLOSED and row.lease_until is not None else None
            return replace(row, nonce=new), FenceAnswer(accepted=True, reason="beat", lease_seconds=left)


def write_row(connection: Connection, row: FenceRow) -> None:
    """Write the row of a fence."""
    values = (row.token, row.mode.value, row.lease_until, row.nonce, row.closure)
    connection.execute(named("write_fence"), values)


def missing(closure: str) -> BanyanError:
    """Say that there is no fence."""
    return ConfigurationError(
        f"no fence is installed for {closure}; nothing was changed",
        hint="banyan source grants, then install the fence days before the switch",
        closure=closure,
    )


def check_row(path: Path, closure: str, kind: Kind, tables: Sequence[str]) -> list[FenceDefect]:
    """Compare the row of a fence and the tables it guards with what is to be there."""
    with reading(path) as connection:
        row = read_row(connection, closure) if is_there(connection, "banyan_fence") else None
        gone = [table for table in tables if not connection.execute(named("is_there"), (table,)).fetchone()[0]]
    defects = [FenceDefect(table, "there is no such table in the file") for table in gone]
    if row is None:
        defects.append(FenceDefect("", f"there is no row of the fence of {closure}"))
    elif row.kind != kind:
        defects.append(FenceDefect("", f"the fence is installed as {row.kind}, and the project says {kind}"))
    return defects


def _has_lease(row: FenceRow, clock: float) -> bool:
    if row.mode is not FenceMode.CLOSED:
        return False
    return row.kind == WINDOW or (row.lease_until is not None and clock < row.lease_until)
