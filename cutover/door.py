"""The door of the legacy fence, as a pure function: the decisions that its SQL takes, and the same answers."""

from enum import IntEnum
from typing import NamedTuple


class Mode(IntEnum):
    """What the legacy fence does with writers."""

    OPEN = 0
    CLOSED = 1  # until the lease ends
    SEALED = 2  # until it is opened


class Fence(NamedTuple):
    """The fence row in the legacy store."""

    mode: int
    token: int
    lease_until: int  # on the legacy server's own clock; 0 unless CLOSED
    nonce: int


class Effect(IntEnum):
    """What a controller asks of the legacy fence."""

    CLOSE = 1
    SEAL = 2
    OPEN = 3
    BEAT = 4


class Answer(IntEnum):
    """What came back from the fence door, or from looking at the world."""

    OK = 0
    ALREADY_SEALED = 1
    NO_FENCE = 2
    OTHER_INCARNATION = 3
    TOKEN_USED = 4
    LEASE_OR_TOKEN_LOST = 5
    OLD_TOKEN = 6
    NOT_MY_TOKEN = 7
    DIFFERENT = 8  # a comparison of rows found a difference
    UNCERTAIN = 9  # no answer: the effect may have taken place


def effect(
    fence: Fence, what: Effect, *, token: int, clock: int, lease: int, nonces: tuple[int, int]
) -> tuple[Fence, Answer]:
    """Decide as the door in the legacy store does: its row is locked first, its clock is read second.

    `nonces` are the one the control row knows and the one to leave behind.
    """
    if fence.nonce not in nonces:
        return fence, Answer.OTHER_INCARNATION
    is_mine = fence.token == token
    is_sealed = fence.mode == Mode.SEALED
    is_held = is_mine and (is_sealed or (fence.mode == Mode.CLOSED and clock < fence.lease_until))
    if what is Effect.CLOSE:
        if is_sealed and is_mine:
            return fence, Answer.ALREADY_SEALED  # a late close never downgrades a seal
        if token < fence.token or (is_mine and not is_held):
            return fence, Answer.TOKEN_USED  # one close for each token; after its lease it is spent
        return Fence(Mode.CLOSED, token, clock + lease, nonces[1]), Answer.OK
    if what is Effect.SEAL:
        if not is_held:
            return fence, Answer.LEASE_OR_TOKEN_LOST
        return Fence(Mode.SEALED, token, 0, nonces[1]), Answer.OK
    if what is Effect.OPEN:
        if token < fence.token:
            return fence, Answer.OLD_TOKEN
        return Fence(Mode.OPEN, token, 0, nonces[1]), Answer.OK
    return (fence._replace(nonce=nonces[1]), Answer.OK) if is_mine else (fence, Answer.NOT_MY_TOKEN)


def admits_legacy(fence: Fence, *, clock: int) -> bool:
    """Tell whether the legacy fence lets an application write."""
    return fence.mode == Mode.OPEN or (fence.mode == Mode.CLOSED and clock >= fence.lease_until)
