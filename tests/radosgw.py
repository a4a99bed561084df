"""A real Ceph object gateway on loopback: one monitor, one store in memory, one gateway; for torture tests only."""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "ceph")
_CONFIG = """\
[global]
fsid = {fsid}
mon initial members = a
mon host = 127.0.0.1:{mon}
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
osd data = {folder}/osd
mon data = {folder}/mon
[mon.a]
mon addr = 127.0.0.1:{mon}
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{rgw}
rgw enable usage log = false
"""


@dataclass(frozen=True)
class Gateway:
    """Where the gateway answers, and the keys of its one user."""

    endpoint: str
    access_key: str
    secret_key: str


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def find_missing() -> list[str]:
    """Name the programs of Ceph that are not installed here."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def open_gateway(folder: Path) -> Iterator[Gateway]:
    """Start the three daemons in a folder, and end them by their process ids."""
    mon, rgw = free_port(), free_port()
    fsid = str(uuid.uuid4())
    config = folder / "ceph.conf"
    config.write_text(_CONFIG.format(fsid=fsid, folder=folder, mon=mon, rgw=rgw))
    for name in ("mon", "osd"):
        (folder / name).mkdir()

    def call(*command: str, timeout: float = 60) -> str:
        environment = {**os.environ, "CEPH_CONF": str(config)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)
        assert done.returncode == 0, (command, done.stderr[-2000:])
        return done.stdout

    base = ("-c", str(config))
    keyring = str(folder / "keyring")
    caps = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
    call("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "osd.0", "client.rgw"):
        call("ceph-authtool", keyring, "--gen-key", "-n", name, *caps)
    call("monmaptool", "--create", "--add", "a", f"127.0.0.1:{mon}", "--fsid", fsid, str(folder / "monmap"))
    call("ceph-mon", *base, "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", keyring)
    started = []
    try:
        started.append(subprocess.Popen(["ceph-mon", *base, "-i", "a", "-f"], stderr=subprocess.DEVNULL))
        osd_id = json.loads(call("ceph", *base, "osd", "new", fsid, "--format", "json"))["osdid"]
        assert osd_id == 0
        call("ceph", *base, "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=here")
        call("ceph-osd", *base, "-i", "0", "--mkfs", "--osd-uuid", fsid)
        started.append(subprocess.Popen(["ceph-osd", *base, "-i", "0", "-f"], stderr=subprocess.DEVNULL))
        started.append(subprocess.Popen(["radosgw", *base, "-n", "client.rgw", "-f"], stderr=subprocess.DEVNULL))
        _wait(rgw)
        made = call("radosgw-admin", *base, "user", "create", "--uid=tests", "--display-name=tests", timeout=120)
        keys = json.loads(made)["keys"][0]
        yield Gateway(f"http://127.0.0.1:{rgw}", keys["access_key"], keys["secret_key"])
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the gateway did not answer in two minutes")
