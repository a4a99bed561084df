"""A range of a MariaDB is cut while it is read, and its server tells how busy it is, without ourselves."""

import threading
import time

import pytest

from banyan.ports import Divisible, Observable, SourceLoad
from banyan.records import KeyRange
from connectors.mariadb_connection import ask

pytestmark = pytest.mark.mariadb

TABLES = {
    "r_number": ("id int primary key", "select cast(seq as signed) - 50 from seq_1_to_1000"),
    "r_text": ("id varchar(20) primary key", "select concat(char(65 + seq % 26), 'é', seq) from seq_1_to_1000"),
    "r_three": (
        "a varchar(5), b date, c decimal(9,1), primary key (a, b, c)",
        "select concat('k', seq % 3), date '2001-01-01' + interval seq % 7 day, seq / 10 from seq_1_to_1000",
    ),
}


@pytest.fixture
def filled(marel):
    for name, (columns, rows) in TABLES.items():
        marel.run(f"create table {name} ({columns})", f"insert into {name} {rows}", f"analyze table {name}")
    return marel


@pytest.mark.parametrize("table", TABLES)
def test_a_range_is_cut_while_it_is_read_and_loses_nothing(filled, table):
    rows, keys, sizes = [], KeyRange(None, None), []

    with filled.port("log") as port:
        while True:
            cut = port.find_cut(table, keys, 300)
            read = port.read_range(table, KeyRange(keys.low, cut if cut is not None else keys.high)).rows.rows()
            rows += read
            sizes.append(len(read))
            if cut is None:
                break
            keys = KeyRange(cut, keys.high)
        (first, *_, last) = port.plan_ranges(table, 400)
        ends = [port.find_cut(table, KeyRange(None, None), size) is not None for size in (1000, 1001)]

        assert isinstance(port, Divisible)
        assert port.find_cut(table, first, 400) is None  # its last row is its end
        assert port.find_cut(table, first, 399) != first.high
        assert port.find_cut(table, last, 200) is not None

    assert sizes == [300, 300, 300, 100]
    assert len(set(rows)) == 1000
    assert ends == [True, False]


def test_a_range_of_floats_is_cut_by_their_texts_and_a_table_without_a_key_is_not_cut(marel):
    marel.run("create table r_odd (id double primary key)", "insert into r_odd select seq / 3 from seq_1_to_50")

    with marel.port("log") as port:
        cut = port.find_cut("r_odd", KeyRange(None, None), 10)
        rows = [port.read_range("r_odd", keys).rows for keys in (KeyRange(None, cut), KeyRange(cut, None))]
        assert port.find_cut("vrac", KeyRange(None, None), 10) is None

    assert [each.height for each in rows] == [10, 40]
    assert len({key for each in rows for key in each["id"].to_list()}) == 50


def test_the_number_of_rows_is_estimated_without_reading_them(filled):
    with filled.port("log") as port:
        assert {table: round(port.estimate(table), -2) for table in TABLES} == dict.fromkeys(TABLES, 1000)


def wait_for_load(port, is_wanted):
    """Ask until the server tells what is wanted; gives what it told last."""
    until = time.monotonic() + 20
    while not is_wanted(found := port.load()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def blocked(marel, connection, statement, account="marel_app"):
    """Begin a statement that must wait for what a connection holds."""
    waiting = threading.Thread(target=marel.run, args=(statement,), kwargs={"account": account})
    waiting.start()
    return waiting


def test_the_server_tells_how_busy_it_is_without_counting_ourselves(marel):
    marel.run("insert into dossier (id) values (1)")
    with marel.port("log") as port, marel.connect(autocommit=False) as first:
        idle = wait_for_load(port, lambda load: load == SourceLoad(0, 0))
        ask(first, "update dossier set note = 'x' where id = 1")
        waiting = blocked(marel, first, "update dossier set note = 'y' where id = 1")
        behind_a_row = wait_for_load(port, lambda load: load.lock_waits == 1)
        first.rollback()
        waiting.join()
        own = threading.Thread(target=marel.run, args=("select sleep(1)",), kwargs={"account": "banyan_reader"})
        own.start()
        time.sleep(0.3)
        while_we_work = port.load()
        own.join()

        assert isinstance(port, Observable)
    assert idle == SourceLoad(0, 0)
    assert behind_a_row == SourceLoad(1, 1)
    assert while_we_work == SourceLoad(0, 0)


def test_who_waits_for_a_whole_table_is_seen_only_by_an_account_that_may_see_sessions(marel):
    seen = {}
    for right in ("", "process"):
        if right:
            marel.run("grant process on *.* to banyan_reader@'%'")
        with marel.port("log") as port, marel.connect() as first:
            ask(first, "lock table dossier write")
            waiting = blocked(marel, first, "insert into dossier (id) values (null)")
            wait_for_load(port, lambda load: load.active == 1)
            seen[right] = wait_for_load(port, lambda load: load.lock_waits == 1) if right else port.load()
            ask(first, "unlock tables")
            waiting.join()
    marel.run("revoke process on *.* from banyan_reader@'%'")

    assert seen == {"": SourceLoad(1, 0), "process": SourceLoad(1, 1)}
