"""A child process: a sweep that says which transactions it commits, or dies before or after the first of a kind."""

import json
import os
import re
import signal
import sys

import sqlalchemy as sa

from cli.main import run

_ACTS = r"(?!.*\b(banyan\.|pg_logical|pg_drop|pg_replication))"  # functions that write
_READS = re.compile(rf"\s*(select\b{_ACTS}.*|show\b.*|set\b.*)", re.S | re.I)
_PLACE = re.compile(r"\s*(\w+)\s+(?:into\s+|from\s+|only\s+|table\s+|or\s+replace\s+)*([\w.\"]*)", re.I)


class Witness:
    """Notes what each transaction writes, and kills this process at the first that writes these things."""

    def __init__(self, kind: list[str], *, is_after: bool) -> None:
        self._kind, self._is_after = kind, is_after
        self._written: list[str] = []
        self._is_due = False
        self.commits: list[list[str]] = []

    def attach(self) -> None:
        sa.event.listen(sa.Engine, "before_cursor_execute", self._ask)
        sa.event.listen(sa.Engine, "commit", self._commit)
        sa.event.listen(sa.Engine, "begin", lambda _: self.die_if_due())
        sa.event.listen(sa.Engine, "rollback", lambda _: self._written.clear())

    def _ask(self, connection, cursor, statement, *_) -> None:
        self.die_if_due()
        if not _READS.fullmatch(statement):
            place = _PLACE.match(statement)
            self._written.append(" ".join(place.groups()).lower() if place else "?")
            if connection.get_isolation_level() == "AUTOCOMMIT":
                self._commit(connection)

    def _commit(self, _) -> None:
        self.die_if_due()
        if not self._written:
            return
        self.commits.append(sorted(set(self._written)))
        self._written.clear()
        if self.commits[-1] == self._kind:
            self._is_due = True
            if not self._is_after:
                self.die_if_due()

    def die_if_due(self) -> None:
        if self._is_due:
            os.kill(os.getpid(), signal.SIGKILL)


def main(kind: str, when: str, *arguments: str) -> None:
    witness = Witness(json.loads(kind), is_after=when == "after")
    witness.attach()
    code = run(list(arguments))
    witness.die_if_due()
    sys.stderr.write(json.dumps({"code": code, "commits": witness.commits}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
