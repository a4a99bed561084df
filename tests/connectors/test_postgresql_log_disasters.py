"""The log of a server that is killed, and of one that was restored from a backup; on a server of its own."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psycopg
import pytest
from legacies import make_legacy
from logged import TABLES, Logged
from stores import make_store, store_template

from banyan.errors import SourceDrifted
from wire.cluster import Cluster, ClusterPlace, Durability, cluster_home

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

READER = """
import sys
from banyan.departments import SourceRef
from connectors.postgresql import open_postgresql
from connectors.postgresql_log import open_log
from store.key_log import StoreKeyLog
from store.postgres import open_engine
legacy, store, since = sys.argv[1:]
keys = StoreKeyLog(lambda: open_engine(store, pool_size=0), SourceRef("38", "ORION"))
port = open_postgresql(legacy, "orion", capture=open_log(keys))
while True:
    port.changes(since)
"""


@pytest.fixture
def apart(tmp_path, make_store):
    """A legacy server of its own, whose log is read into a store elsewhere."""
    server = Cluster(ClusterPlace(cluster_home(tmp_path, "apart"), Durability.THROWAWAY)).start()
    legacy = make_legacy(server, f"log_{uuid.uuid4().hex[:8]}")
    made = Logged(legacy, make_store(), None)
    made.port = made.open()
    made.port.install_capture(legacy.url(), TABLES)
    yield server, made
    made.port.close()
    server.destroy()


def reader(logged: Logged, since: str) -> subprocess.Popen[bytes]:
    store = logged.place.url("banyan_forward").render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, "-c", READER, logged.legacy.url("banyan_reader"), store, since])


def crash(server: Cluster) -> None:
    """Kill the server as a power cut would, and start it again."""
    os.kill(int((server.place.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    server.start()


def write(logged: Logged, committed: set[str], stop: threading.Event) -> None:
    chance, number = random.Random(1), 1000
    while not stop.is_set():
        try:
            with logged.legacy.connect("orion_app", autocommit=False) as connection:
                while not stop.is_set():
                    keys = [str(number + n) for n in range(5)]
                    number += 5
                    for key in keys:
                        connection.execute("insert into orion.t_dossier (id_dossier) values (%s::numeric)", (key,))
                    if chance.random() < 0.2:
                        connection.rollback()
                    else:
                        connection.commit()
                        committed |= set(keys)
                    time.sleep(0.01)
        except psycopg.OperationalError:
            time.sleep(0.05)


def test_readers_and_servers_that_are_killed_lose_and_double_nothing(apart):
    server, logged = apart
    since, committed, stop = logged.port.head(), set(), threading.Event()
    logged.port.close()
    writer = threading.Thread(target=write, args=(logged, committed, stop))
    writer.start()
    for turn in range(4):
        child = reader(logged, since)
        time.sleep(1.5)
        if turn == 2:
            crash(server)
        child.kill()
        child.wait()
    stop.set()
    writer.join()

    told = [change.key for change in logged.open().changes(since)]

    there = {str(row[0]) for row in logged.legacy.run("select id_dossier from orion.t_dossier")}
    assert len(told) == len(set(told)) == len(there) > 100
    assert set(told) == there >= committed
    # each row of the key log once: nothing was kept by a reader that died before its place
    assert logged.place.run("select count(*) - count(distinct key) from mig.log_key where op = 'I'") == [(0,)]


def test_a_backup_restored_under_the_reader_is_loud_even_when_it_has_grown_past_the_position(apart, tmp_path):
    server, logged = apart
    logged.legacy.run("insert into orion.t_dossier (id_dossier) values (1)")
    since = logged.port.head()
    assert logged.seen(since) == []
    logged.port.close()
    server.stop()
    backup = Path(tmp_path) / "backup"
    shutil.copytree(server.place.data, backup)
    server.start()
    logged.legacy.run("insert into orion.t_dossier (id_dossier) values (2)")
    assert [key for _, key, _ in logged.seen(since)] == ["2"]
    until = logged.port.head()
    logged.port.close()
    logged.port._reader.close()
    server.stop()

    restore(server, backup)

    with pytest.raises(SourceDrifted, match="restored from a backup"):
        logged.port.changes(since)
    logged.legacy.run("insert into orion.t_dossier (id_dossier) select n from generate_series(100, 20000) n")
    for position in (since, until):
        with pytest.raises(SourceDrifted, match="restored from a backup"):
            logged.port.changes(position)


def restore(server: Cluster, backup: Path) -> None:
    """Put a copy of the data folder in its place, with the rights it had."""
    data = server.place.data
    owner = data.stat()
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    for path in [data, *data.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
    data.chmod(0o700)
    server.start()
