"""The replication connection to a legacy PostgreSQL, on the bare libpq of psycopg: whole messages, in commit order.

Our own few lines instead of a driver's replication cursor: those confirm places to the server by themselves. Here the
server is told only what the store has committed, so that a place confirmed beyond it means another reader.
"""

import select
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from banyan.clock import now
from banyan.errors import BanyanError, ConfigurationError, SourceDrifted, SourceUnavailable
from connectors.history import SWEEP
from connectors.postgresql_log_messages import Begin, Commit, Message, decode
from wire.alphabet import Alphabet

_PATIENCE_SECONDS = 0.02
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_HEADER = 25  # of a piece of log: its letter, two places, an instant


class StreamBusy(SourceUnavailable):
    """Another process reads the slot at this moment."""


class LogStream:
    """One slot, read from a place of the log on; not shared between threads."""

    def __init__(
        self, arguments: Mapping[str, Any], slot: str, after: int, *, alphabet: Alphabet | None = None
    ) -> None:
        self._slot = slot
        self._read_name = bytes.decode if alphabet is None else alphabet.read_name
        self.reached = after
        self._confirmed = after
        self._server_reached = 0
        self._is_between = True
        self._next: Begin | None = None
        conninfo = make_conninfo(**{**arguments, "replication": "database"})
        self._connection = pq.PGconn.connect(conninfo.encode())
        try:
            if self._connection.status != pq.ConnStatus.OK:
                raise _explained("28000" if self._connection.needs_password else "", slot)
            self._start(after)
        except BanyanError:
            self.close()
            raise

    def read(self, until: int, *, most_messages: int) -> Iterator[Message]:
        """Give the messages of the transactions committed up to a place; `reached` tells where it ended.

        Ends between two transactions: at that place, or after the transaction that fills the number of messages.
        """
        count = 0
        while self.reached < until:
            message = self._next or self._take()
            self._next = None
            match message:
                case None:
                    if self._is_between and self._server_reached >= until:
                        self.reached = max(self.reached, self._server_reached)
                        return
                    self._wait()
                    continue
                case Begin(commit_place=place):
                    if place >= until or count >= most_messages:
                        self._next = message
                        self.reached = max(self.reached, place)
                        return
                    self._is_between = False
                case Commit(end_place=place):
                    self._is_between = True
                    self.reached = max(self.reached, place)
                case _:
                    pass
            count += 1
            yield message

    def confirm(self, place: int) -> None:
        """Tell the server what is kept here for good: it may let go of the log before."""
        self._confirmed = place
        self._tell()

    def close(self) -> None:
        """Let go of the slot."""
        self._connection.finish()

    def _start(self, after: int) -> None:
        command = sql.SQL("START_REPLICATION SLOT {} LOGICAL {} (proto_version '1', publication_names {})").format(
            sql.Identifier(self._slot),
            sql.SQL(f"{after >> 32:X}/{after & 0xFFFFFFFF:X}"),  # type: ignore[arg-type]  # two numbers
            sql.Literal(sql.Identifier(self._slot).as_string()),
        )
        result = self._connection.exec_(command.as_string().encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise _explained(_code(result), self._slot)

    def _take(self) -> Message | None:
        """Give the next message that has arrived; answers the server's questions on the way."""
        while True:
            try:
                size, piece = self._connection.get_copy_data(1)
            except psycopg.Error:
                raise _explained("", self._slot) from None
            if size == 0:
                return None
            if size < 0:
                result = self._connection.get_result()
                raise _explained(_code(result) if result is not None else "", self._slot)
            found = bytes(piece)
            if found[:1] == b"w":
                return decode(found[_HEADER:], self._read_name)
            if found[:1] == b"k":
                self._server_reached, _, is_asked = struct.unpack_from("!QqB", found, 1)
                if is_asked:
                    self._tell()

    def _wait(self) -> None:
        ready, _, _ = select.select([self._connection.socket], [], [], _PATIENCE_SECONDS)
        if not ready:  # ask how far the server is: an idle one says nothing by itself
            self._tell(is_asking=True)
            return
        try:
            self._connection.consume_input()
        except psycopg.Error:
            raise _explained("", self._slot) from None

    def _tell(self, *, is_asking: bool = False) -> None:
        place, instant = self._confirmed, (now() - _EPOCH) // timedelta(microseconds=1)
        try:
            self._connection.put_copy_data(struct.pack("!cQQQqB", b"r", place, place, place, instant, is_asking))
            self._connection.flush()
        except psycopg.Error:
            raise _explained("", self._slot) from None


def _code(result: pq.abc.PGresult) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()


def _explained(code: str, slot: str) -> BanyanError:
    """Say what an error of the replication connection means; the words of the server are never repeated."""
    match code:
        case "55006":
            return StreamBusy(
                f"another process reads the slot {slot}; nothing was read",
                hint="run the same command again in a moment",
            )
        case "42704" | "55000" | "58P01":
            return SourceDrifted(
                f"the slot or the publication {slot} is gone or lost ({code}): changes are missing; nothing was read",
                hint=SWEEP,
                slot=slot,
            )
        case "42501" | "28000" | "28P01":
            return ConfigurationError(
                f"the account may not read the log ({code}); nothing was read",
                hint="banyan source grants --level R2",
                slot=slot,
            )
        case _:
            return SourceUnavailable(
                f"the legacy server ended the reading of its log ({code or 'connection lost'}); "
                "what was not kept is read again",
                hint="run the same command again",
                slot=slot,
            )
