"""A small TCP proxy on loopback: a link that can be cut, healed, and made long."""

import contextlib
import socket
import threading
import time


class Link:
    """Carries connections to a port; cut, it ends them all and refuses new ones; long, each way takes its time."""

    def __init__(self, port: int, *, delay_ms: float = 0.0) -> None:
        self.delay_ms = delay_ms
        self._target = port
        self._is_cut = False
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        with self._lock:
            self._is_cut = True
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            _close(each)

    def heal(self) -> None:
        """Let connections pass again."""
        self._is_cut = False

    def close(self) -> None:
        """End everything for good."""
        self.cut()
        _close(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _close(here)
                continue
            try:
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _close(here)
                continue
            for each in (here, there):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets |= {here, there}
            for pair in ((here, there), (there, here)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while read := source.recv(65536):
                if self.delay_ms:
                    time.sleep(self.delay_ms / 2000)
                target.sendall(read)
        except OSError:
            pass
        finally:
            with self._lock:
                self._sockets -= {source, target}
            _close(source)
            _close(target)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        each.close()
