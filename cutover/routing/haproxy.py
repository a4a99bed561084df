"""HAProxy as the facade: its map of slices, replaced at once through the runtime socket and kept on disk for a restart.

`prepare map`, `add map @version`, `commit map` change all keys in one step inside the proxy, without a reload: no
connection is closed. A map changed that way is lost when the proxy restarts, so the file it starts from is written too.
"""

import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from banyan.config import ProxyConfig
from banyan.errors import SourceUnavailable
from cutover.routing.routes import Route

TIMEOUT_SECONDS = 2.0
_ENTRY = re.compile(r"[0-9A-Z]{2,6}\.[a-z]+")


class HAProxy:
    """One HAProxy, reached by its runtime socket (`host:port`, or the path of a socket file)."""

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config

    def read(self) -> dict[str, str]:
        """Read the map as the proxy holds it now; raises SourceUnavailable when the proxy does not answer."""
        lines = self._ask(f"show map {self.config.map}").splitlines()
        entries = (line.split(" ", 2) for line in lines if line.strip())
        return {parts[1]: parts[2] for parts in entries if len(parts) == 3}

    def publish(self, routes: Mapping[str, Route]) -> bool:
        """Make the proxy hold exactly these routes; tells whether anything changed.

        The file is written first: a proxy that dies in between starts with the newer map.
        """
        wanted = {name: route.value for name, route in routes.items()}
        for name in wanted:
            if not _ENTRY.fullmatch(name):
                raise ValueError(f"{name} is not the name of a slice")
        self._write_file(wanted)
        if self.read() == wanted:
            return False
        version = self._prepare()
        for name, value in sorted(wanted.items()):
            self._expect_silence(f"add map @{version} {self.config.map} {name} {value}")
        self._expect_silence(f"commit map @{version} {self.config.map}")
        return True

    def _prepare(self) -> int:
        answer = self._ask(f"prepare map {self.config.map}")
        found = re.search(r"New version created: (\d+)", answer)
        if found is None:
            raise self._unavailable(f"it refused a new version of {self.config.map}")
        return int(found[1])

    def _expect_silence(self, command: str) -> None:
        if answer := self._ask(command).strip():
            raise self._unavailable(f"it answered {answer!r} to {command.split(' @')[0]}")

    def _write_file(self, wanted: Mapping[str, str]) -> None:
        if not self.config.file:
            return
        path = Path(self.config.file)
        text = "".join(f"{name} {value}\n" for name, value in sorted(wanted.items()))
        if path.exists() and path.read_text(encoding="ascii") == text:
            return
        draft = path.with_name(path.name + ".new")
        draft.write_text(text, encoding="ascii")
        os.replace(draft, path)

    def _ask(self, command: str) -> str:
        try:
            with self._connect() as connection:
                connection.sendall(command.encode("ascii") + b"\n")
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode("ascii")
        except OSError as error:
            raise self._unavailable(f"no answer ({type(error).__name__})") from error

    def _connect(self) -> socket.socket:
        host, _, port = self.config.socket.rpartition(":")
        if port.isdigit():
            return socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(self.config.socket)
        return connection

    def _unavailable(self, why: str) -> SourceUnavailable:
        return SourceUnavailable(
            f"proxy {self.config.name} was not told who owns what: {why}; its routes are as they were",
            hint="banyan switch routes --publish",
            proxy=self.config.name,
        )
