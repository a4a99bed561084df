"""The log of a legacy PostgreSQL, read into a key log of the store; the same tests on 18 and on Debian's 15."""

import json
import threading
import time
import uuid

import psycopg
import pytest
from legacies import make_legacy
from logged import TABLES, Logged
from stores import make_store, store_template

from banyan.errors import ConfigurationError, LeaseLost, SourceDrifted
from banyan.ports import Incremental
from banyan.records import KEY_SEPARATOR, LoggedKey, Operation, Origin, Position
from connectors.postgresql_log_setup import undo_log

__all__ = ["make_store", "store_template"]
pytestmark = pytest.mark.server

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE


@pytest.fixture(params=["18", pytest.param("15", marks=pytest.mark.pg15)])
def logged(request, cluster, make_store):
    server = cluster if request.param == "18" else request.getfixturevalue("postgresql_15")
    legacy = make_legacy(server, f"log_{uuid.uuid4().hex[:8]}")
    legacy.run("insert into orion.t_dossier (id_dossier, libelle) select n, 'x' from generate_series(1, 9) n")
    legacy.run("insert into orion.t_ligne values (1, 'A', 1, 'un'), (1, 'AB', 2, 'deux')")
    made = Logged(legacy, make_store(), None)
    made.port = made.open()
    made.port.install_capture(legacy.url(), TABLES)
    yield made
    made.port.close()
    made.port.remove_capture(legacy.url())


def test_each_kind_of_statement_tells_the_keys_it_touched(logged):
    since = logged.port.head()
    logged.legacy.run("insert into orion.t_dossier (id_dossier) values (10), (11)", role="orion_app")
    logged.legacy.run("update orion.t_dossier set note = 'y' where id_dossier in (1, 2)", role="orion_app")
    logged.legacy.run("delete from orion.t_dossier where id_dossier = 3", role="orion_app")
    logged.legacy.run("update orion.t_ligne set rang = 7 where code = 'A'")

    changes = logged.port.changes(since)

    old, new = (KEY_SEPARATOR.join(["1", "A   ", rang]) for rang in ("1", "7"))
    assert sorted((change.key, change.operation) for change in changes) == sorted(
        [("10", NEW), ("11", NEW), ("1", CHANGED), ("2", CHANGED), ("3", GONE), (old, GONE), (new, NEW)]
    )
    assert {change.origin for change in changes} == {Origin.PERSON}
    assert logged.port.changes(logged.port.head()) == []
    assert logged.port.capabilities("t_dossier").incremental is Incremental.LOG
    assert logged.port.capabilities("t_vrac").incremental is Incremental.NONE


def test_a_capture_that_went_away_is_missed_on_a_connection_that_knew_it(logged):
    first, second = (json.loads(logged.port.head()) for _ in range(2))
    logged.legacy.run("alter table banyan.log_capture rename to put_aside")

    with pytest.raises(ConfigurationError, match="not installed"):
        logged.port.head()

    logged.legacy.run("alter table banyan.put_aside rename to log_capture")
    again = json.loads(logged.port.head())
    assert first["incarnation"] == second["incarnation"] == again["incarnation"]
    assert first["log"] <= second["log"] <= again["log"]


def test_a_question_may_be_asked_again_and_answers_the_same(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y' where id_dossier = 1")
    until = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y' where id_dossier = 2")

    first = logged.seen(since, until)
    everything = logged.seen(since)
    logged.port.close()
    again = logged.open()

    assert first == [("t_dossier", "1", CHANGED)]
    assert everything == [*first, ("t_dossier", "2", CHANGED)]
    assert [change.key for change in again.changes(since, until)] == ["1"]
    again.close()


def test_keys_of_the_log_are_those_of_the_rows_read_whatever_their_type(logged):
    logged.legacy.run(
        "create table orion.t_types (d date, f float8, b boolean, u uuid, i interval, y bytea, c char(5), m money,"
        " primary key (d, f, b, u, i, y, c, m)); grant select on orion.t_types to banyan_reader"
    )
    logged.port.install_capture(logged.legacy.url(), ["t_types"])
    since = logged.port.head()
    logged.legacy.run(
        "insert into orion.t_types values ('2001-02-03', 0.1, true, gen_random_uuid(), '1 year 2 days', '\\x00ff', 'é',"
        " 12.5)"
    )

    (change,) = logged.port.changes(since)

    assert change.operation is NEW
    assert logged.port.read_keys("t_types", [change.key]).rows["f"].to_list() == ["0.1"]


def test_a_large_key_that_did_not_change_is_told_all_the_same(logged):
    """An update leaves a value that stands apart (TOAST) out of the new row; the old identity is sent with it."""
    logged.legacy.run(
        "create table orion.t_large (k text primary key, n int);"
        " alter table orion.t_large alter k set storage external;"
        " grant select on orion.t_large to banyan_reader"
    )
    large = "".join(str(uuid.UUID(int=n)) for n in range(70))
    logged.legacy.run("insert into orion.t_large values (%s, 1)", (large,))
    logged.port.install_capture(logged.legacy.url(), ["t_large"])
    since = logged.port.head()

    logged.legacy.run("update orion.t_large set n = 2")

    assert logged.seen(since) == [("t_large", large, CHANGED)]


def test_what_rolls_back_is_never_told_and_a_long_transaction_comes_when_it_commits(logged):
    since = logged.port.head()
    with logged.legacy.connect(autocommit=False) as long_one, logged.legacy.connect(autocommit=False) as undone:
        long_one.execute("update orion.t_dossier set note = 'long' where id_dossier = 1")
        undone.execute("update orion.t_dossier set note = 'no' where id_dossier = 2")
        undone.rollback()
        long_one.execute("savepoint s")
        long_one.execute("update orion.t_dossier set note = 'no' where id_dossier = 3")
        long_one.execute("rollback to s")
        logged.legacy.run("update orion.t_dossier set note = 'quick' where id_dossier = 4")
        middle = logged.port.head()
        before = logged.seen(since, middle)
        long_one.commit()

    assert before == [("t_dossier", "4", CHANGED)]
    assert logged.seen(middle) == [("t_dossier", "1", CHANGED)]
    assert logged.seen(since) == [("t_dossier", "4", CHANGED), ("t_dossier", "1", CHANGED)]


def test_a_commit_that_stands_in_the_log_before_readers_see_it_is_not_lost(logged):
    """Positions are snapshots: a change that the first one does not see belongs to the next batch."""
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y' where id_dossier = 1")
    later = json.loads(logged.port.head())
    unseen = Position(json.dumps(later | {"snapshot": json.loads(since)["snapshot"]}))

    assert logged.seen(since, unseen) == []
    assert logged.seen(unseen) == [("t_dossier", "1", CHANGED)]


def test_rows_that_fall_with_their_parent_are_told(logged):
    logged.legacy.run(
        "alter table orion.t_ligne add foreign key (id_dossier) references orion.t_dossier on delete cascade"
    )
    since = logged.port.head()

    logged.legacy.run("delete from orion.t_dossier where id_dossier = 1")

    assert sorted(logged.seen(since)) == sorted(
        [("t_dossier", "1", GONE)]
        + [("t_ligne", KEY_SEPARATOR.join(key), GONE) for key in (["1", "A   ", "1"], ["1", "AB  ", "2"])]
    )


def test_a_tree_that_falls_with_its_root_is_told_to_its_leaves(logged):
    logged.legacy.run(
        "alter table orion.t_dossier add haut numeric(10) references orion.t_dossier on delete cascade;"
        " insert into orion.t_dossier (id_dossier, haut) values (90, null), (91, 90), (92, 91), (93, 92)",
    )
    since = logged.port.head()

    logged.legacy.run("delete from orion.t_dossier where id_dossier = 90")

    assert sorted(logged.seen(since)) == [("t_dossier", str(key), GONE) for key in (90, 91, 92, 93)]


def test_what_the_reverse_applier_writes_is_the_route_s(logged):
    since = logged.port.head()
    logged.legacy.run("grant insert, update, select on banyan.position to banyan_reverse")
    logged.legacy.run("grant usage on schema banyan to banyan_reverse")
    logged.legacy.run("grant update, select on orion.t_dossier to banyan_reverse")
    with logged.legacy.connect("banyan_reverse", autocommit=False) as back:
        back.execute("update orion.t_dossier set note = 'back' where id_dossier = 1")
        back.execute("insert into banyan.position values ('38 -> LEGACY', 'p', now())")
    logged.legacy.run("update orion.t_dossier set note = 'person' where id_dossier = 2")

    found = {change.key: change.origin for change in logged.port.changes(since)}

    assert found == {"1": Origin.ROUTE, "2": Origin.PERSON}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):  # nobody can pass for the applier
        logged.legacy.run("insert into banyan.position values ('x', 'p', now())", role="orion_app")


def test_a_column_that_comes_or_goes_leaves_keys_as_they_are(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 1")
    logged.legacy.run("alter table orion.t_dossier add plus text default 'x'")
    logged.legacy.run("update orion.t_dossier set plus = 'b' where id_dossier = 2")
    logged.legacy.run("alter table orion.t_dossier drop column libre")
    logged.legacy.run("update orion.t_dossier set plus = 'b' where id_dossier = 3")

    assert [key for _, key, _ in logged.seen(since)] == ["1", "2", "3"]


def test_a_key_that_was_changed_by_ddl_stops_loudly_and_nothing_is_forgotten(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_code set libelle = 'x'")
    logged.legacy.run("insert into orion.t_code values ('A', 'a')")
    logged.legacy.run("alter table orion.t_code rename column code to code_new")
    logged.legacy.run("insert into orion.t_code values ('B', 'b')")

    with pytest.raises(SourceDrifted, match="key"):
        logged.port.changes(since)
    with pytest.raises(SourceDrifted, match="key"):  # and again: it is not stepped over
        logged.open().changes(since)
    logged.legacy.run("alter table orion.t_code rename column code_new to code")


def test_a_truncated_table_is_every_key_the_store_knows(logged):
    place = logged.place
    number = place.run("select source_table_no from mig.source_table where table_name = 't_tel'")[0][0]
    place.run(
        "insert into mig.filtered_row (department_code, source_table_no, source_key, rule, run_no)"
        " values ('38', %s, '7', 'r', 1)",
        (number,),
    )
    keys = logged.keys
    start = keys.read_place()
    keys.append(
        [LoggedKey(900, "t_tel", "I", "8"), LoggedKey(901, "t_tel", "T", "")], after=start, reached=lambda: start
    )

    changes = keys.read("900:900:", "902:902:")

    assert [(change.key, change.operation) for change in changes] == [("8", NEW), ("7", GONE)]


def test_the_server_keeps_its_log_no_longer_than_until_the_store_has_it(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y'")
    before = logged.state()[0][2]

    logged.port.changes(since)

    after = logged.state()[0][2]
    assert before < after <= logged.keys.read_place().reached


def test_a_place_that_another_process_moved_is_refused(logged):
    keys, place = logged.keys, logged.keys.read_place()
    logged.legacy.run("update orion.t_dossier set note = 'y'")
    logged.port.changes(logged.port.head())

    with pytest.raises(LeaseLost, match="further"):
        keys.append([LoggedKey(5, "t_dossier", "U", "1")], after=place, reached=lambda: place)

    assert logged.place.run("select count(*) from mig.log_key where xid = '5'::xid8") == [(0,)]


def test_two_processes_that_read_at_once_get_the_same_and_keep_it_once(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y'")
    other, answers = logged.open(), []
    both = [threading.Thread(target=lambda p=p: answers.append(len(p.changes(since)))) for p in (logged.port, other)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    other.close()

    assert answers == [9, 9]
    assert logged.place.run("select count(*) from mig.log_key") == [(9,)]


def test_a_slot_that_was_dropped_or_read_by_a_stranger_is_loud(logged):
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y'")
    logged.legacy.run(
        "select count(*) from pg_logical_slot_get_binary_changes(%s, null, null, 'proto_version', '1',"
        " 'publication_names', %s)",
        (logged.slot, logged.slot),
    )
    with pytest.raises(SourceDrifted, match="read by somebody else"):
        logged.port.changes(since)

    logged.legacy.run("select pg_drop_replication_slot(%s)", (logged.slot,))
    with pytest.raises(SourceDrifted, match="was dropped"):
        logged.port.changes(since)

    logged.port.install_capture(logged.legacy.url(), TABLES)
    with pytest.raises(SourceDrifted, match="another incarnation"):
        logged.port.changes(since)
    assert logged.seen(logged.port.head()) == []


def test_a_store_older_than_the_slot_is_loud(logged):
    """A store restored from its own backup does not know what was confirmed since."""
    since = logged.port.head()
    old = logged.keys.read_place()
    logged.legacy.run("update orion.t_dossier set note = 'y'")
    assert len(logged.port.changes(since)) == 9
    logged.port.close()
    logged.place.run("update mig.log_place set reached = %s, mark = %s", (old.reached, old.mark))
    logged.place.run("delete from mig.log_key")

    with pytest.raises(SourceDrifted, match="older than the slot"):
        logged.port.changes(since)


def test_what_nobody_needs_is_forgotten_and_an_older_question_refused(logged):
    first = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 1")
    second = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 2")
    assert len(logged.seen(first)) == 2

    assert logged.port.prune(second) == 1

    assert logged.seen(second) == [("t_dossier", "2", CHANGED)]
    with pytest.raises(SourceDrifted, match="forgotten"):
        logged.port.changes(first)


def test_no_other_column_than_the_key_leaves_the_server(logged):
    published = logged.legacy.run(
        "select tablename, attnames::text[] from pg_publication_tables where pubname = %s order by 1", (logged.slot,)
    )

    assert published == [
        ("position", ["route"]), ("t_code", ["code"]), ("t_dossier", ["id_dossier"]),
        ("t_ligne", ["id_dossier", "code", "rang"]),
    ]  # fmt: skip


def test_the_plan_shows_what_will_run_and_removing_leaves_no_trace(logged):
    plan = logged.port.plan_capture(["t_ligne"])

    assert any(f'create publication "{logged.slot}" for table "orion"."t_ligne" ("id_dossier"' in line for line in plan)
    assert plan[-1] == f"select pg_catalog.pg_create_logical_replication_slot('{logged.slot}', 'pgoutput')"
    logged.port.remove_capture(logged.legacy.url())
    assert logged.state() == []
    assert logged.legacy.run("select count(*) from pg_publication") == [(0,)]
    assert logged.legacy.run("select to_regclass('banyan.log_capture')") == [(None,)]


def test_the_slot_goes_with_the_last_table_that_is_followed(logged):
    logged.port.remove_capture(logged.legacy.url(), ["t_ligne", "t_code"])
    still = logged.legacy.run("select tablename from pg_publication_tables where schemaname = 'orion'")
    slots = len(logged.state())

    logged.port.remove_capture(logged.legacy.url(), ["t_dossier"])
    logged.port.remove_capture(logged.legacy.url(), ["t_dossier"])

    assert (still, slots) == ([("t_dossier",)], 1)
    assert logged.state() == []
    assert logged.legacy.run("select count(*) from pg_publication") == [(0,)]


def test_the_statements_of_the_plan_grant_all_that_is_needed_and_their_undo_takes_it_back(logged):
    logged.port.remove_capture(logged.legacy.url())
    logged.legacy.run("alter role banyan_reader noreplication")
    plan = logged.port.plan_capture(TABLES)
    for line in plan:
        logged.legacy.run(line)
    since = logged.port.head()
    logged.legacy.run("update orion.t_dossier set note = 'y' where id_dossier = 1")
    told = logged.seen(since)
    logged.port.close()
    while logged.state()[0][0]:
        time.sleep(0.05)
    for line in undo_log(logged.slot):
        logged.legacy.run(line)

    assert told == [("t_dossier", "1", CHANGED)]
    assert logged.state() == []
    assert logged.legacy.run("select rolreplication from pg_roles where rolname = 'banyan_reader'") == [(False,)]
    assert logged.legacy.run("select to_regclass('banyan.log_capture')") == [(None,)]
    logged.port.install_capture(logged.legacy.url(), TABLES)


def test_a_table_whose_application_could_not_write_any_more_is_refused(logged):
    logged.legacy.run(
        "create table orion.t_full (id int primary key, t text); alter table orion.t_full replica identity full"
    )
    logged.legacy.run(
        "create table orion.t_none (id int primary key); alter table orion.t_none replica identity nothing"
    )
    logged.legacy.run("grant select on orion.t_full, orion.t_none to banyan_reader")

    for table in ("t_full", "t_none"):
        with pytest.raises(ConfigurationError, match="could not write any more"):
            logged.port.install_capture(logged.legacy.url(), [table])

    logged.legacy.run("insert into orion.t_full values (1, 'a'); update orion.t_full set t = 'b'")


def test_a_server_that_would_keep_its_log_without_bound_is_refused(logged):
    logged.legacy.run("alter system set max_slot_wal_keep_size = '-1'")
    logged.legacy.run("select pg_reload_conf()")
    try:
        for _ in range(50):
            if logged.legacy.run("show max_slot_wal_keep_size") == [("-1",)]:
                break
        with pytest.raises(ConfigurationError, match="max_slot_wal_keep_size"):
            logged.port.install_capture(logged.legacy.url(), TABLES)
    finally:
        logged.legacy.run("alter system reset max_slot_wal_keep_size")
        logged.legacy.run("select pg_reload_conf()")


def test_a_source_whose_log_is_not_read_yet_says_how(logged, make_store):
    logged.port.remove_capture(logged.legacy.url())

    with pytest.raises(ConfigurationError, match="not installed"):
        logged.port.head()
    logged.port.install_capture(logged.legacy.url(), TABLES)
