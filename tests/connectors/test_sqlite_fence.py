import itertools
import subprocess
import sys
import threading
import time
from contextlib import closing
from uuid import uuid4

import pytest
from sqlites import CLOSURE, LegacyFile, make_legacy

from banyan.errors import ConfigurationError, SourceUnavailable, SwitchRefused
from banyan.ports import FenceKind, FenceMode, LegacyFence
from connectors.sqlite_fence import find_sqlite_writers, plan_fence, remove_sqlite_fence
from connectors.sqlite_holders import look_for_holders

WRITES = (
    "insert into dossier (id) values (99)",
    "update dossier set note = 'z'",
    "delete from dossier",
    "insert into dossier (id) values (1) on conflict (id) do update set note = 'z'",
    "replace into dossier (id) values (1)",
    "insert or ignore into dossier (id) values (97)",
    "update or replace dossier set id = 2 where id = 1",
    "insert into dossier (id) select 98",
    "update dossier set note = (select texte from ligne)",
    "delete from ligne",
    "insert into parent values (1) on conflict do update set id = 1 returning id",
)
_HOLD = "import sqlite3, sys, time; b = sqlite3.connect(sys.argv[1]); b.execute('select count(*) from dossier'); " \
        "print('held', flush=True); time.sleep(60)"  # fmt: skip


@pytest.fixture
def file(tmp_path) -> LegacyFile:
    made = make_legacy(tmp_path)
    made.run("insert into dossier (id, note) values (1, 'a'), (2, 'b')", "insert into ligne values (1, 'A', 1, 'x')")
    made.run("create table parent (id integer primary key)")
    made.run("create table child (id integer primary key, of integer references parent (id) on delete cascade)")
    made.run("insert into parent values (1)", "insert into child values (5, 1)")
    made.port().install_capture(str(made.path), ("dossier", "ligne"))
    return made


@pytest.fixture
def nonce(file):
    return file.install_fence("dossier", "ligne", "parent", "child")


@pytest.fixture
def fence(file, nonce):
    return file.fence()


def shut(fence, nonce, token=5, seconds=30.0):
    answer = fence.close(token, lease_seconds=seconds, nonce_old=nonce, nonce_new=nonce)
    assert answer.accepted, answer.reason
    return answer


def refused(file, *statements):
    """Tell whether the fence refuses the last statement; anything else is an error of the test."""
    with closing(file.connect(timeout=5.0)) as base:
        for line in statements[:-1]:
            base.execute(line)
        base.execute("begin")
        try:
            base.execute(statements[-1]).fetchall()
        except Exception as error:
            assert str(error) == "banyan: moved or moving: closed", error
            return True
        base.execute("rollback")
        return False


def test_a_new_fence_is_open_and_lets_everybody_write(file, fence, nonce):
    state = fence.read()

    assert isinstance(fence, LegacyFence)
    assert (state.mode, state.token, state.nonce, state.is_shut) == (FenceMode.OPEN, 0, nonce, False)
    assert [refused(file, statement) for statement in WRITES] == [False] * len(WRITES)
    assert (fence.probe("dossier"), fence.find_open(("dossier", "ligne"))) == (False, ("dossier", "ligne"))
    assert fence.check_installed(("dossier", "ligne")) == []
    assert file.port().capabilities("dossier").fence.kind is FenceKind.ONLINE


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_shut_fence_refuses_every_kind_of_write_by_everybody(file, fence, nonce, is_sealed):
    shut(fence, nonce)
    if is_sealed:
        assert fence.seal(5, nonce_old=nonce).accepted

    assert [refused(file, statement) for statement in WRITES] == [True] * len(WRITES)
    cascading = ("pragma foreign_keys = on", "delete from parent")
    assert refused(file, *cascading)
    assert refused(file, "pragma recursive_triggers = on", "replace into dossier (id) values (1)")
    assert fence.read().is_shut
    assert fence.find_open(("dossier", "ligne")) == ()
    assert fence.wait_in_flight(1)
    assert file.run("select count(*) from dossier") == [(2,)]


def test_a_cascade_into_a_fenced_table_is_refused_from_outside(file):
    nonce = file.install_fence("child")
    shut(file.fence(), nonce)

    assert refused(file, "pragma foreign_keys = on", "delete from parent")
    assert not refused(file, "insert into parent values (2)")


def test_the_answers_of_the_door_to_old_and_repeated_effects(fence, nonce):
    other = uuid4()

    def answers(*effects):
        return [(said.accepted, said.reason) for said in effects]

    def close(token, known=nonce):
        return fence.close(token, lease_seconds=30, nonce_old=known, nonce_new=known)

    assert answers(close(5), fence.seal(4, nonce_old=nonce), fence.seal(5, nonce_old=nonce), close(5)) == [
        (True, "closed"), (False, "lease or token lost"), (True, "sealed"), (True, "already sealed"),
    ]  # fmt: skip
    assert answers(fence.open(4, nonce_old=nonce), close(6, other), fence.open(6, nonce_old=nonce), close(5)) == [
        (False, "old token"), (False, "another incarnation"), (True, "opened"), (False, "old token"),
    ]  # fmt: skip
    beats = (fence.beat(5, nonce_old=nonce, nonce_new=other), fence.beat(6, nonce_old=nonce, nonce_new=other))
    assert answers(*beats) == [(False, "another token"), (True, "beat")]
    assert answers(close(6, other)) == [(False, "token used")]
    assert fence.read().nonce == other


def test_a_lease_that_ended_lets_writers_in_and_can_be_neither_sealed_nor_renewed(file, fence, nonce):
    shut(fence, nonce, seconds=1.5)
    assert refused(file, WRITES[1])
    time.sleep(1.6)

    assert not refused(file, WRITES[1])
    assert fence.seal(5, nonce_old=nonce).reason == "lease or token lost"
    assert fence.close(5, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).reason == "token used"
    assert not fence.read().is_shut
    assert not fence.probe("dossier")


def test_a_seal_that_waited_behind_a_writer_judges_the_lease_after_the_wait(file, fence, nonce):
    shut(fence, nonce, seconds=0.6)
    with closing(file.connect()) as writer:
        writer.execute("begin immediate")
        writer.execute("insert into code values ('elsewhere', 'x')")
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(fence.seal(5, nonce_old=nonce)))
        waiting.start()
        time.sleep(0.8)
        writer.execute("commit")
        waiting.join(10)

    assert answers[0].reason == "lease or token lost"


def test_a_close_waits_for_a_writer_in_flight_and_later_writers_are_refused(file, fence, nonce):
    answers = []
    with closing(file.connect(timeout=5.0)) as writer:
        writer.execute("begin immediate")
        writer.execute("update dossier set note = 'in flight' where id = 1")
        waiting = threading.Thread(target=lambda: answers.append(shut(fence, nonce)))
        waiting.start()
        time.sleep(0.2)
        assert answers == []
        assert not fence.wait_in_flight(0.1)
        writer.execute("commit")
        waiting.join(10)

    assert answers[0].accepted
    assert file.run("select note from dossier where id = 1") == [("in flight",)]
    assert refused(file, WRITES[1])


def test_a_close_behind_a_long_writer_gives_up_and_changes_nothing(file, nonce):
    fence = file.fence(timeout_seconds=0.2)
    with closing(file.connect()) as writer:
        writer.execute("begin immediate")
        with pytest.raises(SourceUnavailable, match="another program is at work"):
            shut(fence, nonce)
        writer.execute("rollback")

    assert fence.read().mode is FenceMode.OPEN


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_reader_from_before_the_close_that_turns_writer_is_refused(file, fence, nonce, mode):
    file.run(f"pragma journal_mode = {mode}")
    with closing(file.connect()) as late:
        late.execute("begin")
        late.execute("select count(*) from dossier").fetchall()
        if mode == "wal":
            shut(fence, nonce)
        else:  # the commit of the close waits for the reader: nothing has happened when it gives up
            with pytest.raises(SourceUnavailable):
                shut(file.fence(timeout_seconds=0.2), nonce)
            late.execute("commit")
            shut(fence, nonce)
            late.execute("begin")
        with pytest.raises(Exception, match=r"locked|banyan: moved or moving"):
            late.execute("update dossier set note = 'late'")

    assert file.run("select count(*) from dossier where note = 'late'") == [(0,)]


def test_every_program_that_writes_at_once_is_either_before_the_close_or_refused(file, fence, nonce):
    written, told = [], []

    def work(who):
        with closing(file.connect(timeout=20)) as base:
            for number in itertools.count():
                try:
                    base.execute("insert into ligne values (?, 'w', ?, '')", (100 + who, number))
                    time.sleep(0.002)
                except Exception as error:
                    told.append(str(error))
                    return
                written.append((100 + who, number))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while len(written) < 30 and time.monotonic() < until:
        time.sleep(0.01)
    shut(file.fence(timeout_seconds=20), nonce)
    here = file.run("select count(*) from ligne where code = 'w'")
    for thread in threads:
        thread.join()

    assert told == ["banyan: moved or moving: closed"] * 3
    assert file.run("select count(*) from ligne where code = 'w'") == here == [(len(written),)]
    assert len(written) >= 30


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        ("drop trigger banyan_fence_update_dossier", "is missing"),
        ("drop table ligne", "no such table"),
        ("alter table dossier rename to dossiers", "no such table"),
        ("delete from banyan_fence", "no row of the fence"),
    ],
)
def test_a_fence_that_was_tampered_with_is_found(file, fence, nonce, sabotage, problem):
    file.run(sabotage)

    told = [defect.problem for defect in fence.check_installed(("dossier", "ligne"))]

    assert any(problem in one for one in told), told


def test_a_trigger_that_lets_everybody_in_is_found_and_made_again(file, fence, nonce):
    file.run(
        "drop trigger banyan_fence_update_dossier",
        "create trigger banyan_fence_update_dossier before update on dossier begin select 1; end",
    )
    shut(fence, nonce)
    assert fence.find_open(("dossier", "ligne")) == ("dossier",)
    assert "is not the one that was installed" in fence.check_installed(("dossier",))[0].problem

    assert file.install_fence("dossier", "ligne", "parent", "child") == nonce

    assert fence.check_installed(("dossier",)) == []
    assert (fence.read().mode, fence.find_open(("dossier",))) == (FenceMode.CLOSED, ())


def test_a_table_made_anew_under_the_name_of_a_fenced_one_is_found(file, fence, nonce):
    shut(fence, nonce)
    file.run("create table neu as select * from dossier", "alter table dossier rename to alt",
             "alter table neu rename to dossier")  # fmt: skip

    assert fence.find_open(("dossier", "ligne")) == ("dossier",)
    assert {defect.table for defect in fence.check_installed(("dossier", "ligne"))} == {"dossier"}
    assert refused(file, "update alt set note = 'z'")


def test_a_fence_row_that_is_gone_refuses_everybody(file, fence, nonce):
    file.run("delete from banyan_fence")

    assert refused(file, WRITES[0])
    with pytest.raises(ConfigurationError, match="no fence is installed"):
        fence.read()


def test_an_empty_table_is_proved_by_its_triggers_and_its_fence(file):
    nonce = file.install_fence("code")
    fence = file.fence()
    assert not fence.probe("code")
    shut(fence, nonce)

    assert fence.probe("code")

    file.run("drop trigger banyan_fence_insert_code")
    assert not fence.probe("code")


def test_the_plan_shows_every_statement_and_a_fence_is_removed_only_while_open(file):
    with closing(file.connect()) as base:
        for line in plan_fence(CLOSURE, "triggers", ("dossier",)):
            base.execute(line)
    nonce = file.install_fence("dossier")
    fence = file.fence()
    assert fence.check_installed(("dossier",)) == []
    shut(fence, nonce)
    with pytest.raises(SwitchRefused, match="is CLOSED"):
        remove_sqlite_fence(file.path, CLOSURE, ("dossier",))
    with pytest.raises(SwitchRefused, match="was not made closed_window"):
        file.install_fence("dossier", kind="closed_window")

    fence.open(6, nonce_old=nonce)
    remove_sqlite_fence(file.path, CLOSURE, ("dossier",))

    assert not refused(file, WRITES[0])
    assert file.run("select name from sqlite_master where name like 'banyan_fence_%'") == []


def test_a_program_that_has_the_file_open_is_seen(file):
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(file.path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        found = find_sqlite_writers(file.path, ("dossier", "ligne"))
        seen = {one.process for one in look_for_holders([file.path]).holders}
        holder.kill()

    assert {one.table for one in found} == {"dossier", "ligne"}
    assert seen == {holder.pid}
    assert look_for_holders([file.path]).holders == ()
