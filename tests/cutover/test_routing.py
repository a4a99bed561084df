"""The routing facade under live traffic: requests wait while nobody owns a slice, and none fails over many flips."""

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import UUID

import pytest

from banyan.config import ProxyConfig
from banyan.departments import Phase, Side
from banyan.errors import SourceUnavailable
from cutover.routing.haproxy import HAProxy
from cutover.routing.routes import Route, route_of, routes_of
from store.slices import SliceRow

DOCS = Path(__file__).parent.parent.parent / "docs" / "haproxy"


def slice_in(phase: Phase, *, domain: str = "cases", is_armed: bool = True) -> SliceRow:
    owner = phase.owner or Side.LEGACY
    return SliceRow("38", domain, "38.cases", owner, phase, 1, is_armed, UUID(int=0), None, None, None)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_request_goes_where_people_can_write_and_nowhere_else(phase):
    route = route_of(slice_in(phase))

    assert (route is Route.LEGACY) == phase.legacy_writes
    assert (route is Route.CANONICAL) == phase.canonical_writes


def test_a_new_side_that_is_not_armed_holds_its_requests():
    rows = [slice_in(Phase.LIVE, is_armed=False), slice_in(Phase.SYNCING, domain="logbook")]

    assert routes_of(rows) == {"38.cases": Route.HOLD, "38.logbook": Route.LEGACY}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_side(name: str) -> ThreadingHTTPServer:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = name.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@dataclass
class Facade:
    """One HAProxy between two sides, as docs/haproxy says to run it."""

    proxy: HAProxy
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.process = subprocess.Popen([binary, "-f", str(DOCS / "haproxy.cfg"), "-db"], env=self.environment)
        for _ in range(100):
            try:
                self.proxy.read()
                return
            except SourceUnavailable:
                time.sleep(0.05)
        raise AssertionError("haproxy did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, slice_name: str = "38.cases") -> tuple[int, str, float]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        begun = time.monotonic()
        connection.request("GET", "/", headers={"X-Banyan-Slice": slice_name})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, time.monotonic() - begun


@pytest.fixture
def facade(tmp_path: Path) -> Iterator[Facade]:
    old, new = start_side("old"), start_side("new")
    map_file = tmp_path / "banyan.map"
    map_file.write_text("38.cases legacy\n", encoding="ascii")
    runtime, front = free_port(), free_port()
    environment = os.environ | {
        "BANYAN_MAP": str(map_file),
        "BANYAN_RUNTIME_PORT": str(runtime),
        "BANYAN_FRONT_PORT": str(front),
        "BANYAN_OLD_PORT": str(old.server_address[1]),
        "BANYAN_NEW_PORT": str(new.server_address[1]),
        "BANYAN_HOLD_LUA": str(DOCS / "hold.lua"),
    }
    proxy = HAProxy(ProxyConfig(name="38", socket=f"127.0.0.1:{runtime}", map=str(map_file), file=str(map_file)))
    running = Facade(proxy, front, environment)
    running.start()
    yield running
    running.stop()
    for side in (old, new):
        side.shutdown()
        side.server_close()


@pytest.mark.haproxy
def test_no_request_fails_over_a_hundred_flips_and_none_is_held_for_long(facade):
    stop = threading.Event()
    answers: list[tuple[int, str, float]] = []

    def officer() -> None:
        while not stop.is_set():
            answers.append(facade.ask())

    officers = [threading.Thread(target=officer) for _ in range(4)]
    for one in officers:
        one.start()
    sides = []
    flip = 0
    while flip < 100 or (len(answers) <= 200 and flip < 2000):  # a slow machine flips on until the traffic is one
        facade.proxy.publish({"38.cases": Route.HOLD})
        time.sleep(0.01)
        to = Route.CANONICAL if flip % 2 == 0 else Route.LEGACY
        facade.proxy.publish({"38.cases": to})
        sides.append(facade.ask()[1])
        flip += 1
    stop.set()
    for one in officers:
        one.join()

    assert {status for status, _, _ in answers} == {200}
    assert len(answers) > 200
    assert sides == ["new" if number % 2 == 0 else "old" for number in range(flip)], "the new owner answers"
    assert max(took for _, _, took in answers) < 9


@pytest.mark.haproxy
def test_a_request_of_a_slice_that_nobody_owns_is_held_and_then_answered_by_the_new_owner(facade):
    facade.proxy.publish({"38.cases": Route.HOLD})
    opened = []

    def give_it_to_the_new_side() -> None:
        opened.append(time.monotonic())
        facade.proxy.publish({"38.cases": Route.CANONICAL})

    opening = threading.Timer(0.6, give_it_to_the_new_side)
    opening.start()

    status, body, _ = facade.ask()

    assert (status, body) == (200, "new")
    assert time.monotonic() > opened[0], "nobody answered while nobody owned it"
    assert facade.ask("99.cases")[0] == 404


@pytest.mark.haproxy
def test_a_proxy_that_was_down_starts_with_the_newest_map(facade):
    facade.stop()
    with pytest.raises(SourceUnavailable):
        facade.proxy.publish({"38.cases": Route.CANONICAL})

    facade.start()

    assert facade.ask()[1] == "new"
    assert facade.proxy.publish({"38.cases": Route.CANONICAL}) is False
