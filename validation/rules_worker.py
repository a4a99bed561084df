"""The worker process that evaluates rules, seen from the command that asked: started early, fed suites, ended."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sqlalchemy.engine import URL, make_url

from validation.suites import Suite

KEY_BOUND = 100_000
"""How many keys one rule names at most; beyond, the answer says that the list is cut."""


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """What the worker says of one rule; `keys` are canonical identifiers."""

    rule_id: str
    state: str
    failing: int = 0
    keys: tuple[str, ...] = field(default=(), repr=False)
    truncated: bool = False
    cause: str = ""
    loaded: bool = True


@dataclass(frozen=True, slots=True)
class SuiteAnswer:
    """What the worker says of one suite; `cause` tells why rules may be missing."""

    suite: str
    rows: int
    rules: tuple[RuleAnswer, ...]
    cause: str = ""


class RuleWorker:
    """One process that has loaded Great Expectations, for all suites of one command.

    It is started here and takes about ten seconds to be ready; nothing waits for it before the first question. What it
    prints is never shown, since the library's messages hold values. It ends with this process.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "validation.expectations"],  # -P: a folder of the project is no module
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self, url: str | URL, department_code: str, suites: Sequence[Suite], *, key_bound: int = KEY_BOUND
    ) -> list[SuiteAnswer]:
        """Have suites evaluated on the records of a department; a worker that dies leaves its answers out."""
        request = {
            "url": make_url(url).render_as_string(hide_password=False),
            "department_code": department_code,
            "key_bound": key_bound,
            "suites": [_written(suite) for suite in suites],
        }
        answers: list[SuiteAnswer] = []
        if not self._is_ready:
            self._is_ready = "ready" in self._read()
        if not self._is_ready or not self._write(request):
            return answers
        while "suite" in (said := self._read()):
            answers.append(_read_answer(said))
        return answers

    def why_silent(self) -> str:
        """Say why the worker does not answer any more; empty when it still runs."""
        code = self._process.poll()
        return "" if code is None else f"the process that evaluates rules ended with code {code}"

    def close(self) -> None:
        """End the worker; nothing it was asked goes on."""
        self._process.terminate()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _write(self, request: dict[str, Any]) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._process.wait()
            return False
        return True

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            return {}
        said: dict[str, Any] = json.loads(line)
        return said


def _written(suite: Suite) -> dict[str, Any]:
    rules = [{"id": rule.rule_id, "type": rule.expectation, "kwargs": dict(rule.arguments)} for rule in suite.rules]
    return {"name": suite.name, "table": suite.table, "rules": rules}


def _read_answer(said: dict[str, Any]) -> SuiteAnswer:
    rules = tuple(
        RuleAnswer(
            rule_id=rule["id"],
            state=rule["state"],
            failing=rule["failing"],
            keys=tuple(rule["keys"]),
            truncated=rule["truncated"],
            cause=rule["cause"],
            loaded=rule["loaded"],
        )
        for rule in said["rules"]
    )
    return SuiteAnswer(said["suite"], said["rows"], rules, said["cause"])
