"""The code that a person at the old site types in when the link is cut: after an abort, or after a flip back, only."""

from dataclasses import dataclass

from banyan.departments import Actor, Closure
from banyan.errors import SwitchRefused
from connectors.fence_code import code_key, fence_code
from cutover import protocol
from cutover.control import held, next_nonce
from cutover.journal import Word, note
from cutover.protocol import Refusal
from store.postgres import transaction
from sync.assembly import Rig


@dataclass(frozen=True, slots=True)
class TelephoneCode:
    """A code for one closure and one token. `or_code` is for a fence that took the last close and never answered."""

    closure: str
    token: int
    code: str
    or_code: str
    statements: tuple[str, str]
    """What the owner of the fence types in at the old site: the second when the first is no code."""


def give_code(rig: Rig, closure: Closure, *, actor: Actor) -> TelephoneCode:
    """Give the code that opens the old side, once the abort or the flip back is committed; that it was given is noted.

    The old side takes no part in it. The next switch uses the code up: its token is later.
    """
    if not rig.guarded.has_codes:
        raise SwitchRefused(
            f"{closure.name} stands in a file, and no server there compares a code: who reaches the file opens it. "
            "Nothing was touched",
            hint=f"banyan switch abort {closure.name}, where the file can be reached",
            closure=closure.name,
        )
    key = code_key(rig.workspace.digest_key, closure.name)
    with transaction(rig.workspace.engine("banyan_guard")) as connection, held(connection, closure.name) as control:
        token = protocol.phone_token(control.numbers)
        row = control.row
        if isinstance(token, Refusal):
            raise SwitchRefused(
                f"no code is given for {closure.name} while it is {row.phase.value}: nothing is opened by telephone "
                "before an abort or a way back is committed. Nothing was touched",
                hint=f"banyan switch abort {closure.name}",
                closure=closure.name,
            )
        note(connection, Word.PHONED, row, actor=actor, facts={"token": token})
    codes = [fence_code(key, closure.name, token, nonce) for nonce in (row.nonce, next_nonce(row.nonce))]
    said = [rig.guarded.write_opening(closure.name, code) for code in codes]
    return TelephoneCode(closure.name, token, codes[0], codes[1], (said[0], said[1]))
