import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from uuid import uuid4

import pytest
from sqlites import CLOSURE, LegacyFile, make_legacy

from banyan.errors import StoreFenced, SwitchUncertain
from banyan.ports import FenceKind, FenceMode, LegacyFence
from banyan.records import KeyRange
from connectors.sqlite_connection import aside_of
from connectors.sqlite_fence import plan_fence
from connectors.sqlite_window import SqliteWindow

KIND = "closed_window"
TABLES = ("dossier", "ligne")
_WRITE = """
import sqlite3, sys, time
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("begin immediate")
base.execute("update dossier set note = 'in flight'")
print("writing", flush=True)
sys.stdin.readline()
base.execute("commit")
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def file(tmp_path) -> LegacyFile:
    made = make_legacy(tmp_path)
    made.run("insert into dossier (id, note) values (1, 'a'), (2, 'b')")
    made.port(KIND).install_capture(str(made.path), TABLES)
    return made


@pytest.fixture
def nonce(file):
    return file.install_fence(kind=KIND)


@pytest.fixture
def window(file, nonce):
    return SqliteWindow(file.path, CLOSURE, timeout_seconds=0.5, settle_seconds=0.05)


def shut(window, nonce, token=5):
    answer = window.close(token, lease_seconds=30, nonce_old=nonce, nonce_new=nonce)
    assert answer.accepted, answer.reason
    return answer


def test_an_open_window_has_no_trigger_and_says_what_it_is(file, window, nonce):
    can = file.port(KIND).capabilities("dossier")

    assert isinstance(window, LegacyFence)
    assert (can.fence.kind, can.fence.lease, can.fence.probe) == (FenceKind.CLOSED_WINDOW, False, True)
    assert "moved aside" in can.note
    assert not any("banyan_fence_" in line for line in plan_fence(CLOSURE, KIND, TABLES))
    assert window.read().mode is FenceMode.OPEN
    assert window.find_open(TABLES) == TABLES
    assert window.check_installed(TABLES) == []


def test_a_shut_window_leaves_nothing_to_open_and_no_place_for_another_file(file, window, nonce):
    before = file.path.stat().st_ino
    answer = shut(window, nonce)

    state = window.read()
    assert (answer.lease_seconds, state.mode, state.lease_seconds, state.is_shut) == (
        None,
        FenceMode.CLOSED,
        None,
        True,
    )
    for how in ("rw", "rwc", "ro"):
        with pytest.raises(sqlite3.OperationalError, match=r"unable to open|disk I/O error"):
            sqlite3.connect(f"file:{file.path}?mode={how}", uri=True).execute("select 1 from dossier")
    assert window.find_open(TABLES) == ()
    assert window.wait_in_flight(5)
    assert window.check_installed(TABLES) == []
    assert file.port(KIND).count("dossier") == 2

    assert window.open(6, nonce_old=nonce).accepted

    assert window.read().mode is FenceMode.OPEN
    assert file.path.stat().st_ino == before
    assert sorted(os.listdir(file.path.parent)) == ["brigade.db"]
    assert file.run("select count(*) from dossier") == [(2,)]


def test_rows_are_written_back_only_while_the_file_stands_aside(file, window, nonce):
    port = file.port(KIND)
    since = port.head()
    shut(window, nonce)
    assert window.seal(5, nonce_old=nonce).accepted
    with port.reverse_session(CLOSURE, 5, nonce=nonce) as session:
        rows = port.read_range("dossier", KeyRange(None, None)).rows
        session.upsert("dossier", rows.with_columns(numero=rows["id"]))
    assert [one.origin.value for one in port.changes(since)] == ["ROUTE", "ROUTE"]

    aside_of(file.path).rename(file.path.with_name("back"))  # somebody puts it back by hand
    file.path.rmdir()
    file.path.with_name("back").rename(file.path)

    assert window.read().mode is FenceMode.OPEN
    assert window.find_open(TABLES) == TABLES
    with pytest.raises(StoreFenced, match="is open"), port.reverse_session(CLOSURE, 5, nonce=nonce):
        pass
    assert file.run("select numero from dossier order by id") == [("1",), ("2",)]


def test_a_window_that_somebody_opened_by_hand_is_not_closed_again_with_the_same_token(file, window, nonce):
    shut(window, nonce)
    file.path.rmdir()
    aside_of(file.path).rename(file.path)

    assert window.close(5, lease_seconds=0, nonce_old=nonce, nonce_new=nonce).reason == "token used"
    assert window.seal(5, nonce_old=nonce).reason == "lease or token lost"
    assert file.path.is_file()
    assert shut(window, nonce, token=6).reason == "closed"


def test_a_writer_in_flight_is_waited_for_and_what_it_wrote_is_there(file, window, nonce):
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE, str(file.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "writing\n"
        with pytest.raises(Exception, match="another program is at work"):
            shut(window, nonce)
        assert file.path.is_file()
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n"

        shut(window, nonce)  # its transaction has ended, and it still holds the file
        assert not window.wait_in_flight(0.3)

        writer.stdin.write("\n")
        writer.stdin.flush()
        writer.wait(10)
        assert window.wait_in_flight(5)
    assert file.port(KIND).read_range("dossier", KeyRange(None, None)).rows["note"].to_list() == ["in flight"] * 2


def test_a_program_that_writes_without_any_lock_is_waited_for(file, window, nonce):
    hold = "import sys, time; f = open(sys.argv[1], 'r+b'); print('held', flush=True); sys.stdin.readline(); f.close()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(file.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        shut(window, nonce)

        assert not window.wait_in_flight(0.3)

        holder.stdin.write("\n")
        holder.stdin.flush()
        holder.wait(10)
    assert window.wait_in_flight(5)


def test_what_a_dead_writer_left_half_done_is_rolled_back(file, window, nonce):
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE.replace("in flight'\"", "in flight'\")\nbase.execute(\"pragma cache_size = 1\"")
         .replace("update dossier", "pragma cache_size = 1\"); base.execute(\"update dossier"), str(file.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout.readline() == "writing\n"
        assert file.path.with_name("brigade.db-journal").exists()
        writer.kill()
    shut(window, nonce)

    assert window.wait_in_flight(5)
    assert file.port(KIND).read_range("dossier", KeyRange(None, None)).rows["note"].to_list() == ["a", "b"]


def test_the_answers_of_the_window_are_those_of_every_door_but_for_the_lease(window, nonce):
    other = uuid4()

    def close(token, known=nonce):
        return window.close(token, lease_seconds=0.01, nonce_old=known, nonce_new=known)

    assert window.seal(5, nonce_old=nonce).reason == "lease or token lost"
    assert (close(5).reason, close(5).reason, window.seal(4, nonce_old=nonce).reason) == (
        "closed", "closed", "lease or token lost",
    )  # fmt: skip
    assert (window.seal(5, nonce_old=nonce).reason, close(5).reason, close(4).reason) == (
        "sealed", "already sealed", "old token",
    )  # fmt: skip
    assert (window.open(4, nonce_old=nonce).reason, close(6, other).reason) == ("old token", "another incarnation")
    assert window.beat(5, nonce_old=nonce, nonce_new=other).accepted
    assert (window.open(6, nonce_old=other).reason, close(6, other).reason) == ("opened", "token used")


def test_a_window_that_was_left_half_way_is_finished_by_asking_again(file, window, nonce):
    aside = aside_of(file.path)
    aside.parent.mkdir()
    file.path.rename(aside)  # a controller died after the move: the row still says open
    assert (window.read().mode, window.find_open(TABLES)) == (FenceMode.CLOSED, TABLES)
    shut(window, nonce)
    assert window.find_open(TABLES) == ()

    with closing(sqlite3.connect(aside)) as base, base:  # a controller died between the row and the move back
        base.execute("update banyan_fence set mode = 'OPEN', token = 6")
    assert window.read().mode is FenceMode.CLOSED
    assert window.open(6, nonce_old=nonce).accepted

    assert window.read().mode is FenceMode.OPEN
    assert file.run("select count(*) from dossier") == [(2,)]


def test_a_file_never_goes_back_over_another_one(file, window, nonce):
    shut(window, nonce)
    file.path.rmdir()
    with closing(sqlite3.connect(file.path)) as decoy, decoy:
        decoy.execute("create table dossier (id)")

    assert not window.probe("dossier")
    assert "another one in its place" in " ".join(one.problem for one in window.check_installed(TABLES))
    with pytest.raises(SwitchUncertain, match="another file stands in its place"):
        window.open(6, nonce_old=nonce)
    with pytest.raises(SwitchUncertain, match="neither open nor shut"):
        window.close(7, lease_seconds=0, nonce_old=nonce, nonce_new=nonce)

    assert file.run("select count(*) from dossier") == [(0,)]
    with closing(sqlite3.connect(aside_of(file.path))) as kept:
        assert kept.execute("select count(*) from dossier").fetchone() == (2,)


def test_a_window_over_a_part_of_the_file_is_a_defect(file, window):
    file.install_fence("code", closure="48.custody", kind=KIND)

    assert "also fenced for 48.custody" in window.check_installed(TABLES)[0].problem
