import json
import os
import pwd
import random
import secrets
import shutil
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pymysql
import pytest
from mariadbs import make_legacy

from banyan.errors import BanyanError, ConfigurationError, SourceDrifted, SourceUnavailable
from banyan.records import KEY_SEPARATOR, KeyRange, Operation
from connectors.mariadb import open_mariadb
from connectors.mariadb_connection import ask
from connectors.mariadb_log import open_mariadb_log
from wire.cluster import ClusterPlace, Durability, cluster_home
from wire.mariadb import MariaDBServer, find_mariadb

pytestmark = pytest.mark.mariadb

TAKEN_BACK = (1213, 1205)  # a deadlock; a lock that was not given in time
FOLLOWED = ("dossier", "ligne", "personne", "vieux")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    """A server that tests of this file stop, kill and empty."""
    home = cluster_home(tmp_path_factory.mktemp("own"), "own")
    server = MariaDBServer(ClusterPlace(home, Durability.THROWAWAY)).start()
    yield server
    server.destroy()


def test_the_programs_of_mariadb_are_found_on_this_machine():
    found = find_mariadb()

    assert found is not None
    assert (found.server.name, found.installer.name) == ("mariadbd", "mariadb-install-db")


def test_a_server_that_is_created_takes_nothing_from_one_that_runs(own_server, tmp_path_factory):
    shared = Path("/tmp")
    table = shared / f"#sql-temptable-{secrets.token_hex(8)}"
    table.touch()
    os.chown(table, own_server.place.data.stat().st_uid, -1)
    home = cluster_home(tmp_path_factory.mktemp("other"), "other")
    other = MariaDBServer(ClusterPlace(home, Durability.THROWAWAY)).start()
    try:
        assert table.exists()
    finally:
        other.destroy()
        table.unlink(missing_ok=True)


def target_of(port, tables=FOLLOWED):
    return {table: dict(_keyed(port, port.read_range(table, KeyRange(None, None)).rows, table)) for table in tables}


def _keyed(port, rows, table):
    key = port.key_columns(table)
    for row in rows.iter_rows(named=True):
        yield KEY_SEPARATOR.join(row[name] for name in key), row


def apply(port, target, changes, applied):
    """Do what the forward lane does: read the rows of the changed keys as they are now."""
    by_table = {}
    for change in changes:
        by_table.setdefault(change.table, []).append(change.key)
    for table, keys in by_table.items():
        applied.extend((table, key) for key in keys)
        found = dict(_keyed(port, port.read_keys(table, keys).rows, table))
        for key in keys:
            if key in found:
                target[table][key] = found[key]
            else:
                target[table].pop(key, None)


def work(marel, number, is_over, tally):
    """One application: single changes, long transactions, changed keys, rollbacks, cascades."""
    chance = random.Random(number)
    low = 1000 * (number + 1)
    with marel.connect("marel_app", autocommit=False) as connection:
        ask(connection, "set lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
        while not is_over():
            done = 0
            for _ in range(chance.choice((1, 1, 1, 12))):
                key = low + chance.randrange(200)
                statement = chance.choice((
                    f"insert into dossier (id, numero) values ({key}, 'n') on duplicate key update numero = 'm{key}'",
                    f"update dossier set note = '{chance.random()}' where id between {key} and {key + 3}",
                    f"delete from dossier where id = {key}",
                    f"insert ignore into ligne values ({key}, 'A', {chance.randrange(5)}, 'x')",
                    f"update ignore ligne set rang = rang + 10 where id = {key} and rang < 1000",
                    f"insert ignore into chef values ({key}, 'c')",
                    f"insert ignore into personne select id * 10 + seq, 'p', id from chef, seq_1_to_3 where id = {key}",
                    f"delete from chef where id = {key}",
                    f"insert into vieux values ({key}, 'v') on duplicate key update texte = '{chance.random()}'",
                ))  # fmt: skip
                try:
                    with connection.cursor() as cursor:
                        done += cursor.execute(statement)
                except pymysql.err.OperationalError as error:  # two people met: the server took one of them back
                    assert error.args[0] in TAKEN_BACK
                    done = None
                    break
            if done is None or chance.random() < 0.15:
                connection.rollback()
            else:
                connection.commit()
                tally[number] += done
            time.sleep(0.01)


class Kept:
    """What a store that holds these rows knows of their keys."""

    def __init__(self, target):
        self.target = target

    def find(self, table, key):
        return list(self.target.get(table, ()))


def alter_and_empty(done, marel, is_over):
    """What an administrator does in the middle: adds columns anywhere, rewrites tables, empties them, fills them."""
    turn = 0
    with marel.connect() as connection:
        ask(connection, "set lock_wait_timeout = 1, innodb_lock_wait_timeout = 1")
        while not is_over():
            turn += 1
            for statement in (
                "set session binlog_format = 'ROW'",
                "alter table dossier add column if not exists autre int default 7 first",
                f"alter table ligne modify column texte varchar({20 + turn}) after rang",
                "truncate table vieux",
                f"insert ignore into vieux values ({turn}, 'again')",
                "alter table dossier drop column if exists autre",
                "set statement foreign_key_checks = 0 for truncate table personne",
                "set session binlog_format = 'STATEMENT'",
                f"update dossier set note = 'statement {turn}' where id % 7 = 0",
            ):
                try:
                    ask(connection, statement)
                    done[" ".join(statement.split()[:3])] += 1
                except pymysql.err.OperationalError as error:  # somebody was in the way for too long
                    assert error.args[0] in TAKEN_BACK
            time.sleep(0.2)


def proof(marel, seconds, changes, beside=None):
    """Copy, follow under load, drain; gives target, truth, the number of changes and how often each key was applied.

    People write for so long, and until they have made so many changes: a slow machine takes its time.
    """
    target = {}
    with marel.port("log" if beside is None else open_mariadb_log(Kept(target)), FOLLOWED) as port:
        port.install_capture(marel.url(), ("dossier", "ligne", "personne"))
        position = port.head()
        tally = [0] * 4
        least, most = (time.monotonic() + some for some in (seconds, 300))

        def is_over():
            return time.monotonic() > most or (time.monotonic() > least and sum(tally) > changes)

        writers = [threading.Thread(target=work, args=(marel, number, is_over, tally)) for number in range(4)]
        if beside is not None:
            writers.append(threading.Thread(target=beside, args=(marel, is_over)))
        for writer in writers:
            writer.start()
        target |= target_of(port)
        applied = []
        while any(writer.is_alive() for writer in writers):
            head = port.head()
            apply(port, target, port.changes(position, head), applied)
            position = head
        for writer in writers:
            writer.join()
        apply(port, target, port.changes(position), applied)
        return target, target_of(port), sum(tally), applied


def test_a_copy_that_follows_a_busy_database_ends_equal_to_it_row_by_row(marel):
    target, truth, changed, applied = proof(marel, 4, changes=300)

    assert target == truth
    assert changed > 300
    assert len(applied) > 100


def test_tables_altered_emptied_and_written_by_statements_in_the_middle_end_equal_row_by_row(marel):
    done = Counter()
    target, truth, changed, _ = proof(marel, 4, changes=200, beside=partial(alter_and_empty, done))

    assert {table: rows.keys() for table, rows in target.items()} == {t: rows.keys() for t, rows in truth.items()}
    assert target == truth
    assert changed > 200
    assert min(done[what] for what in ("truncate table vieux", "alter table ligne", "update dossier set")) > 0


@pytest.mark.parametrize(
    "statement",
    [
        "truncate table dossier",
        "/* by night */ truncate dossier",
        "alter table dossier add column neuf int first",
        "alter table dossier modify column montant decimal(14,2) after id, add column neuf int",
        "alter table dossier engine = innodb",
        "rename table dossier to autre, autre to dossier",
        "create or replace table dossier (id int unsigned auto_increment primary key, numero char(12))",
        "set statement binlog_format = 'STATEMENT' for delete from dossier where id > 2",
    ],
)
def test_what_the_log_does_not_name_by_row_is_every_key_that_stands_there_or_is_known(marel, statement):
    marel.run("insert into dossier (id) values (1), (2), (3)", "insert into vieux values (5, 'v')")
    with marel.port(open_mariadb_log(Kept({"dossier": {"1": {}, "2": {}, "3": {}, "9": {}}})), FOLLOWED) as port:
        since = port.head()
    marel.run("update dossier set note = 'x' where id = 1", "insert into dossier (id) values (4)", statement)
    marel.run("insert into dossier (id) values (6)", "update vieux set texte = 'w'")
    with marel.port(open_mariadb_log(Kept({"dossier": {"1": {}, "2": {}, "3": {}, "9": {}}})), FOLLOWED) as port:
        told = {(change.table, change.key): change.operation for change in port.changes(since)}
        there = set(port.read_range("dossier", KeyRange(None, None)).rows["id"].to_list())
        quiet = port.changes(port.head())

    assert told.pop(("vieux", "5")) is Operation.UPDATE
    assert {key for _, key in told} == there | {"1", "2", "3", "9"}
    assert {key for (_, key), operation in told.items() if operation is not Operation.DELETE} == there
    assert "6" in there
    assert quiet == []


def test_what_changes_no_row_of_a_table_does_not_make_it_be_read_again(marel):
    with marel.port(open_mariadb_log(Kept({})), FOLLOWED) as port:
        marel.run("insert into dossier (id) values (1), (2)")
        since = port.head()
        marel.run(
            "create index par_numero on dossier (numero)",
            "alter table dossier add index par_saisi (saisi)",
            "alter table vrac add column autre int",
            "truncate table vrac",
            "analyze table dossier",
            "insert into dossier (id) values (3)",
        )

        assert [change.key for change in port.changes(since)] == ["3"]


def test_a_transaction_prepared_before_the_position_sweeps_every_table_when_it_commits(marel):
    marel.run("insert into dossier (id) values (1)", "insert into vieux values (7, 'v')")
    with marel.port(open_mariadb_log(Kept({"ligne": {"9\x1fA\x1f1": {}}})), FOLLOWED) as port:
        with marel.connect() as connection:
            for line in ("xa start 'b'", "insert into dossier (id) values (5)", "xa end 'b'", "xa prepare 'b'"):
                ask(connection, line)
        since = port.head()
        marel.run("xa commit 'b'")

        keys = {(change.table, change.key) for change in port.changes(since)}

    assert keys == {("dossier", "1"), ("dossier", "5"), ("vieux", "7"), ("ligne", "9\x1fA\x1f1")}


def test_rows_that_a_cascade_took_unwritten_are_found_by_a_sweep_of_their_table(marel):
    marel.run("insert into chef values (1, 'a')", "insert into personne values (10, 'x', 1), (11, 'y', null)")
    with marel.port(open_mariadb_log(Kept({"personne": {"10": {}, "11": {}}})), FOLLOWED) as port:
        since = port.head()
        marel.run("delete from chef", account="marel_app")

        told = {(change.table, change.key): change.operation for change in port.changes(since)}

    assert told == {("personne", "10"): Operation.DELETE, ("personne", "11"): Operation.UPDATE}


@pytest.mark.torture
def test_a_copy_that_follows_a_busy_database_for_long_ends_equal_to_it(marel):
    target, truth, changed, _ = proof(marel, 30, changes=8_000)

    assert target == truth
    assert changed > 8_000


def test_a_reader_that_dies_goes_on_from_its_position_and_nothing_is_lost_or_doubled(marel):
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("insert into dossier (id) select seq from seq_1_to_500")
        middle = port.head()
        first = [change.key for change in port.changes(since, middle)]
    marel.run("insert into dossier (id) select seq from seq_501_to_700")
    with marel.port("log", FOLLOWED) as port:
        again = [change.key for change in port.changes(since, middle)]
        rest = [change.key for change in port.changes(middle)]

    assert first == again
    assert sorted(map(int, first + rest)) == list(range(1, 701))


def test_the_log_goes_on_in_another_file(marel):
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("insert into dossier (id) values (1)", "flush binary logs", "insert into dossier (id) values (2)")
        middle = port.head()
        marel.run("flush binary logs", "flush binary logs", "insert into dossier (id) values (3)")

        assert [change.key for change in port.changes(since, middle)] == ["1", "2"]
        assert [change.key for change in port.changes(middle)] == ["3"]
        assert [change.key for change in port.changes(since)] == ["1", "2", "3"]


def test_what_a_table_without_transactions_keeps_after_a_rollback_is_seen(marel):
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        with marel.connect(autocommit=False) as connection:
            ask(connection, "insert into dossier (id) values (1)")
            ask(connection, "insert into vieux values (7, 'kept')")
            connection.rollback()
        marel.run("update vieux set texte = 'z' where id = 7")

        keys = {(change.table, change.key) for change in port.changes(since)}

    assert ("vieux", "7") in keys
    assert marel.run("select * from vieux") == [(7, "z")]


def test_a_writer_outside_the_log_is_not_seen_but_the_count_tells(marel):
    with marel.port("log", FOLLOWED) as port:
        since, before = port.head(), port.count("dossier")
        marel.run("set sql_log_bin = 0", "insert into dossier (id) values (5)")

        assert port.changes(since) == []
        assert port.count("dossier") - before == 1


def test_a_write_as_a_statement_is_loud(marel):
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("set session binlog_format = 'STATEMENT'", "insert into dossier (id) values (5)")

        with pytest.raises(SourceDrifted, match="dossier was truncated, altered or written by a statement"):
            port.changes(since)


def test_a_transaction_in_two_phases_is_told_when_it_commits_and_loud_when_it_began_before(marel):
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        with marel.connect() as connection:
            for line in ("xa start 'a'", "insert into dossier (id) values (5)", "xa end 'a'", "xa prepare 'a'"):
                ask(connection, line)
        middle = port.head()
        marel.run("xa commit 'a'")

        assert [(change.key, change.operation) for change in port.changes(since)] == [("5", Operation.INSERT)]
        with pytest.raises(SourceDrifted, match="two phases"):
            port.changes(middle)


def test_a_cascade_that_nothing_wrote_down_is_loud(marel):
    marel.run("insert into chef values (1, 'a')", "insert into personne values (10, 'x', 1)")
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("update chef set nom = 'b'", account="marel_app")
        marel.run("delete from chef", account="marel_app")

        with pytest.raises(SourceDrifted, match="chef reached rows of personne"):
            port.changes(since)


def test_a_server_killed_under_load_comes_back_with_every_change_it_committed(own_server):
    marel = make_legacy(own_server)
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("insert into dossier (id) select seq from seq_1_to_50")
        own_server.kill()
        with pytest.raises((SourceUnavailable, ConfigurationError)):
            port.changes(since)
        own_server.start()
        marel.run("insert into dossier (id) values (60)")

        keys = {change.key for change in port.changes(since)}
        rows = port.read_range("dossier", KeyRange(None, None)).rows["id"].to_list()

    assert set(rows) <= keys
    assert "60" in keys


def lengthen_log(marel):
    """Make the log long enough to be worth not reading it."""
    marel.run("create database if not exists beside", "create table if not exists beside.long_one (a longtext)",
              *["insert into beside.long_one values (repeat('x', 6 << 20))"] * 3)  # fmt: skip


def test_the_file_of_a_long_log_is_not_read_again_for_a_place_that_the_server_just_told(own_server):
    marel = make_legacy(own_server)
    asked = "select count(*) from mysql.general_log where argument like '%binlog_gtid_pos(%'"
    with marel.port("log", FOLLOWED) as port:
        lengthen_log(marel)
        since = begun = port.head()
        marel.run("set global log_output = 'TABLE'", "truncate table mysql.general_log", "set global general_log = 1")
        told = []
        for number in range(3):
            marel.run(f"insert into dossier (id) values ({number + 1})")
            until = port.head()
            told.append([change.key for change in port.changes(since, until)])
            since = until
        quiet = port.changes(since)
        with marel.port("log", FOLLOWED) as another:  # it was told nothing yet
            again = another.changes(begun)
        marel.run("set global general_log = 0")

    assert (told, quiet, len(again)) == ([["1"], ["2"], ["3"]], [], 3)
    assert marel.run(asked) == [(1,)]


def test_the_place_of_the_head_has_the_gtid_that_the_log_has_there_while_people_write(own_server):
    marel = make_legacy(own_server)
    lengthen_log(marel)
    stop = threading.Event()

    def write(hand):
        number = hand * 1_000_000
        while not stop.is_set():
            number += 1
            marel.run(f"insert into dossier (id) values ({number})")

    hands = [threading.Thread(target=write, args=(hand,)) for hand in range(3)]
    for hand in hands:
        hand.start()
    with marel.port("log", FOLLOWED) as port:
        heads, until = [], time.monotonic() + 30
        while len({head["gtid"] for head in heads}) <= 5 and time.monotonic() < until:
            heads += [json.loads(port.head())["log"] for _ in range(60)]
        stop.set()
        for hand in hands:
            hand.join()
        heads += [json.loads(port.head())["log"]]

    for head in heads:
        assert marel.run(f"select binlog_gtid_pos('{head['file']}', {head['position']})") == [(head["gtid"],)]
    assert len({head["gtid"] for head in heads}) > 5


def test_a_purged_log_stops_loudly(own_server):
    marel = make_legacy(own_server)
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        marel.run("insert into dossier (id) values (1)", "flush binary logs")
        (last, *_) = marel.run("show master status")[0]
        until = time.monotonic() + 10
        while len(marel.run("show binary logs")) > 1 and time.monotonic() < until:  # a reader still lets go of it
            marel.run(f"purge binary logs to '{last}'")
            time.sleep(0.1)

        with pytest.raises(SourceDrifted, match="purged"):
            port.changes(since)
        assert port.changes(port.head()) == []


def test_a_log_begun_anew_is_another_history_even_at_the_same_place(own_server):
    marel = make_legacy(own_server)
    marel.run("reset master", "insert into dossier (id) values (1)")
    with marel.port("log", FOLLOWED) as port:
        since = port.head()
        time.sleep(1.1)
        marel.run("reset master", "insert into dossier (id) values (2)")
        with marel.port("log", FOLLOWED) as another:  # the head of the log is where it was
            with pytest.raises(SourceDrifted, match="begun anew"):
                another.changes(since)
            assert json.loads(another.head())["log"] | {"born": 0} == json.loads(since)["log"] | {"born": 0}
        marel.run("insert into dossier (id) values (3)")

        with pytest.raises(SourceDrifted, match="begun anew"):
            port.changes(since)


def test_a_restored_data_folder_is_another_history(own_server):
    marel = make_legacy(own_server)
    marel.run("insert into dossier (id) values (1)")
    own_server.stop()
    backup = own_server.place.home / "kept"
    _copy(own_server.place.data, backup)
    own_server.start()
    with marel.port("log", FOLLOWED) as port:
        marel.run("insert into dossier (id) values (2)", "flush binary logs", "insert into dossier (id) values (3)")
        position = port.head()
    own_server.stop()
    _copy(backup, own_server.place.data)
    own_server.start()
    with marel.port("log", FOLLOWED) as port:
        with pytest.raises(BanyanError) as before:
            port.changes(position)
        marel.run("insert into dossier (id) values (4)", "flush binary logs", "insert into chef values (9, 'x')")
        marel.run(*(f"insert into dossier (id) values ({n})" for n in range(10, 20)))
        with pytest.raises(SourceDrifted, match="restored from a backup"):
            port.changes(position)

    assert before.value.exit_code == 3


def _copy(source, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("nobody")
        for folder, folders, files in os.walk(target):
            for name in (folder, *(os.path.join(folder, n) for n in (*folders, *files))):
                os.chown(name, owner.pw_uid, owner.pw_gid)


def test_a_server_that_does_not_log_rows_is_refused_with_what_to_ask_for(own_server):
    marel = make_legacy(own_server)
    marel.run("set global binlog_row_image = 'MINIMAL'")
    try:
        with (
            marel.port("log", FOLLOWED) as port,
            pytest.raises(ConfigurationError, match="binlog_row_image is MINIMAL"),
        ):
            port.head()
    finally:
        marel.run("set global binlog_row_image = 'FULL'")


def test_keys_in_the_log_are_the_keys_of_the_rows_to_the_letter(marel):
    key = "a, b, c, d, e, f, g, y, z"
    marel.run(
        "create table cles (a int, b bigint unsigned, c decimal(20,5), d varchar(30) character set latin1, e char(5), "
        f"f date, g datetime(3), y year, z int(6) zerofill, note blob, p point, primary key ({key}))",
        "set sql_mode = 'ALLOW_INVALID_DATES'",
    )
    with marel.port("log", ("cles",)) as port, marel.connect() as connection:
        since = port.head()
        ask(connection, "set sql_mode = 'ALLOW_INVALID_DATES'")
        for row in (
            (
                -5,
                2**64 - 1,
                "-123456789012345.12345",
                "é€\x81",
                "ab ",
                "2019-02-31",
                "1999-12-31 23:59:59.123",
                1999,
                42,
            ),
            (0, 0, "0.00001", "", "", "0000-00-00", "0000-00-00", "0000", 0),
            (2**31 - 1, 9, "999999999999999.99999", "a'b\0", "ÀÉ", "9999-12-31", "2019-00-00 01:02:03.9", 2155, 999999),
        ):
            ask(connection, f"insert into cles ({key}) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
        ask(connection, "update cles set note = repeat('x', 70000), p = point(1, 2)")
        keys = [change.key for change in port.changes(since)]
        rows = port.read_keys("cles", keys).rows

    assert len(keys) == rows.height == 3
    assert {KEY_SEPARATOR.join(row[:9]) for row in rows.select(key.split(", ")).iter_rows()} == set(keys)


def test_a_server_off_loopback_must_prove_who_it_is_unless_its_plaintext_is_declared(marel):
    """127.1 is this machine by a name that is not known for loopback; the server of the tests has no certificate."""
    named = marel.url("banyan_reader").replace("127.0.0.1", "127.1")
    marel.run("insert into dossier (id) values (1)")

    with pytest.raises(ConfigurationError, match="does not prove who it is"):
        open_mariadb(named, marel.schema, way="log").head()
    declared = open_mariadb(f"{named}?ssl=disabled", marel.schema, way="log")
    assert declared.read_range("dossier", KeyRange(None, None)).rows["id"].to_list() == ["1"]
    declared.close()
