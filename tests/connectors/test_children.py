"""Tables of a PostgreSQL whose rows stand in partitions, or in tables that inherit: a statement may name these."""

from contextlib import closing, contextmanager

import polars as pl
import psycopg
import pytest
from logged import SOURCE
from stores import make_store, store_template

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.ports import Incremental, WriteBack
from banyan.records import KeyRange, Operation
from connectors.postgresql import open_postgresql
from connectors.postgresql_fence import remove_fence
from connectors.postgresql_log import open_log
from store.key_log import StoreKeyLog

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

TOKEN, CLOSURE = 5, "38.cases"
EVERYTHING = KeyRange(None, None)
NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE
PARTITIONS = (
    "create table orion.t_fait (id int primary key, v text) partition by range (id)",
    "create table orion.t_fait_0 partition of orion.t_fait for values from (0) to (100)",
    "create table orion.t_fait_1 partition of orion.t_fait for values from (100) to (300) partition by range (id)",
    "create table orion.t_fait_1a partition of orion.t_fait_1 for values from (100) to (200)",
)
CHILDREN = (
    "create table orion.t_fait (id int primary key, v text)",
    "create table orion.t_fait_1a (primary key (id)) inherits (orion.t_fait)",
)


@pytest.fixture
def make(legacy):
    def made(statements):
        for statement in statements:
            legacy.run(statement)
        legacy.run("grant select, insert, update, delete on all tables in schema orion to orion_app, banyan_reverse")
        legacy.run("grant select on all tables in schema orion to banyan_reader")
        legacy.run("grant truncate on all tables in schema orion to orion_app")

    return made


@contextmanager
def followed(legacy, make_store, way):
    store = make_store()
    log = StoreKeyLog(lambda: store.engine("banyan_forward"), SOURCE)
    capture = {"capture": open_log(log)} if way == "log" else {}
    port = open_postgresql(legacy.url("banyan_reader"), "orion", reverse_url=legacy.url("banyan_reverse"), **capture)
    with closing(port):
        port.install_capture(legacy.url(), ["t_fait"])
        try:
            yield port
        finally:
            port.remove_capture(legacy.url())


def told(port, legacy, *statements):
    since = port.head()
    for statement in statements:
        legacy.run(statement, role="orion_app")
    return sorted({(change.table, change.key, change.operation) for change in port.changes(since)})


WRITES = ("insert into orion.t_fait_1a values (101, 'b'), (102, 'c')", "update orion.t_fait_1a set v = 'd'",
          "update orion.t_fait set v = 'e' where id = 101", "delete from orion.t_fait_1a where id = 102")  # fmt: skip


@pytest.mark.parametrize(
    ("way", "children"), [("journal", PARTITIONS), ("journal", CHILDREN), ("log", PARTITIONS)],
    ids=["journal, partitions", "journal, children", "log, partitions"],
)  # fmt: skip
def test_what_names_a_child_is_told_under_the_name_of_its_table(legacy, make, make_store, way, children):
    make(children)
    with followed(legacy, make_store, way) as port:
        both = told(port, legacy, *WRITES[:1], "insert into orion.t_fait values (1, 'a')")
        assert both == [("t_fait", "1", NEW), ("t_fait", "101", NEW), ("t_fait", "102", NEW)]
        for statement, expected in zip(WRITES[1:], (["101", "102"], ["101"], ["102"]), strict=True):
            assert [(table, key) for table, key, _ in told(port, legacy, statement)] == [
                ("t_fait", k) for k in expected
            ]
        assert port.read_range("t_fait", EVERYTHING).rows.sort("id").rows() == [("1", "a"), ("101", "e")]
        assert port.capabilities("t_fait").incremental is Incremental(way)


@pytest.mark.parametrize("children", [PARTITIONS, CHILDREN], ids=["partitions", "children"])
def test_a_child_that_is_emptied_tells_its_own_rows_and_no_others(legacy, make, make_store, children):
    make(children)
    with followed(legacy, make_store, "journal") as port:
        told(port, legacy, WRITES[0], "insert into orion.t_fait values (1, 'a')")

        assert told(port, legacy, "truncate orion.t_fait_1a") == [("t_fait", "101", GONE), ("t_fait", "102", GONE)]
        assert told(port, legacy, "truncate orion.t_fait") == [("t_fait", "1", GONE)]


MOVES = {
    "comes": ("create table orion.t_fait_1b (id int primary key, v text); insert into orion.t_fait_1b values (201, '');"
              " alter table orion.t_fait_1 attach partition orion.t_fait_1b for values from (200) to (300)"),
    "goes": "alter table orion.t_fait_1 detach partition orion.t_fait_1a",
    "is dropped": "drop table orion.t_fait_1a",
}  # fmt: skip


@pytest.mark.parametrize("way", ["journal", "log"])
@pytest.mark.parametrize("move", MOVES)
def test_a_partition_that_comes_or_goes_takes_rows_along_and_is_told(legacy, make, make_store, way, move):
    make(PARTITIONS)
    with followed(legacy, make_store, way) as port:
        told(port, legacy, WRITES[0])
        since = port.head()
        legacy.run(MOVES[move])

        assert port.capabilities("t_fait").incremental is Incremental.NONE
        if way == "journal":
            with pytest.raises(SourceDrifted, match="the capture of t_fait was removed, disabled or changed"):
                port.changes(since)
        legacy.run("grant select on all tables in schema orion to banyan_reader")
        with closing(open_again(port, legacy, way)) as again:
            again.install_capture(legacy.url(), ["t_fait"])
            assert again.capabilities("t_fait").incremental is Incremental(way)


def open_again(port, legacy, way):
    keys = {"capture": open_log(port._capture._keys)} if way == "log" else {}
    return open_postgresql(legacy.url("banyan_reader"), "orion", **keys)


def test_a_log_is_not_read_of_a_table_from_which_others_inherit(legacy, make, make_store):
    make(CHILDREN)

    with (
        pytest.raises(ConfigurationError, match="tables inherit from orion"),
        followed(legacy, make_store, "log"),
    ):
        pytest.fail("it was installed")


def shut(legacy):
    nonce = legacy.install_fence("t_fait")
    with legacy.fence() as fence:
        assert fence.check_installed(["t_fait"]) == []
        assert fence.close(TOKEN, lease_seconds=30, nonce_old=nonce, nonce_new=nonce).accepted
        assert fence.seal(TOKEN, nonce_old=nonce).accepted
    return nonce


def test_a_shut_fence_stops_writers_that_name_a_partition_and_lets_the_applier_write(legacy, make):
    make(PARTITIONS)
    legacy.run("insert into orion.t_fait values (1, 'a'), (101, 'b')")
    nonce = shut(legacy)

    for statement in (*WRITES, "truncate orion.t_fait_1a", "truncate orion.t_fait_1"):
        with pytest.raises(psycopg.Error) as met:
            legacy.run(statement, role="orion_app")
        assert met.value.sqlstate == "55006"
    with legacy.port() as port, port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session:
        written = session.upsert("t_fait", pl.DataFrame({"id": ["1", "101", "102"], "v": ["a", "c", "d"]}))
        removed = session.delete("t_fait", ["1"])

    assert (written.inserted, written.updated, written.untouched, removed) == (1, 1, 1, 1)
    assert legacy.run("select id, v from orion.t_fait_1a order by id") == [(101, "c"), (102, "d")]
    legacy.run(MOVES["comes"])
    with legacy.fence() as fence:
        assert [defect.problem for defect in fence.check_installed(["t_fait"])] == [
            "a partition or child table has no trigger of its own"
        ]
    legacy.run("drop table orion.t_fait_1b")
    with legacy.fence() as fence:
        assert fence.open(TOKEN, nonce_old=nonce).accepted
    remove_fence(legacy.url(), CLOSURE)
    legacy.run(WRITES[2], role="orion_app")


def test_nothing_is_written_back_where_no_index_knows_all_keys(legacy, make):
    make(CHILDREN)
    legacy.run("insert into orion.t_fait_1a values (101, 'b')")
    nonce = shut(legacy)

    with legacy.port() as port:
        can = port.capabilities("t_fait")
        with (
            pytest.raises(SourceDrifted, match="tables inherit from t_fait"),
            port.reverse_session(CLOSURE, TOKEN, nonce=nonce) as session,
        ):
            session.upsert("t_fait", pl.DataFrame({"id": ["101"], "v": ["c"]}))

    assert can.write_back is WriteBack.NONE
    assert "tables inherit from it" in can.note
    assert legacy.run("select tableoid::regclass::text, id, v from orion.t_fait") == [("orion.t_fait_1a", 101, "b")]
