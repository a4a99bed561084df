"""Changes of a MariaDB found by comparing every row with the hash it had, where no log or journal can follow."""

from dataclasses import dataclass

import pytest
from stores import make_store, store_template

from banyan.departments import SourceRef
from banyan.errors import SourceDrifted
from banyan.ports import Incremental
from banyan.records import KeyRange, Operation
from connectors.mariadb import MariaDBPort, open_mariadb
from connectors.mariadb_snapshot import open_mariadb_snapshot
from store.row_marks import StoreRowMarks

__all__ = ["make_store", "store_template"]
pytestmark = [pytest.mark.mariadb, pytest.mark.server]

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
SOURCE = SourceRef("38", "ORION")
TABLES = ("arbre", "fragile", "ligne", "vieux")


@dataclass
class Compared:
    """A legacy database that is only read, and what is remembered of its rows."""

    marel: object
    place: object
    port: MariaDBPort

    def seen(self, since, until=None):
        return sorted((change.table, change.key, change.operation) for change in self.port.changes(since, until))

    def marks(self):
        return self.place.run("select count(*) from mig.row_mark")


@pytest.fixture
def compared(marel, make_store):
    itself = "foreign key (haut) references arbre (id) on delete cascade"
    marel.run(
        f"create table arbre (id int primary key, haut int, {itself})",
        "create table fragile (id float primary key, texte varchar(20), gros longtext, octets longblob)",
        "insert into arbre values (1, null), (2, 1), (3, 2), (4, null)",
        "insert into fragile values (0.5, 'a', 'x', x'00'), (1.5, null, '', x''), (2.5, '', null, null)",
        "insert into ligne values (1, 'a', 1, 't'), (1, 'b', 1, 'u'), (2, 'a', 1, 'v')",
        "insert into vieux values (1, 'a'), (2, 'b')",
    )
    place = make_store()
    for table in TABLES:
        place.run(
            f"insert into mig.source_table (department_code, system_code, table_name) values ('38', 'ORION', '{table}')"
        )
    marks = StoreRowMarks(lambda: place.engine("banyan_forward"), SOURCE)
    way = open_mariadb_snapshot(TABLES, marks, key=b"k" * 32)
    port = open_mariadb(marel.url("banyan_reader"), marel.schema, way=way, tables=TABLES)
    yield Compared(marel, place, port)
    port.close()


def test_what_no_log_or_journal_can_follow_is_found_by_comparing(compared):
    since = compared.port.head()
    compared.marel.run(
        "delete from arbre where id = 1",  # its children go with it, inside the engine
        "update fragile set texte = '' where id = 1.5",  # nothing becomes an empty text
        "update fragile set octets = x'01' where id = 0.5",
        "set sql_log_bin = 0",
        "insert into vieux values (3, 'hidden')",
        "set sql_log_bin = 1",
        "update ligne set code = 'z' where id = 2",
    )
    until = compared.port.head()
    compared.marel.run("delete from vieux where id = 1")

    assert compared.seen(since, until) == [
        ("arbre", "1", GONE), ("arbre", "2", GONE), ("arbre", "3", GONE), ("fragile", "0.5", CHANGED),
        ("fragile", "1.5", CHANGED), ("ligne", "2\x1fa\x1f1", GONE), ("ligne", "2\x1fz\x1f1", NEW),
        ("vieux", "3", NEW),
    ]  # fmt: skip
    assert compared.seen(until) == [("vieux", "1", GONE)]
    assert compared.seen(compared.port.head()) == []


def test_a_table_emptied_and_filled_again_is_found_by_what_differs_alone(compared):
    since = compared.port.head()
    compared.marel.run(
        "truncate table ligne",
        "insert into ligne values (1, 'a', 1, 't'), (1, 'b', 1, 'other')",
        "alter table vieux add column neuf int default 7",
    )

    assert compared.seen(since) == [
        ("ligne", "1\x1fb\x1f1", CHANGED), ("ligne", "2\x1fa\x1f1", GONE), ("vieux", "1", CHANGED),
        ("vieux", "2", CHANGED),
    ]  # fmt: skip


def test_rows_are_read_beside_a_look_that_is_not_taken_again(compared):
    since = compared.port.head()
    looks = compared.place.run("select reached from mig.log_place")

    batch = compared.port.read_range("ligne", KeyRange(None, None))

    assert (batch.rows.height, batch.low, batch.high) == (3, since, since)
    assert compared.place.run("select reached from mig.log_place") == looks


def test_every_table_with_a_key_is_followed_and_one_without_is_refused_by_name(compared, make_store):
    told = {table: compared.port.capabilities(table) for table in (*TABLES, "vrac")}
    marks = StoreRowMarks(lambda: compared.place.engine("banyan_forward"), SOURCE)
    way = open_mariadb_snapshot(("vrac",), marks, key=b"k" * 32)
    keyless = open_mariadb(compared.marel.url("banyan_reader"), compared.marel.schema, way=way, tables=("vrac",))

    assert {table: can.incremental for table, can in told.items()} == {
        **dict.fromkeys(TABLES, Incremental.SNAPSHOT_DIFF), "vrac": Incremental.NONE
    }  # fmt: skip
    assert {table: can.note for table, can in told.items() if can.note} == {
        "vrac": "its changes are not found by snapshot_diff"
    }
    with pytest.raises(SourceDrifted, match="no primary key"):
        keyless.head()
    assert compared.marks() == [(0,)]
    keyless.close()


def test_a_row_larger_than_the_server_may_put_together_is_compared_all_the_same(compared):
    (packet,) = compared.marel.run("select @@global.max_allowed_packet")[0]
    compared.marel.run("update fragile set gros = repeat('x', 700000), octets = repeat('y', 700000) where id = 2.5")
    try:
        compared.marel.run("set global max_allowed_packet = 1048576")
        since = compared.port.head()
        compared.marel.run("update fragile set gros = repeat('z', 700000) where id = 2.5")

        assert compared.seen(since) == [("fragile", "2.5", CHANGED)]
    finally:
        compared.marel.run(f"set global max_allowed_packet = {packet}")
