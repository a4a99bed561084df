"""Writers who do not stop while the fence of a table without transactions closes: none passes, none half way."""

import itertools
import threading
import time

import pymysql
import pytest

from banyan.errors import SourceUnavailable
from connectors.mariadb_connection import FENCED, ask

pytestmark = pytest.mark.mariadb

TOKEN = 5
MANY = 50
TABLE = """create table sorti (id int unsigned auto_increment primary key, texte varchar(40), rang int,
  maj datetime default null on update current_timestamp, key (texte)) engine = {engine}"""
LATER = ("insert into sorti (texte) values ('late')", "update sorti set texte = 'late'", "delete from sorti",
         "replace into sorti (id, texte) values (1, 'late')", "insert delayed into sorti (texte) values ('late')",
         "insert ignore into sorti (texte) values ('late')")  # fmt: skip


@pytest.fixture(params=["myisam", "aria"])
def engine(request):
    return request.param


@pytest.fixture
def nonce(engine, marel):
    marel.run(
        TABLE.format(engine=engine),
        f"insert into sorti (texte, rang) select 'first', seq from seq_1_to_{MANY}",
        f"insert into sorti (id, texte, rang) select 10000 + seq, 'first', seq from seq_1_to_{MANY}",
        "insert into dossier (id, note) values (1, 'a')",
    )
    return marel.install_fence("sorti", "dossier")


def listed(tag):
    return ", ".join([f"('{tag}')"] * MANY)


def by_values(connection, tag):
    ask(connection, f"insert into sorti (texte) values {listed(tag)}")


def by_select(connection, tag):
    ask(connection, f"insert into sorti (texte, rang) select '{tag}', seq from seq_1_to_{MANY}")


def by_update(connection, tag):
    ask(connection, f"update sorti set texte = '{tag}' where id <= {MANY}")


def by_replace(connection, tag):
    ask(connection, f"replace into sorti (id, texte) select 10000 + seq, '{tag}' from seq_1_to_{MANY}")


def by_upsert(connection, tag):
    ask(connection, f"insert into sorti (id, texte) select 10000 + seq, '{tag}' from seq_1_to_{MANY}"
        f" on duplicate key update texte = '{tag}'")  # fmt: skip


def by_delete(connection, tag):
    by_select(connection, tag)
    ask(connection, f"delete from sorti where texte = '{tag}'")


def delayed(connection, tag):
    ask(connection, f"insert delayed into sorti (texte) values {listed(tag)}")


def in_a_transaction(connection, tag):
    ask(connection, "start transaction")
    ask(connection, "update dossier set note = 'b' where id = 1")
    by_values(connection, f"{tag} a")
    time.sleep(0.15)
    by_select(connection, f"{tag} b")
    ask(connection, "rollback")


WAYS = (by_values, by_select, by_update, by_replace, by_upsert, by_delete, delayed, in_a_transaction)


class Writer(threading.Thread):
    """Writes in one way until told to stop; a refusal by the fence is counted, anything else ends it."""

    def __init__(self, marel, way, file):
        super().__init__(daemon=True)
        self._marel, self._way, self._file = marel, way, file
        self.done, self.refused, self.failed, self.stop = 0, 0, None, threading.Event()

    def run(self):
        connection = pymysql.connect(
            host="127.0.0.1", port=self._marel.server.port, user="marel_app", database=self._marel.schema,
            autocommit=True, local_infile=True,
        )  # fmt: skip
        for number in itertools.count():
            if self.stop.is_set():
                break
            tag = f"{getattr(self._way, '__name__', 'load')} {self._file.name} {number}"
            try:
                if self._way is None:
                    self._file.write_text(f"{tag}\n" * MANY)
                    ask(connection, f"load data local infile '{self._file}' into table sorti (texte)")
                else:
                    self._way(connection, tag)
                self.done += 1
            except pymysql.MySQLError as error:
                if error.args[0] == FENCED:
                    self.refused += 1
                    connection.rollback()
                elif error.args[0] not in (1205, 1213):  # two writers of the row with transactions
                    self.failed = error
                    break
        connection.close()


def until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stands(marel):
    return marel.run("select count(*), sum(crc32(concat_ws('|', id, texte, rang, maj))) from sorti")


def test_once_the_close_is_answered_no_row_changes_any_more_and_no_statement_is_half_done(
    marel, nonce, tmp_path, engine
):
    ways = [way for way in (*WAYS, None, by_values, by_select) if engine == "myisam" or way is not delayed]
    writers = [Writer(marel, way, tmp_path / f"w{n}") for n, way in enumerate(ways)]
    for writer in writers:
        writer.start()
    try:
        until(lambda: all(writer.done >= 2 or writer.failed for writer in writers))
        with marel.fence(timeout_seconds=5) as fence:
            assert fence.close(TOKEN, lease_seconds=120, nonce_old=nonce, nonce_new=nonce).accepted
            assert fence.wait_in_flight(10)
            after = stands(marel)
            was = [writer.refused for writer in writers]
            until(lambda: all(w.refused > before + 3 or w.failed for w, before in zip(writers, was, strict=True)))
            later = stands(marel)
            assert fence.seal(TOKEN, nonce_old=nonce).accepted
    finally:
        for writer in writers:
            writer.stop.set()
        for writer in writers:
            writer.join(20)

    assert [writer.failed for writer in writers] == [None] * len(writers)
    assert later == after == stands(marel)
    halves = marel.run(f"select texte, count(*) from sorti where id <= {MANY} or id > 10000 group by texte"
                       f" having count(*) % {MANY} <> 0")  # fmt: skip
    assert halves == []
    with marel.connect("marel_app") as people:
        for statement in (one for one in LATER if engine == "myisam" or "delayed" not in one):
            with pytest.raises(pymysql.MySQLError) as refused:
                ask(people, statement)
            assert refused.value.args[0] == FENCED
    assert stands(marel) == after


def test_a_close_waits_for_a_statement_in_flight_and_for_a_transaction_that_wrote_there(marel, nonce):
    slow = "insert into sorti (texte, rang) select concat('slow', sleep(0.02)), seq from seq_1_to_60"
    thread = threading.Thread(target=lambda: marel.run(slow, account="marel_app"))
    thread.start()
    until(lambda: marel.run("select count(*) from sorti where texte like 'slow%'")[0][0] > 5)
    with marel.fence(timeout_seconds=10) as fence:
        assert fence.close(TOKEN, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted
        at_once = marel.run("select count(*) from sorti where texte like 'slow%'")
        assert fence.open(TOKEN + 1, nonce_old=nonce).accepted
    thread.join()
    with marel.fence(timeout_seconds=1) as fence, marel.connect("marel_app", autocommit=False) as writer:
        ask(writer, "insert into sorti (texte) values ('kept')")
        with pytest.raises(SourceUnavailable, match="1205"):
            fence.close(TOKEN + 2, lease_seconds=60, nonce_old=nonce, nonce_new=nonce)
        in_flight = fence.wait_in_flight(1)
        patience = ask(writer, "select @@session.innodb_lock_wait_timeout = @@global.innodb_lock_wait_timeout")
        writer.rollback()
        assert fence.close(TOKEN + 2, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted

    assert at_once == [(60,)]
    assert (in_flight, patience) == (False, [(1,)])
    assert marel.run("select count(*) from sorti where texte = 'kept'") == [(1,)]


def test_who_holds_the_table_locked_does_not_write_past_the_fence_and_nobody_waits_for_ever(marel, nonce):
    with marel.connect("marel_app") as holder:
        marel.run(f"grant lock tables on {marel.schema}.* to marel_app@'%'")
    with marel.fence(timeout_seconds=1) as fence, marel.connect("marel_app") as holder:
        ask(holder, "lock tables sorti write, dossier write")
        ask(holder, "insert into sorti (texte) values ('before')")
        began = time.monotonic()
        closed = fence.close(TOKEN, lease_seconds=60, nonce_old=nonce, nonce_new=nonce).accepted
        after = None
        try:
            ask(holder, "insert into sorti (texte) values ('late')")
        except pymysql.MySQLError as error:
            after = error.args[0]
        with pytest.raises(SourceUnavailable, match="1205"):
            fence.probe("sorti")
        waited = time.monotonic() - began
        ask(holder, "unlock tables")

        assert (closed, after) == (True, FENCED)
        assert fence.probe("sorti") is True
    assert waited < 20
    assert marel.run("select count(*) from sorti where texte in ('before', 'late')") == [(1,)]


def test_who_may_empty_alter_or_drop_the_table_is_named_and_told_what_to_revoke(marel, nonce):
    marel.run(f"grant drop, alter on {marel.schema}.sorti to marel_app@'%'")
    try:
        with marel.fence() as fence:
            problems = {defect.table: defect.problem for defect in fence.check_installed(["sorti", "dossier"])}
    finally:
        marel.run(f"revoke drop, alter on {marel.schema}.sorti from marel_app@'%'")

    assert list(problems) == ["sorti"]
    assert "no trigger fires for TRUNCATE, DROP and ALTER" in problems["sorti"]
