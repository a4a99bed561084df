import json
import random
import threading
import time

import pymysql
import pytest

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import FenceKind, Incremental, WriteBack
from banyan.records import KEY_SEPARATOR, Operation, Origin, Position
from connectors.dialects_mariadb import ForeignKey
from connectors.mariadb import open_mariadb
from connectors.mariadb_cascades import find_cascades
from connectors.mariadb_connection import ask

pytestmark = pytest.mark.mariadb

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
TABLES = ("dossier", "ligne", "code", "personne", "vieux")
CAPTURED = ("dossier", "ligne", "code", "personne")


@pytest.fixture(params=["log", "journal"])
def way(request):
    return request.param


@pytest.fixture
def captured(marel, way):
    marel.run(
        "insert into dossier (id, libelle) select seq, 'x' from seq_1_to_9",
        "insert into ligne values (1, 'A', 1, 'un'), (1, 'AB', 2, 'deux')",
        "insert into chef values (1, 'a'), (2, 'b')",
        "insert into personne values (10, 'x', 1), (11, 'y', 1), (12, 'z', 2)",
        "insert into vieux values (1, 'a')",
    )
    with marel.port(way, TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
        yield port


def seen(port, since, until=None):
    return [(change.table, change.key, change.operation) for change in port.changes(since, until)]


def test_each_kind_of_statement_leaves_the_keys_it_touched(marel, captured):
    since = captured.head()
    marel.run(
        "insert into dossier (id) values (10), (11)",
        "update dossier set note = 'y' where id in (1, 2)",
        "delete from dossier where id = 3",
        "insert into dossier (id) values (4), (12) on duplicate key update note = 'z'",
        "replace into dossier (id, note) values (5, 'r')",
        account="marel_app",
    )

    changes = {change.key: change for change in captured.changes(since)}

    assert {key: change.operation for key, change in changes.items()} | {"5": None} == {
        "10": NEW, "11": NEW, "1": CHANGED, "2": CHANGED, "3": GONE, "4": CHANGED, "12": NEW, "5": None,
    }  # fmt: skip
    assert changes["5"].operation in (NEW, CHANGED)  # the log may tell a replacement as one change
    assert {change.origin for change in changes.values()} == {Origin.PERSON}
    assert captured.changes(captured.head()) == []


def test_a_changed_key_leaves_the_old_and_the_new_one(marel, captured):
    since = captured.head()

    marel.run("update ligne set rang = 7 where code = 'A'")

    old, new = (KEY_SEPARATOR.join(["1", "A", rang]) for rang in ("1", "7"))
    assert sorted(seen(captured, since)) == [("ligne", old, GONE), ("ligne", new, NEW)]


def test_a_key_changed_in_case_alone_leaves_both(marel, captured):
    marel.run("insert into code values ('abc', null)")
    since = captured.head()

    marel.run("update code set code = 'ABC'")

    assert sorted(seen(captured, since)) == [("code", "ABC", NEW), ("code", "abc", GONE)]


def test_many_changes_of_one_key_are_one_entry_with_the_last_operation(marel, captured):
    since = captured.head()
    marel.run(
        "update dossier set note = 'a' where id = 1",
        "delete from dossier where id in (1, 2)",
        "insert into dossier (id) values (2)",
    )

    assert seen(captured, since) == [("dossier", "1", GONE), ("dossier", "2", NEW)]


def test_a_transaction_that_rolls_back_leaves_nothing_and_a_long_one_delays_nobody(marel, captured):
    since = captured.head()
    with marel.connect(autocommit=False) as undone, marel.connect(autocommit=False) as long:
        ask(undone, "update dossier set note = 'no' where id = 1")
        undone.rollback()
        ask(long, "update dossier set note = 'later' where id = 2")
        marel.run("update dossier set note = 'now' where id = 3")
        middle = captured.head()
        before = seen(captured, since, middle)
        long.commit()

    assert before == [("dossier", "3", CHANGED)]
    assert seen(captured, middle) == [("dossier", "2", CHANGED)]
    assert seen(captured, since, middle) == before


def test_what_goes_by_a_foreign_key_is_told_of_the_rows_it_took(marel, captured):
    since = captured.head()

    marel.run("delete from chef where id = 1", "update chef set id = 20 where id = 2", account="marel_app")

    assert sorted(seen(captured, since)) == [
        ("personne", "10", GONE),
        ("personne", "11", GONE),
        ("personne", "12", CHANGED),
    ]


def test_cascades_of_two_steps_and_of_keys_are_followed(marel, way):
    marel.run(
        "create table a (id int primary key)",
        "create table b (id int primary key, a int, foreign key (a) references a (id) on delete cascade)",
        "create table c (b int, n int, primary key (b, n), "
        "foreign key (b) references b (id) on delete cascade on update cascade)",
        "insert into a values (1), (2)",
        "insert into b values (10, 1), (20, 2)",
        "insert into c values (10, 1), (10, 2), (20, 1)",
    )
    with marel.port(way, ("b", "c")) as port:
        port.install_capture(marel.url(), ("b", "c"))
        since = port.head()
        marel.run("delete from a where id = 1")
        middle = port.head()
        marel.run("update b set id = 21 where id = 20")
        first, second = seen(port, since, middle), seen(port, middle)

    keys = [KEY_SEPARATOR.join(parts) for parts in (("10", "1"), ("10", "2"), ("20", "1"), ("21", "1"))]
    assert sorted(first) == [("b", "10", GONE), ("c", keys[0], GONE), ("c", keys[1], GONE)]
    assert sorted(second) == [("b", "20", GONE), ("b", "21", NEW), ("c", keys[2], GONE), ("c", keys[3], NEW)]


def test_truncate_is_loud_because_its_keys_cannot_be_listed(marel, captured):
    since = captured.head()

    marel.run("truncate ligne")

    with pytest.raises(SourceDrifted, match=r"ligne.*truncated"):
        captured.changes(since)


@pytest.mark.parametrize(
    "ddl",
    [
        "alter table ligne modify texte varchar(5) not null",
        "create or replace table ligne (id int primary key)",
        "rename table ligne to autre",
        "drop table ligne",
    ],
)
def test_a_table_that_is_altered_in_the_middle_is_loud(marel, captured, ddl):
    since = captured.head()
    marel.run("update ligne set texte = 'a'")

    marel.run(ddl)

    with pytest.raises(SourceDrifted, match="ligne"):
        captured.changes(since)


def test_other_tables_may_come_and_go(marel, captured):
    since = captured.head()

    marel.run(
        "create table temporaire as select * from dossier",
        "alter table temporaire add column x int",
        "truncate temporaire",
        "drop table temporaire",
        "create temporary table t2 as select * from ligne",
        "create index i on dossier (numero)",
        "analyze table dossier",
        "update dossier set note = 'a' where id = 1",
    )

    assert seen(captured, since) == [("dossier", "1", CHANGED)]


def test_the_union_of_the_batches_of_concurrent_writers_is_exactly_what_was_committed(marel, captured):
    committed = [set() for _ in range(4)]
    start = captured.head()

    def write(number):
        chance = random.Random(number)
        with marel.connect("marel_app", autocommit=False) as connection:
            for turn in range(25):
                keys = [1000 * (number + 1) + 3 * turn + n for n in range(3)]
                for key in keys:
                    ask(connection, "insert into dossier (id) values (%s)", (key,))
                if chance.random() < 0.4:
                    connection.rollback()
                else:
                    connection.commit()
                    committed[number] |= {str(key) for key in keys}

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    batches, position = [], start
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        head = captured.head()
        batches.append([key for _, key, _ in seen(captured, position, head)])
        position = head
    batches.append([key for _, key, _ in seen(captured, position)])

    together = [key for batch in batches for key in batch]
    assert len(together) == len(set(together))
    assert set(together) == set.union(*committed)


def test_every_row_that_moves_between_two_readings_is_among_the_changes(marel, captured):
    stop = threading.Event()

    def write():
        with marel.connect("marel_app") as connection:
            number = 0
            while not stop.wait(0.002):
                number += 1
                ask(connection, "update dossier set numero = %s where id = %s", (str(number), number % 9 + 1))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    stale, position = 0, captured.head()
    try:
        with marel.connect() as reader:
            for _ in range(8):
                before = dict(ask(reader, "select id, numero from dossier"))
                head = captured.head()
                after = dict(ask(reader, "select id, numero from dossier"))
                changed = {change.key for change in captured.changes(position, head)}
                changed |= {change.key for change in captured.changes(head)}
                stale += len({str(key) for key in after if after[key] != before[key]} - changed)
                position = head
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    assert stale == 0


def test_a_position_of_another_incarnation_or_of_nothing_is_refused(captured):
    read = json.loads(captured.head())

    with pytest.raises(SourceDrifted, match="another incarnation"):
        captured.changes(Position(json.dumps(read | {"incarnation": "7"})))
    with pytest.raises(SourceDrifted, match="cannot be read"):
        captured.changes(Position("12:15:"))


def test_a_source_without_a_journal_says_how_to_get_one(marel):
    with marel.port("journal") as port, pytest.raises(ConfigurationError, match="no capture is installed"):
        port.changes(port.head())


def test_pruning_removes_what_was_read_and_refuses_older_questions(marel):
    with marel.port("journal", TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
        first = port.head()
        marel.run("insert into dossier (id) values (1)")
        second = port.head()
        marel.run("insert into dossier (id) values (2)")
        removed = port.prune(second)

        assert removed == 1
        assert seen(port, second) == [("dossier", "2", NEW)]
        with pytest.raises(SourceDrifted, match="pruned"):
            port.changes(first)


def test_a_restored_journal_is_refused_though_its_numbers_go_on(marel):
    with marel.port("journal", TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
        marel.run("insert into dossier (id) values (1)")
        position = port.head()
        home = f"banyan_{marel.schema}"
        marel.run(f"delete from {home}.batch where batch = 1", f"update {home}.counter set batch = 0")
        with pytest.raises(SourceDrifted, match="restored from a backup"):
            port.changes(position)
        marel.run("insert into dossier (id) values (2)")
        with pytest.raises(SourceDrifted, match="restored from a backup"):
            port.changes(position)


@pytest.mark.parametrize(
    "sabotage",
    [
        "drop trigger zz_banyan_insert_ligne",
        "create or replace trigger zz_banyan_delete_ligne after delete on ligne for each row set @x = 1",
        "drop trigger zz_banyan_update_ligne; ",
    ],
)
def test_a_journal_that_was_tampered_with_is_loud_until_installed_again(marel, sabotage):
    with marel.port("journal", TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
        since = port.head()
        marel.run(sabotage.removesuffix("; "))
        with pytest.raises(SourceDrifted, match="capture of ligne"):
            port.changes(since)
        port.install_capture(marel.url(), CAPTURED)

        assert port.changes(since) == []


def test_removing_the_journal_leaves_no_trigger(marel):
    with marel.port("journal", TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
        port.remove_capture(marel.url())

        assert marel.run("show triggers like 'personne'") == []
        names = [row[0] for row in marel.run("show triggers")]
    assert names == ["tr_maj"]


def test_the_application_cannot_touch_the_journal(marel):
    with marel.port("journal", TABLES) as port:
        port.install_capture(marel.url(), CAPTURED)
    home = f"banyan_{marel.schema}"
    for statement in (f"delete from {home}.journal", f"call {home}.stamp()", "drop trigger zz_banyan_insert_ligne"):
        with pytest.raises(pymysql.err.OperationalError, match=r"denied|SUPER"):
            marel.run(statement, account="marel_app")


def test_capabilities_tell_each_table_apart(marel, way):
    itself = "foreign key (haut) references arbre (id) on delete cascade"
    marel.run(f"create table arbre (id int primary key, haut int, {itself})")
    with marel.port(way) as port:
        bare = {table: port.capabilities(table).incremental for table in ("dossier", "personne", "vieux", "vrac")}
        port.install_capture(marel.url(), CAPTURED)
        full = {table: port.capabilities(table) for table in (*TABLES, "vrac", "arbre")}

    none, own = Incremental.NONE, {"log": Incremental.LOG, "journal": Incremental.JOURNAL}[way]
    log = way == "log"
    assert bare == {
        "dossier": own if log else none, "personne": none, "vieux": own if log else none, "vrac": none
    }  # fmt: skip
    assert {table: can.incremental for table, can in full.items()} == {
        "dossier": own, "ligne": own, "code": own, "personne": own, "vrac": none, "arbre": none,
        "vieux": own if log else none,  # nothing is installed on it
    }  # fmt: skip
    assert {table for table, can in full.items() if not can.deletes_visible} == {
        table for table, can in full.items() if can.incremental is none
    }
    assert {table: can.write_back for table, can in full.items() if can.write_back is WriteBack.NONE} == {
        "vrac": WriteBack.NONE
    }
    assert {can.fence.kind for can in full.values()} == {FenceKind.NONE}


def test_what_the_engine_takes_from_a_table_nobody_can_follow_is_followed_by_nobody_either():
    def key(table, parent, on_delete="CASCADE"):
        return ForeignKey(table, (f"id_{parent}",), parent, ("id",), on_delete, "RESTRICT")

    keys = (key("arbre", "arbre"), key("feuille", "arbre"), key("nervure", "feuille", "SET NULL"), key("a", "b"))

    found = find_cascades(keys, ("arbre", "feuille", "nervure", "a"))

    assert found.lost == {"arbre", "feuille", "nervure"}
    assert [one.parent for one in found.reaching("a")] == ["b"]


def test_without_a_reverse_account_nothing_can_be_written(marel):
    port = open_mariadb(marel.url("banyan_reader"), marel.schema)

    assert port.capabilities("dossier").write_back is WriteBack.NONE


@pytest.fixture
def untransacted(marel, way):
    """A table without transactions beside one with, both captured."""
    marel.run("create table sorti (id int auto_increment primary key, texte varchar(20)) engine = myisam")
    with marel.port(way, ("dossier", "sorti", "vieux")) as port:
        port.install_capture(marel.url(), ("dossier", "sorti", "vieux"))
        yield port


def test_what_people_write_in_a_table_without_transactions_is_told_once_its_row_is_seen(marel, untransacted, way):
    since = untransacted.head()
    marel.run(
        "insert into sorti (texte) values ('a'), ('b'), ('c')",
        "update sorti set texte = 'z' where id = 1",
        "update sorti set id = 9 where id = 2",
        "delete from sorti where id = 3",
        "replace into vieux values (7, 'r')",
        account="marel_app",
    )

    assert untransacted.capabilities("sorti").incremental.value == way
    assert sorted(seen(untransacted, since, untransacted.head())) == [
        ("sorti", "1", CHANGED), ("sorti", "2", GONE), ("sorti", "3", GONE), ("sorti", "9", NEW), ("vieux", "7", NEW)
    ]  # fmt: skip


def test_what_a_table_without_transactions_keeps_of_a_transaction_is_told(marel, untransacted):
    since = untransacted.head()
    with marel.connect("marel_app", autocommit=False) as undone, marel.connect("marel_app", autocommit=False) as open_:
        ask(undone, "insert into dossier (id) values (1)")
        ask(undone, "insert into sorti values (5, 'kept')")
        with pytest.raises(pymysql.err.IntegrityError):  # the first row of the statement stays
            ask(undone, "insert into sorti values (6, 'kept'), (5, 'twice')")
        undone.rollback()
        ask(open_, "insert into dossier (id) values (2)")
        ask(open_, "insert into sorti values (8, 'seen before the commit')")

        found = seen(untransacted, since, untransacted.head())
        open_.rollback()

    assert marel.run("select id from sorti order by id") == [(5,), (6,), (8,)]
    assert {("sorti", "5", NEW), ("sorti", "6", NEW), ("sorti", "8", NEW)} <= set(found)


def test_a_journal_tells_what_no_transaction_protects_once_more_a_second_later(marel):
    with marel.port("journal", ("vieux",)) as port:
        port.install_capture(marel.url(), ("vieux",))
        for number in range(1, 20):  # until all of it is asked within one second
            since, began = port.head(), time.monotonic()
            marel.run(f"insert into vieux values ({number}, 'a')", account="marel_app")
            first = port.head()
            second = port.head()
            if time.monotonic() - began < 0.9:
                break
            time.sleep(1.1)
        told = [("vieux", str(number), NEW)]
        at_once, repeated = seen(port, since, first), seen(port, first, second)
        time.sleep(1.1)
        last = port.head()

        assert (at_once, repeated, seen(port, second, last)) == (told, [], told)
        assert port.changes(last) == []
    assert marel.run(f"select count(*) from banyan_{marel.schema}.lasting") == [(0,)]


@pytest.mark.parametrize("way", ["journal"])
def test_of_tables_at_rest_the_journal_tells_the_rest_at_once_and_nothing_later(marel, untransacted):
    since = untransacted.head()
    marel.run("insert into vieux values (1, 'a')", "insert into sorti values (1, 'a')", account="marel_app")
    first = untransacted.head()
    marel.run("insert into vieux values (2, 'b')", account="marel_app")
    rest = untransacted.head_at_rest(("dossier", "vieux"))
    time.sleep(1.1)
    last = untransacted.head()

    assert sorted(seen(untransacted, since, first)) == [("sorti", "1", NEW), ("vieux", "1", NEW)]
    at_once, then = seen(untransacted, first, rest), seen(untransacted, rest, last)
    assert {("vieux", "1", NEW), ("vieux", "2", NEW)} <= set(at_once)
    assert sorted({*at_once, *then}) == [("sorti", "1", NEW), ("vieux", "1", NEW), ("vieux", "2", NEW)]
    assert {table for table, _, _ in then} <= {"sorti"}, "of a table at rest nothing is told after its Position"
    marel.run("insert into vieux values (3, 'c')", account="marel_app")
    again = untransacted.head()
    time.sleep(1.1)
    later = untransacted.head()

    assert (seen(untransacted, last, again), seen(untransacted, again, later)) == ([("vieux", "3", NEW)],) * 2


def test_truncating_a_table_without_transactions_is_loud(marel, untransacted):
    marel.run("insert into vieux values (1, 'a')")
    since = untransacted.head()
    time.sleep(1.1)  # the catalogue knows when such a table was made to the second

    marel.run("truncate vieux")

    with pytest.raises(SourceDrifted, match=r"vieux.*truncated"):
        untransacted.changes(since)


def test_a_copy_of_a_table_without_transactions_ends_equal_to_it_under_concurrent_writers(marel, untransacted):
    def write(number):
        chance = random.Random(number)
        with marel.connect("marel_app", autocommit=False) as connection:
            for _ in range(60):
                key = chance.randrange(30)
                ask(connection, chance.choice((
                    f"insert into sorti (texte) values ('{chance.random()}')",
                    f"replace into vieux values ({key}, '{chance.random()}')",
                    f"delete from vieux where id = {key}",
                )))  # fmt: skip
                if chance.random() < 0.3:
                    connection.rollback()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    position, copy = untransacted.head(), {"sorti": {}, "vieux": {}}

    def follow(position):
        head = untransacted.head()
        for table, key, _ in seen(untransacted, position, head):
            copy[table].pop(key, None)
            copy[table].update((key, text) for text in untransacted.read_keys(table, [key]).rows["texte"])
        return head

    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        position = follow(position)
    for writer in writers:
        writer.join()
    follow(position)

    for table, rows in copy.items():
        assert rows == {str(key): text for key, text in marel.run(f"select id, texte from {table}")}, table
    assert len(copy["sorti"]) > 30
