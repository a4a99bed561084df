import json
import random
import threading

import psycopg
import pytest

from banyan.errors import ConfigurationError, SourceDrifted
from banyan.records import KEY_SEPARATOR, Operation, Origin, Position
from connectors.postgresql import open_postgresql

pytestmark = pytest.mark.server

NEW, CHANGED, GONE = Operation.INSERT, Operation.UPDATE, Operation.DELETE


@pytest.fixture
def captured(legacy, port):
    legacy.run("insert into orion.t_dossier (id_dossier, libelle) select n, 'x' from generate_series(1, 9) n")
    legacy.run("insert into orion.t_ligne values (1, 'A', 1, 'un'), (1, 'AB', 2, 'deux')")
    port.install_capture(legacy.url(), ["t_dossier", "t_ligne"])
    return port


def seen(port, since, until=None):
    return [(change.table, change.key, change.operation) for change in port.changes(since, until)]


def test_the_plan_shows_what_will_run_and_runs_nothing(legacy, port):
    plan = port.plan_capture(["t_dossier"])

    assert any("create or replace trigger zz_banyan_update after update" in line for line in plan)
    assert any("enable always trigger zz_banyan_truncate" in line for line in plan)
    assert any("security definer" in line and "search_path = pg_catalog, pg_temp" in line for line in plan)
    assert legacy.run("select to_regnamespace('banyan')") == [(None,)]


def test_each_kind_of_statement_leaves_the_keys_it_touched(legacy, captured):
    since = captured.head()
    legacy.run("insert into orion.t_dossier (id_dossier) values (10), (11)", role="orion_app")
    legacy.run("update orion.t_dossier set note = 'y' where id_dossier in (1, 2)", role="orion_app")
    legacy.run("delete from orion.t_dossier where id_dossier = 3", role="orion_app")
    legacy.run(
        "insert into orion.t_dossier (id_dossier) values (4), (12) "
        "on conflict (id_dossier) do update set note = excluded.note",
        role="orion_app",
    )

    changes = captured.changes(since)

    assert sorted((change.key, change.operation) for change in changes) == sorted(
        [("10", NEW), ("11", NEW), ("1", CHANGED), ("2", CHANGED), ("3", GONE), ("4", CHANGED), ("12", NEW)]
    )
    assert {change.origin for change in changes} == {Origin.PERSON}
    assert captured.changes(captured.head()) == []


def test_a_changed_key_leaves_the_old_and_the_new_one(legacy, captured):
    since = captured.head()

    legacy.run("update orion.t_ligne set rang = 7 where code = 'A'")

    old, new = (KEY_SEPARATOR.join(["1", "A   ", rang]) for rang in ("1", "7"))
    assert sorted(seen(captured, since)) == [("t_ligne", old, GONE), ("t_ligne", new, NEW)]


def test_a_tree_that_falls_with_its_root_is_told_to_its_leaves(legacy, captured):
    legacy.run(
        "alter table orion.t_dossier add haut numeric(10) references orion.t_dossier on delete cascade;"
        " insert into orion.t_dossier (id_dossier, haut) values (90, null), (91, 90), (92, 91), (93, 92)",
    )
    since = captured.head()

    legacy.run("delete from orion.t_dossier where id_dossier = 90")

    assert sorted(seen(captured, since)) == [("t_dossier", str(key), GONE) for key in (90, 91, 92, 93)]


def test_keys_of_the_journal_are_those_of_the_rows_read(legacy, captured):
    since = captured.head()
    legacy.run("update orion.t_ligne set texte = 'trois' where code = 'AB'")

    keys = [change.key for change in captured.changes(since)]

    assert captured.read_keys("t_ligne", keys).rows["texte"].to_list() == ["trois"]


def test_many_changes_of_one_key_are_one_entry_with_the_last_operation(legacy, captured):
    since = captured.head()
    legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 1")
    legacy.run("delete from orion.t_dossier where id_dossier in (1, 2)")
    legacy.run("insert into orion.t_dossier (id_dossier) values (2)")

    assert seen(captured, since) == [("t_dossier", "1", GONE), ("t_dossier", "2", NEW)]


def test_a_change_by_a_route_is_told_from_one_by_a_person_and_a_person_prevails(legacy, captured):
    legacy.run("grant select, insert, update, delete on orion.t_dossier to banyan_reverse")
    since = captured.head()
    legacy.run("update orion.t_dossier set note = 'r' where id_dossier in (1, 2)", role="banyan_reverse")
    legacy.run("update orion.t_dossier set note = 'p' where id_dossier = 1", role="orion_app")
    legacy.run("update orion.t_dossier set note = 'p' where id_dossier = 3", role="orion_app")
    legacy.run("update orion.t_dossier set note = 'r' where id_dossier = 3", role="banyan_reverse")

    assert {change.key: change.origin for change in captured.changes(since)} == {
        "1": Origin.PERSON,
        "2": Origin.ROUTE,
        "3": Origin.PERSON,
    }


def test_a_replica_session_and_a_hostile_search_path_are_captured_all_the_same(legacy, captured):
    since = captured.head()
    with legacy.connect() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("update orion.t_dossier set note = 'z' where id_dossier = 5")
    with legacy.connect("orion_app") as connection:
        connection.execute("create temp table journal (like orion.t_code)")
        connection.execute("set search_path = pg_temp, orion")
        connection.execute("update t_dossier set note = 'z' where id_dossier = 6")

    assert seen(captured, since) == [("t_dossier", "5", CHANGED), ("t_dossier", "6", CHANGED)]


def test_truncate_lists_every_key_as_deleted(legacy, captured):
    since = captured.head()

    legacy.run("truncate orion.t_ligne", role="orion_app")

    assert sorted(key for _, key, operation in seen(captured, since) if operation is GONE) == [
        KEY_SEPARATOR.join(["1", "A   ", "1"]),
        KEY_SEPARATOR.join(["1", "AB  ", "2"]),
    ]


def test_truncate_under_an_old_snapshot_is_loud_because_its_keys_cannot_be_listed(legacy, captured):
    since = captured.head()
    with legacy.connect("orion_app", autocommit=False) as connection:
        connection.execute("set transaction isolation level repeatable read")
        connection.execute("select 1")
        connection.execute("truncate orion.t_ligne")

    with pytest.raises(SourceDrifted, match="t_ligne was truncated"):
        captured.changes(since)
    assert captured.changes(captured.head()) == []


def test_a_transaction_that_rolls_back_leaves_nothing(legacy, captured):
    since = captured.head()
    with legacy.connect(autocommit=False) as connection:
        connection.execute("update orion.t_dossier set note = 'no'")
        connection.execute("savepoint s")
        connection.rollback()
    with legacy.connect(autocommit=False) as connection:
        connection.execute("update orion.t_dossier set note = 'yes' where id_dossier = 1")
        connection.execute("savepoint s")
        connection.execute("update orion.t_dossier set note = 'no' where id_dossier = 2")
        connection.execute("rollback to s")
        connection.commit()

    assert seen(captured, since) == [("t_dossier", "1", CHANGED)]


def test_the_inversion_of_two_transactions_loses_nothing_and_ends_with_the_last_state(legacy, captured):
    """A lower xid commits later and overwrites the row, while a third transaction holds the horizon back."""
    since = captured.head()
    with legacy.connect(autocommit=False) as early, legacy.connect(autocommit=False) as horizon:
        early.execute("insert into orion.t_dossier (id_dossier) values (100)")
        horizon.execute("insert into orion.t_dossier (id_dossier) values (101)")
        legacy.run("update orion.t_dossier set note = 'first' where id_dossier = 1")
        first = captured.head()
        early.execute("update orion.t_dossier set note = 'second' where id_dossier = 1")
        early.commit()
        second = captured.head()
        batch_one, batch_two = seen(captured, since, first), seen(captured, first, second)
        state = captured.read_keys("t_dossier", ["1"]).rows["note"].to_list()
        horizon.commit()
    batch_three = seen(captured, second)

    assert batch_one == [("t_dossier", "1", CHANGED)]
    assert batch_two == [("t_dossier", "100", NEW), ("t_dossier", "1", CHANGED)]
    assert state == ["second"]
    assert batch_three == [("t_dossier", "101", NEW)]


def test_an_old_open_transaction_neither_hides_nor_delays_the_others(legacy, captured):
    with legacy.connect(autocommit=False) as old:
        old.execute("insert into orion.t_dossier (id_dossier) values (200)")
        positions = [captured.head()]
        batches = []
        for key in ("1", "2", "3"):
            legacy.run("update orion.t_dossier set note = 'n' where id_dossier = %s::numeric", (key,))
            positions.append(captured.head())
            batches.append(seen(captured, positions[-2], positions[-1]))
        old.commit()
    last = seen(captured, positions[-1])

    assert batches == [[("t_dossier", key, CHANGED)] for key in ("1", "2", "3")]
    assert last == [("t_dossier", "200", NEW)]


def test_the_union_of_the_batches_of_concurrent_writers_is_exactly_what_was_committed(legacy, captured):
    committed: list[set[str]] = [set() for _ in range(4)]
    start = captured.head()

    def write(number: int) -> None:
        chance = random.Random(number)
        with legacy.connect("orion_app", autocommit=False) as connection:
            for turn in range(25):
                keys = [1000 * (number + 1) + 3 * turn + n for n in range(3)]
                for key in keys:
                    connection.execute("insert into orion.t_dossier (id_dossier) values (%s)", (key,))
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
    for writer in writers:
        writer.join()
    batches.append([key for _, key, _ in seen(captured, position)])

    together = [key for batch in batches for key in batch]
    assert len(together) == len(set(together))
    assert set(together) == set.union(*committed)
    assert sum(map(bool, batches)) > 1


def test_a_position_of_another_incarnation_is_refused(legacy, captured):
    since = captured.head()
    captured.remove_capture(legacy.url())
    captured.install_capture(legacy.url(), ["t_dossier"])

    with pytest.raises(SourceDrifted, match="another incarnation"):
        captured.changes(since)
    with pytest.raises(SourceDrifted, match="cannot be read"):
        captured.changes(Position("12:15:"))


def test_a_position_later_than_a_restored_database_is_refused(captured):
    read = json.loads(captured.head())
    ahead = Position(json.dumps(read | {"snapshot": "900000000:900000000:"}))

    with pytest.raises(SourceDrifted, match="restored from a backup"):
        captured.changes(ahead)


def test_a_copied_database_is_another_incarnation(legacy, captured, make_database):
    since = captured.head()
    captured.close()
    copy = make_database(template=legacy.address.database)
    reader = open_postgresql(copy.replace("postgres@", "banyan_reader@"), "orion")

    with pytest.raises(SourceDrifted, match="another incarnation"):
        reader.changes(since)
    reader.close()


def test_pruning_removes_what_was_read_and_refuses_older_questions(legacy, captured):
    first = captured.head()
    legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 1")
    with legacy.connect(autocommit=False) as open_one:
        open_one.execute("update orion.t_dossier set note = 'b' where id_dossier = 2")
        second = captured.head()
        legacy.run("update orion.t_dossier set note = 'c' where id_dossier = 3")
        removed = captured.prune(second)
        open_one.commit()

    assert removed == 1
    assert sorted(seen(captured, second)) == [("t_dossier", "2", CHANGED), ("t_dossier", "3", CHANGED)]
    with pytest.raises(SourceDrifted, match="pruned"):
        captured.changes(first)


@pytest.mark.parametrize(
    "sabotage",
    [
        "alter table orion.t_ligne disable trigger zz_banyan_update",
        "alter table orion.t_ligne enable trigger zz_banyan_delete",
        "drop trigger zz_banyan_insert on orion.t_ligne",
        "alter table orion.t_ligne rename to t_autre; create table orion.t_ligne (like orion.t_autre)",
        "create or replace function banyan.capture_t_ligne() returns trigger language plpgsql as "
        "'begin return null; end'",
    ],
)
def test_a_capture_that_was_tampered_with_is_loud(legacy, captured, sabotage):
    since = captured.head()
    legacy.run(sabotage)

    with pytest.raises(SourceDrifted, match="capture of t_ligne"):
        captured.changes(since)


def test_installing_a_damaged_capture_again_repairs_it(legacy, captured):
    since = captured.head()
    legacy.run(
        "alter table orion.t_ligne disable trigger zz_banyan_update; drop trigger zz_banyan_insert on orion.t_ligne"
    )

    captured.install_capture(legacy.url(), ["t_ligne"])

    assert captured.changes(since) == []


def test_a_source_without_capture_says_how_to_get_one(legacy, port):
    with pytest.raises(ConfigurationError, match="no capture is installed"):
        port.changes(port.head())


def test_removing_the_capture_leaves_no_trace(legacy, captured):
    captured.remove_capture(legacy.url(), ["t_ligne"])
    still = legacy.run("select distinct tgrelid::regclass::text from pg_trigger where tgname like 'zz_banyan%'")
    captured.remove_capture(legacy.url())
    captured.remove_capture(legacy.url())

    assert still == [("orion.t_dossier",)]
    assert legacy.run("select count(*) from pg_trigger where tgname like 'zz_banyan%'") == [(0,)]
    assert legacy.run("select count(*) from pg_class c where relnamespace = 'banyan'::regnamespace") == [(0,)]


def test_the_application_cannot_touch_the_journal(legacy, captured):
    for statement in (
        "delete from banyan.journal",
        "select * from banyan.journal",
        "select banyan.prune('1:1:'::pg_snapshot)",
        "alter table orion.t_ligne disable trigger all",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            legacy.run(statement, role="orion_app")


def test_installing_twice_keeps_the_incarnation_and_the_journal(legacy, captured):
    since = captured.head()
    legacy.run("update orion.t_dossier set note = 'a' where id_dossier = 1")

    captured.install_capture(legacy.url(), ["t_dossier", "t_code"])
    legacy.run("insert into orion.t_code values ('new', null)")

    assert seen(captured, since) == [("t_dossier", "1", CHANGED), ("t_code", "new", NEW)]
