"""What two persons decide together: nothing that cannot be undone is done on the word of one.

The first writes the decision in the journal, with what it is about; the second, another person in another role, says
the same about the same state within a day, and it is done. When anything has moved in between, it begins anew.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.engine import Connection

from banyan.clock import now
from banyan.departments import Actor
from banyan.errors import UsageError
from cutover.control import Control
from cutover.journal import Word, note, read_account
from validation.sign_off import is_same_person

ROLES: Final = ("lead", "steward")
VALID_FOR: Final = timedelta(hours=24)


class Question(StrEnum):
    """What is decided by two."""

    KEEP_LEGACY = "keep LEGACY"
    KEEP_CANONICAL = "keep CANONICAL"
    COMPLETE = "complete"


def agree(connection: Connection, control: Control, question: Question, *, about: str, actor: Actor) -> str | None:
    """Note a person's decision in the caller's transaction; gives the name of the one who agreed before, or None.

    `about` names the state that was seen; an earlier word about another state does not count.
    """
    if actor.role not in ROLES:
        raise UsageError(
            f"{actor.name} decides this as {actor.role}; it takes a {' and a '.join(ROLES)}; nothing was changed",
            hint="--as lead, or --as steward",
        )
    row = control.row
    earlier = [
        decision
        for decision in read_account(connection, row.closure).find_decisions()
        if decision.what == question.value and decision.about == about and now() - decision.at <= VALID_FOR
    ]
    note(connection, Word.DECIDED, row, actor=actor, facts={"what": question.value, "about": about})
    for decision in earlier:
        if not is_same_person(decision.actor, actor.name) and decision.role != actor.role:
            return decision.actor
    return None


def other_role(actor: Actor) -> str:
    """Name the role of the person who is still missing."""
    return next(role for role in ROLES if role != actor.role)
