"""A bucket that is slow, busy, or loses its answers: a parcel is committed once or not at all, and the load goes on."""

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import polars as pl
import pytest
from moto.server import ThreadedMotoServer
from worlds import build_world

from banyan.config import LandingConfig
from banyan.errors import StoreUnavailable
from store.landing import open_landing
from sync.forward import ForwardLane

ROWS = pl.DataFrame({"num_proc": ["00123/2019  ", "00124/2019  ", None], "observ": ["", "é", "x"]})
NAME = "38/ORION/run-7/t_proc-0001"
BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"

Fault = Callable[["Request"], None]


class Weather(ThreadingHTTPServer):
    """Passes requests on to a bucket, unless something is foreseen for this one."""

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behind, self.foreseen, self.happened = (host, port), Foreseen(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of connections that were ended on purpose."""


class Foreseen:
    """What is to happen: a fault for requests of a method whose path holds a word, so many times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._method, self._word, self._times, self._every, self._seen = "", "", 0, 1, 0
        self._fault: Fault = busy

    def order(self, fault: Fault, *, method: str, word: str, times: int, every: int = 1) -> None:
        self._fault, self._method, self._word, self._times, self._every = fault, method, word, times, every

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            if method != self._method or self._word not in path or self._times <= 0:
                return None
            self._seen += 1
            if self._seen % self._every:
                return None
            self._times -= 1
            return self._fault


class Request(BaseHTTPRequestHandler):
    """One request: it meets what is foreseen for it, or is passed on."""

    protocol_version = "HTTP/1.1"
    server: Weather

    def __getattr__(self, name: str):
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        fault = self.server.foreseen.take(self.command, self.path)
        if fault is None:
            self.pass_on()
        else:
            self.server.happened.append((self.command, fault.__name__))
            fault(self)

    def receive(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def pass_on(self, *, answer: bool = True, share: float = 1.0) -> None:
        there = http.client.HTTPConnection(*self.server.behind)
        there.request(self.command, self.path, self.receive(), dict(self.headers))
        found = there.getresponse()
        body = found.read()
        if not answer:
            return self.end()
        self.send_response(found.status)
        for name, value in found.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "server", "date"):
                self.send_header(name, value)
        length = found.getheader("Content-Length") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        self.wfile.write(body[: int(len(body) * share)])
        return None if share == 1.0 else self.end()

    def refuse(self, status: int, body: bytes) -> None:
        self.receive()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write nothing to the terminal."""


def busy(request: Request) -> None:
    request.refuse(503, BUSY)


def broken(request: Request) -> None:
    request.refuse(500, BROKEN)


def answer_lost(request: Request) -> None:
    request.pass_on(answer=False)


def cut_while_sending(request: Request) -> None:
    request.rfile.read(int(request.headers["Content-Length"]) // 2)
    request.end()


def answer_cut(request: Request) -> None:
    request.pass_on(share=0.5)


def slow(request: Request) -> None:
    time.sleep(0.5)
    request.pass_on()


@pytest.fixture
def weather():
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    made = Weather(*moto.get_host_and_port())
    yield made
    made.shutdown()
    made.server_close()
    moto.stop()


@pytest.fixture
def config(weather, tmp_path, request):
    client = boto3.client(
        "s3", endpoint_url=weather.endpoint, region_name="eu-west-3", aws_access_key_id="k", aws_secret_access_key="s"
    )
    name = f"weather{abs(hash(request.node.name)):x}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    for key in ("access", "secret"):
        (tmp_path / key).write_text("testing\n")
    return LandingConfig(
        kind="s3", bucket=name, prefix="banyan/38", endpoint_url=weather.endpoint, region="eu-west-3",
        access_key=f"file:{tmp_path}/access", secret_key=f"file:{tmp_path}/secret",
        allowed_endpoints=(weather.endpoint,),
    )  # fmt: skip


@pytest.mark.parametrize("word", ["parcels/", "manifests/"])
@pytest.mark.parametrize("fault", [busy, broken, answer_lost, cut_while_sending, slow], ids=lambda f: f.__name__)
def test_a_parcel_sent_through_bad_weather_is_committed_once(weather, config, tmp_path, fault, word):
    zone = open_landing(config, folder=tmp_path)
    weather.foreseen.order(fault, method="PUT", word=word, times=1)

    parcel = zone.write_parcel(NAME, ROWS, metadata={})

    assert weather.happened == [("PUT", fault.__name__)]
    assert zone.list_parcels() == (parcel,)
    assert open_landing(config, folder=tmp_path).read_parcel(NAME).equals(ROWS)


@pytest.mark.parametrize("fault", [busy, broken, answer_cut, slow], ids=lambda f: f.__name__)
def test_a_parcel_read_in_bad_weather_comes_whole_or_not_at_all(weather, config, tmp_path, fault):
    zone = open_landing(config, folder=tmp_path)
    zone.write_parcel(NAME, ROWS, metadata={})
    weather.foreseen.order(fault, method="GET", word="parcels/", times=1)

    try:
        found = zone.read_parcel(NAME)
    except StoreUnavailable:
        found = zone.read_parcel(NAME)

    assert weather.happened == [("GET", fault.__name__)]
    assert found.equals(ROWS)


def test_a_bucket_that_does_not_recover_is_transient_and_nothing_is_committed_until_it_does(weather, config, tmp_path):
    zone = open_landing(config, folder=tmp_path)
    weather.foreseen.order(broken, method="PUT", word="manifests/", times=4)

    with pytest.raises(StoreUnavailable, match="nothing was committed") as refused:
        zone.write_parcel(NAME, ROWS, metadata={})
    before = zone.list_parcels()
    parcel = zone.write_parcel(NAME, ROWS, metadata={})

    assert refused.value.transient
    assert before == ()
    assert zone.list_parcels() == (parcel,)


@pytest.mark.server
def test_a_first_copy_through_bad_weather_loses_and_doubles_nothing(
    weather, config, make_database, make_store, tmp_path
):
    world = build_world(make_database, make_store, tmp_path)
    landing = open_landing(config, folder=tmp_path)
    lane = ForwardLane(world.setting("banyan_forward"), landing)
    weather.foreseen.order(answer_lost, method="PUT", word="/t_", times=6, every=3)

    result = world.forward_engine().load(lane, lane.plan_load, rules_digest=world.book.digest)

    assert len(weather.happened) >= 4
    assert result.total.is_balanced
    named = world.place.run("select parcel from mig.chunk order by parcel")
    assert [(parcel.name,) for parcel in landing.list_parcels()] == named
    assert sum(parcel.rows for parcel in landing.list_parcels()) == result.total.rows.read
    assert world.place.run("select count(*), count(distinct (source_table_no, source_key)) from mig.crosswalk") == [
        (result.total.rows.loaded, result.total.rows.loaded)
    ]
