"""Connections that are lent again: asked whether they still live after a pause, or when something was heard of them.

A server that ends a connection says so, and the socket can be read: asking that costs nothing. A round trip for each
loan, as `pool_pre_ping` makes it, costs more than most of our statements.
"""

import select
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError

from banyan.clock import monotonic

_PAUSE_SECONDS: Final = 20.0
_LENT_UNTIL: Final = "banyan lent until"


def ask_after_a_pause(engine: Engine) -> Engine:
    """Have the pool of a PostgreSQL engine replace dead connections when it lends them; gives the engine."""

    def note_return(_: object, record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
        record.info[_LENT_UNTIL] = monotonic()

    def ask(connection: Any, record: Any, _: object) -> None:  # noqa: ANN401
        returned = record.info.get(_LENT_UNTIL)
        if returned is None or (monotonic() - returned < _PAUSE_SECONDS and not _is_heard(connection)):
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise DisconnectionError("the connection has ended") from error

    sa.event.listen(engine, "checkin", note_return)
    sa.event.listen(engine, "checkout", ask)
    return engine


def _is_heard(connection: Any) -> bool:  # noqa: ANN401 - of psycopg
    """Tell whether the server has sent something that nobody asked for, its farewell for one."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
