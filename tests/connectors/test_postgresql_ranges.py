"""Key ranges of every kind of key, cut by the index, and pages where there is no key: each row in exactly one."""

import threading
import time

import pytest

from banyan.records import KeyRange

pytestmark = pytest.mark.server

TABLES = {
    "r_number": ("id int primary key", "select n from generate_series(-50, 949) n"),
    "r_text": ("id text primary key", "select chr(65 + n % 58) || 'é' || n from generate_series(1, 1000) n"),
    "r_uuid": ("id uuid primary key", "select gen_random_uuid() from generate_series(1, 1000)"),
    "r_three": (
        "a text, b date, c numeric, primary key (a, b, c)",
        "select 'k' || n % 3, date '2001-01-01' + n % 7, n / 10.0 from generate_series(1, 1000) n",
    ),
    "r_keyless": ("id int, t text", "select n, repeat('x', 100) from generate_series(1, 1000) n"),
}


@pytest.fixture
def filled(legacy):
    for name, (columns, rows) in TABLES.items():
        legacy.run(f"create table orion.{name} ({columns})")
        legacy.run(f"insert into orion.{name} {rows}")
        legacy.run(f"analyze orion.{name}")
    legacy.run("grant select on all tables in schema orion to banyan_reader")
    return legacy


@pytest.mark.parametrize("table", TABLES)
def test_every_row_stands_in_exactly_one_range(filled, port, table):
    port.install_capture(filled.url(), [])  # Positions of the journal, without any table
    ranges = port.plan_ranges(table, 90)

    rows = [row for keys in ranges for row in port.read_range(table, keys).rows.rows()]

    assert len(ranges) > 8
    assert (ranges[0].low, ranges[-1].high) == (None, None)
    assert len(rows) == len(set(rows)) == 1000


@pytest.mark.parametrize("table", [name for name in TABLES if name != "r_keyless"])
def test_a_range_is_cut_while_it_is_read_and_loses_nothing(filled, port, table):
    port.install_capture(filled.url(), [])
    rows, keys, sizes = [], KeyRange(None, None), []

    while True:
        cut = port.find_cut(table, keys, 300)
        read = port.read_range(table, KeyRange(keys.low, cut if cut is not None else keys.high)).rows.rows()
        rows += read
        sizes.append(len(read))
        if cut is None:
            break
        keys = KeyRange(cut, keys.high)

    assert sizes == [300, 300, 300, 100]
    assert len(set(rows)) == 1000
    assert port.find_cut(table, KeyRange(None, None), 1000) is not None
    assert port.find_cut(table, KeyRange(None, None), 1001) is None


def test_the_number_of_rows_is_estimated_without_reading_them(filled, port):
    assert {table: round(port.estimate(table), -2) for table in TABLES} == dict.fromkeys(TABLES, 1000)


def wait_for_load(port, is_wanted):
    """Ask until the server tells what is wanted; gives what it told last."""
    until = time.monotonic() + 30
    while not is_wanted(found := port.load()) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_the_server_tells_how_busy_it_is(filled, port):
    filled.run("grant pg_read_all_stats to banyan_reader")
    try:
        before = wait_for_load(port, lambda load: load.active == 0)
        with filled.connect(autocommit=False) as first:
            first.execute("lock table orion.r_text")
            second = threading.Thread(target=filled.run, args=("select count(*) from orion.r_text",))
            second.start()
            found = wait_for_load(port, lambda load: (load.active, load.lock_waits - before.lock_waits) == (1, 1))
            first.rollback()
            second.join()
    finally:
        filled.run("revoke pg_read_all_stats from banyan_reader")

    assert before.active == 0
    assert (found.active, found.lock_waits - before.lock_waits) == (1, 1)


def test_a_server_that_does_not_show_who_works_says_so(filled, port):
    with filled.connect("orion_app"):
        assert port.load().active is None
